"""DirectAU with LightGCN as its encoder (Wang et al. 2022)."""

from latent_factors.models import directau


class Model(directau.Model):
    """DirectAU whose `layers` are above zero: a name of its own, as it is tuned on its own."""
