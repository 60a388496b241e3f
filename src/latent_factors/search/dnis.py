"""Differentiable neural input search (Cheng, Shen and Huang 2020): which dimensions a block of features needs.

α scales the dimensions of each block's vectors. It minimises the loss on held-out rows, while the weights minimise that
on training rows; a batch of each takes its turn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latent_factors.embedding import SoftSelection, add_gradients
from latent_factors.fit import Adam, Task, derive, endless, train
from latent_factors.search.warm import warm_start
from latent_factors.sections import DNIS, Section

SMALL = 1e-8  # keeps a block without gradient from a division by zero


@dataclass(frozen=True)
class Found:
    """What a search leaves.

    Attributes:
        model: with the weights and α of its best validation epoch.
        selection: its embedding.
        mean: the mean target that it knows.
        path: (E + 1, L, K), α before the search and after each epoch.
        warm: a row an epoch before the search.
        history: a row an epoch of the search.
    """

    model: nn.Module
    selection: SoftSelection
    mean: float
    path: Tensor
    warm: list[dict]
    history: list[dict]


def search(
    name: str, build: Callable[..., nn.Module], task: Task, block: Tensor, point: Section, settings: DNIS, seed: int
) -> Found:
    """Train a model with α = 1 to the end of its patience, then let α and the weights move in turn.

    `build(inputs, wrap)` makes an untrained model around `wrap` of its table. A share of the training rows trains α and
    nothing else; the validation part picks the epoch.
    """
    start, held, warm = warm_start(name, build, task, block, point, settings.alpha_share, seed)
    bilevel = Bilevel(start, held, settings, seed)
    _, history = train(f"{name}  search", bilevel, start.task, settings.epochs, settings.patience)
    model, mean = start.model, start.task.inputs.mean
    return Found(model, model.embedding, mean, torch.stack(bilevel.path), warm, history)


class Bilevel(Adam):
    """A step of the weights on training rows, then one of α on held-out rows."""

    def __init__(self, start: Adam, held: Task, settings: DNIS, seed: int):
        """Go on from where `start` is; its Adam keeps its memory, so the first step is no larger than the last."""
        super().__init__(start.name, start.model, start.task, start.settings, derive(f"{seed}/search"))
        self.selection, self.held, self.search = self.model.embedding, held, settings
        self.path = [self.selection.alpha.detach().clone()]
        self.held_batches = endless(held, self.model, derive(f"{seed}/held"), self.settings.batch_size)
        tables = {id(table) for table, _ in self.penalties}
        self.weights = [
            parameter for parameter in self.model.parameters()
            if parameter is not self.selection.alpha and (id(parameter) in tables or not settings.freeze)
        ]
        self.optimiser = torch.optim.Adam(self.weights, lr=self.settings.learning_rate, fused=True)
        self.optimiser.state.update({weight: start.optimiser.state[weight] for weight in self.weights})
        self.selection.alpha.requires_grad_(True)

    def epoch(self, epoch: int) -> float:
        """Pass once over the training rows, α moving at every step; return the mean training loss."""
        loss = super().epoch(epoch)
        self.path.append(self.selection.alpha.detach().clone())
        return loss

    def step(self, *batch: Tensor) -> Tensor:
        """Move the weights by a training batch and α by a held-out one; return the training loss ()."""
        second = self.search.order == "second"
        loss = self.task.loss(self.model, *batch)
        pulls = torch.autograd.grad(loss, self.weights, create_graph=second)
        for weight, pull in zip(self.weights, pulls, strict=True):
            weight.grad = pull.detach().clone() if second else pull  # the penalty is added to a copy: `pulls` go on
        add_gradients(self.penalties)
        self.optimiser.step()
        self._move(pulls if second else None)
        return loss

    def _move(self, pulls: tuple[Tensor, ...] | None) -> None:
        """Move α against its gradient and back into [0, 1]; second order needs the weights' gradients, `pulls`."""
        alpha = self.selection.alpha
        loss = self.held.loss(self.model, *next(self.held_batches))
        if pulls is None:
            (gradient,) = torch.autograd.grad(loss, alpha)
        else:
            gradient, *outer = torch.autograd.grad(loss, [alpha, *self.weights])
            gradient = gradient - self._through_the_step(pulls, outer)
        gradient = gradient + self.search.l1
        if self.search.normalise:
            gradient = gradient / (gradient.abs().mean(1, keepdim=True) + SMALL)
        with torch.no_grad():
            alpha.sub_(self.search.alpha_rate * gradient).clamp_(0, 1)

    def _through_the_step(self, pulls: tuple[Tensor, ...], outer: list[Tensor]) -> Tensor:
        """Return (∂g/∂α)ᵀ (∂Δ/∂g)ᵀ ∂L/∂w (L, K): how α moves the held-out loss L by the step w − Δ(g(α)) just made.

        Adam's step Δ works on each weight for itself, so ∂Δ/∂g is a vector, and the rest one product of a Hessian with
        a vector, exact.
        """
        vectors = [slope(self.optimiser, weight) * pull for weight, pull in zip(self.weights, outer, strict=True)]
        (change,) = torch.autograd.grad(pulls, self.selection.alpha, vectors)
        return change


@torch.no_grad()
def slope(optimiser: torch.optim.Adam, weight: nn.Parameter) -> Tensor:
    """Return ∂Δ/∂g of the step Δ that Adam has just made with the gradient g of a weight, entry by entry.

    Δ = η m̂ / (√v̂ + ε), m̂ = (β₁ m + (1 − β₁) g) / (1 − β₁ᵗ), v̂ = (β₂ v + (1 − β₂) g²) / (1 − β₂ᵗ)
    (Kingma and Ba 2015, algorithm 1).
    """
    group, state = optimiser.param_groups[0], optimiser.state[weight]
    (first, second), count = group["betas"], state["step"].item()
    mean, root = state["exp_avg"] / (1 - first**count), (state["exp_avg_sq"] / (1 - second**count)).sqrt()
    below = root + group["eps"]
    own = (1 - first) / (1 - first**count) / below
    bend = (1 - second) / (1 - second**count) * weight.grad / root * mean / below**2
    return group["lr"] * (own - bend.nan_to_num())
