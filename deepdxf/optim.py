"""Optimisers, learning-rate schedules and averaged weights, by name.

Schedules are functions of the step alone, and the learning rate is written into the optimiser before every step: there
is no scheduler whose state a resumed run could miss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

OptimiserName = Literal["adamw", "sgd", "lars"]
ScheduleName = Literal["warmup-cosine", "ramp-cosine", "constant"]


@dataclass(frozen=True)
class OptimiserConfig:
    """How gradients become steps."""

    name: OptimiserName = "adamw"
    lr: float | None = None  # highest learning rate; none: what the optimiser usually takes, see `DEFAULTS`
    lr_sequence: float | None = None  # of the sequence branch; none: lr
    lr_geometry: float | None = None  # of the geometry branch; none: lr
    weight_decay: float | None = None  # on matrices only; none: what the optimiser usually takes
    momentum: float = 0.9  # sgd, lars
    beta1: float = 0.9  # adamw
    beta2: float = 0.98  # adamw
    clip: float = 1.0  # longest gradient, all parameters together; 0: none is shortened
    ema_start: float = 0.99  # decay of the averaged weights, which serve, at the first step …
    ema_end: float = 0.999  # … and at the last


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning rate by step, as a share of the highest."""

    name: ScheduleName = "warmup-cosine"
    warmup: float = 0.1  # warmup-cosine: share of all steps in which the rate rises from 0
    ramp_steps: int = 2000  # ramp-cosine: steps in which it rises from ``floor``
    floor: float = 0.01  # share at the end


# highest learning rate for a batch of so many drawings, and weight decay
DEFAULTS: dict[str, tuple[Callable[[int], float], float]] = {
    "adamw": (lambda batch: 1e-3, 0.02),
    "sgd": (lambda batch: 0.05 * batch / 256, 1e-4),  # SimSiam (Chen & He 2021)
    "lars": (lambda batch: 0.3 * batch / 256, 1e-6),  # SimCLR (Chen et al. 2020)
}


def optimiser_for(
    branches: Mapping[str, Iterable[nn.Parameter]], config: OptimiserConfig, batch: int
) -> torch.optim.Optimizer:
    """One optimiser for all parameters; vectors and scalars (biases, norms, temperatures) have no weight decay.

    Args:
        branches: parameters by branch; "sequence" and "geometry" may have learning rates of their own.
        batch: drawings a step, from which the default learning rate of sgd and lars follows.
    """
    usual_lr, usual_decay = DEFAULTS[config.name]
    lr = usual_lr(batch) if config.lr is None else config.lr
    decay = usual_decay if config.weight_decay is None else config.weight_decay
    own_lr = {"sequence": config.lr_sequence, "geometry": config.lr_geometry}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for branch, parameters in branches.items():
        rate = own_lr.get(branch)
        for parameter in parameters:
            if parameter.requires_grad:
                key = (lr if rate is None else rate, decay if parameter.ndim > 1 else 0.0)
                groups.setdefault(key, []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate, "highest_lr": rate, "weight_decay": own_decay}
        for (rate, own_decay), parameters in groups.items()
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(listed, lr=lr, betas=(config.beta1, config.beta2))
    if config.name == "sgd":
        return torch.optim.SGD(listed, lr=lr, momentum=config.momentum)
    return LARS(listed, lr=lr, momentum=config.momentum)


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rates (You, Gitman, Ginsburg 2017), in the form SimCLR trains with (Chen et al. 2020).

    With d = g + weight_decay · w, every matrix w moves by v ← momentum · v + lr · r · d, w ← w − v, where
    r = trust · ‖w‖ / ‖d‖ (1 where one of the norms is 0). Vectors and scalars have r = 1.
    """

    def __init__(self, params: Any, lr: float, momentum: float = 0.9, weight_decay: float = 0.0, trust: float = 1e-3):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure is ever given
        """Move all parameters that have a gradient."""
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is None:
                    continue
                d = w.grad + group["weight_decay"] * w
                rate = torch.tensor(group["lr"], dtype=w.dtype, device=w.device)
                if w.ndim > 1:
                    size, length = torch.linalg.vector_norm(w), torch.linalg.vector_norm(d)
                    ratio = group["trust"] * size / length
                    rate = rate * torch.where((size > 0) & (length > 0), ratio, torch.ones_like(ratio))
                velocity = self.state[w].setdefault("velocity", torch.zeros_like(w))
                velocity.mul_(group["momentum"]).add_(rate * d)
                w.sub_(velocity)


def lr_share(config: ScheduleConfig, step: int, steps: int) -> float:
    """Learning rate of step 0 … steps − 1, as a share of the highest.

    warmup-cosine   (step + 1) / warm in the first warm = warmup · steps steps; then half a cosine from 1 to ``floor``,
                    which the last step has.
    ramp-cosine     from ``floor`` linearly to 1 in ``ramp_steps`` steps (at most half of the run), then the same.
    constant        1
    """
    if config.name == "constant":
        return 1.0
    if config.name == "warmup-cosine":
        rise = math.ceil(config.warmup * steps)
        if step < rise:
            return (step + 1) / rise
    else:
        rise = min(config.ramp_steps, steps // 2)
        if step < rise:
            return config.floor + (1 - config.floor) * step / rise
    way = (step - rise) / max(steps - 1 - rise, 1)
    return config.floor + (1 - config.floor) * (1 + math.cos(math.pi * way)) / 2


def set_lr(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Let every parameter group have this share of its highest learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = group["highest_lr"] * share


def ema_decay(config: OptimiserConfig, step: int, steps: int) -> float:
    """Decay of the averaged weights after step 0 … steps − 1: from ``ema_start`` to ``ema_end`` along the run.

    Never above (1 + step) / (10 + step): a short run must not serve its random first weights.
    """
    planned = config.ema_start + (config.ema_end - config.ema_start) * step / max(steps - 1, 1)
    return min(planned, (1 + step) / (10 + step))


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """averaged ← decay · averaged + (1 − decay) · model, for every parameter and buffer of the same structure."""
    for old, new in zip(_tensors(averaged), _tensors(model), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
