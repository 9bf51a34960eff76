"""Searching archives of 10³ to 10⁶ drawings: time, memory, disk, and what the approximate index finds of the exact hits.

    python -m benchmarks.scale [--sizes 1000 10000 100000] [--folder DIR] [--out FILE.json]

The archives are made up: rows (facts, strokes, pictures) of generated drawings under new ids, with vectors of the length of
the descriptor's. A *family* takes each part of its vector (sizes, pairs, grids …) from any of the generated drawings, so
that families are as alike as drawings are; its members scatter around it, from nearly the same to a loose variant. Queries
are further members. What is true is known while the rows are written: every query is compared with every row. Recall is the
share of the exact ten best that a search finds; exact search and index are both measured, whichever `Archive` would choose.
Rows repeat, so that beside vectors they take less disk than those of real drawings.

Each step runs in a process of its own, whose memory is watched.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import deepdxf.archive
from benchmarks.common import Result, Table, machine, median_p95
from benchmarks.indexing import watch
from deepdxf import synth
from deepdxf.archive import Archive
from deepdxf.descriptor import Descriptor
from deepdxf.duplicates import find_duplicates
from deepdxf.encoder import Vectors
from deepdxf.follow import index_folders
from deepdxf.verify import Verification

SIZES = (1_000, 10_000, 100_000)
BASE = 300  # generated drawings whose rows and parts of vectors are used
FAMILY = 20  # members of a family, about
SCATTER = (0.1, 0.8)  # of a member around its family, as a share of the vector's length
QUERIES, K = 50, 10
CHUNK = 2_048  # rows that are written at once
PICTURES = 100_000  # rows of larger archives have no thumbnail, to keep the disk small
DUPLICATES = 10_000  # the largest archive whose duplicates are sought: time grows with the square
MIN_SCORE = 0.97
WHERE, WORDS = "width_mm < 200 and lines > 10", "plate"
EXACT, APPROXIMATE = 2**62, 0  # `archive.EXACT_BYTES` that makes searches exact, or use the index


# --- vectors and rows ------------------------------------------------------------------------------------------------


@functools.cache
def parts() -> list[slice]:
    """Stretches of a descriptor that are recombined."""
    ends = np.cumsum(Descriptor().dims).tolist()
    return [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]


def members(base: Vectors, families: int, seed: int, number: int, count: int) -> tuple[Vectors, list[int]]:
    """(count, d) unit vectors of random members of a number of families, and the drawing whose row each takes.

    Args:
        base: (b, d) vectors of drawings.
        seed: of the families; the same seed, the same families.
        number: another one, other members.
    """
    rng = np.random.default_rng([seed, number])
    family = rng.integers(0, families, count)
    picked = np.random.default_rng(seed).integers(0, len(base), (families, len(parts())), dtype=np.int32)[family]
    vectors = np.concatenate([base[picked[:, i], part] for i, part in enumerate(parts())], axis=1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    noise = rng.standard_normal(vectors.shape, np.float32)
    vectors += noise * (rng.uniform(*SCATTER, (count, 1)) / np.sqrt(vectors.shape[1])).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, picked[:, 0].tolist()


def id_of(number: int) -> str:
    """The id of a row: different, and in no order, as ids of files are."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}"


def fill(folder: Path, n: int) -> dict[str, Any]:
    """Write the archive of ``n`` drawings, and the queries with what is true of them."""
    import pyarrow as pa

    base = Archive.open(folder / "base")
    table = base.table("drawings").to_arrow()
    vectors = np.stack(table["vector"].to_pylist()).astype(np.float32)
    families = max(1, n // FAMILY)
    queries, _ = members(vectors, families, n, -1 % 2**32, QUERIES)
    best: list[list[tuple[float, str]]] = [[] for _ in queries]
    seconds = 0.0  # of making vectors and truth, which is no part of filling

    def rows() -> Iterator[pa.RecordBatch]:
        nonlocal seconds
        for first in range(0, n, CHUNK):
            start = time.perf_counter()
            count = min(CHUNK, n - first)
            made, picked = members(vectors, families, n, first, count)
            ids = [id_of(first + i) for i in range(count)]
            scores = queries @ made.T
            for row, known in zip(scores, best, strict=True):
                top = np.argpartition(-row, min(K, count - 1))[:K]
                known += [(float(row[i]), ids[i]) for i in top]
                known[:] = sorted(known, reverse=True)[:K]
            piece = table.take(picked)
            new = {"id": pa.array(ids), "path": pa.array([f"{first + i:07}.dxf" for i in range(count)])}
            new["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), made.shape[1])
            # exact duplicates are of a family, as real ones are
            new["geometry"] = pa.array([f"{id[:15]}" for id in ids])
            if n > PICTURES:
                new["thumbnail"] = pa.nulls(count, pa.binary())
            for name, column in new.items():
                piece = piece.set_column(piece.schema.get_field_index(name), piece.schema.field(name), column)
            seconds += time.perf_counter() - start
            yield from piece.combine_chunks().to_batches()

    start = time.perf_counter()
    Archive.restore(
        str(folder / "archive"),
        {"drawings": pa.RecordBatchReader.from_batches(table.schema, rows())},
        encoder_id=base.encoder_id,
        dim=base.dim,
        format=base.format,
    )
    taken = time.perf_counter() - start - seconds
    np.save(folder / "queries.npy", queries)
    (folder / "truth.json").write_text(json.dumps([[id for _, id in known] for known in best]))
    return {"fill s": taken, "disk MB": disk_mb(folder)}


def disk_mb(folder: Path) -> float:
    """Size of the archive."""
    return sum(path.stat().st_size for path in (folder / "archive").rglob("*") if path.is_file()) / 1e6


# --- what is measured, each in a process of its own ------------------------------------------------------------------


def timed(search: Callable[[Any], Any], queries: Sequence[Any]) -> tuple[float, float]:
    """Median and 95th percentile of some searches, milliseconds, after two that are not counted."""
    times = []
    for query in [*queries[:2], *queries]:
        start = time.perf_counter()
        search(query)
        times.append(1e3 * (time.perf_counter() - start))
    return median_p95(times[2:])


def recall(archive: Archive, folder: Path) -> float:
    """Share of the true ten best that searches find."""
    truth = json.loads((folder / "truth.json").read_text())
    found = [[hit.id for hit in archive.search(query, K)] for query in np.load(folder / "queries.npy")]
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(truth, found, strict=True)]))


