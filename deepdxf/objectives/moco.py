"""MoCo: keys from a momentum copy of the encoder (He et al., CVPR 2020; v2: Chen et al. 2020; v3: Chen et al., ICCV 2021).

v1, v2: −log e^{q·k⁺/τ} / (e^{q·k⁺/τ} + Σ_K e^{q·k_j/τ}), k_j the keys of earlier batches in a queue. v2 differs in the
head, the views and the temperature. v3: no queue, a predictor, 2τ [CE(q₁·k₂/τ) + CE(q₂·k₁/τ)] inside the batch.
"""

from __future__ import annotations

from torch import Tensor, nn

from deepdxf.objectives.parts import Queue, average, fp32, info_nce, not_negatives, predictor, unit


class MomentumContrast(nn.Module):
    """v1 and v2; owns the queue."""

    def __init__(self, width: int, length: int = 65536, temperature: float = 0.07) -> None:
        super().__init__()
        self.temperature = temperature
        self.queue = Queue(length, width)

    @fp32
    def forward(self, z_a: Tensor, momentum_b: Tensor, *, groups: Tensor | None = None) -> Tensor:
        """Query (b, d) of one view, key (b, d) of the other; queued keys of the own group are no negatives.

        In training the keys join the queue afterwards. With an empty queue the loss is 0.
        """
        query, key = unit(z_a), unit(momentum_b).detach()
        logits = query @ self.queue.stored().mT / self.temperature
        losses = info_nce(logits, (query * key).sum(-1) / self.temperature, self.queue.same(groups))
        if self.training:
            self.queue.push(key, groups)
        return average(losses)


class MoCoV3(nn.Module):
    """v3; owns the predictor. ``temperature`` 0.2 is the paper's for transformers (1.0 for ResNet-50)."""

    def __init__(self, width: int, hidden: int = 4096, temperature: float = 0.2) -> None:
        super().__init__()
        self.temperature = temperature
        self.predictor = predictor(width, hidden)

    @fp32
    def forward(
        self, z_a: Tensor, z_b: Tensor, momentum_a: Tensor, momentum_b: Tensor, *, same: Tensor | None = None
    ) -> Tensor:
        """All (b, d); ``same`` (b, b): no negatives of each other."""
        excluded = not_negatives(len(z_a), same, z_a)
        total = z_a.new_zeros(())
        for z, momentum in ((z_a, momentum_b), (z_b, momentum_a)):
            logits = unit(self.predictor(z)) @ unit(momentum).detach().mT / self.temperature
            total = total + average(info_nce(logits, logits.diagonal(), excluded))
        return 2.0 * self.temperature * total
