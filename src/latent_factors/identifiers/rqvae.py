"""Residual-quantised identifiers: a vector as a few codes, each of what the codes before it leave (RQ-VAE)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.errors import UserError
from latent_factors.optimiser import Adam

KMEANS_SWEEPS = 10
LEARNING_RATE = 1e-3


class RQVAE(nn.Module):
    """z = encoder(x), r₁ = z; c_l the code nearest to r_l of K, r_{l+1} = r_l − e_l[c_l]; x̂ = decoder(Σ_l e_l[c_l]).

    One hidden layer on each side (Singh et al. 2024).

    Attributes:
        books: (L, K, d) the codes of every level.
    """

    def __init__(self, width: int, hidden: int, dim: int, levels: int, codes: int, beta: float):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.decoder = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.books, self.beta = nn.Parameter(torch.randn(levels, codes, dim)), beta

    def quantise(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the codes (B, L) of z (B, d), what is left before each level (B, L, d) and the codes' vectors."""
        codes, residuals, chosen, left = [], [], [], z
        for book in self.books:
            code = nearest(left.detach(), book.detach())
            codes.append(code)
            residuals.append(left)
            chosen.append(book[code])
            left = left - chosen[-1].detach()
        return torch.stack(codes, 1), torch.stack(residuals, 1), torch.stack(chosen, 1)

    def loss(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean loss (), and the codes (B, L) and residuals (B, L, d) of x (B, C).

        ‖x − x̂‖² + Σ_l (β ‖r_l − sg(e_l)‖² + ‖sg(r_l) − e_l‖²); x̂ is decoded straight through: the gradient of the sum
        of codes goes to z as it is.
        """
        z = self.encoder(x)
        codes, residuals, chosen = self.quantise(z)
        restored = self.decoder(z + (chosen.sum(1) - z).detach())
        commit = (residuals - chosen.detach()).square().sum((1, 2))
        follow = (residuals.detach() - chosen).square().sum((1, 2))
        return ((x - restored).square().sum(1) + self.beta * commit + follow).mean(), codes, residuals.detach()

    @torch.no_grad()
    def start(self, x: Tensor, generator: torch.Generator) -> None:
        """Put the codes of each level at the means of k-means on what the levels before leave of x (I, C)."""
        left = self.encoder(x)
        for book in self.books:
            book.copy_(kmeans(left, len(book), generator))
            left = left - book[nearest(left, book)]

    @torch.no_grad()
    def revive(self, codes: Tensor, residuals: Tensor, generator: torch.Generator) -> int:
        """Move every code that none of a batch has, codes (B, L), to a random residual (B, L, d); return how many."""
        moved = 0
        for level, book in enumerate(self.books):
            dead = (torch.bincount(codes[:, level], minlength=len(book)) == 0).nonzero()[:, 0]
            drawn = torch.randint(len(residuals), (len(dead),), generator=generator)
            book[dead] = residuals[drawn, level]
            moved += len(dead)
        return moved


def nearest(points: Tensor, means: Tensor) -> Tensor:
    """Return which of some means (K, d) is nearest to each point (n, d): a number below K (n,)."""
    return (means.square().sum(1) - 2 * points @ means.T).argmin(1)


def kmeans(points: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return `number` means (K, d) of points (n, d), after some sweeps from different points drawn at random.

    A mean that no point is nearest to stays where it is.

    Raises UserError for more means than points.
    """
    if number > len(points):
        raise UserError(f"identifiers residual: {number} codes for {len(points)} items; lower codes in params.yaml")
    means = points[torch.randperm(len(points), generator=generator)[:number]].clone()
    for _ in range(KMEANS_SWEEPS):
        own = nearest(points, means)
        sums = torch.zeros_like(means).index_add_(0, own, points)
        counts = torch.bincount(own, minlength=number)[:, None]
        means = torch.where(counts > 0, sums / counts.clamp(min=1), means)
    return means


def train(
    x: Tensor, hidden: int, dim: int, levels: int, codes: int, beta: float, epochs: int, batch_size: int, seed: int
) -> tuple[RQVAE, list[float]]:
    """Train an RQ-VAE on the vectors of items (I, C); return it and the mean loss of each epoch.

    Codes without a vector are reset after every step, to a residual of the batch, but for the last tenth of the epochs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RQVAE(x.shape[1], hidden, dim, levels, codes, beta)
    generator = torch.Generator().manual_seed(seed + 1)
    model.start(x, generator)
    adam, losses = Adam(model.parameters(), LEARNING_RATE), []
    for epoch in range(epochs):
        steps = []
        for rows in torch.randperm(len(x), generator=generator).split(batch_size):
            loss, own, residuals = model.loss(x[rows])
            adam.zero_grad()
            loss.backward()
            adam.step()
            if epoch < 0.9 * epochs:
                model.revive(own, residuals, generator)
            steps.append(loss.detach())
        losses.append(torch.stack(steps).mean().item())
    return model, losses


@torch.no_grad()
def codes_of(model: RQVAE, x: Tensor) -> Tensor:
    """Return the codes (I, L) of vectors (I, C)."""
    return model.quantise(model.encoder(x))[0]


@torch.no_grad()
def restored_share(model: RQVAE, x: Tensor) -> float:
    """Return 1 − Σ‖x − x̂‖² / Σ‖x − x̄‖²: which share of the vectors' variance the codes keep."""
    chosen = model.quantise(model.encoder(x))[2].sum(1)
    return 1 - (F.mse_loss(model.decoder(chosen), x) / F.mse_loss(x.mean(0).expand_as(x), x)).item()
