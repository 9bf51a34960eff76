"""Pictures: ink lies where analytic geometry says, for every kind of curve; names and texts never become markup."""

from __future__ import annotations

import math
import re
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ezdxf.colors import DXF_DEFAULT_COLORS, int2rgb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from deepdxf import render
from deepdxf.drawing import N_SCALARS, Drawing, EntityClass
from deepdxf.errors import DeepDXFError
from deepdxf.geometry import Shapes, boxes, transform

C = EntityClass
SVG = "{http://www.w3.org/2000/svg}"
PIXELS = 256


def make(*rows: dict[str, Any]) -> Drawing:
    """A drawing of rows {cls, points, scalars, loops, layer, color, text}."""
    layers = list(dict.fromkeys(row.get("layer", "0") for row in rows))
    texts = list(dict.fromkeys(row["text"] for row in rows if "text" in row))
    points = [np.asarray(row["points"], float) for row in rows]
    points = [np.column_stack([p, np.zeros(len(p))]) if p.shape[1] == 2 else p for p in points]
    n = len(rows)
    scalars = np.full((n, N_SCALARS), np.nan)
    for i, row in enumerate(rows):
        scalars[i, : len(row.get("scalars", ()))] = row.get("scalars", ())
    drawing = Drawing(
        cls=np.array([row["cls"] for row in rows], np.uint8),
        handle=np.arange(1, n + 1),
        depth=np.zeros(n, np.uint8),
        parent=np.full(n, -1),
        layer=np.array([layers.index(row.get("layer", "0")) for row in rows], np.int32),
        color=np.array([row.get("color", 256) for row in rows], np.int32),
        dxftype=np.zeros(n, np.int32),
        text_index=np.array([texts.index(row["text"]) if "text" in row else -1 for row in rows], np.int32),
        block_index=np.full(n, -1, np.int32),
        scalars=scalars,
        box=np.zeros((n, 4)),
        vertices=np.concatenate([np.zeros((0, 3)), *points]),
        vertex_start=np.cumsum([0, *map(len, points)]),
        vertex_path=np.concatenate(
            [np.zeros(0, np.int32)] + [np.asarray(row.get("loops", [0] * len(row["points"])), np.int32) for row in rows]
        ),
        knots=np.zeros(0),
        knot_start=np.zeros(n + 1, np.int64),
        layers=tuple(layers),
        dxftypes=("LINE",),
        texts=tuple(texts),
        blocks=(),
        unit_mm=1.0,
        space="model",
        format="dxf",
        version="AC1032",
        reader="test",
    )
    return replace(drawing, box=boxes(Shapes.of(drawing)))


def line(*points: tuple[float, float], **more: Any) -> dict[str, Any]:
    return {"cls": C.LINE, "points": points, **more}


def text(x: float, y: float, height: float, width: float, string: str, rotation: float = 0.0) -> dict[str, Any]:
    return {"cls": C.TEXT, "points": [(x, y)], "scalars": (height, rotation, width, 0, 0), "text": string}


# The frame of every picture below: a square with corners at −12 and 12.
FRAME = (
    line((-12, -12), (12, -12)),
    line((12, -12), (12, 12)),
    line((12, 12), (-12, 12)),
    line((-12, 12), (-12, -12)),
)


def decode(png: bytes) -> NDArray[np.uint8]:
    """(height, width, 4) pixels of a PNG with 8-bit RGBA: chunks, zlib, and the five filters of the PNG standard."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, width, height = 8, b"", 0, 0
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color = struct.unpack(">IIBB", body[:10])
            assert (depth, color) == (8, 6)
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    raw = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + 4 * width)
    image = np.zeros((height + 1, width + 1, 4), np.uint8)  # a border of zeros above and on the left
    for y, row in enumerate(raw):
        values = row[1:].reshape(width, 4)
        for x in range(width):
            left, up, corner = (image[y + 1, x], image[y, x + 1], image[y, x])
            match row[0]:
                case 0:
                    guess = np.zeros(4, int)
                case 1:
                    guess = left.astype(int)
                case 2:
                    guess = up.astype(int)
                case 3:
                    guess = (left.astype(int) + up) // 2
                case _:
                    a, b, c = left.astype(int), up.astype(int), corner.astype(int)
                    p = a + b - c
                    da, db, dc = abs(p - a), abs(p - b), abs(p - c)
                    guess = np.where((da <= db) & (da <= dc), a, np.where(db <= dc, b, c))
            image[y + 1, x + 1] = (values[x] + guess) & 255
    return image[1:, 1:]


def darkness(svg: str) -> NDArray[np.float64]:
    """(height, width) 0 = white … 1 = black."""
    result: NDArray[np.float64] = 1 - decode(render.png(svg))[:, :, :3].mean(axis=2) / 255
    return result


def to_pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where points of the frame of `FRAME` lie in a square picture, by the definition of the view."""
    scale = PIXELS * (1 - 2 * render.MARGIN) / 24
    return PIXELS / 2 + points * [scale, -scale]


