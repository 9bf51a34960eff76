"""External references: drawings that a drawing shows by their files, attached as if they were blocks of its own.

Only files beside the drawing are taken: by the relative path that it states, or by the bare name in its own folder (paths
that people store are mostly those of another machine). Nothing outside of that folder is ever opened, wherever a path or a
link may lead. References within references are followed up to `DEPTH`, and none in a circle.

As in CAD, the layer L of a reference R becomes ``R|L``, and what lies on its layer 0 takes the layer of the INSERT.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from deepdxf.drawing import Drawing, EntityClass, FloatArray, Problem
from deepdxf.files import SUFFIXES, is_below
from deepdxf.geometry import transform
from deepdxf.table import EXTERNAL, Limits, insert_matrix, turn

C = EntityClass
DEPTH = 4  # references within references


@dataclass(frozen=True)
class Folder:
    """Where references may lie, and the files that are being read already, the outermost first."""

    root: Path
    trail: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> Folder:
        """The folder of a drawing."""
        return cls(path.parent, (os.path.realpath(path),))

    def find(self, stated: str) -> Path | None:
        """The file of a reference; None if it is not in the folder, not a drawing, or being read already."""
        parts = stated.replace("\\", "/").strip().split("/")
        relative = not PurePosixPath("/".join(parts)).is_absolute() and ":" not in parts[0]
        candidates = [Path(*parts)] if relative and parts[-1] else []
        try:
            names = {name.casefold(): name for name in sorted(os.listdir(self.root), reverse=True)}
        except OSError:
            return None
        if parts[-1].casefold() in names:
            candidates.append(Path(names[parts[-1].casefold()]))
        for candidate in candidates:
            try:
                path = os.path.realpath(self.root / candidate)
                fit = is_below(path, os.path.realpath(self.root)) and os.path.isfile(path)
            except (OSError, ValueError):
                continue
            if fit and path.lower().endswith(SUFFIXES) and path not in self.trail and len(self.trail) <= DEPTH:
                return Path(path)
        return None

    def below(self, path: Path) -> Folder:
        """The same folder while ``path`` is read."""
        return replace(self, trail=(*self.trail, os.path.realpath(path)))


def attach(drawing: Drawing, found: Mapping[int, tuple[str, Drawing]], limits: Limits) -> Drawing:
    """The drawing with references in place.

    Args:
        found: by number of the block that stands for it: the path that the drawing states, and the drawing itself.
        limits: of rows and vertices; what would go beyond is left out and reported as before.
    """
    pieces: list[tuple[int, Drawing]] = []
    attached: dict[int, str] = {}
    rows, vertices = len(drawing), len(drawing.vertices)
    for number, (stated, other) in found.items():
        placed = []
        for row in np.flatnonzero((drawing.cls == C.INSERT) & (drawing.block_index == number)).tolist():
            placed += [(row, transform(other, matrix)) for matrix in _matrices(drawing, row, limits.entities)]
        rows += len(placed) * len(other)
        vertices += len(placed) * len(other.vertices)
        if rows > limits.entities or vertices > limits.vertices:
            break
        pieces += placed
        attached[number] = stated
    if not attached:
        return drawing
    reported = {EXTERNAL.format(stated) for stated in attached.values()}
    problems = Counter(
        {
            (p.code, p.message): p.count
            for p in drawing.problems
            if p.code != "external-reference" or p.message not in reported
        }
    )
    ignored = Counter(drawing.ignored)
    for number in attached:
        other = found[number][1]
        problems.update({(p.code, p.message): p.count for p in other.problems})
        ignored.update(other.ignored)
    return replace(
        _joined(drawing, sorted(pieces, key=lambda piece: piece[0])),
        problems=tuple(Problem(code, message, count) for (code, message), count in sorted(problems.items())),
        ignored=dict(sorted(ignored.items())),
    )


def _matrices(drawing: Drawing, row: int, most: int) -> Sequence[FloatArray]:
    """Maps (2, 3) into the drawing of every copy that an INSERT makes, at most ``most``."""
    scalars = drawing.scalars[row : row + 1]
    columns, lines = (max(int(min(value, most)), 1) for value in scalars[0, 3:5])
    matrix = insert_matrix(scalars, drawing.points(row)[:1, :2], np.zeros((1, 2)))[0]
    made = []
    for number in range(min(columns * lines, most)):
        step = np.array([[(number % columns) * scalars[0, 5], (number // columns) * scalars[0, 6]]])
        made.append(matrix + np.column_stack([np.zeros((2, 2)), turn(step, scalars[:, 2])[0]]))
    return made


def _joined(drawing: Drawing, pieces: list[tuple[int, Drawing]]) -> Drawing:
    """The drawing with the rows of others, each directly after a row of its own and one level deeper."""
    parts = [drawing, *(other for _, other in pieces)]
    layers = {name: k for k, name in enumerate(drawing.layers)}
    types = {name: k for k, name in enumerate(drawing.dxftypes)}
    texts, blocks = list(drawing.texts), list(drawing.blocks)
    layer, dxftype, text, block = [drawing.layer], [drawing.dxftype], [drawing.text_index], [drawing.block_index]
    depth, parent, key = [drawing.depth.astype(np.int64)], [drawing.parent], [np.arange(len(drawing))]
    before = len(drawing)
    for row, other in pieces:
        prefix = drawing.blocks[drawing.block_index[row]]
        own = [
            int(drawing.layer[row]) if name == "0" else layers.setdefault(f"{prefix}|{name}", len(layers))
            for name in other.layers
        ]
        layer.append(np.array([*own, 0], np.int32)[other.layer])
        numbers = [types.setdefault(name, len(types)) for name in other.dxftypes]
        dxftype.append(np.array([*numbers, 0], np.int32)[other.dxftype])
        text.append(np.where(other.text_index >= 0, other.text_index + len(texts), -1))
        block.append(np.where(other.block_index >= 0, other.block_index + len(blocks), -1))
        texts += other.texts
        blocks += other.blocks
        depth.append(np.minimum(other.depth.astype(np.int64) + int(drawing.depth[row]) + 1, 255))
        parent.append(np.where(other.parent >= 0, other.parent + before, row))
        key.append(np.full(len(other), row))
        before += len(other)

    def stacked(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    def starts(name: str) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(np.concatenate([np.diff(getattr(part, name)) for part in parts]))])

    columns = ("cls", "handle", "color", "scalars", "box", "vertices", "vertex_path", "knots")
    whole = replace(
        drawing,
        **{name: stacked(name) for name in columns},
        vertex_start=starts("vertex_start"),
        knot_start=starts("knot_start"),
        layer=np.concatenate(layer).astype(np.int32),
        dxftype=np.concatenate(dxftype).astype(np.int32),
        text_index=np.concatenate(text).astype(np.int32),
        block_index=np.concatenate(block).astype(np.int32),
        depth=np.concatenate(depth).astype(np.uint8),
        parent=np.concatenate(parent),
        layers=tuple(layers),
        dxftypes=tuple(types),
        texts=tuple(texts),
        blocks=tuple(blocks),
    )
    return whole.select(np.argsort(np.concatenate(key), kind="stable"))
