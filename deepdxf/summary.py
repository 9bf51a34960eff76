"""Drawing -> summary: the facts about a drawing that people filter, search and read, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from deepdxf.drawing import Drawing, EntityClass, IntArray

# Dimension values are kept to this many decimals, so that 12.7 typed equals 12.700000000000001 computed.
DIMENSION_DECIMALS = 6


@dataclass(frozen=True)
class Summary:
    """What a drawing is. Lengths in drawing units unless the name says mm; None = the file does not tell."""

    status: str  # `Drawing.status`
    format: str
    version: str
    reader: str
    space: str
    unit_mm: float | None
    width: float
    height: float
    entities: int  # content of blocks included
    counts: Mapping[str, int]  # entities by class name
    layers: tuple[str, ...]  # in use, sorted
    blocks: tuple[str, ...]  # in use, sorted
    texts: tuple[str, ...]  # distinct, in order of first use, white space and line breaks collapsed
    dimensions: tuple[float, ...]  # distinct values, ascending; drawing units, angular ones degrees
    fields: tuple[tuple[str, str], ...]  # title-block fields: tag, value
    problems: tuple[tuple[str, str, int], ...]  # code, message, count
    ignored: Mapping[str, int]  # DXF type -> entities left out

    @property
    def width_mm(self) -> float | None:
        """Width in millimetres."""
        return None if self.unit_mm is None else self.width * self.unit_mm

    @property
    def height_mm(self) -> float | None:
        """Height in millimetres."""
        return None if self.unit_mm is None else self.height * self.unit_mm

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON types."""
        return asdict(self) | {"width_mm": self.width_mm, "height_mm": self.height_mm}


def summarise(drawing: Drawing) -> Summary:
    """The summary of a drawing."""
    width, height = drawing.size
    texts = dict.fromkeys(one_line(drawing.texts[i]) for i in _used(drawing.text_index))
    value = drawing.scalar(EntityClass.DIMENSION, "value")
    dimensions = np.where(np.isfinite(value), value, drawing.scalar(EntityClass.DIMENSION, "measurement"))
    # adding zero turns −0 into 0
    dimensions = np.unique(np.round(dimensions[np.isfinite(dimensions)], DIMENSION_DECIMALS) + 0.0)
    return Summary(
        status=drawing.status,
        format=drawing.format,
        version=drawing.version,
        reader=drawing.reader,
        space=drawing.space,
        unit_mm=drawing.unit_mm,
        width=width,
        height=height,
        entities=len(drawing),
        counts=drawing.class_counts(),
        layers=tuple(sorted({one_line(drawing.layers[i]) for i in _used(drawing.layer)})),
        blocks=tuple(sorted({one_line(drawing.blocks[i]) for i in _used(drawing.block_index)})),
        texts=tuple(text for text in texts if text),
        dimensions=tuple(dimensions.tolist()),
        fields=tuple((one_line(tag), one_line(value)) for tag, value in drawing.fields),
        problems=tuple((p.code, one_line(p.message), p.count) for p in drawing.problems),
        ignored=dict(drawing.ignored),
    )


def one_line(text: str) -> str:
    """The text with every run of white space as one space, and what UTF-8 cannot hold as escapes."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", " ").split())


def _used(index: IntArray | Any) -> list[int]:
    """Distinct indices that are not negative, in order of first use."""
    values, first = np.unique(index, return_index=True)
    ordered: list[int] = values[np.argsort(first)].tolist()
    return [i for i in ordered if i >= 0]
