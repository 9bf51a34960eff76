"""How well revisions are found by geometry alone, and the weights of the regression that `deepdxf.revisions` uses.

    deepdxf index CORPUS/drawings --archive ARCHIVE
    python experiments/revisions.py CORPUS --archive ARCHIVE [--a-source 16] [--write]

CORPUS holds drawings/, groups.csv and groups by other names. File names of the corpus say which files are one file at several
times; they are taken away, and title blocks with them, so that geometry and texts are left. Right: in the same group of
revisions or copies, judged a revision (experiments/judgements.csv), or of the same content hash. Every pair of a query and one
of its neighbours (as `find_revisions` looks at them) is an example; sources weigh as the root of their number of examples.

The sources are split into two halves by a hash of their name. Figures of either half come from weights learned on the other one:
of pairs their reliability, of whole chains recall and precision, as means over sources with 95 % intervals over them. With
--write, weights learned on all sources are written to deepdxf/data/revisions.json.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from deepdxf import revisions
from deepdxf.archive import Archive
from deepdxf.calibration import calibration_of
from deepdxf.drawing import FloatArray
from deepdxf.groups import read_members
from deepdxf.revisions import NEIGHBOURS, UNLIKE, Shared, find_revisions, record_of, shared_by

LEVELS = (0.3, 0.5, 0.7, 0.8, 0.9)
NEARLY = 0.97  # of the strokes: what nobody has judged and is nearly the same
HAS_TEXTS = 6  # number of a feature
PENALTY = 0.01  # of squared standardised weights
TARGET = Path(revisions.__file__).with_name("data") / revisions.FILE
JUDGEMENTS = Path(__file__).with_name("judgements.csv")


@dataclass(frozen=True)
class Pair:
    """A query and one of its neighbours."""

    source: str
    shared: Shared
    alike: float
    right: bool


class Truth:
    """What is known about pairs of files."""

    def __init__(self, corpus: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
        self.rows = rows
        self.kin: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        members: dict[str, list[str]] = defaultdict(list)
        kinds = {}
        for member in read_members(corpus / "groups.csv"):
            members[member.group].append(member.file)
            kinds[member.group] = member.kind
        for group, files in members.items():
            for file in files:
                self.kin[kinds[group]][file].update(files)
        with JUDGEMENTS.open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                for one, other in ((row["a"], row["b"]), (row["b"], row["a"])):
                    self.kin["judged " + row["label"]][one].add(other)

    def kind(self, file: str, other: str) -> str:
        """right, variant or other."""
        same = self.rows[file]["geometry"] and self.rows[file]["geometry"] == self.rows[other]["geometry"]
        if same or any(other in self.kin[kind][file] for kind in ("revision", "copy", "judged R")):
            return "right"
        return "variant" if any(other in self.kin[kind][file] for kind in ("variant", "judged V")) else "other"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--archive", required=True)
    parser.add_argument("--a-source", type=int, default=16, help="queries of a source (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write the weights")
    args = parser.parse_args(argv)
    archive = Archive.open(args.archive)
    rows = archive.records(None, revisions.COLUMNS)
    by_path = {row["path"]: row for row in rows}
    truth = Truth(args.corpus, by_path)
    known = set(archive.vectors()[0].tolist())
    by_source: dict[str, list[str]] = defaultdict(list)
    asking = sorted(file for file in truth.kin["revision"] if file in by_path and by_path[file]["id"] in known)
    for i in np.random.default_rng(0).permutation(len(asking)).tolist():
        if len(by_source[source_of(asking[i])]) < args.a_source:
            by_source[source_of(asking[i])].append(asking[i])
    chosen = [file for source in sorted(by_source) for file in by_source[source]]
    pairs = examples(archive, truth, by_path, chosen)
    print(
        f"{len(chosen)} queries of {len(by_source)} sources, {len(pairs)} pairs, {np.mean([p.right for p in pairs]):.0%} right"
    )
    weights = {half: learned([pair for pair in pairs if half_of(pair.source) != half]) for half in (0, 1)}
    reliability(pairs, weights)
    if args.write:
        TARGET.write_text(json.dumps(learned(pairs), indent=1) + "\n", encoding="utf-8", newline="\n")
    few = [file for source in sorted(by_source) for file in by_source[source][:6]]
    chains(archive, truth, rows, few, weights)


def source_of(file: str) -> str:
    return file.split("/")[0]


def half_of(source: str) -> int:
    return hashlib.blake2b(source.encode()).digest()[0] % 2


def examples(archive: Archive, truth: Truth, by_path: Mapping[str, Any], chosen: Sequence[str]) -> list[Pair]:
    """The pairs of some queries and their neighbours."""
    ids, vectors = archive.vectors()
    path_of = {row["id"]: path for path, row in by_path.items()}
    texts = {row["id"]: frozenset(row["text"] or ()) for row in archive.records(None, ("text",))}
    curve = calibration_of(archive.encoder_id)
    assert curve is not None
    pairs = []
    for file in chosen:
        id = by_path[file]["id"]
        score = np.round(vectors @ vectors[np.searchsorted(ids, id)], 6)
        near = [i for i in np.lexsort((ids, -score)).tolist() if ids[i] != id][:NEIGHBOURS]
        near = [i for i in near if curve.probability(score[i]) >= UNLIKE]
        pens = archive.sketches([id, *ids[near].tolist()])
        for i, pen in zip(near, pens[1:], strict=True):
            other = str(ids[i])
            if len(pens[0].kind) and len(pen.kind):
                shared = shared_by(pens[0], pen, texts[id], texts[other])
                right = truth.kind(file, path_of[other]) == "right"
                pairs.append(Pair(source_of(file), shared, float(curve.probability(score[i])), right))
    return pairs


def learned(pairs: Sequence[Pair]) -> dict[str, list[float]]:
    """Weights of `Shared.features`, with and without the probability of the same part."""
    count = defaultdict(int)
    for pair in pairs:
        count[pair.source] += 1
    weight = np.array([count[pair.source] ** -0.5 for pair in pairs])
    right = np.array([pair.right for pair in pairs], np.float64)
    found = {}
    for name in ("calibrated", "other"):
        x = np.array([pair.shared.features(pair.alike if name == "calibrated" else None) for pair in pairs])
        found[name] = logistic(x, right, weight / weight.sum()).round(4).tolist()
    return found


def logistic(x: FloatArray, y: FloatArray, weight: FloatArray) -> FloatArray:
    """(f,) weights of features (n, f), the first of which is 1: maximum likelihood with a penalty."""
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    mean[0], scale[0] = 0.0, 1.0
    z = (x - mean) / scale

    def loss(b: FloatArray) -> tuple[float, FloatArray]:
        value, free = z @ b, np.append(0.0, b[1:])
        total = float((np.logaddexp(0, value) - y * value) @ weight + PENALTY * (free @ free) / 2)
        return total, z.T @ ((1 / (1 + np.exp(-value)) - y) * weight) + PENALTY * free

    # more in common never counts against: all but the first and whether there are texts
    bounds = [(None, None) if i in (0, HAS_TEXTS) else (0.0, None) for i in range(x.shape[1])]
    b = np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x) / scale
    b[0] -= (b[1:] * mean[1:]).sum()
    return b


def reliability(pairs: Sequence[Pair], weights: Mapping[int, Mapping[str, Sequence[float]]]) -> None:
    """Predictions of pairs by weights that have not seen their sources."""
    count = defaultdict(int)
    for pair in pairs:
        count[pair.source] += 1
    weight = np.array([count[pair.source] ** -0.5 for pair in pairs])
    y = np.array([pair.right for pair in pairs], np.float64)
    source = np.array([pair.source for pair in pairs])
    nearly = np.array([pair.shared.larger >= NEARLY and not pair.right for pair in pairs])
    said = np.array(
        [
            sigmoid(pair.shared.features(pair.alike) @ np.array(weights[half_of(pair.source)]["calibrated"]))
            for pair in pairs
        ]
    )
    print("\n| predicted | mean of predictions | observed | nearly the same, not judged | pairs | sources |")
    print("|---|---:|---:|---:|---:|---:|")
    error = 0.0
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        some = (said >= low) & (said < high)
        if some.any():
            w = weight[some] / weight[some].sum()
            error += weight[some].sum() / weight.sum() * abs(float(w @ (said[some] - y[some])))
            figures = f"{w @ said[some]:.1%} | {w @ y[some]:.1%} | {w @ nearly[some]:.1%} | {some.sum()}"
            print(f"| {low:.0%} to {min(high, 1):.0%} | {figures} | {len(set(source[some]))} |")
    print(f"\nmean calibration error on unseen sources: {error:.3f}", flush=True)


def sigmoid(value: float) -> float:
    return float(1.0 / (1.0 + np.exp(-value)))


def chains(
    archive: Archive,
    truth: Truth,
    rows: Sequence[Mapping[str, Any]],
    chosen: Sequence[str],
    weights: Mapping[int, Mapping[str, Sequence[float]]],
) -> None:
    """Whole chains, with names and title blocks taken away: as before the regression, and with it."""
    nameless = [{**row, "path": f"{row['id']}/x.dxf", "field": []} for row in rows]
    path_of = {row["id"]: row["path"] for row in rows}
    id_of = {path: id for id, path in path_of.items()}
    stored, sketches = archive.records, archive.sketches
    asked = {file: record_of(archive, id_of[file]) for file in chosen}
    archive.records = lambda where=None, columns=(): nameless if where is None else stored(where, columns)  # type: ignore
    revisions.marks_of = lambda name: ("", {})
    for name in ("cosine alone", "regression"):
        if name == "cosine alone":
            archive.sketches = lambda ids: [None] * len(ids)  # type: ignore[method-assign]
        else:
            archive.sketches = sketches  # type: ignore[method-assign]
        reached: dict[str, list[float]] = defaultdict(list)
        told: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for file in chosen:
            of_other_half = weights[half_of(source_of(file))]
            revisions.version_weights = lambda of_other_half=of_other_half: of_other_half
            query, vector = asked[file]
            query = {**query, "field": [], "path": f"{query['id']}/x.dxf"}
            if name == "cosine alone":
                query["sketch"] = None
            chain = find_revisions(archive, query, vector, min_confidence=min(LEVELS))
            confidence = {path_of[version.id]: version for version in chain.versions}
            for other in truth.kin["revision"][file] - {file}:
                if other in id_of:
                    reached[source_of(file)].append(confidence[other].confidence if other in confidence else 0.0)
            for other, version in confidence.items():
                if other != file:
                    told[source_of(file)].append((version.confidence, truth.kind(file, other)))
        count = sum(map(len, reached.values()))
        print(f"\n{name}: {count} revisions to be found by {len(chosen)} queries of {len(reached)} sources")
        print(
            "\n| confidence from | found | of what is found: right | variants | others | found, all alike | right, all alike |"
        )
        print("|---:|---:|---:|---:|---:|---:|---:|")
        for level in LEVELS:
            recall = [np.mean([value >= level for value in values]) for values in reached.values()]
            kinds = {source: [kind for value, kind in pairs if value >= level] for source, pairs in told.items()}
            kinds = {source: found for source, found in kinds.items() if found}
            shares = [
                interval([np.mean([kind == one for kind in found]) for found in kinds.values()])
                for one in ("right", "variant", "other")
            ]
            micro = np.mean([value >= level for values in reached.values() for value in values])
            every = [kind for found in kinds.values() for kind in found]
            right = np.mean([kind == "right" for kind in every]) if every else np.nan
            print(
                f"| {level:.1f} | {interval(recall)} | {' | '.join(shares)} | {micro:.0%} | {right:.0%} |", flush=True
            )


def interval(values: Sequence[float]) -> str:
    """Mean over sources and its 95 % interval."""
    if not values:
        return "–"
    draws = np.random.default_rng(0).choice(np.array(values), (2000, len(values))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{np.mean(values):.0%} ({low:.0%} to {high:.0%})"


if __name__ == "__main__":
    main()
