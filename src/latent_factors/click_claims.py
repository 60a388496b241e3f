"""Which models the claims of chapter 30 compare."""

CLAIMS = {  # the model whose test AUC should be larger, and the other
    "autoint-matches-deepfm": ("autoint", "deepfm"),
    "residual-matters": ("autoint", "autoint_flat"),
    "dnn-helps-autoint": ("autoint_plus", "autoint"),
}
