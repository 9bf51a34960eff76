"""Columns and quantisation of the codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdxf import vocabulary as v
from deepdxf.drawing import EntityClass as C
from tests.drawings import drawing, line


def test_classic_has_43_columns_and_the_two_of_the_dimension_value() -> None:
    assert len(v.CLASSIC) == len(set(v.CLASSIC)) == 43 + 2
    assert v.CLASSIC[31:33] == ("main_value", "tolerance")


def test_every_class_has_the_parameters_of_the_historical_matrix() -> None:
    parameters = {cls.name: len(columns) for cls, columns in v.CLASSIC_COLUMNS.items()}
    assert parameters == {
        "HATCH": 3, "TEXT": 4, "MTEXT": 5, "LWPOLYLINE": 4, "ARC": 5, "LINE": 4, "CIRCLE": 3, "DIMENSION": 6,
        "LEADER": 2, "INSERT": 5, "SPLINE": 4, "SOLID": 2,
    }  # fmt: skip
    assert {name for columns in v.CLASSIC_COLUMNS.values() for name in columns} == set(v.CLASSIC)
    shared = [name for name in v.CLASSIC if v.CLASSIC_USED[:, 1 + v.CLASSIC.index(name)].sum() > 1]
    assert shared == ["text_rotation", "count"]
    assert v.CLASSIC_USED[C.EOS].sum() == 1  # the class itself


def test_rich_has_at_most_eight_numbers_of_a_class() -> None:
    assert set(v.SLOTS) == set(C) - {C.EOS}
    assert max(map(len, v.SLOTS.values())) == v.SLOT_WIDTH == 8
    assert max(map(len, v.FLAGS.values())) == v.FLAG_WIDTH
    assert v.RICH_LOW.shape == v.RICH_HIGH.shape == (12, v.N_RICH) and (v.RICH_LOW < v.RICH_HIGH).all()
    assert [slot.name for slot in v.LOCAL][v.column("span") - v.LOCAL_START] == "span"


def test_quantise_by_hand() -> None:
    np.testing.assert_array_equal(
        v.quantise([-3.0, 0.0, 0.5, 1 / 255, 0.9999, 1.0, 7.0]), [0, 0, 128, 1, 255, 255, 255]
    )


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_quantise_is_monotone_and_in_range(a: float, b: float) -> None:
    low, high = v.quantise(min(a, b)), v.quantise(max(a, b))
    assert 0 <= low <= high <= 255


@given(st.floats(0, 1))
def test_quantise_loses_at_most_half_a_bin(a: float) -> None:
    assert abs(v.quantise(a) / 255 - a) <= (0.5 + 2 * v.TIE) / 255


@given(st.integers(0, 509), st.floats(-1e-9, 1e-9))
def test_the_last_bits_do_not_decide_between_two_bins(half_bins: int, noise: float) -> None:
    fraction = half_bins / 510
    assert v.quantise(fraction + noise) == v.quantise(fraction) == (half_bins + 1) // 2


@given(st.integers(-1000, 1000), st.floats(-1e-8, 1e-8))
def test_turns_do_not_jump_at_a_full_turn(quarter: int, noise: float) -> None:
    assert v.turns(np.array([90.0 * quarter + noise])) == pytest.approx(quarter % 4 / 4)


def test_scale_centres_the_frame_and_keeps_one_scale() -> None:
    scale = v.Scale.of(drawing(line(10, 100, 30, 110)))
    assert scale.side == 20
    np.testing.assert_allclose(
        scale.place(np.array([[10.0, 100.0], [30.0, 110.0], [20.0, 105.0]])), [[0, 0.25], [1, 0.75], [0.5, 0.5]]
    )
    np.testing.assert_array_equal(scale.snap(np.array([[10.0, 100.0, 1e9, 110.0]]), 100, 1000), [[-50, -25, 1000, 25]])


def test_scale_of_a_point_and_of_nothing() -> None:
    assert v.Scale.of(drawing(line(5, 5, 5, 5))).side == 1.0
    assert v.Scale.of(drawing()).side == 1.0


@given(
    st.sampled_from([c for c in C if c != C.EOS]),
    st.integers(0, v.N_RICH - 1),
    st.floats(allow_nan=False),
    st.booleans(),
)
def test_clip_and_bins(cls: C, column: int, value: float, absent: bool) -> None:
    values = np.full((1, v.N_RICH), np.nan)
    if not absent:
        values[0, column] = value
    kinds = np.array([cls], np.uint8)
    clipped = v.clip(kinds, values)
    bins = v.rich_bins(kinds, clipped)
    assert bins.dtype == np.uint8 and np.isnan(np.delete(clipped, column)).all()
    if not absent:
        low, high = v.RICH_LOW[cls, column], v.RICH_HIGH[cls, column]
        assert low <= clipped[0, column] <= high
        assert bins[0, column] == np.clip(
            np.floor((clipped[0, column] - low) / (high - low) * 255 + 0.5 + v.TIE), 0, 255
        )


def test_logarithms_by_hand() -> None:
    np.testing.assert_allclose(v.logarithm(np.array([1.0, 0.25, 0.0, -1.0])), [0, -2, -20, -20])
    np.testing.assert_allclose(v.count([0, 1, 7]), [0, 1, 3])
    np.testing.assert_allclose(v.decades(np.array([0.0, -0.999, 99.999, np.nan])), [0, 3, 5, np.nan])
