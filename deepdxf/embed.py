"""Many files without an archive: their vectors (`embed`, `evaluate`, experiments) and their codes (`encode`)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from deepdxf import encoder, graph
from deepdxf.batch import progress_bar, read_many
from deepdxf.encoder import Switches, Vectors
from deepdxf.errors import DeepDXFError
from deepdxf.files import find_files, portable, relative_names, without_path
from deepdxf.reader import read
from deepdxf.sequence import classic, write_h5
from deepdxf.turn import straightened, turn_of
from deepdxf.verify import pack, query_sketches, sketch

Result = TypeVar("Result")


@dataclass
class Embedded:
    """Vectors of files; entries stand in the order of the sorted names."""

    files: list[str] = field(default_factory=list)  # n names, see `relative_names`
    vectors: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # (n, d)
    queries: dict[str, Vectors] = field(default_factory=dict)  # name -> (m, d) of `Encoder.query`, where asked for
    level: dict[str, Vectors] = field(default_factory=dict)  # name -> (d,) of those turned, where that is free
    sketches: dict[str, bytes] = field(default_factory=dict)  # name -> `verify.pack`, where asked for; level likewise
    asked: dict[str, list[bytes]] = field(default_factory=dict)  # name -> `query_sketches`, where they are others
    entities: dict[str, int] = field(default_factory=dict)  # name -> rows of the drawing
    milliseconds: dict[str, float] = field(default_factory=dict)  # name -> time to encode, reading not counted
    failed: dict[str, str] = field(default_factory=dict)  # name -> why it could not be read


def for_each_file(
    paths: Sequence[str | Path],
    work: Callable[[tuple[str, str]], Result],
    title: str,
    *,
    workers: int | None = None,
    timeout_s: float = 120.0,
    memory_mb: int = 2000,
    quiet: bool = True,
) -> tuple[dict[str, Result], dict[str, str]]:
    """Apply ``work`` to (absolute path, name) of all drawings below some paths, in worker processes.

    Args:
        paths: files and folders.
        work: picklable.
        title: of the progress bar.
        workers, timeout_s, memory_mb: see `read_many`.
        quiet: no progress bar.

    Returns:
        Results by name and reasons by name of what failed, both sorted; names as in `relative_names`.

    Raises:
        ReadError: one of the paths does not exist.
        DeepDXFError: two files would have the same name.
    """
    found = find_files(paths)
    names = relative_names(found)
    done: dict[str, Result] = {}
    failed = {portable(folder): f"folder cannot be listed: {reason}" for folder, reason in found.unreadable.items()}
    outcomes = read_many(list(names.items()), work, workers=workers, timeout_s=timeout_s, memory_mb=memory_mb)
    with progress_bar(title, len(names), quiet) as step:
        for outcome in outcomes:
            step()
            path, name = outcome.item
            if outcome.error is None:
                done[name] = outcome.value  # type: ignore[assignment]  # there is a value where there is no error
            else:
                failed[name] = without_path(outcome.error, path)
    return dict(sorted(done.items())), dict(sorted(failed.items()))


# --- vectors ---------------------------------------------------------------------------------------------------------


@functools.cache
def _shared(name: str) -> encoder.Encoder:
    return encoder.load(name)


@dataclass(frozen=True)
class _Embed:
    """Work of a process: one file to its vector and, where ``switches`` are not the plain ones, its query vectors."""

    encoder: str
    switches: Switches
    sketches: bool
    space: str
    xrefs: bool

    def __call__(self, item: tuple[str, str]) -> _Done:
        drawing = read(item[0], space=self.space, xrefs=self.xrefs)
        start = time.perf_counter()
        vector = _shared(self.encoder).encode([drawing])[0]
        done = _Done(vector, len(drawing), 1000.0 * (time.perf_counter() - start))
        if self.switches != Switches():
            done.queries = _shared(self.encoder).query(drawing, self.switches)
        kept = drawing
        if self.switches.rotation and (angle := turn_of(drawing)):
            kept = straightened(drawing, angle)
            done.level = _shared(self.encoder).encode([kept])[0]
        if self.sketches:
            done.sketch = pack(sketch(kept))
            done.asked = [pack(pen) for pen in query_sketches(drawing, self.switches)]
        return done


@dataclass
class _Done:
    """What `_Embed` makes of a file."""

    vector: Vectors
    entities: int
    milliseconds: float
    queries: Vectors | None = None
    level: Vectors | None = None
    sketch: bytes | None = None
    asked: list[bytes] = field(default_factory=list)


def embed_files(
    paths: Sequence[str | Path],
    name: str = "descriptor",
    *,
    switches: Switches | None = None,
    sketches: bool = False,
    space: str = "auto",
    xrefs: bool = False,
    workers: int | None = None,
    timeout_s: float = 120.0,
    memory_mb: int = 2000,
    quiet: bool = True,
) -> Embedded:
    """Vectors of all drawings below some paths.

    Args:
        paths: files and folders.
        name: encoder, see `encoder.ENCODERS`.
        switches: if given and not the plain ones, query vectors under them are made too.
        sketches: whether to make what hits are verified by.
        space, xrefs: what is read of each file, see `reader.read`.
        workers, timeout_s, memory_mb, quiet: see `for_each_file`.

    Raises:
        EncoderError: the encoder is unknown or lacks an extra.
        DeepDXFError: as `for_each_file`.
    """
    dim = encoder.load(name).dim  # fails here, not in every worker
    work = _Embed(name, switches or Switches(), sketches, space, xrefs)
    done, failed = for_each_file(
        paths, work, "encoding", workers=workers, timeout_s=timeout_s, memory_mb=memory_mb, quiet=quiet
    )
    return Embedded(
        files=list(done),
        vectors=np.array([one.vector for one in done.values()], np.float32).reshape(-1, dim),
        queries={file: one.queries for file, one in done.items() if one.queries is not None},
        level={file: one.level for file, one in done.items() if one.level is not None},
        sketches={file: one.sketch for file, one in done.items() if one.sketch is not None},
        asked={file: one.asked for file, one in done.items() if one.asked not in ([], [one.sketch])},
        entities={file: one.entities for file, one in done.items()},
        milliseconds={file: one.milliseconds for file, one in done.items()},
        failed=failed,
    )


# --- codes -----------------------------------------------------------------------------------------------------------

Format = Literal["npz", "h5"]


@dataclass(frozen=True)
class _Encode:
    """Work of a process: one file to a file with its codes; returns its path and how many rows of the code were cut."""

    out: Path
    format: Format
    space: str
    xrefs: bool

    def __call__(self, item: tuple[str, str]) -> tuple[str, int]:
        path, name = item
        target = self.out / f"{name}.{self.format}"
        drawing = read(path, space=self.space, xrefs=self.xrefs)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeepDXFError(f"cannot make the folder {target.parent}: {error.strerror or error}") from error
        if self.format == "h5":
            code = classic(drawing)
            write_h5(target, code)
            return str(target), code.cut
        codes = graph.encode(drawing, name)
        codes.save(target)
        return str(target), max(codes.classic.cut, codes.rich.cut)


def encode_files(
    paths: Sequence[str | Path],
    out: Path,
    format: Format = "npz",
    *,
    space: str = "auto",
    xrefs: bool = False,
    workers: int | None = None,
    timeout_s: float = 120.0,
    memory_mb: int = 2000,
    quiet: bool = True,
) -> tuple[dict[str, tuple[str, int]], dict[str, str]]:
    """Write the codes of all drawings below some paths, one file each, named like the drawing.

    Args:
        paths: files and folders.
        out: folder for the files; made if it is not there.
        format: ``npz``: all codes, see `graph.DrawingCode`; ``h5``: the classic sequence matrix, see `write_h5`.
        space, xrefs: what is read of each file, see `reader.read`.
        workers, timeout_s, memory_mb, quiet: see `for_each_file`.

    Returns:
        By name of the drawing: the written file and the number of rows that the limit of the codes cut off; and the
        reasons of what failed.

    Raises:
        DeepDXFError: ``out`` cannot be made, or as `for_each_file`.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeepDXFError(f"cannot make the folder {out}: {error.strerror or error}; name another") from error
    return for_each_file(
        paths,
        _Encode(out, format, space, xrefs),
        "encoding",
        workers=workers,
        timeout_s=timeout_s,
        memory_mb=memory_mb,
        quiet=quiet,
    )
