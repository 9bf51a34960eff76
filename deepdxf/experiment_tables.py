"""Tables of experiments, made of the lines of results.jsonl and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepdxf.errors import DeepDXFError
from deepdxf.experiment_sets import SIZES, Set, sets

Row = dict[str, Any]
KEYS = frozenset({"experiment", "cell", "seed", "settings", "size", "metrics", "error"})  # that every line has
BY = {"domain": "Domain", "source": "Source", "kind": "Kind of group"}
ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """A table as text."""

    title: str
    note: str  # a paragraph above it
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As Markdown; all columns but the first are aligned to the right."""
        head = f"| {' | '.join(self.columns)} |\n|---|{'---:|' * (len(self.columns) - 1)}"
        body = "".join(f"\n| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in self.lines)
        return "\n\n".join(filter(None, (f"### {self.title}" if self.title else "", self.note, head + body)))


def read_results(path: Path, *, missing_ok: bool = False) -> list[Row]:
    """The lines of a results.jsonl.

    Raises:
        DeepDXFError: the file cannot be read, or a line has another form.
    """
    if missing_ok and not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not in UTF-8"
        raise DeepDXFError(f"{path}: {reason}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or not row.keys() >= KEYS:
                raise ValueError
        except (ValueError, RecursionError):
            raise DeepDXFError(
                f"{path}, line {number}: not a line of results; delete it and run the cell again"
            ) from None
        rows.append(row)
    return rows


def markdown(name: str, rows: Sequence[Row]) -> str:
    """All tables of an experiment under its heading."""
    experiment = sets(SIZES[rows[0]["size"] if rows else "smoke"])[name]
    parts = [f"## {experiment.title}", experiment.about, summary(rows)]
    parts += [table.markdown() for table in tables(experiment, rows)]
    failed = [f"* {row['cell']}, seed {row['seed']}: {row['error']}" for row in rows if row["error"]]
    if failed:
        parts.append("Not measured:\n\n" + "\n".join(failed))
    run = {row["cell"] for row in rows}
    if missing := [cell.name for cell in experiment.cells if cell.name not in run]:
        parts.append(f"Not run yet, {len(missing)} of {len(experiment.cells)}: {', '.join(missing)}.")
    return "\n\n".join(parts) + "\n"


def summary(rows: Sequence[Row]) -> str:
    """How large it was: a sentence."""
    trained = [row for row in rows if row["steps"] and not row["error"]]
    if not trained:
        return f"{len(rows)} cells; nothing was trained."
    steps, drawings = (Counter(row[key] for row in trained).most_common(1)[0][0] for key in ("steps", "drawings"))
    spent = sum(row["seconds"] for row in rows)
    seeds = 1 + max(row["seed"] for row in rows)
    return (
        f"Size `{trained[0]['size']}`: {steps} steps over {drawings} drawings where a row says nothing else, "
        f"{seeds} {'seeds' if seeds > 1 else 'seed'}; {len(rows)} cells in {spent / 60:.0f} min of one core."
    )


def tables(experiment: Set, rows: Sequence[Row]) -> list[Table]:
    """The main table, and one for each way to part the questions."""
    good = [row for row in rows if not row["error"]]
    found = [main_table(experiment, good)] if good else []
    if experiment.by_domain and good:
        found += [parts_table(by, title, good) for by, title in BY.items() if any(by in row["parts"] for row in good)]
    return found


def main_table(experiment: Set, rows: Sequence[Row]) -> Table:
    """A line a cell: means over its seeds."""
    group = {cell.name: cell.group for cell in experiment.cells}
    fixed = {cell.name for cell in experiment.cells if cell.kind == "ready"}  # not random: measured once
    of: dict[str, list[Row]] = {}
    for row in rows:
        of.setdefault(row["cell"], []).append(row)
    order = list(of)
    if not experiment.ordered:  # the best first
        rank = {name: i for i, name in enumerate(dict.fromkeys(group.get(name, "") for name in of))}
        order.sort(key=lambda name: (rank[group.get(name, "")], -_mean(of[name], "held_out", "mAP")))
    several = len({group.get(name) for name in of} - {"not learned", None}) > 1
    base = of.get(experiment.against)
    extra = [key for key in ("folds", "better") if any(key in row for row in rows)]
    seeds = {len(mine) for name, mine in of.items() if name not in fixed} or {1}
    uneven = len(seeds) > 1  # how many seeds a row has stands in it, then
    columns = ("", *(("switch",) if several else ()), "mAP, held out", "P@1", "Recall@10", "mAP, edits", "P@1, edits")
    if base:
        columns += ("held out, difference", "edits, difference")
    columns += tuple({"folds": "mAP of the folds", "better": "kept"}[key] for key in extra)
    lines = []
    for name in order:
        mine = of[name]
        line = [name, *([group.get(name, "")] if several else []), figure(mine, "held_out")]
        line += [f"{_mean(mine, 'held_out', measure):.3f}" for measure in ("P@1", "Recall@10")]
        line += [figure(mine, "edits"), f"{_mean(mine, 'edits', 'P@1'):.3f}"]
        if base:
            line += [
                difference(mine, base, key, name in fixed) if mine is not base else ABSENT
                for key in ("held_out", "edits")
            ]
        for key in extra:
            line.append(_extra(key, mine))
        line += [_average(mine, "alignment"), _average(mine, "uniformity"), _average(mine, "rank", 1)]
        line.append(collapses(mine))
        lines.append((*line, str(len(mine))) if uneven else tuple(line))
    columns += ("alignment", "uniformity", "rank", "collapsed", *(("seeds",) if uneven else ()))
    interval = "in brackets 95 % intervals over groups"
    spread = f"± standard deviation over {max(seeds)} seeds; with one seed, {interval}" if max(seeds) > 1 else interval
    against = f" Differences are to {experiment.against}, seed by seed." if base and max(seeds) > 1 else ""
    return Table("", f"mAP with {spread}.{against}", columns, tuple(lines))


def parts_table(by: str, title: str, rows: Sequence[Row]) -> Table:
    """mAP of every encoder by source, kind or domain; the weakest of the first encoder first."""
    encoders = [row for row in rows if by in row["parts"] and row["seed"] == 0]
    names = sorted({name for row in encoders for name in row["parts"][by]})
    first = encoders[0]["parts"][by]
    names.sort(key=lambda name: first[name]["mAP"] if name in first else 2.0)

    def cell(row: Mapping[str, Any], name: str) -> str:
        return f"{row['parts'][by][name]['mAP']:.3f}" if name in row["parts"][by] else ABSENT

    lines = tuple(
        (
            name,
            str(max(row["parts"][by].get(name, {}).get("queries", 0) for row in encoders)),
            *(cell(row, name) for row in encoders),
        )
        for name in names
    )
    columns = (title.lower(), "queries", *(row["cell"] for row in encoders))
    return Table(f"By {title.lower()}", "mAP; the weakest of the first encoder first.", columns, lines)


def figure(rows: Sequence[Row], questions: str) -> str:
    """mAP: of several seeds with their standard deviation, of one with its interval."""
    values = [row["metrics"][questions]["mAP"] for row in rows]
    if len(values) > 1:
        return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    only = rows[0]["metrics"][questions]
    return f"{values[0]:.3f} ({only['mAP_low']:.3f}–{only['mAP_high']:.3f})"


def difference(rows: Sequence[Row], base: Sequence[Row], questions: str, fixed: bool) -> str:
    """Mean difference in mAP to another cell, over the seeds that both have, with its standard deviation.

    ``fixed``: the rows are not random, and are compared with every seed of the other.
    """
    mine, other = ({row["seed"]: row["metrics"][questions]["mAP"] for row in of} for of in (rows, base))
    pairs = [(mine[0 if fixed else seed], value) for seed, value in other.items() if fixed or seed in mine]
    found = [a - b for a, b in pairs] or [_mean(rows, questions, "mAP") - _mean(base, questions, "mAP")]
    return f"{np.mean(found):+.3f}" + (f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else "")


def collapses(rows: Sequence[Row]) -> str:
    """Whether embeddings collapsed, and of several seeds how often."""
    count = sum(bool(row["collapsed"]) for row in rows)
    return "" if not count else "yes" if count == len(rows) else f"{count} of {len(rows)}"


def _mean(rows: Sequence[Row], questions: str, measure: str) -> float:
    return float(np.mean([row["metrics"][questions][measure] for row in rows]))


def _average(rows: Sequence[Row], key: str, digits: int = 2) -> str:
    known = [row[key] for row in rows if row[key] is not None]
    return f"{np.mean(known):.{digits}f}" if known else ABSENT


def _extra(key: str, rows: Sequence[Row]) -> str:
    if not any(key in row for row in rows):
        return ABSENT
    if key == "better":
        return f"{sum(row['better'] for row in rows)} of {len(rows)}"
    scores = [score for row in rows for score in row["folds"]]
    return f"{np.mean(scores):.3f} ({min(scores):.3f}–{max(scores):.3f})"
