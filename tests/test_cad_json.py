"""CAD-sequence JSON to drawing: geometry by hand, arcs by a second formula, and bad files."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdxf.cad_json import CUTOUT, OUTLINE, convert_cad_json
from deepdxf.dxfwrite import dxf_bytes
from deepdxf.errors import ReadError


def point(x: float, y: float) -> dict[str, float]:
    return {"x": x, "y": y, "z": 0.0}


def line(a: tuple[float, float], b: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Line3D", "start_point": point(*a), "end_point": point(*b)}


def sketch(*loops: tuple[bool, list[dict[str, Any]]], name: str = "Sketch 1") -> dict[str, Any]:
    made = [{"is_outer": outer, "profile_curves": curves} for outer, curves in loops]
    return {"type": "Sketch", "name": name, "profiles": {"JGC": {"loops": made}}}


def polygon(points: list[tuple[float, float]]) -> list[dict[str, Any]]:
    return [line(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]


def example() -> dict[str, Any]:
    """A 4 x 2 plate with a half-round right side of radius 1 and a hole; then a square; extruded by 0.5."""
    arc = {
        "type": "Arc3D",
        "start_point": point(4, 0),
        "end_point": point(4, 2),
        "center_point": point(4, 1),
        "radius": 1.0,
        "normal": {"x": 0.0, "y": 0.0, "z": 1.0},
        "start_angle": 0.0,
        "end_angle": math.pi,
        "reference_vector": {"x": 0.0, "y": -1.0, "z": 0.0},
    }
    outer = [line((0, 0), (4, 0)), arc, line((4, 2), (0, 2)), line((0, 2), (0, 0))]
    hole = [{"type": "Circle3D", "center_point": point(1, 1), "radius": 0.25, "normal": {"x": 0, "y": 0, "z": 1}}]
    extrude = {
        "type": "ExtrudeFeature",
        "profiles": [{"profile": "JGC", "sketch": "S1"}],
        "extent_one": {"distance": {"value": 0.5}},
    }
    square = sketch((True, polygon([(0, 0), (2, 0), (2, 2), (0, 2)])), name="Sketch 2")
    return {
        "entities": {"S2": square, "E1": extrude, "S1": sketch((True, outer), (False, hole))},
        "sequence": [{"index": i, "type": "x", "entity": key} for i, key in enumerate(("S1", "E1", "S2"))],
    }


def test_example_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "00000001.json"
    path.write_text(json.dumps(example()), encoding="utf-8")
    doc = convert_cad_json(path)
    assert doc.unit == "m"
    assert [e.type for e in doc.entities] == ["LINE", "ARC", "LINE", "LINE", "CIRCLE", "TEXT", *["LINE"] * 4, "TEXT"]
    arc, circle, text = doc.entities[1], doc.entities[4], doc.entities[5]
    low = doc.entities[0].points[0]  # the plate's corner, wherever the view stands
    assert np.allclose(arc.points[0], (low[0] + 4, low[1] + 1)) and (arc.angle, arc.end) == (270.0, 90.0)
    assert np.allclose(circle.points[0], (low[0] + 1, low[1] + 1)) and circle.size == 0.25
    assert (arc.layer, circle.layer) == (OUTLINE, CUTOUT)
    assert text.text == "Sketch 1  0.5" and doc.entities[-1].text == "Sketch 2"
    # views side by side in the order of the sequence: the second begins right of the first, 5 wide
    assert min(e.points[0][0] for e in doc.entities[6:10]) > low[0] + 5
    assert doc.entities == convert_cad_json(example()).entities
    import io

    from ezdxf.filemanagement import read

    auditor = read(io.StringIO(dxf_bytes(doc).decode("ascii").replace("\r\n", "\n"))).audit()
    assert not auditor.errors and not auditor.fixes


@given(
    st.floats(0, 6.28),
    st.floats(0.1, 6.1),
    st.floats(0.1, 50),
    st.floats(-50, 50),
    st.floats(-50, 50),
    st.sampled_from([1, -1]),
)
def test_arcs_run_as_their_angles_say(ref: float, sweep: float, r: float, x: float, y: float, side: int) -> None:
    """Oracle: the point half-way, the reference vector turned about the normal by half of the sweep."""

    def on(turn: float) -> tuple[float, float]:
        return x + r * math.cos(ref + side * turn), y + r * math.sin(ref + side * turn)

    arc = {
        "type": "Arc3D",
        "start_point": point(*on(0)),
        "end_point": point(*on(sweep)),
        "center_point": point(x, y),
        "radius": r,
        "normal": {"x": 0.0, "y": 0.0, "z": float(side)},
    }
    doc = convert_cad_json({"entities": {"S": sketch((True, [arc]))}})
    made = doc.entities[0]
    assert (made.end - made.angle) % 360 == pytest.approx(math.degrees(sweep), abs=1e-6)
    middle = math.radians(made.angle + (made.end - made.angle) % 360 / 2)
    wanted = on(sweep / 2)
    assert np.allclose((math.cos(middle), math.sin(middle)), ((wanted[0] - x) / r, (wanted[1] - y) / r), atol=1e-6)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=6, unique=True),
        min_size=1,
        max_size=6,
    )
)
def test_views_keep_their_geometry_and_do_not_overlap(polygons: list[list[tuple[int, int]]]) -> None:
    data = {"entities": {str(i): sketch((True, polygon(list(p)))) for i, p in enumerate(polygons)}}
    doc = convert_cad_json(data)
    boxes = []
    for i, corners in enumerate(polygons):
        lines = [e for e in doc.entities if e.feature == f"sketch:{i}" and e.type == "LINE"]
        lengths = sorted(round(math.dist(*e.points), 6) for e in lines)
        assert lengths == sorted(
            round(math.dist(a, b), 6) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
        )
        points = np.array([p for e in lines for p in e.points])
        size = np.ptp(np.array(corners, float), axis=0)
        assert np.allclose(np.ptp(points, axis=0), size)
        boxes.append((*points.min(axis=0), *points.max(axis=0)))
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[0] > b[2] or b[0] > a[2] or a[1] > b[3] or b[1] > a[3]


def test_shared_edges_are_drawn_once() -> None:
    left, right = polygon([(0, 0), (1, 0), (1, 1), (0, 1)]), polygon([(1, 0), (2, 0), (2, 1), (1, 1)])
    data = {"entities": {"S": sketch((True, left), (True, right))}}
    assert sum(e.type == "LINE" for e in convert_cad_json(data).entities) == 7


def broken(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    data = copy.deepcopy(example())
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return data


CURVES = ("entities", "S1", "profiles", "JGC", "loops", 0, "profile_curves")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "entities"),
        ({"entities": []}, "CAD sequence"),
        ({"entities": {}}, "no sketch"),
        (broken((*CURVES, 0, "type"), "NurbsCurve3D"), "NurbsCurve3D"),
        (broken((*CURVES, 0, "start_point", "x"), float("nan")), "finite"),
        (broken((*CURVES, 0, "start_point", "x"), "1"), "finite"),
        (broken((*CURVES, 0, "start_point", "z"), 3.0), "plane"),
        (broken((*CURVES, 1, "radius"), -1.0), "radius -1"),
        (broken(("sequence", 0, "entity"), "lost"), "lost"),
        (broken(("entities", "S1", "profiles"), None), "CAD sequence"),
    ],
)  # fmt: skip
def test_bad_data_is_a_clear_error(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        convert_cad_json(data)
    assert "\n" not in str(caught.value)


def test_bad_files_and_units(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[1]", b"null"):
        bad.write_bytes(content)
        with pytest.raises(ReadError, match=r"bad\.json"):
            convert_cad_json(bad)
    with pytest.raises(ReadError, match="cannot read"):
        convert_cad_json(tmp_path / "missing.json")
    with pytest.raises(ReadError, match="furlong"):
        convert_cad_json(example(), unit="furlong")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    *(("entities",), ("sequence",), ("sequence", 0), ("entities", "S1"), ("entities", "S1", "type")),
    *(("entities", "E1"), ("entities", "E1", "extent_one"), ("entities", "E1", "profiles")),
    *(("entities", "S1", "profiles", "JGC"), ("entities", "S1", "profiles", "JGC", "loops"), CURVES),
    *((*CURVES, 1), (*CURVES, 1, "normal"), (*CURVES, 1, "center_point"), (*CURVES, 1, "radius")),
]


@given(st.sampled_from(PLACES), JSON)
def test_any_other_value_converts_or_is_a_read_error(place: tuple[Any, ...], value: Any) -> None:
    try:
        doc = convert_cad_json(broken(place, value))
    except ReadError as error:
        assert "\n" not in str(error)
    else:
        assert doc.entities and all(math.isfinite(v) for e in doc.entities for p in e.points for v in p)
