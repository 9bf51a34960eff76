"""Summaries: what a drawing says about itself, against drawings made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import drawings
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deepdxf.drawing import EntityClass, Problem
from deepdxf.summary import Summary, one_line, summarise


def dimension(value: float, measurement: float) -> drawings.Row:
    return EntityClass.DIMENSION, [(0, 0), (1, 1)], {"value": value, "measurement": measurement}


def full() -> Summary:
    drawing = drawings.drawing(
        drawings.line(0, 0, 40, 0),
        drawings.circle(20, 10, 5),
        drawings.circle(20, 10, 5),
        dimension(12.7, 12.70049),
        dimension(np.nan, 40.0),
        dimension(np.nan, np.nan),
        dimension(12.7 + 1e-13, 0.0),
    )
    return summarise(
        replace(
            drawing,
            layers=("0", "UNUSED", "CUT\nX"),
            layer=np.array([2, 0, 2, 0, 0, 0, 0], np.int32),
            texts=("second", "  first\n line ", "never", "first line", " "),
            text_index=np.array([1, -1, 0, 3, 0, 4, -1], np.int32),
            unit_mm=25.4,
            fields=(("TITLE", "Flange\nDN50"),),
            problems=(Problem("truncated", "the file ends\nearly", 2),),
        )
    )


def test_facts() -> None:
    summary = full()
    assert summary.counts == {"LINE": 1, "CIRCLE": 2, "DIMENSION": 4} and summary.entities == 7
    assert summary.layers == ("0", "CUT X")
    assert summary.texts == ("first line", "second")  # distinct, by first use
    assert summary.dimensions == (12.7, 40.0)  # the written value before the measured one
    assert summary.width_mm == summary.width * 25.4 and summary.width == 40
    assert summary.fields == (("TITLE", "Flange DN50"),)
    assert summary.problems == (("truncated", "the file ends early", 2),) and summary.status == "partial"


def test_without_units_no_millimetres() -> None:
    summary = summarise(replace(drawings.drawing(drawings.line(0, 0, 1, 1)), unit_mm=None))
    assert summary.unit_mm is None and summary.width_mm is None and summary.height_mm is None


def test_an_empty_drawing() -> None:
    summary = summarise(drawings.drawing())
    assert (summary.entities, summary.counts, summary.dimensions, summary.width) == (0, {}, (), 0.0)


def test_json() -> None:
    data = json.loads(json.dumps(full().to_dict()))
    assert data["width_mm"] == 40 * 25.4 and data["layers"] == ["0", "CUT X"] and data["counts"]["CIRCLE"] == 2


@given(text=st.text(alphabet=st.characters(codec=None), max_size=30))
def test_one_line_is_one_utf8_line_and_stable(text: str) -> None:
    line = one_line(text)
    assert line.encode("utf-8") is not None and len(line.splitlines()) <= 1 and "\0" not in line
    assert one_line(line) == line


def test_one_line_keeps_lone_surrogates_visible() -> None:
    assert one_line("a\udcffb") == "a\\udcffb"
