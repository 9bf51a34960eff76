"""What a score means: the share of pairs with that score that people call the same part.

    deepdxf index CORPUS/drawings --archive ARCHIVE
    python experiments/calibration.py CORPUS --archive ARCHIVE

CORPUS holds drawings/, groups.csv, judgements.csv and manifest.csv. The pairs are the first `HITS` hits of every drawing:

    the same part    in one group of copies, revisions or variants, or judged C, R or V
    another          judged F (the same sort of thing) or N (unrelated)
    not judged       counts as the same part in the share in which the judged pairs of its kind (of one family, or of none)
                     with about its score are

The last rule is there because groups of families are no answer: of the judged pairs in one family, most with a high score
are variants. Judgements added later (experiments/judgements.csv) are answers too, but tell of no share: they are the pairs
that somebody looked for.

Every query weighs the same, and a source as the root of its queries, so that no source drowns the others. The curve that is
stored is fitted on all sources (`calibration.fit`). Its reliability is measured on sources that it has not seen: in
`FOLDS` folds by source. Writes the curve of the archive's encoder into deepdxf/data/calibration.json, of its scores as they
are (cosine) and with verified hits, and docs/scores.md with docs/scores.svg for all encoders there.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from deepdxf.archive import Archive
from deepdxf.calibration import FILE, Calibration, fit
from deepdxf.drawing import FloatArray
from deepdxf.encoder import Switches
from deepdxf.groups import FAMILY, RELATED, read_judgements, read_members, read_sources, source_of
from deepdxf.verify import verified_scores, verify

HITS = 10
FOLDS = 3
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)  # of the predicted probability
PACKAGE = Path(__file__).parents[1]
DATA = PACKAGE / "deepdxf" / "data" / FILE
PAGE, PICTURE = PACKAGE / "docs" / "scores.md", PACKAGE / "docs" / "scores.svg"


@dataclass(frozen=True, eq=False)
class Pairs:
    """First hits."""

    cosine: FloatArray  # (n,)
    verified: FloatArray  # (n,) NaN where the archive has no sketch
    known: FloatArray  # (n,) 1 the same part, 0 another, NaN not judged
    family: np.ndarray  # (n,) bool: of one family
    source: np.ndarray  # (n,) of the query
    weight: FloatArray  # (n,)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--archive", required=True)
    args = parser.parse_args(argv)
    archive = Archive.open(args.archive)
    pairs, judged = hits_with_answers(archive, args.corpus)
    same = completed(pairs, judged.shares(np.ones(len(judged.same), bool)))
    curves: dict[str, Any] = {}
    for scoring in ("cosine", "verified"):
        scores = getattr(pairs, scoring)
        if np.isfinite(scores).all():
            curve = fit(scores, same, pairs.weight)
            figures = reliability(scores, pairs, judged)
            curves[scoring] = {"score": curve.scores, "probability": curve.probabilities, **figures}
    tables = json.loads(DATA.read_text(encoding="utf-8"))
    tables[archive.encoder_id] = curves
    DATA.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8", newline="\n")
    write_page(tables)
    print(PAGE.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Answers:
    """What people have said about pairs of files (in order)."""

    same: dict[tuple[str, str], bool]
    judged: dict[tuple[str, str], bool]  # those of them that were judged whatever they are
    family: frozenset[tuple[str, str]]  # pairs of one family


def answers_of(corpus: Path) -> Answers:
    """Groups and judgements; a judgement goes before a group."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for member in read_members(corpus / "groups.csv"):
        groups[member.group].append(member)
    same: dict[tuple[str, str], bool] = {}
    family: set[tuple[str, str]] = set()
    for members in groups.values():
        pairs = combinations(sorted(member.file for member in members), 2)
        if members[0].kind == FAMILY:
            family.update(pairs)
        else:
            same |= dict.fromkeys(pairs, True)
    judged = {
        (min(one, other), max(one, other)): label in RELATED
        for one, other, label in read_judgements(corpus / "judgements.csv")
    }
    later = {
        (min(one, other), max(one, other)): label in RELATED
        for one, other, label in read_judgements(Path(__file__).with_name("judgements.csv"))
    }
    return Answers(same | judged | later, judged, frozenset(family))


