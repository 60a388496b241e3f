"""Neural input search (Joglekar et al. 2020): a controller learns by trial which dimensions blocks of features get.

The paper's controller picks, for each feature, blocks of a grid of vocabulary by dimension; here the vocabulary is cut
into blocks of features by frequency. Single-size gives the first blocks one dimension, and none to those cut off;
multi-size gives each block its own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_factors import optimiser
from latent_factors.fit import Adam, derive, endless, train
from latent_factors.search.dims import first_columns
from latent_factors.search.warm import Warm
from latent_factors.sections import NIS

MEMORY = 0.95  # of the mean reward that a trial's is held against


@dataclass(frozen=True)
class Chosen:
    """What a search leaves.

    Attributes:
        dims: (L,) the most likely dimension of each block.
        history: a row an epoch of the search.
    """

    dims: list[int]
    history: list[dict]


def search(warm: Warm, block: Tensor, settings: NIS, multi: bool, target: float) -> Chosen:
    """Let a controller and the weights of a copy of a trained model learn in turn, for `settings.epochs`.

    The rows that were kept from the model reward the controller and do nothing else. `multi` gives each block its own
    dimension; `target` is the share of the table that costs nothing.
    """
    controller = Controller(warm, block, settings, multi, target)
    _, history = train(f"{controller.name}  NIS", controller, controller.task, settings.epochs, settings.epochs)
    return Chosen(controller.likely().tolist(), history)


class Controller(Adam):
    """A step of the weights under dimensions drawn by chance, then one of the chances by what that draw is worth.

    The reward of a draw is minus its held-out loss and minus `cost` times what its share of the table exceeds the
    target by, relative to it; the chances follow its policy gradient (Williams 1992), held against the mean reward so
    far.
    """

    def __init__(self, warm: Warm, block: Tensor, settings: NIS, multi: bool, target: float):
        start, seed = warm.trainer, warm.seed
        model, memory = warm.copy(block)
        model.embedding.alpha.requires_grad_(False)
        super().__init__(start.name, model, start.task, start.settings, derive(f"{seed}/search"))
        self.optimiser.memory.update(memory)
        self.selection, self.held, self.multi = model.embedding, warm.held, multi
        self.cost, self.target = settings.cost, target
        selection, dim = self.selection, self.settings.dim
        blocks = len(selection.alpha)
        self.options = _options(blocks, dim, multi).to(selection.alpha.device)
        choices = blocks if multi else 1
        self.logits = torch.zeros(choices, len(self.options), device=selection.alpha.device, requires_grad=True)
        self.policy = optimiser.Adam([self.logits], settings.controller_rate)
        self.shares = torch.bincount(selection.block, minlength=blocks) / len(selection.block)
        self.draws = torch.Generator(selection.alpha.device).manual_seed(derive(f"{seed}/draws"))
        self.held_batches = endless(warm.held, model, derive(f"{seed}/held"), self.settings.batch_size)
        self.expected: float | None = None

    def epoch(self, epoch: int) -> float:
        """Pass once over the training rows, and leave the most likely dimensions in place; return the mean loss."""
        loss = super().epoch(epoch)
        self._gate(self.likely())
        return loss

    def likely(self) -> Tensor:
        """Return the most likely dimension of each block (L,)."""
        return self._dims(self.logits.argmax(1))

    def step(self, *batch: Tensor) -> Tensor:
        """Draw dimensions, move the weights by a training batch, and the chances by a held-out one."""
        chances = self.logits.log_softmax(1)
        drawn = torch.multinomial(chances.detach().exp(), 1, generator=self.draws)
        share = self._gate(self._dims(drawn[:, 0]))
        loss = super().step(*batch)
        with torch.no_grad():
            excess = max(0.0, share / self.target - 1)
            reward = -self.held.loss(self.model, *next(self.held_batches)).item() - self.cost * excess
        self.expected = reward if self.expected is None else MEMORY * self.expected + (1 - MEMORY) * reward
        self.policy.zero_grad()
        ((self.expected - reward) * chances.gather(1, drawn).sum()).backward()
        self.policy.step()
        return loss

    def _dims(self, chosen: Tensor) -> Tensor:
        """Return the dimension of each block (L,) for chosen options."""
        return self.options[chosen, 0] if self.multi else self.options[chosen[0]]

    def _gate(self, dims: Tensor) -> float:
        """Let each block have its first dimensions only; return the share of the table that is left."""
        alpha, dim = self.selection.alpha, self.settings.dim
        alpha.copy_(first_columns(dims, dim, alpha.shape[1]))
        return ((self.shares * dims).sum() / dim).item()


def _options(blocks: int, dim: int, multi: bool) -> Tensor:
    """Return what can be chosen: for multi-size the dimensions of a block (C, 1), else those of all blocks (C, L)."""
    dims = [2**power for power in range(dim.bit_length())]
    if multi:
        return torch.tensor([[dim] for dim in [0, *dims]])
    return torch.tensor([[dim] * kept + [0] * (blocks - kept) for dim in dims for kept in range(1, blocks + 1)])
