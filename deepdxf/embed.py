"""Vectors of many files without an archive: what `embed`, `evaluate` and the experiments share."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepdxf import encoder
from deepdxf.batch import progress_bar, read_many
from deepdxf.encoder import Switches, Vectors
from deepdxf.archive import find_files, portable
from deepdxf.reader import read


@dataclass
class Embedded:
    """Vectors of files; entries stand in the order of the sorted names."""

    files: list[str] = field(default_factory=list)  # n names, relative to the folder that was given, with "/"
    vectors: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # (n, d)
    queries: dict[str, Vectors] = field(default_factory=dict)  # name -> (m, d) of `Encoder.query`, where asked for
    entities: dict[str, int] = field(default_factory=dict)  # name -> rows of the drawing
    milliseconds: dict[str, float] = field(default_factory=dict)  # name -> time to encode, reading not counted
    failed: dict[str, str] = field(default_factory=dict)  # name -> why it could not be read


@functools.cache
def _shared(name: str) -> encoder.Encoder:
    return encoder.load(name)


@dataclass(frozen=True)
class _Task:
    """Work of a process: one file to its vector and, where ``switches`` are not the plain ones, its query vectors."""

    encoder: str
    switches: Switches

    def __call__(self, path: str) -> tuple[Vectors, Vectors | None, int, float]:
        import time

        drawing = read(path)
        start = time.perf_counter()
        vector = _shared(self.encoder).encode([drawing])[0]
        seconds = time.perf_counter() - start
        plain = self.switches == Switches()
        queries = None if plain else _shared(self.encoder).query(drawing, self.switches)
        return vector, queries, len(drawing), 1000.0 * seconds


def embed_files(
    paths: Sequence[str | Path],
    name: str = "descriptor",
    *,
    switches: Switches | None = None,
    workers: int | None = None,
    timeout_s: float = 120.0,
    memory_mb: int = 2000,
    quiet: bool = True,
) -> Embedded:
    """Encode all drawings below some paths in worker processes.

    Args:
        paths: files and folders.
        name: encoder, see `encoder.ENCODERS`.
        switches: if given and not the plain ones, query vectors under them are made too.
        workers, timeout_s, memory_mb: see `read_many`.
        quiet: no progress bar.

    Raises:
        ReadError: one of the paths does not exist.
        EncoderError: the encoder is unknown or lacks an extra.
    """
    dim = encoder.load(name).dim  # fails here, not in every worker
    found = find_files(paths)
    names = {
        path: Path(os.path.relpath(portable(path), portable(root))).as_posix() for path, root in found.paths.items()
    }
    result = Embedded(failed={portable(folder): reason for folder, reason in found.unreadable.items()})
    vectors: dict[str, Vectors] = {}
    task = _Task(name, switches or Switches())
    outcomes = read_many(list(names), task, workers=workers, timeout_s=timeout_s, memory_mb=memory_mb)
    with progress_bar("encoding", len(names), quiet) as step:
        for outcome in outcomes:
            step()
            file = names[outcome.item]
            if outcome.value is None:
                result.failed[file] = outcome.error or "failed"
                continue
            vectors[file], queries, result.entities[file], result.milliseconds[file] = outcome.value
            if queries is not None:
                result.queries[file] = queries
    result.files = sorted(vectors)
    result.vectors = np.array([vectors[file] for file in result.files], np.float32).reshape(-1, dim)
    return result