def assert_ink_is(drawing: Drawing, curve: NDArray[np.float64]) -> None:
    """The ink inside of the frame is the curve: every pixel of ink is near it, and all of it has ink."""
    image = darkness(render.svg(drawing, width=PIXELS, height=PIXELS))
    inner = np.zeros_like(image)
    inner[14:-14, 14:-14] = image[14:-14, 14:-14]  # without the lines of the frame
    y, x = np.nonzero(inner > 0.1)
    places = np.column_stack([x, y]) + 0.5
    wanted = to_pixels(curve)
    distance = np.hypot(*(places[:, None] - wanted[None]).transpose(2, 0, 1))
    assert distance.min(axis=1).max() < 1.5  # half a stroke, half a pixel's diagonal, and the grid
    assert distance.min(axis=0).max() < 1.0
    assert inner.max() > 0.5


def arc_points(x: float, y: float, radius: float, start: float, end: float) -> NDArray[np.float64]:
    angle = np.radians(np.linspace(start, end, 400))
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


@pytest.mark.parametrize(
    ("row", "curve"),
    [
        pytest.param(line((-7, -3), (6, 8)), np.linspace([-7, -3], [6, 8], 400), id="line"),
        pytest.param({"cls": C.CIRCLE, "points": [(2, -1)], "scalars": [6]}, arc_points(2, -1, 6, 0, 360), id="circle"),
        pytest.param(
            {"cls": C.ARC, "points": [(-2, 1)], "scalars": [7, 300, 75]},
            arc_points(-2, 1, 7, -60, 75),
            id="arc over 0°",
        ),
        pytest.param(  # bulge 1 = a half circle to the right of the chord's direction
            {"cls": C.LWPOLYLINE, "points": [(-4, 0, 1), (4, 0, 0)], "scalars": [0]},
            arc_points(0, 0, 4, 180, 360),
            id="bulge",
        ),
        pytest.param(
            {"cls": C.LWPOLYLINE, "points": [(-4, 0, -1), (4, 0, 0), (4, -6, 0)], "scalars": [1]},
            np.concatenate(
                [arc_points(0, 0, 4, 0, 180), np.linspace([4, 0], [4, -6], 400), np.linspace([4, -6], [-4, 0], 400)]
            ),
            id="closed polyline",
        ),
    ],
)
def test_ink_lies_on_the_curve(row: dict[str, Any], curve: NDArray[np.float64]) -> None:
    assert_ink_is(make(*FRAME, row), curve)


def test_mirrored_content_is_drawn_mirrored() -> None:
    arc = make(*FRAME, {"cls": C.ARC, "points": [(3, 2)], "scalars": [5, 10, 100]})
    mirrored = transform(arc, np.array([[-1.0, 0, 0], [0, 1, 0]]))
    assert_ink_is(mirrored, arc_points(3, 2, 5, 10, 100) * [-1, 1])


def test_moving_a_drawing_moves_nothing_in_its_picture() -> None:
    rows = (*FRAME, {"cls": C.CIRCLE, "points": [(2, -1)], "scalars": [6]}, text(-5, 3, 1, 4, "M6"))
    here = make(*rows)
    there = transform(here, np.array([[1, 0, 2.0**20], [0, 1, -(2.0**19)]]))
    assert render.svg(here) == render.svg(there)
    assert render.thumbnail(here) == render.thumbnail(make(*rows))


