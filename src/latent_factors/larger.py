"""What the studies of rankings in replications/ found on larger data, for the chapters."""

import json

from latent_factors.chapter import Chapter
from latent_factors.figures import label
from latent_factors.paths import root


def ranking_studies() -> list[dict]:
    """Return what each study in reports/replications found, by name."""
    paths = sorted((root() / "reports" / "replications").glob("ranking-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def seeds_of(study: dict) -> str:
    """Say under how many seeds a study's models were trained, those with fewer than the others by name."""
    fewer = "".join(
        f", {label(row['model'])} {row['runs']}" for row in study["models"] if 1 < row["runs"] < study["seeds"]
    )
    return f"{study['seeds']} seeds{fewer}"


def decide(chapter: Chapter, *claims: str) -> None:
    """Decide claims on the data of every study that compared what they name, and show a line for each."""
    for study in ranking_studies():
        for effect in study["effects"]:
            if effect["claim"] in claims:
                one, other = map(label, effect["of"])
                chapter.found(effect, "topk", study["dataset"], f"({one} and {other}, {study['dataset']})")
