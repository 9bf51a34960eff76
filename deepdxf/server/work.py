"""What reads drawings for the server: in worker processes with a limit on time and memory, so that no file can harm it."""

from __future__ import annotations

import functools
import queue
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np

from deepdxf import encoder, reader
from deepdxf.align import Rotation, Scale
from deepdxf.batch import Standby
from deepdxf.compare import Comparison
from deepdxf.compare import compare as compare_drawings
from deepdxf.drawing import Drawing
from deepdxf.encoder import Encoder, Switches, Vectors
from deepdxf.errors import DeepDXFError, ReadError
from deepdxf.fingerprint import canonical_hash
from deepdxf.overlay import overlay_svg, page_body
from deepdxf.parts import Box, Detail, detail_of, marked_svg
from deepdxf.render import GRID, View, svg, thumbnail
from deepdxf.server.metrics import Metrics
from deepdxf.server.problems import Problem
from deepdxf.server.settings import Settings
from deepdxf.summary import Summary, summarise
from deepdxf.table import Limits
from deepdxf.verify import Verification

Answer = TypeVar("Answer", covariant=True)
PICTURE_WIDTH = 1200  # pixels of a drawing's picture
SIDES = re.compile(r'width="(\d+)" height="(\d+)"')  # of a picture


class Task(Protocol[Answer]):
    """Something to be done in a worker; picklable, as its answer is."""

    def __call__(self) -> Answer: ...


@dataclass(frozen=True)
class Source:
    """A drawing that a worker can read: the bytes of an upload, or a file of the archive."""

    name: str  # shown to people
    key: str  # changes with the content
    data: bytes | None  # None: read the file
    path: str
    unpacked_bytes: int

    def read(self) -> Drawing:
        """The drawing. Raises ReadError, without the path."""
        limits = Limits(file_bytes=self.unpacked_bytes)
        data = reader.load(Path(self.path), limits) if self.data is None else reader.unpacked(self.data, limits)
        return reader.parse(data, limits=limits)


@dataclass(frozen=True)
class Looked:
    """What is known of an upload."""

    summary: Summary
    thumbnail: bytes
    shape: str  # `fingerprint.canonical_hash`


@dataclass(frozen=True)
class Look:
    """Read a drawing: facts and a thumbnail."""

    source: Source

    def __call__(self) -> Looked:
        drawing = self.source.read()
        return Looked(summarise(drawing), thumbnail(drawing), canonical_hash(drawing))


@dataclass(frozen=True)
class Query:
    """Read a drawing: (m, d) vectors to search by, and what verifies hits."""

    source: Source
    encoder: str  # name
    switches: Switches

    def __call__(self) -> tuple[Vectors, Verification]:
        drawing = self.source.read()
        return _encoder(self.encoder).query(drawing, self.switches), Verification.of(drawing, self.switches)


@dataclass(frozen=True)
class Picture:
    """Read a drawing: its picture."""

    source: Source
    background: str
    text: bool

    def __call__(self) -> Drawn:
        drawing = self.source.read()
        made = svg(drawing, width=PICTURE_WIDTH, background=self.background, text=self.text)
        width, height = (int(side) for side in SIDES.search(made).groups())  # type: ignore[union-attr]
        view = View(drawing.frame, width, height)
        x, y = view.to_grid(np.zeros(2)).tolist()
        return Drawn(made, (x, y, view.scale * GRID))


@dataclass(frozen=True)
class Drawn:
    """A picture, and where in it a place of the drawing is."""

    svg: str
    to_picture: tuple[
        float, float, float
    ]  # of (0, 0): x, y; then the units of the picture in a drawing unit; y goes down


@dataclass(frozen=True)
class Cut:
    """Read a drawing: the detail that lies in a box of it, or all of it; or why that is none."""

    source: Source
    box: Box | None

    def __call__(self) -> Detail | str:
        drawing = self.source.read()
        try:
            return detail_of(drawing, self.box)
        except DeepDXFError as error:
            return str(error)


