"""Latent-factor models, put to honest tests: the package behind the notebooks."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # else whoever imports any module of the package would import torch
    from latent_factors.predict import Clicker, Rater, Recommender


def load(name: str, run: int = 0) -> "Recommender | Rater | Clicker":
    """Return a trained model of build/train, by the name of its folder, such as "ml-100k-topk-lightgcn".

    A model trained under S seeds has runs 0 … S − 1. What comes back depends on the task: a `Recommender` recommends
    items to a user, one of the next item also after a history; a `Rater` predicts ratings, a `Clicker` the probability
    of clicks.

    Raises UserError for an unknown name or run, and for data or a split that the model was not trained on.
    """
    from latent_factors.loading import load as loaded

    return loaded(name, run)
