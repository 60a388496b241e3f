"""How data are read, cut and judged, and what training and tuning may spend."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from latent_factors.sections.base import Count, Rate, Section, Seed, Share, Strength


class Data(Section):
    """How the interactions of a data set are read."""

    user: str
    item: str
    rating: str
    timestamp: str
    duplicates: Literal["refuse", "last", "keep"]
    min_user_ratings: Count
    min_item_ratings: Count


class Shares(Section):
    """Which shares are held out, drawn with a seed."""

    validation: Share
    test: Share
    seed: Seed

    @model_validator(mode="after")
    def _leaves_a_training_part(self) -> "Shares":
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must leave a training part (sum below 1)")
        return self


class Split(Shares):
    """How the interactions are cut into train, validation and test."""

    kind: Literal["random", "random-by-user", "leave-last-out", "global-time", "given"]


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


class Releases(Section):
    """Which share of the events the items of validation and of test hold, the latest ones, and how they are judged."""

    validation: Share
    test: Share
    cutoffs: Annotated[list[Count], Field(min_length=1)]


class Sequences(Section):
    """How the events of a user are put in order, how many of them a model sees, and what is ranked and judged."""

    order: Literal["time", "file"]
    length: Count
    rank_history: bool
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


class Parting(Section):
    """How the users of a trained recommender are cut: for learning a dictionary, for describing it, for judging it."""

    dictionary: Share
    description: Share
    seed: Seed

    @model_validator(mode="after")
    def _leaves_users_to_judge(self) -> "Parting":
        if self.dictionary + self.description >= 1:
            raise ValueError("dictionary and description together must leave users to judge (sum below 1)")
        return self


class Teaching(Section):
    """How steps are made when sparse autoencoders are trained."""

    learning_rate: Rate
    auxiliary: Strength
    batches: Count


class Autoencoder(Teaching):
    """How sparse autoencoders are trained, and which other widths and numbers of active latents are tried beside.

    Those that have to reconstruct, and nothing else, are trained as `reconstructing` says.
    """

    expansion: Count
    active: Count
    expansions: list[Count]
    actives: list[Count]
    reconstructing: Teaching
    vectors: Count
    epochs: Count
    patience: Count


class Concepts(Section):
    """What is a trait, who is fond of it, and how many random swaps tell what chance gives."""

    films: Count
    deviations: Rate
    least: Share
    draws: Count
    shown: Count


class Steering(Section):
    """How many latents are steered, by which multiples of their mean activation; claims are decided at 1."""

    latents: Count
    strengths: Annotated[list[Rate], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_what_claims_ask_for(self) -> "Steering":
        if 1.0 not in self.strengths:
            raise ValueError("strengths must hold 1.0, at which claims are decided")
        return self


class ITDA(Section):
    """How many vectors are coded before the next may enter the dictionary, and its size where models are compared."""

    batch: Count
    size: Count


class Interpret(Section):
    """A look inside trained recommenders."""

    parting: Parting
    autoencoder: Autoencoder
    concepts: Concepts
    steering: Steering
    itda: ITDA

    def reconstructing(self) -> "Interpret":
        """Return the same with autoencoders that have to reconstruct, and nothing else."""
        own = self.autoencoder
        return self.model_copy(update={"autoencoder": own.model_copy(update=own.reconstructing.model_dump())})


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
    release: Budget
    sequence: Budget
    generate: Budget
    search: SearchBudget
    seed: Seed
    dims: Annotated[list[Count], Field(min_length=1)]