@dataclass(frozen=True, eq=False)
class Judged:
    """The judged pairs."""

    score: FloatArray  # (m,) cosine
    same: FloatArray  # (m,) 0 or 1
    family: np.ndarray  # (m,) bool: pair of one family
    source: np.ndarray  # (m,) of the first file

    def shares(self, of: np.ndarray) -> dict[bool, Calibration]:
        """Of pairs of one family (True), and of none: the share of some of them that are the same part, by their score."""
        curves = {}
        for family in (True, False):
            kind = of & (self.family == family)
            curves[family] = fit(self.score[kind], self.same[kind], np.ones(int(kind.sum())), knots=8)
        return curves


def completed(pairs: Pairs, shares: dict[bool, Calibration]) -> FloatArray:
    """(n,) what the pairs are, 0 … 1: known, or the share of the judged ones that are like them."""
    share = np.where(pairs.family, shares[True].probability(pairs.cosine), shares[False].probability(pairs.cosine))
    return np.where(np.isnan(pairs.known), share, pairs.known)


def hits_with_answers(archive: Archive, corpus: Path) -> tuple[Pairs, Judged]:
    """The first hits of every drawing, and the judged pairs."""
    ids, vectors = archive.vectors()
    path = {row["id"]: row["path"] for row in archive.records(None, ("path",))}
    files = [path[id] for id in ids.tolist()]
    number = {file: i for i, file in enumerate(files)}
    sources = read_sources(corpus / "groups.csv")
    answers = answers_of(corpus)
    found: list[tuple[int, int, float, float, bool]] = []
    for query, vector in enumerate(vectors):
        scores = vectors @ vector
        order = np.argsort(-scores, kind="stable")
        for hit in order[order != query][:HITS].tolist():
            pair = (min(files[query], files[hit]), max(files[query], files[hit]))
            known = float(answers.same[pair]) if pair in answers.same else np.nan
            found.append((query, hit, float(scores[hit]), known, pair in answers.family))
    query, hit, cosine, known, family = (np.array(column) for column in zip(*found, strict=True))
    source = np.array([source_of(files[i], sources) for i in query.tolist()])
    queries = Counter(source_of(files[i], sources) for i in set(query.tolist()))
    weight = np.array([1.0 / np.sqrt(queries[name]) for name in source.tolist()]) / np.bincount(query)[query]
    overlap = overlaps(archive, ids.tolist(), query, hit)
    verified = np.where(np.isnan(overlap), np.nan, verified_scores(cosine, overlap))
    judged = [
        (float(vectors[number[a]] @ vectors[number[b]]), float(same), (a, b) in answers.family, source_of(a, sources))
        for (a, b), same in answers.judged.items()
        if a in number and b in number
    ]
    return Pairs(cosine, verified, known, family, source, weight), Judged(
        *(np.array(column) for column in zip(*judged, strict=True))
    )


def overlaps(archive: Archive, ids: list[str], query: np.ndarray, hit: np.ndarray) -> FloatArray:
    """Overlap of the sketches of each pair; NaN where there is none. A pair is the same both ways."""
    sketches: list[Any] = []
    for first in range(0, len(ids), 400):
        sketches += archive.sketches(ids[first : first + 400])
    known: dict[tuple[int, int], float] = {}
    for i, j in zip(query.tolist(), hit.tolist(), strict=True):
        pair = (min(i, j), max(i, j))
        if pair not in known:
            a, b = sketches[i], sketches[j]
            known[pair] = float("nan") if a is None or b is None else verify(a, b, Switches())
    return np.array(
        [known[min(i, j), max(i, j)] for i, j in zip(query.tolist(), hit.tolist(), strict=True)], np.float64
    )


