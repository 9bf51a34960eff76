"""How well a comparison finds what an edit did: precision and recall by kind of edit, against the generator's truth.

    python experiments/compare_edits.py [--drawings 1300] [--seed 5]

Of every edited drawing and its base, the entities that the comparison names (removed, added, changed, moved) are held
against those that the generator has touched, by handle; entities of blocks count by their INSERT. Writes
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

from deepdxf.compare import Comparison, compare
from deepdxf.drawing import Drawing, EntityClass
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
            f"  true {row['true']:6}  wrong {row['wrong']:4}  missed {row['missed']:4}"
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
) -> tuple[dict[str, list[tuple[int, int, int, int]]], list[float]]:
    """(found and true, found, true, of the same kind) of each edited drawing, by edit; and the times in seconds."""
    counts: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    seconds = []
    base: Drawing | None = None
    for line in (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines():
        truth = json.loads(line)
        drawing = read(folder / truth["file"])
        if truth["edit"] == "base":
            base = drawing
            continue
        if only is not None and truth["edit"] not in only:
            continue
        assert base is not None
        start = time.perf_counter()
        result = compare(base, drawing, **POSES.get(truth["edit"], {}))
        seconds.append(time.perf_counter() - start)
        found, real = named(result), touched(truth, base, drawing)
        both = found.keys() & real.keys()
        counts[truth["edit"]].append((len(both), len(found), len(real), sum(found[key] == real[key] for key in both)))
    return counts, seconds


def figures(rows: list[tuple[int, int, int, int]]) -> dict[str, Any]:
    """Precision, recall and share of right kinds over all pairs; 1 where nothing was to be found and nothing was."""
    both, found, real, kind = (sum(column) for column in zip(*rows, strict=True))
    return {
        "pairs": len(rows),
        "precision": both / found if found else 1.0,
        "recall": both / real if real else 1.0,
        "kind": kind / both if both else 1.0,
        "true": real,
        "wrong": found - both,
        "missed": real - both,
    }


def named(result: Comparison) -> Named:
    """What a comparison names, by side and handle of the entity, or of the INSERT that it lies in."""
    made: Named = {}
    for d in result.differences:
        for side, place in (("a", d.a), ("b", d.b)):
            if place:
                made[side, int(place.insert or place.handle, 16)] = "changed" if place.block else d.kind
    return made


def touched(truth: dict[str, Any], a: Drawing, b: Drawing) -> Named:
    """What the generator has touched."""
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


if __name__ == "__main__":
    main()
