"""Adam (Kingma and Ba 2015, algorithm 1) by torch's fused kernel.

`torch.optim.Adam` calls the same kernel, to the same bytes, but imports torch's compiler first, which takes longer than
many a stage trains (tests/test_optimiser.py).
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Memory:
    """What Adam remembers of a weight.

    Attributes:
        mean: m, of its gradients.
        square: v, of their squares.
        step: t (), how many steps were made.
    """

    mean: Tensor
    square: Tensor
    step: Tensor

    @classmethod
    def blank(cls, weight: Tensor) -> "Memory":
        """Return the memory of a weight that was never moved."""
        return cls(torch.zeros_like(weight), torch.zeros_like(weight), torch.zeros((), device=weight.device))

    def clone(self) -> "Memory":
        """Return a copy."""
        return Memory(self.mean.clone(), self.square.clone(), self.step.clone())


class Adam:
    """Moves weights w by −η m̂ / (√v̂ + ε), m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), from their gradients."""

    betas = (0.9, 0.999)

    def __init__(self, weights: Iterable[nn.Parameter], rate: float, eps: float = 1e-8):
        """`rate` is η. Weights that need no gradient stay; each other one must have a gradient at every step."""
        self.weights, self.rate, self.eps = [weight for weight in weights if weight.requires_grad], rate, eps
        self.memory = {weight: Memory.blank(weight.detach()) for weight in self.weights}

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every weight once."""
        known = [self.memory[weight] for weight in self.weights]
        steps = [own.step for own in known]
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            self.weights, [weight.grad for weight in self.weights], [own.mean for own in known],
            [own.square for own in known], [], steps, lr=self.rate, beta1=self.betas[0], beta2=self.betas[1],
            weight_decay=0.0, eps=self.eps, amsgrad=False, maximize=False,
        )


class Average:
    """The exponential moving average of a model's weights over its steps: w̄ ← δ w̄ + (1 − δ) w.

    Of the first 1 / (1 − δ) steps it is the plain mean (Polyak and Juditsky 1992), so where weights began counts for
    nothing.

    Attributes:
        model: a copy of the model that has these weights.
    """

    def __init__(self, model: nn.Module, decay: float):
        """`decay` is δ, from 0 to below 1."""
        self.model, self.decay, self.steps = copy.deepcopy(model), decay, 0
        self.now, self.mean = list(model.parameters()), list(self.model.parameters())

    @torch.no_grad()
    def step(self) -> None:
        """Take in the weights after one more step."""
        self.steps += 1
        torch._foreach_lerp_(self.mean, self.now, max(1 - self.decay, 1 / self.steps))
