"""Processor time and memory of the codes against the number of entities.

Sheets are made of parts on a grid inside a border, so that the local density is the same at every size; ``heap`` is the
worst case for edges: every entity over every other one. The ratio of a row is its time over that of 4k entities
(n log n: 21 at 64k). Memory is the peak of what the step allocates (tracemalloc), beside the drawing itself.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common import Goal, Result, Table, processor_seconds
from deepdxf.drawing import N_SCALARS, SCALARS, Drawing, EntityClass
from deepdxf.geometry import Shapes, boxes
from deepdxf.graph import blocks, class_graph, encode, entity_graph
from deepdxf.sequence import RichCode, classic, rich

C = EntityClass
SIZES = (1_000, 4_000, 16_000, 64_000, 100_000)
BASE = 4_000
GOAL_SIZE, GOAL = 64_000, 20.0  # so many entities may take so many times as long as `BASE`
CELL = 10.0  # distance of parts on the grid


def sheet(n: int, heap: bool = False) -> Drawing:
    """n entities: a border, then parts of a closed polyline with bulges, two lines, an arc and a circle each."""
    rng = np.random.default_rng(n)
    kinds = np.array([C.LWPOLYLINE, C.LINE, C.LINE, C.ARC, C.CIRCLE], np.uint8)
    cls = np.concatenate([[C.LWPOLYLINE], np.resize(kinds, n - 1)]).astype(np.uint8)
    counts = np.select([cls == C.LWPOLYLINE, cls == C.LINE], [4, 2], 1)
    start = np.concatenate([[0], np.cumsum(counts)])
    part = np.concatenate([[0], np.arange(n - 1) // len(kinds)])
    columns = int(np.ceil(np.sqrt(part[-1] + 1)))
    origin = np.zeros((n, 2)) if heap else CELL * np.column_stack([part % columns, part // columns])
    vertices = np.zeros((start[-1], 3))
    vertices[:, :2] = np.repeat(origin, counts, axis=0) + rng.uniform(0, 0.8 * CELL, (start[-1], 2))
    vertices[:, 2] = np.where(np.repeat(cls == C.LWPOLYLINE, counts), rng.choice([0.0, 0.4], start[-1]), 0.0)
    side = CELL * columns
    vertices[:4] = [[0, 0, 0], [side, 0, 0], [side, side, 0], [0, side, 0]]
    scalars = np.full((n, N_SCALARS), np.nan)
    scalars[cls == C.LWPOLYLINE, 0] = 1.0
    scalars[cls == C.CIRCLE, 0] = rng.uniform(0.1, 3, int((cls == C.CIRCLE).sum()))
    scalars[cls == C.ARC, : len(SCALARS[C.ARC])] = [2.0, 10.0, 120.0]
    shapes = Shapes(
        cls, scalars, vertices, start, np.zeros(start[-1], np.int32), np.zeros(0), np.zeros(n + 1, np.int64)
    )
    zeros, none = np.zeros(n, np.int32), np.full(n, -1, np.int32)
    return Drawing(
        **shapes.columns(),
        handle=np.arange(1, n + 1),
        depth=np.zeros(n, np.uint8),
        parent=np.full(n, -1),
        layer=zeros,
        color=zeros + 256,
        dxftype=zeros,
        text_index=none,
        block_index=none,
        box=boxes(shapes),
        layers=("0",),
        dxftypes=("LINE",),
        texts=(),
        blocks=(),
        unit_mm=1.0,
        space="model",
        format="dxf",
        version="AC1032",
        reader="cadkit",
    )


def measure(corpus: Path | None = None) -> Result:
    """A row a size and code; the corpus has no part in it."""
    table = Table(
        "Codes by number of entities",
        ("drawing", "entities", "code", "ms", "× 4k", "peak MB", "kB an entity", "output"),
        note="Processor time, best of three; no limit on the number of rows of a code.",
    )
    goals = []
    for heap in (False, True):
        base: dict[str, float] = {}
        for n in SIZES:
            drawing = sheet(n, heap)
            nodes = rich(drawing, n)
            graph = entity_graph(drawing, nodes)
            output = {
                "entity graph": f"{graph.edges.shape[1]} edges, {graph.left_out} pairs left out",
                "blocks": f"{len(blocks(drawing, nodes))} blocks",
            }
            times = {}
            for name, step in steps(drawing, nodes).items():
                times[name] = processor_seconds(step, repeats=3)
                memory = peak_bytes(step)
                ratio = times[name] / base[name] if base else ""
                row = (1e3 * times[name], ratio, memory / 1e6, memory / n / 1e3, output.get(name, ""))
                table.rows.append(("heap" if heap else "sheet", n, name, *row))
                if n == GOAL_SIZE:
                    kind = "heap" if heap else "sheet"
                    goals.append(Goal(f"{name}, {kind}: {n:,} against {BASE:,} entities", float(ratio), GOAL, "×"))
            if n == BASE:
                base = times
    return Result([table], goals)


def steps(drawing: Drawing, nodes: RichCode) -> dict[str, Callable[[], object]]:
    """How every code of a drawing is made; each time of a new copy, for which nothing was worked out yet."""
    n = len(drawing)
    return {
        "classic": lambda: classic(replace(drawing), n),
        "rich": lambda: rich(replace(drawing), n),
        "class graph": lambda: class_graph(replace(drawing)),
        "entity graph": lambda: entity_graph(replace(drawing), nodes),
        "blocks": lambda: blocks(replace(drawing), nodes),
        "all codes": lambda: encode(replace(drawing), "", n),
    }


def peak_bytes(step: Callable[[], object]) -> int:
    """Peak of what a step allocates."""
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
