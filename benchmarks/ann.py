"""Where exact search in memory ends and the approximate index begins: time, memory and recall by size of the archive.

Vectors are families: members scatter around a centre, as revisions and variants of drawings do. Queries are members
that are not in the archive. Recall is the share of the exact ten best that the index finds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import deepdxf.archive
from benchmarks.common import Result, Table
from deepdxf.archive import Archive
from deepdxf.encoder import Vectors

QUERIES, K, FAMILY, SCATTER = 50, 10, 20, 0.7
SIZES, DIM = (4_000, 16_000, 64_000), 2048


def families(rng: np.random.Generator, centres: Vectors, n: int) -> Vectors:
    """(n, d) unit vectors, each near a random centre."""
    noise = rng.standard_normal((n, centres.shape[1]), np.float32) * (SCATTER / np.sqrt(centres.shape[1]))
    vectors = centres[rng.integers(0, len(centres), n)] + noise.astype(np.float32)
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def median_ms(search: Callable[[Vectors], object], queries: Vectors) -> float:
    """Median time of a search, milliseconds; the first search, which loads, is not counted."""
    search(queries[0])
    times = []
    for query in queries:
        start = time.perf_counter()
        search(query)
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1e3)


def measure(corpus: Path | None = None) -> Result:
    """A row a size; the corpus has no part in it."""
    table = Table(
        "Exact and approximate search by size of the archive",
        ("drawings", "d", "vectors MiB", "load s", "exact ms", "index build s", "index ms", f"recall@{K}"),
        [one_size(n, DIM) for n in SIZES],
    )
    return Result([table])


def one_size(n: int, dim: int) -> tuple[int | float, ...]:
    """The row of the table for ``n`` vectors of length ``dim``."""
    rng = np.random.default_rng(0)
    centres = families(rng, np.zeros((1, dim), np.float32), max(1, n // FAMILY))
    queries = families(rng, centres, QUERIES)
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.create(folder + "/archive", "bench", dim)
        for first in range(0, n, 8192):
            part = families(rng, centres, min(8192, n - first))
            ids = [f"{i:016x}" for i in range(first, first + len(part))]
            archive._write(
                [
                    {"id": id, "status": "ok", "path": id, "root": "/", "vector": v}
                    for id, v in zip(ids, part, strict=True)
                ]
            )
        start = time.perf_counter()
        archive.search(queries[0])
        load_s = time.perf_counter() - start
        limit, deepdxf.archive.EXACT_BYTES = deepdxf.archive.EXACT_BYTES, 2**62
        exact_ms = median_ms(archive.search, queries)
        truth = [{hit.id for hit in archive.search(query, K)} for query in queries]
        deepdxf.archive.EXACT_BYTES = 0
        start = time.perf_counter()
        archive.build_index()
        build_s = time.perf_counter() - start
        index_ms = median_ms(archive.search, queries)
        found = [{hit.id for hit in archive.search(query, K)} for query in queries]
        deepdxf.archive.EXACT_BYTES = limit
    recall = float(np.mean([len(a & b) / len(a) for a, b in zip(truth, found, strict=True)]))
    return n, dim, n * dim * 4 / 2**20, load_s, exact_ms, build_s, index_ms, recall
