"""Parts that several objectives share: numeric care, queue, bank, momentum copy, predictor, Sinkhorn, schedules.

Letters: b drawings of a batch, d width of a projection, k length of a queue or number of prototypes.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

P = ParamSpec("P")

EPS = 1e-6  # of every normalisation: 1e-12, the usual value, is 0 in half precision


def fp32(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Run a loss in float32 whatever the caller's autocast says; half-precision arguments are widened, double stays.

    Normalising, logits and cross-entropy overflow or lose the small differences that a loss is made of otherwise.
    """

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        wide_args, wide_kwargs = _widen(args), {name: _widen(value) for name, value in kwargs.items()}
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            return function(*wide_args, **wide_kwargs)

    return inside


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return type(value)(map(_widen, value)) if type(value) in (tuple, list) else value


def unit(z: Tensor) -> Tensor:
    """(…, d) rows of length 1; a zero row stays zero."""
    return F.normalize(z, dim=-1, eps=EPS)


def zero(*z: Tensor) -> Tensor:
    """The loss of a batch that can teach nothing: 0, with a gradient of 0 for each of ``z``."""
    return torch.stack([(row * 0.0).sum() for row in z]).sum()


def average(losses: Tensor) -> Tensor:
    """Mean; 0 of nothing (an empty batch), with its gradient of 0."""
    return losses.sum() / max(losses.numel(), 1)


def not_negatives(n: int, same: Tensor | None, like: Tensor) -> Tensor:
    """(n, n) bool: pairs that are no negatives, the diagonal and what ``same`` says."""
    own = torch.eye(n, dtype=torch.bool, device=like.device)
    return own if same is None else own | same


def info_nce(logits: Tensor, positive: Tensor, excluded: Tensor | None = None) -> Tensor:
    """−log of the positive's share among itself and the negatives, for every anchor.

    ``logits`` (…, m) of the candidates, ``positive`` (…) logit of the positive, ``excluded`` (…, m) bool: candidates that
    are not negatives (the positive itself, the same drawing). An anchor without negatives has loss 0.
    """
    if excluded is not None:
        logits = logits.masked_fill(excluded, -math.inf)
    if not logits.shape[-1]:
        return positive * 0.0
    return torch.logaddexp(positive, logits.logsumexp(-1)) - positive


def cosine_between(start: float, end: float, share: float) -> float:
    """From ``start`` (share 0 of the way) to ``end`` (share 1) along half a cosine; outside, the nearer end."""
    return end + (start - end) * (1.0 + math.cos(math.pi * min(max(share, 0.0), 1.0))) / 2.0


class Queue(nn.Module):
    """The last ``length`` vectors pushed, oldest overwritten first, with the group of each.

    It starts empty: random vectors in their place would be negatives that teach nothing. Part of the state dict.
    """

    vectors: Tensor
    groups: Tensor
    pushed: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(length, width))
        self.register_buffer("groups", torch.full((length,), -1, dtype=torch.int64))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))  # how many so far, not cut to the length

    def __len__(self) -> int:
        return min(int(self.pushed), len(self.vectors))

    def stored(self) -> Tensor:
        """(m, d) vectors in the queue, m ≤ length: a copy, so that pushing does not change what a loss has read."""
        return self.vectors[: len(self)].clone()

    def same(self, groups: Tensor | None) -> Tensor | None:
        """(b, m) bool, which stored vectors are of the group of each drawing; None where groups are not known."""
        return None if groups is None else (groups[:, None] == self.groups[: len(self)]) & (groups[:, None] >= 0)

    @torch.no_grad()
    def push(self, vectors: Tensor, groups: Tensor | None = None) -> None:
        """Add (b, d) vectors; of more than the queue holds the last ones stay."""
        length = len(self.vectors)
        kept = vectors.detach()[-length:]
        rows = (int(self.pushed) + len(vectors) - len(kept) + torch.arange(len(kept), device=kept.device)) % length
        self.vectors[rows] = kept.to(self.vectors.dtype)
        self.groups[rows] = -1 if groups is None else groups[-length:]
        self.pushed += len(vectors)


