"""How the losses of one step become one number: balancing strategies.

    balancer = balance.build("chance", weights={"geometry": 1, "cross": 1.5}, chance={"geometry": math.log(255), …})
    total = balancer.combine(losses, step, steps)

``weights`` are the user's own factors (1 where not given; 0 leaves a loss out), ``chance`` the level of each loss at which
embeddings say nothing (`objectives.chance`; 1 where not given). Every strategy but ``fixed`` works on losses divided by it,
so that a loss over many candidates is not larger for that reason alone.

fixed          the user's weights, nothing else
chance         the user's weights on losses ÷ chance: the baseline that the others must beat
uncertainty    learned weights 1/(2e^s) (Kendall et al., CVPR 2018)
gradient-norm  larger gradient, less weight (GradNorm, Chen et al., ICML 2018, in closed form)
loss-ratio     a loss that falls slower gets more weight (dynamic weight average, Liu et al., CVPR 2019)
phase-in       the cross term comes in along a cosine between two shares of the run

A balancer is a module: ``parameters()`` to the optimiser (only ``uncertainty`` has any), ``state_dict`` to the checkpoint.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepdxf.errors import ObjectiveError
from deepdxf.objectives.parts import cosine_between

LEAST, MOST = 0.05, 20.0  # bounds of a learned or measured weight, the mean being 1: no loss is switched off for good


class Fixed(nn.Module):
    """The user's weights alone. Base of the other strategies, which override `weights`."""

    normalised = False  # whether losses are divided by their chance level
    every = 0  # steps from one measuring of gradient norms to the next, 0 = never

    def __init__(self, weights: Mapping[str, float] | None = None, chance: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.own = dict(weights or {})
        self.level = {name: level for name, level in (chance or {}).items() if level > 0} if self.normalised else {}

    def scale(self, name: str) -> float:
        """The user's weight over the chance level: what a loss is multiplied by before any balancing."""
        return self.own.get(name, 1.0) / self.level.get(name, 1.0)

    def weights(
        self, losses: Mapping[str, float], gradients: Mapping[str, float] | None, step: int, steps: int
    ) -> dict[str, float]:
        """Factor of every loss at this step. ``gradients``: norms of the losses as given, where they were measured."""
        return {name: self.scale(name) for name in losses}

    def combine(self, losses: Mapping[str, Tensor], step: int, steps: int, shared: Sequence[Tensor] = ()) -> Tensor:
        """The weighted sum of scalar ``losses`` at ``step`` of ``steps``.

        ``shared``: what the losses are functions of (backbone vectors, or projections), where ``gradient-norm`` measures;
        the other strategies do not look at it.
        """
        due = self.every and step % self.every == 0
        norms = gradient_norms(losses, shared) if due and shared else None
        factors = self.weights({name: float(loss.detach()) for name, loss in losses.items()}, norms, step, steps)
        return _total([factors[name] * loss for name, loss in losses.items() if factors[name]], losses)

    def get_extra_state(self) -> dict[str, Any]:
        """What a strategy remembers from earlier steps, in plain numbers."""
        return {}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up what `get_extra_state` gave."""
        vars(self).update(state)


class Chance(Fixed):
    """The user's weights on losses divided by their chance levels."""

    normalised = True


class Uncertainty(Fixed):
    """Σ L/(2eˢ) + (s + 2)/2 with a learned s for each loss, held in [−2, 3].

    The paper's term is s/2; the constant makes no total negative and changes no gradient. Without the bounds the
    optimum, eˢ = L, multiplies whichever loss is nearest to 0 without end: an easy task would take all.
    """

    normalised = True
    low, high = -2.0, 3.0

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        chance: Mapping[str, float] | None = None,
        names: Collection[str] = (),
    ) -> None:
        """``names`` of all losses that will come; by default those of ``weights``."""
        super().__init__(weights, chance)
        self.log_variance = nn.ParameterDict({name: torch.tensor(-0.5) for name in names or self.own})

    def weights(
        self, losses: Mapping[str, float], gradients: Mapping[str, float] | None, step: int, steps: int
    ) -> dict[str, float]:
        """Factors at the present values of s."""
        return {name: self.scale(name) * math.exp(-float(self._s(name).detach())) / 2.0 for name in losses}

    def combine(self, losses: Mapping[str, Tensor], step: int, steps: int, shared: Sequence[Tensor] = ()) -> Tensor:
        """The sum above, with gradients for s."""
        terms = []
        for name, loss in losses.items():
            if self.scale(name):
                s = self._s(name)
                terms.append(self.scale(name) * loss * torch.exp(-s) / 2.0 + (s - self.low) / 2.0)
        return _total(terms, losses)

    def _s(self, name: str) -> Tensor:
        if name not in self.log_variance:
            raise ObjectiveError(
                f"balancing by uncertainty was not told of loss {name!r}; name it in names= or weights="
            )
        s: Tensor = self.log_variance[name]
        with torch.no_grad():  # held inside, not clamped in the formula: there the gradient would be 0 for ever
            s.clamp_(self.low, self.high)
        return s


