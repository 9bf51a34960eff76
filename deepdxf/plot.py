"""Figures of training, embeddings and drawings: functions of arrays and drawings that return a matplotlib Figure.

Colours are those of Okabe and Ito (2008) without yellow, gradients are cividis (Nuñez, Anderton and Renslow 2018) or of
one hue: people of all kinds of colour vision tell them apart. Whatever a colour tells, a marker, a line style, a width, a hatch
or a number tells too, so that a black-and-white print is legible. Needs the extra ``plot``.

Letters in shapes: n drawings or rows of a drawing, s segments.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Colormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch, PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator

from deepdxf.console import shown
from deepdxf.drawing import Drawing, EntityClass, FloatArray, IntArray, enclosing
from deepdxf.files import replacing
from deepdxf.geometry import segments
from deepdxf.match import Matching
from deepdxf.overlay import LOOKS, NUMBER
from deepdxf.projection import (
    Vectors,
    centred,
    modality_gap,
    mollweide,
    on_sphere,
    principal,
    ring_density,
    sphere_density,
    unit,
)
from deepdxf.render import shorten, text_quads
from deepdxf.watch import Watch

P = ParamSpec("P")

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h")
LARGER = {"^": 1.3, "v": 1.3, "<": 1.3, ">": 1.3, "P": 1.7, "X": 1.7, "*": 2.0, "p": 1.3, "h": 1.3}  # as dark as "o"
DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (3, 1)))
INK, SOFT, GRID = "#17202e", "#5b6776", "#dde3ea"
WIDE, DPI = 7.2, 150  # inches of most figures, pixels an inch of PNG

# Fonts that hold what DejaVu Sans, which comes with matplotlib, does not: the first of each system that is there
MORE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans",
    "Arial Unicode MS",
)


def style() -> Any:
    """Settings of all figures, by name."""
    known = set(fontManager.get_font_names())
    return {
        "font.family": ["DejaVu Sans", *(name for name in MORE_FONTS if name in known)],
        "font.size": 8.5,
        "text.color": INK,
        "text.parse_math": False,  # names hold dollars
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "legend.frameon": False,
        "hatch.linewidth": 0.5,
        "lines.linewidth": 1.4,
        "lines.markersize": 4.5,
        "savefig.dpi": DPI,
        "savefig.facecolor": "white",
        "svg.fonttype": "path",  # the same on every computer
        "svg.hashsalt": "deepdxf",
    }


def styled(make: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that makes a figure, in the style of all."""

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(style()):
            return make(*args, **kwargs)

    return made


