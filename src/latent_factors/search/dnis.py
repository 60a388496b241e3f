"""Differentiable neural input search (Cheng, Shen and Huang 2020): which dimensions a block of features needs.

α scales the dimensions of each block's vectors. It minimises the loss on held-out rows, while the weights minimise that
on training rows; a batch of each takes its turn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latent_factors import optimiser
from latent_factors.embedding import SoftSelection, add_gradients
from latent_factors.fit import Adam, derive, endless, train
from latent_factors.search.warm import Warm
from latent_factors.sections import DNIS

SMALL = 1e-8  # keeps a block without gradient from a division by zero


@dataclass(frozen=True)
class Found:
    """What a search leaves.

    Attributes:
        model: with the weights and α of its best validation epoch, or of its last.
        selection: its embedding.
        mean: the mean target that it knows.
        path: (E + 1, L, K), α before the search and after each epoch up to that one.
        history: a row an epoch of the search.
    """

    model: nn.Module
    selection: SoftSelection
    mean: float
    path: Tensor
    history: list[dict]


def search(warm: Warm, block: Tensor, settings: DNIS) -> Found:
    """Let α, at first 1, and the weights of a copy of a trained model move in turn.

    The rows that were kept from the model train α and do nothing else; the validation part picks the epoch.
    """
    bilevel = Bilevel(warm, block, settings)
    task = bilevel.task
    best, history = train(f"{bilevel.name}  search", bilevel, task, settings.epochs, settings.patience)
    kept = len(history)
    if settings.keep == "last":
        bilevel.model.load_state_dict(bilevel.last)
    else:
        kept = [row["validation"] for row in history].index(best) + 1
    return Found(bilevel.model, bilevel.selection, task.inputs.mean, torch.stack(bilevel.path[: kept + 1]), history)


class Bilevel(Adam):
    """A step of the weights on training rows, then one of α on held-out rows."""

    def __init__(self, warm: Warm, block: Tensor, settings: DNIS):
        """Go on from where `warm` is; its Adam keeps its memory, so the first step is no larger than the last."""
        start, seed = warm.trainer, warm.seed
        model, memory = warm.copy(block)
        super().__init__(start.name, model, start.task, start.settings, derive(f"{seed}/search"))
        self.selection, self.held, self.search = model.embedding, warm.held, settings
        self.path = [self.selection.alpha.detach().clone()]
        self.held_batches = endless(warm.held, model, derive(f"{seed}/held"), self.settings.batch_size)
        tables = {id(table) for table, _ in self.penalties}
        self.weights = [
            parameter for parameter in model.parameters()
            if parameter is not self.selection.alpha and (id(parameter) in tables or not settings.freeze)
        ]
        self.optimiser = optimiser.Adam(self.weights, self.settings.learning_rate)
        self.optimiser.memory.update({weight: memory[weight] for weight in self.weights})

    def epoch(self, epoch: int) -> float:
        """Pass once over the training rows, α moving at every step; return the mean training loss."""
        loss = super().epoch(epoch)
        self.path.append(self.selection.alpha.detach().clone())
        self.last = {key: value.clone() for key, value in self.model.state_dict().items()}
        return loss

    def step(self, *batch: Tensor) -> Tensor:
        """Move the weights by a training batch and α by a held-out one; return the training loss ()."""
        second = self.search.order == "second"
        loss = self.task.loss(self.model, *batch)
        pulls = torch.autograd.grad(loss, self.weights, create_graph=second)
        for weight, pull in zip(self.weights, pulls, strict=True):
            weight.grad = pull.detach().clone() if second else pull  # the penalty is added to a copy: `pulls` go on
        add_gradients(self.penalties)
        before = [weight.detach().clone() for weight in self.weights] if second else []
        self.optimiser.step()
        self._move(pulls if second else None, before)
        return loss

    def _move(self, pulls: tuple[Tensor, ...] | None, before: list[Tensor]) -> None:
        """Move α against its gradient and back into [0, 1].

        Second order needs the weights' gradients, `pulls`, and the weights `before` the step.
        """
        alpha = self.selection.alpha
        loss = self.held.loss(self.model, *next(self.held_batches))
        if pulls is None:
            (gradient,) = torch.autograd.grad(loss, alpha)
        else:
            gradient, *outer = torch.autograd.grad(loss, [alpha, *self.weights])
            gradient = gradient - self._through_the_step(pulls, outer, before)
        gradient = gradient + self.search.l1
        if self.search.normalise != "none":
            each = (1,) if self.search.normalise == "blocks" else (0, 1)
            gradient = gradient / (gradient.abs().mean(each, keepdim=True) + SMALL)
        with torch.no_grad():
            alpha.sub_(self.search.alpha_rate * gradient).clamp_(0, 1)

    def _through_the_step(
        self, pulls: tuple[Tensor, ...], outer: list[Tensor], before: list[Tensor]
    ) -> Tensor:
        """Return (∂g/∂α)ᵀ (∂Δ/∂g)ᵀ ∂L/∂w (L, K): how α moves the held-out loss L by the step w − Δ(g(α)) just made.

        Adam's step Δ works on each weight for itself, so ∂Δ/∂g is a vector, and the rest one product of a Hessian with
        a vector, exact. The Hessian is that at the weights before the step: they come back while it is formed, by way
        of `data`, as autograd refuses weights that it sees change.
        """
        vectors = [slope(self.optimiser, weight) * pull for weight, pull in zip(self.weights, outer, strict=True)]
        after = [weight.detach().clone() for weight in self.weights]
        for weight, values in zip(self.weights, before, strict=True):
            weight.data.copy_(values)
        (change,) = torch.autograd.grad(pulls, self.selection.alpha, vectors)
        for weight, values in zip(self.weights, after, strict=True):
            weight.data.copy_(values)
        return change


@torch.no_grad()
def slope(adam: optimiser.Adam, weight: nn.Parameter) -> Tensor:
    """Return ∂Δ/∂g of the step Δ that Adam has just made with the gradient g of a weight, entry by entry.

    Δ = η m̂ / (√v̂ + ε), m̂ = (β₁ m + (1 − β₁) g) / (1 − β₁ᵗ), v̂ = (β₂ v + (1 − β₂) g²) / (1 − β₂ᵗ)
    (Kingma and Ba 2015, algorithm 1).
    """
    (first, second), own = adam.betas, adam.memory[weight]
    count = own.step.item()
    mean, root = own.mean / (1 - first**count), (own.square / (1 - second**count)).sqrt()
    below = root + adam.eps
    straight = (1 - first) / (1 - first**count) / below
    bend = (1 - second) / (1 - second**count) * weight.grad / root * mean / below**2
    return adam.rate * (straight - bend.nan_to_num())
