"""What a row of the sequence code is made of: columns, how values are normalised to them, and how they are quantised.

Two vocabularies:

``classic``  the historical matrix: one column for every parameter of every class (`CLASSIC`), integers 0 … 255, −1 =
             unused. Polylines, splines, leaders and solids are reduced to a mean point: their shape is lost.
``rich``     per class its own numbers and flags (`SLOTS`, `FLAGS`), then local descriptors that every class has
             (`LOCAL`), then eight points along the curve (`SHAPE`). Continuous, NaN = absent; `rich_bins` quantises.

Normalisation (both): coordinates and lengths share one scale, the longer side of `Drawing.frame`, and coordinates are
centred, so that the frame lies in [0, 1]² and turns by 90° and mirrors of the drawing are turns and mirrors of the
code. What lies outside (strays) is clipped. Angles are fractions of 360°.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepdxf.drawing import N_CLASSES, Drawing, EntityClass, FloatArray, IntArray

C = EntityClass

LIMIT = 4096  # rows of a code by default
BINS = 256  # quantised values are 0 … BINS − 1
UNUSED = -1  # classic value of a column that the class does not use or the file does not fill

# --- classic ---------------------------------------------------------------------------------------------------------

# The 43 + 2 columns in historical order (main_value and tolerance are the two); column 0 of the matrix is the class, so
# `CLASSIC[i]` is column i + 1. Two parameters share a column with another class: the rotation of MTEXT stands under
# that of TEXT, and the degree of SPLINE under the vertex count of LWPOLYLINE.
CLASSIC: tuple[str, ...] = (
    "solid_fill", "associative", "boundary_paths",
    "text_insert_x", "text_insert_y", "height", "text_rotation",
    "mtext_insert_x", "mtext_insert_y", "char_height", "width",
    "closed", "points_x", "points_y", "count",
    "arc_center_x", "arc_center_y", "arc_radius", "start_angle", "end_angle",
    "start_x", "start_y", "end_x", "end_y",
    "circle_center_x", "circle_center_y", "circle_radius",
    "defpoint_x", "defpoint_y", "text_midpoint_x", "text_midpoint_y", "main_value", "tolerance",
    "vertices_x", "vertices_y",
    "insert_x", "insert_y", "scale_x", "scale_y", "insert_rotation",
    "control_points_x", "control_points_y", "mean_knot",
    "solid_points_x", "solid_points_y",
)  # fmt: skip
N_CLASSIC = len(CLASSIC)

# Columns of each class, in the order in which `sequence.classic` fills them.
CLASSIC_COLUMNS: Mapping[EntityClass, tuple[str, ...]] = {
    C.HATCH: CLASSIC[0:3],
    C.TEXT: CLASSIC[3:7],
    C.MTEXT: (*CLASSIC[7:11], "text_rotation"),
    C.LWPOLYLINE: CLASSIC[11:15],
    C.ARC: CLASSIC[15:20],
    C.LINE: CLASSIC[20:24],
    C.CIRCLE: CLASSIC[24:27],
    C.DIMENSION: CLASSIC[27:33],
    C.LEADER: CLASSIC[33:35],
    C.INSERT: CLASSIC[35:40],
    C.SPLINE: (*CLASSIC[40:43], "count"),
    C.SOLID: CLASSIC[43:45],
}

# (13, 1 + N_CLASSIC) whether a class uses a column; EOS uses none but the class itself.
CLASSIC_USED = np.zeros((N_CLASSES + 1, 1 + N_CLASSIC), bool)
CLASSIC_USED[:, 0] = True
for _cls, _names in CLASSIC_COLUMNS.items():
    CLASSIC_USED[_cls, [1 + CLASSIC.index(name) for name in _names]] = True

# Columns that hold a number of things or a flag: kept as they are up to 255, all others are fractions × 255.
CLASSIC_COUNTS = ("solid_fill", "associative", "boundary_paths", "closed", "count")

# --- rich ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slot:
    """One column: its name and the range of its values, which are clipped to it and quantised over it."""

    name: str
    low: float = 0.0
    high: float = 1.0


def _slots(*names: str) -> tuple[Slot, ...]:
    """Slots with the range that the kind of quantity has; the kind is the last word of the name, if it is one."""
    kinds = {"count": (0.0, 16.0), "number": (0.0, 12.0), "log": (-20.0, 4.0), "signed": (-1.0, 1.0)}
    return tuple(Slot(name, *kinds.get(name.rsplit("_", 1)[-1], (0.0, 1.0))) for name in names)


# Numbers of each class, at most SLOT_WIDTH. x, y: place in the frame; length, radius, height, width: share of the
# frame's longer side; angles: share of 360°; *_count: log2(1 + n); *_number: log10(1 + 1000 |v|), absolute (drawing
# units as the file has them): the ×1000 of the classic dimension value, in decades.
SLOTS: Mapping[EntityClass, tuple[Slot, ...]] = {
    C.HATCH: _slots("x", "y", "path_count", "pattern_angle", "pattern_number"),
    C.TEXT: _slots("x", "y", "height", "rotation", "width", "character_count"),
    C.MTEXT: _slots("x", "y", "char_height", "rotation", "width", "height", "character_count"),
    C.LWPOLYLINE: _slots("start_x", "start_y", "end_x", "end_y", "bulged_share"),
    C.ARC: _slots("x", "y", "radius", "start", "end"),
    C.LINE: _slots("start_x", "start_y", "end_x", "end_y"),
    C.CIRCLE: _slots("x", "y", "radius"),
    C.DIMENSION: _slots("x", "y", "text_x", "text_y", "kind", "rotation", "value_number", "tolerance_number"),
    C.LEADER: _slots("start_x", "start_y", "end_x", "end_y"),
    C.INSERT: (),  # not a row of the rich code: its content is
    C.SPLINE: _slots("start_x", "start_y", "end_x", "end_y", "degree_count"),
    C.SOLID: _slots("x", "y"),
}
FLAGS: Mapping[EntityClass, tuple[Slot, ...]] = {
    C.HATCH: _slots("solid"),  # not whether it is associative: libraries drop that when they save
    C.LWPOLYLINE: _slots("closed"),
    C.LEADER: _slots("arrowhead"),
    C.SPLINE: _slots("closed", "fit"),
    C.SOLID: _slots("filled"),
}
SLOT_WIDTH, FLAG_WIDTH = 8, 2

# Of every row. Logs are log2 of a share of the frame's longer side; aspect = width / (width + height) of the box;
# cos2 and sin2: double angle of the main axis, shrunk towards 0 the rounder the entity is; span: share of a full turn
# (arcs and circles only); delta: from the box centre of the previous row (absent in the first).
LOCAL = _slots(
    "length_log", "width_log", "height_log", "aspect", "cos2_signed", "sin2_signed", "span", "closed", "vertex_count",
    "delta_x_signed", "delta_y_signed",
)  # fmt: skip

# Points at equal distances along the curve, relative to the centre of its box, in halves of the box's longer side.
SHAPE_POINTS = 8
SHAPE = tuple(Slot(f"{axis}{i}", -1.0, 1.0) for i in range(SHAPE_POINTS) for axis in "xy")
SHAPED = (C.HATCH, C.LWPOLYLINE, C.LEADER, C.SPLINE, C.SOLID)  # the classes whose slots do not say it all

LOCAL_START = SLOT_WIDTH + FLAG_WIDTH
SHAPE_START = LOCAL_START + len(LOCAL)
N_RICH = SHAPE_START + len(SHAPE)

# Buckets of the tags that go with a row: nesting depth, layer name, colour.
TAGS = ("depth", "layer", "color")
DEPTH_BUCKETS, LAYER_BUCKETS, COLOR_BUCKETS = 4, 64, 64


def _ranges() -> tuple[FloatArray, FloatArray]:
    low, high = np.zeros((N_CLASSES, N_RICH)), np.ones((N_CLASSES, N_RICH))
    for start, table in ((0, SLOTS), (SLOT_WIDTH, FLAGS)):
        for cls, slots in table.items():
            for column, slot in enumerate(slots, start):
                low[cls, column], high[cls, column] = slot.low, slot.high
    for column, slot in enumerate((*LOCAL, *SHAPE), LOCAL_START):
        low[:, column], high[:, column] = slot.low, slot.high
    return low, high


RICH_LOW, RICH_HIGH = _ranges()  # (12, N_RICH) range of every column by class


def column(name: str) -> int:
    """Column of a local descriptor in the rich code."""
    return LOCAL_START + [slot.name for slot in LOCAL].index(name)


def clip(cls: NDArray[np.uint8], values: FloatArray) -> NDArray[np.float32]:
    """(m, N_RICH) values inside the ranges of their columns; NaN stays."""
    return np.clip(values, RICH_LOW[cls], RICH_HIGH[cls]).astype(np.float32)


def rich_bins(cls: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(m, N_RICH) bins 0 … 255 of rich values; 0 also where a value is absent: only the presence mask tells."""
    low, high = RICH_LOW[cls], RICH_HIGH[cls]
    return quantise(np.nan_to_num((values - low) / (high - low), nan=0.0)).astype(np.uint8)


