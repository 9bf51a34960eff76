"""DINO: a student's distribution over prototypes follows a slow, sharpened, centred teacher's (Caron et al., ICCV 2021).

−Σ_{t≠s} softmax((g_t − c)/τ_t) · log softmax(g_s/τ_s), t one of the two large views seen by the teacher, s any view seen by
the student; c ← 0.9 c + 0.1 mean(g_t).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepdxf.objectives.parts import MomentumCopy, Prototypes, fp32, unit, zero


class DINO(nn.Module):
    """Owns the student's prototypes, the teacher's (their momentum copy) and the centre.

    ``prototypes``: the paper's 65536 are for a million pictures. Sharpening alone ends in one prototype for all,
    centring alone in all alike: it takes both. ``frozen``: share of the run in which prototypes are not trained.
    """

    centre: Tensor

    def __init__(
        self,
        width: int,
        prototypes: int = 4096,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        centre_momentum: float = 0.9,
        momentum: tuple[float, float] = (0.996, 1.0),
        frozen: float = 0.01,
    ) -> None:
        super().__init__()
        self.student = Prototypes(width, prototypes)
        self.teacher = MomentumCopy(self.student, momentum)
        self.temperature, self.teacher_temperature = temperature, teacher_temperature
        self.centre_momentum, self.frozen = centre_momentum, frozen
        self.register_buffer("centre", torch.zeros(prototypes))

    @fp32
    def forward(
        self,
        z_a: Tensor,
        z_b: Tensor,
        momentum_a: Tensor,
        momentum_b: Tensor,
        *,
        more: Sequence[Tensor] = (),
        step: int = 1,
        steps: int = 1,
    ) -> Tensor:
        """Mean over pairs and batch of (b, d) projections; ``more`` are small crops, seen by the student only."""
        if not len(z_a):
            return zero(z_a, z_b, *more)
        if self.training:
            self.teacher.update(self.student, step, steps)
        frozen = step / max(steps, 1) < self.frozen
        logs = [(self.student(unit(z), frozen=frozen) / self.temperature).log_softmax(-1) for z in (z_a, z_b, *more)]
        taught = [self.teacher(unit(z)) for z in (momentum_a, momentum_b)]
        terms = []
        for t, g in enumerate(taught):
            target = ((g - self.centre) / self.teacher_temperature).softmax(-1).detach()
            terms += [-(target * log).sum(-1).mean() for s, log in enumerate(logs) if s != t]
        if self.training:
            self.centre.lerp_(torch.cat(taught).mean(0).to(self.centre.dtype), 1.0 - self.centre_momentum)
        return torch.stack(terms).mean()
