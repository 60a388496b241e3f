"""What a unit stands for: a trait found on some users, judged on others."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.stats import false_discovery_control, hypergeom
from torch import Tensor

from latent_factors.errors import UserError
from latent_factors.interpret.activations import Parts
from latent_factors.interpret.traits import Traits


@dataclass(frozen=True)
class Fondness:
    """Who is fond of what, of the traits that enough users of the description part are fond of.

    Attributes:
        names: of the A traits.
        has: (I, A) which items have each.
        fond: (U, A) which users are fond of each.
    """

    names: list[str]
    has: Tensor
    fond: Tensor

    @classmethod
    def of(cls, traits: Traits, fond: Tensor, described: Tensor, least: float) -> "Fondness":
        """Keep the traits that a share of at least `least`, and not all, of the users `described` (m,) are fond of.

        Raises UserError when there is none.
        """
        share = fond[described].float().mean(0)
        kept = (share >= least) & (share < 1)
        if not kept.any():
            raise UserError(
                "no genre, decade or title word has enough users that are fond of it, and concepts are described by"
                " them; lower interpret.concepts.least, films or deviations in params.yaml, or add a .item file to the"
                " data set"
            )
        names = [name for name, stays in zip(traits.names, kept.tolist(), strict=True) if stays]
        return cls(names, traits.has[:, kept], fond[:, kept])


def phi(lit: Tensor, fond: Tensor) -> Tensor:
    """Return the correlation φ (h, A) of being lit (n, h) with being fond (n, A), both bool; 0 where one is constant.

    φ = (n n₁₁ − n₁. n.₁) / √(n₁. n₀. n.₁ n.₀), which is Pearson's of zeros and ones.
    """
    lit, fond, number = lit.double(), fond.double(), len(lit)
    one, other = lit.sum(0)[:, None], fond.sum(0)
    spread = (one * (number - one) * other * (number - other)).sqrt()
    return torch.where(spread > 0, (number * (lit.T @ fond) - one * other) / spread.clamp(min=1e-12), 0.0)


def describe(lit: Tensor, fondness: Fondness, parts: Parts, level: float) -> pd.DataFrame:
    """Name each unit by the trait of which those who light it are fondest, and judge that name on other users.

    lit (U, h) tells which users light which unit. A row a unit: `trait`, `number` of it, `found` (φ on the description
    part) and, on the judging part, `precision` (how many of the fond users light the unit), `recall` (how many of those
    who light it are fond), `phi`, `lit` (how many light it), the one-sided `p` of Fisher's exact test, `corrected` for
    the number of units so that a share of at most 1 − `level` of all concepts are false ones (Benjamini and Hochberg
    1995), and whether the unit is a confident `concept`: corrected is at most 1 − `level`. A unit that nobody, or
    everybody, of the description part lights has no trait: its number is −1.
    """
    found, number = phi(lit[parts.description], fondness.fond[parts.description]).max(1)
    own, fond = lit[parts.judging], fondness.fond[parts.judging][:, number]  # (m, h) each
    both, fond_of, lit_by = ((own & fond).sum(0), fond.sum(0), own.sum(0))
    together = phi(lit[parts.judging], fondness.fond[parts.judging]).gather(1, number[:, None])[:, 0]
    p = hypergeom.sf(both.cpu().numpy() - 1, len(own), fond_of.cpu().numpy(), lit_by.cpu().numpy())
    named = (found > 0).cpu().numpy()
    p = np.where(named, p, 1.0)
    corrected = false_discovery_control(p)
    numbers = np.where(named, number.cpu().numpy(), -1)
    return pd.DataFrame({
        "unit": np.arange(lit.shape[1]),
        "trait": [fondness.names[place] if place >= 0 else "" for place in numbers],
        "number": numbers,
        "found": found.cpu().numpy(),
        "precision": (both / fond_of.clamp(min=1)).cpu().numpy(),
        "recall": (both / lit_by.clamp(min=1)).cpu().numpy(),
        "phi": together.cpu().numpy(),
        "lit": lit_by.cpu().numpy(),
        "p": p, "corrected": corrected, "concept": corrected <= 1 - level,
    })


def swapped(fondness: Fondness, parts: Parts, draw: int) -> Fondness:
    """Return the same with users who swap all that they are fond of, at random, within each part."""
    generator, fond = np.random.default_rng(draw), fondness.fond.clone()
    for part in (parts.description, parts.judging):
        order = torch.from_numpy(generator.permutation(len(part))).to(part.device)
        fond[part] = fondness.fond[part[order]]
    return Fondness(fondness.names, fondness.has, fond)
