"""The interactive map of drawings: one HTML file with thumbnails on hover, without a network, also by keyboard.

The page has everything in it and a policy that forbids the rest (`report.write_html`). Points are links of a list in
the picture, drawn by the server side of things: without a script they still are there, with names as their titles.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepdxf.drawing import FloatArray
from deepdxf.plot import NOTHING, OTHERS, classes_of
from deepdxf.projection import Vectors, unit
from deepdxf.render import xml_text
from deepdxf.report import write_html

SIDE, EDGE = 1000.0, 30.0  # of the map, in its own units
NEAREST = 6  # most similar drawings that are listed beside a chosen one
# Shapes around the origin, as wide as a circle of radius 7; as many as `plot.CLASSES`
SHAPES = (
    "M7 0A7 7 0 1 1-7 0A7 7 0 1 1 7 0Z", "M-6-6H6V6H-6Z", "M0-8 7.5 5.5H-7.5Z", "M0-8.5 8.5 0 0 8.5-8.5 0Z",
    "M0 8-7.5-5.5H7.5Z", "M-2.6-7H2.6V-2.6H7V2.6H2.6V7H-2.6V2.6H-7V-2.6H-2.6Z",
    "M-7-4.2-4.2-7 0-2.8 4.2-7 7-4.2 2.8 0 7 4.2 4.2 7 0 2.8-4.2 7-7 4.2-2.8 0Z", "M-8 0 5.5-7.5V7.5Z",
    "M8 0-5.5 7.5V-7.5Z", "M0-9 2.1-2.9 8.6-2.8 3.4 1.1 5.3 7.3 0 3.6-5.3 7.3-3.4 1.1-8.6-2.8-2.1-2.9Z",
    "M0-8 7.6-2.5 4.7 6.5H-4.7L-7.6-2.5Z", "M-4-7H4L8 0 4 7H-4L-8 0Z",
)  # fmt: skip
DOT = "M4 0A4 4 0 1 1-4 0A4 4 0 1 1 4 0Z"


@dataclass(frozen=True)
class Point:
    """A drawing on the map."""

    name: str
    label: str  # its class; "" = none
    picture: bytes = b""  # PNG; empty = none


def write_map(
    path: Path, points: Sequence[Point], places: FloatArray, vectors: Vectors, title: str, legend: str
) -> None:
    """Write the map.

    Args:
        places: (n, 2) any unit.
        vectors: (n, d) by whose cosines the most similar drawings are listed.
        title: of the page. legend: what the classes are.

    Raises:
        DeepDXFError: the file cannot be written.
    """
    write_html(path, title, page_body(points, places, vectors, title, legend), STYLE, SCRIPT)


def page_body(points: Sequence[Point], places: FloatArray, vectors: Vectors, title: str, legend: str) -> str:
    """HTML of the page, for `STYLE` and `SCRIPT`."""
    low, extent = places.min(axis=0), float(max(np.ptp(places, axis=0).max(), 1e-12))
    at = EDGE + (places - low) / extent * (SIDE - 2 * EDGE)
    at += (SIDE - 2 * EDGE - np.ptp(places, axis=0) / extent * (SIDE - 2 * EDGE)) / 2  # in the middle
    at[:, 1] = SIDE - at[:, 1]
    near = _nearest(vectors)
    found = classes_of([point.label for point in points])
    known = {point.label for point in points}
    marks: list[str] = [""] * len(points)
    boxes = []
    for number, (name, members) in enumerate(found):
        rest = name in (OTHERS, NOTHING) and name not in known
        shape = DOT if rest else SHAPES[number % len(SHAPES)]
        look = "rest" if rest else f"c{number % 7}"
        for i in members.tolist():
            marks[i] = _mark(points[i], at[i], near[i], shape, look, number)
        boxes.append(
            f'<label><input type="checkbox" checked value="{number}"><svg width="20" height="20" viewBox="-10 -10 20 20" '
            f'aria-hidden="true"><path class="{look}" d="{shape}"/></svg><span>{xml_text(name)}</span> '
            f"<small>{len(members)}</small></label>"
        )
    return f"""<header><h1>{xml_text(title)}</h1>
