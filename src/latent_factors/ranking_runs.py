"""The runs of a study of rankings, kept one by one: a study that was cut off goes on, and can be given more models."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latent_factors import kept
from latent_factors.fit import derive_seeds, fit_run
from latent_factors.models import build
from latent_factors.processes import spread
from latent_factors.sections import Compute, RankingStudy, Section, Seeds
from latent_factors.tasks import topk


@dataclass(frozen=True)
class Outcome:
    """One model under one seed.

    Attributes:
        hits: (U, k) which places of users' test lists are hits.
        validation: ndcg at the first cutoff.
        device: what trained it.
    """

    hits: Tensor
    validation: float
    device: str

    def write(self, path: Path) -> None:
        """Write this to a file, eight places a byte."""
        kept.write(
            path, hits=np.packbits(self.hits.numpy(), 1), places=self.hits.shape[1], validation=self.validation,
            device=self.device,
        )

    @classmethod
    def read(cls, path: Path) -> "Outcome":
        """Return what a file holds."""
        with np.load(path, allow_pickle=False) as held:
            hits = np.unpackbits(held["hits"], 1, count=int(held["places"])).astype(bool)
            return cls(torch.from_numpy(hits), float(held["validation"]), str(held["device"]))


class Runs:
    """Trains a study's models under their seeds; every run is kept in a folder as soon as it is trained.

    One that is there already, of the same settings and the same data, is not trained again.
    """

    def __init__(self, study: RankingStudy, task: topk.TopKTask, seeds: Seeds, compute: Compute, folder: Path):
        self.study, self.task, self.seeds, self.compute, self.folder = study, task, seeds, compute, folder

    def numbers(self, model: str, point: Section) -> list[int]:
        """Number the runs of a model: a seed each, one where it has no chance."""
        runs = self.study.repeated.get(model, self.seeds.count)
        return list(range(min(runs, self.seeds.count) if point.random else 1))

    def train(self, model: str, point: Section, numbers: list[int] | None = None) -> list[Outcome]:
        """Return the outcome of a model under some seeds, by their numbers, by default under all that it has."""
        numbers = self.numbers(model, point) if numbers is None else numbers
        missing = [number for number in numbers if not self.path(model, point, number).is_file()]
        if missing:
            self.folder.mkdir(parents=True, exist_ok=True)
            spread(functools.partial(self._keep, model, point), missing, self.compute)
        return [Outcome.read(self.path(model, point, number)) for number in numbers]

    def kept(self, model: str, point: Section) -> list[Outcome]:
        """Return the outcomes of a model that are there, in the order of seeds."""
        paths = [self.path(model, point, number) for number in self.numbers(model, point)]
        return [Outcome.read(path) for path in paths if path.is_file()]

    def path(self, model: str, point: Section, number: int) -> Path:
        """Return the file of a run: its name tells the settings and the data apart."""
        made_of = {
            "data": self.study.data.model_dump(), "protocol": self.study.protocol.model_dump(),
            "settings": point.model_dump(), "seed": self._seed(model, number), "events": self.task.size,
        }
        return self.folder / kept.name(self.study.dataset, model, number, made_of)

    def _keep(self, model: str, point: Section, number: int) -> None:
        name = f"{self.study.task}.{model}"
        make = functools.partial(build, model, point, self.task.inputs)
        trained, score, _ = fit_run(f"{name}  run {number + 1}", make, self.task, point, self._seed(model, number))
        hits = self.task.outputs(trained, "test")["hits"].cpu()
        device = torch.cuda.get_device_name() if self.task.ids.is_cuda else "cpu"
        Outcome(hits, score, device).write(self.path(model, point, number))

    def _seed(self, model: str, number: int) -> int:
        seeds = self.seeds.model_copy(update={"count": number + 1})
        return derive_seeds(seeds, f"{self.study.task}.{model}")[number]
