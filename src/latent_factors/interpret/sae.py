"""Top-k sparse autoencoders (Gao et al. 2024; for recommenders Wang et al. 2024, RecSAE).

Those of all S runs of a model are trained side by side: products this small leave a core waiting.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latent_factors.optimiser import Adam
from latent_factors.sections import Autoencoder


class SparseAutoencoders(nn.Module):
    """z = top_k(ReLU(W_e (x − b) + c)), x̂ = W_d z + b: of h latents, k are active at most.

    Rows of W_dᵀ have length 1. W_e starts as W_dᵀ, b as the mean of the vectors to be learned.

    Attributes:
        encoder: W_e (S, h, K).
        threshold: c (S, h).
        decoder: W_dᵀ (S, h, K), a direction a latent.
        centre: b (S, K).
        active: k.
    """

    def __init__(self, centre: Tensor, width: int, active: int):
        """`centre` is (S, K), `width` h and `active` k; directions come from torch's global generator."""
        super().__init__()
        directions = F.normalize(torch.randn(len(centre), width, centre.shape[1]), dim=2)
        self.encoder = nn.Parameter(directions.clone())
        self.threshold = nn.Parameter(torch.zeros(len(centre), width))
        self.decoder = nn.Parameter(directions)
        self.centre = nn.Parameter(centre.clone())
        self.active = min(active, width)

    def hidden(self, x: Tensor) -> Tensor:
        """Return ReLU(W_e (x − b) + c) (S, n, h) for vectors x (S, n, K)."""
        return torch.baddbmm(self.threshold[:, None], x - self.centre[:, None], self.encoder.mT).relu()

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes z (S, n, h) of vectors x (S, n, K)."""
        return top(self.hidden(x), self.active)

    def decode(self, z: Tensor) -> Tensor:
        """Return x̂ (S, n, K) for codes z (S, n, h)."""
        return torch.baddbmm(self.centre[:, None], z, self.decoder)

    def forward(self, x: Tensor) -> Tensor:
        """Return x̂ (S, n, K) for vectors x (S, n, K)."""
        return self.decode(self.encode(x))

    def loss(self, x: Tensor, variance: Tensor, dead: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        """Return the loss (S,) of a batch x (S, n, K), and which latents were active (S, h).

        It is the mean of ‖x̂ − x‖², over the `variance` (S,) of all vectors, plus `weight` times the same of the
        residual e = x − x̂ and what the K/2 most excited of the `dead` latents (S, h) make of it. (The paper's code
        has the residual's sign the other way round, so that dead latents learn the opposite of what is missing.)
        """
        hidden = self.hidden(x)
        z = top(hidden, self.active)
        residual = x - self.decode(z)
        loss = residual.square().sum(2).mean(1)
        if weight and bool(dead.any()):
            spare = top(hidden * dead[:, None], min(max(1, x.shape[2] // 2), hidden.shape[2]))
            missed = residual.detach() - spare @ self.decoder
            loss = loss + weight * missed.square().sum(2).mean(1) * dead.any(1)
        return loss / variance, (z > 0).any(1)

    @torch.no_grad()
    def project(self) -> None:
        """Put the directions back to length 1."""
        self.decoder.div_(self.decoder.norm(dim=2, keepdim=True))


def top(values: Tensor, k: int) -> Tensor:
    """Return values (..., h) with all but the k largest set to zero."""
    largest, places = values.topk(k)
    return torch.zeros_like(values).scatter(-1, places, largest)


def unexplained(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the fraction of variance unexplained Σ ‖x̂ − x‖² / Σ ‖x − x̄‖² (...) of n vectors (..., n, K)."""
    around = (x - x.mean(-2, keepdim=True)).square().sum((-2, -1))
    return (reconstruction - x).square().sum((-2, -1)) / around


def train(x: Tensor, held: Tensor, width: int, active: int, settings: Autoencoder, seed: int) -> SparseAutoencoders:
    """Train S autoencoders on vectors x (S, n, K) until held-out ones (S, m, K) are reconstructed no better.

    An epoch passes all vectors in `settings.batches` steps. Each run of the model keeps its own best epoch. A latent is
    dead if it was not active in the epoch before.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sae = SparseAutoencoders(x.mean(1).cpu(), width, active).to(x.device)
    generator = torch.Generator(x.device).manual_seed(seed)
    optimiser = Adam(sae.parameters(), settings.learning_rate)
    variance = (x - x.mean(1, keepdim=True)).square().sum(2).mean(1)
    best, waited = torch.full((len(x),), math.inf, device=x.device), 0
    kept = {name: value.clone() for name, value in sae.state_dict().items()}
    dead = torch.zeros(len(x), width, dtype=torch.bool, device=x.device)
    for _ in range(settings.epochs):
        alive = torch.zeros_like(dead)
        order = torch.randperm(x.shape[1], generator=generator, device=x.device)
        for rows in order.tensor_split(min(settings.batches, len(order))):
            loss, fired = sae.loss(x[:, rows], variance, dead, settings.auxiliary)
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
            sae.project()
            alive |= fired
        dead = ~alive
        with torch.no_grad():
            better = (score := unexplained(held, sae(held))) < best
        waited = 0 if better.any() else waited + 1
        best = torch.where(better, score, best)
        for name, value in sae.state_dict().items():
            kept[name][better] = value[better]
        if waited == settings.patience:
            break
    sae.load_state_dict(kept)
    return sae
