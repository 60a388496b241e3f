"""Losses of models that learn from events, with sampled negatives or without."""

import math

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

LEAST = 1e-12  # by which a vector is divided at least
ROUND = 32
LOG2_E = math.log2(math.e)  # exp2 takes a quarter of the time of exp
TINY = torch.finfo(torch.float32).tiny
BLOCK = {"cpu": 2**20, "cuda": 2**26}  # logits of a softmax over items at a time: 4 MiB stay in a processor's cache
FAR = -1e4  # takes an item out of a softmax; not −∞, which has no difference from itself where nothing else is left


def bpr(lead: Tensor) -> Tensor:
    """Return the mean of −ln σ(s_ui − s_uj) for the lead (B,) of each event over its negative.

    Rendle et al. 2009, equation BPR-Opt without its penalty.
    """
    return F.softplus(-lead).mean()


def bce(scores: Tensor) -> Tensor:
    """Return the mean of −ln σ(s_0) − Σ_m ln(1 − σ(s_m)) over events; scores (1 + M, B), the event's first.

    He et al. 2017, equation 7.
    """
    return F.softplus(-scores[0]).mean() + F.softplus(scores[1:]).sum(0).mean()


def alignment(user: Tensor, item: Tensor) -> Tensor:
    """Return the mean of ‖u − i‖² () over pairs of unit vectors (B, K).

    Alignment of Wang et al. 2022.
    """
    return (user - item).square().sum(-1).mean()


def uniformity(unit: Tensor, counts: Tensor | None = None) -> Tensor:
    """Return log of the mean of exp(−2 ‖x − y‖²) () over all pairs of unit vectors (U, K); 0 without a pair.

    Uniformity of Wang et al. 2022. Each vector stands for as many as `counts` (U,) says, for one without it: that is
    the same as to repeat them, and takes less time.
    """
    counts = unit.new_ones(len(unit)) if counts is None else counts.to(unit.dtype)
    return _Uniformity.apply(2 * unit, counts) if counts.sum() > 1 else unit.new_zeros(())


def batch_softmax(
    users: Tensor, items: Tensor, user: Tensor, item: Tensor, copies: Tensor, log_q: Tensor, taken: Tensor,
) -> Tensor:
    """Return the mean over events of −ln (e^s_ui / q_i / (e^s_ui / q_i + Σ_j e^s_uj / q_j)), j the batch's other items.

    The scores s are products of the vectors of the different users (U, K) and items (I, K) of a batch, `user` and
    `item` (B,) the place of each event there, `copies` (I,) how often each item stands in the batch: it counts as often
    in the sum. `log_q` (I,) is the logarithm of how often training draws it: a popular item stands in many batches, and
    its correction takes that out again (Yi et al. 2019). Items that a user has `taken` (U, I) are no negatives of
    theirs.
    """
    return _BatchSoftmax.apply(users, items, user, item, copies.log() - log_q, log_q, taken)


