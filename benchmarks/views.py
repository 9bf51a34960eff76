"""Processor time of views against the number of entities.

``default``: one view as training makes it, mean over chance. ``all at once``: every kind with certainty, one after the
other in one view, which no setting of use has. Then every kind by itself, mean over chance. Sheets are those of `codes`;
``join of one chain`` has lines end to end in random order, the worst case of joining.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.codes import sheet
from benchmarks.common import Goal, Result, Table, processor_seconds
from deepdxf.augment import CODE_KINDS, KINDS, OFF, Views, explode, join
from deepdxf.drawing import Drawing
from deepdxf.graph import encode

SIZES = (1_000, 10_000, 100_000)
GOAL_MS = 3.0  # a view of the first size
GOAL_RATIO = 140.0  # n log n from the first to the last size is 167: what falls short has fixed costs
AMOUNTS = {"jitter": 0.002, "edit": 0.02, "noise": 0.03, "duplicate": 0.05, "drop": 0.3, "drop_run": 0.2, "crop": 0.2,
           "split": 0.2, "swap": 0.1, "reverse": 0.5, "scale": 0.4, "shift": 0.5}  # fmt: skip
CERTAIN = {name: AMOUNTS.get(name, 1.0) for name in KINDS}
VIEWS, REPEATS = 40, 4  # over which chance is averaged


def spiral(n: int) -> Drawing:
    """n lines end to end in one chain, in random order."""
    rng = np.random.default_rng(0)
    base = sheet(2)
    corner = np.column_stack([np.cumsum(rng.uniform(0, 1, n + 1)), rng.uniform(0, 9, n + 1), np.zeros(n + 1)])
    scalars = base.scalars[:1].copy()
    scalars[0, 0] = 0.0
    one = base.select(np.array([0])).__dict__
    chain = Drawing(
        **{name: one[name] for name in Drawing.__dataclass_fields__}
        | {
            "vertices": corner,
            "vertex_start": np.array([0, n + 1]),
            "vertex_path": np.zeros(n + 1, np.int32),
            "scalars": scalars,
        }
    )
    apart = explode(chain, np.array([0]))
    return apart.select(rng.permutation(len(apart)))


def measure(corpus: Path | None = None) -> Result:
    """A row a size and kind; the corpus has no part in it."""
    table = Table("Views by number of entities", ("entities", "what", "ms", "× 1k"))
    goals: list[Goal] = []
    first: dict[str, float] = {}
    for n in SIZES:
        drawing = sheet(n)
        times = {
            "default": mean_seconds(Views(), drawing),
            "default, mirror and rotation": mean_seconds(Views(mirror=True, rotation=True), drawing),
            "all at once": mean_seconds(Views(**OFF | CERTAIN | {"mirror": True, "rotation": True}), drawing),
        }
        for name, (kind, _) in KINDS.items():
            times[name] = kind_seconds(kind, drawing, CERTAIN[name])
        times["join of one chain"] = processor_seconds(partial(join, spiral(n), np.arange(n)), repeats=3)
        if n == SIZES[0]:
            code = encode(drawing, "x")
            for name, (kind, _) in CODE_KINDS.items():
                times[name] = kind_seconds(kind, code, 0.2)
            goals.append(Goal("default view of 1,000 entities", 1e3 * times["default"], GOAL_MS, "ms"))
            first = times
        for name, seconds in times.items():
            table.rows.append((n, name, 1e3 * seconds, seconds / first[name]))
        if n == SIZES[-1]:
            ratio = times["default"] / first["default"]
            goals.append(Goal(f"default view, {n:,} against {SIZES[0]:,} entities", ratio, GOAL_RATIO, "×"))
    return Result([table], goals)


def kind_seconds(kind: Callable[[Any, np.random.Generator, float], object], of: Any, strength: float) -> float:
    """Mean time of one kind over chance."""
    return mean_of([lambda seed=seed: kind(of, np.random.default_rng(seed), strength) for seed in range(REPEATS)])


def mean_seconds(views: Views, drawing: Drawing) -> float:
    """Mean time of one view over chance."""
    seeds = range(VIEWS // 2 if len(drawing) <= SIZES[0] else 2)
    return mean_of([lambda seed=seed: views.drawings(drawing, np.random.default_rng(seed)) for seed in seeds]) / 2


def mean_of(steps: Sequence[Callable[[], object]]) -> float:
    """Mean over the steps of the best of five: other work on the machine delays single runs."""
    return float(np.mean([processor_seconds(step, repeats=5) for step in steps]))
