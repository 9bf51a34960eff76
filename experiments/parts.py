"""How well parts are found: boxes cut out of real drawings, and the cut-outs of generated ones.

    deepdxf index CORPUS/drawings --archive ARCHIVE
    python experiments/parts.py CORPUS --archive ARCHIVE [--queries 200] [--drawings 1300] [--out experiments/results/parts.json]

Real drawings: a box of a fifth to a half of a drawing's sides, with 8 to 400 strokes, is asked for as it is, and moved, turned,
mirrored or scaled; a tenth of its strokes is taken out and as many are put in that are not there. Found: the drawing is among
the hits, with a place that lies over the box. Where ten others are as good, the drawing is asked alone. Processor seconds.
Generated drawings: the edits of experiments/edits.py; a cut-out and a size variant ask by part search, with its judgement.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepdxf.archive import Archive
from deepdxf.cli import main as deepdxf
from deepdxf.descriptor import Strokes
from deepdxf.drawing import FloatArray
from deepdxf.encoder import Switches
from deepdxf.errors import DeepDXFError
from deepdxf.evaluate import Rankings, evaluate
from deepdxf.groups import Protocol, load_groups
from deepdxf.parts import Detail, detail_of, find_parts
from deepdxf.reader import read
from deepdxf.synth import generate

LEAST, MOST = 8, 400
MIN_SHARE = 0.6
CASES = {
    "as it is": Switches(),
    "changed": Switches(),
    "turned or mirrored": Switches(rotation=True, mirror=True),
    "another size": Switches(size=False),
    "another size, changed": Switches(size=False),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--archive", required=True)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--drawings", type=int, default=1300)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path("experiments/results/parts.json"))
    args = parser.parse_args(argv)
    results = {"boxes": boxes(Archive.open(args.archive), args.queries), "edits": edits(args.drawings, args.seed)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8", newline="\n")


# --- boxes of real drawings ------------------------------------------------------------------------------------------


def boxes(archive: Archive, count: int) -> dict[str, dict[str, float]]:
    """Boxes of one drawing a content hash, sources in turn."""
    rng = np.random.default_rng(0)
    rows = [row for row in archive.records(None, ("path", "root", "status", "geometry")) if row["status"] != "failed"]
    by_source: dict[str, list[dict[str, str]]] = {}
    for i in rng.permutation(len(rows)).tolist():
        by_source.setdefault(rows[i]["path"].split("/")[0], []).append(rows[i])
    asked: list[tuple[str, Detail]] = []
    while len(asked) < count and any(by_source.values()):
        for rows in by_source.values():
            if rows and len(asked) < count:
                row = rows.pop()
                detail = box_of(Path(row["root"], row["path"]), rng)
                if detail is not None:
                    asked.append((row["id"], detail))
    print(
        f"{len(asked)} boxes of {len(by_source)} sources, {np.median([len(d.pen.kind) for _, d in asked]):.0f} strokes"
    )
    print("\n| asked for | found | at the place | laid | limited | seconds, median | p95 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    results = {}
    for name, switches in CASES.items():
        values = []
        for id, detail in asked:
            query, truth = altered(detail, name, rng)
            start = time.process_time()
            found = find_parts(archive, query, 10, min_share=MIN_SHARE, switches=switches)
            seconds = time.process_time() - start
            laid, limited = found.laid, found.limited > 0
            if all(hit.id != id for hit in found.hits):  # others may be as good
                found = find_parts(archive, query, min_share=MIN_SHARE, switches=switches, where=f"id = '{id}'")
            own = [place for hit in found.hits if hit.id == id for place in hit.places]
            unit = next((row["unit_mm"] for row in archive.records(f"id = '{id}'", ("unit_mm",))), None) or 1.0
            there = any(lies_over(np.array(place.box) * unit, truth) for place in own)
            values.append((bool(own), there, laid, limited, seconds))
        table = np.array(values, np.float64)
        means = table.mean(axis=0)
        median, p95 = np.percentile(table[:, 4], (50, 95))
        low, high = np.quantile(rng.choice(table[:, 1], (2000, len(table))).mean(axis=1), (0.025, 0.975))
        results[name] = {
            "found": means[0],
            "at_the_place": means[1],
            "low": float(low),
            "high": float(high),
            "laid": means[2],
            "limited": means[3],
            "seconds_median": float(median),
            "seconds_p95": float(p95),
        }
        figures = f"{means[0]:.3f} | {means[1]:.3f} ({low:.2f} to {high:.2f}) | {means[2]:.0f} | {means[3]:.2f}"
        print(f"| {name} | {figures} | {median:.2f} | {p95:.2f} |", flush=True)
    return results


def box_of(path: Path, rng: np.random.Generator) -> Detail | None:
    """A box of a drawing that holds enough, of up to 40 that are tried."""
    drawing = read(path)
    low, high = drawing.frame[:2], drawing.frame[2:]
    if not np.isfinite([low, high]).all():
        return None
    for _ in range(40):
        side = (high - low) * rng.uniform(0.2, 0.5, 2)
        corner = low + (high - low - side) * rng.random(2)
        try:
            detail = detail_of(drawing, (*corner.tolist(), *(corner + side).tolist()))
        except DeepDXFError:
            continue
        if LEAST <= len(detail.pen.kind) <= MOST:
            return detail
    return None


def altered(detail: Detail, case: str, rng: np.random.Generator) -> tuple[Detail, FloatArray]:
    """A detail as it is asked for, and the box in which it is to be found."""
    pen, truth = detail.pen, detail.frame
    box = pen.box
    if "changed" in case:
        n = len(pen.kind)
        gone = rng.permutation(n)[: max(n // 10, 1)]
        strange = box[gone] * 1.0
        strange[:, 2:] += detail.diagonal * rng.uniform(0.02, 0.2, (len(gone), 2))
        box = box.copy()
        box[gone] = strange
    if "turned" in case:
        linear = Switches(rotation=True, mirror=True).poses[int(rng.integers(1, 8))][:, :2]
        corners = box[:, :2] @ linear.T, box[:, 2:] @ linear.T
        box = np.hstack([np.minimum(*corners), np.maximum(*corners)])
    box = box + np.tile(rng.uniform(-1000, 1000, 2), 2)
    made = replace(detail, pen=Strokes(pen.kind, box, pen.length))
    return (made.scaled(float(np.exp(rng.uniform(-2, 2)))) if "size" in case else made), truth


def lies_over(box: FloatArray, truth: FloatArray) -> bool:
    """Whether two boxes are about the same."""
    return bool(
        np.abs((box[:2] + box[2:] - truth[:2] - truth[2:]) / 2).max() <= 0.1 * np.abs(truth[2:] - truth[:2]).max()
    )


# --- edits of generated drawings -------------------------------------------------------------------------------------


def edits(drawings: int, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Cut-outs and size variants by part search."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        generate(folder, drawings, seed)
        protocol = load_groups(Path(folder) / "groups.csv")
        address = str(Path(folder, "archive"))
        deepdxf(["index", folder, "--archive", address, "--encoder", "histogram", "--quiet"])
        archive = Archive.open(address)
        id_of = {row["path"]: row["id"] for row in archive.records(None, ("path",))}
        for edit in ("cut-out", "size-variant"):
            asking = tuple(query for query in protocol.queries if query.edit == edit)
            some = Protocol(asking, protocol.sources, 0)
            for name, switches in {"part": Switches(), "part, any size": Switches(size=False)}.items():
                files, scores = tuple(sorted(id_of)), {}
                hits = {}
                for file in some.files:
                    try:
                        detail = detail_of(read(Path(folder, file)))
                    except DeepDXFError:
                        continue
                    found = find_parts(archive, detail, 100, min_share=0.3, switches=switches, without=id_of[file])
                    hits[file] = np.array([files.index(hit.path) for hit in found.hits], np.int32)
                    scores[file] = np.array([hit.share for hit in found.hits], np.float32)
                figures = evaluate(Rankings(files, hits, scores), some, {}).parts("edit")[edit]
                results.setdefault(edit, {})[name] = {"queries": figures[0], **figures[1]}
                print(
                    f"{edit}, {name}: {figures[0]} queries, P@1 {figures[1]['P@1']:.2f}, Recall@10 {figures[1]['Recall@10']:.2f}"
                )
    return results


if __name__ == "__main__":
    main()
