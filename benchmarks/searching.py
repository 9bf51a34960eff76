"""Search in an archive of some thousand drawings after start-up, and how long start-up itself takes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import Goal, Result, Table, median_p95
from benchmarks.indexing import index_twice
from deepdxf import encoder, reader
from deepdxf.archive import Archive, Hit
from deepdxf.descriptor import Strokes
from deepdxf.encoder import Vectors
from deepdxf.verify import Verification

QUERIES = 200  # drawings of the archive, evenly spread by id
PARSED = 50  # of these, so many are also read and encoded
STARTS = 10
WHERE = "width_mm < 200 and lines > 10"
SEARCH_MS, START_S = 20.0, 0.3
VERIFIED_MS, POSED_MS = 60.0, 400.0  # medians of searches whose first hits are verified; free of pose
K = 10
VERIFIED_EVERY = 4  # of the queries, one in so many is verified


def measure(corpus: Path | None) -> Result:
    """Times of every way to search, then of starting."""
    indexed = index_twice(corpus)
    archive = Archive.open(indexed.archive)
    descriptor = encoder.load("descriptor")
    records = archive.records("status != 'failed'", ["path", "root", "text"])
    chosen = records[:: max(1, len(records) // QUERIES)]
    vectors = [archive.vector(record["id"])[None] for record in chosen]
    files = [Path(record["root"]) / record["path"] for record in chosen[:: max(1, len(chosen) // PARSED)]]
    drawings = [reader.read(file) for file in files]
    every = encoder.Switches(size=False, mirror=True, rotation=True)
    posed = [descriptor.query(drawing, every) for drawing in drawings]
    words = [text.split()[0] for record in chosen for text in record["text"][:1] if text.split()] or ["part"]

    start = time.perf_counter()
    archive.search(vectors[0], K)
    loading = time.perf_counter() - start
    table = Table(
        f"Searching in {len(records):,} drawings",
        ("search", "queries", "median ms", "p95 ms", "processor median ms", "p95 ms"),
        note=f"Wall and processor time of the ten best after start-up; start-up (the first search, which loads the "
        f"vectors) takes {loading:.2f} s. Poses: a query free of size under the switches is 8 vectors.",
    )
    result = Result([table])

    def row(name: str, search: Callable[[Any], object], queries: list[Any], bound: float | None = SEARCH_MS) -> None:
        for query in queries[:2]:  # what is copied into memory is copied at the second question
            search(query)
        times, processor = [], []
        for query in queries:
            begin, spent = time.perf_counter(), time.process_time()
            search(query)
            times.append(1e3 * (time.perf_counter() - begin))
            processor.append(1e3 * (time.process_time() - spent))
        median, p95 = median_p95(times)
        table.rows.append((name, len(queries), median, p95, *median_p95(processor)))
        if bound is not None:
            result.goals.append(Goal(f"search, {name}: median", median, bound, "ms"))
        if bound == SEARCH_MS:
            result.goals.append(Goal(f"search, {name}: p95", p95, bound, "ms"))

    row("by vector", lambda vector: archive.search(vector, K), vectors)
    row(f"by vector, where {WHERE}", lambda vector: archive.search(vector, K, where=WHERE), vectors)
    row("by 8 poses", lambda poses: archive.search(poses, K), posed)
    row(f"by 8 poses, where {WHERE}", lambda poses: archive.search(poses, K, where=WHERE), posed)
    row("by text", lambda word: archive.find_text(word, K), words)
    row("by file: read, encode, search", lambda file: archive.search(
        descriptor.query(reader.read(file), encoder.Switches()), K), files, None)  # fmt: skip
    row("by file, 8 poses: read, encode, search", lambda file: archive.search(
        descriptor.query(reader.read(file), every), K), files, None)  # fmt: skip
    asked = list(zip(vectors, archive.sketches([record["id"] for record in chosen]), strict=True))
    for name, switches, bound in (
        ("verified", encoder.Switches(), VERIFIED_MS),
        ("verified, mirrored and rotated", encoder.Switches(mirror=True, rotation=True), POSED_MS),
        ("verified, any size", encoder.Switches(size=False), POSED_MS),
        ("verified, any size, mirrored and rotated", every, POSED_MS),
    ):
        row(
            name,
            partial(verified, archive, switches),
            asked[::VERIFIED_EVERY],
            bound,
        )

    starts = Table(
        "Starting", ("command", "runs", "median s", "p95 s"), note="Wall time of whole processes, files in the cache."
    )
    result.tables.append(starts)
    id = chosen[0]["id"]
    for name, words_, goal in (
        ("deepdxf --version", ["-m", "deepdxf", "--version"], START_S),
        ("import deepdxf", ["-c", "import deepdxf"], START_S),
        ("python alone", ["-c", ""], None),
        ("deepdxf search --id", ["-m", "deepdxf", "search", "--id", id, "--archive", str(indexed.archive)], None),
    ):
        times = [process_seconds(words_) for _ in range(STARTS)]
        median, p95 = median_p95(times)
        starts.rows.append((name, STARTS, median, p95))
        if goal is not None:
            result.goals.append(Goal(f"`{name}`: median", median, goal, "s"))
    return result


def verified(archive: Archive, switches: encoder.Switches, query: tuple[Vectors, Strokes | None]) -> list[Hit]:
    """The ten best for a vector and a sketch, verified."""
    return archive.search(query[0], K, verification=Verification(query[1], switches))


def process_seconds(words: list[str]) -> float:
    """Wall time of a Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
