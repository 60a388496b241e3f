"""Sparse autoencoders, pursuit, concepts and steering, on cases whose answer is known."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from conftest import write_films
from latent_factors import ranking
from latent_factors.data.histories import Histories
from latent_factors.data.items import Items
from latent_factors.errors import UserError
from latent_factors.fit import fit
from latent_factors.interpret.activations import Activations, Parts, Replayed, before_test, cut, only, taken
from latent_factors.interpret.concepts import Fondness, describe, phi, swapped
from latent_factors.interpret.controls import CONTROLS, dealt, lights
from latent_factors.interpret.itda import enter, enter_at_most
from latent_factors.interpret.pursuit import pursue
from latent_factors.interpret.sae import SparseAutoencoders, top, train, unexplained
from latent_factors.interpret.similarity import jaccard, linear_cka
from latent_factors.interpret.steer import steering, towards
from latent_factors.interpret.study import Study, best, films
from latent_factors.interpret.trained import look_into
from latent_factors.interpret.traits import fond, traits
from latent_factors.models import build
from latent_factors.optimiser import Adam
from latent_factors.runs import save_run
from latent_factors.sections import BPR, Autoencoder, Parting, Popular
from latent_factors.settings import load_settings
from latent_factors.tasks import prepare, topk

AUTOENCODER = {
    "expansion": 2, "active": 2, "expansions": [], "actives": [], "learning_rate": 0.01, "auxiliary": 0.1,
    "batches": 8, "reconstructing": {"learning_rate": 0.02, "auxiliary": 0.0, "batches": 4}, "vectors": 1000,
    "epochs": 60, "patience": 60,
}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def autoencoder(runs: int, width: int, dim: int, active: int) -> SparseAutoencoders:
    torch.manual_seed(0)
    return SparseAutoencoders(torch.zeros(runs, dim), width, active)


def sparse(number: int, atoms: torch.Tensor, active: int, seed: int) -> torch.Tensor:
    """Vectors that are sums of `active` atoms each, with weights from 1 to 2."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(number, len(atoms), generator=generator).topk(active).indices
    weights = 1 + torch.rand(number, active, generator=generator)
    return torch.zeros(number, len(atoms)).scatter(1, chosen, weights) @ atoms


def test_an_autoencoder_by_hand():
    sae = autoencoder(1, 3, 2, 1)
    with torch.no_grad():
        sae.encoder.copy_(torch.tensor([[[1.0, 0], [0, 1], [-1, 0]]]))
        sae.decoder.copy_(sae.encoder)
        sae.centre.copy_(torch.tensor([[1.0, 1.0]]))
        sae.threshold[0, 1] = 0.5
    x = torch.tensor([[[4.0, 2.0], [1.0, 3.0], [-1.0, 0.0]]])
    assert sae.hidden(x)[0].tolist() == [[3, 1.5, 0], [0, 2.5, 0], [0, 0, 2]]
    assert sae.encode(x)[0].tolist() == [[3, 0, 0], [0, 2.5, 0], [0, 0, 2]]
    assert sae(x)[0].tolist() == [[4, 1], [1, 3.5], [-1, 1]]
    none = torch.zeros(1, 3, dtype=torch.bool)
    loss, fired = sae.loss(x, torch.tensor([2.0]), none, 0.0)
    assert loss.tolist() == pytest.approx([(1 + 0.25 + 1) / 3 / 2])
    assert fired.tolist() == [[True, True, True]]


def test_the_second_loss_is_of_what_is_missing():
    """With the residual's usual sign, the dead latent that points to what is missing makes the loss smaller."""
    sae = autoencoder(1, 3, 2, 1)
    with torch.no_grad():
        sae.encoder.copy_(torch.tensor([[[1.0, 0], [0, 1], [0, -1]]]))
        sae.decoder.copy_(sae.encoder)
    x, one = torch.tensor([[[3.0, 1.0]]]), torch.ones(1)
    losses = [
        sae.loss(x, one, torch.tensor([dead]), 1.0)[0].item()
        for dead in ([False, True, False], [False, False, True], [False, False, False])
    ]
    assert losses == [1 + 0, 1 + 1, 1]


