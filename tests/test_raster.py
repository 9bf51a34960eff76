import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepdxf import raster
from deepdxf.geometry import transform
from deepdxf.raster import CHANNELS, DIRECTIONS, RASTER_GAIN, blur, ink, raster_code, rasterise, to_pixels
from tests.drawings import circle, drawing, line, polyline

P = 12
coordinates = st.floats(-P, 2 * P, width=32).map(lambda x: round(x * 64) / 64)  # exact under mirror and turn
inside = st.floats(1, P - 1)


def lines_of(element: st.SearchStrategy[float], most: int = 8) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(float, st.tuples(st.integers(0, most), st.just(4)), elements=element)


def slow_ink(lines: np.ndarray, pixels: int) -> np.ndarray:
    """The definition, one segment and one pixel column at a time."""
    image = np.zeros((pixels, pixels))

    def add(row: int, column: int, amount: float) -> None:
        if 0 <= row < pixels and 0 <= column < pixels:
            image[row, column] += amount

    for x0, y0, x1, y1 in lines:
        flip = abs(y1 - y0) > abs(x1 - x0)
        a0, b0, a1, b1 = (y0, x0, y1, x1) if flip else (x0, y0, x1, y1)
        if a0 > a1:
            a0, b0, a1, b1 = a1, b1, a0, b0
        if a0 == a1:
            continue
        for cell in range(math.floor(a0), math.floor(a1) + 1):
            lo, hi = max(a0, cell), min(a1, cell + 1)
            b = b0 + (b1 - b0) * ((lo + hi) / 2 - a0) / (a1 - a0) - 0.5
            length = math.hypot(hi - lo, (b1 - b0) * (hi - lo) / (a1 - a0))
            near = math.floor(b)
            for cross, share in ((near, 1 - (b - near)), (near + 1, b - near)):
                add(*((cell, cross) if flip else (cross, cell)), amount=share * length)
    return image


@given(lines_of(st.floats(0, P)))
def test_ink_is_its_definition(lines):
    np.testing.assert_allclose(ink(lines, P), slow_ink(lines, P), atol=1e-5)


@given(lines_of(inside))
def test_sum_of_ink_is_the_length_of_the_lines(lines):
    length = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1]).sum()
    assert ink(lines, P).sum() == pytest.approx(length, rel=1e-5, abs=1e-5)


@given(lines_of(coordinates))
def test_cutting_off_equals_drawing_on_a_larger_image(lines):
    # a wide rim of paper on all sides, then the middle; the pixels next to the cut differ by the ink of the outside
    larger = slow_ink(lines + 2 * P, 5 * P)[2 * P : 3 * P, 2 * P : 3 * P]
    np.testing.assert_allclose(ink(lines, P)[2:-2, 2:-2], larger[2:-2, 2:-2], atol=1e-5)


@given(lines_of(coordinates))
@example(np.array([[18.421875, 0.0, 0.0, 18.421875]]))  # at 45°, and the cut is rounded
def test_direction_mirror_and_turn(lines):
    image = ink(lines, P)
    np.testing.assert_allclose(ink(lines[:, [2, 3, 0, 1]], P), image, atol=1e-5)
    np.testing.assert_allclose(ink(np.array([P, 0, P, 0]) + lines * [-1, 1, -1, 1], P), image[:, ::-1], atol=1e-5)
    oblique = np.abs(lines[:, 2] - lines[:, 0]) != np.abs(lines[:, 3] - lines[:, 1])  # at 45° either direction may lead
    np.testing.assert_allclose(ink(lines[oblique][:, [1, 0, 3, 2]], P), ink(lines[oblique], P).T, atol=1e-5)


@pytest.mark.filterwarnings("error")
@given(lines_of(st.floats(allow_nan=True, allow_infinity=True)))
@example(
    np.array([[-50.0, 0.0, 60.0, 5e-324]])
)  # nearly parallel to an edge: it meets the other one beyond all numbers
def test_any_number_is_drawn_or_left_out(lines):
    image = ink(lines, P)
    assert np.isfinite(image).all() and (image >= 0).all()


@settings(max_examples=20)
@given(lines_of(inside, most=60))
def test_blocks_of_cells_change_nothing(lines):
    whole = ink(lines, P)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raster, "_CELLS_AT_ONCE", 7)
        np.testing.assert_allclose(ink(lines, P), whole, atol=1e-5)


