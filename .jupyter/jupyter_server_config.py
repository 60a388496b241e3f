"""`make lab` reads this: notebooks are stored without outputs, so saving one leaves `dvc status` clean."""

from latent_factors.notebook import strip_on_save

c.FileContentsManager.pre_save_hook = strip_on_save  # noqa: F821  (Jupyter provides c)
