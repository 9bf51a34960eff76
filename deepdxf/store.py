"""Many drawings on disk: one file a column, mapped into memory, so that any of half a million is there in microseconds.

    Store.write("drawings.store", ["folder/of/files"], groups="groups.csv")
    store = Store.open("drawings.store")
    store[17], store.names[17], store.families[17]

A store is a folder:

    *.npy         one array a column, all drawings after one another; they only ever grow at their end
    labels.npz    source, family, group and kind of each drawing
    failed.csv    files of the last run that could not be read, and why
    store.json    how far the columns are complete; replaced as a whole, after the columns were written to the disk

What stands behind the length in store.json is left over from a run that was cut off, and is written over by the next.
Drawings are numbered by name, whatever the order in which the worker processes read them.

Letters in shapes: n drawings, b drawings of a batch, r rows, v vertices, k knots of all drawings.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from deepdxf.batch import progress_bar, read_many
from deepdxf.drawing import N_SCALARS, BoolArray, Drawing, FloatArray, IntArray, Problem
from deepdxf.errors import GroupsError, StoreError
from deepdxf.files import find_files, portable, relative_names, replacing, without_path
from deepdxf.fingerprint import NOTHING, canonical_hash
from deepdxf.groups import FAMILY, families, read_members, read_sources, source_of
from deepdxf.reader import read

FORMAT = 1
INDEX, LABELS, FAILED, LOCK = "store.json", "labels.npz", "failed.csv", "writing.lock"
# A commit is made after this many drawings or bytes: what a run that is cut off has to read again, at most.
COMMIT_DRAWINGS, COMMIT_BYTES = 1024, 1 << 28

# name -> (dtype, shape of an element) of the columns with one element a row, a vertex or a knot of a drawing.
PER_ROW: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "cls": ("|u1", ()),
    "handle": ("<i8", ()),
    "depth": ("|u1", ()),
    "parent": ("<i8", ()),
    "layer": ("<i4", ()),
    "color": ("<i4", ()),
    "dxftype": ("<i4", ()),
    "text_index": ("<i4", ()),
    "block_index": ("<i4", ()),
    "scalars": ("<f8", (N_SCALARS,)),
    "box": ("<f8", (4,)),
}
PER_VERTEX: Mapping[str, tuple[str, tuple[int, ...]]] = {"vertices": ("<f8", (3,)), "vertex_path": ("<i4", ())}
PER_KNOT: Mapping[str, tuple[str, tuple[int, ...]]] = {"knots": ("<f8", ())}
# One element more than the drawing has rows, counted from its own beginning, as `Drawing` has them.
STARTS: Mapping[str, tuple[str, tuple[int, ...]]] = {"vertex_start": ("<i8", ()), "knot_start": ("<i8", ())}
# Texts as UTF-8 (`facts`: JSON), and one element a drawing: how much of each sort it has, and its hash.
COUNTS = ("rows", "vertices", "knots", "facts", "name")
OTHERS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "facts": ("|u1", ()),
    "name": ("|u1", ()),
    "counts": ("<i8", (len(COUNTS),)),
    "hash": ("|u1", (16,)),
}
COLUMNS = {**PER_ROW, **PER_VERTEX, **PER_KNOT, **STARTS, **OTHERS}
NAMES = ("layers", "dxftypes", "texts", "blocks")  # fields of `Drawing` that are tuples of strings
SINGLE = ("unit_mm", "space", "format", "version", "reader", "content_size")

EMPTY_HASH = 0  # number in `Store.hashes` of drawings without anything to see: they are not the same as each other


@dataclass
class StoreReport:
    """What a run of `Store.write` did."""

    added: int = 0
    kept: int = 0  # were there already, by name
    failed: dict[str, str] = field(default_factory=dict)  # name -> why it could not be read


@dataclass(frozen=True)
class Split:
    """Drawings held out for the final test, and the others in folds; each drawing is in one of them, or left out."""

    test: IntArray
    folds: list[IntArray]
    left_out: IntArray  # of trivial content that several sides have, see `components`

    def train(self, fold: int) -> IntArray:
        """All drawings but those of the test and of this fold, ascending."""
        return np.sort(np.concatenate([np.zeros(0, np.int64), *self.folds[:fold], *self.folds[fold + 1 :]]))


class Store:
    """Drawings of a folder that `write` has made; a sequence of drawings, by name. Can be sent to other processes."""

    def __init__(self, folder: Path, data: _Data, rows: IntArray) -> None:
        """Use `open`."""
        self.folder = folder
        self._data = data
        self._rows = rows  # (n,) places in the columns

    # --- reading ---

    @classmethod
    def open(cls, folder: str | Path) -> Store:
        """The store of a folder.

        Raises:
            StoreError: it is none, is incomplete because writing was cut off or goes on, or is damaged.
        """
        folder = Path(folder)
        index = _read_index(folder)
        if index is None:
            raise StoreError(f"{folder}: no store of drawings; make one with Store.write")
        if not index["complete"]:
            raise StoreError(
                f"{folder}: incomplete, {index['drawings']} drawings so far: writing was cut off or still goes on; "
                "write it again with the same drawings, and it goes on from there"
            )
        data = _Data(folder, index)
        return cls(folder, data, np.array(sorted(range(len(data.names)), key=data.names.__getitem__), np.int64))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Drawing:
        """The drawing of that number; its arrays lie in the files and cannot be written to.

        Raises:
            IndexError: there is no such number.
        """
        return self._data.drawing(int(self._rows[number]))

    def __iter__(self) -> Iterator[Drawing]:
        return (self[number] for number in range(len(self)))

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[Path, IntArray]]:
        return _reopened, (self.folder, self._rows)

    def select(self, which: BoolArray | IntArray) -> Store:
        """The store of some of the drawings: mask or numbers, in their order."""
        return Store(self.folder, self._data, self._rows[which])

    @cached_property
    def names(self) -> list[str]:
        """Name of each drawing: its path relative to the folder that was read, with "/"."""
        return [self._data.names[row] for row in self._rows.tolist()]

    @cached_property
    def lengths(self) -> IntArray:
        """(n,) rows of each drawing."""
        lengths: IntArray = self._data.counts[self._rows, COUNTS.index("rows")]
        return lengths

    @cached_property
    def vertex_counts(self) -> IntArray:
        """(n,) vertices of each drawing."""
        counts: IntArray = self._data.counts[self._rows, COUNTS.index("vertices")]
        return counts

    @cached_property
    def hashes(self) -> IntArray:
        """(n,) a number for the content of each drawing: equal where `canonical_hash` is; `EMPTY_HASH` = nothing."""
        return self._data.hashes[self._rows]

    def content_hash(self, number: int) -> str:
        """`canonical_hash` of a drawing."""
        return bytes(self._data.columns["hash"][self._rows[number]]).hex()

    @cached_property
    def families(self) -> IntArray:
        """(n,) number of the family: drawings joined by groups of any kind, directly or through others; −1 = none."""
        return self._data.labels["family"][self._rows]

    @cached_property
    def sources(self) -> list[str]:
        """Where each drawing comes from, see `groups.Protocol.source`."""
        names = self._data.labels["source_names"]
        return [str(names[number]) for number in self._data.labels["source"][self._rows]]

    @cached_property
    def groups(self) -> list[str]:
        """Group of each drawing, the first that is no family where it is in several; empty = in none."""
        names = self._data.labels["group_names"]
        return [str(names[number]) if number >= 0 else "" for number in self._data.labels["group"][self._rows]]

    @cached_property
    def kinds(self) -> list[str]:
        """Kind of the group of `groups`; empty = in none."""
        kinds = self._data.labels["group_kinds"]
        return [str(kinds[number]) if number >= 0 else "" for number in self._data.labels["group"][self._rows]]

    @cached_property
    def source_numbers(self) -> IntArray:
        """(n,) `sources` as numbers; −1 = not known, for a drawing that lies in no folder."""
        numbers: IntArray = self._data.labels["source"][self._rows]
        unknown = np.flatnonzero(self._data.labels["source_names"] == NO_SOURCE)
        return np.where(np.isin(numbers, unknown), -1, numbers)

    def same_matrix(self, numbers: IntArray, *, source: bool = False) -> BoolArray:
        """(b, b) whether two drawings are the same for training, and so no negatives of each other.

        Args:
            numbers: (b,) of drawings.
            source: whether those of one source count as the same too.

        Returns:
            True where the content or the family is the same (or the source); and on the diagonal.
        """
        same = np.eye(len(numbers), dtype=bool)
        for label, nothing in ((self.hashes, EMPTY_HASH), (self.families, -1), (self.source_numbers, -1)):
            if label is self.source_numbers and not source:
                continue
            of = label[numbers]
            same |= (of[:, None] == of) & (of != nothing)
        return same

    # --- writing ---

    @classmethod
    def write(
        cls,
        folder: str | Path,
        drawings: Sequence[str | Path] | Mapping[str, Drawing],
        *,
        groups: str | Path | None = None,
        workers: int | None = None,
        timeout_s: float = 120.0,
        memory_mb: int = 2000,
        quiet: bool = True,
    ) -> StoreReport:
        """Make a store, add drawings to it, or go on with one that was cut off.

        Drawings whose names are there already are kept as they are and not read again. Files that could not be read
        stand in the report and in failed.csv, and are tried again by the next run.

        Args:
            folder: of the store; made if it is not there.
            drawings: files and folders, named as in `relative_names`; or drawings by name, asked for one by one.
            groups: groups.csv (and manifest.csv beside it, where there is one), whose names are those of the store.
                None: the labels that drawings have stay, new ones have none.
            workers, timeout_s, memory_mb: see `read_many`.
            quiet: no progress bar.

        Raises:
            StoreError: the folder holds something else, another process writes to it, or it cannot be written.
            ReadError: one of the paths does not exist.
            GroupsError: the groups cannot be read, or none of the drawings is in them.
        """
        folder = Path(folder)
        report = StoreReport()
        with _exclusive(folder):
            members = _Members.read(Path(groups)) if groups else None  # fails here, not after hours of reading
            writer = _Writer(folder)
            with writer:
                known = set(writer.names)
                if isinstance(drawings, Mapping):
                    for name in drawings:
                        if name in known:
                            report.kept += 1
                        else:
                            writer.add(name, drawing := drawings[name], canonical_hash(drawing))
                else:
                    found = find_files(drawings)
                    names = relative_names(found)
                    report.failed = {
                        portable(folder): f"folder cannot be listed: {why}" for folder, why in found.unreadable.items()
                    }
                    items = [(path, name) for path, name in names.items() if name not in known]
                    report.kept = len(names) - len(items)
                    outcomes = read_many(
                        items, _read_and_hash, workers=workers, timeout_s=timeout_s, memory_mb=memory_mb
                    )
                    with progress_bar("storing", len(items), quiet) as step:
                        for outcome in outcomes:
                            step()
                            path, name = outcome.item
                            if outcome.value is None:
                                report.failed[name] = without_path(outcome.error or "", path)
                            else:
                                writer.add(name, *outcome.value)
                report.added = len(writer.names) - len(known)
            report.failed = dict(sorted(report.failed.items()))
            _write_labels(folder, writer.names, members)
            with replacing(folder / FAILED) as partial, partial.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([("file", "reason"), *report.failed.items()])
            writer.complete()
        return report


def _reopened(folder: Path, rows: IntArray) -> Store:
    return Store(folder, Store.open(folder)._data, rows)


def _read_and_hash(item: tuple[str, str]) -> tuple[Drawing, str]:
    """Work of a process: path and name to drawing and hash."""
    drawing = read(item[0])
    return drawing, canonical_hash(drawing)


# --- parts of a data set ---------------------------------------------------------------------------------------------

LARGE = 0.01  # share of all drawings from which a component is placed by itself
TRIVIAL = 8  # vertices up to which a drawing is trivial: a line, a circle, a rectangle


def split(store: Store, test: float = 0.2, folds: int = 10, seed: int = 0, *, by_source: bool = True) -> Split:
    """Part the drawings so that nothing connected stands on two sides, see `components`.

    The parts are as near to their sizes as the connections allow; what is too large for all of them goes to a fold.

    Args:
        store: the drawings.
        test: share held out.
        folds: parts of the rest, of equal size.
        seed: of the chance by which components are dealt out.
        by_source: whether drawings of one source are connected.

    Raises:
        StoreError: a part would be empty, because too much is connected.
    """
    if not 0 <= test < 1 or folds < 1:
        raise StoreError(f"no split: test must be a share from 0 to below 1, not {test}; folds at least 1, not {folds}")
    component = components(store, by_source=by_source)
    size = np.bincount(component[component >= 0])
    n = int(size.sum())
    rng = np.random.default_rng(seed)
    part = np.append(_dealt(size, np.array([test, 1.0 - test]), rng), -1)  # 0 test, 1 rest; the last: what is left out
    rest = np.flatnonzero(part == 1)
    part[rest] += _dealt(size[rest], np.full(folds, 1.0 / folds), rng)
    parts = [np.flatnonzero(part[component] == number) for number in range(-1, folds + 1)]
    wanted = parts[1 if test else 2 :]
    if not all(map(len, wanted)):
        hint = "; by_source=False connects less" if by_source else ""
        raise StoreError(
            f"{n} drawings in {len(size)} unconnected components (the largest has {size.max(initial=0)}) do not fill "
            f"{len(wanted)} parts; ask for fewer folds{hint}"
        )
    return Split(parts[1], parts[2:], parts[0])


def _dealt(size: IntArray, share: FloatArray, rng: np.random.Generator) -> IntArray:
    """(c,) part of each component, by chance, such that parts have their shares of all as nearly as may be."""
    total = int(size.sum())
    left = share * total
    part = np.zeros(len(size), np.int64)
    order = rng.permutation(len(size))
    large = order[size[order] > LARGE * total]  # at most 1 / LARGE
    for number in large[np.argsort(-size[large], kind="stable")]:
        room = np.where(left >= size[number], left, 0.0)
        part[number] = rng.choice(len(left), p=room / room.sum()) if room.any() else np.argmax(left)
        left[part[number]] -= size[number]
    # the small ones fill what is left, one part after the other: a component belongs where its middle falls
    small = order[size[order] <= LARGE * total]
    left = np.maximum(left, 0.0)
    bounds = np.cumsum(left) / (left.sum() or 1.0) * size[small].sum()
    middle = np.cumsum(size[small]) - size[small] / 2.0
    part[small] = np.minimum(np.searchsorted(bounds, middle), len(share) - 1)
    return part


def components(store: Store, *, by_source: bool = True) -> IntArray:
    """(n,) number of the component of each drawing, in the order of their first drawings; −1 = left out.

    Connected are drawings of one content hash, one family and, if asked, one source where it is known, directly or
    through others. Trivial content, a single line say, connects nothing, for it would chain all sources to each other:
    its drawings are left out where they stand in several components.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(store)
    hashes = store.hashes
    simplest = np.full(int(hashes.max(initial=0)) + 1, TRIVIAL + 1)
    np.minimum.at(simplest, hashes, store.vertex_counts)
    trivial = (simplest[hashes] <= TRIVIAL) & (hashes != EMPTY_HASH)
    labels = [(hashes, (hashes != EMPTY_HASH) & ~trivial), (store.families, store.families >= 0)]
    if by_source:
        labels.append((store.source_numbers, store.source_numbers >= 0))
    first, second, nodes = [], [], n  # drawings and labels are the nodes of one graph
    for label, known in labels:
        first.append(np.flatnonzero(known))
        second.append(nodes + label[known])
        nodes += int(label.max(initial=0)) + 1
    rows, columns = np.concatenate(first), np.concatenate(second)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(nodes, nodes))
    of = connected_components(graph, directed=False)[1][:n].astype(np.int64)

    lowest, highest = np.full(len(simplest), nodes), np.full(len(simplest), -1)
    np.minimum.at(lowest, hashes, of)
    np.maximum.at(highest, hashes, of)
    of[trivial & (lowest < highest)[hashes]] = -1
    kept = np.flatnonzero(of >= 0)
    _, begin, number = np.unique(of[kept], return_index=True, return_inverse=True)
    of[kept] = np.argsort(np.argsort(begin))[number.reshape(-1)]
    result: IntArray = of
    return result


