"""An archive of small drawings for tests of the server."""

from __future__ import annotations

import functools
from pathlib import Path

import dxf

from deepdxf import encoder, reader, render
from deepdxf.archive import Archive, Ingest

HOSTILE = "<script>alert(1)</script>"
PLATE = dxf.line(0, 0, 120, 0) + dxf.line(120, 0, 120, 60) + dxf.line(120, 60, 0, 60) + dxf.line(0, 60, 0, 0)


def circle(x: float, y: float, radius: float, layer: str = "CUT") -> str:
    return f"0 CIRCLE, 8 {layer}, 10 {x}, 20 {y}, 30 0, 40 {radius},"


def text(words: str, layer: str = "0") -> str:
    return f"0 TEXT, 8 {layer}, 10 10, 20 50, 30 0, 40 4, 1 {words},"


def corner(width: float, height: float) -> str:
    """A shape that its mirror image does not cover."""
    points = [(0, 0), (width, 0), (width, height), (width / 3, height / 2), (0, height * 0.9)]
    return "".join(dxf.line(*a, *b) for a, b in zip(points, points[1:] + points[:1], strict=True))


def mirrored_corner(width: float, height: float) -> str:
    points = [(0, 0), (-width, 0), (-width, height), (-width / 3, height / 2), (0, height * 0.9)]
    return "".join(dxf.line(*a, *b) for a, b in zip(points, points[1:] + points[:1], strict=True))


DRAWINGS = {
    "plates/plate-R1.dxf": PLATE + circle(30, 30, 8) + circle(90, 30, 8) + text("lead frame"),
    "plates/plate-R2.dxf": PLATE + circle(30, 30, 8) + circle(90, 30, 9) + circle(60, 30, 3) + text("lead frame"),
    "plates/copy of plate.dxf": PLATE + circle(30, 30, 8) + circle(90, 30, 8) + text("lead frame"),
    "plates/small.dxf": PLATE + circle(60, 30, 20, "DRILL"),
    "corners/corner.dxf": corner(80, 50) + text("corner"),
    "corners/turned-over.dxf": mirrored_corner(80, 50),
    "hostile.dxf": PLATE + circle(60, 30, 12, HOSTILE) + text(HOSTILE, HOSTILE),
    "gone.dxf": corner(33, 44) + circle(5, 5, 2),
}


def content(name: str) -> bytes:
    """A drawing of the archive as a file's bytes."""
    return dxf.encode(dxf.document(DRAWINGS[name], header="9 $ACADVER, 1 AC1009, 9 $INSUNITS, 70 4"))


def make_archive(folder: Path) -> Path:
    """A folder of drawings and their archive; returns the archive's path. ``gone.dxf`` vanishes after indexing."""
    drawings = folder / "secret place" / "drawings"
    for name in DRAWINGS:
        (drawings / name).parent.mkdir(parents=True, exist_ok=True)
        (drawings / name).write_bytes(content(name))
    (drawings / "broken.dxf").write_bytes(b"not a drawing at all")
    (drawings / "empty.dxf").write_bytes(dxf.encode(dxf.document("")))
    model = encoder.load("descriptor")
    archive = Archive.create(folder / "archive", model.id, model.dim)
    ingest = Ingest(functools.partial(encoder.load, "descriptor"), reader.read, render.thumbnail)
    archive.index([drawings], ingest, workers=1)
    (drawings / "gone.dxf").unlink()
    return folder / "archive"
