"""The next item spelled token by token: an encoder–decoder transformer over item identifiers (Hua et al. 2023)."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.embedding import Penalty, look_up
from latent_factors.identifiers import END
from latent_factors.identifiers.trie import Level, Trie
from latent_factors.models import Inputs
from latent_factors.models.losses import softmax
from latent_factors.models.sequential import Drop, drop
from latent_factors.models.transformer import Decoder, Encoder
from latent_factors.sections import Generative

STATES = 2**15  # prefixes that are decoded at a time
PART = 32  # windows that are read at a time in training
SHARED = 4  # a level with more than so many times the tokens that may follow one prefix is multiplied prefix by prefix


class Model(nn.Module):
    """p(i | history) = Π_t p(c_t | c_1 … c_{t−1}, history), c_1 … c_T the tokens of item i.

    The softmax at each token runs over those that some item goes on with, in training as in scoring. So the
    probabilities of all items sum to 1, a token that is the only one possible costs nothing, and with one token an item
    the loss is the full softmax over items. (Hua et al. train on a softmax over all tokens and forbid the impossible
    ones afterwards.)

    The encoder reads the tokens of a history; a token sees those of its own item and of the items before. So every
    place of a sequence is an example: the decoder that spells an item sees the items before it, and begins with what
    was made of the last token read. Places are known by how many items lie between them (a learned bias of each head).
    All see a start, so an empty history has a next item too.
    """

    def __init__(self, embedding: None, settings: Generative, inputs: Inputs):
        super().__init__()
        identifiers = inputs.identifiers(settings.scheme)
        self.settings, self.catalogue = settings, len(identifiers)
        self.length = min(settings.history, inputs.sequences.length)
        self.trie = Trie.of(identifiers).to(inputs.items.device)
        self.choices = [(level.tokens >= 0).sum(1) > 1 for level in self.trie.levels]  # (M,) each
        blank = identifiers.tokens.new_zeros(1, identifiers.tokens.shape[1])
        self.register_buffer("spelled", torch.cat([identifiers.tokens, blank]), persistent=False)  # (I + 1, T)
        dim, depth = settings.dim, identifiers.tokens.shape[1]
        self.tokens = nn.Parameter(torch.randn(identifiers.vocabulary, dim) * dim**-0.5)
        self.start, self.begin = (nn.Parameter(torch.randn(dim) * dim**-0.5) for _ in range(2))
        self.place = nn.Parameter(torch.randn(2, depth, dim) * dim**-0.5)  # of a token in its item, read and spelled
        shape = (dim, settings.heads, settings.hidden)
        self.encoder = nn.ModuleList(Encoder(*shape) for _ in range(settings.layers))
        self.decoder = nn.ModuleList(Decoder(*shape) for _ in range(settings.layers))
        self.distance = nn.Parameter(torch.zeros(2, settings.heads, self.length + 2))  # read and spelled; last: start
        self.read, self.said = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def encode(self, items: Tensor, drop: Drop) -> Tensor:
        """Return the memory (B, 1 + L T, d) of histories (B, L): the start, then the tokens of each item."""
        x = (self.tokens[self.spelled[items]] + self.place[0]).flatten(1, 2)
        x = drop(torch.cat([self.start.expand(len(x), 1, -1), x], 1))
        where = self._where(items)
        bias = self._bias(0, where[None], where)
        for layer in self.encoder:
            x = layer(x, bias, drop)
        return self.read(x)

    def _pieces(self, windows: Tensor) -> Tensor:
        """Cut windows (B, W) into pieces (B', L + 1), each of which begins with the last item of the one before.
        """
        if windows.shape[1] <= self.length + 1:
            return windows
        lack = -(windows.shape[1] - 1) % self.length
        pieces = F.pad(windows, (0, lack), value=self.catalogue).unfold(1, self.length + 1, self.length).flatten(0, 1)
        return pieces[pieces[:, 1] < self.catalogue]

    def _recent(self, histories: Tensor) -> Tensor:
        """Return what the model sees of histories (B, L): their last items (B, L'), filled up to the right with I."""
        number = (histories < self.catalogue).sum(1, keepdim=True)
        place = torch.arange(min(self.length, histories.shape[1]), device=histories.device)
        place = place + (number - self.length).clamp(min=0)
        return histories.gather(1, place).masked_fill(place >= number, self.catalogue)

    def _where(self, items: Tensor) -> Tensor:
        """Return at which item of histories (B, L) each place of the memory stands (M,); the start is before all."""
        place = torch.arange(items.shape[1], device=items.device).repeat_interleave(self.spelled.shape[1])
        return torch.cat([place.new_full((1,), -1), place])

    def _bias(self, side: int, at: Tensor, where: Tensor) -> Tensor:
        """Return the bias (1 | B, H, Q, M) of a memory whose items stand at `where` (M,), for who stands at (1 | B, Q).

        Nobody sees what is behind them: neither what came later, nor what fills a history up.
        """
        apart = at[..., None] - where  # (1 | B, Q, M)
        slot = torch.where(where < 0, self.length + 1, apart.clamp(0, self.length))
        return self.distance[side][:, slot].transpose(0, 1).masked_fill((apart < 0)[:, None], -torch.inf)

    def loss(self, windows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the mean of −ln p(i | items before) () over the items of windows (B, W), filled up with I.

        Numbers are dropped where there is a generator to draw them.
        """
        def thin(values: Tensor) -> Tensor:
            return drop(values, self.settings.dropout, generator)

        parts = [self._spell(part, thin) for part in _alike(self._pieces(windows), self.catalogue)]
        items, x = (torch.cat(part) for part in zip(*parts, strict=True))  # (n,), (n, T, d)
        total = x.new_zeros(())
        for depth, level in enumerate(self.trie.levels):
            node = self.trie.nodes[items, depth]
            asked = self.choices[depth][node]  # where one token alone may follow, it costs nothing
            total = total + self._surprise(level, x[asked, depth], node[asked], self.trie.slots[items, depth][asked])
        return total / len(items)

    def _spell(self, windows: Tensor, drop: Drop) -> tuple[Tensor, Tensor]:
        """Return the n items (n,) of windows (B, W), and what the decoder has before each token of them (n, T, d)."""
        real, spelled = windows < self.catalogue, self.spelled[windows]  # (B, W), (B, W, T)
        memory = self.encode(windows[:, :-1], drop)
        at = torch.arange(-1, windows.shape[1] - 1, device=windows.device).repeat_interleave(spelled.shape[2])
        across = self._bias(1, at[None], self._where(windows[:, :-1]))
        ends = memory[:, :: spelled.shape[2]]  # (B, W, d): what is read before each item
        x = torch.cat([(self.begin + ends)[:, :, None], self.tokens[spelled[..., :-1]]], 2) + self.place[1]
        own = torch.full((spelled.shape[2],) * 2, -torch.inf, device=x.device).triu(1)
        x = drop(x)
        for layer in self.decoder:
            x, _ = layer(x, None, own, layer.across.remember(memory), across, drop)
        return windows[real], self.said(x[real])

    def _surprise(self, level: Level, x: Tensor, node: Tensor, slot: Tensor) -> Tensor:
        """Return Σ −ln p () of the tokens in columns `slot` (N,) that follow prefixes `node` (N,)."""
        if not len(x):  # no item of the batch has a choice here
            return x.sum()
        if _full(level):
            return len(x) * softmax(x, self.tokens[slice(*level.span)], slot)
        return -self._chances(level, x, node).gather(1, slot[:, None]).sum()

    def _chances(self, level: Level, x: Tensor, node: Tensor) -> Tensor:
        """Return ln p (N, C) of the tokens that may follow prefixes `node` (N,), from what the decoder says (N, d)."""
        (first, last), widest = level.span, level.tokens.shape[1]
        if _full(level):
            return (x @ self.tokens[first:last].T).log_softmax(1)
        if SHARED * widest < last - first:
            logits = self._grouped(level, x, node)
        else:
            logits = (x @ self.tokens[first:last].T).gather(1, (level.tokens[node] - first).clamp(min=0))
        return logits.masked_fill(level.tokens[node] < 0, -torch.inf).log_softmax(1)

    def _grouped(self, level: Level, x: Tensor, node: Tensor) -> Tensor:
        """Return the logits (N, C) of what may follow prefixes (N,), by one product for all that stand at a prefix.

        So nothing is multiplied that may not follow: prefixes with tokens of their own are many times as quick.
        """
        present, group, count = node.unique(return_inverse=True, return_counts=True)
        order = group.argsort(stable=True)
        place = torch.empty_like(group)
        place[order] = torch.arange(len(group), device=group.device) - (count.cumsum(0) - count)[group[order]]
        rows = x.new_zeros(len(present), int(count.max()) if len(count) else 0, x.shape[1])
        rows = rows.index_put((group, place), x)  # (G, R, d)
        follows = look_up(self.tokens, level.tokens[present].clamp(min=0))  # (G, C, d)
        return (rows @ follows.transpose(1, 2))[group, place]

    def penalties(self, weight: Tensor) -> list[Penalty]:
        """Return none: dropout alone keeps the weights in bounds."""
        return []

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """Return the function from histories (B, L) to ln p(i | history) of all items (B, I): nothing is pruned."""
        size = max(1, STATES // max(len(level.open) for level in self.trie.levels))
        return lambda histories: torch.cat([self._all(rows) for rows in histories.split(size)])

    @torch.no_grad()
    def generate(self, histories: Tensor, taken: tuple[Tensor, Tensor], k: int, beams: int) -> tuple[Tensor, Tensor]:
        """Return k items (B, k) for histories (B, L), found by a beam search, and ln p of them (B, k).

        Of all prefixes of a length the `beams` likeliest go on. `taken`, pairs of a row and an item, is left out, and
        so are prefixes below which everything is taken. Places for which no item is left hold −1.
        """
        speech, pairs = _Speech(self, histories), (taken[0] * self.catalogue + taken[1]).unique()
        taken = (pairs // self.catalogue, pairs % self.catalogue)  # each once
        node, chance, token = histories.new_zeros(len(histories), 1), speech.memory.new_zeros(len(histories), 1), None
        for depth, level in enumerate(self.trie.levels):
            x = speech.say(token)
            chances = self._chances(level, x.flatten(0, 1), node.flatten()).view(*node.shape, -1)
            below = level.below[node].flatten(1)  # (B, G C)
            gone = self._gone(level, depth, taken, len(histories)).gather(1, below)
            best = (chance[..., None] + chances).flatten(1).masked_fill(gone, -torch.inf)
            best = best.topk(min(beams, best.shape[1]), 1)
            token = level.tokens[node].flatten(1).gather(1, best.indices).clamp(min=END)
            node, chance = below.gather(1, best.indices), best.values
            speech.keep(best.indices // chances.shape[2])
        items, short = self.trie.items[node].masked_fill(chance == -torch.inf, -1), (0, max(0, k - node.shape[1]))
        return F.pad(items[:, :k], short, value=-1), F.pad(chance[:, :k], short, value=-torch.inf)

    def _gone(self, level: Level, depth: int, taken: tuple[Tensor, Tensor], rows: int) -> Tensor:
        """Return below which prefixes everything is taken (B, M')."""
        counts = torch.zeros(rows, len(level.held), dtype=torch.int32, device=level.held.device)
        row, item = taken
        node = self.trie.nodes[item, depth + 1]
        counts.index_put_((row, node), counts.new_ones(()), accumulate=True)
        return counts == level.held

    @torch.no_grad()
    def _all(self, histories: Tensor) -> Tensor:
        """Return ln p(i | history) of all items (B, I) for histories (B, L).

        Every prefix is decoded once a user, below which something is yet to be chosen.
        """
        speech = _Speech(self, histories)
        chance, token, place = speech.memory.new_zeros(len(histories), 1), None, None
        for depth, level in enumerate(self.trie.levels):
            if not len(level.open):
                break
            if depth:
                above = self.trie.levels[depth - 1]
                parent, slot = above.parent[level.open], above.slot[level.open]
                speech.keep(place[parent].expand(len(histories), -1))
                token = above.tokens[parent, slot].expand(len(histories), -1)
            follows = level.tokens[level.open]  # (G, C)
            logits = torch.einsum("bgd,gcd->bgc", speech.say(token), self.tokens[follows.clamp(min=0)])
            chances = logits.masked_fill(follows < 0, -torch.inf).log_softmax(2)
            place = level.open.new_full((len(level.tokens),), -1)
            place[level.open] = torch.arange(len(level.open), device=place.device)
            own = place[level.parent]  # (M',), −1 where one token alone may follow: it is certain
            gain = chances.flatten(1)[:, own.clamp(min=0) * follows.shape[1] + level.slot].masked_fill(own < 0, 0.0)
            chance = chance[:, level.parent] + gain
        scores = torch.empty_like(chance)
        scores[:, self.trie.items] = chance
        return scores


def _full(level: Level) -> bool:
    """Return whether all tokens of a level, a run of numbers, may follow its one prefix."""
    first, last = level.span
    return level.tokens.shape == (1, last - first)


def _alike(windows: Tensor, blank: int) -> Iterator[Tensor]:
    """Yield windows (B, W), filled up with `blank`, the shortest first, some at a time and no wider than they must be.

    Most histories of most data are short, and most of a batch as wide as the longest would be what fills it up.
    """
    number = (windows != blank).sum(1)
    order = number.argsort()
    for rows in order.split(PART):
        yield windows[rows, : int(number[rows[-1]])]


def _as_is(values: Tensor) -> Tensor:
    return values


class _Speech:
    """What has been said so far of G prefixes a user, so that the next token costs one place and not all of them.

    Attributes:
        memory: (B, M, d) of the encoder.
    """

    def __init__(self, model: Model, histories: Tensor):
        self.model, self.depth, histories = model, 0, model._recent(histories)
        self.memory = model.encode(histories, _as_is)
        number = (histories < model.catalogue).sum(1, keepdim=True)
        self.across = model._bias(1, number - 1, model._where(histories))  # (B, H, 1, M)
        row = torch.arange(len(histories), device=histories.device)[:, None]
        self.end = self.memory[row, number * model.spelled.shape[1]]  # (B, 1, d)
        self.known = [layer.across.remember(self.memory) for layer in model.decoder]
        self.past = [None] * len(model.decoder)

    def say(self, token: Tensor | None) -> Tensor:
        """Add a token (B, G) to each prefix, none at first; return the vectors (B, G, d) that choose the next one."""
        model = self.model
        x = model.begin + self.end if token is None else model.tokens[token]
        x = (x + model.place[1, self.depth])[:, :, None]  # (B, G, 1, d)
        for number, layer in enumerate(model.decoder):
            x, self.past[number] = layer(x, self.past[number], 0.0, self.known[number], self.across, _as_is)
        self.depth += 1
        return model.said(x)[:, :, 0]

    def keep(self, prefixes: Tensor) -> None:
        """Go on with some of the prefixes (B, G'), be it several times."""
        row = torch.arange(len(prefixes), device=prefixes.device)[:, None]
        self.past = [tuple(part[row, prefixes] for part in pair) for pair in self.past]