def test_a_stray_does_not_shrink_the_picture() -> None:
    rows = [line((i, 0), (i, 10)) for i in range(20)]
    stray = line((1e9, 1e9), (1e9, 2e9))
    clean, strayed = (darkness(render.svg(make(*r), width=64, height=64)) for r in (rows, [*rows, stray]))
    assert np.array_equal(clean, strayed)


def test_a_line_that_leaves_the_view_keeps_its_direction() -> None:
    """A ray through the frame, far longer than it: its ink in the view is on the straight line."""
    rows = [line((x, -10), (x, 10)) for x in np.linspace(-10, 10, 120)]
    ray = make(*rows, line((-1e7, -5e6), (1e7, 5e6), color=1))
    red = decode(render.png(render.svg(ray, width=PIXELS, height=PIXELS))).astype(int)
    y, x = np.nonzero(red[:, :, 0] - red[:, :, 1] > 120)
    assert len(x) > 60
    assert np.abs((PIXELS / 2 - y - 0.5) - 0.5 * (x + 0.5 - PIXELS / 2)).max() < 2


def test_an_island_of_a_hatch_stays_free() -> None:
    square = [(-10, -10), (10, -10), (10, 10), (-10, 10)]
    island = [(-5, -5), (5, -5), (5, 5), (-5, 5)]
    row = {"cls": C.HATCH, "points": square + island, "loops": [0] * 4 + [1] * 4, "scalars": (1, 0, 2, 0, 1)}
    image = darkness(render.svg(make(*FRAME, row), width=PIXELS, height=PIXELS))
    in_hatch, in_island = (to_pixels(np.array([p])).astype(int)[0] for p in ([7.5, 0.5], [0.5, 0.5]))
    assert 0.1 < image[in_hatch[1], in_hatch[0]] < 0.5
    assert image[in_island[1], in_island[0]] == 0


def test_a_hatch_with_round_ends_is_filled_whole() -> None:
    """A slot: two straight edges and two half circles, in drawing order."""
    slot = [(-6, -3, 0), (6, -3, 1), (6, 3, 0), (-6, 3, 1)]
    row = {"cls": C.HATCH, "points": slot, "scalars": (1, 0, 1, 0, 1)}
    image = darkness(render.svg(make(*FRAME, row), width=PIXELS, height=PIXELS))
    y, x = np.mgrid[0:PIXELS, 0:PIXELS] + 0.5
    scale = PIXELS * (1 - 2 * render.MARGIN) / 24
    px, py = (x - PIXELS / 2) / scale, (PIXELS / 2 - y) / scale
    depth = 3 - np.hypot(np.maximum(np.abs(px) - 6, 0), py)  # how far inside of the slot
    inner = np.abs(np.maximum(np.abs(px), np.abs(py))) < 11
    assert (image[depth > 0.3] > 0.1).all()
    assert (image[(depth < -0.3) & inner] == 0).all()


def test_the_bar_of_a_turned_text_lies_in_its_box() -> None:
    turned = make(*FRAME, text(-4, -6, 2, 10, "12.5 mm", rotation=60))
    image = darkness(render.svg(turned, width=PIXELS, height=PIXELS))
    y, x = np.mgrid[0:PIXELS, 0:PIXELS] + 0.5
    scale = PIXELS * (1 - 2 * render.MARGIN) / 24
    px, py = (x - PIXELS / 2) / scale + 4, (PIXELS / 2 - y) / scale + 6
    along, up = px * 0.5 + py * math.sqrt(0.75), py * 0.5 - px * math.sqrt(0.75)
    inner = np.zeros_like(image, bool)
    inner[14:-14, 14:-14] = True
    inside = (along > 0.2) & (along < 9.8) & (np.abs(up - 1) < 0.6)
    outside = (along < -0.2) | (along > 10.2) | (up < -0.1) | (up > 2.1)
    assert (image[inside] > 0.2).all()
    assert (image[outside & inner] == 0).all()


def test_real_text_is_text_and_each_line_is_one() -> None:
    root = ElementTree.fromstring(render.svg(make(*FRAME, text(0, 0, 2, 8, "Ø 5 <H7>\n4×")), text=True))
    assert [e.text for e in root.iter(SVG + "text")] == ["Ø 5 <H7>", "4×"]