def test_gradients_of_the_loss():
    """Of every weight, against differences; the target of the second loss is held, so it stands apart."""
    sae = autoencoder(2, 5, 3, 2).double()
    x, none = drawn(2, 7, 3).double(), torch.zeros(2, 5, dtype=torch.bool)

    def loss() -> torch.Tensor:
        return sae.loss(x, torch.tensor([1.0, 2.0]), none, 1.0)[0].sum()

    loss().backward()
    for number, weight in enumerate(sae.parameters()):
        way = drawn(*weight.shape, seed=number).double()
        with torch.no_grad():
            weight.add_(way, alpha=1e-6)
            ahead = loss()
            weight.add_(way, alpha=-2e-6)
            behind = loss()
            weight.add_(way, alpha=1e-6)
        assert (weight.grad * way).sum().item() == pytest.approx(((ahead - behind) / 2e-6).item(), rel=1e-5)


def test_autoencoders_find_planted_features_and_runs_do_not_meddle():
    atoms = F.normalize(drawn(2, 12, 12), dim=2)
    x = torch.stack([sparse(600, own, 2, seed) for seed, own in enumerate(atoms)])
    settings = Autoencoder(**AUTOENCODER)
    sae = train(x[:, :500], x[:, 500:], 24, 2, settings, seed=3)
    found = sae.decoder @ atoms.mT  # (S, h, atoms)
    assert (found.amax(1) > 0.9).float().mean() > 0.9
    assert unexplained(x[:, 500:], sae(x[:, 500:])).max() < 0.1
    assert sae.decoder.norm(dim=2).detach() == pytest.approx(torch.ones(2, 24), abs=1e-5)
    again = train(x[:, :500], x[:, 500:], 24, 2, settings, seed=3)
    assert all(torch.equal(one, other) for one, other in zip(sae.parameters(), again.parameters(), strict=True))


def test_dead_latents_are_revived():
    """Latents that start shorter than all others are never active, unless the second loss makes them so."""
    atoms = F.normalize(drawn(16, 8), dim=1)
    x = sparse(400, atoms, 2, 0)[None]
    shares = []
    for weight in (0.0, 1.0):
        sae = autoencoder(1, 16, 8, 2)
        with torch.no_grad():
            sae.encoder[:, 8:] *= 0.01
        optimiser = Adam(sae.parameters(), 0.01)
        dead = torch.zeros(1, 16, dtype=torch.bool)
        for _ in range(150):
            loss, fired = sae.loss(x, torch.ones(1), dead, weight)
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
            sae.project()
            dead = ~fired
        shares.append((sae.encode(x)[0, :, 8:] > 0).any(0).float().mean().item())
    assert shares[1] > shares[0] + 0.3


def test_unexplained_by_hand():
    x = torch.tensor([[0.0, 0], [2, 0]])
    assert unexplained(x, x.mean(0).expand(2, 2)).item() == 1
    assert unexplained(x, torch.tensor([[0.0, 1], [2, 0]])).item() == 0.5
    assert top(torch.tensor([[1.0, 3, 2]]), 2).tolist() == [[0, 3, 2]]


def test_pursuit_by_hand_and_to_the_end():
    atoms = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.6, 0.8, 0]])
    chosen, again = pursue(torch.tensor([[3.0, 4.0, 5.0], [0, 2, 0]]), atoms, 2)
    assert chosen[:, 0].tolist() == [2, 1]
    assert again == pytest.approx(torch.tensor([[3.0, 4, 0], [0, 2, 0]]), abs=1e-5)
    x, many = drawn(20, 6, seed=1), F.normalize(drawn(30, 6, seed=2), dim=1)
    errors = [(x - pursue(x, many, active)[1]).square().sum().item() for active in range(7)]
    assert errors[0] == pytest.approx(x.square().sum().item())
    assert all(later < earlier for earlier, later in itertools.pairwise(errors))
    assert errors[6] == pytest.approx(0, abs=1e-6)
    for row, numbers in enumerate(pursue(x, many, 3)[0]):  # least squares on the atoms chosen, as lstsq has it
        basis = many[numbers].T
        own = basis @ torch.linalg.lstsq(basis, x[row, :, None]).solution[:, 0]
        assert pursue(x, many, 3)[1][row] == pytest.approx(own, abs=1e-5)
    assert pursue(x, many[:0], 3)[1].abs().sum() == 0