class GradientNorm(Fixed):
    """Weights under which the losses pull equally hard, w_i ∝ r_i^α / G_i, mean 1.

    G_i: running mean of the gradient's norm, r_i: loss relative to its first value, over the mean of all. GradNorm finds
    the same point by descent on shared weights; the two encoders share none, so it is solved where they meet: at the
    vectors.
    """

    normalised = True

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        chance: Mapping[str, float] | None = None,
        alpha: float = 1.5,
        every: int = 10,
        memory: float = 0.9,
    ) -> None:
        """``alpha``: how much more a slower loss gets; ``every`` so many steps norms are measured; ``memory`` of means."""
        super().__init__(weights, chance)
        self.alpha, self.every, self.memory = alpha, every, memory
        self.first: dict[str, float] = {}
        self.norm: dict[str, float] = {}

    def weights(
        self, losses: Mapping[str, float], gradients: Mapping[str, float] | None, step: int, steps: int
    ) -> dict[str, float]:
        """Factors; a loss without a measured norm keeps the user's weight."""
        for name, value in losses.items():
            if value > 0:
                self.first.setdefault(name, value)
        for name, norm in (gradients or {}).items():
            if norm > 0:
                norm /= self.level.get(name, 1.0)
                self.norm[name] = self.memory * self.norm.get(name, norm) + (1.0 - self.memory) * norm
        measured = [name for name in losses if name in self.norm and name in self.first and self.scale(name)]
        rate = {name: losses[name] / self.first[name] for name in measured}
        mean = sum(rate.values()) / max(len(rate), 1) or 1.0
        pull = {name: (rate[name] / mean) ** self.alpha / self.norm[name] for name in measured}
        factors = _mean_one(pull)
        return {name: self.scale(name) * factors.get(name, 1.0) for name in losses}

    def get_extra_state(self) -> dict[str, Any]:
        """First losses and mean norms."""
        return {"first": dict(self.first), "norm": dict(self.norm)}