def exact(folder: Path, n: int) -> dict[str, Any]:
    """Exact search in memory."""
    deepdxf.archive.EXACT_BYTES = EXACT
    archive, queries = Archive.open(folder / "archive"), list(np.load(folder / "queries.npy"))
    start = time.perf_counter()
    archive.search(queries[0], K)
    loaded = time.perf_counter() - start
    median, p95 = timed(lambda query: archive.search(query, K), queries)
    return {"load s": loaded, "exact ms": median, "exact p95 ms": p95, "exact recall": recall(archive, folder)}


def filters(folder: Path, n: int) -> dict[str, Any]:
    """Searches as `Archive` makes them by itself: with a filter, by text, with the first hits verified."""
    archive, queries = Archive.open(folder / "archive"), list(np.load(folder / "queries.npy"))
    known = [Verification(pen) for pen in archive.sketches([id_of(i) for i in range(len(queries))])]
    asked = list(zip(queries, known, strict=True))
    return {
        "filtered ms": timed(lambda query: archive.search(query, K, where=WHERE), queries)[0],
        "text ms": timed(lambda query: archive.find_text(WORDS, K), queries[:20])[0],
        "verified ms": timed(lambda one: archive.search(one[0], K, verification=one[1]), asked[:20])[0],
    }


def build(folder: Path, n: int) -> dict[str, Any]:
    """Make the approximate index."""
    before = disk_mb(folder)
    archive = Archive.open(folder / "archive")
    start = time.perf_counter()
    archive.build_index()
    return {"build s": time.perf_counter() - start, "index MB": disk_mb(folder) - before}


def approximate(folder: Path, n: int) -> dict[str, Any]:
    """Search by the index."""
    deepdxf.archive.EXACT_BYTES = APPROXIMATE
    archive, queries = Archive.open(folder / "archive"), list(np.load(folder / "queries.npy"))
    median, p95 = timed(lambda query: archive.search(query, K), queries)
    return {"index ms": median, "index p95 ms": p95, "index recall": recall(archive, folder)}


def duplicates(folder: Path, n: int) -> dict[str, Any]:
    """Groups of near duplicates."""
    archive = Archive.open(folder / "archive")
    start = time.perf_counter()
    found = find_duplicates(archive, MIN_SCORE)
    return {"duplicates s": time.perf_counter() - start, "groups": len(found.groups)}


# --- running ---------------------------------------------------------------------------------------------------------


def alone(step: Callable[[Path, int], dict[str, Any]], folder: Path, n: int) -> dict[str, Any]:
    """What a step measures in a new process, and the most memory that it took."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        process = psutil.Process(pool.submit(os.getpid).result())
        ended, peaks = threading.Event(), [0.0]
        watcher = threading.Thread(target=watch, args=(process, ended, peaks))
        watcher.start()
        try:
            measured = pool.submit(step, folder, n).result()
        finally:
            ended.set()
            watcher.join()
    return {**measured, f"{step.__name__} MB": max(peaks)}


def one_size(place: Path, n: int, base: Path) -> dict[str, Any]:
    """All figures of an archive of ``n`` drawings, which is deleted afterwards."""
    folder = place / str(n)
    folder.mkdir(parents=True)
    try:
        shutil.copytree(base, folder / "base")
        measured: dict[str, Any] = {"drawings": n}
        steps = [fill, exact, build, approximate, filters] + [duplicates] * (n <= DUPLICATES)
        for step in steps:
            measured |= alone(step, folder, n)
            print({key: round(value, 4) for key, value in measured.items()}, flush=True)
        return measured
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(sizes: Sequence[int], place: Path) -> Table:
    """The table of all sizes."""
    drawings, base = place / "drawings", place / "base"
    synth.generate(drawings, BASE)
    archive, _ = index_folders([drawings], str(base), "descriptor")
    rows = [one_size(place, n, base) for n in sizes]
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    note = (
        f"Made-up archives, vectors of length {archive.dim}; times are of the ten best of {QUERIES} queries after start-up, "
        f"medians where nothing else is said; MB without a further word is memory, the most that a step's process took. "
        f"Duplicates at a minimum of {MIN_SCORE:g}."
    )
    cells = [tuple(row.get(name, "") for name in columns) for row in rows]
    return Table("Archives by size", columns, cells, note)


def measure(corpus: Path | None = None) -> Result:
    """A row a size; the corpus has no part in it."""
    with tempfile.TemporaryDirectory(prefix="deepdxf-scale-") as folder:
        return Result([run(SIZES, Path(folder))])


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the archives lie while they are measured")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table as JSON")
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="deepdxf-scale-", dir=options.folder) as folder:
        table = run(options.sizes, Path(folder))
    print(f"\n{table.markdown()}")
    if options.out:
        from dataclasses import asdict

        document = json.dumps({**about, "tables": [asdict(table)]}, ensure_ascii=False, indent=1)
        options.out.write_text(document + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":  # worker processes import this module too
    main()
