"""What is tuned of each model, and within which bounds; every other setting stays as params.yaml has it."""

from collections.abc import Callable

import optuna

Space = Callable[[optuna.Trial, float], dict[str, float]]
"""From a trial and the mean training frequency of a feature to the settings tried."""


def log(trial: optuna.Trial, name: str, low: float, high: float) -> float:
    """Suggest a number evenly on a logarithmic scale, to three digits."""
    return float(f"{trial.suggest_float(name, low, high, log=True):.3g}")


def _ridge(trial: optuna.Trial, frequency: float, low: float, high: float, bias: bool) -> dict[str, float]:
    """Suggest the penalty λ n_f^ν by its strength a row at the mean frequency, which matters, and its tilt ν."""
    power = round(trial.suggest_float("l2_power", 0, 1), 2)
    scale = frequency ** (1 - power)
    strengths = {"l2": log(trial, "l2", low, high)} | ({"l2_bias": log(trial, "l2_bias", 1e-4, 0.3)} if bias else {})
    return {"l2_power": power} | {name: float(f"{value * scale:.3g}") for name, value in strengths.items()}


def _adam(trial: optuna.Trial, low: float, high: float) -> dict[str, float]:
    return {"learning_rate": log(trial, "learning_rate", low, high)}


def _biases(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {name: log(trial, name, 0.1, 100) for name in ("user_damping", "item_damping")}


def _product(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _adam(trial, 1e-3, 2e-2) | _ridge(trial, frequency, 0.01, 1, bias=True)


def _als(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _ridge(trial, frequency, 0.01, 1, bias=True)


def _network(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    """Suggest from wider ranges than for a product: a network can undo a shrunken embedding, or do without one."""
    return _adam(trial, 3e-4, 5e-2) | _ridge(trial, frequency, 1e-4, 10, bias=False)


def _itemknn(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {
        "neighbours": trial.suggest_int("neighbours", 5, 1000, log=True),
        "shrinkage": log(trial, "shrinkage", 0.1, 1000),
    }


def _rp3beta(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {
        "neighbours": trial.suggest_int("neighbours", 5, 1000, log=True),
        "alpha": round(trial.suggest_float("alpha", 0, 2), 2), "beta": round(trial.suggest_float("beta", 0, 2), 2),
    }


def _ease(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {"l2": log(trial, "l2", 1, 1e4)}


def _ials(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {"l2": log(trial, "l2", 0.1, 1000), "alpha": log(trial, "alpha", 0.1, 100)}


def _bpr(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _adam(trial, 5e-4, 2e-2) | _ridge(trial, frequency, 1e-4, 0.3, bias=False)


def _lightgcn(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    layers = {"layers": trial.suggest_int("layers", 1, 4)}
    return layers | _adam(trial, 1e-3, 5e-2) | _ridge(trial, frequency, 1e-5, 0.1, bias=False)


def _directau(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    """Suggest from wide penalties: they leave directions alone, but shorten the vectors of rare items in the scores."""
    return {"gamma": log(trial, "gamma", 0.05, 5)} | _adam(trial, 5e-4, 2e-2) | _ridge(
        trial, frequency, 1e-4, 30, bias=False
    )


def _directau_graph(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {"layers": trial.suggest_int("layers", 1, 4)} | _directau(trial, frequency)


def _dccf(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    """Suggest from the paper's grids and beyond: contrast also below them, as here few events stand against it."""
    return {
        "layers": trial.suggest_int("layers", 1, 3),
        "intents": trial.suggest_categorical("intents", [32, 64, 128]),
        "contrast": log(trial, "contrast", 1e-4, 0.2),
        "temperature": log(trial, "temperature", 0.1, 2),
        "l2_intents": log(trial, "l2_intents", 1e-5, 1e-2),
    } | _adam(trial, 2e-4, 1e-2) | _ridge(trial, frequency, 1e-5, 0.1, bias=False)


def _towers(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    temperature = {"temperature": log(trial, "temperature", 0.03, 1)}
    return temperature | _adam(trial, 5e-4, 2e-2) | _ridge(trial, frequency, 1e-5, 1, bias=False)


def _towers_ssl(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {
        "alpha": log(trial, "alpha", 3e-3, 3),
        "ssl_temperature": log(trial, "ssl_temperature", 0.03, 1),
        "dropout": round(trial.suggest_float("dropout", 0, 0.5), 2),
    } | _towers(trial, frequency)


def _neumf(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _adam(trial, 3e-4, 2e-2) | _ridge(trial, frequency, 1e-5, 1, bias=False)


def _cml(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    bounds = {"margin": log(trial, "margin", 0.05, 3), "covariance": log(trial, "covariance", 0.01, 1000)}
    return bounds | {"negatives": trial.suggest_int("negatives", 1, 40, log=True)} | _adam(trial, 3e-4, 2e-2)


def _cml_features(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _cml(trial, frequency) | {"pull": log(trial, "pull", 0.01, 100)}


def _described(trial: optuna.Trial) -> dict[str, float]:
    return {"words": log(trial, "words", 0.01, 3), "year": log(trial, "year", 0.01, 3)}


def _popular_genre(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    powers = {name: round(trial.suggest_float(name, 0, 1), 2) for name in ("length", "crowding")}
    return {"damping": log(trial, "damping", 0.1, 1e4)} | powers


def _content_knn(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {
        "neighbours": trial.suggest_int("neighbours", 5, 1000, log=True),
        "shrinkage": log(trial, "shrinkage", 0.01, 100),
    } | _described(trial)


def _content_linear(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _ials(trial, frequency) | {"ridge": log(trial, "ridge", 0.01, 1000)} | _described(trial)


def _cml_tower(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _cml(trial, frequency) | {"l2": log(trial, "l2", 1e-7, 1e-2)} | _described(trial)


def _cml_content(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _cml_tower(trial, frequency) | {"pull": log(trial, "pull", 0.01, 100)}


def _markov(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {"damping": log(trial, "damping", 0.1, 1e4)}


def _itemknn_last(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _itemknn(trial, frequency) | {"decay": round(trial.suggest_float("decay", 0.1, 1), 2)}


def _sequential(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    dropout = {"dropout": round(trial.suggest_float("dropout", 0, 0.6), 2)}
    return dropout | _adam(trial, 1e-3, 2e-2) | _ridge(trial, frequency, 1e-6, 0.1, bias=False)


def _sasrec(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {"layers": trial.suggest_int("layers", 1, 2)} | _sequential(trial, frequency)


def _clicks(trial: optuna.Trial, frequency: float, bias: bool) -> dict[str, float]:
    return _adam(trial, 5e-4, 2e-2) | _ridge(trial, frequency, 1e-3, 1, bias=bias)


def _lr(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _clicks(trial, frequency, bias=False)


def _machine(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return _clicks(trial, frequency, bias=True)


def _autoint(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    return {"layers": trial.suggest_int("layers", 1, 3)} | _clicks(trial, frequency, bias=False)


def _generative(trial: optuna.Trial, frequency: float) -> dict[str, float]:
    dropout = {"dropout": round(trial.suggest_float("dropout", 0, 0.4), 2)}
    return dropout | _adam(trial, 2e-3, 4e-2) | {"batch_size": trial.suggest_categorical("batch_size", [16, 32, 64])}


_CTR = {
    "lr": _lr, "fm": _machine, "widedeep": _machine, "deepfm": _machine, "autoint": _autoint, "autoint_flat": _autoint,
    "autoint_plus": _autoint,
}
SPACES: dict[str, dict[str, Space]] = {
    "rating": {"biases": _biases, "mf": _product, "als": _als, "mlp": _network, "neumf": _network},
    "ctr": _CTR,
    "ctr_attributes": _CTR,
    "topk": {
        "itemknn": _itemknn, "rp3beta": _rp3beta, "ease": _ease, "ials": _ials, "bpr": _bpr, "neumf_implicit": _neumf,
        "lightgcn": _lightgcn, "directau": _directau, "directau_graph": _directau_graph, "dccf": _dccf,
        "towers": _towers, "towers_ssl": _towers_ssl, "cml": _cml,
    },
    "release": {
        "popular_genre": _popular_genre, "content_knn": _content_knn, "content_linear": _content_linear,
        "cml_tower": _cml_tower, "cml_content": _cml_content,
    },
    "generate": dict.fromkeys(("generative_independent", "generative_joined"), _generative),
    "sequence": {
        "markov": _markov, "itemknn_last": _itemknn_last, "gru4rec": _sequential, "sasrec": _sasrec,
    },
}
STUDIED: dict[str, dict[str, Space]] = {"topk": {"cml_features": _cml_features}}  # models of studies alone


def space(task: str, model: str) -> Space | None:
    """Return what is tuned of a model, None where nothing is."""
    return (SPACES[task] | STUDIED.get(task, {})).get(model)
