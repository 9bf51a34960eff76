"""How well a comparison finds what an edit did: precision and recall by kind of edit, against the generator's truth.

    python experiments/compare_edits.py [--drawings 1300] [--seed 5]

Of every edited drawing and its base, the entities that the comparison names (removed, added, changed, moved) are held
against those that the generator has touched, by handle; entities of blocks count by their INSERT. Where most of a drawing
was shifted against its sheet, or a drawing is nearly symmetric, the comparison may lay the drawings otherwise than the
generator did ("laid elsewhere"): shifts are taken into account, pairs in another pose are judged only if the pose of the
generator explains more. Misses are changes below the tolerance. Writes
experiments/results/compare_edits.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from deepdxf.clean import find
from deepdxf.compare import Comparison, compare
from deepdxf.drawing import Drawing, EntityClass, FloatArray
from deepdxf.geometry import transform
from deepdxf.reader import read
from deepdxf.report import write_json
from deepdxf.synth import generate

RESULT = Path(__file__).with_name("results") / "compare_edits.json"
POSES: dict[str, dict[str, Any]] = {
    "rotated": {"rotation": "any"},
    "mirrored": {"mirror": True},
    "left-right": {"mirror": True},
    "scaled": {"scale": "any"},
}
Named = dict[tuple[str, int], str]  # (side, handle) -> what happened


def main() -> None:
    """Generate, compare, count."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--drawings", type=int, default=1300)
    options.add_argument("--seed", type=int, default=5)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, arguments.drawings, arguments.seed)
        counts, seconds = count_folder(folder)
    table = {edit: figures(rows) for edit, rows in sorted(counts.items())}
    for edit, row in table.items():
        print(
            f"{edit:20} {row['pairs']:4} pairs  P {row['precision']:.3f}  R {row['recall']:.3f}  kind {row['kind']:.3f}"
            f"  true {row['true']:6}  wrong {row['wrong']:4}  missed {row['missed']:4}  laid elsewhere {row['laid elsewhere']}"
        )
    write_json(
        RESULT,
        {
            "drawings": arguments.drawings,
            "seed": arguments.seed,
            "edits": table,
            "median_ms": round(1000 * float(np.median(seconds)), 2),
        },
    )


