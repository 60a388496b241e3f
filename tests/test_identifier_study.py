"""The study of identifiers on made films: every arm is trained and judged, and the claims compare what they say."""

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from conftest import HOME, write_films
from latent_factors import fit, identifier_study
from latent_factors.identifier_study import Judge, Outcome, Trainer, judged_by, nearest_sasrec, spelled
from latent_factors.models import build
from latent_factors.paths import root
from latent_factors.sections import Compute, IdentifierStudy, Seeds, Sequences, Statistics
from latent_factors.tasks import prepare

NUMBERS = {"order": "time", "base": 3, "seed": 0}
CLUSTERS = {"clusters": 2, "leaf": 4, "seed": 0}
RESIDUAL = {
    "source": "content", "levels": 2, "codes": 3, "dim": 4, "hidden": 4, "beta": 0.25, "epochs": 2, "batch_size": 8,
    "seed": 0, "words": 0.3, "year": 0.3,
}
PUBLISHED = {"titles": 0.02}
STUDY = {
    "dataset": "made", "protocol": {"order": "time", "length": 5, "rank_history": False, "cutoffs": [2, 4]},
    "model": {
        "scheme": {"independent": {}}, "dim": 4, "heads": 1, "hidden": 4, "layers": 1, "history": 5, "dropout": 0.0,
        "learning_rate": 0.01, "batch_size": 16, "epochs": 1, "patience": 1,
    },
    "learning": {"sequential": {"learning_rate": 0.02}},
    "schemes": {
        "titles": {"title": {"words": 2}}, "one token": {"independent": {}}, "walks": {"sequential": NUMBERS},
        "leak": {"leaky": NUMBERS}, "clusters": {"collaborative": CLUSTERS},
        "joined": {"collaborative": CLUSTERS, "independent": {}}, "codes": {"residual": RESIDUAL},
    },
    "bases": [2], "runs": 2, "trials": 0, "repeated": {"walks": 9}, "sized": "joined", "sizes": [{"dim": 8}],
    "beams": [1, 20],
    "sasrec": {
        "dim": 4, "layers": 1, "heads": 1, "hidden": 4, "dropout": 0.0, "learning_rate": 0.01, "l2": 0.0,
        "l2_power": 0.5, "batch_size": 16, "epochs": 1, "patience": 1, "averaging": 0.0,
    },
}


def test_every_arm_is_judged_and_every_claim_decided(settings, tmp_path):
    write_films(root())
    study = IdentifierStudy(**STUDY, data=settings.data)
    found = identifier_study.run(
        study, Seeds(root=1, count=3), Compute(device="cpu", threads=1),
        Statistics(replicates=100, level=0.95, seed=1, blocks=2), tmp_path / "runs",
    )
    schemes = {row["model"]: row for row in found["models"]}
    assert list(schemes) == [*STUDY["schemes"], "sequential, base 2"]
    assert schemes["joined"]["collisions"] == 0
    assert schemes["one token"]["longest"] == 1
    for row in found["models"]:
        narrow, wide = row["beams"]
        assert (narrow["beams"], wide["beams"]) == (1, 20)
        assert wide["found"] == 1  # as wide as the catalogue
        assert wide["ndcg"] == row["metrics"]["ndcg@2"]
        assert 0 <= row["rare"]["low"] <= row["rare"]["high"] <= 1
    assert [row["size"] for row in found["sizes"]] == ["as it is", "dim 8"]
    assert found["sizes"][0]["metrics"] == schemes["joined"]["metrics"]
    assert found["sizes"][1]["parameters"] > found["sizes"][0]["parameters"]
    assert found["best"] in schemes
    assert found["best"] != "leak"
    effects = {row["claim"]: row for row in found["effects"]}
    assert set(effects) == {
        "scheme-beats-size", "independent-trails", "titles-trail", "clusters-with-own-token-best",
        "held-out-items-leak", "three-or-four-tokens-best", "spelling-beats-sasrec",
        "spelling-beats-sasrec-of-its-size", "meaning-helps-new-items",
    }
    assert effects["held-out-items-leak"]["of"] == ["leak", "walks"]
    assert {name: row["seeds"] for name, row in schemes.items() if row["seeds"] != 2} == {"walks": 3}
    assert effects["held-out-items-leak"]["seeds"] == 2
    ndcg = {name: row["metrics"]["ndcg@2"]["mean"] for name, row in schemes.items()}
    assert effects["held-out-items-leak"]["mean"] == pytest.approx(ndcg["leak"] - ndcg["walks"], abs=1e-5)
    assert effects["three-or-four-tokens-best"]["of"] == ["walks", "sequential, base 2"]
    rare = {name: row["rare"]["mean"] for name, row in schemes.items()}
    assert effects["meaning-helps-new-items"]["mean"] == pytest.approx(rare["codes"] - rare["one token"], abs=1e-5)


def test_a_study_without_a_rival_and_of_one_size_decides_less(settings, tmp_path):
    write_films(root())
    changes = {"sasrec": None, "sizes": [], "bases": [], "runs": 1, "repeated": {}, "published": PUBLISHED}
    study = IdentifierStudy(**STUDY | changes, data=settings.data)
    found = identifier_study.run(
        study, Seeds(root=1, count=7), Compute(device="cpu", threads=1),
        Statistics(replicates=100, level=0.95, seed=1, blocks=2), tmp_path,
    )
    assert ({row["seeds"] for row in found["models"]}, found["rivals"], found["published"]) == ({1}, [], PUBLISHED)
    assert {row["claim"] for row in found["effects"]} == {
        "independent-trails", "titles-trail", "clusters-with-own-token-best", "held-out-items-leak",
        "meaning-helps-new-items",
    }


