"""ALBEF: align before fuse, with momentum distillation (Li et al., NeurIPS 2021).

Contrast: cross-entropy of softmax(s/τ) over [batch; queue] against α softmax(s_momentum/τ) + (1 − α) one-hot, both ways, ÷ 2:
the momentum copies say which other drawings are alike, so a near twin is no pure negative. Matching: a small network says
whether two vectors are of one drawing; its negatives are drawn in proportion to their softmax, hard ones first.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepdxf.objectives.parts import Queue, average, fp32, not_negatives, unit, zero


class ALBEF(nn.Module):
    """Owns two queues, the temperature and the matching network.

    ``alpha`` grows from 0 to its value over the share ``ramp`` of the run (the paper: its first epoch of 30).
    """

    coldest, hottest = 0.001, 0.5  # bounds of the learned temperature, as published

    def __init__(
        self, width: int, length: int = 65536, temperature: float = 0.07, alpha: float = 0.4, ramp: float = 1 / 30
    ) -> None:
        super().__init__()
        self.alpha, self.ramp = alpha, ramp
        self.keys_a, self.keys_b = Queue(length, width), Queue(length, width)
        self.temperature = nn.Parameter(torch.tensor(temperature))
        self.match = nn.Sequential(nn.Linear(4 * width, width), nn.GELU(), nn.Linear(width, 1))

    @fp32
    def forward(
        self,
        z_a: Tensor,
        z_b: Tensor,
        momentum_a: Tensor,
        momentum_b: Tensor,
        *,
        same: Tensor | None = None,
        groups: Tensor | None = None,
        step: int = 1,
        steps: int = 1,
    ) -> Tensor:
        """Contrast + matching of (b, d) projections of two codes and their momentum copies.

        Drawings of ``same`` (b, b), and queued ones of the own ``groups`` (b,), are neither negatives nor targets.
        """
        if not len(z_a):
            return zero(z_a, z_b)
        with torch.no_grad():
            self.temperature.clamp_(self.coldest, self.hottest)
        alpha = self.alpha * min(1.0, step / max(self.ramp * steps, 1e-9))
        a, b = unit(z_a), unit(z_b)
        k_a, k_b = unit(momentum_a).detach(), unit(momentum_b).detach()
        twins = not_negatives(len(a), same, a) ^ torch.eye(len(a), dtype=torch.bool, device=a.device)
        contrast = self._contrast(a, k_a, k_b, self.keys_b, twins, groups, alpha)
        contrast = (contrast + self._contrast(b, k_b, k_a, self.keys_a, twins.mT, groups, alpha)) / 2.0
        matching = self._matching(a, b, twins)
        if self.training:
            self.keys_a.push(k_a, groups)
            self.keys_b.push(k_b, groups)
        return contrast + matching

    def _contrast(
        self, query: Tensor, own: Tensor, keys: Tensor, queue: Queue, twins: Tensor, groups: Tensor | None, alpha: float
    ) -> Tensor:
        """Mean cross-entropy; ``own`` the momentum copy of the query, ``keys`` those of the other code."""
        stored = queue.stored()
        everything = torch.cat([keys, stored])
        queued = queue.same(groups)
        excluded = torch.cat([twins, twins.new_zeros(len(query), len(stored)) if queued is None else queued], 1)
        with torch.no_grad():
            soft = (own @ everything.mT / self.temperature).masked_fill(excluded, -math.inf).softmax(-1)
            target = alpha * soft
            target.diagonal().add_(1.0 - alpha)
        logs = (query @ everything.mT / self.temperature).masked_fill(excluded, -math.inf).log_softmax(-1)
        return -(target * logs.masked_fill(excluded, 0.0)).sum(-1).mean()

    def _matching(self, a: Tensor, b: Tensor, twins: Tensor) -> Tensor:
        """Mean binary cross-entropy over the true pairs and one hard negative for each vector that has any."""
        n = len(a)
        own = torch.eye(n, dtype=torch.bool, device=a.device)
        with torch.no_grad():
            s = (a @ b.mT / self.temperature).masked_fill(own | twins, -math.inf)
        pairs, truth = [self._pair(a, b)], [a.new_ones(n)]
        for scores, swap in ((s, False), (s.mT, True)):
            has = (scores > -math.inf).any(-1)
            if has.any():
                drawn = torch.multinomial(scores[has].softmax(-1), 1)[:, 0]
                pairs.append(self._pair(a[drawn], b[has]) if swap else self._pair(a[has], b[drawn]))
                truth.append(a.new_zeros(len(drawn)))
        logits = self.match(torch.cat(pairs))[:, 0]
        return average(F.binary_cross_entropy_with_logits(logits, torch.cat(truth), reduction="none"))

    @staticmethod
    def _pair(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b, a * b, (a - b).abs()], -1)
