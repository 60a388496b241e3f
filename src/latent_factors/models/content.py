"""How much the kinds of content weigh beside each other."""

import torch
from torch import Tensor

from latent_factors.sections import Described


def weigh(content: dict[str, Tensor], settings: Described) -> Tensor:
    """Return genres, words of the title and the year side by side (J, C); genres weigh 1."""
    return torch.cat([content["genres"], settings.words * content["words"], settings.year * content["year"]], 1)
