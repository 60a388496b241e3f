"""What the studies of rankings in replications/ found on larger data, for the chapters."""

import json
from collections.abc import Collection

import matplotlib.pyplot as plt

from latent_factors.chapter import Chapter
from latent_factors.figures import WIDTH, compare, label
from latent_factors.paths import root


def ranking_studies() -> list[dict]:
    """Return what each study in reports/replications found, by name."""
    paths = sorted((root() / "reports" / "replications").glob("ranking-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def seeds_of(study: dict) -> str:
    """Say under how many seeds a study's models were trained, those with fewer than the others by name.

    Models without epochs draw nothing, and one run of them is all there is.
    """
    drawn = [row for row in study["models"] if "epochs" in row["settings"]]
    fewer = "".join(f", {label(row['model'])} {row['runs']}" for row in drawn if row["runs"] < study["seeds"])
    return f"{study['seeds']} seeds{fewer}"


def show(chapter: Chapter, models: Collection[str], needed: Collection[str]) -> None:
    """Show the first metric of a chapter's models, a figure for every study that has all that are `needed`."""
    for study in ranking_studies():
        own = [row for row in study["models"] if row["model"] in models]
        if not set(needed) <= {row["model"] for row in own}:
            continue
        name = f"ndcg@{study['cutoff']}"
        figure, axes = plt.subplots(figsize=(WIDTH, 1 + 0.35 * len(own)))
        found = {row["model"]: row["metrics"][name] for row in own}
        compare(axes, {model: (row["mean"], row["low"], row["high"]) for model, row in found.items()})
        axes.set(xlabel=f"test {name} on {study['dataset']}")
        level = chapter.record["parameters"]["statistics"]["level"]
        chapter.figure(
            figure, study["dataset"],
            f"Test {name} on {study['dataset']} ({study['rows']['train']:,} training events of {study['users']:,}"
            f" users, {seeds_of(study | {'models': own})}), with {100 * level:g} % bootstrap intervals over users and"
            " runs.",
        )


def decide(chapter: Chapter, *claims: str) -> None:
    """Decide claims on the data of every study that compared what they name, and show a line for each."""
    for study in ranking_studies():
        for effect in study["effects"]:
            if effect["claim"] in claims:
                one, other = map(label, effect["of"])
                chapter.found(effect, "topk", study["dataset"], f"({one} and {other}, {study['dataset']})")
