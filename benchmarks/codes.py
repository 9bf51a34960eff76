"""Time and memory of the codes against the number of entities: `python benchmarks/codes.py [--largest 100000]`.

Sheets are made of parts on a grid inside a border, so that the local density is the same at every size; ``heap`` is the
worst case for edges: every entity over every other one. The ratio of a row is its time over that of 4k entities; n log n is 21
at 64k. Memory is the peak of what the step allocates (tracemalloc), beside the drawing itself.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from deepdxf.drawing import N_SCALARS, SCALARS, Drawing, EntityClass
from deepdxf.geometry import Shapes, boxes
from deepdxf.graph import blocks, class_graph, entity_graph
from deepdxf.sequence import classic, rich

C = EntityClass
SIZES = (1_000, 4_000, 16_000, 64_000, 100_000)
BASE = 4_000
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
    shapes = Shapes(cls, scalars, vertices, start, np.zeros(start[-1], np.int32), np.zeros(0), np.zeros(n + 1, np.int64))
    zeros, none = np.zeros(n, np.int32), np.full(n, -1, np.int32)
    return Drawing(
        **vars(shapes), handle=np.arange(1, n + 1), depth=np.zeros(n, np.uint8), parent=np.full(n, -1), layer=zeros, color=zeros + 256,
        dxftype=zeros, text_index=none, block_index=none, box=boxes(shapes), layers=("0",), dxftypes=("LINE",), texts=(), blocks=(),
        unit_mm=1.0, space="model", format="dxf", version="AC1032", reader="cadkit",
    )  # fmt: skip


def measure(step: Callable[[], object]) -> tuple[float, float]:
    """Best time of three, seconds, and peak of memory, MB."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(times), peak / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="largest number of entities")
    largest = parser.parse_args().largest
    print(f"{'drawing':8}{'n':>8}  {'step':14}{'ms':>9}{'x 4k':>7}{'MB':>8}{'kB/entity':>11}  output")
    for heap in (False, True):
        base: dict[str, float] = {}
        for n in (size for size in SIZES if size <= largest):
            drawing = sheet(n, heap)
            nodes = rich(drawing, n)
            steps: dict[str, Callable[[], object]] = {
                "classic": lambda d=drawing, n=n: classic(d, n),
                "rich": lambda d=drawing, n=n: rich(d, n),
                "class graph": lambda d=drawing: class_graph(d),
                "entity graph": lambda d=drawing, nodes=nodes: entity_graph(d, nodes),
                "blocks": lambda d=drawing, nodes=nodes: blocks(d, nodes),
            }
            graph = entity_graph(drawing, nodes)
            output = {
                "entity graph": f"{graph.edges.shape[1]} edges, {graph.left_out} pairs left out",
                "blocks": f"{len(blocks(drawing, nodes))} blocks",
            }
            total = 0.0
            for name, step in steps.items():
                seconds, memory = measure(step)
                total += seconds
                row(heap, n, name, seconds, base, memory, output.get(name, ""))
            row(heap, n, "all", total, base, None, "")


def row(heap: bool, n: int, name: str, seconds: float, base: dict[str, float], memory: float | None, output: str) -> None:
    """Print one row; the times of `BASE` entities are kept in ``base``."""
    if n == BASE:
        base[name] = seconds
    ratio = f"{seconds / base[name]:.1f}" if name in base else ""
    sizes = f"{memory:8.1f}{1000 * memory / n:11.2f}" if memory is not None else " " * 19
    print(f"{'heap' if heap else 'sheet':8}{n:8}  {name:14}{1000 * seconds:9.1f}{ratio:>7}{sizes}  {output}", flush=True)


if __name__ == "__main__":
    main()
