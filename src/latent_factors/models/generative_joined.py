"""Paths of clusters, then a token of the item's own, spelled by the transformer (Hua et al. 2023, CID+IID)."""

from latent_factors.models import generative


class Model(generative.Model):
    """The transformer with this scheme: a name of its own, as it is tuned and trained on its own."""