def count_folder(
    folder: Path, only: set[str] | None = None
) -> tuple[dict[str, list[tuple[int, int, int, int, int]]], list[float]]:
    """(found and true, found, true, of the same kind, laid elsewhere) of each edited drawing, by edit; and the seconds."""
    counts: dict[str, list[tuple[int, int, int, int, int]]] = defaultdict(list)
    seconds = []
    base, base_last = None, 0
    for line in (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines():
        truth = json.loads(line)
        drawing = read(folder / truth["file"])
        if truth["edit"] == "base":
            base, base_last = drawing, truth["last_handle"]
            continue
        if only is not None and truth["edit"] not in only:
            continue
        assert base is not None
        start = time.perf_counter()
        result = compare(base, drawing, **POSES.get(truth["edit"], {}))
        seconds.append(time.perf_counter() - start)
        if (want := other_pose(truth, result)) is not None:
            as_generated = compare(transform(base, want), drawing)
            # nearly symmetric: another pose lays as much over each other
            if as_generated.alignment.share <= result.alignment.share + 1e-9:
                counts[truth["edit"]].append((0, 0, 0, 0, 1))
                continue
        last = base_last, truth["last_handle"]
        found = named(result, last)
        real = without_renumbered(touched(truth, base, drawing), base, drawing)
        real, elsewhere = relative(real, truth, result, base, last)
        if truth["fixed"]:  # the sheet of a part that was turned over: both or neither has moved
            found, real = (
                {key: v for key, v in some.items() if key[1] not in truth["fixed"]} for some in (found, real)
            )
        again = {
            (side, int(d.handle[row]))  # drawn twice: told once
            for side, d in (("a", base), ("b", drawing))
            for row in find(d).double[:, 0].tolist()
            if d.depth[row] == 0
        }
        found, real = ({key: v for key, v in some.items() if key not in again} for some in (found, real))
        both = found.keys() & real.keys()
        right = sum(found[key] == real[key] for key in both)
        counts[truth["edit"]].append((len(both), len(found), len(real), right, int(elsewhere)))
    return counts, seconds


def figures(rows: list[tuple[int, int, int, int, int]]) -> dict[str, Any]:
    """Precision, recall and share of right kinds over all pairs; 1 where nothing was to be found and nothing was."""
    both, found, real, kind, elsewhere = (sum(column) for column in zip(*rows, strict=True))
    return {
        "pairs": len(rows),
        "laid elsewhere": elsewhere,
        "precision": both / found if found else 1.0,
        "recall": both / real if real else 1.0,
        "kind": kind / both if both else 1.0,
        "true": real,
        "wrong": found - both,
        "missed": real - both,
    }


def named(result: Comparison, last: tuple[int, int]) -> Named:
    """What a comparison names, by side and handle of the entity, or of the INSERT that it lies in; handles up to
    ``last`` in A and B.
    """
    made: Named = {}
    for d in result.differences:
        for side, place, limit in (("a", d.a, last[0]), ("b", d.b, last[1])):
            if place and (handle := int(place.insert or place.handle, 16)) <= limit:
                made[side, handle] = "changed" if place.block else d.kind
    return made


def touched(truth: dict[str, Any], a: Drawing, b: Drawing) -> Named:
    """What the generator has touched and can be seen in the files."""
    new_handle = {int(old): new for old, new in truth["renumbered"].items()}
    made: Named = {}
    for old in truth["removed"]:
        made["a", old] = "removed"
    for new in truth["added"]:
        made["b", new] = "added"
    for kind in ("moved", "changed"):
        for old in map(int, truth[kind]):
            made["a", old] = made["b", new_handle.get(old, old)] = kind
    for name in truth["blocks"]:
        for side, drawing in (("a", a), ("b", b)):
            for row in drawing.rows(EntityClass.INSERT).tolist():
                if drawing.blocks[drawing.block_index[row]] == name and drawing.depth[row] == 0:
                    made.setdefault((side, int(drawing.handle[row])), "changed")
    return made


def without_renumbered(real: Named, a: Drawing, b: Drawing) -> Named:
    """Without touched entities of A that B has in the same place under another handle: as numbers of holes shift."""
    shown: dict[str, dict[Any, list[int]]] = {"a": defaultdict(list), "b": defaultdict(list)}
    for side, drawing in (("a", a), ("b", b)):
        row_of = dict(zip(drawing.handle[::-1].tolist(), range(len(drawing) - 1, -1, -1), strict=True))
        for kind, handle in sorted(key for key in real if key[0] == side):
            if (row := row_of.get(handle)) is not None and drawing.cls[row] != EntityClass.INSERT:
                numbers = np.concatenate([drawing.points(row).ravel(), np.nan_to_num(drawing.scalars[row])])
                layer = drawing.layers[drawing.layer[row]]
                key = (int(drawing.cls[row]), layer, drawing.text(row), tuple((np.round(numbers, 4) + 0.0).tolist()))
                shown[kind][key].append(handle)
    made = dict(real)
    for key, handles in shown["a"].items():
        for old, new in zip(handles, shown["b"].get(key, []), strict=False):
            made.pop(("a", old), None)
            made.pop(("b", new), None)
    return made


def matrix_of(truth: dict[str, Any]) -> FloatArray:
    """The map of an edit, (2, 3)."""
    a, b, c, d, e, f = truth["transform"]
    return np.array([[a, c, e], [b, d, f]])


def other_pose(truth: dict[str, Any], result: Comparison) -> FloatArray | None:
    """The map of the edit where the comparison took another turn, mirror or scale; else None."""
    want = matrix_of(truth)
    return want if np.abs(want[:, :2] - result.alignment.matrix[:, :2]).max() > 1e-6 else None


def relative(
    real: Named, truth: dict[str, Any], result: Comparison, a: Drawing, last: tuple[int, int]
) -> tuple[Named, bool]:
    """The truth as seen from where the comparison laid A, if that is shifted; and whether it is.

    When most of a drawing has shifted against its sheet, it is the sheet that moved.
    """
    want, got = matrix_of(truth), result.alignment.matrix
    middle = np.append((a.frame[:2] + a.frame[2:]) / 2, 1.0)
    offset = (want - got) @ middle
    if np.abs(want[:, :2] - got[:, :2]).max() > 1e-6 or np.abs(offset).max() <= result.tolerance:
        return real, False
    new_handle = {int(old): new for old, new in truth["renumbered"].items()}
    made = dict(real)
    for handle in {h for h in a.handle[a.depth == 0].tolist() if h <= last[0]}:
        if ("a", handle) not in real:
            made["a", handle] = made["b", new_handle.get(handle, handle)] = "moved"
        elif real["a", handle] == "moved":
            beyond = np.array(truth["moved"].get(str(handle), [np.inf, np.inf])) + offset
            if np.abs(beyond).max() <= result.tolerance:
                del made["a", handle], made["b", new_handle.get(handle, handle)]
    return made, True


if __name__ == "__main__":
    main()