class _BatchSoftmax(Function):
    """The same, softplus(o_u − c_ui) of each event: c_ui = s_ui − ln q_i, o_u the logarithm of the sum over the others.

    Its gradients are made with it, block by block of users, so that no matrix (U, I) of scores leaves the cache.
    """

    @staticmethod
    def forward(
        context, users: Tensor, items: Tensor, user: Tensor, item: Tensor, offset: Tensor, log_q: Tensor, taken: Tensor,
    ) -> Tensor:
        own = (users[user] * items[item]).sum(1) - log_q[item]  # c_ui
        by_user, offset = user.argsort(), (offset * LOG2_E).to(users.dtype)
        size = max(1, BLOCK[users.device.type] // len(items))
        events = user.bincount(minlength=len(users)).split(size)
        events = by_user.split([int(counts.sum()) for counts in events])
        loss, wrong = torch.empty_like(own), torch.empty_like(own)  # of each event; wrong is the gradient by o_u − c_ui
        ours, theirs = torch.empty_like(users), torch.zeros_like(items)
        for first, block in zip(range(0, len(users), size), events, strict=True):
            rows = slice(first, first + size)
            near = torch.addmm(offset, users[rows] * LOG2_E, items.T).masked_fill_(taken[rows], FAR)
            most = near.amax(1, keepdim=True)
            total = near.sub_(most).exp2_().sum(1, keepdim=True)
            others = ((most + total.log2()) / LOG2_E)[:, 0]  # o_u
            place = user[block] - first
            lead = others[place] - own[block]
            loss[block], wrong[block] = F.softplus(lead), lead.sigmoid()
            share = torch.zeros_like(others).index_add_(0, place, wrong[block])[:, None] / total
            ours[rows] = share * (near @ items)
            theirs.addmm_(near.T, share * users[rows])
        ours.index_add_(0, user, wrong[:, None] * items[item], alpha=-1)
        theirs.index_add_(0, item, wrong[:, None] * users[user], alpha=-1)
        context.save_for_backward(ours / len(own), theirs / len(own))
        return loss.mean()

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> tuple:
        ours, theirs = context.saved_tensors
        return gradient * ours, gradient * theirs, None, None, None, None, None


def softmax(states: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of −ln (e^(h_b · e_t) / Σ_i e^(h_b · e_i)) () over states h (B, K), t their targets (B,).

    The choice is among all items, of vectors e (I, K).
    """
    return _Softmax.apply(states, items, targets)


class _Softmax(Function):
    """The same. Its gradients are made with it, block by block, so that no matrix (B, I) leaves the cache."""

    @staticmethod
    def forward(context, states: Tensor, items: Tensor, targets: Tensor) -> Tensor:
        total, ours, theirs = states.new_zeros(()), torch.empty_like(states), torch.zeros_like(items)
        size = max(1, BLOCK[states.device.type] // len(items))
        for rows in torch.arange(len(states), device=states.device).split(size):
            near = states[rows] @ items.T
            place = torch.arange(len(rows), device=rows.device), targets[rows]
            near = near.softmax(1)
            total -= near[place].clamp(min=TINY).log().sum()
            near[place] -= 1
            ours[rows] = near @ items
            theirs.addmm_(near.T, states[rows])
        context.save_for_backward(ours, theirs)
        return total / len(states)

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        ours, theirs = context.saved_tensors
        scale = gradient / len(ours)
        return ours * scale, theirs * scale, None


def covariance(points: Tensor) -> Tensor:
    """Return Σ_{k ≠ l} C_kl² () for the covariance C (K, K) of the coordinates of points (N, K).

    Of Cogswell et al. 2016, taken up by Hsieh et al. 2017, whose published code sums C_kl with its sign, so that one
    pair of coordinates that rise together makes up for one that does not.
    """
    centred = points - points.mean(0)
    squares = (centred.T @ centred / len(points)).square()
    return squares.sum() - squares.diagonal().sum()


class _Uniformity(Function):
    """The same of z = 2x, as −2 ‖x − y‖² = z_x · z_y − 4: one product gives all pairs, twice, and each with itself.

    Those who share a vector are at distance 0 and stay there: they add to the sum, not to its gradient.
    """

    @staticmethod
    def forward(context, z: Tensor, counts: Tensor) -> Tensor:
        number, near = counts.sum(), (z @ z.T).exp_()
        near.fill_diagonal_(0)
        total = torch.dot(counts, near @ counts) + math.exp(4) * torch.dot(counts, counts - 1)
        context.save_for_backward(z, counts, near, total)
        return (total / (number * (number - 1))).log() - 4

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:
        z, counts, near, total = context.saved_tensors
        each = counts[:, None]
        return (near @ (each * z)) * (each * (2 * gradient / total)), None


def unit(vectors: Tensor) -> Tensor:
    """Return x / ‖x‖ (..., K) for vectors x (..., K); 0 for 0."""
    return _Unit.apply(vectors)


class _Unit(Function):
    """The same. Its gradient takes three passes, where autograd takes some ten."""

    @staticmethod
    def forward(context, vectors: Tensor) -> Tensor:
        length = vectors.norm(dim=-1, keepdim=True).clamp_(min=LEAST)
        direction = vectors / length
        context.save_for_backward(direction, length)
        return direction

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> Tensor:
        direction, length = context.saved_tensors
        along = (gradient * direction).sum(-1, keepdim=True)
        return torch.addcmul(gradient, direction, along, value=-1).div_(length)


def info_nce(anchors: Tensor, views: Tensor, temperature: float) -> Tensor:
    """Return the mean of −ln(exp(x_i · y_i / τ) / Σ_j exp(x_i · y_j / τ)) () for unit vectors x and y (n, K).

    Row i of one belongs to row i of the other; the other rows are its negatives (van den Oord et al. 2018).
    """
    return _InfoNCE.apply(anchors / temperature, views)


class _InfoNCE(Function):
    """The same of z = x / τ. Its gradients are made with it, while the products of all pairs are still near at hand.

    No logit is far from 0 for unit vectors. Rows of zeros round n up to a multiple of ROUND: products of each new size
    wait for a kernel to be made.
    """

    @staticmethod
    def forward(context, z: Tensor, views: Tensor) -> Tensor:
        number = len(z)
        z, views = (F.pad(own, (0, 0, 0, -number % ROUND)) for own in (z, views))
        near = (z * LOG2_E @ views.T).exp2_()
        near[:, number:] = 0
        total = near.sum(1, keepdim=True)
        gradients = torch.addcdiv(-views, near @ views, total), torch.addmm(z, near.T, z / total, beta=-1)
        context.save_for_backward(*(own[:number] for own in gradients))
        return (total[:number].log().sum() - torch.dot(z.view(-1), views.view(-1))) / number

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> tuple[Tensor, Tensor]:
        ours, theirs = context.saved_tensors
        scale = gradient / len(ours)
        return ours * scale, theirs * scale