# --- quantities ------------------------------------------------------------------------------------------------------

# Drawings are full of round numbers that fall exactly between two bins (half of the frame, say), where the last bit of
# a moved or re-saved coordinate would decide. All values closer than this to the middle go up.
TIE = 1e-4


def quantise(fraction: ArrayLike) -> NDArray[np.int16]:
    """Fractions as whole numbers 0 … 255, half up (see `TIE`); fractions outside [0, 1] are clipped."""
    scaled = np.asarray(fraction, float) * (BINS - 1)
    return np.clip(np.floor(scaled + (0.5 + TIE)), 0, BINS - 1).astype(np.int16)


def turns(degrees: FloatArray) -> FloatArray:
    """Degrees as a fraction of a turn in [0, 1); 359.9999999 is 0, as a rotation that went through sines may be."""
    result: FloatArray = np.round(degrees, 6) % 360.0 / 360.0
    return result


# Extents below this share of the frame are none: ratios of them would be ratios of rounding errors.
TINY = 2.0**-20


def logarithm(share: FloatArray) -> FloatArray:
    """log2 of a share of the frame, at least −20 (see `TINY`)."""
    result: FloatArray = np.log2(np.maximum(share, TINY))
    return result


def count(number: Any) -> FloatArray:
    """Numbers of things as log2(1 + n)."""
    result: FloatArray = np.log2(1.0 + np.asarray(number, float))
    return result