def write(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, as the name ends. Equal figures give equal bytes.

    Raises:
        DeepDXFError: the file cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    nothing = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context(style()), replacing(path) as partial:
        figure.savefig(partial, format=kind, metadata=nothing)


def label(name: str, columns: int = 40) -> str:
    """A name of any file in a figure: on one line, not too long, and never left out of a legend."""
    text = shown(shorten(name, columns))
    return f"\u2009{text}" if text.startswith("_") else text  # legends leave out what begins with an underscore


# --- training --------------------------------------------------------------------------------------------------------

MEASURES = {  # of `watch`, with their titles
    "std_sqrt_d": "spread: std · √d",
    "effective_rank": "effective rank",
    "alignment": "alignment",
    "uniformity": "uniformity",
}
SMOOTHED = 200  # steps from which a running mean is drawn over the single steps
Record = Mapping[str, Any]


def loss_terms(records: Sequence[Record]) -> list[str]:
    """Terms of the loss that a run's records tell of."""
    return list(dict.fromkeys(name[5:] for record in records for name in record if name.startswith("loss/")))


def chance_levels(records: Sequence[Record]) -> dict[str, float]:
    """Loss of each term at which embeddings say nothing; terms without one are left out."""
    levels = {}
    for term in loss_terms(records):
        pairs = [(record.get(f"loss/{term}"), record.get(f"loss_over_chance/{term}")) for record in records]
        found = [loss / ratio for loss, ratio in pairs if loss is not None and ratio]
        if found:
            levels[term] = float(np.median(found))
    return levels


def retrieval_names(records: Sequence[Record]) -> list[str]:
    """Figures of the held-out drawings; the score is left out where it is one of the others."""
    names = list(dict.fromkeys(name for record in records for name in record if record["kind"] == "validation"))
    names = [n for n in names if n not in ("step", "epoch", "kind", "lr", "gradient") and not n.startswith("loss")]
    if "score" in names and any(_values(records, "score") == _values(records, n) for n in names if n != "score"):
        names.remove("score")
    return names


def _values(records: Sequence[Record], name: str) -> list[Any]:
    return [record.get(name) for record in records]


@styled
def curves(records: Sequence[Record], title: str = "") -> Figure:
    """Training of a run: loss of each term beside its chance level, held-out retrieval, and the signs of collapse.

    Args:
        records: of `tracking.read_records`.
    """
    figure = Figure((10.8, 5.6), layout="constrained")
    grid = figure.subplots(2, 4, sharex=True)
    train = [record for record in records if record["kind"] == "train"]
    held_out = [record for record in records if record["kind"] == "validation"]
    terms, chance = loss_terms(records), chance_levels(train)
    look = {term: _look(k) for k, term in enumerate(terms)}
    losses, ratios, retrieval, legend = grid[0]

    losses.set_title("loss of each term")
    ratios.set_title("loss ÷ chance level")
    for term in terms:
        _curve(losses, train, f"loss/{term}", look[term])
        steps, values = _series(held_out, f"loss/{term}")
        seldom = {"markevery": max(1, len(steps) // 6)}
        losses.plot(steps, values, **look[term] | seldom | {"linestyle": "none", "fillstyle": "none", "markersize": 6})
        _curve(ratios, train, f"loss_over_chance/{term}", look[term])
        if term in chance:
            losses.axhline(chance[term], color=look[term]["color"], linewidth=0.8, linestyle=(0, (1, 4)))
    ratios.axhline(1.0, color=INK, linewidth=0.8, linestyle=(0, (1, 4)))
    losses.set_ylim(bottom=0)
    ratios.set_ylim(0, max(1.1, ratios.get_ylim()[1]))
    ratios.text(0.99, 1.0, "chance", transform=ratios.get_yaxis_transform(), ha="right", va="bottom", color=SOFT)

    retrieval.set_title("retrieval, held out")
    names = retrieval_names(held_out)
    for k, name in enumerate(names):
        steps, values = _series(held_out, name)
        look_of_name = _look(k) | {"color": (INK, *COLORS)[k % 4], "markevery": max(1, len(steps) // 6)}
        retrieval.plot(steps, values, label=name, **look_of_name)
    if names:
        steps, values = _series(held_out, names[0])
        if np.isfinite(values).any():
            best = int(np.nanargmax(values))
            retrieval.set_title(f"held out, best {label(names[0], 12)} {values[best]:.3f}")
            ring = {"marker": "o", "fillstyle": "none", "markersize": 10, "color": INK}
            retrieval.plot(steps[best], values[best], linestyle="none", **ring)
        retrieval.margins(x=0.12, y=0.2)
        retrieval.legend(loc="best", fontsize=7.5)
    else:
        _say(retrieval, "no validation in this run")

    legend.axis("off")
    handles = [Line2D([], [], label=label(term, 24), **look[term]) for term in terms]
    handles += [
        Line2D([], [], color=INK, linewidth=0.8, linestyle=(0, (1, 4)), label="chance level"),
        Line2D([], [], color=INK, linestyle="none", marker="o", fillstyle="none", markersize=6, label="held out"),
        Rectangle((0, 0), 1, 1, label="collapse", **_DANGER),  # type: ignore[list-item]
    ]
    legend.legend(handles=handles, loc="upper left", borderaxespad=0, handlelength=3.2)
    if len(train) >= SMOOTHED:
        legend.text(0, 0, "thick: running mean", transform=legend.transAxes, color=SOFT)

    limits = Watch()
    for axis, (measure, words) in zip(grid[1], MEASURES.items(), strict=True):
        axis.set_title(words)
        drawn: list[list[Any]] = []
        for term in terms:
            values_of_term = _values(train, f"{measure}/{term}")
            if values_of_term not in drawn:  # terms about the same embeddings
                drawn.append(values_of_term)
                _curve(axis, train, f"{measure}/{term}", look[term])
        least = {"std_sqrt_d": limits.least_std, "effective_rank": limits.least_rank}.get(measure)
        if least is not None:
            axis.set_ylim(bottom=0)
            axis.axhspan(0, least, **_DANGER)
        axis.set_xlabel("step")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if title:
        figure.suptitle(label(title, 100), x=0.01, ha="left")
    return figure


_DANGER: dict[str, Any] = {"facecolor": "none", "edgecolor": "#d55e00", "hatch": "////", "linewidth": 0.0}


def _look(k: int) -> dict[str, Any]:
    """How the k-th of several lines is drawn."""
    return {"color": COLORS[k % len(COLORS)], "marker": MARKERS[k % len(MARKERS)], "linestyle": DASHES[k % len(DASHES)]}


def _series(records: Sequence[Record], name: str) -> tuple[FloatArray, FloatArray]:
    rows = [(record["step"], record[name]) for record in records if record.get(name) is not None]
    array = np.array(rows, np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _curve(axis: Axes, records: Sequence[Record], name: str, look: Mapping[str, Any]) -> None:
    """One figure of all steps; of a long run the running mean over them."""
    steps, values = _series(records, name)
    if len(values) >= SMOOTHED:
        axis.plot(steps, values, color=look["color"], linewidth=0.5, alpha=0.35)
        window = len(values) // 50
        values = np.convolve(values, np.ones(window) / window, "valid")
        steps = steps[window // 2 : window // 2 + len(values)]
    axis.plot(steps, values, markevery=max(1, len(steps) // 6), markersize=3.5, **{**look, "linewidth": 1.2})


def _say(axis: Axes, words: str) -> None:
    axis.text(0.5, 0.5, words, transform=axis.transAxes, ha="center", va="center", color=SOFT)


# --- maps ------------------------------------------------------------------------------------------------------------

CLASSES = 12  # that a map tells apart; the smallest ones are the others
OTHERS, NOTHING = "others", "none"


def classes_of(labels: Sequence[str], most: int = CLASSES) -> list[tuple[str, IntArray]]:
    """Names and members of the largest classes, largest first; the others and those without a label come last."""
    counts = Counter(name for name in labels if name)
    largest = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    if len(largest) > most:
        largest = largest[: most - 1]
    array = np.array(labels, dtype=object)
    found = [(name, np.flatnonzero(array == name)) for name in largest]
    there = np.isin(array.astype(str), largest)
    for name, members in ((OTHERS, ~there & (array != "")), (NOTHING, array == "")):
        if members.any():
            found.append((name, np.flatnonzero(members)))
    return found


@styled
def embedding_map(
    places: FloatArray,
    labels: Sequence[str],
    *,
    title: str = "",
    legend: str = "",
    axes: tuple[str, str] = ("", ""),
    pairs: FloatArray | None = None,
) -> Figure:
    """Places (n, 2) of drawings on a map, by classes that colour and marker tell apart.

    Args:
        labels: class of each; "" = none.
        legend: what the classes are.
        axes: names of the axes; without names they have no numbers, for those mean nothing.
        pairs: (p, 2, 2) places that a thin line joins.
    """
    figure = Figure((WIDE, 5.0), layout="constrained")
    axis = figure.subplots()
    if pairs is not None:
        axis.add_collection(LineCollection(list(pairs), colors="#8b95a1", linewidths=0.5, alpha=0.6))
    found = classes_of(labels)
    size = float(np.clip(4000 / max(len(places), 1), 8, 34))
    handles = []
    for number, (name, members) in enumerate(found):
        rest = name in (OTHERS, NOTHING) and number >= len(found) - 2 and name not in labels
        look = _class_look(None if rest else number)
        # few points lie over many
        x, y = places[members].T
        axis.scatter(x, y, s=size * LARGER.get(look["marker"], 1.0), zorder=2 - 1 / (1 + len(members)), **look)
        words = f"{label(name, 26)} ({len(members)})"
        shape = {"marker": look["marker"], "markerfacecolor": look["facecolor"], "markeredgecolor": look["edgecolor"]}
        shape["markersize"] = 5.0 * LARGER.get(look["marker"], 1.0) ** 0.5
        handles.append(Line2D([], [], linestyle="none", label=words, **shape))
    axis.set_aspect("equal", "datalim")
    if any(axes):
        axis.set_xlabel(axes[0])
        axis.set_ylabel(axes[1])
    else:
        axis.set_xticks([])
        axis.set_yticks([])
    axis.set_title(label(title, 90))
    if len(found) > 1 or found[0][0] != NOTHING:
        figure.legend(
            handles=handles, title=legend, loc="outside right upper", alignment="left", labelspacing=0.7, fontsize=8
        )
    return figure


def _class_look(number: int | None) -> dict[str, Any]:
    """How the points of a class are drawn: filled in its colour, with a dark rim; None: of no class."""
    if number is None:
        return {"marker": ".", "facecolor": "#b7c0ca", "edgecolor": "#8b95a1", "linewidth": 0.4}
    color = COLORS[number % len(COLORS)]
    hollow = number >= len(COLORS)  # colours come again, but open and with another marker
    face = "white" if hollow else color
    return {
        "marker": MARKERS[number % len(MARKERS)],
        "facecolor": face,
        "edgecolor": color if hollow else "white",
        "linewidth": 1.1 if hollow else 0.4,
    }


# --- similarity ------------------------------------------------------------------------------------------------------

NUMBERED = 14  # drawings up to which the cells of a heat map hold their numbers


def heat_order(cosines: FloatArray) -> IntArray:
    """(n,) order in which like drawings stand beside each other: leaves of their average-linkage tree."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(cosines) < 3:
        return np.arange(len(cosines))
    distance = np.maximum(1.0 - (cosines + cosines.T) / 2.0, 0.0)
    np.fill_diagonal(distance, 0.0)
    order: IntArray = leaves_list(linkage(squareform(distance), "average", optimal_ordering=True)).astype(np.int64)
    return order


@styled
def heat_map(
    names: Sequence[str], cosines: FloatArray, drawings: Sequence[Drawing | None] = (), *, title: str = ""
) -> Figure:
    """Cosines (n, n) of the drawings of a group, like ones together, with their pictures where they are given."""
    n = len(names)
    order = heat_order(cosines)
    side = float(np.clip(0.52 * n, 3.2, 9.0))
    figure = Figure((side + 3.9, side + 1.2), layout="constrained")
    axis = figure.subplots()
    axis.grid(False)
    lowest = min(float(cosines.min()), 0.99)
    image = axis.imshow(cosines[np.ix_(order, order)], cmap="cividis", vmin=lowest, vmax=1.0)
    figure.colorbar(image, ax=axis, label="cosine", shrink=0.7, pad=0.02)
    axis.set_yticks(range(n), [f"{label(names[i], 34)}  {k}" for k, i in enumerate(order, 1)])
    axis.set_xticks(range(n), [str(k) for k in range(1, n + 1)])
    axis.tick_params(length=0, labelsize=8 if n <= 30 else 6)
    axis.spines[:].set_visible(False)
    if n <= NUMBERED:
        for i, j in np.ndindex(n, n):
            value = float(cosines[order[i], order[j]])
            dark = value < (lowest + 1.0) / 2.0
            words = f"{value:.2f}".removeprefix("0")
            axis.text(j, i, words, ha="center", va="center", fontsize=7.5, color="white" if dark else "black")
    if len(drawings) == n and n <= 2 * NUMBERED:
        axis.set_xlim(-0.5, n - 0.5)
        axis.set_ylim(n - 0.5, -1.6)
        for k, i in enumerate(order):
            if (drawing := drawings[i]) is not None:
                inset = axis.inset_axes((k - 0.46, -1.5, 0.92, 0.92), transform=axis.transData)
                draw(inset, drawing, width=0.4)
    axis.set_title(label(title, 80))
    return figure


# --- two codes -------------------------------------------------------------------------------------------------------


def found_first(a: FloatArray, b: FloatArray) -> float:
    """Share of the rows of a (n, d) whose own row of b (n, d) is the most similar one, by cosine."""
    cosines = unit(a) @ unit(b).T
    return float((cosines.argmax(axis=1) == np.arange(len(cosines))).mean())


@styled
def gap(sequence: Vectors, geometry: Vectors, *, title: str = "") -> Figure:
    """Sequence and geometry codes (n, d) of the same drawings in one space, before and after centring each code.

    Above: the plane of largest variance of both together, a thin line from each drawing's one code to the other. Below:
    cosines of the two codes of one drawing beside those of two drawings.
    """
    figure = Figure((WIDE + 1.0, 6.0), layout="constrained")
    grid = figure.subplots(2, 2, height_ratios=(1.5, 1))
    before = unit(sequence), unit(geometry)
    after = centred(sequence), centred(geometry)
    distance = float(np.linalg.norm(after[0].mean(axis=0) - after[1].mean(axis=0)))
    words = (f"before: means {modality_gap(*before):.2f} apart", f"each code centred: {abs(distance):.2f} apart")
    names = ("sequence code", "geometry code")
    for column, (pair, heading) in enumerate(zip((before, after), words, strict=True)):
        upper, lower = grid[:, column]
        places, share = principal(np.concatenate(pair))
        first, second = np.split(places, 2)
        lines = np.stack([first, second], axis=1)
        upper.add_collection(LineCollection(list(lines), colors="#8b95a1", linewidths=0.45, alpha=0.55, zorder=1))
        for number, part in enumerate((first, second)):
            upper.scatter(part[:, 0], part[:, 1], s=18, label=names[number], zorder=2, **_class_look(1 - number))
            middle = part.mean(axis=0)
            upper.plot(*middle, marker="+x"[number], color=INK, markersize=11, markeredgewidth=1.8, zorder=3)
        upper.set_aspect("equal", "datalim")
        upper.set_title(heading)
        upper.set_xlabel(f"{share[0]:.0%} of the variance")
        upper.set_ylabel(f"{share[1]:.0%}")
        cosines = unit(pair[0]) @ unit(pair[1]).T
        own = np.eye(len(cosines), dtype=bool)
        bins = np.linspace(float(cosines.min()) - 1e-9, float(cosines.max()) + 1e-9, 31)
        density = {"bins": bins, "density": True}
        lower.hist(cosines[~own], **density, color="#c9d3df", edgecolor=SOFT, linewidth=0.4, label="two drawings")
        lower.hist(
            cosines[own], **density, histtype="step", color="#d55e00", linewidth=1.6, hatch="////", label="one drawing"
        )
        lower.set_xlabel(f"cosine of the codes; own one found first: {found_first(*pair):.0%}")
        lower.set_yticks([])
    handles, texts = grid[0, 0].get_legend_handles_labels()
    handles.append(Line2D([], [], linestyle="none", marker="+", color=INK, markersize=9, label="mean"))
    figure.legend(handles, [*texts, "mean of the sequence codes (×: geometry)"], loc="outside upper right", ncols=3)
    grid[1, 0].legend(loc="upper left", fontsize=7.5)
    if title:
        figure.suptitle(label(title, 50), x=0.01, ha="left")
    return figure


# --- objectives ------------------------------------------------------------------------------------------------------

BASELINES = frozenset({"descriptor", "histogram", "image network", "untrained"})


@dataclass(frozen=True)
class Cell:
    """An objective on the plane: means over its seeds, and from where to where the seeds reach."""

    name: str
    uniformity: tuple[float, float, float]  # least, mean, most
    alignment: tuple[float, float, float]
    score: float  # mAP, NaN = not known
    collapsed: bool  # with any seed
    seeds: int

    @property
    def baseline(self) -> bool:
        """Whether it is no objective."""
        return self.name in BASELINES


def cells_of(results: Iterable[Mapping[str, Any]]) -> tuple[list[Cell], list[str]]:
    """Cells of the lines of a results.jsonl, sorted by name, and names of those that tell no alignment or uniformity.

    A line that stands there for a later one of the same cell and seed is passed over.
    """
    last = {(str(line.get("cell")), line.get("seed")): line for line in results}
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for (name, _), line in last.items():
        rows.setdefault(name, []).append(line)
    cells, without = [], []
    for name, lines in sorted(rows.items()):
        places = [
            (float(line["uniformity"]), float(line["alignment"]))
            for line in lines
            if not line.get("error") and _is_number(line.get("uniformity")) and _is_number(line.get("alignment"))
        ]
        if not places:
            without.append(name)
            continue
        across, up = ((float(min(v)), float(np.mean(v)), float(max(v))) for v in zip(*places, strict=True))
        scores = [line.get("metrics", {}).get("held_out", {}).get("mAP") for line in lines]
        known = [float(value) for value in scores if _is_number(value)]
        score = float(np.mean(known)) if known else math.nan
        cells.append(Cell(name, across, up, score, any(bool(line.get("collapsed")) for line in lines), len(places)))
    return cells, without


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@styled
def plane(cells: Sequence[Cell], *, title: str = "") -> Figure:
    """Objectives on the alignment–uniformity plane (Wang and Isola, ICML 2020); the best are at the lower left.

    Colour: mAP on held-out drawings. Circles are objectives, squares baselines, crosses objectives that collapsed.
    Baselines far away from all objectives are told in words, so that the objectives have room.
    """
    cells, outside = _together(cells)
    figure = Figure((WIDE + 1.2, 5.6), layout="constrained")
    axis = figure.subplots()
    scores = np.array([cell.score for cell in cells])
    known = scores[np.isfinite(scores)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    high = high if high > low else low + 0.01
    kinds = (
        ("objective", "o", [c for c in cells if not c.baseline and not c.collapsed]),
        ("baseline", "s", [c for c in cells if c.baseline and not c.collapsed]),
        ("collapsed", "X", [c for c in cells if c.collapsed]),
    )
    mappable = None
    for name, marker, members in kinds:
        if not members:
            continue
        x, y = np.array([c.uniformity for c in members]), np.array([c.alignment for c in members])
        axis.errorbar(
            x[:, 1],
            y[:, 1],
            xerr=[x[:, 1] - x[:, 0], x[:, 2] - x[:, 1]],
            yerr=[y[:, 1] - y[:, 0], y[:, 2] - y[:, 1]],
            fmt="none",
            ecolor="#8b95a1",
            elinewidth=0.7,
            zorder=1,
        )
        mappable = axis.scatter(
            x[:, 1],
            y[:, 1],
            c=[c.score for c in members],
            cmap=_bad_is_white(),
            vmin=low,
            vmax=high,
            marker=marker,
            s=52,
            edgecolor=INK,
            linewidth=0.7,
            zorder=2,
            label=name,
            plotnonfinite=True,
        )
    axis.set_xlabel("uniformity (lower: fills the sphere more evenly)")
    axis.set_ylabel("alignment (lower: two views of a drawing lie closer)")
    axis.margins(0.12)
    if outside:
        lines = [
            f"{c.name}: uniformity {c.uniformity[1]:.2f}, alignment {c.alignment[1]:.2f}, mAP {c.score:.3f}"
            for c in outside
        ]
        words = "\n".join(["not on this part of the plane:", *lines])
        axis.text(0.0, -0.13, words, transform=axis.transAxes, fontsize=7.5, color=SOFT, va="top")
    if mappable is not None and len(known):
        figure.colorbar(mappable, ax=axis, label="mAP, held-out drawings (white: not measured)", pad=0.02)
    handles = [
        Line2D([], [], linestyle="none", marker=m, color="#8b95a1", markeredgecolor=INK, label=name)
        for name, m, members in kinds
        if members
    ]
    if any(cell.seeds > 1 for cell in cells):
        handles.append(Line2D([], [], color="#8b95a1", linewidth=0.7, label="range of seeds"))
    axis.legend(handles=handles, loc="best", fontsize=8)
    axis.set_title(label(title, 80))
    figure.draw_without_rendering()  # places in pixels are known from here on
    _name_points(axis, [(c.uniformity[1], c.alignment[1], label(c.name, 24)) for c in cells])
    return figure


def _together(cells: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
    """The cells of the picture, and baselines that lie further from the objectives than these from each other."""
    points = np.array([(c.uniformity[1], c.alignment[1]) for c in cells if not c.baseline])
    if len(points) < 3:
        return list(cells), []
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.maximum(high - low, 0.02)
    near = {c.name: bool(((low - room <= p) & (p <= high + room)).all()) for c in cells
            for p in [np.array([c.uniformity[1], c.alignment[1]])]}  # fmt: skip
    return [c for c in cells if near[c.name]], [c for c in cells if not near[c.name]]


def _bad_is_white() -> Colormap:
    return colormaps["cividis"].with_extremes(bad="white")


def _name_points(axis: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """A name beside each point, where it lies over no other name or point; a thin line leads there if it is far."""
    dpi = axis.figure.dpi
    places = axis.transData.transform(np.array([(x, y) for x, y, _ in points]).reshape(-1, 2))
    half = 5.0 * dpi / 72
    taken = [(x - half, y - half, x + half, y + half) for x, y in places]
    inside = axis.get_window_extent()
    for (px, py), (x, y, name) in sorted(zip(places, points, strict=True), key=lambda item: (item[0][1], item[0][0])):
        width, height = (0.60 * 7.5 * len(name) + 2) * dpi / 72, 10.0 * dpi / 72
        best: tuple[float, float, float, int] | None = None
        for ring in range(1, 9):
            for step in range(8 if ring == 1 else 16):
                angle = 2 * math.pi * step / (8 if ring == 1 else 16)
                reach = half + ring * height * 0.8
                cx = px + math.cos(angle) * (reach + width / 2 * abs(math.cos(angle)))
                cy = py + math.sin(angle) * reach
                box = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
                outside = box[0] < inside.x0 or box[2] > inside.x1 or box[1] < inside.y0 or box[3] > inside.y1
                covered = sum(_common(box, other) for other in taken) + (1e6 if outside else 0.0)
                cost = covered + ring
                if best is None or cost < best[0]:
                    best = cost, cx, cy, ring
            if best is not None and best[0] < ring + 1:
                break
        assert best is not None
        _, cx, cy, ring = best
        taken.append((cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2))
        axis.annotate(
            name,
            (x, y),
            ((cx - px) * 72 / dpi, (cy - py) * 72 / dpi),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7.5,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": SOFT} if ring > 1 else None,
        )


def _common(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


# --- spheres ---------------------------------------------------------------------------------------------------------

RING, RING_HEIGHT = 1.08, 0.6  # where the density of the circle begins, and how high its peak is; the circle has 1
SECTORS = 72  # of the histogram


@styled
def sphere(sets: Mapping[str, Vectors], *, title: str = "") -> Figure:
    """How vectors (n, d) lie on their sphere: on S¹ with density around it, on S² in Mollweide's equal-area projection.

    From d dimensions to 2 and 3 by `projection.on_sphere`: the axes of largest second moment about the origin, stretched
    back to unit length; the mean direction lies to the right, and in the middle of S². Vectors that fill the sphere
    evenly give an even ring and an even map, a collapse gives a point; how much of the vectors' length the axes hold
    stands below. Dashed: the density of an even spread.

    Args:
        sets: by the name that stands above: a whole vector, or codes.
    """
    columns = len(sets)
    figure = Figure((max(3.4 * columns, 4.6), 5.9), layout="constrained")
    grid = figure.subplots(2, columns, squeeze=False, height_ratios=(1.75, 1))
    for column, (name, vectors) in enumerate(sets.items()):
        _ring(grid[0, column], vectors)
        grid[0, column].set_title(label(name, 40), loc="center")
        _globe(grid[1, column], vectors)
    for change in ("xlim", "ylim"):  # circles of one size
        limits = np.array([getattr(axis, f"get_{change}")() for axis in grid[0]])
        for axis in grid[0]:
            getattr(axis, f"set_{change}")(limits[:, 0].min(), limits[:, 1].max())
    if title:
        figure.suptitle(label(title, 80), x=0.01, ha="left")
    return figure


def _ring(axis: Axes, vectors: Vectors) -> None:
    points, share = on_sphere(vectors, 2)
    angles = np.arctan2(points[:, 1], points[:, 0])
    at = np.linspace(-np.pi, np.pi, 721)
    density = ring_density(angles, at)
    bars, edges = np.histogram(angles, SECTORS, (-np.pi, np.pi), density=True)
    scale = RING_HEIGHT / max(float(density.max()), float(bars.max()))
    outlines = []
    for value, left, right in zip(bars, edges[:-1], edges[1:], strict=True):
        turn = np.array([left, right, right, left])
        radius = RING + scale * value * np.array([0.0, 0.0, 1.0, 1.0])
        outlines.append(np.column_stack([radius * np.cos(turn), radius * np.sin(turn)]))
    axis.add_collection(PolyCollection(outlines, facecolor="#c9d3df", edgecolor="white", linewidth=0.4))
    axis.plot(*_polar(RING + scale * density, at), color="#0072b2", linewidth=1.5)
    even = np.full_like(at, RING + scale / (2 * np.pi))
    axis.plot(*_polar(even, at), color=INK, linewidth=0.8, linestyle="--")
    axis.plot(*_polar(np.ones_like(at), at), color=SOFT, linewidth=0.6)
    axis.plot(*points.T, linestyle="none", marker="o", markersize=2.4, color="#d55e00", alpha=0.5, markeredgewidth=0)
    facts = (
        f"{len(points)} drawings",
        f"{share:.0%} of the length",
        "in the plane",
        f"densest {density.max() * 2 * np.pi:.1f} ×",
        "an even spread",
    )
    axis.text(0, 0, "\n".join(facts), ha="center", va="center", fontsize=7.5, color=SOFT)
    drawn = np.concatenate([*outlines, np.column_stack(_polar(even + 0.05, at))])  # the picture is no larger than this
    axis.set_xlim(drawn[:, 0].min(), drawn[:, 0].max())
    axis.set_ylim(drawn[:, 1].min(), drawn[:, 1].max())
    axis.set_aspect("equal")
    axis.axis("off")


def _polar(radius: FloatArray, angle: FloatArray) -> tuple[FloatArray, FloatArray]:
    return radius * np.cos(angle), radius * np.sin(angle)


def _globe(axis: Axes, vectors: Vectors) -> None:
    points, share = on_sphere(vectors, 3)
    longitude, latitude = np.linspace(-np.pi, np.pi, 181), np.linspace(-np.pi / 2, np.pi / 2, 91)
    east, north = np.meshgrid(longitude, latitude)
    at = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=-1)
    density = 4 * np.pi * sphere_density(points, at.reshape(-1, 3)).reshape(north.shape)  # 1 = an even spread
    x, y = mollweide(east, north)
    axis.pcolormesh(
        x, y, density, cmap=_pale(), vmin=0.0, vmax=max(float(density.max()), 2.0), shading="gouraud", rasterized=True
    )
    levels = [level for level in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0) if level < density.max()]
    if levels:
        styles = ["dashed" if level == 1.0 else "solid" for level in levels]
        axis.contour(x, y, density, levels, colors=INK, linewidths=0.5, linestyles=styles)
    turn = np.linspace(0, 2 * np.pi, 181)
    axis.plot(2 * np.cos(turn), np.sin(turn), color=SOFT, linewidth=0.9, clip_on=False)
    at_points = mollweide(np.arctan2(points[:, 1], points[:, 0]), np.arcsin(np.clip(points[:, 2], -1, 1)))
    axis.plot(*at_points, linestyle="none", marker="o", markersize=2.2, color="#d55e00", alpha=0.6, markeredgewidth=0)
    axis.set_aspect("equal")
    axis.axis("off")
    lines = ", ".join(f"{level:g}" for level in levels) or "none"
    words = f"{share:.0%} of the length in 3 axes\nlines: {lines} × an even spread"
    axis.text(0.5, -0.06, words, transform=axis.transAxes, ha="center", va="top", fontsize=7.5, color=SOFT)


def _pale() -> Colormap:
    """Blues from white on, without the darkest end: lines and points over it are seen."""
    return ListedColormap(colormaps["Blues"](np.linspace(0.0, 0.75, 256)), "pale")


# --- drawings --------------------------------------------------------------------------------------------------------

MARGIN = 0.03  # around a drawing, of its longer side
NARROWEST = 0.2  # of the longer side: what a picture is at least as wide and high
MANY = 20_000  # segments from which an SVG holds them as a picture
TEXTS = (EntityClass.TEXT, EntityClass.MTEXT)


@dataclass(frozen=True)
class Pen:
    """What is drawn of a drawing: lines, and texts as bars."""

    lines: FloatArray  # (s, 2 ends, 2)
    owner: IntArray  # (s,) row of the drawing
    bars: FloatArray  # (t, 4 corners, 2)
    bar_owner: IntArray  # (t,)

    @classmethod
    def of(cls, drawing: Drawing) -> Pen:
        """The pen of a drawing; what is not finite is left out."""
        with np.errstate(over="ignore", invalid="ignore"):
            flat, owner = segments(drawing)
            bars, bar_owner, _ = text_quads(drawing)
        kept = np.isfinite(flat).all(axis=1) & ~np.isin(drawing.cls, TEXTS)[owner]
        readable = np.isfinite(bars).all(axis=(1, 2))
        return cls(flat[kept].reshape(-1, 2, 2), owner[kept], bars[readable], bar_owner[readable])


def draw(axis: Axes, drawing: Drawing, *, width: float = 0.6, color: str = INK) -> None:
    """Draw a drawing into square axes of its own."""
    sheet(axis, drawing, square=True)
    pen = Pen.of(drawing)
    _stroke(axis, pen, np.ones(len(drawing), np.bool_), color=color, linewidth=width)
    if not len(pen.lines) and not len(pen.bars):
        _say(axis, "empty")


def sheet(axis: Axes, drawing: Drawing, *, square: bool = False) -> None:
    """Make axes the paper of a drawing: its frame, or a square around it, with equal scales and without ticks."""
    frame = drawing.frame
    middle, extent = (frame[:2] + frame[2:]) / 2, frame[2:] - frame[:2]
    longest = float(extent.max()) if 0 < float(extent.max()) < math.inf else 1.0
    shown_extent = np.full(2, longest) if square else np.maximum(extent, longest * NARROWEST)
    (left, low), (right, high) = (middle + sign * (shown_extent / 2 + MARGIN * longest) for sign in (-1, 1))
    axis.set_xlim(left, right)
    axis.set_ylim(low, high)
    if square:
        axis.set_box_aspect(1)
    else:
        axis.set_aspect("equal")
    axis.autoscale(False)
    axis.grid(False)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def _stroke(
    axis: Axes, pen: Pen, rows: Any, *, color: str, linewidth: float, dash: Any = "-", order: float = 1.0
) -> None:
    """Draw some rows (n,) bool of a drawing; segments that follow each other are one line, so that dashes run on."""
    lines, bars = pen.lines[rows[pen.owner]], pen.bars[rows[pen.bar_owner]]
    if len(lines):
        path = _outline(lines)
        axis.add_patch(
            PathPatch(
                path,
                fill=False,
                edgecolor=color,
                linewidth=linewidth,
                linestyle=dash,
                capstyle="butt",
                zorder=order,
                joinstyle="round",
                rasterized=len(lines) > MANY,
            )
        )
    if len(bars):
        axis.add_collection(PolyCollection(list(bars), facecolor=color, alpha=0.35, linewidth=0, zorder=order))


def _outline(lines: FloatArray) -> Outline:
    """One path of all segments (s, 2, 2)."""
    begins = np.append(True, (lines[1:, 0] != lines[:-1, 1]).any(axis=1))
    codes = np.full((len(lines), 2), Outline.LINETO, np.uint8)
    codes[:, 0] = Outline.MOVETO
    kept = np.column_stack([begins, np.ones(len(lines), np.bool_)]).ravel()
    return Outline(lines.reshape(-1, 2)[kept], codes.ravel()[kept])


# --- attention -------------------------------------------------------------------------------------------------------

THIN, THICK = 0.5, 3.4  # points, of the least and of the most attention that is told apart
LEAST_SPREAD, MOST_SPREAD = 1.25, 8.0


@styled
def attention(drawing: Drawing, share: FloatArray, *, title: str = "") -> Figure:
    """A drawing whose lines are the thicker and darker, the more of the attention their entity gets.

    Args:
        share: (n,) of `probe.attention`; rows of 0 were not read and are dotted.
    """
    width, height = drawing.size
    ratio = float(np.clip(height / width if width > 0 else 1.0, 0.35, 1.3))
    figure = Figure((WIDE + 0.4, (WIDE - 1.2) * ratio + 0.5), layout="constrained")
    axis = figure.subplots()
    sheet(axis, drawing)
    pen = Pen.of(drawing)
    read = share > 0
    _stroke(axis, pen, ~read, color="#8b95a1", linewidth=0.5, dash=":")
    times = share * max(int(read.sum()), 1)  # 1 = an even share
    spread = spread_of(times[read])
    norm, colors = LogNorm(1 / spread, spread, clip=True), _strong()
    ordered = np.argsort(times[pen.owner], kind="stable")
    ordered = ordered[read[pen.owner[ordered]]]
    of_line = np.clip(times[pen.owner[ordered]], 1 / spread, spread)
    lines = LineCollection(
        list(pen.lines[ordered]),
        array=of_line,
        cmap=colors,
        norm=norm,
        linewidths=_thickness(of_line, spread),
        capstyle="round",
        rasterized=len(ordered) > MANY,
    )
    axis.add_collection(lines)
    bars = read[pen.bar_owner]
    of_bar = np.clip(times[pen.bar_owner[bars]], 1 / spread, spread)
    axis.add_collection(
        PolyCollection(list(pen.bars[bars]), array=of_bar, cmap=colors, norm=norm, alpha=0.6, edgecolor="none")
    )
    axis.set_title(label(title, 80))
    levels = spread ** np.linspace(1.0, -1.0, 5)
    handles = [
        Line2D(
            [],
            [],
            color=colors(norm(level)),
            linewidth=float(_thickness(np.array(level), spread)),
            label=_times(level, spread),
        )
        for level in levels
    ]
    figure.legend(handles=handles, title="attention\n(× an even share)", loc="outside right upper", alignment="left")
    return figure


def spread_of(times: FloatArray) -> float:
    """How many times more, or less, than an even share nearly all entities get at most: the ends of the scale."""
    if not len(times):
        return LEAST_SPREAD
    return float(np.clip(np.exp(np.quantile(np.abs(np.log(times)), 0.98)), LEAST_SPREAD, MOST_SPREAD))


def _thickness(times: FloatArray, spread: float) -> FloatArray:
    """Points of lines that get so many times an even share."""
    height = (np.log(times) / math.log(spread) + 1.0) / 2.0
    result: FloatArray = THIN + (THICK - THIN) * np.clip(height, 0.0, 1.0) ** 2
    return result


def _times(level: float, spread: float) -> str:
    text = f"{level:.2g} ×"
    return f"{text} or more" if level >= spread else f"{text} or less" if level <= 1 / spread else text


def _strong() -> Colormap:
    """Cividis from light to dark without its palest end, which would not be seen on white paper."""
    return ListedColormap(colormaps["cividis_r"](np.linspace(0.22, 1.0, 256)), "strong")


# --- matched entities ------------------------------------------------------------------------------------------------

Kind = Literal["same", "moved", "changed"]
JOINED = 14  # pairs that a line joins
TITLES = {"same": "the same", "moved": "moved", "changed": "changed"}
SAME_COLOR = "#5b6776"


@dataclass(frozen=True)
class Pair:
    """Rows of drawing a and of drawing b that belong together."""

    kind: Kind
    a: tuple[int, ...]
    b: tuple[int, ...]


def pairs_of(matching: Matching) -> list[Pair]:
    """All pairs of a matching: rows that lie over each other, units that moved, units that changed."""
    pairs = [Pair("same", (int(i),), (int(j),)) for i, j in matching.same]
    kinds: tuple[tuple[Kind, list[tuple[int, int]]], ...] = (("moved", matching.moved), ("changed", matching.changed))
    for kind, units in kinds:
        for i, j in units:
            if i >= 0 and j >= 0:
                rows = (tuple(side.rows(unit).tolist()) for side, unit in ((matching.a, i), (matching.b, j)))
                pairs.append(Pair(kind, *rows))
    return pairs


def joined(matching: Matching, pairs: Sequence[Pair], most: int = JOINED) -> list[Pair]:
    """The pairs that a line joins: first what moved and changed, then the same, each spread over the drawing.

    By farthest-point sampling of the middles in a, from the largest entity on.
    """
    box = matching.a.drawing.box
    chosen: list[Pair] = []
    middles: list[FloatArray] = []
    for kinds, room in ((("moved", "changed"), max(most // 2, 1)), (("same",), most)):
        some = [pair for pair in pairs if pair.kind in kinds and np.isfinite(box[list(pair.a)]).all()]
        if not some:
            continue
        boxes = np.array([enclosing(box[list(pair.a)]) for pair in some])
        middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, np.hypot(*(boxes[:, 2:] - boxes[:, :2]).T)
        far = np.full(len(some), np.inf)
        for known in middles:
            far = np.minimum(far, np.hypot(*(middle - known).T))
        while len(chosen) < room and (far > 0).any():
            k = int(size.argmax()) if np.isinf(far).all() else int(far.argmax())
            chosen.append(some[k])
            middles.append(middle[k])
            far = np.minimum(far, np.hypot(*(middle - middle[k]).T))
            far[k] = 0.0
    return chosen


@styled
def matches(
    a: Drawing, b: Drawing, matching: Matching, names: tuple[str, str] = ("A", "B"), *, most: int = JOINED
) -> Figure:
    """Two drawings side by side, in the colours and line styles of comparisons, and lines between matched entities.

    Args:
        a, b: as they are; the matching's own drawings may be laid over each other.
        matching: of `compare.matched`.
        most: pairs that are joined and numbered, see `joined`.
    """
    ratios = [drawing.size[1] / drawing.size[0] if drawing.size[0] > 0 else 1.0 for drawing in (a, b)]
    figure = Figure(
        (10.4, float(np.clip(4.9 * max(ratios), 2.6, 7.5)) + 0.9), layout=ConstrainedLayoutEngine(wspace=0.12)
    )
    axes = figure.subplots(1, 2)
    pairs = pairs_of(matching)
    counts = Counter[str](pair.kind for pair in pairs)
    kinds = [_kinds(side, len(drawing), pairs, matching) for side, drawing in enumerate((a, b))]
    looks: dict[str, dict[str, Any]] = {"same": {"color": SAME_COLOR, "linewidth": 0.7, "dash": "-"}}
    for kind in ("removed", "added", "moved", "changed"):
        look = LOOKS[NUMBER[kind]]
        dash = (0, tuple(v / (look.width * 0.8) for v in look.dash)) if look.dash else "-"
        looks[kind] = {"color": look.color, "linewidth": 0.8 * look.width, "dash": dash}
    for axis, drawing, name, of_row in zip(axes, (a, b), names, kinds, strict=True):
        sheet(axis, drawing)
        pen = Pen.of(drawing)
        for order, (kind, look_of_kind) in enumerate(looks.items()):
            _stroke(axis, pen, of_row == kind, order=1 + order / 10, **look_of_kind)
        axis.set_title(label(name, 60))
    for number, pair in enumerate(joined(matching, pairs, most), 1):
        ends = [_on_ink(drawing, rows) for drawing, rows in ((a, pair.a), (b, pair.b))]
        color = looks[pair.kind]["color"]
        line = ConnectionPatch(
            ends[0],
            ends[1],
            "data",
            "data",
            axesA=axes[0],
            axesB=axes[1],
            color=color,
            linewidth=0.7,
            alpha=0.75,
            linestyle={"same": "-", "moved": "--", "changed": "-."}[pair.kind],
            zorder=5,
        )
        figure.add_artist(line)
        for axis, end in zip(axes, ends, strict=True):
            axis.annotate(
                str(number), end, (0, 9), textcoords="offset points", ha="center", va="center", fontsize=6.5, color=INK,
                zorder=6, annotation_clip=False,
                bbox={"boxstyle": "circle,pad=0.22", "facecolor": "white", "edgecolor": color, "linewidth": 0.9},
            )  # fmt: skip
            axis.plot(*end, marker="o", markersize=2.4, color=color, zorder=6)
    only = {"removed": int((kinds[0] == "removed").sum()), "added": int((kinds[1] == "added").sum())}
    words = {"removed": "only in the left one", "added": "only in the right one", **TITLES}
    handles = [
        Line2D(
            [],
            [],
            color=look["color"],
            linewidth=look["linewidth"],
            linestyle=look["dash"],
            label=f"{words[kind]}: {only.get(kind, counts[kind])}",
        )
        for kind, look in looks.items()
        if only.get(kind, counts[kind])
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, handlelength=3.4)
    return figure


def _kinds(side: int, n: int, pairs: Sequence[Pair], matching: Matching) -> Any:
    """(n,) object: kind of every row of one of the drawings."""
    this = (matching.a, matching.b)[side]
    # rows that show the same by other means are in no pair
    kinds = np.full(n, "same", dtype=object)
    alone = matching.added if side else matching.removed
    for unit_row in alone:
        kinds[this.rows(unit_row)] = "added" if side else "removed"
    for unit_pair in matching.changed:  # of which some may have no partner
        if unit_pair[side] >= 0:
            kinds[this.rows(unit_pair[side])] = "changed"
    for pair in pairs:
        if pair.kind != "same":
            kinds[list((pair.a, pair.b)[side])] = pair.kind
    return kinds


def _on_ink(drawing: Drawing, rows: tuple[int, ...]) -> tuple[float, float]:
    """A point of the ink of some rows, the one nearest to the middle of their box."""
    lines, owner = segments(drawing.select(np.array(rows)))
    box = enclosing(drawing.box[list(rows)])
    middle = (box[:2] + box[2:]) / 2
    ends = ((lines[:, :2] + lines[:, 2:]) / 2)[np.isfinite(lines).all(axis=1)] if len(owner) else np.zeros((0, 2))
    if not len(ends):
        return float(middle[0]), float(middle[1])
    nearest = ends[int(np.hypot(*(ends - middle).T).argmin())]
    return float(nearest[0]), float(nearest[1])


# --- retrieval -------------------------------------------------------------------------------------------------------

Verdict = Literal["query", "right", "wrong", "neutral"]
FRAMES: Mapping[Verdict, tuple[str, float, Any, str]] = {  # colour, width, line style, sign
    "query": (INK, 1.8, "-", ""),
    "right": ("#009e73", 2.4, "-", "✓"),
    "wrong": ("#d55e00", 1.3, "--", "✗"),
    "neutral": ("#8b95a1", 1.0, ":", "–"),
}


@dataclass(frozen=True)
class Shown:
    """A drawing in a retrieval gallery."""

    name: str
    drawing: Drawing | None  # None: its file could not be read
    verdict: Verdict
    note: str = ""  # score, or what was asked


@styled
def gallery(rows: Sequence[Sequence[Shown]], *, titles: Sequence[str] = (), title: str = "") -> Figure:
    """Queries and their hits, a row a query: right ones in a thick frame with a tick, wrong ones dashed with a cross.

    Args:
        titles: of the rows; may be left out.
    """
    columns = max(map(len, rows))
    figure = Figure((1.55 * columns + 0.3, 2.05 * len(rows) + 0.7), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for r, row in enumerate(rows):
        for c, axis in enumerate(grid[r]):
            if c >= len(row):
                axis.axis("off")
                continue
            cell = row[c]
            color, width, dash, sign = FRAMES[cell.verdict]
            if cell.drawing is None:
                axis.set_xticks([])
                axis.set_yticks([])
                axis.grid(False)
                _say(axis, "not read")
            else:
                draw(axis, cell.drawing, width=0.5)
            for spine in axis.spines.values():
                spine.set(visible=True, edgecolor=color, linewidth=width, linestyle=dash)
            head = " ".join(filter(None, (sign, cell.note)))
            axis.set_title(
                head, fontsize=8, color=INK, fontweight="bold" if cell.verdict in ("query", "right") else "normal"
            )
            axis.set_xlabel(_two_lines(cell.name), fontsize=6.2, color=SOFT, labelpad=2)
        if r < len(titles):
            grid[r, 0].set_ylabel(label(titles[r], 30), fontsize=8, fontweight="bold")
    handles = [
        Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=color, linewidth=width, linestyle=dash, label=words)
        for words, (color, width, dash, _) in zip(
            ("query", "✓ right", "✗ wrong", "– neither (same geometry)"), FRAMES.values(), strict=True
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, handlelength=2.6, handleheight=1.1)
    if title:
        figure.suptitle(label(title, 100), x=0.01, ha="left", fontweight="bold")
    return figure


def _two_lines(name: str) -> str:
    """The folder above the name of the file."""
    folder, _, file = name.rpartition("/")
    return f"{label(folder, 26)}\n{label(file, 26)}" if folder else label(file, 26)
