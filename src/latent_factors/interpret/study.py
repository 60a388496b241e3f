"""One recommender looked into: dictionaries of all its runs, what their units stand for, and what steering does."""

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from latent_factors import ranking
from latent_factors.fit import derive
from latent_factors.interpret.activations import Activations, Parts, Replayed, Scores, only
from latent_factors.interpret.concepts import Fondness, describe, phi, swapped
from latent_factors.interpret.controls import CONTROLS, components, dealt, lights
from latent_factors.interpret.itda import enter_at_most
from latent_factors.interpret.pursuit import pursue
from latent_factors.interpret.sae import SparseAutoencoders, train, unexplained
from latent_factors.interpret.steer import steering, towards
from latent_factors.sections import Interpret
from latent_factors.tasks.topk import TopKTask

ARMS = ("latent", "random direction", "difference of means")


@dataclass(frozen=True)
class Study:
    """What is looked into, and who judges.

    Attributes:
        name: TASK.MODEL, from which seeds are derived.
        task: with the test events of all users.
        runs: the activations of S runs.
        parts: how users are cut.
        settings: the section `interpret`.
        level: of confidence.
    """

    name: str
    task: TopKTask
    runs: list[Activations]
    parts: Parts
    settings: Interpret
    level: float

    @property
    def vectors(self) -> Tensor:
        """The users' vectors of all runs (S, U, K)."""
        return torch.stack([run.vectors for run in self.runs])

    def learned(self, runs: list[Activations], expansion: int, active: int) -> SparseAutoencoders:
        """Return the autoencoders (S) of some runs, with `expansion` times K latents.

        Where there are more vectors than the settings allow, some are drawn, the same for all runs.
        """
        pool = torch.stack([run.pool for run in runs])
        learn, held = (self._some(runs[0].owner, own) for own in (self.parts.dictionary, self.parts.description))
        seed = derive(f"{self.name}/sae/{expansion}/{active}")
        width = expansion * pool.shape[2]
        return train(pool[:, learn], pool[:, held], width, active, self.settings.autoencoder, seed)

    def _some(self, owner: Tensor, users: Tensor) -> Tensor:
        """Return the places of vectors of some users (m,), given whose each vector is (n,)."""
        places = torch.nonzero(torch.isin(owner, users))[:, 0]
        generator = torch.Generator().manual_seed(derive(f"{self.name}/vectors"))
        drawn = torch.randperm(len(places), generator=generator)[: self.settings.autoencoder.vectors]
        return places[drawn.sort().values.to(places.device)]

    @torch.no_grad()
    def reconstruction(self, sae: SparseAutoencoders) -> pd.DataFrame:
        """Return a row a run of what autoencoders make of vectors.

        `seen` and `unexplained` are the fraction of variance unexplained of the dictionary and of the judging part,
        `lit` the mean number of active latents (L0) there, `dead` the share of latents that no vector activates.
        """
        codes = sae.encode(self.vectors)
        judged, again = self.parts.judging, sae.decode(codes)
        learned = self.parts.dictionary
        return pd.DataFrame({
            "run": range(len(self.runs)),
            "seen": unexplained(self.vectors[:, learned], again[:, learned]).tolist(),
            "unexplained": unexplained(self.vectors[:, judged], again[:, judged]).tolist(),
            "lit": (codes[:, judged] > 0).sum(2).double().mean(1).tolist(),
            "dead": (codes == 0).all(1).double().mean(1).tolist(),
        })

    @torch.no_grad()
    def pursuits(
        self, coding: dict[int, SparseAutoencoders], pursued: dict[int, SparseAutoencoders]
    ) -> pd.DataFrame:
        """Return what dictionaries make of the judging part: a row a `dictionary`, run and `active`.

        `unexplained` is the fraction of variance left, `ndcg` that of recommendations from the reconstructions. Of two
        sets of autoencoders by k, those `coding` do so by their encoder (its `size` is the number of latents that
        anyone lights). All else is pursuit: over the directions of those `pursued`, and over as many others, which are
        ITDA's users, users drawn at random, or principal components, of which there are K at most.
        """
        task, rows = only(self.task, self.parts.judging), []
        for active, sae in pursued.items():
            codes = coding[active].encode(self.vectors)
            for run, own in enumerate(self.vectors):
                learn, judged = own[self.parts.dictionary], own[self.parts.judging]
                size, mean = sae.decoder.shape[1], learn.mean(0)
                seed = derive(f"{self.name}/pursuit/{run}")
                drawn = torch.randperm(len(learn), generator=torch.Generator().manual_seed(seed))[:size]
                entered = enter_at_most(learn - mean, size, active, self.settings.itda.batch)
                dictionaries = {
                    "SAE, pursuit": (sae.centre[run], sae.decoder[run]),
                    "ITDA": (mean, F.normalize(learn[entered] - mean, dim=1)),
                    "random users": (mean, F.normalize(learn[drawn.to(learn.device)] - mean, dim=1)),
                    "PCA": (mean, components(learn, 0, 0)[: learn.shape[1]]),
                }
                alive = (codes[run] > 0).any(0).sum().item()
                found = {"SAE, encoder": (alive, coding[active].decode(codes)[run, self.parts.judging])}
                for name, (centre, atoms) in dictionaries.items():
                    found[name] = len(atoms), centre + pursue(judged - centre, atoms, active)[1]
                for name, (size, again) in found.items():
                    missed, ndcg = unexplained(judged, again), _ndcg(task, again, self.runs[run].scores).mean()
                    rows.append({
                        "dictionary": name, "run": run, "active": active, "size": size, "unexplained": missed.item(),
                        "ndcg": ndcg.item(),
                    })
        return pd.DataFrame(rows)

    @torch.no_grad()
    def ndcg(self, vectors: Tensor) -> Tensor:
        """Return test ndcg at the first cutoff of the judging users (S, m), recommended to by `vectors` (S, U, K)."""
        task = only(self.task, self.parts.judging)
        return torch.stack([
            _ndcg(task, own[self.parts.judging], run.scores) for own, run in zip(vectors, self.runs, strict=True)
        ])

    @torch.no_grad()
    def units(
        self, sae: SparseAutoencoders, bare: SparseAutoencoders, untrained: Tensor, fondness: Fondness
    ) -> pd.DataFrame:
        """Return what the units of every dictionary stand for: a row a `dictionary`, `run` and `unit`, by `describe`.

        `bare` are autoencoders of the vectors (S, U, K) of models that were built and never trained.
        """
        tables = []
        for run, own in enumerate(self.vectors):
            lit = {"SAE": (sae.encode(self.vectors) > 0)[run], "SAE, untrained": (bare.encode(untrained) > 0)[run]}
            learn = own[self.parts.dictionary]
            counts, seed = lit["SAE"][self.parts.dictionary].sum(0), derive(f"{self.name}/controls/{run}") % 2**32
            for name, find in CONTROLS.items():
                directions = find(learn, len(counts), seed)
                lit[name] = lights(learn, directions, dealt(counts, len(directions), seed))(own)
            tables += [
                describe(own_lit, fondness, self.parts, self.level).assign(dictionary=name, run=run)
                for name, own_lit in lit.items()
            ]
        return pd.concat(tables, ignore_index=True)

    @torch.no_grad()
    def swaps(self, sae: SparseAutoencoders, fondness: Fondness) -> pd.DataFrame:
        """Return how many `concepts` the autoencoder of each `run` has when users swap what they are fond of."""
        lit = sae.encode(self.vectors) > 0
        return pd.DataFrame([
            {
                "run": run, "draw": draw,
                "concepts": describe(own, swapped(fondness, self.parts, draw), self.parts, self.level)["concept"].sum(),
            }
            for run, own in enumerate(lit) for draw in range(self.settings.concepts.draws)
        ])

    @torch.no_grad()
    def steered(self, sae: SparseAutoencoders, units: pd.DataFrame, fondness: Fondness) -> dict[str, Tensor]:
        """Return what steering does to the judging users, for the latents that are described best.

        `raised` (S, latents, arms, strengths, 3, m): strength times the latent's mean activation is added to everyone,
        along each of ARMS. `silenced` (S, latents, 2, 3, m): the latent's own activation is taken away, along the
        latent or a random direction; NaN for users whom it is not active for. Effects are those of `steering`.
        """
        task, judged, learned = only(self.task, self.parts.judging), self.parts.judging, self.parts.dictionary
        strengths, codes = self.settings.steering.strengths, sae.encode(self.vectors)
        chosen = best(units, self.settings.steering.latents)
        raised, silenced = [], []
        for run, own in enumerate(self.runs):
            steer = steering(task, own, judged)
            generator = torch.Generator(own.vectors.device).manual_seed(derive(f"{self.name}/steering/{run}"))
            for _, row in chosen[chosen["run"] == run].iterrows():
                has, latent = fondness.has[:, row["number"]], sae.decoder[run, row["unit"]]
                drawn = F.normalize(torch.randn(latent.shape, generator=generator, device=latent.device), dim=0)
                arms = (latent, drawn, towards(own.vectors[learned], fondness.fond[learned, row["number"]]))
                z = codes[run, :, row["unit"]]
                mean = z[learned].sum() / (z[learned] > 0).sum().clamp(min=1)
                raised.append(torch.stack([
                    torch.stack([steer(strength * mean * arm, has) for strength in strengths]) for arm in arms
                ]))
                without = torch.stack([steer(-z[judged, None] * arm, has) for arm in arms[:2]])
                silenced.append(without.masked_fill(z[judged] == 0, torch.nan))
        found = {"raised": torch.stack(raised), "silenced": torch.stack(silenced)}
        return {name: own.unflatten(0, (len(self.runs), -1)) for name, own in found.items()}