def test_a_single_scheme_is_told_and_decides_nothing(settings, tmp_path):
    write_films(root())
    changes = {"sasrec": None, "sizes": [], "bases": [], "schemes": {"joined": STUDY["schemes"]["joined"]}}
    found = identifier_study.run(
        IdentifierStudy(**STUDY | changes, data=settings.data), Seeds(root=1, count=1),
        Compute(device="cpu", threads=1), Statistics(replicates=100, level=0.95, seed=1, blocks=2), tmp_path,
    )
    assert [row["model"] for row in found["models"]] == ["joined"]
    assert found["effects"] == []
    shown = {"pd": pd, "found": found, "NAMES": identifier_study.NAMES}
    for cell in nbformat.read(HOME / "replications" / "identifiers.ipynb", 4).cells[-3:]:  # which tell it
        exec(cell.source, shown)


def test_a_study_that_was_cut_off_goes_on(settings, tmp_path, monkeypatch):
    write_films(root())
    study, trained, known = IdentifierStudy(**STUDY, data=settings.data), [], fit.fit_run
    task = prepare("generate", "made", settings.data, study.protocol, torch.device("cpu"))

    def counted(title: str, *others):
        trained.append(title)
        return known(title, *others)

    monkeypatch.setattr(identifier_study, "fit_run", counted)
    arms, compute = spelled(study), Compute(device="cpu", threads=1)
    trainer = Trainer(task, study, Seeds(root=1, count=3), compute, tmp_path)
    trainer.keep("generative", arms["walks"], 1)
    trainer.keep("generative", arms["walks"], 1)
    assert len(trained) == 1
    whole = trainer.train("generative", arms["walks"], 3)
    assert len(trained) == 3
    fresh = Trainer(task, study, Seeds(root=1, count=3), compute, tmp_path / "other")
    fresh = fresh.train("generative", arms["walks"], 3)
    for one, other in zip(whole, fresh, strict=True):
        assert torch.equal(one.hits, other.hits)
        assert (one.validation, one.parameters) == (other.validation, other.parameters)
        assert [(torch.equal(one.beams[width][0], hits), one.beams[width][1]) for width, (hits, _) in
                other.beams.items()] == [(True, share) for _, share in other.beams.values()]
    trainer.train("generative", arms["walks"].model_copy(update={"learning_rate": 0.5}), 3)
    assert len(trained) == 9  # of other settings: other runs


def test_fewer_users_judge_an_epoch_and_all_the_test(settings, tmp_path):
    write_films(root())
    study = IdentifierStudy(**STUDY, data=settings.data, judged=7)
    task = prepare("generate", "made", settings.data, study.protocol, torch.device("cpu"))
    judging = judged_by(task, 7)
    assert len(judging.relevant("validation")) == 7 < len(task.relevant("validation"))
    assert set(judging.parts.validation) < set(task.parts.validation)
    compute = Compute(device="cpu", threads=1)
    trainer = Trainer(task, study, Seeds(root=1, count=1), compute, tmp_path)
    (few,) = trainer.train("generative", spelled(study)["walks"], 1)
    whole = Trainer(task, study.model_copy(update={"judged": None}), Seeds(root=1, count=1), compute, tmp_path)
    (all_,) = whole.train("generative", spelled(study)["walks"], 1)
    assert torch.equal(few.hits, all_.hits) and few.hits.shape[0] == len(task.relevant("test"))  # after one epoch each
    assert few.validation != all_.validation


def test_the_first_kind_of_a_scheme_says_how_it_is_learned(settings):
    arms = spelled(IdentifierStudy(**STUDY, data=settings.data))
    changed = {name for name, point in arms.items() if point.learning_rate == 0.02}
    assert changed == {"walks", "sequential, base 2"}


def test_the_rival_of_equal_size_is_the_nearest_there_is(settings):
    write_films(root())
    task = prepare("generate", "made", settings.data, Sequences(**STUDY["protocol"]), torch.device("cpu"))
    near = nearest_sasrec(task, STUDY["sasrec"], 900)
    sizes = {
        dim: sum(own.numel() for own in build(
            "sasrec", near.model_copy(update={"dim": dim, "hidden": dim}), task.inputs
        ).parameters())
        for dim in range(1, 30)
    }
    assert abs(sizes[near.dim] - 900) == min(abs(size - 900) for size in sizes.values())
    assert near.hidden == near.dim


def test_rare_items_are_those_of_the_last_fifth_of_the_events(settings):
    write_films(root())
    task = prepare("generate", "made", settings.data, Sequences(**STUDY["protocol"]), torch.device("cpu"))
    hits = torch.zeros(len(task.relevant("test")), 4, dtype=torch.bool)
    statistics = Statistics(replicates=100, level=0.9, seed=1, blocks=2)
    judge = Judge(task, {"one": [Outcome(hits, 0.0, 0, {})]}, statistics, 1)
    tokens = pd.Series(task.interactions.item[task.parts.test], index=task.interactions.user[task.parts.test])
    place = tokens.map({token: n for n, token in enumerate(task.features.tokens[-1])})
    begins = np.concatenate([[0], task.popularity.cumsum(0)[:-1]]) / float(task.popularity.sum())
    wanted = sorted(user for user, own in place.items() if own == own and begins[int(own)] * 5 >= 4)
    assert sorted(task.interactions.user.categories[judge.rare]) == wanted


def test_a_study_that_sizes_a_scheme_it_lacks_is_refused(settings):
    with pytest.raises(ValidationError, match="sized must name one of schemes, got 'none'"):
        IdentifierStudy(**STUDY | {"sized": "none"}, data=settings.data)
