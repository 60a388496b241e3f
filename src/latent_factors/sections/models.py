"""The settings of every model, by task."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from latent_factors.sections.base import Count, Rate, Section, Strength, Temperature, changes_of


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


class RP3Beta(Exact):
    """Walks along the graph: `alpha` raises transition probabilities, `beta` weighs popularity down."""

    neighbours: Count
    alpha: Strength
    beta: Strength


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


class DirectAU(LightGCN):
    """Alignment and uniformity; no layers means that the table itself is the encoder."""

    gamma: Strength
    distinct: bool
    cosine: bool


class DCCF(LightGCN):
    """Intents and adaptive masks, with contrast; four switches for the views that a layer adds."""

    intents: Count
    contrast: Strength
    temperature: Temperature
    l2_intents: Strength
    local: bool
    intent: bool
    local_mask: bool
    intent_mask: bool


class Towers(Gradient):
    """Two towers over attributes; `hidden` holds the widths of a tower's layers, the last that of its output."""

    hidden: Annotated[list[Count], Field(min_length=1)]
    min_count: Count
    temperature: Rate
    log_q: bool


class TowersSSL(Towers):
    """Two towers with a second loss: `ssl_batch` items in two views each."""

    alpha: Strength
    ssl_temperature: Temperature
    ssl_batch: Annotated[int, Field(ge=2)]
    ssl_draw: Literal["uniform", "training"]
    pattern: Literal["cfm", "rfm", "none"]
    dropout: Annotated[float, Field(ge=0, lt=1)]


class CML(Section):
    """Collaborative metric learning: `negatives` are drawn for an event, the closest counts."""

    l2_power: ClassVar[float] = 0.0
    dim: Count
    margin: Rate
    covariance: Strength
    negatives: Count
    learning_rate: Rate
    batch_size: Count
    epochs: Count
    patience: Count


class CMLFeatures(CML):
    """Collaborative metric learning beside a network over attributes: `drawn` items join a batch for its loss."""

    hidden: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    min_count: Count
    pull: Strength
    drawn: Count


class TopK(Section):
    """Top-k recommendation: a section a model."""

    popular: Popular
    itemknn: ItemKNN
    rp3beta: RP3Beta
    ease: EASE
    ials: IALS
    bpr: BPR
    neumf_implicit: ImplicitNeuMF
    lightgcn: LightGCN
    directau: DirectAU
    directau_graph: DirectAU
    dccf: DCCF
    towers: Towers
    towers_ssl: TowersSSL
    cml: CML


class Described(Section):
    """How much the words of titles and the year weigh beside genres."""

    words: Strength
    year: Strength


class PopularGenre(Exact):
    """How often the user, and everyone, has taken an item's genres."""

    damping: Strength
    length: Annotated[float, Field(ge=0, le=1)]
    crowding: Annotated[float, Field(ge=0, le=1)]


class ContentKNN(ItemKNN, Described):
    """Seen items like an unseen one, by content."""


class ContentLinear(IALS, Described):
    """A ridge regression from content to the factors of iALS."""

    ridge: Rate


class CMLTower(CML, Described):
    """Collaborative metric learning with a network over content."""

    l2_power: ClassVar[float] = 1.0
    hidden: Count
    l2: Strength


class CMLContent(CMLTower):
    """The same with a free offset of each seen item."""

    pull: Strength


class Release(Section):
    """Recommendation of unseen items: a section a model."""

    popular_genre: PopularGenre
    content_knn: ContentKNN
    content_linear: ContentLinear
    cml_tower: CMLTower
    cml_content: CMLContent


class Markov(Exact):
    """Transitions between items that follow each other; `damping` events more go by popularity."""

    damping: Rate


class ItemKNNLast(ItemKNN):
    """Neighbours of the last items; one step further back counts `decay` times as much."""

    decay: Annotated[float, Field(gt=0, le=1)]


class GRU4Rec(Gradient):
    """A recurrent network over the items; `averaging` is δ of its weights' moving average, 0 for none."""

    dropout: Annotated[float, Field(ge=0, lt=1)]
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0


class SASRec(GRU4Rec):
    """Causal self-attention: `layers` of `heads`, and in each a network with `hidden` units."""

    layers: Count
    heads: Count
    hidden: Count


class NextItem(Section):
    """Recommendation of the next item: a section a model."""

    popular: Popular
    markov: Markov
    itemknn_last: ItemKNNLast
    gru4rec: GRU4Rec
    sasrec: SASRec


class Ablation(Section):
    """What is changed in a model's setting, one change after the other; each makes a point of its own."""

    directau: Annotated[list[changes_of(DirectAU)], Field(min_length=1)]
    cml: Annotated[list[changes_of(CML)], Field(min_length=1)]


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