@pytest.mark.parametrize("rows", [(), ({"cls": C.INSERT, "points": [(0, 0)], "scalars": (1, 1, 0, 1, 1, 0, 0)},)])
def test_a_drawing_without_ink_says_so(rows: tuple[dict[str, Any], ...]) -> None:
    drawing = make(*rows)
    assert "<title>empty drawing</title>" in render.svg(drawing)
    assert (darkness(render.svg(drawing, width=64, height=64)) > 0.2).sum() > 20


def test_a_point_and_a_flat_line_are_pictures_too() -> None:
    for rows in ([line((5, 5), (5, 5))], [line((0, 0), (100, 0))], [line((0, 0), (0, 1e-9))]):
        image = darkness(render.svg(make(*rows), width=64, height=64))
        assert image.max() > 0.3
        assert image[32, 30:34].max() > 0.3 or image[31, 30:34].max() > 0.3


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layer=st.text(max_size=20), string=st.text(max_size=20), name=st.text(max_size=40))
def test_names_and_texts_stay_text(layer: str, string: str, name: str) -> None:
    drawing = make(line((0, 0), (1, 1), layer=layer), text(0, 0, 1, 1, string))
    root = ElementTree.fromstring(render.svg(drawing, text=True))
    assert {e.tag for e in root.iter()} <= {SVG + t for t in ("svg", "rect", "g", "title", "path", "text")}
    layers = {e.get("data-layer") for e in root.iter(SVG + "g")}
    if not re.search("[\x00-\x1f\ud800-\udfff\ufffe\uffff]", layer):
        assert layer in layers
    sheet = ElementTree.fromstring(render.hits_picture((name, drawing), [(name, drawing, 0.5)]))
    assert len(list(sheet.iter(SVG + "svg"))) == 3


def test_a_script_as_layer_name_is_shown_as_such() -> None:
    svg = render.svg(make(line((0, 0), (1, 1), layer='"/><script>alert(1)</script>')))
    assert "<script" not in svg
    assert '"/><script>alert(1)</script>' in {e.get("data-layer") for e in ElementTree.fromstring(svg).iter()}


@settings(max_examples=80, deadline=None)
@given(
    points=hnp.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2))),
    radius=st.floats(),
    string=st.text(max_size=3),
)
def test_no_number_breaks_a_picture(points: NDArray[np.float64], radius: float, string: str) -> None:
    """Any bit pattern as coordinate: the picture is well-formed, and all its numbers are finite."""
    with np.errstate(all="ignore"):
        drawing = make(
            line((0, 0), (1, 1)),
            {"cls": C.LWPOLYLINE, "points": points, "scalars": [1]},
            {"cls": C.CIRCLE, "points": points[:1], "scalars": [radius]},
            {"cls": C.SOLID, "points": points, "scalars": [1]},
            {"cls": C.TEXT, "points": points[:1], "scalars": (radius, radius, 1, 0, 0), "text": string},
        )
        svg = render.svg(drawing, width=100)
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        if "transform" in element.attrib:  # the fixed word of a picture in which nothing can be seen
            continue
        numbers = re.findall(r"-?\w+", re.sub("[MlhvzHVAa ]", " ", element.get("d", "") + element.get("viewBox", "")))
        assert all(re.fullmatch(r"-?\d{1,6}", number) for number in numbers)
    assert render.png(svg)


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 30), st.just(2), st.just(2)), elements=st.integers(-3, 3)))
def test_paths_hold_exactly_their_edges(edges: NDArray[np.int64]) -> None:
    back = []
    for chain in render._paths(edges).split("M")[1:]:
        start, steps = (np.array(part.split(), int).reshape(-1, 2) for part in chain.split("l"))
        points = np.cumsum(np.concatenate([start, steps]), axis=0)
        back += list(zip(points[:-1].tolist(), points[1:].tolist(), strict=True))
    assert [list(edge) for edge in back] == edges.tolist()


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 20), st.just(2), st.just(2)), elements=st.integers(-1500, 3000).map(float)
    )
)
def test_clipping_against_shapely(lines: NDArray[np.float64]) -> None:
    import shapely

    view = render.View(np.array([0.0, 0, 1, 1]), 100, 60)
    window = shapely.box(-render.RIM, -render.RIM, 100 * render.GRID + render.RIM, 60 * render.GRID + render.RIM)
    wanted = shapely.intersection(shapely.linestrings(lines), window)
    cut, kept = render._clip(lines, view)
    lengths = np.zeros(len(lines))
    lengths[kept] = np.hypot(*(cut[:, 1] - cut[:, 0]).T)
    assert np.allclose(lengths, shapely.length(wanted), atol=1e-6)
    assert (shapely.distance(shapely.points(cut), shapely.linestrings(lines[kept])[:, None]) < 1e-6).all()