def reliability(scores: FloatArray, pairs: Pairs, judged: Judged) -> dict[str, Any]:
    """Figures on unseen sources: predictions of each fold by the answers of the others, observations by its own alone."""
    names = sorted(set(pairs.source.tolist()))
    fold_of = dict(zip(names, np.random.default_rng(0).permutation(len(names)) % FOLDS, strict=True))
    fold = np.array([fold_of[name] for name in pairs.source.tolist()])
    judged_fold = np.array([fold_of[name] for name in judged.source.tolist()])
    predicted, observed = np.zeros(len(scores)), np.zeros(len(scores))
    for number in range(FOLDS):
        rest = fold != number
        same = completed(pairs, judged.shares(judged_fold != number))
        curve: Calibration = fit(scores[rest], same[rest], pairs.weight[rest])
        predicted[~rest] = curve.probability(scores[~rest])
        observed[~rest] = completed(pairs, judged.shares(judged_fold == number))[~rest]
    weight = pairs.weight / pairs.weight.sum()
    bins = np.clip(np.digitize(predicted, BINS) - 1, 0, len(BINS) - 2)
    rows = []
    for number in range(len(BINS) - 1):
        of = bins == number
        if of.any():
            share = weight[of] / weight[of].sum()
            rows.append(
                {
                    "from": BINS[number],
                    "to": BINS[number + 1],
                    "pairs": int(of.sum()),
                    "sources": len(set(pairs.source[of].tolist())),
                    "weight": round(float(weight[of].sum()), 4),
                    "predicted": round(float(share @ predicted[of]), 4),
                    "observed": round(float(share @ observed[of]), 4),
                }
            )
    return {
        "pairs": len(scores),
        "known": int(np.isfinite(pairs.known).sum()),
        "judged": len(judged.same),
        "sources": len(names),
        "calibration_error": round(sum(row["weight"] * abs(row["predicted"] - row["observed"]) for row in rows), 4),
        "reliability": rows,
    }


# --- the page --------------------------------------------------------------------------------------------------------

HEAD = f"""# What a score means

<!-- Written by experiments/calibration.py. -->

A score is the dot product of two unit vectors, with verified hits a mean of that and of the share of strokes that lie over
each other. It is no probability. `deepdxf search` therefore shows **same part**: of a hundred pairs with that score, how
many people call the same part, that is a copy, a revision, or the same part in another size or layout. It is shown of
encoders that are calibrated and searches with the default switches, for the curve was learned from such.

* **Data**: the first {HITS} hits of each drawing of the corpus of real drawings. The same part: copy, revision, variant, by a
  group or by a judge (C, R, V). Another: judged the same sort of thing only, or unrelated (F, N). A hit that nobody has judged
  counts in the share in which judged pairs of its kind (of one family, of none) with about its score are the same part.
  Every query weighs the same, a source as the root of its number of queries.
* **Curve**: isotonic regression, thinned to a few points, level beyond its ends; stored in `deepdxf/data/{FILE}`
  under the encoder's id.
* **Reliability**: predictions for the drawings of sources that the curve has not seen ({FOLDS} folds by source); what is
  observed there comes from the groups and judgements of those sources alone.
* **Limits**: what counts as the same part is what the judges of this corpus called so, layouts and sizes of one part
  included. Your archive may hold more, or fewer, drawings of one part than the corpus does: the order of hits stays true, the
  per cents shift. Sources differ more from each other than the mean tells.

![The curves](scores.svg)
"""


