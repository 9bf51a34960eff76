"""Figures: what is drawn is what was found, nothing is blank, cut off in meaning or dependent on the user's settings."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawings import circle, drawing, line, polyline

pytest.importorskip("matplotlib")

from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.text import Annotation
from PIL import Image

from deepdxf import plot, plot_page
from deepdxf.compare import matched
from deepdxf.drawing import Drawing

RNG = np.random.default_rng(0)


def plate(*more: Any, shift: float = 0.0) -> Drawing:
    return drawing(
        polyline([(shift, 0), (100 + shift, 0), (100 + shift, 60), (shift, 60)]),
        circle(20 + shift, 20, 5),
        circle(80 + shift, 20, 5),
        line(10 + shift, 50, 90 + shift, 50),
        *more,
    )


def pixels(figure: Figure) -> np.ndarray:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=60)
    return np.asarray(Image.open(stream).convert("L"))


def is_drawn(figure: Figure) -> bool:
    grey = pixels(figure)
    return 0.003 < (grey < 160).mean() < 0.6


def records(steps: int = 12) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        row: dict[str, Any] = {"step": step, "epoch": 0, "kind": "train", "loss": 3.0 / step}
        for term, chance in (("sequence", 5.0), ("spread", None)):
            row[f"loss/{term}"] = 4.0 / step
            row[f"loss_over_chance/{term}"] = 4.0 / step / chance if chance else None
            row |= {f"{measure}/{term}": 0.5 for measure in plot.MEASURES}
        rows.append(row)
    figures = {"loss": 1.0, "loss/sequence": 1.0, "mAP": 0.5, "P@1": 0.4, "score": 0.5}
    return [*rows, {"step": steps, "epoch": 1, "kind": "validation", **figures}]


def cell(name: str, uniformity: float | None, alignment: float, seed: int = 0, **more: Any) -> dict[str, Any]:
    row = {"cell": name, "seed": seed, "uniformity": uniformity, "alignment": alignment, "collapsed": False}
    return {**row, "metrics": {"held_out": {"mAP": 0.5 + 0.1 * seed}}, "error": None, **more}


RESULTS = [
    cell("simclr", -2.0, 0.3), cell("simclr", -2.2, 0.5, 1), cell("byol", -1.0, 0.2), cell("vicreg", -1.5, 0.4),
    cell("dead", -0.01, 0.0, collapsed=True), cell("untrained", -1.2, 0.35), cell("descriptor", -9.0, 3.0),
    cell("broken", None, 0.0, error="out of memory"),
]  # fmt: skip


# --- files -----------------------------------------------------------------------------------------------------------


def all_figures() -> dict[str, Figure]:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((30, 6))
    a, b = plate(), plate(circle(50, 30, 4))
    unit = vectors[:5] / np.linalg.norm(vectors[:5], axis=1, keepdims=True)
    shown = plot.Shown("a/x.dxf", a, "query", "AP 0.50"), plot.Shown("b.dxf", None, "wrong", "1   0.3")
    return {
        "curves": plot.curves(records(), "run"),
        "map": plot.embedding_map(vectors[:, :2], ["a", "b", ""] * 10, legend="family"),
        "heat": plot.heat_map(list("abcde"), unit @ unit.T, [a, None, b, a, b]),
        "gap": plot.gap(vectors, vectors + 2.0),
        "plane": plot.plane(plot.cells_of(RESULTS)[0]),
        "sphere": plot.sphere({"whole vector": vectors}),
        "attention": plot.attention(a, np.array([0.1, 0.5, 0.4, 0.0])),
        "matches": plot.matches(a, b, matched(a, b).matching),
        "gallery": plot.gallery([shown], titles=["best"]),
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return all_figures()


def test_every_figure_is_written_as_png_and_svg_and_is_not_blank(
    figures: dict[str, Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot, "DPI", 40)
    for name, figure in figures.items():
        for suffix in (".png", ".svg"):
            plot.write(figure, tmp_path / f"{name}{suffix}")
        text = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert "<svg" in text and text.count("<path") > 10 and "<text" not in text, name
        grey = np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))
        assert 0.003 < (grey < 160).mean() < 0.6, name


def test_equal_figures_are_equal_bytes(tmp_path: Path) -> None:
    for k in (1, 2):
        plot.write(plot.embedding_map(np.eye(5)[:, :2], list("aabbc")), tmp_path / f"{k}.svg")
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()


def test_names_are_no_markup_and_stay_in_legends() -> None:
    names = ["_hidden", "$x^2$", "a\nb", "l" * 200]
    figure = plot.embedding_map(RNG.standard_normal((8, 2)), names * 2, title="$broken", legend="family")
    pixels(figure)  # broken mathematics would raise
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == 4 and any("$x^2$" in t for t in texts) and any("_hidden" in t for t in texts)
    assert all("\n" not in t and len(t) < 40 for t in texts)


# --- training --------------------------------------------------------------------------------------------------------


def test_chance_level_is_the_loss_by_its_ratio() -> None:
    assert plot.chance_levels(records()) == {"sequence": pytest.approx(5.0)}
    assert plot.loss_terms(records()) == ["sequence", "spread"]
    assert plot.retrieval_names(records()) == ["mAP", "P@1"]


def test_curves_hold_every_value_and_equal_measures_once() -> None:
    figure = plot.curves(records())
    losses, _, retrieval = figure.axes[:3]
    drawn = [line.get_ydata() for line in losses.get_lines() if len(line.get_xdata()) == 12]
    np.testing.assert_allclose(drawn[0], 4.0 / np.arange(1, 13))
    assert [t.get_text() for t in retrieval.get_legend().get_texts()] == ["mAP", "P@1"]
    spread = figure.axes[4]
    assert len([line for line in spread.get_lines() if len(line.get_xdata()) == 12]) == 1


def test_long_runs_have_a_running_mean() -> None:
    figure = plot.curves(records(400))
    x, y = figure.axes[1].get_lines()[1].get_data()
    assert len(x) == 400 - 400 // 50 + 1
    values = 0.8 / np.arange(1, 401)
    assert y[100] == pytest.approx(values[100:108].mean())


# --- maps ------------------------------------------------------------------------------------------------------------


def test_classes_cover_every_drawing_once() -> None:
    labels = [f"c{k % 30}" if k % 7 else "" for k in range(300)]
    found = plot.classes_of(labels)
    members = np.concatenate([rows for _, rows in found])
    assert sorted(members) == list(range(300))
    assert len(found) == plot.CLASSES + 1 and [name for name, _ in found[-2:]] == [plot.OTHERS, plot.NOTHING]
    sizes = [len(rows) for _, rows in found[:-2]]
    assert sizes == sorted(sizes, reverse=True)


def test_classes_differ_by_marker_as_well_as_colour() -> None:
    looks = [plot._class_look(k) for k in range(plot.CLASSES)]
    assert len({look["marker"] for look in looks}) == plot.CLASSES
    assert len({(look["facecolor"], look["edgecolor"]) for look in looks}) == plot.CLASSES


def test_map_draws_each_place() -> None:
    places = RNG.standard_normal((20, 2))
    figure = plot.embedding_map(places, ["a"] * 12 + ["b"] * 8)
    drawn = [c.get_offsets() for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    np.testing.assert_allclose(np.sort(np.concatenate(drawn), axis=0), np.sort(places, axis=0))


def test_heat_map_puts_like_ones_together() -> None:
    vectors = np.repeat(np.eye(3), 4, axis=0)[np.random.default_rng(0).permutation(12)]
    order = plot.heat_order(vectors @ vectors.T)
    assert sorted(order) == list(range(12))
    classes = vectors[order].argmax(axis=1)
    assert (np.diff(classes) != 0).sum() == 2


def test_gap_figure_tells_the_distance_of_the_means() -> None:
    a, b = RNG.standard_normal((25, 6)), RNG.standard_normal((25, 6)) + 4.0
    figure = plot.gap(a, b)
    before, after = (axis.get_title(loc="left") for axis in figure.axes[:2])
    assert float(re.findall(r"[\d.]+", before)[0]) > 0.5 and float(re.findall(r"[\d.]+", after)[0]) == 0.0
    assert plot.found_first(a, 3.0 * a) == 1.0


# --- objectives ------------------------------------------------------------------------------------------------------


def test_cells_are_means_of_their_seeds() -> None:
    cells, without = plot.cells_of([*RESULTS, cell("byol", -3.0, 0.9)])
    by_name = {c.name: c for c in cells}
    assert without == ["broken"]
    assert by_name["simclr"].uniformity == pytest.approx((-2.2, -2.1, -2.0))
    assert by_name["simclr"].score == pytest.approx(0.55) and by_name["simclr"].seeds == 2
    assert by_name["byol"].uniformity[1] == -3.0  # the later line of a cell and seed counts
    assert by_name["dead"].collapsed and by_name["untrained"].baseline and not by_name["byol"].baseline


def test_plane_names_every_cell_and_leaves_none_out() -> None:
    cells, _ = plot.cells_of(RESULTS)
    figure = plot.plane(cells)
    axis = figure.axes[0]
    named = {child.get_text() for child in axis.get_children() if isinstance(child, Annotation)}
    assert named == {"simclr", "byol", "vicreg", "dead", "untrained"}
    assert any("descriptor" in text.get_text() for text in axis.texts if not isinstance(text, Annotation))
    assert is_drawn(plot.plane(plot.cells_of([cell("a", -1.0, 0.1, metrics={})])[0]))


# --- drawings --------------------------------------------------------------------------------------------------------


def test_attention_is_told_by_width_and_colour() -> None:
    made = plate()
    share = np.array([0.0, 0.7, 0.05, 0.25])
    lines = next(c for c in plot.attention(made, share).axes[0].collections if isinstance(c, LineCollection))
    times, widths = np.asarray(lines.get_array()), np.asarray(lines.get_linewidths())
    assert (np.diff(times) >= 0).all() and (np.diff(widths) >= 0).all()  # the strongest is drawn last
    spread = plot.spread_of(3 * share[1:])
    assert {*np.round(times, 6)} == {round(max(0.15, 1 / spread), 6), 0.75, 2.1}
    np.testing.assert_allclose(plot._thickness(np.array([1 / spread, spread]), spread), [plot.THIN, plot.THICK])


def test_scale_of_attention_spans_what_there_is() -> None:
    assert plot.spread_of(np.ones(9)) == plot.LEAST_SPREAD and plot.spread_of(np.zeros(0)) == plot.LEAST_SPREAD
    assert plot.spread_of(np.array([0.5, 1.0, 2.0])) == pytest.approx(2.0)
    assert plot.spread_of(np.array([1e-9, 1.0])) == plot.MOST_SPREAD


def test_pairs_are_those_of_the_matching() -> None:
    a, b = plate(circle(30, 40, 3)), plate(circle(60, 33, 3), line(5, 5, 5, 30))
    matching = matched(a, b).matching
    pairs = plot.pairs_of(matching)
    assert [(p.a[0], p.b[0]) for p in pairs if p.kind == "same"] == [tuple(row) for row in matching.same.tolist()]
    assert [(p.a, p.b) for p in pairs if p.kind == "moved"] == [((4,), (4,))]
    chosen = plot.joined(matching, pairs, 3)
    assert len(chosen) == 3 and chosen[0].kind == "moved" and all(pair in pairs for pair in chosen)
    figure = plot.matches(a, b, matching, most=3)
    lines = [artist for artist in figure.artists if isinstance(artist, ConnectionPatch)]
    assert len(lines) == 3
    ends = {tuple(np.round(line.xy1, 6)) for line in lines}
    for pair, end in zip(chosen, (joint.xy1 for joint in lines), strict=True):
        box = a.box[list(pair.a)]
        assert (box[:, :2].min(axis=0) - 1e-6 <= end).all() and (end <= box[:, 2:].max(axis=0) + 1e-6).all()
    assert len(ends) == 3
    assert any("only in the right one: 1" in t.get_text() for t in figure.legends[0].get_texts())


def test_all_pairs_of_equal_drawings_are_joined_when_there_is_room() -> None:
    made = plate()
    matching = matched(made, plate()).matching
    chosen = plot.joined(matching, plot.pairs_of(matching), 99)
    assert {(p.a[0], p.b[0]) for p in chosen} <= {tuple(row) for row in matching.same.tolist()}
    assert len({p.a for p in chosen}) == len(chosen) >= 3


def test_pen_leaves_out_what_is_not_finite_and_empty_drawings_say_so() -> None:
    made = drawing(line(0, 0, 1, 1), line(0, 0, math.inf, 1))
    assert len(plot.Pen.of(made).lines) == 1
    figure = plot.gallery([[plot.Shown("e", drawing(), "right")]])
    assert any(text.get_text() == "empty" for text in figure.axes[0].texts)


def test_segments_that_follow_each_other_are_one_line() -> None:
    lines = np.array([[[0, 0], [1, 0]], [[1, 0], [1, 1]], [[5, 5], [6, 5]]], float)
    path = plot._outline(lines)
    assert path.codes is not None and path.codes.tolist() == [1, 2, 2, 1, 2]


# --- the page --------------------------------------------------------------------------------------------------------


def test_page_escapes_names_and_needs_no_network(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    points = [plot_page.Point(f"{evil}{k}", evil if k % 2 else "", b"\x89PNG") for k in range(6)]
    target = tmp_path / "map.html"
    plot_page.write_map(target, points, RNG.standard_normal((6, 2)), RNG.standard_normal((6, 4)), evil, evil)
    text = target.read_text(encoding="utf-8")
    assert "<script>alert" not in text and '"&lt;script' in text and text.count("<script>") == 1
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    assert "default-src 'none'" in text and text.count('class="point"') == 6
    assert text.count("data:image/png;base64,") == 6


def test_page_lists_the_most_similar() -> None:
    vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    near = plot_page._nearest(vectors)
    assert [entry.split(":")[0] for entry in near[0].split()] == ["1", "2"]
    assert float(near[0].split()[0].split(":")[1]) == pytest.approx(0.994, abs=1e-3)
    assert len(plot_page.SHAPES) == plot.CLASSES == len(plot.MARKERS)
