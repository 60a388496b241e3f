"""The sections of params.yaml, typed; a key that is not here is refused.

Nothing has a default: every value stands in params.yaml and nowhere else. So these files cannot change a result, and no
stage but the check of params.yaml depends on them.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from latent_factors.sections.base import *
from latent_factors.sections.generate import *
from latent_factors.sections.keys import *
from latent_factors.sections.models import *
from latent_factors.sections.protocols import *
from latent_factors.sections.search import *


class Settings(Section):
    """The whole of params.yaml."""

    dataset: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    data: Data
    split: Split
    seeds: Seeds
    compute: Compute
    statistics: Statistics
    ranking: Ranking
    rating: Rating
    topk: TopK
    releases: Releases
    release: Release
    sequences: Sequences
    sequence: NextItem
    generate: Generate
    ablation: Ablation
    curve: Curve
    interpret: Interpret
    search: Searches
    clicks: Clicks
    ctr: CTR
    ctr_attributes: CTR
    tune: Tune


class Study(Section):
    """Input search for one model on one data set; `protocol` is the section that cuts and judges its task."""

    dataset: str
    task: Literal["rating", "ctr", "ctr_attributes", "topk"]
    model: str
    data: Data
    protocol: dict
    points: Annotated[list[dict], Field(min_length=1)]
    search: Search
    tune: SearchBudget


class ClickStudy(Section):
    """Every model of clicks on one data set; `trials` is what tuning spends on each."""

    dataset: str
    task: Literal["ctr", "ctr_attributes"]
    data: Data
    protocol: Clicks
    models: CTR
    trials: Count


class RankingStudy(Section):
    """Recommenders on one data set, by their names in `topk`, with a setting each.

    `trials` is what tuning spends on each; none where the settings come from elsewhere, as those of the models in
    `given` do. A model has as many runs as there are seeds, or those that `repeated` gives it.
    """

    task: ClassVar[str] = "topk"
    dataset: str
    data: Data
    protocol: Ranking
    models: Annotated[dict[str, dict], Field(min_length=1)]
    trials: Annotated[int, Field(ge=0)]
    given: list[str] = Field(default_factory=list)
    repeated: dict[str, Count] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_its_models(self) -> "RankingStudy":
        for model in (*self.given, *self.repeated):
            if model not in self.models:
                raise ValueError(f"given and repeated must name models of the study, got {model!r}")
        return self


class SequenceStudy(RankingStudy):
    """The same of the next item, with names in `sequence`."""

    task: ClassVar[str] = "sequence"
    protocol: Sequences


class DCCFStudy(Section):
    """DCCF under noise and without its parts, with the settings of the default pipeline.

    `noise` holds shares of the training events, `claim` is what the largest decides; `ablations` holds what is changed
    for the claim that it decides.
    """

    noise: Annotated[list[Share], Field(min_length=1)]
    claim: str
    ablations: dict[str, changes_of(DCCF)]


class TowersStudy(Section):
    """Two towers with one thing changed at a time, and with shares of the training events, tuned anew with `trials`."""

    changes: Annotated[list[changes_of(TowersSSL)], Field(min_length=1)]
    shares: Annotated[list[Share], Field(min_length=1)]
    trials: Count


class IdentifierStudy(Section):
    """Spelling of the next item on one data set, with one `model` under every scheme.

    `learning` is what is changed in the model by the first kind of its scheme; `bases` are those in which sequential
    numbers are written beside the schemes, for other lengths; `sizes` is what is changed in the model with the scheme
    `sized`. `sasrec` is the setting of a rival: it is trained as it is, and as wide as makes it of equal size. Each of
    these has `runs` seeds, or those that `repeated` gives it. `trials` is how many went before the settings; `beams`
    are widths of a beam search that is held beside exact scores; `published` is what the paper prints for schemes: ndcg
    at the first cutoff. Where all items of all users take too long to score after every epoch, that many users are
    `judged`, drawn once; of the test part always all.
    """

    dataset: str
    data: Data
    protocol: Sequences
    model: Generative
    learning: dict[Literal[*Scheme.model_fields], changes_of(Generative)]
    schemes: Annotated[dict[str, Scheme], Field(min_length=1)]
    bases: list[Base]
    runs: Count
    repeated: dict[str, Count] = Field(default_factory=dict)
    trials: Annotated[int, Field(ge=0)]
    sized: str
    sizes: list[changes_of(Generative)]
    beams: Annotated[list[Count], Field(min_length=1)]
    sasrec: dict | None = None
    published: dict[str, float] = Field(default_factory=dict)
    judged: Count | None = None

    @model_validator(mode="after")
    def _sizes_one_of_its_schemes(self) -> "IdentifierStudy":
        if self.sized not in self.schemes:
            raise ValueError(f"sized must name one of schemes, got {self.sized!r}")
        return self


class Planted(Section):
    """Recovery of planted ranks: `ranks` of the frequency blocks, `fall` of the frequency from block to block."""

    users: Count
    items: Count
    rows: Annotated[list[Count], Field(min_length=1)]
    ranks: Annotated[list[Count], Field(min_length=2)]
    noise: Rate
    scale: Rate
    fall: Rate
    mf: MF
    fm: FM
    dnis: DNIS


class Replications(Section):
    """The whole of replications/params.yaml."""

    seeds: Seeds
    compute: Compute
    statistics: Statistics
    planted: Planted
    boundary: Annotated[list[Strength], Field(min_length=2)]
    studies: dict[str, Study]
    click_studies: dict[str, ClickStudy]
    ranking_studies: dict[str, RankingStudy]
    sequence_studies: dict[str, SequenceStudy]
    dccf: DCCFStudy
    towers: TowersStudy
    identifier_studies: dict[str, IdentifierStudy]
    key_studies: dict[str, KeyStudy]
