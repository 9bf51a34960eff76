"""SwAV: one view's assignment to prototypes is predicted from the others (Caron et al., NeurIPS 2020).

ℓ(z_t, q_s) = −Σ_k q_s log softmax(z_t·C/τ), q = Sinkhorn(z_s·C/ε); mean over pairs s ≠ t, s one of the two large views, t
any view or small crop.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepdxf.objectives.parts import Prototypes, Queue, fp32, sinkhorn, unit, zero


class SwAV(nn.Module):
    """Owns the prototypes and a queue for each large view, which lets small batches fill all prototypes.

    ``frozen``: share of the run for which prototypes are not trained; ``queue_from``: share from which the queues, once
    full, take part (both the published script's, of its 200 epochs). What keeps it from one prototype for all: Sinkhorn.
    """

    def __init__(
        self,
        width: int,
        prototypes: int = 3000,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        length: int = 3840,
        frozen: float = 0.005,
        queue_from: float = 0.075,
    ) -> None:
        super().__init__()
        self.prototypes = Prototypes(width, prototypes)
        self.queue_a, self.queue_b = Queue(length, width), Queue(length, width)
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.frozen, self.queue_from = frozen, queue_from

    @fp32
    def forward(
        self, z_a: Tensor, z_b: Tensor, *, more: Sequence[Tensor] = (), step: int = 1, steps: int = 1
    ) -> Tensor:
        """All (b, d); ``more`` are small crops, which are never assigned themselves."""
        if not len(z_a):
            return zero(z_a, z_b, *more)
        share = step / max(steps, 1)
        views = [unit(view) for view in (z_a, z_b, *more)]
        scores = [self.prototypes(view, frozen=share < self.frozen) for view in views]
        logs = [(score / self.temperature).log_softmax(-1) for score in scores]
        terms = []
        for s, queue in enumerate((self.queue_a, self.queue_b)):
            q = self._assign(scores[s].detach(), queue, share)
            terms += [-(q * log).sum(-1).mean() for t, log in enumerate(logs) if t != s]
            if self.training:
                queue.push(views[s])
        return torch.stack(terms).mean()

    def _assign(self, scores: Tensor, queue: Queue, share: float) -> Tensor:
        """(b, k) assignments, made together with the queue's vectors."""
        if share >= self.queue_from and len(queue) == len(queue.vectors):
            with torch.no_grad():
                scores = torch.cat([scores, self.prototypes(queue.stored())])
            return sinkhorn(scores, self.epsilon, self.iterations)[: -len(queue)]
        return sinkhorn(scores, self.epsilon, self.iterations)
