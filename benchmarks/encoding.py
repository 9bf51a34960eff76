"""Time of the descriptor by size of the drawing, reading not counted."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.codes import BASE, sheet
from benchmarks.common import Goal, Result, Table, drawing_files, median_p95, processor_seconds
from benchmarks.reading import EVERY, synthetic_sheets
from deepdxf import encoder, reader
from deepdxf.errors import ReadError

BUCKETS = ((0, 100), (100, 1_000), (1_000, 10_000), (10_000, 10**9))  # entities
LARGE = 64_000


def measure(corpus: Path | None) -> Result:
    """A row a bucket of drawings, then drawings of 4,000 and 64,000 entities."""
    descriptor = encoder.load("descriptor")
    paths = drawing_files(corpus)[::EVERY] if corpus else []
    data = [path.read_bytes() for path in paths] or [content for _, content in synthetic_sheets()]
    times: dict[tuple[int, int], list[float]] = {bucket: [] for bucket in BUCKETS}
    descriptor.encode([sheet(BASE)])
    for content in data:
        try:
            drawing = reader.parse(content)
        except ReadError:
            continue
        bucket = next(b for b in BUCKETS if b[0] <= len(drawing) < b[1])
        times[bucket].append(1e3 * processor_seconds(partial(descriptor.encode, [drawing])))
    table = Table(
        "Descriptor",
        ("entities", "drawings", "median ms", "p95 ms"),
        note=f"Processor time of `encode`, reading not counted; every {EVERY}th file of the corpus, or synthetic "
        "sheets; the last rows are made like those of the codes' table.",
    )
    for (low, high), bucket_times in times.items():
        if bucket_times:
            name = f"{low:,} to {high - 1:,}" if high < 10**9 else f"{low:,} and more"
            table.rows.append((name, len(bucket_times), *median_p95(bucket_times)))
    base, large = (processor_seconds(partial(descriptor.encode, [sheet(n)]), repeats=3) for n in (BASE, LARGE))
    table.rows += [(f"{BASE:,}", 1, 1e3 * base, 1e3 * base), (f"{LARGE:,}", 1, 1e3 * large, 1e3 * large)]
    return Result([table], [Goal(f"descriptor: {LARGE:,} against {BASE:,} entities", large / base, 20.0, "×")])
