"""Latent-factor models, put to honest tests: the package behind the notebooks."""