def test_itda_takes_what_it_cannot_reconstruct_and_nothing_else():
    basis = torch.eye(6)
    x = torch.cat([basis[:3], 2 * basis[:3], basis[:2].sum(0, keepdim=True), basis[3:4]])
    assert enter(x, 1, 0.1, 1).tolist() == [True] * 3 + [False] * 3 + [True, True]
    assert enter(x, 2, 0.1, 1).tolist() == [True] * 3 + [False] * 4 + [True]
    many = drawn(200, 6, seed=3)
    for size in (3, 20, 60):
        assert size // 2 < enter_at_most(many, size, 2, 4).sum() <= size


def test_similarities_and_rotations():
    """A rotated model lets the same users enter and has the same CKA; another model does not."""
    x, turn = drawn(120, 8), torch.linalg.qr(drawn(8, 8, seed=1)).Q
    other = drawn(120, 8, seed=2)
    entered = [enter_at_most(own, 30, 3, 4) for own in (x, x, 3 * x @ turn, other)]
    assert [jaccard(entered[0], own).item() for own in entered[:3]] == [1, 1, 1]
    assert jaccard(entered[0], entered[3]) < 0.5
    assert linear_cka(x, 3 * x @ turn + 7).item() == pytest.approx(1)
    assert linear_cka(x, other) < 0.3
    stretched = x * torch.tensor([9.0, 1, 1, 1, 1, 1, 1, 1])
    assert jaccard(entered[0], enter_at_most(stretched, 30, 3, 4)) < 1
    one, two = torch.tensor([True, True, False]), torch.tensor([False, True, True])
    assert jaccard(one, two).item() == pytest.approx(1 / 3)
    assert jaccard(one & ~one, one & ~one).item() == 1


ITEMS = Items(
    title=pd.Series(["The Star", "Star Wars", "A Day", "Star"]),
    genres=pd.DataFrame({"Drama": [True, False, True, True], "War": [False, True, False, False]}),
    year=pd.Series([1991, 1977, np.nan, 1999.0]),
)


def test_traits_by_hand():
    found = traits(ITEMS, 2)
    assert found.names == ["genre Drama", "decade 1990s", "title word star"]
    assert found.has.int().T.tolist() == [[1, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 1]]
    unknown = Items(
        title=pd.concat([ITEMS.title, pd.Series(["1682"])]),
        genres=pd.concat([ITEMS.genres, pd.DataFrame({"Drama": [False], "War": [False]})]),
        year=pd.concat([ITEMS.year, pd.Series([np.nan])]),
    )
    more = traits(unknown, 2)
    assert more.names == found.names
    assert torch.equal(more.has[:4], found.has)
    assert not more.has[4].any()


def test_fondness_is_beyond_what_chance_gives():
    users, items = zip(*[(0, item) for item in range(5)], *[(1, item) for item in range(10)], (2, 0), strict=False)
    history = Histories.of(torch.tensor(users), torch.tensor(items), 3, 10)
    has = torch.zeros(10, 2, dtype=torch.bool)
    has[:5, 0] = True  # 11 of the 16 events
    has[0, 1] = True  # 3 of them
    share = torch.tensor([11 / 16, 3 / 16])
    z = (torch.tensor([[5, 1], [5, 1], [1, 1]]) - torch.tensor([[5], [10], [1]]) * share) / (
        torch.tensor([[5], [10], [1]]) * share * (1 - share)
    ).sqrt()
    for deviations in (0.5, 1.0, 1.5, 2.0):
        assert torch.equal(fond(history, torch.arange(3), has, deviations), z > deviations)