class Bank(nn.Module):
    """One unit vector for each of ``count`` drawings of the training set, a running mean of what was seen of it.

    f ← norm(μ f + (1 − μ) v). Rows start at random points of the sphere, which pull drawings apart before any is known.
    Part of the state dict.
    """

    vectors: Tensor
    groups: Tensor

    def __init__(self, count: int, width: int, momentum: float = 0.5) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("vectors", unit(torch.randn(count, width)))
        self.register_buffer("groups", torch.full((count,), -1, dtype=torch.int64))

    def rows(self, ids: Tensor) -> Tensor:
        """(b, d) rows of the drawings: a copy."""
        return self.vectors[ids]

    @torch.no_grad()
    def draw(self, negatives: int, ids: Tensor, groups: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(m, d) rows drawn at random, the same for a whole batch, and (b, m) bool: which are no negatives of a drawing,
        being its own row or of its group.
        """
        drawn = torch.randint(len(self.vectors), (negatives,), device=ids.device)
        own = drawn == ids[:, None]
        if groups is not None:
            own |= (self.groups[drawn] == groups[:, None]) & (groups[:, None] >= 0)
        return self.vectors[drawn], own

    @torch.no_grad()
    def update(self, ids: Tensor, vectors: Tensor, groups: Tensor | None = None) -> None:
        """Move the rows of ``ids`` towards (b, d) unit ``vectors``."""
        vectors = vectors.detach().to(self.vectors.dtype)
        self.vectors[ids] = unit(self.momentum * self.vectors[ids] + (1.0 - self.momentum) * vectors)
        if groups is not None:
            self.groups[ids] = groups


class BankNCE(nn.Module):
    """Noise-contrastive estimation against a bank: is a vector the drawing's row, or one of m drawn at random?

    h = P / (P + m/n), P = e^{v·f/τ} / Z, n rows; loss −log h(row of the drawing) − Σ_m log(1 − h(drawn row)). Z is
    estimated once, from the first batch, and kept (Wu et al., CVPR 2018).
    """

    log_z: Tensor

    def __init__(self, count: int, width: int, negatives: int, temperature: float, momentum: float) -> None:
        super().__init__()
        self.bank = Bank(count, width, momentum)
        self.negatives, self.temperature = negatives, temperature
        self.register_buffer("log_z", torch.tensor(torch.nan))  # of Z / n, not a number until the first batch

    def forward(self, query: Tensor, ids: Tensor, groups: Tensor | None = None) -> Tensor:
        """Mean loss of (b, d) unit vectors."""
        if not len(query):
            return zero(query)
        drawn, own = self.bank.draw(self.negatives, ids, groups)
        positive = (query * self.bank.rows(ids)).sum(-1) / self.temperature
        negative = query @ drawn.mT / self.temperature  # (b, m)
        log_z = self.log_z
        if log_z.isnan():
            log_z = (negative.detach().logsumexp((0, 1)) - math.log(negative.numel())).to(log_z.dtype)
            if self.training:
                self.log_z.copy_(log_z)
        threshold = math.log(self.negatives) + log_z  # of v·f/τ: above it h > ½
        losses = F.softplus(threshold - positive) + F.softplus(negative - threshold).masked_fill(own, 0.0).sum(-1)
        return average(losses)


class MomentumCopy(nn.Module):
    """An exponential moving average of a module's weights, which takes no gradient: θ_k ← m θ_k + (1 − m) θ.

    m goes from ``momentum[0]`` to ``momentum[1]`` along a cosine over the run (equal ends: constant).
    """

    def __init__(self, module: nn.Module, momentum: tuple[float, float]) -> None:
        super().__init__()
        self.momentum = momentum
        self.module = copy.deepcopy(module).requires_grad_(False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The copy's answer, without gradient."""
        with torch.no_grad():
            return self.module(*args, **kwargs)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int, steps: int) -> None:
        """Follow ``module`` by one step; buffers (no averages make sense of counters) are taken over as they are."""
        m = cosine_between(*self.momentum, step / max(steps, 1))
        for mine, theirs in zip(self.module.parameters(), module.parameters(), strict=True):
            mine.lerp_(theirs.detach().to(mine.dtype), 1.0 - m)
        for copied, original in zip(self.module.buffers(), module.buffers(), strict=True):
            copied.copy_(original)


def standardise(z: Tensor) -> Tensor:
    """(b, d) columns with mean 0 and variance 1 over the batch, no learned scale; one row stays as it is.

    What a BatchNorm at the end of a head does, without its running statistics: gathered projections make it the same in
    every process.
    """
    if len(z) < 2:
        return z
    return (z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + 1e-5)


def predictor(width: int, hidden: int) -> nn.Sequential:
    """Two-layer MLP width → hidden → width; LayerNorm where papers have BatchNorm, which leaks the batch."""
    return nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, width))


class Prototypes(nn.Module):
    """``number`` unit vectors; forward: (b, d) unit vectors → (b, number) cosines.

    Weights are normalised in use, so no step of an optimiser can leave the sphere. ``frozen``: no gradient for them.
    """

    def __init__(self, width: int, number: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(unit(torch.randn(number, width)))

    def forward(self, z: Tensor, frozen: bool = False) -> Tensor:
        """Cosines of unit vectors with every prototype."""
        return z @ unit(self.weight.detach() if frozen else self.weight).mT


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """(b, k) scores → (b, k) assignments: rows sum to 1, columns have nearly equal sums (Sinkhorn–Knopp).

    The largest score is subtracted before exp and all is done in logarithms: no overflow at any ``epsilon``.
    """
    q = scores.float() / epsilon
    for _ in range(iterations):
        q = q - q.logsumexp(0, keepdim=True)  # columns equal
        q = q - q.logsumexp(1, keepdim=True)  # rows sum to 1
    return q.exp()


def stack_views(z_a: Tensor, z_b: Tensor, more: Sequence[Tensor]) -> Tensor:
    """(v, b, d) of two and more views of the same drawings."""
    return torch.stack([z_a, z_b, *more])


def pool(rows: Tensor, owner: Tensor, how: str) -> Tensor:
    """(g, d) "mean" or "amax" of (n, d) rows of each owner 0 … g − 1, every one of which has a row."""
    number = int(owner.max()) + 1 if len(owner) else 0
    index = owner[:, None].expand_as(rows)
    return rows.new_zeros(number, rows.shape[1]).scatter_reduce(0, index, rows, how, include_self=False)


def mixing_share(alpha: float, b: int, like: Tensor) -> Tensor:
    """(b,) shares λ ~ Beta(alpha, alpha)."""
    share = torch.distributions.Beta(alpha, alpha).sample((b,))
    return share.to(like.device, like.dtype)