def test_horizontal_line_on_pixel_centres():
    image = ink(np.array([[1.0, 2.5, 3.5, 2.5]]), 5)
    expected = np.zeros((5, 5))
    expected[2] = [0, 1, 1, 0.5, 0]
    np.testing.assert_array_equal(image, expected)


def test_frame_is_centred_isotropic_and_upright():
    # 80 x 40 with a bar along the top: longer side spans 18 of 20 pixels, so 18 x 9 in the middle
    image = rasterise(drawing(line(100, 540, 180, 540), line(100, 500, 100.001, 500)), 20)
    rows, columns = np.nonzero(image > 0.1)
    assert (columns.min(), columns.max()) == (1, 18)
    assert set(rows) == {5}  # 10 − 4.5 = 5.5 = the centre of row 5


@given(st.floats(0.01, 1e4), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_place_and_scale_do_not_matter(scale, x, y):
    lines = np.array([[0.0, 0, 3, 1], [3, 1, 2, 2]])
    frame = np.array([0.0, 0, 3, 2])
    move = np.array([x, y, x, y])
    np.testing.assert_allclose(
        to_pixels(lines * scale + move, frame * scale + move, 32),
        to_pixels(lines, frame, 32),
        atol=1e-4 + 1e-9 / scale * 1e6,
    )


def test_circle_is_where_it_should_be():
    image = rasterise(drawing(circle(7, -3, 5)), 64, margin=2)
    assert image.max() <= 1
    rows, columns = np.nonzero(image > 0.05)
    distance = np.hypot(rows + 0.5 - 32, columns + 0.5 - 32)
    assert np.abs(distance - 30).max() < 1.6
    assert image.sum() == pytest.approx(2 * np.pi * 30, rel=0.05)  # a little is lost where ink adds up beyond 1


@pytest.mark.parametrize("rows", [(), (line(5, 5, 5, 5),)], ids=["empty", "point"])
def test_no_extent_no_ink(rows):
    image = rasterise(drawing(*rows), 16)
    assert image.shape == (16, 16) and not image.any()


def test_blur_keeps_ink_and_equals_scipy():
    from scipy.ndimage import gaussian_filter

    image = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    image[:8] = image[-8:] = image[:, :8] = image[:, -8:] = 0
    blurred = blur(image, 1.5)
    assert blurred.sum() == pytest.approx(image.sum(), rel=1e-4)
    np.testing.assert_allclose(blurred, gaussian_filter(image, 1.5, mode="constant", truncate=6), atol=1e-4)


# --- raster code -----------------------------------------------------------------------------------------------------


def plate():
    return drawing(polyline([(0, 0), (80, 0), (80, 60), (30, 25)]), circle(20, 10, 6), line(10, 3, 60, 41))


def amounts(code) -> np.ndarray:
    """(CHANNELS, p, p) ink of a raster code."""
    return np.expm1(code.image.astype(float)) / RASTER_GAIN


def test_the_directions_of_a_raster_code_share_out_all_ink() -> None:
    found = amounts(raster_code(plate(), 64))
    whole = ink(to_pixels(*lines_and_frame(plate()), 64, 0.05 * 64), 64)
    np.testing.assert_allclose(found[:DIRECTIONS].sum(axis=0), whole, atol=0.02)  # half precision
    assert found[DIRECTIONS].sum() == pytest.approx(2 * np.pi * 6 * 64 * 0.9 / 80, rel=0.02)  # the circle's own channel
    assert not found[DIRECTIONS + 1 :].any()


def lines_and_frame(one):
    from deepdxf.geometry import segments

    return segments(one, max(one.size) / 64 / 4)[0], one.frame


def test_a_raster_code_does_not_move_with_the_drawing_and_turns_with_it() -> None:
    one = raster_code(plate(), 32).image
    moved = raster_code(transform(plate(), np.array([[1.0, 0, 350.0], [0, 1, -80]])), 32).image
    np.testing.assert_allclose(moved, one, atol=2e-3)
    turned = raster_code(transform(plate(), np.array([[0.0, -1, 0], [1, 0, 0]])), 32).image
    order = [*np.roll(np.arange(DIRECTIONS), DIRECTIONS // 2), *range(DIRECTIONS, CHANNELS)]
    np.testing.assert_allclose(turned, np.rot90(one, axes=(1, 2))[order], atol=5e-3)


def test_no_raster_code() -> None:
    assert raster_code(plate(), 0).image.shape == (CHANNELS, 0, 0)
    assert not raster_code(drawing(), 16).image.any()
