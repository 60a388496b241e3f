"""The sections of params.yaml, typed; a key that is not here is refused.

Nothing has a default: every value stands in params.yaml and nowhere else. So this file cannot change
a result, and no stage but the check of params.yaml depends on it.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(gt=0)]
Strength = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A section of params.yaml: strict types, unknown keys refused, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    random: ClassVar[bool] = True  # whether a model with these settings depends on its seed


class Data(Section):
    """How the interactions of a data set are read."""

    user: str
    item: str
    rating: str
    timestamp: str
    duplicates: Literal["refuse", "last"]
    min_user_ratings: Count
    min_item_ratings: Count


class Split(Section):
    """How the interactions are cut into train, validation and test."""

    kind: Literal["random", "random-by-user", "leave-last-out", "global-time"]
    validation: Share
    test: Share
    seed: Seed

    @model_validator(mode="after")
    def _leaves_a_training_part(self) -> "Split":
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must leave a training part (sum below 1)")
        return self


class Seeds(Section):
    """The root seed and how many runs of each model are derived from it."""

    root: Seed
    count: Count


class Compute(Section):
    """Where the arithmetic runs."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Count


class Ranking(Section):
    """How top-k recommendation is cut and judged."""

    split: Split
    cutoffs: Annotated[list[Count], Field(min_length=1)]


class Clicks(Section):
    """How events become clicks, columns become fields, and both are cut."""

    split: Split
    positive_above: float
    negative_below: float
    min_count: Count
    skip: list[str]

    @model_validator(mode="after")
    def _tells_both_apart(self) -> "Clicks":
        if self.negative_below > self.positive_above:
            raise ValueError("negative_below must not lie above positive_above, or a row is both")
        return self


class Statistics(Section):
    """How intervals and frequency blocks are made."""

    replicates: Annotated[int, Field(ge=100)]
    level: Share
    seed: Seed
    blocks: Annotated[int, Field(ge=2)]


class Budget(Section):
    """What `make tune` spends on each model of a task; the best `finalists` get `final_runs` more runs each."""

    trials: Count
    runs: Count
    finalists: Annotated[int, Field(ge=0)]
    final_runs: Count


class SearchBudget(Section):
    """What tuning spends on a model of input search: trials at each K of its curve, and of each method."""

    curve: Count
    methods: Count


class Tune(Section):
    """The budgets of `make tune`: the same for every model of a task."""

    rating: Budget
    ctr: Budget
    ctr_attributes: Budget
    topk: Budget
    search: SearchBudget
    seed: Seed
    dims: Annotated[list[Count], Field(min_length=1)]


class Exact(Section):
    """A model solved in one pass."""

    epochs: ClassVar[int] = 1
    patience: ClassVar[int] = 1
    random: ClassVar[bool] = False


class Mean(Exact):
    """The global mean: nothing to set."""


class Biases(Exact):
    """Damped user and item biases."""

    user_damping: Strength
    item_damping: Strength


class Factors(Section):
    """What every factor model has: K, how frequency tilts the penalty, and when training ends."""

    dim: Count
    l2_power: Annotated[float, Field(ge=0, le=1)]
    epochs: Count
    patience: Count


class ALS(Factors):
    """Biased matrix factorisation by alternating ridge regressions."""

    l2: Rate
    l2_bias: Rate


class Gradient(Factors):
    """A factor model trained with Adam."""

    learning_rate: Rate
    l2: Strength
    batch_size: Count


class MF(Gradient):
    """Biased matrix factorisation by stochastic gradients."""

    l2_bias: Strength


class MLP(Gradient):
    """Learned similarity."""


class NeuMF(Gradient):
    """Generalised matrix factorisation beside an MLP."""


class Rating(Section):
    """Rating prediction: a section a model."""

    mean: Mean
    biases: Biases
    mf: MF
    als: ALS
    mlp: MLP
    neumf: NeuMF


class Clicked(Section):
    """What every model of clicks has: Adam, the penalty, and when training ends."""

    learning_rate: Rate
    l2: Strength
    l2_power: Annotated[float, Field(ge=0, le=1)]
    batch_size: Count
    epochs: Count
    patience: Count


class LR(Clicked):
    """Logistic regression."""


class FM(Clicked):
    """Factorisation machine."""

    dim: Count
    l2_bias: Strength


class WideDeep(FM):
    """First-order weights beside a network; `hidden` holds the widths of its layers."""

    hidden: Annotated[list[Count], Field(min_length=1)]


class DeepFM(WideDeep):
    """A factorisation machine beside a network."""


