"""What losses over all pairs of a batch cost by themselves, beside a whole epoch of a model that has none.

A batch's different users, and its different items, are compared each with each: of B vectors of K numbers that is B² K
multiplications and as many again for each gradient, however it is programmed. BPR needs some K for each event.
"""

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from latent_factors.figures import label
from latent_factors.fit import Adam
from latent_factors.models import build
from latent_factors.models.losses import info_nce, uniformity
from latent_factors.sections import Section, Settings
from latent_factors.tasks import topk
from latent_factors.timing import beside


def bounds(settings: Settings, device: torch.device, sizes: dict[str, tuple[int, ...]], repeats: int) -> list[dict]:
    """Time uniformity alone over an epoch of BPR-MF, and InfoNCE alone over one of LightGCN with as many layers.

    `sizes` holds the batches, by "uniformity" and "info_nce".
    """
    problem = topk.prepare(settings.dataset, settings.data, settings.ranking, device)
    dccf = settings.topk.dccf
    graph = settings.topk.lightgcn.model_copy(update={"layers": dccf.layers})
    losses: dict[str, tuple[str, str, Section, int, Callable[[Tensor], Tensor]]] = {
        "uniformity": ("DirectAU's uniformity", "bpr", settings.topk.bpr, 1, uniformity),
        "info_nce": (
            "DCCF's InfoNCE", "lightgcn", graph, 3 * dccf.layers,  # of a layer's first view with the three others
            lambda unit: info_nce(unit, unit.flip(0), dccf.temperature),
        ),
    }
    rows = []
    for name, (words, other, setting, times, loss) in losses.items():
        for size in sizes[name]:
            point = setting.model_copy(update={"batch_size": size})
            trainer = Adam(f"topk.{other}", build(other, point, problem.inputs).to(device), problem, point, seed=0)
            sides = list(_sides(problem, trainer, size, point.dim))
            alone = functools.partial(_compare, sides, loss, times)
            epoch = functools.partial(trainer.epoch, 1)
            alone(), epoch()  # to warm up
            own, others = beside(alone, epoch, repeats)
            rows.append({
                "name": f"{name}_over_{other}_{size}", "value": own / others, "unit": "ratio",
                "what": f"{words} alone, over an epoch's batches ({own:.3f} s), over an epoch of {label(other)}"
                f" ({others:.3f} s), batch {size}, {point.dim} dimensions: what an epoch with it takes at least",
            })
    return rows


def _sides(problem: topk.TopKTask, trainer: Adam, size: int, dim: int) -> Iterator[Tensor]:
    """Yield a random unit vector for each different user, and for each different item, of every batch (U, K)."""
    generator = torch.Generator(device=problem.ids.device).manual_seed(0)
    for ids, *_ in problem.batches(trainer.model, generator, size):
        for side in ids[:2]:
            vectors = torch.randn(len(side.unique()), dim, generator=generator, device=side.device)
            yield F.normalize(vectors, dim=1).requires_grad_()


def _compare(sides: list[Tensor], loss: Callable[[Tensor], Tensor], times: int) -> None:
    for unit in sides:
        for _ in range(times):
            loss(unit).backward()