def test_phi_is_a_correlation():
    lit, taste = drawn(50, 4) > 0, drawn(50, 3, seed=1) > 0.5
    expected = np.corrcoef(lit.T.numpy().astype(float), taste.T.numpy().astype(float))[:4, 4:]
    assert phi(lit, taste).numpy() == pytest.approx(expected)
    assert phi(lit & ~lit, taste).abs().sum() == 0


def test_a_planted_concept_is_found_and_judged_on_other_users():
    generator = torch.Generator().manual_seed(0)
    taste = torch.rand(200, 5, generator=generator) < 0.3
    lit = torch.stack([taste[:, 2], torch.rand(200, generator=generator) < 0.3, torch.zeros(200).bool()], 1)
    parts = Parts(torch.arange(0), torch.arange(100), torch.arange(100, 200))
    fondness = Fondness(list("abcde"), torch.zeros(1, 5).bool(), taste)
    table = describe(lit, fondness, parts, 0.95)
    assert table["trait"].tolist()[::2] == ["c", ""]
    assert table["concept"].tolist() == [True, False, False]
    first = table.iloc[0]
    assert (first["precision"], first["recall"], first["phi"]) == pytest.approx((1, 1, 1))
    assert first["lit"] == taste[100:, 2].sum()
    only_described = lit.clone()
    only_described[100:] = only_described[100:].roll(7, 0)
    assert not describe(only_described, fondness, parts, 0.95)["concept"].any()
    assert not describe(lit, swapped(fondness, parts, 1), parts, 0.95)["concept"].any()
    kept = Fondness.of(dataclasses.replace(traits(ITEMS, 1), names=list("abcde"), has=torch.zeros(4, 5).bool()),
                       taste.index_fill(1, torch.tensor([1]), False), parts.description, 0.05)
    assert kept.names == list("acde")
    with pytest.raises(UserError, match="no genre, decade or title word has enough users that are fond of it"):
        Fondness.of(traits(ITEMS, 2), torch.zeros(200, 3).bool(), parts.description, 0.05)


def test_controls_are_lit_as_often_as_latents():
    x = drawn(60, 5) @ torch.diag(torch.tensor([5.0, 4, 3, 2, 1]))
    counts = torch.tensor([0, 3, 10, 1, 7, 2, 60, 5, 4, 6])
    for name, find in CONTROLS.items():
        directions = find(x, 10, 0)
        assert directions.shape == (10, 5), name
        assert lights(x, directions, counts)(x).sum(0).tolist() == counts.tolist()
    assert CONTROLS["PCA"](x, 10, 0)[0].abs().argmax() == 0
    assert sorted(dealt(counts, 10, 1).tolist()) == sorted(counts.tolist())
    assert len(dealt(counts, 23, 1)) == 23


@pytest.fixture
def task(project):
    write_films(project)
    settings = load_settings()
    return topk.prepare("made", settings.data, settings.ranking, torch.device("cpu"))


def model(task):
    torch.manual_seed(1)
    settings = BPR(dim=4, learning_rate=0.1, l2=0.0, l2_power=0.0, batch_size=64, epochs=1, patience=1)
    return build("bpr", settings, task.inputs)


def test_vectors_put_back_give_the_same_recommendations(task):
    own = model(task)
    activations = Activations.of(own, task)
    assert (activations.vectors - activations.vectors.mean(0)).square().sum(1).mean().item() == pytest.approx(1)
    items, hits = task.recommend(own, "test", 5)
    replayed = task.recommend(Replayed(activations.vectors, activations.scores), "test", 5)
    assert torch.equal(items, replayed[0])
    assert torch.equal(hits, replayed[1])
    some = torch.tensor([3, 8, 11])
    few = only(task, some)
    again = few.recommend(Replayed(activations.vectors[some], activations.scores), "test", 5)
    assert torch.equal(again[0], items[some])
    assert few.relevant("test").tolist() == task.relevant("test")[some].tolist()
    rows = taken(task).mask(task.persons["test"])
    assert rows.sum() == len(task.parts.train)
    with pytest.raises(UserError, match="popular has no vector just before scoring; look into a model with a method"):
        Activations.of(build("popular", Popular(), task.inputs), task)


