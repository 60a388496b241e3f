"""The part of the benchmark that stands beside RecBole: speed, what ours is spent on, and quality of click models."""

import contextlib
import functools
import io
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import optuna
import torch
from torch.profiler import ProfilerActivity, profile

from latent_factors import peers
from latent_factors.fit import Adam, Task, derive_seeds, fit
from latent_factors.models import build
from latent_factors.sections import Clicks, Section, Seeds, Settings, Split
from latent_factors.settings import points
from latent_factors.tasks import prepare
from latent_factors.timing import clock
from latent_factors.tune import best, score, try_settings

ROUNDS = 9  # of both in turn, so that a slow minute of the machine slows both
REPEATS = 7  # of ours in a round
MOST_EPOCHS = 100
SEEDS = 3  # of both, in the comparison of quality
TRIALS, RUNS = 8, 2  # of ours there, beside the setting of params.yaml, which is for other rows and another K
PATIENCE = {"patience": 10, "epochs": MOST_EPOCHS}  # as RecBole's: AutoInt+ stands still before it learns on

# Each peer's model on the same rows and fields, with its K, batch and layers.
CLICKS = Clicks(
    split=Split(kind="random", validation=0.1, test=0.1, seed=2026),
    positive_above=3.5, negative_below=3.5, min_count=1, skip=["zip_code", "movie_title", "timestamp"],
)
LABELLED = {
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": None, "mode": "labeled"},
    "train_neg_sample_args": None, "threshold": {"rating": 4}, "normalize_all": True, "embedding_size": 10,
    "metrics": ["AUC", "LogLoss"], "valid_metric": "AUC",
    "load_col": {
        "inter": ["user_id", "item_id", "rating"], "user": ["user_id", "age", "gender", "occupation"],
        "item": ["item_id", "release_year", "class"],
    },
}
HIDDEN = {"hidden": [128, 128, 128]}
HEADS = {"layers": 3, "heads": 2, "head_dim": 8, "layer_norm": False, "hidden": [128, 128]}
SPEED = [
    ("topk", "bpr", "BPR", {"dim": 64}, {}),
    ("topk", "lightgcn", "LightGCN", {"dim": 64, "layers": 2}, {}),
    ("ctr", "fm", "FM", {"dim": 10}, LABELLED),
    ("ctr", "deepfm", "DeepFM", {"dim": 10} | HIDDEN, LABELLED),
]
QUALITY = [
    ("fm", "FM", {"dim": 10}),
    ("widedeep", "WideDeep", {"dim": 10, "hidden": [32, 16, 8]}),
    ("deepfm", "DeepFM", {"dim": 10} | HIDDEN),
    ("autoint_plus", "AutoInt", {"dim": 10} | HEADS),  # RecBole's AutoInt has a network beside the attention
]
SPENT = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "products with the graph": ("aten::_embedding_bag", "aten::_embedding_bag_forward_only"),
    "look-ups": ("aten::index_select",),
    "gradients of look-ups": ("_LookUpBackward", "aten::scatter_add_", "aten::index_add_"),
    "optimiser": ("aten::_fused_adam_", "aten::_foreach_add_", "aten::addcmul_"),
    "sampling and shuffling": ("aten::searchsorted", "aten::randperm", "aten::uniform_"),
}


