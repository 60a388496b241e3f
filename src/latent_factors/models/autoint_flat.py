"""AutoInt without residual connections (Song et al. 2019, section 5.3.1)."""

from latent_factors.models import autoint


class Model(autoint.Model):
    """AutoInt whose layers pass on only what attention mixed."""

    residual = False
