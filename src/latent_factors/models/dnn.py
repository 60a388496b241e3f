"""The network that stands beside other parts of models of clicks."""

from itertools import pairwise

from torch import Tensor, nn


class DNN(nn.Module):
    """Layers of `hidden` widths with ReLU over the concatenated vectors of F fields, then one number.

    There is no dropout: its draws come from torch's global generator, so a run's seed would not fix its numbers.
    """

    def __init__(self, width: int, hidden: list[int]):
        super().__init__()
        layers = [(nn.Linear(*sizes), nn.ReLU(inplace=True)) for sizes in pairwise([width, *hidden])]
        self.net = nn.Sequential(*(part for layer in layers for part in layer), nn.Linear(hidden[-1], 1))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return a number (B,) for the vectors (B, F, K) of each row."""
        return self.net(vectors.flatten(-2)).squeeze(-1)
