"""SASRec: causal self-attention over the sequence (Kang and McAuley 2018)."""

import torch
from torch import Tensor, nn

from latent_factors.models import Inputs, sequential
from latent_factors.models.sequential import Drop
from latent_factors.sections import SASRec


class Model(sequential.Model):
    """h = LN(x), x ← x + drop(g(LN(x))) for g self-attention, then a network, in each layer (equations 2 to 7).

    At first x_t = drop(√K e_t + p_t), with a vector p_t for each place. A place attends to itself and those before it.
    The paper learns from one item drawn beside each true one; here the softmax goes over all items, without which
    SASRec is easily outdone (Petrov and Macdonald 2023). Attention weights themselves have no dropout.
    """

    def __init__(self, embedding: nn.Module, settings: SASRec, inputs: Inputs):
        super().__init__(embedding, settings, inputs)
        self.place = nn.Parameter(0.1 * torch.randn(inputs.sequences.length, settings.dim))
        self.layers = nn.ModuleList(
            Layer(settings.dim, settings.heads, settings.hidden) for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(settings.dim)

    def read(self, items: Tensor, drop: Drop) -> Tensor:
        """Return the state (B, L, K) after each item of sequences (B, L)."""
        vectors = self.embedding(items)
        x = drop(vectors * vectors.shape[-1] ** 0.5 + self.place[: items.shape[1]])
        for layer in self.layers:
            x = layer(x, drop)
        return self.norm(x)


class Layer(nn.Module):
    """Self-attention with H heads, then a network with one hidden layer, each beside a path around it."""

    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.parts, self.join = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor, drop: Drop) -> Tensor:
        """Return what the layer makes of x (B, L, K)."""
        x = x + drop(self.attend(self.norms[0](x)))
        return x + drop(self.down(self.up(self.norms[1](x)).relu()))

    def attend(self, x: Tensor) -> Tensor:
        """Return for each place the mean of the values of places up to it (B, L, K), weighed by softmax(q · k / √D)."""
        size = x.shape[1]
        q, k, v = self.parts(x).unflatten(-1, (3, self.heads, -1)).movedim((2, 3), (0, 2))  # (B, H, L, D) each
        later = torch.full((size, size), -torch.inf, device=x.device).triu(1)
        weights = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 + later, -1)  # (B, H, L, L)
        return self.join((weights @ v).transpose(1, 2).flatten(2))
