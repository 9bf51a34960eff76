"""Search in an archive of some thousand drawings after start-up, and how long start-up itself takes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import Goal, Result, Table, median_p95
from benchmarks.indexing import index_twice
from deepdxf import encoder, reader
from deepdxf.archive import Archive

QUERIES = 200  # drawings of the archive, evenly spread by id
PARSED = 50  # of these, so many are also read and encoded
STARTS = 10
WHERE = "width_mm < 200 and lines > 10"
SEARCH_MS, START_S = 20.0, 0.3
K = 10


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
        ("search", "queries", "median ms", "p95 ms"),
        note=f"Wall time of the ten best after start-up; start-up (the first search, which loads the vectors) takes "
        f"{loading:.2f} s. Poses: a query free of size under the switches is 8 vectors.",
    )
    result = Result([table])

    def row(name: str, search: Callable[[Any], object], queries: list[Any], *, goal: bool = True) -> None:
        search(queries[0])
        times = []
        for query in queries:
            begin = time.perf_counter()
            search(query)
            times.append(1e3 * (time.perf_counter() - begin))
        median, p95 = median_p95(times)
        table.rows.append((name, len(queries), median, p95))
        if goal:
            result.goals += [
                Goal(f"search, {name}: median", median, SEARCH_MS, "ms"),
                Goal(f"search, {name}: p95", p95, SEARCH_MS, "ms"),
            ]

    row("by vector", lambda vector: archive.search(vector, K), vectors)
    row(f"by vector, where {WHERE}", lambda vector: archive.search(vector, K, where=WHERE), vectors)
    row("by 8 poses", lambda poses: archive.search(poses, K), posed)
    row(f"by 8 poses, where {WHERE}", lambda poses: archive.search(poses, K, where=WHERE), posed)
    row("by text", lambda word: archive.find_text(word, K), words)
    row("by file: read, encode, search", lambda file: archive.search(
        descriptor.query(reader.read(file), encoder.Switches()), K), files, goal=False)  # fmt: skip
    row("by file, 8 poses: read, encode, search", lambda file: archive.search(
        descriptor.query(reader.read(file), every), K), files, goal=False)  # fmt: skip

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


def process_seconds(words: list[str]) -> float:
    """Wall time of a Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
