"""What searches begin with: a model trained at full width, and rows that it has not seen."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latent_factors.embedding import SoftSelection
from latent_factors.fit import Adam, Task, derive, train
from latent_factors.optimiser import Memory
from latent_factors.sections import Section


@dataclass(frozen=True)
class Warm:
    """A trained model from which any number of searches can begin.

    Attributes:
        trainer: of the model, at its best validation epoch.
        held: the task of the rows kept from it.
        history: a row an epoch.
        seed: of the run.
    """

    trainer: Adam
    held: Task
    history: list[dict]
    seed: int

    def copy(self, block: Tensor) -> tuple[nn.Module, dict[nn.Parameter, Memory]]:
        """Return a copy of the model, its table behind a soft selection, and Adam's memory of each weight."""
        model = copy.deepcopy(self.trainer.model)
        memory = self.trainer.optimiser.memory
        pairs = zip(model.parameters(), self.trainer.model.parameters(), strict=True)
        remembered = {weight: memory[old].clone() for weight, old in pairs}
        model.embedding = SoftSelection(model.embedding, block).to(block.device)
        return model, remembered


def warm_start(
    name: str, build: Callable[..., nn.Module], task: Task, point: Section, share: float, seed: int
) -> Warm:
    """Train a model at full width to the end of its patience, on all but a share of the rows.

    `build(inputs)` makes the untrained model.
    """
    rest, held = task.carve(share, derive(f"{seed}/carve"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(rest.inputs).to(task.frequency.device)
    trainer = Adam(name, model, rest, point, seed)
    _, history = train(f"{name}  warm start", trainer, rest, point.epochs, point.patience)
    return Warm(trainer, held, history, seed)