# --- labels ----------------------------------------------------------------------------------------------------------

NO_SOURCE = "."


@dataclass(frozen=True)
class _Members:
    """What groups.csv and the manifest beside it say, by file."""

    family: Mapping[str, int]
    group: Mapping[str, str]
    kind: Mapping[str, str]  # of a group
    sources: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> _Members:
        members = read_members(path)
        group: dict[str, str] = {}
        kind = {member.group: member.kind for member in members}
        for member in members:
            if kind[group.setdefault(member.file, member.group)] == FAMILY:
                group[member.file] = member.group
        return cls(families(members), group, kind, read_sources(path))


def _write_labels(folder: Path, names: Sequence[str], members: _Members | None) -> None:
    """Labels of all drawings; without ``members``, those that there are, and none for new drawings."""
    if members is not None and names and not any(name in members.group for name in names):
        raise GroupsError(
            f"none of the {len(names)} drawings is in the groups (first: {names[0]!r}); "
            "store the folder that the groups' paths are relative to"
        )
    path = folder / LABELS
    old = _read_labels(path) if members is None and path.exists() else None
    sources = [source_of(name, members.sources if members else {}) for name in names]
    family = [members.family.get(name, -1) if members else -1 for name in names]
    group = [members.group.get(name, "") if members else "" for name in names]
    kind = members.kind if members else {}
    if old is not None:
        done = len(old["source"])
        sources[:done] = [str(old["source_names"][number]) for number in old["source"]]
        family[:done] = old["family"].tolist()
        group[:done] = [str(old["group_names"][number]) if number >= 0 else "" for number in old["group"]]
        kind = dict(zip(map(str, old["group_names"]), map(str, old["group_kinds"]), strict=True))
    source_names, source = np.unique(np.array(sources, str), return_inverse=True)
    group_names = sorted(set(group) - {""})
    place = {name: i for i, name in enumerate(group_names)} | {"": -1}
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            source=source.reshape(-1).astype(np.int64),
            source_names=source_names,
            family=np.array(family, np.int64),
            group=np.array([place[name] for name in group], np.int64),
            group_names=np.array(group_names, str),
            group_kinds=np.array([kind[name] for name in group_names], str),
        )


