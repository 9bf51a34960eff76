"""Ink images of drawings: anti-aliased lines on a small square raster, for descriptors, image encoders and the raster code.

Ink is length of line, in pixels. Along the longer direction of a segment, every column of pixels takes the exact length
within it; across, the two pixels nearest to the middle of that piece share it linearly. So ink is continuous in every
coordinate, its sum over the image is the length of the lines (exactly, away from the border), the direction in which a
line runs does not matter, and mirrored or quarter-turned lines give the mirrored or turned image.

Pixel coordinates: x to the right, y **down**, pixel (row r, column c) covers [c, c + 1) × [r, r + 1).
Letters in shapes: s segments, p pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import Drawing, EntityClass, FloatArray, IntArray
from deepdxf.geometry import segments

Image = NDArray[np.float32]
C = EntityClass

DIRECTIONS = 4  # of lines, each an eighth of a turn wide on either side
DIRECTION_PHASE = 0.3  # of a direction: borders between directions lie where chords of circles and common slopes do not
STROKED = (C.LINE, C.LWPOLYLINE, C.ARC, C.CIRCLE, C.SPLINE)  # classes whose lines have directions worth telling apart
# Classes whose ink has a channel of its own in the raster code, after those of the directions
OWN_CHANNELS = ((C.ARC, C.CIRCLE, C.SPLINE), (C.TEXT, C.MTEXT, C.DIMENSION, C.LEADER), (C.HATCH, C.SOLID))
CHANNELS = DIRECTIONS + len(OWN_CHANNELS)
RASTER_MARGIN = 0.05  # of the raster code's side
RASTER_GAIN = 4.0  # ink of a pixel at which its logarithm bends

# Cells (crossings of a segment and a pixel column) handled at once: bounds memory at about 100 MB for any input.
_CELLS_AT_ONCE = 1 << 19
# Coordinates at which differences would overflow; not finite in all but name.
_FAR = 1e300


def rasterise(drawing: Drawing, pixels: int, margin: float = 1.0) -> Image:
    """Picture of a drawing's frame: (pixels, pixels) float32 in [0, 1], 0 = paper, 1 = ink, row 0 at the top.

    The frame is centred, both directions have the same scale, and its longer side spans ``pixels − 2 · margin``.
    Ink of lines that lie over each other adds up to 1 at most. A drawing without ink or extent gives zeros.
    """
    tolerance = max(drawing.size) / pixels / 4  # a quarter of a pixel cannot be seen
    if not 0 < tolerance < np.inf:
        return np.zeros((pixels, pixels), np.float32)
    lines, _ = segments(drawing, tolerance)
    return np.minimum(ink(to_pixels(lines, drawing.frame, pixels, margin), pixels), 1)


@dataclass(frozen=True, eq=False)
class RasterCode:
    """A third code of a drawing: its picture with a channel for each direction and sort of line."""

    image: NDArray[np.float16] = field(default_factory=lambda: np.zeros((CHANNELS, 0, 0), np.float16))
    # (CHANNELS, p, p) log(1 + gain · ink), row 0 at the top; p = 0: not made


def raster_code(drawing: Drawing, pixels: int) -> RasterCode:
    """The raster code of a drawing's frame; 0 pixels: none is made."""
    image = np.zeros((CHANNELS, pixels, pixels), np.float32)
    tolerance = max(drawing.size) / max(pixels, 1) / 4
    if pixels and 0 < tolerance < np.inf:
        lines, owner = segments(drawing, tolerance)
        lines = to_pixels(lines, drawing.frame, pixels, RASTER_MARGIN * pixels)
        cls = drawing.cls[owner]
        direction = np.where(np.isin(cls, STROKED), directions(lines), -1)
        for channel in range(DIRECTIONS):
            image[channel] = ink(lines[direction == channel], pixels)
        for channel, classes in enumerate(OWN_CHANNELS, DIRECTIONS):
            image[channel] = ink(lines[np.isin(cls, classes)], pixels)
    return RasterCode(np.log1p(RASTER_GAIN * image).astype(np.float16))


def directions(lines: FloatArray) -> IntArray:
    """(s,) which of the DIRECTIONS each line (s, 4) runs in, whatever its sense; pixel coordinates, y down."""
    angle = np.arctan2(lines[:, 1] - lines[:, 3], lines[:, 2] - lines[:, 0]) % np.pi
    result: IntArray = np.round(angle / np.pi * DIRECTIONS + DIRECTION_PHASE).astype(np.int64) % DIRECTIONS
    return result


def to_pixels(lines: FloatArray, frame: FloatArray, pixels: int, margin: float = 1.0) -> FloatArray:
    """(s, 4) lines x0 y0 x1 y1 from drawing units to pixel coordinates of the picture of ``frame`` (see `rasterise`).

    A frame without extent is drawn at scale 1.
    """
    side = max(frame[2] - frame[0], frame[3] - frame[1])
    scale = (pixels - 2 * margin) / side if side > 0 else 1.0
    centre = (frame[:2] + frame[2:]) / 2
    # centre first: lines far from the origin keep their digits
    moved: FloatArray = lines - np.concatenate([centre, centre])
    return moved * (np.array([1, -1, 1, -1]) * scale) + pixels / 2


