"""Time of the shipped model `base`, reading not counted: codes, graph, and both."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.codes import sheet
from benchmarks.common import Goal, Result, Table, drawing_files, median_p95, processor_seconds
from benchmarks.reading import synthetic_sheets
from deepdxf import graph, reader
from deepdxf.checkpoint import GRAPH, read_manifest
from deepdxf.drawing import Drawing
from deepdxf.encoders.config import EncoderConfig
from deepdxf.errors import ReadError
from deepdxf.learned import BASE, Learned

DRAWINGS = 200
SIZES = (1_000, 4_000, 60_000)  # entities of the sheets of the last rows
MEDIAN_MS, P95_MS, LARGE_MS = 15.0, 80.0, 1_000.0


def measure(corpus: Path | None) -> Result:
    """A row for drawings of the corpus, then one a size of sheet."""
    paths = drawing_files(corpus) if corpus else []
    paths = [paths[i] for i in np.linspace(0, len(paths) - 1, DRAWINGS).astype(int)] if paths else []
    data = [path.read_bytes() for path in paths] or [content for _, content in synthetic_sheets()]
    drawings = []
    for content in data:
        try:
            drawings.append(reader.parse(content))
        except ReadError:
            continue
    learned, settings = Learned(BASE, threads=1), read_manifest(BASE).encoder
    megabytes = (BASE / GRAPH).stat().st_size / 1e6
    learned.encode([sheet(SIZES[0])])
    table = Table(
        "Shipped model",
        ("drawings", "entities, median", "codes, median ms", "p95 ms", "all, median ms", "p95 ms"),
        note=f"Processor time of one thread, reading not counted, codes included in all; {len(drawings)} drawings "
        f"spread over the corpus, or synthetic sheets, then sheets made like those of the codes' table. "
        f"The graph is a file of {megabytes:.1f} MB.",
    )
    table.rows.append(_row("corpus" if corpus else "synthetic", drawings, learned, settings))
    for size in SIZES:
        table.rows.append(_row(f"sheet of {size:,}", [sheet(size)], learned, settings))
    median, p95, large = float(table.rows[0][4]), float(table.rows[0][5]), float(table.rows[-1][4])
    goals = [
        Goal("learned model: median of a drawing", median, MEDIAN_MS, "ms"),
        Goal("learned model: 95th percentile", p95, P95_MS, "ms"),
        Goal(f"learned model: {SIZES[-1]:,} entities", large, LARGE_MS, "ms"),
        Goal("learned model: size of the graph", megabytes, 20.0, "MB"),
    ]
    return Result([table], goals)


def _row(name: str, drawings: list[Drawing], learned: Learned, settings: EncoderConfig) -> tuple[str | float, ...]:
    # copies: a drawing remembers what was once worked out of it
    def codes(drawing: Drawing) -> object:
        return graph.encode(drawing, "", settings.limit, settings.blocks, settings.pixels)

    alone = [1e3 * processor_seconds(partial(codes, replace(drawing))) for drawing in drawings]
    both = [1e3 * processor_seconds(partial(learned.encode, [replace(drawing)])) for drawing in drawings]
    return (name, float(np.median([len(drawing) for drawing in drawings])), *median_p95(alone), *median_p95(both))