def _read_labels(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise StoreError(f"{path}: damaged ({error}); write the store again with its groups") from error


# --- files -----------------------------------------------------------------------------------------------------------


class _Data:
    """The columns of a store, and what is worked out from them once for all selections."""

    def __init__(self, folder: Path, index: Mapping[str, Any]) -> None:
        self.columns = {name: _mapped(folder / f"{name}.npy", name, index["lengths"][name]) for name in COLUMNS}
        self.labels = _read_labels(folder / LABELS)
        self.counts = np.array(self.columns["counts"])
        self.start = np.concatenate([np.zeros((1, len(COUNTS)), np.int64), np.cumsum(self.counts, axis=0)])
        self.names = _names(folder, index["lengths"])

    def drawing(self, row: int) -> Drawing:
        """One drawing; slices of the columns."""
        (r0, v0, k0, f0, _), (r1, v1, k1, f1, _) = self.start[row : row + 2].tolist()
        columns = self.columns
        facts: dict[str, Any] = json.loads(bytes(columns["facts"][f0:f1]))
        facts |= {name: tuple(facts[name]) for name in NAMES}
        facts["fields"] = tuple((tag, value) for tag, value in facts["fields"])
        facts["problems"] = tuple(Problem(*problem) for problem in facts["problems"])
        for names, part in ((PER_ROW, slice(r0, r1)), (PER_VERTEX, slice(v0, v1)), (PER_KNOT, slice(k0, k1))):
            facts |= {name: columns[name][part] for name in names}
        facts |= {name: columns[name][r0 + row : r1 + row + 1] for name in STARTS}
        return Drawing(**facts)

    @cached_property
    def hashes(self) -> IntArray:
        """(drawings in the files,) hashes as numbers."""
        hashes = np.array(self.columns["hash"])
        _, number = np.unique(hashes.view("V16").reshape(-1), return_inverse=True)
        drawn = hashes != np.frombuffer(bytes.fromhex(NOTHING), np.uint8)
        return np.where(drawn.any(axis=1), 1 + number.reshape(-1), EMPTY_HASH)


def _names(folder: Path, lengths: Mapping[str, int]) -> list[str]:
    """Names of the drawings in the columns, in their order."""
    text, counts = (_mapped(folder / f"{name}.npy", name, lengths[name]) for name in ("name", "counts"))
    joined, ends = bytes(text), np.cumsum(counts[:, COUNTS.index("name")]).tolist()
    return [joined[a:b].decode("utf-8") for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _mapped(path: Path, name: str, length: int) -> NDArray[Any]:
    """The first ``length`` elements of a column, read-only."""
    dtype, shape = COLUMNS[name]
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            found, _, stated = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
        fits = found == shape or found[1:] == shape
        whole = path.stat().st_size >= offset + length * np.dtype((stated, shape)).itemsize
        if not fits or stated != np.dtype(dtype) or not whole:
            raise ValueError("shorter than store.json says" if fits else "another shape")
        if length == 0:
            return np.zeros((0, *shape), dtype)
        mapped = np.memmap(path, stated, "r", offset, (length, *shape))
        # a plain array over the same memory: slices of memmaps cost several times as much
        return mapped.view(np.ndarray)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: damaged ({error}); delete the store and write it anew") from error


def _read_index(folder: Path) -> dict[str, Any] | None:
    """store.json; None where there is none."""
    path = folder / INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise StoreError(
                f"{folder}: a store of format {index['format']}, this version reads {FORMAT}; write it anew"
            )
        index["complete"], index["drawings"], [index["lengths"][name] for name in COLUMNS]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: damaged ({error}); delete the store and write it anew") from error
    return index


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for this process alone; the system lets go of it however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if _read_index(folder) is None and any(path.name != LOCK for path in folder.iterdir()):
            raise StoreError(f"{folder}: holds other things than a store of drawings; name a new folder")
        with (folder / LOCK).open("a") as file:
            try:
                if sys.platform == "win32":
                    import msvcrt

                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StoreError(f"{folder}: another process is writing to it; wait for its end") from None
            yield
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror or error})") from error