def ink(lines: FloatArray, pixels: int) -> Image:
    """Length of line per pixel: (pixels, pixels) float32 from (s, 4) lines in pixel coordinates.

    Not limited to 1: where lines lie over each other, their ink adds up. Lines outside of the image are cut off; lines
    without length or with a coordinate that is not finite leave nothing.
    """
    lines, steep = _clip(lines, float(pixels))
    x0, y0, x1, y1 = np.ascontiguousarray(lines.T)
    # a = the longer direction, b = the other one; every line runs towards greater a
    a0, b0, a1, b1 = (np.where(steep, u, v) for u, v in ((y0, x0), (x0, y0), (y1, x1), (x1, y1)))
    back = a0 > a1
    a0, b0, a1, b1 = (np.where(back, u, v) for u, v in ((a1, a0), (b1, b0), (a0, a1), (b0, b1)))
    slope = (b1 - b0) / (a1 - a0)
    density = np.hypot(1, slope)  # length of line per unit of a
    first = np.floor(a0).astype(np.int64)
    count = np.floor(a1).astype(np.int64) - first + 1

    side = pixels + 2  # a rim of one pixel takes the ink that falls just beside the image
    a_stride, b_stride = np.where(steep, (side,), (1,)), np.where(steep, (1,), (side,))
    image = np.zeros(side * side)
    for line, cell in _cells(first, count):
        lo, hi = np.maximum(a0[line], cell), np.minimum(a1[line], cell + 1)
        b = b0[line] + slope[line] * ((lo + hi) / 2 - a0[line]) + 0.5  # 0.5 = rim of one less half a pixel
        row = b.astype(np.int64)  # b ≥ 0
        length = (hi - lo) * density[line]
        share = length * (b - row)
        index = (cell + 1) * a_stride[line] + row * b_stride[line]
        image += np.bincount(index, length - share, side * side)
        # in the last rim row b is whole and the share 0: the neighbour may be any pixel
        image += np.bincount(np.minimum(index + b_stride[line], side * side - 1), share, side * side)
    inner: Image = image.reshape(side, side)[1:-1, 1:-1].astype(np.float32)
    return inner


def blur(image: Image, sigma: float) -> Image:
    """Gaussian blur of a square image, sigma in pixels; the paper around the image is empty."""
    distance = np.subtract.outer(np.arange(len(image)), np.arange(len(image)))
    kernel = np.exp(-0.5 * (distance / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    blurred: Image = (kernel @ image @ kernel).astype(np.float32)
    return blurred


def _cells(first: NDArray[np.int64], count: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs (line, cell) with cell = first … first + count − 1 of each line, in blocks of about _CELLS_AT_ONCE."""
    ends = np.cumsum(count)
    begin = 0
    while begin < len(count):
        done = ends[begin] - count[begin]
        end = max(int(np.searchsorted(ends, done + _CELLS_AT_ONCE, "right")), begin + 1)
        n = count[begin:end]
        line = np.repeat(np.arange(begin, end), n)
        yield line, np.arange(len(line)) + np.repeat(first[begin:end] + done - (ends[begin:end] - n), n)
        begin = end


def _clip(lines: FloatArray, side: float) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The parts of the (s, 4) lines inside of [0, side]² that have a length there (Liang–Barsky), and which are steep.

    Steep (longer in y than in x) is taken from the whole line: the rounding of a cut may tip a line of 45°, and the
    picture would depend on the direction of drawing.
    """
    # one question about all lines, which is far faster than one about each, and mostly enough
    near = np.abs(lines) < _FAR
    if not near.all():
        lines = lines[near.all(axis=1)]
    steep = np.abs(lines[:, 3] - lines[:, 1]) > np.abs(lines[:, 2] - lines[:, 0])
    outside = (lines < 0) | (lines > side)
    if outside.any():
        crossing = outside.any(axis=1)
        start, step = lines[crossing, :2], lines[crossing, 2:] - lines[crossing, :2]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # parameters at which a line meets the two edges of each axis; parallel ones, or nearly so, give ±inf, or
            # NaN on the edge
            meet = np.stack([-start / step, (side - start) / step])
        enter = np.nan_to_num(meet.min(axis=0), nan=-np.inf, posinf=np.inf, neginf=-np.inf).max(axis=1)
        leave = np.nan_to_num(meet.max(axis=0), nan=np.inf, posinf=np.inf, neginf=-np.inf).min(axis=1)
        enter, leave = np.clip(enter, 0, 1), np.clip(leave, 0, 1)
        inside = leave > enter
        t = np.stack([enter, leave], axis=1)[inside]
        cut = start[inside, None] + t[:, :, None] * step[inside, None]
        lines = np.concatenate([lines[~crossing], np.clip(cut, 0, side).reshape(-1, 4)])
        steep = np.concatenate([steep[~crossing], steep[crossing][inside]])
    # a line has a length if its longer direction has one: what grazes a corner may keep a rounding of the other only
    drawn = np.flatnonzero(np.where(steep, lines[:, 3] != lines[:, 1], lines[:, 2] != lines[:, 0]))
    return lines.take(drawn, axis=0), steep.take(drawn)
