"""Collapse watch: whether embeddings still tell drawings apart, from the first step on.

A falling loss is no evidence: an objective without negatives is solved by one point for all drawings, and one with
negatives can stand at its chance level. Measures are of (b, d) embeddings, NumPy arrays or tensors, any float type:

std·√d          1 when unit vectors fill the sphere evenly, 0 when they are one point
effective rank  exp of the entropy of the singular values (RankMe, Garrido et al., ICML 2023)
alignment       E ‖a − b‖² of unit vectors of two views; uniformity: log E exp(−2 ‖x − y‖²), about −4 at best
                (Wang and Isola, ICML 2020)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

EPS = 1e-6


def loss_over_chance(loss: float, chance: float | None) -> float:
    """1 where embeddings say nothing, 0 where the task is solved; NaN without a chance level."""
    return loss / chance if chance else math.nan


def std_sqrt_d(z: Any) -> float:
    """Mean over dimensions of the standard deviation of unit vectors, times √d. NaN for fewer than two."""
    unit = _unit(z)
    return float(unit.std(0).mean() * math.sqrt(unit.shape[1])) if len(unit) > 1 else math.nan


def effective_rank(z: Any) -> float:
    """exp(H(σ / Σσ)), σ the singular values of the embeddings as they are: 1 … min(b, d); 0 when all are zero."""
    values = np.linalg.svd(_array(z), compute_uv=False)
    total = values.sum()
    if total <= EPS:
        return 0.0
    share = values / total
    return float(np.exp(-(share * np.log(np.maximum(share, 1e-30))).sum()))


def alignment(z_a: Any, z_b: Any) -> float:
    """Mean squared distance of unit vectors of the same drawings: 0 … 4. NaN of none."""
    a, b = _unit(z_a), _unit(z_b)
    return float(np.square(a - b).sum(1).mean()) if len(a) else math.nan


def uniformity(z: Any) -> float:
    """log of the mean of exp(−2 ‖x − y‖²) over pairs of different rows: 0 when they are one point. NaN for fewer than two."""
    unit = _unit(z)
    n = len(unit)
    if n < 2:
        return math.nan
    squared = np.maximum(2.0 - 2.0 * (unit @ unit.T)[np.triu_indices(n, 1)], 0.0)
    return float(np.log(np.exp(-2.0 * squared).mean()))


@dataclass
class Watch:
    """Looks at embeddings of every step it is given and says once, in words, what has gone wrong.

    A stretch of ``patience`` looks in a row below the bounds is a collapse; a loss within 2 % of chance for
    ``slow`` looks in a row is a warning only, since early steps stand there too.
    """

    chance: Mapping[str, float] = field(default_factory=dict)  # level of each loss, see objectives.chance
    least_std: float = 0.1  # of std·√d
    least_rank: float = 1.5
    patience: int = 5
    slow: int = 200
    collapsed: bool = False
    measures: dict[str, float] = field(default_factory=dict)  # of the last look, by "measure/name", for the log
    _low: dict[str, int] = field(default_factory=dict)  # looks in a row below the bounds, or at chance, by name

    def update(self, step: int, losses: Mapping[str, float], embeddings: Mapping[str, tuple[Any, Any]]) -> list[str]:
        """Look once: ``losses`` by name, ``embeddings`` by name (two views (b, d) of the same drawings, not normalised).

        Returns one-line warnings, each when its state is reached, not at every look after it. Batches of fewer than
        four drawings tell nothing and are passed over.
        """
        warnings = []
        self.measures = {}
        for name, loss in losses.items():
            if not math.isfinite(loss):
                self.collapsed = True
                warnings.append(f"step {step}: loss {name} is {loss}; lower the learning rate or clip gradients")
            ratio = loss_over_chance(loss, self.chance.get(name))
            self.measures[f"loss_over_chance/{name}"] = ratio
            if self._count(f"loss {name}", ratio > 0.98) == self.slow:
                warnings.append(
                    f"step {step}: loss {name} stands at its chance level ({ratio:.2f}): nothing is learned"
                )
        for name, (z_a, z_b) in embeddings.items():
            if len(z_a) >= 4:
                warnings += self._look(step, name, _array(z_a), _array(z_b))
        return warnings

    def _look(self, step: int, name: str, z_a: NDArray[np.float64], z_b: NDArray[np.float64]) -> list[str]:
        if not (np.isfinite(z_a).all() and np.isfinite(z_b).all()):
            self.collapsed = True
            return [f"step {step}: embeddings of {name} are not finite; lower the learning rate or clip gradients"]
        std, rank = std_sqrt_d(z_a), effective_rank(z_a)
        self.measures |= {
            f"std_sqrt_d/{name}": std,
            f"effective_rank/{name}": rank,
            f"alignment/{name}": alignment(z_a, z_b),
            f"uniformity/{name}": uniformity(z_a),
        }
        if self._count(f"spread {name}", std < self.least_std or rank < self.least_rank) != self.patience:
            return []
        self.collapsed = True
        return [
            f"step {step}: embeddings of {name} collapse (std·√d {std:.3f}, effective rank {rank:.1f} of {z_a.shape[1]}); "
            "add negatives or a variance term, or lower the learning rate"
        ]

    def _count(self, name: str, bad: bool) -> int:
        self._low[name] = self._low.get(name, 0) + 1 if bad else 0
        return self._low[name]

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to remember."""
        return {"collapsed": self.collapsed, "low": dict(self._low)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.collapsed, self._low = state["collapsed"], dict(state["low"])


def _array(z: Any) -> NDArray[np.float64]:
    """Float64 of an array or a tensor (of any device, with or without gradient), without importing torch."""
    if hasattr(z, "detach"):
        z = z.detach().float().cpu().numpy()
    return np.asarray(z, np.float64)


def _unit(z: Any) -> NDArray[np.float64]:
    array = _array(z)
    unit: NDArray[np.float64] = array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), EPS)
    return unit
