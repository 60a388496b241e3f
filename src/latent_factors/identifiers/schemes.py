"""Every kind of identifier by its name, and the schemes that join them."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from latent_factors.data.content import Vocabulary
from latent_factors.identifiers import Column, Identifiers, compose
from latent_factors.identifiers.clusters import collaborative
from latent_factors.identifiers.described import semantic, title
from latent_factors.identifiers.known import Known, shortened
from latent_factors.identifiers.numbers import drawn, independent, sequential
from latent_factors.identifiers.rqvae import codes_of, train
from latent_factors.sections import Residual, Scheme, Section

KINDS: dict[str, Callable[[Known, Section], list[Column]]] = {
    "drawn": lambda known, own: drawn(known.sequences.catalogue, own.base, own.seed),
    "title": lambda known, own: title(known.described, own.words),
    "independent": lambda known, own: independent(known.sequences.catalogue),
    "sequential": lambda known, own: sequential(known.sequences, own.order, own.base, own.seed),
    "leaky": lambda known, own: sequential(known.leaked, own.order, own.base, own.seed),
    "semantic": lambda known, own: semantic(known.described, own.depth),
    "collaborative": lambda known, own: collaborative(
        known.sequences.co_occurrence(), own.clusters, own.leaf, own.seed
    ),
    "residual": lambda known, own: residual(sources(known, own)[own.source](), own),
}


def identify(scheme: Scheme, known: Known) -> Identifiers:
    """Return the identifiers that a scheme gives the items of a training part.

    Of two kinds the tokens of one follow those of the other. What numbers items of one code comes at the end, so it is
    left out where the second kind tells all items apart.

    Raises UserError for what the kinds refuse.
    """
    columns = [
        Column(column.name, column.codes, column.space and f"{kind} {column.space}")
        for kind, settings in scheme.kinds.items() for column in KINDS[kind](known, settings)
    ]
    return compose(scheme.name, columns)


def residual(vectors: Tensor, settings: Residual) -> list[Column]:
    """Return the codes that an RQ-VAE gives the vectors of items (I, C), level by level."""
    names = ("hidden", "dim", "levels", "codes", "beta", "epochs", "batch_size", "seed")
    model, _ = train(vectors, **{name: getattr(settings, name) for name in names})
    return [Column(f"code {level + 1}", own.numpy()) for level, own in enumerate(codes_of(model, vectors).T)]


def sources(known: Known, settings: Residual) -> dict[str, Callable[[], Tensor]]:
    """Return what makes the vectors of items (I, d) that can be quantised: of content, of who took them, of both.

    Each is a truncated singular value decomposition, with rows of length 1.
    """
    def content() -> np.ndarray:
        told = Vocabulary.of(known.described).encode(known.described, torch.device("cpu"))
        blocks = (told["genres"], settings.words * told["words"], settings.year * told["year"])
        return shortened(sparse.hstack([sparse.csr_matrix(block.numpy()) for block in blocks]), settings.dim)

    def taken() -> np.ndarray:
        return shortened(known.sequences.scaled().T, settings.dim)

    return {
        "content": lambda: torch.from_numpy(content()), "collaborative": lambda: torch.from_numpy(taken()),
        "both": lambda: torch.from_numpy(np.hstack([content(), taken()]) / np.float32(2**0.5)),
    }