class AutoInt(Clicked):
    """Self-attention between fields: `layers` of `heads`, each `head_dim` wide."""

    dim: Count
    layers: Count
    heads: Count
    head_dim: Count
    layer_norm: bool


class AutoIntPlus(AutoInt):
    """AutoInt beside a network."""

    hidden: Annotated[list[Count], Field(min_length=1)]


class CTR(Section):
    """Click prediction: a section a model."""

    lr: LR
    fm: FM
    widedeep: WideDeep
    deepfm: DeepFM
    autoint: AutoInt
    autoint_flat: AutoInt
    autoint_plus: AutoIntPlus


class Popular(Exact):
    """The most frequent items for everyone: nothing to set."""


class ItemKNN(Exact):
    """Neighbours of the user's items."""

    neighbours: Count
    shrinkage: Strength


class EASE(Exact):
    """A linear item-item model in closed form."""

    l2: Rate


class IALS(Section):
    """Implicit alternating least squares."""

    dim: Count
    l2: Strength
    alpha: Rate
    epochs: Count
    patience: Count


class BPR(Gradient):
    """Matrix factorisation by pairwise ranking."""


class ImplicitNeuMF(Gradient):
    """NeuMF with sampled negatives."""

    negatives: Count


class LightGCN(Gradient):
    """Matrix factorisation over vectors smoothed along the graph."""

    layers: Annotated[int, Field(ge=0)]


class TopK(Section):
    """Top-k recommendation: a section a model."""

    popular: Popular
    itemknn: ItemKNN
    ease: EASE
    ials: IALS
    bpr: BPR
    neumf_implicit: ImplicitNeuMF
    lightgcn: LightGCN


def _rising(points: list[Factors]) -> list[Factors]:
    dims = [point.dim for point in points]
    if dims != sorted(set(dims)):
        raise ValueError(f"dimensions must rise from entry to entry, got {dims}")
    return points


class Curve(Section):
    """The uniform-dimension curve: a list a factor model, an entry a K."""

    mf: Annotated[list[MF], Field(min_length=2), AfterValidator(_rising)]
    als: Annotated[list[ALS], Field(min_length=2), AfterValidator(_rising)]
    mlp: Annotated[list[MLP], Field(min_length=2), AfterValidator(_rising)]
    neumf: Annotated[list[NeuMF], Field(min_length=2), AfterValidator(_rising)]
    fm: Annotated[list[FM], Field(min_length=2), AfterValidator(_rising)]
    bpr: Annotated[list[BPR], Field(min_length=2), AfterValidator(_rising)]


class Shared(Section):
    """What all methods of an input search have: the table at full width, and what is left of it.

    `dim` is K-max, one of the model's curve; `rates` are the shares of the table's entries that go.
    """

    dim: Count
    rates: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=1)]
    blocks: Count
    alpha_share: Share


class NothingToSet(Section):
    """A method that has what all have."""


class DNIS(Section):
    """Differentiable neural input search.

    `normalise` is what α's gradient is divided by: the mean size of each block's, of the whole table's, or nothing.
    `keep` says which epoch's weights and α go on.
    """

    alpha_rate: Rate
    l1: Strength
    order: Literal["first", "second"]
    normalise: Literal["blocks", "table", "none"]
    freeze: bool
    keep: Literal["best", "last"]
    epochs: Count
    patience: Count


class NIS(Section):
    """Neural input search by a controller; `cost` is the price of a table twice as large as the target."""

    cost: Strength
    controller_rate: Rate
    epochs: Count


class MDE(Section):
    """Mixed dimensions by a power law of frequency."""

    power: Strength


class RandomDims(Section):
    """Random search: so many draws of dimensions a rate."""

    draws: Count


class StrongerL2(Section):
    """The penalty times each of these."""

    factors: Annotated[list[Rate], Field(min_length=1)]


class Variants(Section):
    """What is changed of DNIS, one thing at a time; `stops` are epochs that it ends after, whatever validation says."""

    switches: list[Literal[
        "prune by weight", "prune whole dimensions", "random blocks", "second order", "one scale", "other freeze",
    ]]
    blocks: list[Count]
    dims: list[Count]
    alpha_rates: list[Rate]
    l1s: list[Strength]
    stops: list[Count]


class Search(Section):
    """The methods of input search for one model."""

    shared: Shared
    uniform: NothingToSet
    magnitude: NothingToSet
    stronger_l2: StrongerL2
    random_dims: RandomDims
    mde: MDE
    nis: NIS
    dnis: DNIS
    variants: Variants


class Searches(Section):
    """Input search: a section a model."""

    mf: Search
    fm: Search
    bpr: Search


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
    curve: Curve
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
