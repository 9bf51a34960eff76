"""Keeping an archive up to date with folders: once, and for as long as they change.

Changes are found by looking at the folders again and again (names, sizes, times), not by notifications of the system: those
do not cross network shares, on which archives of drawings lie. A look costs a listing of the folders; only when it differs
from the last one is the archive asked and anything read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deepdxf import encoder, reader, render
from deepdxf.archive import Archive, IndexReport, Ingest
from deepdxf.encoder import Vectors
from deepdxf.errors import DeepDXFError, ReadError
from deepdxf.files import find_files

# Cosine of a drawing's vector and the one of the archive, by the same encoder on any machine.
ALIKE = 0.999
# A folder that never rests is indexed after so many looks all the same.
PATIENCE = 12

# What a look sees: path -> size and time of the last change, and what cannot be listed
Look = dict[str, tuple[int, int]]


def index_folders(
    paths: Sequence[str | Path],
    address: str,
    name: str,
    *,
    thumbnails: bool = True,
    **options: Any,
) -> tuple[Archive, IndexReport]:
    """The archive at an address after indexing with the encoder of a name; made if it is not there.

    One that has lost its description gets it again, if its files show that the encoder is its own.

    Args:
        options: as of `Archive.index`.
    """
    search_encoder = encoder.load(name)
    lasting = encoder.lasting_name(name)

    def agrees(file: Path, vector: Vectors) -> bool | None:
        try:
            return bool(search_encoder.encode([reader.read(file)])[0] @ vector > ALIKE)
        except ReadError:
            return None

    Archive.describe_anew(address, search_encoder.id, search_encoder.dim, lasting, agrees)
    archive = Archive.create(address, search_encoder.id, search_encoder.dim, lasting)
    ingest = Ingest(partial(encoder.load, name), reader.read, render.thumbnail if thumbnails else None)
    return archive, archive.index(paths, ingest, **options)


def follow(
    paths: Sequence[str | Path],
    update: Callable[[], IndexReport],
    *,
    seconds: float,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[IndexReport | DeepDXFError]:
    """Bring an archive up to date now, and again whenever files below some paths have changed and come to rest.

    It ends when an update was interrupted. What goes wrong later than the first time (a share that is away, a full disk) is
    yielded once, and tried again: it may be over at the next look.

    Args:
        update: indexes the paths.
        seconds: between two looks. Files are at rest when a look sees what the one before it saw, so that a drawing that
            is just being written or copied is not read half.
        pause: waits so many seconds.

    Raises:
        DeepDXFError: the first time, for instance where a path does not exist.
    """
    done: Look | None = None
    seen: Look | None = None
    restless = 0
    complaint = ""
    while True:
        try:
            now = look(paths)
            # the first time there is nothing to wait for: indexing looks itself whether a file changes while it is read
            if now != done and (done is None or now == seen or restless >= PATIENCE):
                report = update()
                done, restless, complaint = now, 0, ""
                yield report
                if report.interrupted:
                    return
            restless = restless + 1 if now != done else 0
            seen = now
        except DeepDXFError as error:
            if done is None:
                raise
            if str(error) != complaint:
                complaint = str(error)
                yield error
        pause(seconds)


def look(paths: Sequence[str | Path]) -> Look:
    """What there is below the paths.

    Raises:
        ReadError: one of them does not exist.
    """
    files = find_files(paths)
    found: Look = dict.fromkeys(files.unreadable, (-1, -1))
    for path in files.paths:
        try:
            info = os.stat(path)
        except OSError:  # it has just vanished
            continue
        found[path] = (info.st_size, info.st_mtime_ns)
    return found