class LossRatio(Fixed):
    """w = K softmax(r / T), r_i = mean loss of the last window of steps over that of the window before.

    The paper's windows are epochs; here the run is cut into ``windows`` of equal length. 1 for all until two are over.
    """

    normalised = True

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        chance: Mapping[str, float] | None = None,
        temperature: float = 2.0,
        windows: int = 50,
    ) -> None:
        super().__init__(weights, chance)
        self.temperature, self.windows = temperature, windows
        self.window = 0
        self.sums: dict[str, tuple[float, int]] = {}
        self.means: list[dict[str, float]] = []  # of the last two windows

    def weights(
        self, losses: Mapping[str, float], gradients: Mapping[str, float] | None, step: int, steps: int
    ) -> dict[str, float]:
        """Factors from the windows that are over; counts this step's losses."""
        window = step * self.windows // max(steps, 1)
        if window != self.window and self.sums:
            self.means = [*self.means[-1:], {name: total / n for name, (total, n) in self.sums.items()}]
            self.sums = {}
        self.window = window
        for name, value in losses.items():
            total, n = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, n + 1)
        factors: dict[str, float] = {}
        if len(self.means) == 2:
            before, last = self.means
            known = [name for name in losses if before.get(name, 0.0) > 0 and name in last and self.scale(name)]
            factors = _mean_one(
                {name: math.exp(min(last[name] / before[name] / self.temperature, 50.0)) for name in known}
            )
        return {name: self.scale(name) * factors.get(name, 1.0) for name in losses}

    def get_extra_state(self) -> dict[str, Any]:
        """Sums of the present window, means of the last two."""
        return {"window": self.window, "sums": dict(self.sums), "means": list(self.means)}


class PhaseIn(Fixed):
    """Losses named ``late`` have weight 0 up to the share ``start`` of the steps, their full weight from ``end`` on."""

    normalised = True

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        chance: Mapping[str, float] | None = None,
        late: Collection[str] = ("cross",),
        start: float = 0.1,
        end: float = 0.25,
    ) -> None:
        super().__init__(weights, chance)
        if not 0.0 <= start < end <= 1.0:
            raise ObjectiveError(f"phase-in from {start:g} to {end:g}: give two shares of the run, 0 ≤ start < end ≤ 1")
        self.late, self.start, self.end = tuple(late), start, end

    def weights(
        self, losses: Mapping[str, float], gradients: Mapping[str, float] | None, step: int, steps: int
    ) -> dict[str, float]:
        """Factors at this share of the run."""
        share = (step / max(steps, 1) - self.start) / (self.end - self.start)
        shown = cosine_between(0.0, 1.0, share)
        return {name: self.scale(name) * (shown if name in self.late else 1.0) for name in losses}


BALANCING: dict[str, type[Fixed]] = {
    "fixed": Fixed,
    "chance": Chance,
    "uncertainty": Uncertainty,
    "gradient-norm": GradientNorm,
    "loss-ratio": LossRatio,
    "phase-in": PhaseIn,
}


def build(name: str, **settings: Any) -> Fixed:
    """The strategy of a name, with keyword arguments of its class."""
    if name not in BALANCING:
        raise ObjectiveError(f"no balancing strategy {name!r}; there are: {', '.join(BALANCING)}")
    known = list(inspect.signature(BALANCING[name]).parameters)
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ObjectiveError(f"balancing {name} has no setting {unknown[0]!r}; it has: {', '.join(known)}")
    return BALANCING[name](**settings)


def gradient_norms(losses: Mapping[str, Tensor], shared: Sequence[Tensor]) -> dict[str, float]:
    """Euclidean norm of each loss's gradient at ``shared``; 0 where it does not depend on them. The graphs are kept."""
    at = [tensor for tensor in shared if tensor.requires_grad]
    norms = {}
    for name, loss in losses.items():
        found = torch.autograd.grad(loss, at, retain_graph=True, allow_unused=True) if loss.requires_grad and at else ()
        norms[name] = math.sqrt(sum(float(g.float().square().sum()) for g in found if g is not None))
    return norms


def _mean_one(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights scaled to mean 1, and held between LEAST and MOST."""
    mean = sum(weights.values()) / max(len(weights), 1) or 1.0
    return {name: min(max(weight / mean, LEAST), MOST) for name, weight in weights.items()}


def _total(terms: Sequence[Tensor], losses: Mapping[str, Tensor]) -> Tensor:
    """Sum of ``terms``; where there is none, a 0 on the losses' device that can still be differentiated."""
    if terms:
        return torch.stack([term.float() for term in terms]).sum()
    return torch.stack([loss.float() * 0.0 for loss in losses.values()]).sum() if losses else torch.zeros(())