def test_crowded_pictures_are_thinned_and_say_so() -> None:
    rows = [*FRAME, *(line((x, 0), (x + 0.01, 0.01)) for x in np.linspace(-9, 9, 400))] * 20
    svg = render.svg(make(*rows), width=32, height=32)
    noted = re.search(r"<!-- thinned: (\d+) of (\d+) line segments drawn -->", svg)
    assert noted and int(noted[1]) <= 32 * 32 // render.PIXELS_PER_SEGMENT < int(noted[2])
    image = darkness(svg)
    assert image[:3, 16].max() > 0.3 and image[16, :3].max() > 0.3  # the longest lines, here the frame, are still there


def test_colours_against_the_table_of_ezdxf() -> None:
    ours = np.array([render.aci_rgb(i) for i in range(1, 256)])
    table = np.array([int2rgb(DXF_DEFAULT_COLORS[i]) for i in range(1, 256)])
    difference = np.abs(ours - table).max(axis=1)
    # the table brightens one or two channels of the washed-out darkest tones by 50, for some hues only: we do not
    washed_dark = np.isin(np.arange(1, 256) % 10, (7, 9)) & (np.arange(1, 256) > 100)
    assert difference[~washed_dark].max() <= 1
    assert difference.max() <= 55


@pytest.mark.parametrize("color", [*range(257), -1, -1 - 0xFFFFFF, -1 - 0xFFFF00, -1 - 0x000080])
def test_ink_is_seen_on_white_and_on_black(color: int) -> None:
    for dark, paper in ((False, 1.0), (True, 0.0)):
        ink = render._ink(color, dark)
        seen = render._luminance(render._rgb(int(ink[1:], 16)))
        assert abs(seen - paper) > 0.33
    if color in (0, 7, 256):
        assert render._ink(color, dark=False) == render._ink(7, dark=False)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DeepDXFError, match="'red'"):
        render.svg(make(), background="red")
    with pytest.raises(DeepDXFError, match="15 × 200"):
        render.svg(make(), width=15, height=200)
    with pytest.raises(DeepDXFError, match="5000 × 200"):
        render.svg(make(), width=5000, height=200)


@given(st.text(max_size=60), st.integers(4, 30))
def test_long_names_keep_both_ends(name: str, columns: int) -> None:
    short = render.shorten(name, columns)
    if short != name:
        head, tail = short.split("…", 1) if "…" not in name else ("", "")
        assert name.startswith(head) and name.endswith(tail)
        assert len(short) <= columns
    assert render.shorten("图纸" * 20, 9) == "图纸…图纸"


def test_the_picture_of_hits_holds_rank_score_and_name() -> None:
    drawing = make(line((0, 0), (1, 1)))
    sheet = ElementTree.fromstring(
        render.hits_picture(("q.dxf", drawing), [("a.dxf", drawing, 0.9876), ("b.dxf", drawing, 0.5)], columns=2)
    )
    assert [e.text for e in sheet.iter(SVG + "text")] == ["query", "q.dxf", "1   0.988", "a.dxf", "2   0.500", "b.dxf"]


def test_a_mirrored_insert_read_from_a_file(tmp_path: Path) -> None:
    """End to end: a bulged polyline in a block, inserted mirrored, against the mirrored half circle."""
    import ezdxf

    from deepdxf.reader import read

    document = ezdxf.new("R2010")  # type: ignore[attr-defined]
    block = document.blocks.new("PART")
    block.add_lwpolyline([(-4, 0, 1), (4, 0, 0)], format="xyb")
    space = document.modelspace()
    for row in FRAME:
        space.add_line(*row["points"])
    space.add_blockref("PART", (1, 2), dxfattribs={"xscale": 1, "yscale": -1})
    document.saveas(tmp_path / "mirrored.dxf")
    assert_ink_is(read(tmp_path / "mirrored.dxf"), arc_points(1, 2, 4, 0, 180))