@dataclass(frozen=True)
class Marked:
    """Read a drawing: SVG with places marked."""

    source: Source
    places: tuple[Box, ...]

    def __call__(self) -> str:
        return marked_svg(self.source.read(), self.places)


@dataclass(frozen=True)
class Pose:
    """What may differ between two drawings that are compared."""

    size: bool = True  # as in `encoder.Switches`
    mirror: bool = False
    rotation: bool = False  # by any angle
    tolerance: float | None = None  # units of B


@dataclass(frozen=True)
class Compare:
    """Compare two drawings: the document, and the HTML or SVG of both over each other."""

    a: Source
    b: Source
    encoder: str
    pose: Pose
    picture: str  # "", "html" or "svg"

    def __call__(self) -> tuple[dict[str, Any], str]:
        a, b = (_named(source) for source in (self.a, self.b))
        rotation: Rotation = "any" if self.pose.rotation else "none"
        scale: Scale = "units" if self.pose.size else "any"
        found: Comparison = compare_drawings(
            a,
            b,
            tolerance=self.pose.tolerance,
            rotation=rotation,
            mirror=self.pose.mirror,
            scale=scale,
            encoder=_encoder(self.encoder),
        )
        names = self.a.name, self.b.name
        if self.picture == "html":
            return found.to_json(), page_body(a, b, found, names)
        return found.to_json(), overlay_svg(a, b, found, names=names) if self.picture == "svg" else ""


def _named(source: Source) -> Drawing:
    try:
        return source.read()
    except ReadError as error:
        raise ReadError(f"{source.name}: {error}") from error


@functools.cache
def _encoder(name: str) -> Encoder:
    return encoder.load(name)


def _do(task: Task[Any]) -> Any:
    """What the worker processes are for."""
    return task()


class Crew(Generic[Answer]):
    """Worker processes that requests share; a request waits until one is free, unless too many wait already."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._free: queue.LifoQueue[Standby[Task[Any], Any]] = queue.LifoQueue()
        self._all = [
            Standby[Task[Any], Any](_do, timeout_s=settings.work_s, memory_mb=settings.memory_mb)
            for _ in range(settings.workers)
        ]
        for standby in self._all:
            self._free.put(standby)
        self._lock = threading.Lock()
        self.waiting = 0

    def do(self, task: Task[Answer]) -> Answer:
        """The answer to a task.

        Raises:
            Problem: the drawing cannot be read, takes too much, or too many are waiting.
        """
        with self._lock:
            if self.waiting >= self._settings.waiting:
                raise Problem("busy", f"{self.waiting} others are waiting already; try again in a moment")
            self.waiting += 1
        try:
            # those in front take a time limit each at worst
            standby = self._free.get(timeout=2 * self._settings.work_s)
        except queue.Empty:
            raise Problem("busy", "the drawings of others take long; try again in a moment") from None
        finally:
            with self._lock:
                self.waiting -= 1
        try:
            outcome = standby.ask(task)
        finally:
            self._free.put(standby)
        kind = type(task).__name__.lower()
        if outcome.error is None:
            self._metrics.count("deepdxf_work_total", kind=kind, outcome="done")
            return cast("Answer", outcome.value)
        self._metrics.count("deepdxf_work_total", kind=kind, outcome="failed")
        raise problem_of(outcome.error)

    def close(self) -> None:
        """End the processes."""
        for standby in self._all:
            standby.close()


# How the errors begin of workers that had to be ended, see `batch`
LIMITS = ("took longer than", "needs more than", "the reader crashed")


def problem_of(error: str) -> Problem:
    """The problem that an outcome's error is."""
    if error == "no such file":
        return Problem("file-gone", "the file is no longer where it was indexed; index the folder again")
    if error.startswith(LIMITS):
        return Problem("too-much-work", f"reading it {error}" if error.startswith("took") else error)
    return Problem("unreadable", error)
