"""Full ranking: the top of every user's list, and the metrics of such lists, one definition each.

A list of k items is described by its hits (..., U, k), True where the item at that place is relevant, and by how
many items are relevant to each user, n (U,). Every metric keeps the users: (..., U). Places p count from 1.
"""

import torch
from torch import Tensor


def top(scores: Tensor, relevant: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best items (B, k) of each user, and which of them are hits (B, k).

    scores is (B, I), −∞ for items that must not be recommended; relevant is (B, I) bool. Of items with equal scores
    the relevant ones come last, then those with the larger number: a model that cannot tell items apart gains nothing.
    Places for which no item is left hold −1.
    """
    number = scores.shape[1]
    values, items = scores.topk(min(k + 1, number), 1)
    tied = ((values[:, 1:] == values[:, :-1]) & values[:, 1:].isfinite()).any(1).nonzero()[:, 0]
    values, items = values[:, :k], items[:, :k]
    if len(tied):
        pessimistic = relevant[tied].byte().sort(dim=1, stable=True).indices
        ranked = scores[tied].gather(1, pessimistic).sort(dim=1, descending=True, stable=True)
        values[tied], items[tied] = ranked.values[:, :k], pessimistic.gather(1, ranked.indices)[:, :k]
    empty = ~(values > -torch.inf)  # NaN too
    hits = relevant.gather(1, items) & ~empty
    items = items.masked_fill(empty, -1)
    if k > number:
        items = torch.nn.functional.pad(items, (0, k - number), value=-1)
        hits = torch.nn.functional.pad(hits, (0, k - number))
    return items, hits


def ndcg(hits: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Return Σ_{p ≤ k} hit_p / log2(p + 1), divided by the same sum of an ideal list: min(k, n) hits first."""
    discount = 1 / torch.arange(2, k + 2, dtype=torch.float64, device=hits.device).log2()
    ideal = discount.cumsum(0)[relevant.clamp(max=k) - 1]
    return hits[..., :k].double() @ discount / ideal


def recall(hits: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Return the hits among the first k over n, all relevant items, be there more than k of them or not."""
    return hits[..., :k].sum(-1).double() / relevant


def precision(hits: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Return the hits among the first k over k."""
    return hits[..., :k].sum(-1).double() / k


def hit(hits: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Return 1 if any of the first k is a hit, else 0."""
    return hits[..., :k].any(-1).double()


def mrr(hits: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Return 1 / p for the first hit at place p ≤ k, 0 without one."""
    place = torch.arange(1, k + 1, dtype=torch.float64, device=hits.device)
    return (hits[..., :k] / place).amax(-1)


def recall_within(hits: Tensor, items: Tensor, inside: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Return the hits among the first k that lie in a slice of the catalogue, over all that were to be found there.

    items (..., U, k) are those of the lists, `inside` (I,) tells which lie in the slice, and `relevant` (U,) is how
    many relevant items of each user do; 0 for a user without any.
    """
    own = hits & inside[items.long().clamp(min=0)]
    return own[..., :k].sum(-1).double() / relevant.clamp(min=1)


METRICS = {"ndcg": ndcg, "recall": recall, "hit": hit, "mrr": mrr, "precision": precision}


def coverage(items: Tensor, catalogue: int) -> Tensor:
    """Return which share of a catalogue stands in at least one list; items (..., U, k) → (...)."""
    lists = items.flatten(-2)
    found = torch.zeros(*lists.shape[:-1], catalogue + 1, dtype=torch.bool, device=items.device)
    found.scatter_(-1, lists.long().where(lists >= 0, catalogue), True)
    return found[..., :catalogue].double().mean(-1)


def popularity(items: Tensor, frequency: Tensor) -> Tensor:
    """Return the mean training frequency of the items of each list; items (..., U, k), frequency (I,) → (..., U)."""
    true = items >= 0
    return (frequency.double()[items.long().clamp(min=0)] * true).sum(-1) / true.sum(-1).clamp(min=1)


def slices(frequency: Tensor, number: int) -> Tensor:
    """Cut a catalogue, numbered by falling frequency (I,), into slices of equal shares of the events; 0 is the head."""
    share = (frequency.cumsum(0) - frequency).double() / frequency.sum()
    return (share * number).long()
