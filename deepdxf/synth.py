"""Synthetic archives: drawings of parametric kinds with edited siblings, and the truth of every edit.

`generate` writes a folder of DXF files, ``groups.csv`` in the form that evaluation reads, and ``truth.jsonl`` with what
each edit did, by handle: a comparison of two drawings can be tested against it.

Glossary: a *design* is drawn once as its *base*; *siblings* are edits of the base; a *series* is the designs of one
kind by one drawing office. Edits are of three sorts: a **copy** shows the same thing (relevance 3), a **revision**
changes a detail (2), a **variant** is another member of the design (1). Bases of a series form a **family** group (1).
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from deepdxf.dxfwrite import VERSIONS, Doc, Entity, Point, Similarity, dxf_bytes, exploded
from deepdxf.errors import DeepDXFError
from deepdxf.synth_families import FAMILIES, LANGUAGES, LAYER_STANDARDS, Design, draw_design, draw_style, pieces

SERIES = 4  # designs that share kind and house style
SIBLINGS = {"revision": 3, "variant": 2, "copy": 4}  # edits of each base, by sort
RELEVANCE = {"copy": 3, "revision": 2, "variant": 1, "family": 1}
COLUMNS = ["file", "group_id", "kind", "evidence", "best_primitive_jaccard", "best_raster_f1", "relevance", "edit"]


IDENTITY = Similarity()


@dataclass
class Edited:
    """A document made from a base, and how.

    The image of a base record is ``move`` of it, unless its handle is in ``fixed``; its handle is ``renumbered`` or the
    same. ``replaced`` pairs base handles with the handles of the records that show the same thing now. All else that
    differs was changed by the edit.
    """

    doc: Doc
    move: Similarity = IDENTITY
    fixed: frozenset[int] = frozenset()
    renumbered: dict[int, int] = field(default_factory=dict)
    replaced: list[tuple[list[int], list[int]]] = field(default_factory=list)
    library: str = ""  # version in which another library re-saves the file; empty = our own writer


Edit = Callable[[Design, Doc, np.random.Generator], Edited | None]


def _with(doc: Doc, entities: Iterable[Entity], **fields: object) -> Doc:
    """A copy of the document with other entities; new ones get handles above all others."""
    made = replace(doc, entities=list(entities), blocks={k: list(v) for k, v in doc.blocks.items()})
    made = replace(made, **fields)  # type: ignore[arg-type]
    made.number(1 + max((e.handle for e in doc.everything()), default=0))  # never a handle that the base has used
    return made


def _things(doc: Doc) -> dict[str, list[Entity]]:
    """Records of each feature that is a thing of its own, see `synth_families`."""
    things: dict[str, list[Entity]] = {}
    for entity in doc.entities:
        if ":" in entity.feature:
            things.setdefault(entity.feature, []).append(entity)
    return things


def _one_thing(doc: Doc, rng: np.random.Generator) -> tuple[str, list[Entity]] | None:
    """One thing by chance, a hole where there is one."""
    things = _things(doc)
    names = [name for name in things if name.startswith("hole:")] or list(things)
    if not names:
        return None
    name = names[int(rng.integers(len(names)))]
    return name, things[name]


def _span(doc: Doc, entities: Sequence[Entity]) -> tuple[float, float, float, float]:
    return replace(doc, entities=list(entities)).box()


def _shifted(entities: Iterable[Entity], dx: float, dy: float) -> list[Entity]:
    move = Similarity(dx=dx, dy=dy)
    return [move.entity(entity) for entity in entities]


def _rebuilt(design: Design, base: Doc, changes: dict[str, float], same_sheet: bool) -> Doc:
    """The design with other parameters; what is the same thing as in ``base`` keeps its handle.

    With ``same_sheet`` frame, title block and scale stay as they are, as a revision leaves them.
    """
    parameters = {**design.parameters, **changes}
    extent = design.extent if same_sheet else FAMILIES[design.kind].extent(parameters)
    doc = replace(design, parameters=parameters, extent=extent).build()
    identity: dict[tuple[str, int], int] = {}
    seen: Counter[str] = Counter()
    for entity in base.entities:
        identity[entity.feature, seen[entity.feature]] = entity.handle
        seen[entity.feature] += 1
    seen.clear()
    entities = []
    for entity in doc.entities:
        if not same_sheet or entity.feature != "frame":
            entities.append(entity.but(handle=identity.get((entity.feature, seen[entity.feature]), 0)))
            seen[entity.feature] += 1
    if same_sheet:
        entities += [entity for entity in base.entities if entity.feature == "frame"]
    blocks = {}
    for name, content in doc.blocks.items():
        old = base.blocks.get(name, [])
        blocks[name] = [e.but(handle=old[i].handle if i < len(old) else 0) for i, e in enumerate(content)]
    if same_sheet and "TITLEBLOCK" in base.blocks:
        blocks["TITLEBLOCK"] = base.blocks["TITLEBLOCK"]
    entities.sort(key=lambda e: e.handle or math.inf)
    return _with(base, entities, blocks=blocks)


# ------------------------------------------------------------------------------------------------------------ revisions


def dimension_changed(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """One length of the design is altered by 3 to 15 percent."""
    names = FAMILIES[design.kind].lengths
    for name in (names[i] for i in rng.permutation(len(names))):
        value = design.parameters.get(name, 0.0)
        factor = 1 + (0.03 + 0.12 * float(rng.random())) * (1 if rng.random() < 0.5 else -1)
        doc = _rebuilt(design, base, {name: round(value * factor, 2)}, same_sheet=True)
        if value and primitives(doc) != primitives(base):
            return Edited(doc)
    return None


def hole_added(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """One more of a thing that is there, at a free place near the first."""
    chosen = _one_thing(base, rng)
    if chosen is None:
        return None
    name, thing = chosen
    x0, y0, x1, y1 = _span(base, thing)
    size = max(x1 - x0, y1 - y0) or 1.0
    taken = [_span(base, other) for other in _things(base).values()]
    best: tuple[float, float, float] | None = None
    for _ in range(12):
        reach, turn = size * (1.2 + 3 * float(rng.random())), 2 * math.pi * float(rng.random())
        dx, dy = reach * math.cos(turn), reach * math.sin(turn)
        hits = sum(a < x1 + dx and x0 + dx < c and b < y1 + dy and y0 + dy < d for a, b, c, d in taken)
        if best is None or hits < best[0]:
            best = (hits, dx, dy)
    assert best is not None
    copies = [e.but(handle=0, feature=name + "+") for e in _shifted(thing, best[1], best[2])]
    return Edited(_with(base, [*base.entities, *copies]))


def hole_removed(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """One thing less."""
    chosen = _one_thing(base, rng)
    if chosen is None:
        return None
    return Edited(_with(base, (e for e in base.entities if e.feature != chosen[0])))


def feature_moved(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """One thing is elsewhere, 0.3 to 1.5 of its size away."""
    chosen = _one_thing(base, rng)
    if chosen is None:
        return None
    x0, y0, x1, y1 = _span(base, chosen[1])
    reach, turn = max(x1 - x0, y1 - y0) * (0.3 + 1.2 * float(rng.random())), 2 * math.pi * float(rng.random())
    if not reach:
        return None
    move = Similarity(dx=reach * math.cos(turn), dy=reach * math.sin(turn))
    return Edited(_with(base, [move.entity(e) if e.feature == chosen[0] else e for e in base.entities]))


# ------------------------------------------------------------------------------------------------------------- variants


def size_variant(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Several lengths, by factors of 0.75 to 1.35, and perhaps a number of things."""
    family = FAMILIES[design.kind]
    common = 0.8 + 0.45 * float(rng.random())
    changes = {n: round(design.parameters[n] * common * (0.94 + 0.14 * float(rng.random())), 2) for n in family.lengths}
    for name in family.counts:
        if rng.random() < 0.5 and design.parameters[name] > 2:
            changes[name] = design.parameters[name] + float(rng.choice([-1, 1]))
    doc = _rebuilt(design, base, changes, same_sheet=False)
    return Edited(doc) if primitives(doc) != primitives(base) else None