def test_states_of_histories_put_back_give_the_same_recommendations(project):
    """A model that reads histories: the state after the last item recommends, and all states of others may teach."""
    write_films(project)
    settings = load_settings()
    task = prepare("sequence", "made", settings.data, settings.sequences, torch.device("cpu"))
    point = settings.sequence.sasrec.model_copy(update={"dim": 4, "hidden": 4})
    torch.manual_seed(1)
    own = build("sasrec", point, task.inputs).eval()
    activations = Activations.of(own, task)
    items, _ = task.recommend(own, "test", 5)
    assert torch.equal(task.recommend(Replayed(activations.vectors, activations.scores), "test", 5)[0], items)
    lengths = task.histories("test")[1]
    assert torch.equal(activations.owner.bincount(), lengths)
    last = activations.owner.bincount().cumsum(0) - 1
    assert torch.equal(activations.pool[last], activations.vectors)
    some = torch.tensor([2, 7])
    again = only(task, some).recommend(Replayed(activations.vectors[some], activations.scores), "test", 5)
    assert torch.equal(again[0], items[some])
    assert taken(task).counts.sum() == len(task.parts.train)


def test_before_the_test_a_task_has_nothing_of_it(project):
    """A model is then shown what it is in validation, and asked for the same items."""
    write_films(project)
    settings = load_settings()
    for name, protocol in (("topk", settings.ranking), ("sequence", settings.sequences)):
        task = prepare(name, "made", settings.data, protocol, torch.device("cpu"))
        early = before_test(task)
        assert torch.equal(early.persons["test"], task.persons["validation"])
        assert torch.equal(early.relevant("test"), task.relevant("validation"))
        point = settings.topk.bpr if name == "topk" else settings.sequence.sasrec
        own = build("bpr" if name == "topk" else "sasrec", point.model_copy(update={"dim": 4}), task.inputs).eval()
        for one, other in zip(early.recommend(own, "test", 5), task.recommend(own, "validation", 5), strict=True):
            assert torch.equal(one, other)


def test_parts_are_disjoint_and_whole():
    parts = cut(101, Parting(dictionary=0.5, description=0.25, seed=1))
    assert sorted(torch.cat(list(vars(parts).values())).tolist()) == list(range(101))
    assert [len(own) for own in vars(parts).values()] == [50, 26, 25]


def test_steering_by_hand(task):
    """Whoever is moved far along one item's own direction gets that item first; nothing added changes nothing."""
    own = model(task)
    activations, users = Activations.of(own, task), torch.arange(4)
    few = only(task, users)
    steer = steering(few, activations, users)
    has = torch.zeros(task.catalogue, dtype=torch.bool)
    has[0] = True
    assert steer(torch.zeros(4), has).tolist() == [[0] * 4, [0] * 4, [1] * 4]
    items = own.vectors(task.inputs.items).detach()
    direction = torch.linalg.pinv(items) @ F.one_hot(torch.tensor(0), task.catalogue).float()
    before = task.recommend(own, "test", 10)[0][:4]
    risen, _, kept = steer(1e4 * direction, has)
    free = ~taken(task).mask(task.persons["test"][users])[:, 0] & ~(before == 0).any(1)
    assert (risen[free] <= 0.1 + 1e-9).all()
    assert ((kept >= 0) & (kept <= 1)).all()
    x = torch.tensor([[0.0, 0], [0, 2], [0, 4]])
    assert towards(x, torch.tensor([False, False, True])).tolist() == [0, 1]


