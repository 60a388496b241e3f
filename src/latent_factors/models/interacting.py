"""The interacting layer of AutoInt: self-attention between the fields of a row."""

from torch import Tensor, nn


class Interacting(nn.Module):
    """From F vectors of width K to F vectors of width H D (AutoInt, equations 5 to 8).

    α_m,k^(h) = softmax_k ⟨W_Q^(h) e_m, W_K^(h) e_k⟩, ẽ_m^(h) = Σ_k α_m,k^(h) W_V^(h) e_k,
    e_m^Res = ReLU(ẽ_m^(1) ‖ … ‖ ẽ_m^(H) + W_Res e_m); without `residual` the last summand is left out.
    With `layer_norm` follows layer normalisation, as in the authors' code.
    """

    def __init__(self, width: int, heads: int, head_dim: int, residual: bool, layer_norm: bool):
        super().__init__()
        self.heads, out = heads, heads * head_dim
        self.query, self.key, self.value = (nn.Linear(width, out, bias=False) for _ in range(3))
        self.rest = nn.Linear(width, out, bias=False) if residual else None  # W_Res
        self.norm = nn.LayerNorm(out) if layer_norm else nn.Identity()

    def forward(self, vectors: Tensor) -> Tensor:
        """Return new vectors (B, F, H D) for vectors (B, F, K)."""
        heads = self.weights(vectors) @ self._heads(self.value(vectors))  # (B, H, F, D); faster than torch's fused form
        mixed = heads.transpose(-2, -3).flatten(-2)
        return self.norm((mixed if self.rest is None else mixed + self.rest(vectors)).relu())

    def weights(self, vectors: Tensor) -> Tensor:
        """Return the attention weights α (B, H, F, F): how much field m, first, looks at field k, last."""
        query, key = self._heads(self.query(vectors)), self._heads(self.key(vectors))
        return (key @ query.mT).softmax(-2).mT  # along so few columns, torch takes five times as long as along rows

    def _heads(self, vectors: Tensor) -> Tensor:
        """Return (B, H, F, D) for (B, F, H D)."""
        return vectors.unflatten(-1, (self.heads, -1)).transpose(-2, -3)