def speed(settings: Settings, device: torch.device, python: Path) -> list[dict]:
    """Time epochs and evaluations beside RecBole's, and say what ours are spent on."""
    rows = []
    for task, model, theirs, values, config in SPEED:
        base = getattr(getattr(settings, task), model).model_dump()
        (point,) = points(task, model, base | values | {"batch_size": 2048})
        problem = prepare(task, settings.dataset, settings.data, CLICKS if task == "ctr" else settings.ranking, device)
        trainer = Adam(f"{task}.{model}", build(model, point, problem.inputs), problem, point, seed=0)
        work = {
            "epoch": functools.partial(trainer.epoch, 1), "evaluation": functools.partial(problem.score, trainer.model),
        }
        ours, peer = {"epoch": [], "evaluation": []}, {"epoch": [], "evaluation": []}
        for _ in range(ROUNDS):
            measured = peers.seconds(python, theirs, settings.dataset, settings.compute.threads, config)
            for part, function in work.items():
                peer[part].append(measured[part])
                function()  # to warm up
                ours[part].append(statistics.median(clock(function) for _ in range(REPEATS)))
        for part in work:
            ratios = [other / mine for other, mine in zip(peer[part], ours[part], strict=True)]
            what = (
                f"{model}, batch 2048, {values['dim']} dimensions: RecBole's {part} in seconds"
                f" ({statistics.median(peer[part]):.3f}) over ours ({statistics.median(ours[part]):.4f}), median of"
                f" {ROUNDS} rounds from {min(ratios):.1f} to {max(ratios):.1f}"
            )
            value = statistics.median(ratios)
            rows.append({"name": f"recbole_{part}_{model}", "value": value, "unit": "ratio", "what": what})
        rows += _spent(model, work["epoch"])
    return rows


def _spent(model: str, epoch: Callable[[], object]) -> list[dict]:
    """Return what share of an epoch's time goes where."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        epoch()
    own = {entry.key: entry.self_cpu_time_total for entry in profiled.key_averages()}
    total = sum(own.values())
    shares = {group: sum(own.get(name, 0) for name in names) / total for group, names in SPENT.items()}
    shares["elementwise work and overhead"] = 1 - sum(shares.values())
    return [
        {
            "name": f"spent_{model}_{group.replace(' ', '_')}", "value": float(share), "unit": "ratio",
            "what": f"{model}: share of an epoch spent on {group}",
        }
        for group, share in shares.items() if share > 0
    ]


def quality(settings: Settings, device: torch.device, python: Path) -> list[dict]:
    """Compare the test AUC of click models with RecBole's on the same rows, each the mean of some seeds.

    Ours are tuned there by validation; RecBole's have their defaults, as the reference figures have. Both stop once ten
    epochs brought nothing.
    """
    problem, rows = prepare("ctr", settings.dataset, settings.data, CLICKS, device), []
    with tempfile.TemporaryDirectory() as folder:
        same = peers.write_parts(problem, Path(folder))
        config = LABELLED | {"benchmark_filename": list(peers.PARTS.values())}
        for model, theirs, values in QUALITY:
            runs = derive_seeds(Seeds(root=settings.seeds.root, count=RUNS + SEEDS), f"bench/{model}")
            with contextlib.redirect_stderr(io.StringIO()):  # no line an epoch here
                base = getattr(settings.ctr, model).model_dump() | PATIENCE | values
                point = _tuned(model, base, problem, runs[:RUNS])
                make = functools.partial(build, model, point, problem.inputs)
                trained = fit(f"ctr.{model}", make, problem, point, runs[RUNS:]).models
            areas = [problem.measure(problem.outputs(one, "test"), "test")["auc"].item() for one in trained]
            extra = {"mlp_hidden_size": values["hidden"]} if "hidden" in values else {}
            others = [
                peers.run(
                    python, theirs, same, settings.compute.threads, MOST_EPOCHS, config | extra | {"seed": seed},
                    Path(folder),
                )["test"]["auc"]
                for seed in range(SEEDS)
            ]
            mine, peer = statistics.mean(areas), statistics.mean(others)
            what = (
                f"{model}, the same rows and fields, K = 10: our test AUC ({mine:.4f}) less RecBole's ({peer:.4f}),"
                f" means of {SEEDS} seeds"
            )
            rows.append({"name": f"recbole_auc_{model}", "value": mine - peer, "unit": "AUC", "what": what})
    return rows


def _tuned(model: str, base: dict, problem: Task, runs: list[int]) -> Section:
    """Return a click model's best setting by validation, of `base` and some trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials, _ = try_settings("ctr", model, base, problem, runs, TRIALS, optuna.samplers.TPESampler(seed=0))
    start = base | {f"validation_{problem.metric}": score("ctr", model, base, problem, runs)}
    (point,) = points("ctr", model, best(base, [start, *trials], problem))
    return point