<p>{len(points)} drawings. Point at one to see it. Keys: arrows go from drawing to drawing, Enter holds one, + − 0 zoom.</p>
</header>
<main>
<section class="picture" aria-label="Map">
<div class="bar"><label for="find">Find</label> <input id="find" type="search" placeholder="part of a name" autocomplete="off">
<output id="found" aria-live="polite"></output><span class="gap"></span>
<button type="button" id="in" title="closer (+)">+</button><button type="button" id="out" title="farther (−)">−</button>
<button type="button" id="all" title="everything (0)">whole</button></div>
<svg id="map" viewBox="0 0 {SIDE:g} {SIDE:g}" tabindex="0" role="application" aria-label="Map of {len(points)} drawings;
 arrow keys go from one to the next, Enter holds it, plus and minus zoom">
{"".join(marks)}
</svg>
<div id="tip" hidden><img id="tip-picture" alt=""><span id="tip-name"></span></div>
</section>
<section class="side" aria-label="Chosen drawing">
<div id="chosen" aria-live="polite"><img id="picture" alt="" hidden><h2 id="name">No drawing chosen</h2><p id="class"></p></div>
<h3 id="near-heading" hidden>Most similar</h3><ol id="near"></ol>
<fieldset class="legend"><legend>{xml_text(legend or "Drawings")}</legend>{"".join(boxes)}</fieldset>
</section>
</main>"""


def _mark(point: Point, at: FloatArray, near: str, shape: str, look: str, number: int) -> str:
    """One point."""
    picture = ""
    if point.picture:
        picture = f' data-picture="data:image/png;base64,{base64.b64encode(point.picture).decode("ascii")}"'
    name = xml_text(point.name).replace('"', "&quot;")
    words = xml_text(point.label).replace('"', "&quot;")
    return (
        f'<g class="point" transform="translate({at[0]:.1f} {at[1]:.1f})" data-name="{name}" data-label="{words}" '
        f'data-class="{number}" data-near="{near}"{picture}><title>{xml_text(point.name)}</title>'
        f'<path class="{look}" d="{shape}"/></g>'
    )


def _nearest(vectors: Vectors) -> list[str]:
    """Of each drawing its most similar ones: numbers and cosines, best first, e.g. ``12:0.981 3:0.974``."""
    directions = unit(vectors)
    found = []
    for i, direction in enumerate(directions):
        cosines = directions @ direction
        cosines[i] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: min(NEAREST, len(directions) - 1)]
        found.append(" ".join(f"{k}:{cosines[k]:.3f}" for k in best))
    return found


STYLE = """
:root { color-scheme: light dark; --paper: #f4f6f9; --card: #fff; --ink: #17202e; --soft: #4d5a6b; --line: #cfd8e3; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #10151d; --card: #19212c; --ink: #e6ebf2; --soft: #a5b1c0; --line: #334052; }
  img { filter: invert(1) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.4 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "Noto Sans", sans-serif; }
h1 { margin: 0; font-size: 1.3rem; overflow-wrap: anywhere; } header p { margin: .2rem 0 .8rem; color: var(--soft); }
h2 { margin: .5rem 0 0; font-size: 1rem; overflow-wrap: anywhere; } h3 { font-size: .9rem; margin: .8rem 0 .3rem; }
main { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr) 19rem; align-items: start; }
@media (max-width: 52rem) { main { grid-template-columns: minmax(0, 1fr); } }
.picture { position: relative; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.bar { display: flex; gap: .5rem; align-items: center; padding: .5rem; border-bottom: 1px solid var(--line); flex-wrap: wrap; }
.gap { flex: 1; } #find { width: 12rem; max-width: 100%; }
button, input { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .3rem;
  padding: .15rem .6rem; } button:hover { border-color: var(--soft); }
#map { display: block; width: 100%; height: min(80vh, 60rem); touch-action: none; cursor: grab; }
#map:focus-visible, button:focus-visible, input:focus-visible { outline: 3px solid #56b4e9; outline-offset: 1px; }
.point { cursor: pointer; } .point path { transform: scale(var(--size, 1)); stroke: var(--card); stroke-width: 1; }
.point.off { display: none; } .point.dim { opacity: .12; }
.point.on path { stroke: var(--ink); stroke-width: 2.5; transform: scale(calc(var(--size, 1) * 1.7)); }
.c0 { fill: #0072b2; } .c1 { fill: #d55e00; } .c2 { fill: #009e73; } .c3 { fill: #cc79a7; } .c4 { fill: #e69f00; }
.c5 { fill: #56b4e9; } .c6 { fill: var(--ink); } .rest { fill: #8b95a1; }
#tip { position: absolute; left: 0; top: 0; width: 150px; pointer-events: none; background: var(--card);
  border: 1px solid var(--soft); border-radius: .4rem; padding: 4px; font-size: .75rem; overflow-wrap: anywhere; z-index: 2; }
#tip img, #picture { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; }
#tip img[hidden], #picture[hidden], #tip[hidden] { display: none; }
.side { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; }
#class { margin: 0; color: var(--soft); } #near { margin: 0; padding: 0; list-style: none; }
#near button { width: 100%; text-align: left; display: flex; gap: .4rem; border: 0; padding: .15rem .2rem; }
#near span { flex: 1; overflow-wrap: anywhere; font-size: .85rem; }
.legend { margin: .8rem 0 0; border: 1px solid var(--line); border-radius: .3rem; font-size: .85rem; }
.legend label { display: flex; gap: .4rem; align-items: center; } .legend span { overflow-wrap: anywhere; }
small { color: var(--soft); }
"""

SCRIPT = """
"use strict";
(() => {
  const map = document.getElementById("map"), get = (id) => document.getElementById(id);
  const points = [...map.querySelectorAll(".point")].map((element) => {
    const [x, y] = element.getAttribute("transform").match(/[-\\d.]+/g).map(Number);
    return { element, x, y, ...element.dataset };
  });
  const side = map.viewBox.baseVal.width;
  let view = [0, 0, side], chosen = -1, held = false, grip = null, moved = false;
  points.forEach((p) => p.element.querySelector("title").remove()); // the page shows names itself
  const visible = (p) => !p.element.classList.contains("off") && !p.element.classList.contains("dim");
  const picture = (image, p) => {
    image.hidden = !p.picture;
    if (p.picture) image.src = p.picture;
    image.alt = p.picture ? "Drawing " + p.name : "";
  };
  const redraw = () => {
    map.setAttribute("viewBox", [view[0], view[1], view[2], view[2]].join(" "));
    map.style.setProperty("--size", Math.max(view[2] / side, 0.02) * (points.length > 800 ? 0.6 : 1));
  };
  const tip = (p) => {
    const box = get("tip"), outer = box.parentElement.getBoundingClientRect(), r = p.element.getBoundingClientRect();
    picture(get("tip-picture"), p);
    get("tip-name").textContent = p.name;
    box.hidden = false;
    const x = r.right - outer.left + 8, y = r.top - outer.top - 70;
    box.style.transform = "translate(" + (x + 160 > outer.width ? x - r.width - 174 : x) + "px," +
      Math.max(4, Math.min(y, outer.height - box.offsetHeight - 4)) + "px)";
  };
  const choose = (index, hold) => {
    if (chosen >= 0) points[chosen].element.classList.remove("on");
    chosen = index;
    held = hold;
    const p = points[index];
    p.element.classList.add("on");
    map.append(p.element); // above the others
    tip(p);
    picture(get("picture"), p);
    get("name").textContent = p.name;
    get("class").textContent = p.label;
    const near = get("near");
    near.replaceChildren(...(p.near ? p.near.split(" ") : []).map((entry) => {
      const [number, cosine] = entry.split(":"), item = document.createElement("li");
      const button = document.createElement("button"), name = document.createElement("span");
      const score = document.createElement("small");
      button.type = "button";
      name.textContent = points[number].name;
      score.textContent = cosine;
      button.append(name, score);
      button.addEventListener("click", () => { show(points[number]); choose(+number, true); });
      item.append(button);
      return item;
    }));
    get("near-heading").hidden = !p.near;
  };
  const show = (p) => {
    const [x, y, w] = view;
    if (p.x < x || p.y < y || p.x > x + w || p.y > y + w) { view = [p.x - w / 2, p.y - w / 2, w]; redraw(); }
  };
  const zoom = (factor, x, y) => {
    const next = Math.min(Math.max(view[2] * factor, side / 200), side), share = next / view[2];
    view = next === side ? [0, 0, side] : [x - (x - view[0]) * share, y - (y - view[1]) * share, next];
    redraw();
    if (chosen >= 0) tip(points[chosen]);
  };
  const middle = () => (chosen >= 0 ? [points[chosen].x, points[chosen].y] : [view[0] + view[2] / 2, view[1] + view[2] / 2]);
  const acts = { in: () => zoom(1 / 1.5, ...middle()), out: () => zoom(1.5, ...middle()), all: () => zoom(1e9, 0, 0) };
  const towards = (dx, dy) => {
    const [x, y] = middle();
    let best = -1, least = Infinity;
    points.forEach((p, i) => {
      if (i === chosen || !visible(p)) return;
      const along = (p.x - x) * dx + (p.y - y) * dy, across = Math.abs((p.x - x) * dy) + Math.abs((p.y - y) * dx);
      const cost = chosen < 0 ? Math.hypot(p.x - x, p.y - y) : along > 0.05 ? along + 2 * across : Infinity;
      if (cost < least) [best, least] = [i, cost];
    });
    if (best >= 0) { show(points[best]); choose(best, true); }
  };
  const at = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
  const under = (event) => points.findIndex((p) => p.element === event.target.closest(".point"));
  map.addEventListener("pointerdown", (event) => { grip = at(event); moved = false; });
  map.addEventListener("pointermove", (event) => {
    if (grip && event.buttons) {
      const here = at(event);
      if (!moved && Math.hypot(here.x - grip.x, here.y - grip.y) < view[2] / 200) return;
      moved = true;
      view = [view[0] + grip.x - here.x, view[1] + grip.y - here.y, view[2]];
      get("tip").hidden = true;
      redraw();
      return;
    }
    const index = under(event);
    if (index >= 0 && !held && index !== chosen) choose(index, false);
  });
  map.addEventListener("click", (event) => {
    const index = under(event);
    grip = null;
    if (moved) return;
    if (index >= 0) choose(index, true); else { held = false; get("tip").hidden = true; }
  });
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    const here = at(event);
    zoom(Math.exp(Math.sign(event.deltaY) * 0.25), here.x, here.y);
  }, { passive: false });
  const keys = { ArrowLeft: () => towards(-1, 0), ArrowRight: () => towards(1, 0), ArrowUp: () => towards(0, -1),
    ArrowDown: () => towards(0, 1), Enter: () => { held = chosen >= 0 && !held; }, "+": acts.in, "=": acts.in,
    "-": acts.out, "0": acts.all, Escape: () => { held = false; get("tip").hidden = true; } };
  map.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const id of ["in", "out", "all"]) get(id).addEventListener("click", acts[id]);
  document.querySelectorAll(".legend input").forEach((box) => box.addEventListener("change", () => {
    points.forEach((p) => { if (p.class === box.value) p.element.classList.toggle("off", !box.checked); });
  }));
  get("find").addEventListener("input", () => {
    const words = get("find").value.toLocaleLowerCase();
    let count = 0;
    points.forEach((p) => {
      const has = p.name.toLocaleLowerCase().includes(words);
      count += has;
      p.element.classList.toggle("dim", !has);
    });
    get("found").textContent = words ? count + " of " + points.length : "";
  });
  redraw();
})();
"""