def left_right(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """The part mirrored on its sheet, texts readable."""
    part = [e for e in base.entities if e.feature != "frame"]
    x0, _, x1, _ = _span(base, part)
    move = Similarity(mirrored=True, dx=x0 + x1)
    fixed = frozenset(e.handle for e in base.entities if e.feature == "frame")
    return Edited(_with(base, [e if e.handle in fixed else move.entity(e) for e in base.entities]), move, fixed)


def cut_out(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """A window on the drawing: what has its middle in it."""
    part = [e for e in base.entities if e.feature != "frame"]
    x0, y0, x1, y1 = _span(base, part)
    for _ in range(10):
        w, h = ((0.45 + 0.3 * float(rng.random())) * side for side in (x1 - x0, y1 - y0))
        left, low = x0 + float(rng.random()) * (x1 - x0 - w), y0 + float(rng.random()) * (y1 - y0 - h)
        kept = []
        for entity in part:
            a, b, c, d = _span(base, [entity])
            if left <= (a + c) / 2 <= left + w and low <= (b + d) / 2 <= low + h:
                kept.append(entity)
        if 5 <= len(kept) <= 0.9 * len(part):
            return Edited(_with(base, kept))
    return None


# --------------------------------------------------------------------------------------------------------------- copies


def _moved(doc: Doc, move: Similarity, **fields: object) -> Edited:
    # blocks stay: an INSERT carries the scale, the flip and the rotation
    return Edited(_with(doc, map(move.entity, doc.entities), **fields), move)


def resaved(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Another DXF version or other line ends; half of them through another library."""
    if rng.random() < 0.5:
        library = str(rng.choice(["AC1015", "AC1018", "AC1024", "AC1027", "AC1032"]))
        return Edited(_with(base, base.entities, version="AC1021"), library=library)
    version = str(rng.choice([v for v in VERSIONS if v != base.version]))
    newline = "\n" if base.newline == "\r\n" else "\r\n"
    return Edited(_with(base, base.entities, version=version, newline=newline))


def units(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Millimetres or centimetres become inches, and inches millimetres; a unitless drawing counts as millimetres."""
    to_mm = base.unit == "in"
    factor = 25.4 if to_mm else {"cm": 10.0}.get(base.unit, 1.0) / 25.4
    return _moved(base, Similarity(factor), unit="mm" if to_mm else "in", decimals=2 if to_mm else 3)


def moved(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Everything elsewhere, up to a hundred drawing sizes away."""
    x0, y0, x1, y1 = base.box()
    reach = max(x1 - x0, y1 - y0) * 10.0 ** float(2 * rng.random())
    dx, dy = (round(reach * (2 * float(rng.random()) - 1), 3) for _ in range(2))
    return _moved(base, Similarity(dx=dx, dy=dy))


def rotated(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Everything turned, mostly by a right angle."""
    turn = float(rng.choice([90.0, 180.0, 270.0])) if rng.random() < 0.7 else round(360 * float(rng.random()), 1)
    return _moved(base, Similarity(rotation=turn))


def mirrored(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Everything mirrored, texts readable."""
    return _moved(base, Similarity(mirrored=True))


def scaled(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Everything larger or smaller, in the same units."""
    return _moved(base, Similarity(float(rng.choice([0.1, 0.5, 1.5, 2.0, 5.0, 10.0]))))


def handles_reordered(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """The same records, drawn in another order."""
    handles = [e.handle for e in base.entities]
    order = rng.permutation(len(handles))
    entities = [base.entities[int(i)].but(handle=handle) for i, handle in zip(order, handles, strict=True)]
    table = {base.entities[int(i)].handle: handle for i, handle in zip(order, handles, strict=True)}
    return Edited(_with(base, entities), renumbered=table)


def _substituted(base: Doc, groups: Sequence[tuple[Sequence[Entity], Sequence[Entity]]], **fields: object) -> Edited:
    """Records of the base taken out and others, that show the same, put in where the first of them was."""
    place = {old[0].handle: new for old, new in groups}
    gone = {e.handle for old, _ in groups for e in old}
    entities: list[Entity] = []
    spans: list[tuple[list[int], int, int]] = []
    names = {old[0].handle: [e.handle for e in old] for old, _ in groups}
    for entity in base.entities:
        if entity.handle in place:
            spans.append((names[entity.handle], len(entities), len(entities) + len(place[entity.handle])))
            entities += place[entity.handle]
        elif entity.handle not in gone:
            entities.append(entity)
    doc = _with(base, entities, **fields)
    replaced = [(old, [e.handle for e in doc.entities[start:end]]) for old, start, end in spans]
    return Edited(doc, replaced=replaced)


def blocks_exploded(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """All blocks become their content."""
    inserts = [e for e in base.entities if e.type == "INSERT"]
    if not inserts:
        return None
    return _substituted(base, [([e], exploded(base, e)) for e in inserts], blocks={})


def blocks_made(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Things of the drawing become blocks, equal ones the same block."""
    blocks = dict(base.blocks)
    known: dict[object, str] = {}
    groups = []
    for name, thing in _things(base).items():
        if any(e.type in ("INSERT", "DIMENSION", "LEADER") for e in thing):
            continue
        (x, y) = thing[0].points[0]
        content = [e.but(handle=0, feature="") for e in _shifted(thing, -x, -y)]
        key = tuple((e.layer, e.text, shape(e)) for e in content)
        if key not in known:
            known[key] = f"BLOCK{len(known) + 1}"
            blocks[known[key]] = content
        insert = Entity("INSERT", thing[0].layer, [(x, y)], size=1.0, name=known[key], feature=name)
        groups.append((thing, [insert]))
    return _substituted(base, groups, blocks=blocks) if groups else None


def polylines_split(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Polylines become lines and arcs."""
    lines = [e for e in base.entities if e.type == "LWPOLYLINE"]
    return _substituted(base, [([e], pieces(e)) for e in lines]) if lines else None


def lines_joined(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Lines and arcs of one feature that follow each other become polylines."""
    groups: list[tuple[list[Entity], list[Entity]]] = []
    chain: list[Entity] = []
    points: list[Point] = []
    bulges: list[float] = []

    def close() -> None:
        if len(chain) > 1:
            closed = len(chain) > 2 and math.dist(points[0], points[-1]) < 1e-6
            ends = points[:-1] if closed else points
            turns = bulges if closed else [*bulges, 0.0]
            joined = chain[0].but(type="LWPOLYLINE", points=list(ends), bulges=list(turns), closed=closed)
            groups.append((list(chain), [joined.but(size=0.0, angle=0.0, end=0.0, handle=0)]))
        for part in (chain, points, bulges):
            part.clear()

    for entity in base.entities:
        if entity.type not in ("LINE", "ARC"):
            close()
            continue
        a, b, bulge = _stroke(entity)
        same = bool(chain) and (entity.layer, entity.feature) == (chain[0].layer, chain[0].feature)
        touches = same and min(math.dist(a, points[-1]), math.dist(b, points[-1])) < 1e-6
        if same and not touches and len(chain) == 1:  # the first may have been drawn backwards
            points.reverse()
            bulges[0] = -bulges[0]
        if same and math.dist(b, points[-1]) < 1e-6:
            a, b, bulge = b, a, -bulge
        if not same or math.dist(a, points[-1]) > 1e-6:
            close()
            points.append(a)
        chain.append(entity)
        points.append(b)
        bulges.append(bulge)
    close()
    return _substituted(base, groups) if groups else None


def _stroke(entity: Entity) -> tuple[Point, Point, float]:
    """Start, end and bulge of a LINE or ARC."""
    if entity.type == "LINE":
        return entity.points[0], entity.points[1], 0.0
    (x, y), r = entity.points[0], entity.size
    a, b = ((x + r * math.cos(t), y + r * math.sin(t)) for t in map(math.radians, (entity.angle, entity.end)))
    return a, b, math.tan(math.radians((entity.end - entity.angle) % 360) / 4)


def directions_reversed(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Half of the lines, polylines and splines run the other way."""
    entities = []
    for entity in base.entities:
        if entity.type in ("LINE", "LWPOLYLINE", "SPLINE") and rng.random() < 0.5:
            entity = backwards(entity)
        entities.append(entity)
    return Edited(_with(base, entities)) if entities != base.entities else None


def backwards(entity: Entity) -> Entity:
    """The same LINE, LWPOLYLINE or SPLINE from its end to its start."""
    n, bulges = len(entity.points), entity.bulges
    turned = [-bulges[n - 2 - i] for i in range(n)] if bulges else ()  # the closing segment's stays last
    return entity.but(points=list(entity.points)[::-1], bulges=turned)


def layers_renamed(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Another house's layer names."""
    others = [s for s in LAYER_STANDARDS if len(set(s)) > 1 and not set(s) & set(base.layers)]
    names = others[int(rng.integers(len(others)))]
    table = {old: names[i % len(names)] for i, old in enumerate(base.layers)}
    blocks = {key: [e.but(layer=table.get(e.layer, e.layer)) for e in content] for key, content in base.blocks.items()}
    layers = {table[name]: look for name, look in base.layers.items()}
    entities = [e.but(layer=table.get(e.layer, e.layer)) for e in base.entities]
    return Edited(_with(base, entities, blocks=blocks, layers=layers))


# English, German, Chinese: words of labels; those of notes and title blocks are LANGUAGES.
GLOSSARY: tuple[tuple[str, str, str], ...] = (
    ("LIVING", "WOHNEN", "客厅"),
    ("KITCHEN", "KÜCHE", "厨房"),
    ("BEDROOM", "SCHLAFEN", "卧室"),
    ("BATH", "BAD", "浴室"),
    ("OFFICE", "BÜRO", "书房"),
    ("STORE", "LAGER", "仓库"),
    ("HALL", "FLUR", "走廊"),
    ("ROOM", "RAUM", "房间"),
    ("FRONT", "VORNE", "前"),
    ("BACK", "HINTEN", "后"),
    ("LEFT", "LINKS", "左"),
    ("RIGHT", "RECHTS", "右"),
    ("TOP", "OBEN", "上"),
    ("BOTTOM", "UNTEN", "下"),
    ("STRIP", "STREIFEN", "条带"),
    ("UNIT", "EINHEIT", "单元"),
    ("DESCRIPTION", "BESCHREIBUNG", "说明"),
    ("FIRST ISSUE", "ERSTAUSGABE", "首次发布"),
    ("LEVEL", "PEGEL", "电平"),
    ("RATE", "TEMPO", "速率"),
    ("GATE", "TOR", "门"),
    ("OUT", "AUS", "输出"),
)


def texts_translated(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """Notes, labels and title-block words in another language."""
    words = design.style.words
    target = int(rng.choice([i for i in (0, 1, 2) if LANGUAGES[i] != words]))
    table = dict(zip(words, LANGUAGES[target], strict=True))
    table.update({row[0]: row[target] for row in GLOSSARY})
    table = {old.format(u=base.unit or "mm"): new.format(u=base.unit or "mm") for old, new in table.items()}

    def translated(entity: Entity) -> Entity:
        if entity.type not in ("TEXT", "MTEXT"):
            return entity
        text = entity.text
        for old, new in table.items():
            if old in text:
                text = text.replace(old, new)
                break
        lines = [table.get(line[3:], line[3:]) for line in text.split("\n")[1:]]
        if entity.type == "MTEXT" and lines:
            text = "\n".join([text.split("\n")[0], *(f"{i}. {line}" for i, line in enumerate(lines, 1))])
        return entity.but(text=text)

    entities = [translated(e) for e in base.entities]
    blocks = {key: [translated(e) for e in content] for key, content in base.blocks.items()}
    if entities == base.entities and blocks == base.blocks:
        return None
    return Edited(_with(base, entities, blocks=blocks))


def texts_removed(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """No TEXT and no MTEXT; dimensions and title block stay."""
    kept = [e for e in base.entities if e.type not in ("TEXT", "MTEXT")]
    return Edited(_with(base, kept)) if len(kept) < len(base.entities) else None


def noise(design: Design, base: Doc, rng: np.random.Generator) -> Edited | None:
    """What dirty drawings have: doubled lines, specks, forgotten construction lines, a stray far away."""
    x0, y0, x1, y1 = base.box()
    size, layers = max(x1 - x0, y1 - y0), list(base.layers)
    extra: list[Entity] = []
    for _ in range(2 + int(rng.integers(6))):
        x, y = x0 + (x1 - x0) * float(rng.random()), y0 + (y1 - y0) * float(rng.random())
        what, layer = int(rng.integers(4)), layers[int(rng.integers(len(layers)))]
        if what == 0:
            extra.append(base.entities[int(rng.integers(len(base.entities)))].but(handle=0))
        elif what == 1:
            extra.append(Entity("CIRCLE", layer, [(x, y)], size=size * 0.002))
        elif what == 2:
            turn = 2 * math.pi * float(rng.random())
            end = (x + 0.1 * size * math.cos(turn), y + 0.1 * size * math.sin(turn))
            extra.append(Entity("LINE", layer, [(x, y), end]))
        else:
            extra.append(Entity("TEXT", layer, [(x, y)], size=size * 0.01, text="?"))
    if rng.random() < 0.3:
        extra.append(Entity("LINE", layers[0], [(x1 + 50 * size, y1), (x1 + 50.01 * size, y1)]))
    return Edited(_with(base, [*base.entities, *(e.but(feature="noise") for e in extra)]))


# Every edit by name, with its sort; `deepdxf synth` lists them in this order.
EDITS: dict[str, tuple[str, Edit]] = {
    "dimension-changed": ("revision", dimension_changed),
    "hole-added": ("revision", hole_added),
    "hole-removed": ("revision", hole_removed),
    "feature-moved": ("revision", feature_moved),
    "size-variant": ("variant", size_variant),
    "left-right": ("variant", left_right),
    "cut-out": ("variant", cut_out),
    "resaved": ("copy", resaved),
    "units": ("copy", units),
    "moved": ("copy", moved),
    "rotated": ("copy", rotated),
    "mirrored": ("copy", mirrored),
    "scaled": ("copy", scaled),
    "handles-reordered": ("copy", handles_reordered),
    "blocks-exploded": ("copy", blocks_exploded),
    "blocks-made": ("copy", blocks_made),
    "polylines-split": ("copy", polylines_split),
    "lines-joined": ("copy", lines_joined),
    "directions-reversed": ("copy", directions_reversed),
    "layers-renamed": ("copy", layers_renamed),
    "texts-translated": ("copy", texts_translated),
    "texts-removed": ("copy", texts_removed),
    "noise": ("copy", noise),
}


# ---------------------------------------------------------------------------------------------------------------- truth


def shape(entity: Entity) -> tuple[object, ...]:
    """What an entity looks like, whichever way its curve runs: equal for equal ink (4 decimals)."""
    path = _path(entity)
    if entity.type in ("LINE", "LWPOLYLINE", "SPLINE"):
        path = min(path, _path(backwards(entity)))
    angles = (round(entity.angle, 4) % 360, round(entity.end, 4) % 360)
    return (entity.type, path, round(entity.size, 4), angles, entity.closed, entity.name, entity.mirrored)


def _path(entity: Entity) -> tuple[tuple[float, ...], ...]:
    """Rounded x, y and bulge of each vertex; closed ones start at their lowest vertex."""
    bulges = entity.bulges or [0.0] * len(entity.points)
    path = [
        (round(x, 4) + 0.0, round(y, 4) + 0.0, round(bulge, 4) + 0.0)
        for (x, y), bulge in zip(entity.points, bulges, strict=True)
    ]
    if entity.closed:
        low = min(vertex[:2] for vertex in path)
        return min((*path[i:], *path[:i]) for i, vertex in enumerate(path) if vertex[:2] == low)
    if entity.type == "LWPOLYLINE":
        path[-1] = (*path[-1][:2], 0.0)  # nothing follows the last vertex
    return tuple(path)


def primitives(doc: Doc) -> Counter[tuple[object, ...]]:
    """Multiset of the shapes of a document's entities, blocks as one entity each."""
    return Counter(map(shape, doc.entities))


def jaccard(a: Doc, b: Doc) -> float:
    """Shared part of the two documents' `primitives`, 0 … 1."""
    one, two = primitives(a), primitives(b)
    return (one & two).total() / max(1, (one | two).total())


def truth(base: Doc, edited: Edited) -> dict[str, object]:
    """What an edit did, by handle, as a JSON object.

    ``transform`` (a, b, c, d, e, f): x' = a x + c y + e, y' = b x + d y + f, for all but the ``fixed`` handles;
    ``renumbered`` base handle → new handle; ``replaced`` (base handles, new handles) of equal ink; ``removed`` base
    handles; ``added`` new handles; ``moved`` base handle → displacement beyond the transform; ``changed`` base handle →
    names of the fields that differ beyond it; ``blocks`` names those whose content differs. Handles are numbers.
    """
    after = {e.handle: e for e in edited.doc.entities}
    gone = {h for old, _ in edited.replaced for h in old}
    new = {h for _, fresh in edited.replaced for h in fresh}
    removed, shifted, changed = [], {}, {}
    met = set()
    for entity in base.entities:
        if entity.handle in gone:
            continue
        handle = edited.renumbered.get(entity.handle, entity.handle)
        other = after.get(handle)
        if other is None:
            removed.append(entity.handle)
            continue
        met.add(handle)
        image = entity if entity.handle in edited.fixed else edited.move.entity(entity)
        names = [
            name for name in ("type", "layer", "text", "attributes") if getattr(image, name) != getattr(other, name)
        ]
        if shape(image) != shape(other):
            dx, dy = (other.points[0][k] - image.points[0][k] for k in (0, 1))
            if not names and shape(_shifted([image], dx, dy)[0]) == shape(other):
                shifted[str(entity.handle)] = [round(dx, 6), round(dy, 6)]
                continue
            names.append("shape")
        if names:
            changed[str(entity.handle)] = names
    return {
        "transform": [round(v, 12) for v in edited.move.matrix()],
        "fixed": sorted(edited.fixed),
        "renumbered": {str(old): fresh for old, fresh in edited.renumbered.items() if old != fresh},
        "replaced": edited.replaced,
        "removed": removed,
        "added": sorted(set(after) - met - new),
        "moved": shifted,
        "changed": changed,
        "blocks": sorted(
            name
            for name, content in base.blocks.items()
            if name in edited.doc.blocks and _content(content) != _content(edited.doc.blocks[name])
        ),
    }


def _content(entities: Iterable[Entity]) -> Counter[tuple[object, ...]]:
    return Counter((e.layer, e.text, shape(e)) for e in entities)


def file_bytes(edited: Edited) -> bytes:
    """The DXF file of an edited document."""
    data = dxf_bytes(edited.doc)
    if not edited.library:
        return data
    from ezdxf import options  # type: ignore[attr-defined]  # not in its __all__
    from ezdxf.filemanagement import read

    document = read(io.StringIO(data.decode("utf-8").replace("\r\n", "\n")))
    document.dxfversion = edited.library
    # times and GUIDs would make the bytes differ from run to run
    keep, options.write_fixed_meta_data_for_testing = options.write_fixed_meta_data_for_testing, True
    try:
        stream = io.StringIO()
        document.write(stream)
    finally:
        options.write_fixed_meta_data_for_testing = keep
    return in_fixed_order(stream.getvalue()).encode(document.output_encoding, errors="dxfreplace")


def in_fixed_order(text: str) -> str:
    """DXF with its classes sorted by name and its objects, after the root dictionary, by handle: the library writes some
    of them in the order of a set, which changes from process to process."""

    def handle(record: str) -> int:
        match = re.search(r"^  5\n([0-9A-Fa-f]+)$", record, flags=re.MULTILINE)
        return int(match[1], 16) if match else 0

    for section, kept, key in (("CLASSES", 0, str), ("OBJECTS", 1, handle)):
        head, mark, rest = text.partition(f"\n  2\n{section}\n")
        body, end, tail = rest.partition("  0\nENDSEC\n")
        records = re.split(r"^(?=  0\n)", body, flags=re.MULTILINE)[1:]
        text = head + mark + "".join(records[:kept] + sorted(records[kept:], key=key)) + end + tail
    return text


# ------------------------------------------------------------------------------------------------------------- generate


@dataclass(frozen=True)
class SynthReport:
    """What `generate` wrote."""

    files: int
    designs: int
    kinds: dict[str, int]  # files by kind of drawing
    edits: dict[str, int]  # files by edit, "base" among them
    not_applicable: dict[str, int]  # edits that a base gave no occasion for; another one was made instead


def generate(
    out: Path | str, drawings: int, seed: int = 0, *, progress: Callable[[int, int], None] | None = None
) -> SynthReport:
    """Write ``drawings`` DXF files, ``groups.csv`` and ``truth.jsonl`` into the folder ``out``.

    Drawing ``i`` depends on ``seed`` and ``i`` alone: a larger archive of a seed begins with the smaller one. The same
    seed gives the same bytes on every platform. ``progress(done, total)`` is called after every file.

    Raises DeepDXFError when ``drawings`` is below 1, ``out`` is a file or a folder with something in it, or cannot be
    written.
    """
    if drawings < 1:
        raise DeepDXFError(f"cannot write {drawings} drawings: give a number of 1 or more")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise DeepDXFError(f"folder {str(folder)!r} is not empty: name a new one, or empty it first")
        return _generate(folder, drawings, seed, progress)
    except OSError as error:
        reason = error.strerror or error
        raise DeepDXFError(
            f"cannot write drawings into {folder}: {reason}; name a folder that you may write"
        ) from error


def _generate(folder: Path, drawings: int, seed: int, progress: Callable[[int, int], None] | None) -> SynthReport:
    rows: list[dict[str, object]] = []
    families: dict[str, list[str]] = {}
    kinds: Counter[str] = Counter()
    edits: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    written = index = 0
    with (folder / "truth.jsonl").open("w", encoding="utf-8", newline="\n") as truths:
        while written < drawings:
            design, series = _design(seed, index)
            base = design.build()
            stem = f"{design.kind}/{index:05d}"
            groups: dict[str, list[tuple[str, str, float]]] = {}
            (folder / design.kind).mkdir(exist_ok=True)
            for name, kind, edited in _siblings(design, base, index, seed, skipped):
                file = f"{stem}_{name}.dxf"
                (folder / file).write_bytes(file_bytes(edited))
                written += 1
                kinds[design.kind] += 1
                edits[name] += 1
                record: dict[str, object] = {"file": file, "base": f"{stem}_base.dxf", "edit": name, "sort": kind}
                record["relevance"] = RELEVANCE.get(kind)
                # handles above are the writer's own: further lines of an MTEXT in R12, attributes, tables
                record["last_handle"] = max(e.handle for e in edited.doc.everything())
                if name == "base":
                    record |= {"design": design.kind, "series": series, "parameters": design.parameters}
                    families.setdefault(series, []).append(file)
                else:
                    record |= truth(base, edited)
                    groups.setdefault(kind, []).append((file, name, jaccard(base, edited.doc)))
                truths.write(json.dumps(record, ensure_ascii=False) + "\n")
                if progress:
                    progress(written, drawings)
                if written == drawings:
                    break
            for kind, members in groups.items():
                best = max(score for _, _, score in members)
                for file, name, score in [(f"{stem}_base.dxf", "base", best), *members]:
                    rows.append(_row(file, f"{kind}-{index:05d}", kind, name, f"{score:.2f}"))
            index += 1
    for series, files in families.items():
        if len(files) > 1:
            rows += [_row(file, f"family-{series}", "family", "base", "") for file in files]
    with (folder / "groups.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return SynthReport(written, index, dict(kinds), dict(edits), dict(skipped))


def _row(file: str, group: str, kind: str, edit: str, score: str) -> dict[str, object]:
    evidence = "series" if kind == "family" else edit
    values = (file, group, kind, evidence, score, "", RELEVANCE[kind], edit)
    return dict(zip(COLUMNS, values, strict=True))


def _design(seed: int, index: int) -> tuple[Design, str]:
    """Design number ``index`` of a seed, and the name of its series; kinds take turns."""
    kind = list(FAMILIES)[index % len(FAMILIES)]
    series = index // len(FAMILIES) // SERIES
    style = draw_style(np.random.default_rng([seed, 1, series, index % len(FAMILIES)]))
    return draw_design(kind, style, np.random.default_rng([seed, 2, index])), f"{kind}-{series:04d}"


def _siblings(
    design: Design, base: Doc, index: int, seed: int, skipped: Counter[str]
) -> Iterable[tuple[str, str, Edited]]:
    """(edit, sort, document) of the base and its siblings; edits take turns from design to design."""
    yield "base", "base", Edited(base)
    for kind, count in SIBLINGS.items():
        names = [name for name, (sort, _) in EDITS.items() if sort == kind]
        # a shuffle a design, so that kinds of drawings and edits do not fall into step
        order = np.random.default_rng([seed, 3, index]).permutation(len(names))
        made = 0
        for name in (names[int(i)] for i in order):
            if made == count:
                break
            edited = EDITS[name][1](design, base, np.random.default_rng([seed, 4, index, list(EDITS).index(name)]))
            if edited is None:
                skipped[name] += 1
                continue
            made += 1
            yield name, kind, edited