def decades(number: FloatArray) -> FloatArray:
    """Values of dimensions and patterns as log10(1 + 1000 |v|); NaN stays."""
    result: FloatArray = np.log10(1.0 + 1000.0 * np.abs(number))
    return result


@dataclass(frozen=True)
class Scale:
    """The normalisation of one drawing: drawing units to shares of the frame's longer side."""

    centre: FloatArray  # (2,) of the frame, drawing units
    side: float  # longer side of the frame, drawing units; 1 where the frame is a point

    @classmethod
    def of(cls, drawing: Drawing) -> Scale:
        """The scale of a drawing's frame."""
        frame = drawing.frame
        return cls((frame[:2] + frame[2:]) / 2.0, max(drawing.size) or 1.0)

    def place(self, points: FloatArray) -> FloatArray:
        """(…, 2) points: the frame goes to [0, 1]², centred, one scale for both axes."""
        result: FloatArray = (points - self.centre) / self.side + 0.5
        return result

    def snap(self, box: FloatArray, steps: int, reach: int) -> IntArray:
        """(n, 4) boxes on a grid of ``steps`` cells a side, relative to the frame's centre, clipped to ± ``reach``."""
        relative: FloatArray = (box - np.concatenate([self.centre, self.centre])) / self.side * steps
        return np.clip(np.floor(relative + (0.5 + TIE)), -reach, reach).astype(np.int64)