def _ndcg(task: TopKTask, vectors: Tensor, scores: Scores) -> Tensor:
    """Return test ndcg at the first cutoff of the task's users (m,), recommended to by their `vectors` (m, K)."""
    k = task.cutoffs[0]
    return ranking.ndcg(task.recommend(Replayed(vectors, scores), "test", k)[1], task.relevant("test"), k)


@torch.no_grad()
def films(
    sae: SparseAutoencoders, runs: list[Activations], units: pd.DataFrame, taken: Tensor, shown: Tensor, number: int
) -> pd.DataFrame:
    """Return the `number` items that say most of a latent, in two ways: a row a `run`, `unit` and `place`.

    `lights`: the items whose takers, by `taken` (U, I), bool, are most like those who light the latent, by φ. `raises`:
    those whose scores grow most along its direction. Only items that are `shown` (I,), bool, take part.
    """
    number, columns = min(number, int(shown.sum())), ["run", "unit", "place", "lights", "raises"]
    tables, lit = [], sae.encode(torch.stack([run.vectors for run in runs])) > 0
    for run, own in units.groupby("run", sort=False)["unit"]:
        chosen, scores = own.tolist(), runs[run].scores
        directions = sae.decoder[run, chosen]
        along = scores(directions) - scores(torch.zeros_like(directions))
        found = [
            of.masked_fill(~shown, -torch.inf).topk(number).indices.flatten().tolist()
            for of in (phi(lit[run][:, chosen], taken), along)
        ]
        places = [(run, unit, place) for unit in chosen for place in range(1, number + 1)]
        tables.append(pd.DataFrame([(*at, *items) for at, *items in zip(places, *found, strict=True)], columns=columns))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns, dtype=int)


def best(units: pd.DataFrame, latents: int) -> pd.DataFrame:
    """Return the latents of each run that its autoencoder describes best on the description part: the same number each.

    That is `latents`, or as many as every run has that have a trait.
    """
    own = units[(units["dictionary"] == "SAE") & (units["number"] >= 0)]
    number = min(latents, own.groupby("run").size().reindex(units["run"].unique(), fill_value=0).min())
    return own.sort_values(["run", "found"], ascending=[True, False], kind="stable").groupby("run").head(number)