class _Writer:
    """Appends drawings to the columns; what was committed stays, whatever happens later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = _read_index(folder)
        self.lengths: dict[str, int] = index["lengths"] if index else dict.fromkeys(COLUMNS, 0)
        self._index(complete=False)  # before the first column: so the folder is known as a store
        if self.lengths["counts"]:
            for name in COLUMNS:
                _mapped(folder / f"{name}.npy", name, self.lengths[name])
        self.names: list[str] = _names(folder, self.lengths) if self.lengths["counts"] else []
        self.files: dict[str, BinaryIO] = {}
        self.stack = ExitStack()
        self.buffer: dict[str, list[bytes]] = {name: [] for name in COLUMNS}
        self.waiting = self.bytes = 0

    def __enter__(self) -> None:
        with self.stack:
            for name in COLUMNS:
                path = self.folder / f"{name}.npy"
                file = self.stack.enter_context(path.open("r+b" if path.exists() else "w+b"))
                self.files[name] = file
                self._header(name)
                file.truncate(file.tell() + self.lengths[name] * _item_size(name))
                file.seek(0, os.SEEK_END)
            self.stack = self.stack.pop_all()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Commit, also when Ctrl-C or an error ends the run: what has been read need not be read again."""
        with self.stack:
            self.commit()

    def add(self, name: str, drawing: Drawing, content_hash: str) -> None:
        """One more drawing."""
        facts = {key: getattr(drawing, key) for key in (*NAMES, *SINGLE, "fields")}
        facts["problems"] = [(p.code, p.message, p.count) for p in drawing.problems]
        facts["ignored"] = dict(drawing.ignored)
        # ASCII: lone surrogates, which damaged files hold, survive as escapes
        text, path = json.dumps(facts, separators=(",", ":")).encode("ascii"), name.encode("utf-8")
        counts = (len(drawing), len(drawing.vertices), len(drawing.knots), len(text), len(path))
        values = {key: getattr(drawing, key) for key in (*PER_ROW, *PER_VERTEX, *PER_KNOT, *STARTS)}
        values |= {"counts": np.array([counts]), "hash": np.frombuffer(bytes.fromhex(content_hash), np.uint8)}
        data = {key: np.asarray(value, COLUMNS[key][0]).tobytes() for key, value in values.items()}
        data |= {"facts": text, "name": path}
        for key, value in data.items():
            self.buffer[key].append(value)
            self.bytes += len(value)
        self.names.append(name)
        self.waiting += 1
        if self.waiting >= COMMIT_DRAWINGS or self.bytes >= COMMIT_BYTES:
            self.commit()

    def commit(self) -> None:
        """Everything added so far, to the disk; then the index that says so."""
        for name, file in self.files.items():
            data = b"".join(self.buffer[name])
            file.write(data)
            self.lengths[name] += len(data) // _item_size(name)
            self.buffer[name].clear()
            self._header(name)
            file.seek(0, os.SEEK_END)
            file.flush()
            os.fsync(file.fileno())
        self.waiting = self.bytes = 0
        self._index(complete=False)

    def complete(self) -> None:
        """The run is over, the store may be read."""
        self._index(complete=True)

    def _header(self, name: str) -> None:
        """Of the .npy format, with its length as it is now; headers of all lengths take the same room."""
        dtype, shape = COLUMNS[name]
        self.files[name].seek(0)
        header = {"descr": dtype, "fortran_order": False, "shape": (self.lengths[name], *shape)}
        np.lib.format.write_array_header_1_0(self.files[name], header)

    def _index(self, complete: bool) -> None:
        index = {
            "format": FORMAT,
            "complete": complete,
            "drawings": self.lengths["counts"],
            "lengths": self.lengths,
        }
        with replacing(self.folder / INDEX) as partial:
            partial.write_text(json.dumps(index, indent=1), encoding="utf-8")


def _item_size(name: str) -> int:
    dtype, shape = COLUMNS[name]
    return np.dtype((dtype, shape)).itemsize