def test_a_study_of_made_data(task, project):
    """Everything at once: shapes, no user of the judging part in what is learned, and latents that steer."""
    settings = load_settings()
    point = settings.topk.bpr.model_copy(update={"dim": 4, "batch_size": 64, "epochs": 3})
    runs = fit("topk.bpr", lambda: build("bpr", point, task.inputs), task, point, [1, 2])
    folder = project / "build"
    folder.mkdir()
    save_run(folder, "topk.bpr", task, [point], [runs], [1, 2])
    after, before = look_into(folder, "topk.bpr", task)
    assert torch.equal(after[1].vectors, Activations.of(runs.models[1], task).vectors)
    assert not torch.equal(after[1].vectors, before[1].vectors)
    section = settings.interpret.model_copy(update={
        "autoencoder": Autoencoder(**AUTOENCODER | {"epochs": 5}),
        "concepts": settings.interpret.concepts.model_copy(update={"draws": 2}),
        "steering": settings.interpret.steering.model_copy(update={"latents": 2}),
    })
    parts = cut(len(after[0].vectors), section.parting)
    study = Study("topk.bpr", task, after, parts, section, 0.95)
    sae = study.learned(after, 2, 2)
    changed = [dataclasses.replace(run, pool=run.pool.index_fill(0, parts.judging, 9.0)) for run in after]
    assert torch.equal(study.learned(changed, 2, 2).decoder, sae.decoder)
    few = section.model_copy(update={"autoencoder": section.autoencoder.model_copy(update={"vectors": 7})})
    assert not torch.equal(dataclasses.replace(study, settings=few).learned(after, 2, 2).centre, sae.centre)
    table = study.reconstruction(sae)
    assert (table["lit"] <= 2).all()
    ndcg = study.ndcg(study.vectors)
    hits = task.recommend(runs.models[0], "test", 10)[1]
    assert torch.equal(ndcg[0], ranking.ndcg(hits, task.relevant("test"), 10)[parts.judging])
    known = traits(ITEMS, 1)
    has = torch.rand(task.catalogue, len(known.names), generator=torch.Generator().manual_seed(0)) < 0.5
    tastes = fond(taken(task), task.persons["test"], has, 0.2)
    fondness = Fondness.of(dataclasses.replace(known, has=has), tastes, parts.description, 0.05)
    units = study.units(sae, study.learned(before, 2, 2), torch.stack([run.vectors for run in before]), fondness)
    assert units.groupby(["dictionary", "run"]).size().to_dict() == {
        (name, run): 8 for name in ("SAE", "SAE, untrained", *CONTROLS) for run in range(2)
    }
    assert len(study.swaps(sae, fondness)) == 4
    chosen = best(units, 2)
    assert chosen.groupby("run").size().nunique() == 1
    steered = study.steered(sae, units, fondness)
    latents, strengths = len(chosen) // 2, len(section.steering.strengths)
    assert steered["raised"].shape == (2, latents, 3, strengths, 3, len(parts.judging))
    assert steered["silenced"].shape == (2, latents, 2, 3, len(parts.judging))
    assert steered["raised"].isfinite().all()
    pursued = study.pursuits({2: sae}, {2: sae})
    assert set(pursued["dictionary"]) == {"SAE, encoder", "SAE, pursuit", "ITDA", "random users", "PCA"}
    by_encoder = pursued[pursued["dictionary"] == "SAE, encoder"]["unexplained"].to_numpy()
    assert by_encoder == pytest.approx(table["unexplained"].to_numpy())
    assert dataclasses.replace(study, settings=section.reconstructing()).learned(after, 2, 2).decoder.isfinite().all()
    assert section.reconstructing().autoencoder.learning_rate == 0.02
    assert (pursued["size"] <= 8).all()
    assert pursued["ndcg"].between(0, 1).all()
    shown, had = torch.arange(task.catalogue) < 5, taken(task).mask(task.persons["test"])
    told = films(sae, after, chosen, had, shown, 3)
    assert (told.groupby(["run", "unit"]).size() == 3).all()
    assert (told[["raises", "lights"]] < 5).all(axis=None)
    first = told.iloc[0]
    items = runs.models[first["run"]].vectors(task.inputs.items).detach()
    assert first["raises"] == (items @ sae.decoder[first["run"], first["unit"]])[:5].argmax()
    lit = sae.encode(study.vectors)[first["run"], :, first["unit"]] > 0
    assert first["lights"] == np.nan_to_num(np.corrcoef(lit, had[:, :5].T)[0, 1:]).argmax()
