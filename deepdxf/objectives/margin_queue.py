"""Margin loss across the codes against a queue of momentum keys (MCT, CVPR 2021, eq. 13 to 15).

J_ab = Σ_j [α − q_a·k_b⁺ + q_a·k_b^j]₊ with the query q_a from the trained encoder of one code, the key k_b⁺ of the same
drawing from the momentum copy of the other code's encoder, and keys k_b^j of earlier batches; J_ba likewise; the loss is
J_ab + J_ba. The sum over j is taken as the mean over the negatives that violate the margin, so that the length of the
queue does not scale the loss.
"""

from __future__ import annotations

from torch import Tensor, nn

from deepdxf.objectives.parts import Queue, average, fp32, unit


class MarginQueue(nn.Module):
    """Owns one queue of ``length`` keys a code. ``margin``: the paper's text gives no value, 0.1 to 0.3 are usual."""

    def __init__(self, width: int, length: int = 65536, margin: float = 0.2) -> None:
        super().__init__()
        self.margin = margin
        self.keys_a, self.keys_b = Queue(length, width), Queue(length, width)

    @fp32
    def forward(
        self, z_a: Tensor, z_b: Tensor, momentum_a: Tensor, momentum_b: Tensor, *, groups: Tensor | None = None
    ) -> Tensor:
        """All four (b, d); ``groups`` (b,) int64: queued keys of the drawing's own group are no negatives.

        In training the momentum projections join the queues afterwards. With empty queues the loss is 0.
        """
        k_a, k_b = unit(momentum_a).detach(), unit(momentum_b).detach()
        loss = self._one_way(unit(z_a), k_b, self.keys_b, groups) + self._one_way(unit(z_b), k_a, self.keys_a, groups)
        if self.training:
            self.keys_a.push(k_a, groups)
            self.keys_b.push(k_b, groups)
        return loss

    def _one_way(self, query: Tensor, key: Tensor, queue: Queue, groups: Tensor | None) -> Tensor:
        violation = (self.margin - (query * key).sum(-1, keepdim=True) + query @ queue.stored().mT).relu()  # (b, m)
        own = queue.same(groups)
        if own is not None:
            violation = violation.masked_fill(own, 0.0)
        active = (violation > 0).sum(-1).clamp(min=1)
        return average(violation.sum(-1) / active)
