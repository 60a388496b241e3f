"""What a sparse autoencoder costs beside a dictionary of users."""

import statistics

import torch
from torch import Tensor
from torch.nn import functional as F

from latent_factors.fit import fit
from latent_factors.interpret.activations import Activations, cut
from latent_factors.interpret.itda import enter_at_most
from latent_factors.interpret.pursuit import pursue
from latent_factors.interpret.sae import train
from latent_factors.models import build
from latent_factors.sections import Settings
from latent_factors.tasks import topk
from latent_factors.timing import clock


def dictionaries(settings: Settings, device: torch.device, repeats: int) -> list[dict]:
    """Train LightGCN once, then time an autoencoder and ITDA on its users at equal size and active directions."""
    task, point = topk.prepare(settings.dataset, settings.data, settings.ranking, device), settings.topk.lightgcn
    model = fit("topk.lightgcn", lambda: build("lightgcn", point, task.inputs), task, point, [0]).models[0]
    return compared(Activations.of(model, task), settings, repeats)


def compared(activations: Activations, settings: Settings, repeats: int) -> list[dict]:
    """Time them on the dictionary part of some users, in turn, one thread each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _compared(activations.vectors, settings, repeats)
    finally:
        torch.set_num_threads(threads)


def _compared(x: Tensor, settings: Settings, repeats: int) -> list[dict]:
    parts, own = cut(len(x), settings.interpret.parting), settings.interpret.reconstructing().autoencoder
    learn, held = x[parts.dictionary], x[parts.description]
    mean, size = learn.mean(0), own.expansion * x.shape[1]

    def learned():
        return train(learn[None], held[None], size, own.active, own, seed=0)

    def chosen():
        return enter_at_most(learn - mean, size, own.active, settings.interpret.itda.batch)

    sae, atoms = learned(), F.normalize(learn[chosen()] - mean, dim=1)
    taken = {"sae": [], "itda": [], "encode": [], "pursue": []}
    with torch.no_grad():
        work = {
            "itda": chosen, "encode": lambda: sae.encode(held[None]),
            "pursue": lambda: pursue(held - mean, atoms, own.active),
        }
        for _ in range(repeats):
            with torch.enable_grad():
                taken["sae"].append(clock(learned))
            for name, function in work.items():
                taken[name].append(clock(function))
    what = {
        "sae": f"train one sparse autoencoder, {size} latents, {own.active} active, on {len(learn)} users",
        "itda": f"choose {len(atoms)} of {len(learn)} users by ITDA, all thresholds tried",
        "encode": f"code {len(held)} users by the autoencoder's encoder",
        "pursue": f"code {len(held)} users by matching pursuit",
    }
    rows = [
        {"name": f"interpret_{name}", "value": statistics.median(taken[name]), "unit": "s", "what": text}
        for name, text in what.items()
    ]
    ratios = sorted(sae / itda for sae, itda in zip(taken["sae"], taken["itda"], strict=True))
    for kind, value in (("median", statistics.median(ratios)), ("least", ratios[0]), ("most", ratios[-1])):
        rows.append({
            "name": f"interpret_ratio_{kind}", "value": value, "unit": "ratio",
            "what": f"an autoencoder trained over as many users chosen, {kind} of {repeats} repeats in turn",
        })
    return rows