def write_page(tables: dict[str, Any]) -> None:
    """docs/scores.md and its picture."""
    parts = [HEAD]
    for encoder_id, curves in tables.items():
        for scoring, curve in curves.items():
            parts.append(
                f"\n## {encoder_id}, {scoring}\n\n{curve['pairs']} hits in {curve['sources']} sources; what they are is known of "
                f"{curve['known']} of them, for the others stand {curve['judged']} judged pairs. Mean calibration error on "
                f"unseen sources: {curve['calibration_error']:.3f}.\n"
            )
            chosen = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
            points = Calibration(tuple(curve["score"]), tuple(curve["probability"]))
            cells = [f"{value:.3f}" if (value := points.score(p)) is not None else "–" for p in chosen]
            parts.append(
                f"\n| same part, at least | {' | '.join(f'{p:.0%}' for p in chosen)} |\n|---|{'---:|' * len(chosen)}\n"
                f"| from score | {' | '.join(cells)} |\n"
            )
            parts.append(
                "\n| predicted | mean of predictions | observed | pairs | sources |\n|---|---:|---:|---:|---:|\n"
            )
            parts += [
                f"| {row['from']:.0%} to {row['to']:.0%} | {row['predicted']:.1%} | {row['observed']:.1%} "
                f"| {row['pairs']} | {row['sources']} |\n"
                for row in curve["reliability"]
            ]
    PAGE.write_text("".join(parts), encoding="utf-8", newline="\n")
    PICTURE.write_text(picture(tables), encoding="utf-8", newline="\n")


WIDTH, HEIGHT, LEFT, TOP = 460, 300, 60, 20
DASHES = ("", "7 4", "2 3", "9 3 2 3")


def picture(tables: dict[str, Any]) -> str:
    """The curves over the score, and observed over predicted shares, told apart by dashes."""
    width = 2 * WIDTH
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + 70}" width="{width}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{HEIGHT + 70}" fill="white"/>',
    ]
    names = [(f"{encoder_id}, {scoring}", curve) for encoder_id, of in tables.items() for scoring, curve in of.items()]
    for panel, (x_title, y_title) in enumerate((("score", "same part"), ("predicted", "observed"))):
        x0, plot = LEFT + panel * WIDTH, WIDTH - LEFT - 20
        for tick in range(6):
            x, y = x0 + plot * tick / 5, TOP + HEIGHT * (1 - tick / 5) * 0.9
            lines.append(f'<line x1="{x0}" x2="{x0 + plot}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            lines.append(f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{tick * 20} %</text>')
            text = f"{tick / 5:g}" if panel == 0 else f"{tick * 20} %"
            lines.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT * 0.9 + 18:.1f}" text-anchor="middle">{text}</text>')
        lines.append(f'<text x="{x0 + plot / 2}" y="{TOP + HEIGHT * 0.9 + 36}" text-anchor="middle">{x_title}</text>')
        lines.append(f'<text x="{x0}" y="{TOP - 6}" text-anchor="start">{y_title}</text>')
        for number, (_, curve) in enumerate(names):
            if panel == 0:
                points = [(max(x, 0.0), y) for x, y in zip(curve["score"], curve["probability"], strict=True)]
            else:
                points = [(row["predicted"], row["observed"]) for row in curve["reliability"]]
            path = " ".join(f"{x0 + plot * x:.1f},{TOP + HEIGHT * 0.9 * (1 - y):.1f}" for x, y in points)
            dash = f' stroke-dasharray="{DASHES[number % len(DASHES)]}"' if DASHES[number % len(DASHES)] else ""
            lines.append(f'<polyline points="{path}" fill="none" stroke="#1a56c4" stroke-width="2"{dash}/>')
        if panel == 1:
            y1 = TOP + HEIGHT * 0.9
            lines.append(
                f'<line x1="{x0}" y1="{y1}" x2="{x0 + plot}" y2="{TOP}" stroke="#888" stroke-dasharray="1 3"/>'
            )
    for number, (name, _) in enumerate(names):
        x, y = LEFT + (number % 4) * 210, HEIGHT + 55
        dash = f' stroke-dasharray="{DASHES[number % len(DASHES)]}"' if DASHES[number % len(DASHES)] else ""
        lines.append(f'<line x1="{x}" x2="{x + 36}" y1="{y}" y2="{y}" stroke="#1a56c4" stroke-width="2"{dash}/>')
        lines.append(f'<text x="{x + 42}" y="{y + 4}">{name}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
