"""Retrieval figures: how well a ranking of drawings agrees with the groups (`groups`).

Measures of one query; its hits are numbered from 1 after the query itself and everything neutral are taken out, R is
the number of its relevant files, and a relevant file that is not among the hits counts as never found:

mAP         average precision: sum over the relevant hits of (relevant hits up to here) / (rank), divided by R
P@1         1 where the first hit is relevant
MRR         1 / (rank of the first relevant hit)
AUC         share of pairs (relevant, wrong) in the right order, of the wrong ones among the hits; where a ranking lists
            its best hits alone this is a lower bound
AP@K        the sum of mAP over the first K hits, divided by min(K, R), so that a perfect ranking has 1
Recall@K    relevant hits among the first K, divided by R
nDCG@K      sum over the first K hits of grade / log2(1 + rank), divided by the same of the best possible ranking
            (Järvelin & Kekäläinen 2002, gain = grade)

A query whose drawing could not be read, or has no content, finds nothing: it counts as 0 in every measure, and is named
in the report. So all encoders are measured on the same queries, and a better reader shows.

Figures are means over queries; "mean of sources" is the mean over sources of the mean over their queries. Intervals are
95 % percentile bootstrap intervals (Efron 1979) with a fixed seed: over queries, and over groups, which is the wider
and more careful one, since the queries of a group share their answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import BoolArray, FloatArray
from deepdxf.errors import GroupsError
from deepdxf.files import replacing
from deepdxf.groups import Protocol, Query

CUTS = (10, 20, 30)
METRICS = ("mAP", "P@1", "MRR", "AUC", *(f"{name}@{k}" for k in CUTS for name in ("AP", "Recall", "nDCG")))
IN_SHORT = ("mAP", "P@1", "MRR", "Recall@10", "nDCG@10")  # columns of the tables of parts

# Neighbours in a ranking whose scores differ by no more than this are ties: matrix products of equal vectors differ in
# their last bits from machine to machine, and even within one product.
TIE = 1e-6
SCORE_DECIMALS = 6  # of rankings files
RESAMPLES = 2000
SIZES = (10, 100, 1000, 10_000)  # borders of the size buckets, entities

Indices = NDArray[np.int32]
Scores = NDArray[np.float32]


# --- rankings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rankings:
    """The answers of a search to many queries."""

    files: tuple[str, ...]  # what hits are numbers of
    hits: Mapping[str, Indices]  # query file -> numbers of its hits, best first; without the query itself
    scores: Mapping[str, Scores]  # query file -> scores of its hits, falling but for ties (`TIE`)


def rank(
    files: Sequence[str],
    vectors: NDArray[np.float32],
    queries: Sequence[str],
    query_vectors: Mapping[str, NDArray[np.float32]] | None = None,
    block: int = 256,
    level_vectors: Mapping[str, NDArray[np.float32]] | None = None,
) -> Rankings:
    """Rank all files for each query by the dot product; ties in the order of the file names.

    Drawings without content (zero vectors) are no hits. Queries that are not among ``files``, or have no content, are
    left out; `evaluate` counts them as unread.

    Args:
        files: n names, each once.
        vectors: (n, d) unit vectors.
        queries: names of files that ask.
        query_vectors: query -> (m, d), where it asks with other vectors than its own (`Encoder.query`); the score is
            the largest of the m products.
        block: queries per matrix product; memory is block · m · n floats.
        level_vectors: file -> (d,) a further vector that it is found by, where rotation is free and it is turned: that of
            the drawing laid level.
    """
    order = [i for i in sorted(range(len(files)), key=files.__getitem__) if vectors[i].any()]
    names = tuple(files[i] for i in order)
    vectors = vectors[order]
    row = {name: i for i, name in enumerate(names)}
    asking = {query: vectors[[row[query]]] for query in queries if query in row} | dict(query_vectors or {})
    asked = [(query, asking[query]) for query in queries if query in asking and asking[query].any()]

    turned = [name for name in level_vectors or {} if name in row]
    level = np.array([(level_vectors or {})[name] for name in turned], np.float32).reshape(-1, vectors.shape[1])
    places = [row[name] for name in turned]
    hits: dict[str, Indices] = {}
    scores: dict[str, Scores] = {}
    for begin in range(0, len(asked), block):
        part = asked[begin : begin + block]
        starts = np.cumsum([0] + [len(v) for _, v in part[:-1]])
        queried = np.concatenate([v for _, v in part])
        products = np.maximum.reduceat(queried @ vectors.T, starts, axis=0)
        others = np.maximum.reduceat(queried @ level.T, starts, axis=0)
        products[:, places] = np.maximum(products[:, places], others)
        for (query, _), score in zip(part, products, strict=True):
            best = best_first(score)
            best = best[best != row.get(query, -1)]
            hits[query], scores[query] = best, score[best]
    return Rankings(names, hits, scores)


def best_first(scores: Scores) -> Indices:
    """(n,) places of the scores from the best to the worst; ties (`TIE`) in their order."""
    best = np.argsort(-scores).astype(np.int32)
    level = np.cumsum(-np.diff(scores[best], prepend=np.inf) > TIE)
    return best[np.lexsort((best, level))]


def write_rankings(path: Path, rankings: Rankings, depth: int | None = None) -> None:
    """A line of JSON a query, ``{"query": file, "hits": [[file, score], …]}``, sorted by query.

    Args:
        depth: write the best hits alone; default all, about 80 bytes each.
    """
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for query in sorted(rankings.hits):
            hits = [
                [rankings.files[i], round(float(score), SCORE_DECIMALS)]
                for i, score in zip(rankings.hits[query][:depth], rankings.scores[query][:depth], strict=True)
            ]
            file.write(json.dumps({"query": query, "hits": hits}, ensure_ascii=False) + "\n")


def read_rankings(path: Path) -> Rankings:
    """Read what `write_rankings`, or any other search, wrote. Hits keep their order; scores are not ranked anew.

    Raises:
        GroupsError: the file cannot be read, a line has another form, a query or one of its hits stands twice.
    """
    number_of: dict[str, int] = {}
    hits: dict[str, Indices] = {}
    scores: dict[str, Scores] = {}
    for where, line in _lines(path):
        try:
            entry = json.loads(line)
            query, answers = entry["query"], entry["hits"]
            if not all(isinstance(file, str) for file in (query, *(file for file, _ in answers))):
                raise TypeError
            pairs = [(file, float(score)) for file, score in answers if file != query]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise GroupsError(f'{where}: not of the form {{"query": file, "hits": [[file, score], …]}}') from error
        if query in hits:
            raise GroupsError(f"{where}: the query {query!r} stands there twice")
        numbers = [number_of.setdefault(file, len(number_of)) for file, _ in pairs]
        if len(set(numbers)) < len(numbers):
            raise GroupsError(f"{where}: a hit of {query!r} stands there twice")
        hits[query] = np.array(numbers, np.int32)
        scores[query] = np.array([score for _, score in pairs], np.float32)
    return Rankings(tuple(number_of), hits, scores)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Place ("file, line 3") and text of the lines of a file that are not blank."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}, line {number}", line
    except OSError as error:
        raise GroupsError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise GroupsError(f"{path}: not in UTF-8") from error


# --- measures --------------------------------------------------------------------------------------------------------


def measures(grades: FloatArray, relevant: FloatArray) -> dict[str, float]:
    """All `METRICS` of one query.

    Args:
        grades: (h,) grades of its hits, best hit first, 0 = wrong; neutral ones are taken out already.
        relevant: (R,) grades of all that is relevant, found or not, R ≥ 1.
    """
    position = np.flatnonzero(grades > 0)  # ranks of the relevant hits, less 1
    precision = np.arange(1, len(position) + 1) / (position + 1)
    wrong = len(grades) - len(position)
    wrong_below = wrong - (position - np.arange(len(position)))
    total = len(relevant)
    result = {
        "mAP": precision.sum() / total,
        "P@1": float(len(position) > 0 and position[0] == 0),
        "MRR": 1 / (position[0] + 1) if len(position) else 0.0,
        "AUC": wrong_below.sum() / (wrong * total) if wrong else np.nan,
    }
    best = np.sort(relevant)[::-1]
    discount = 1 / np.log2(np.arange(max(CUTS)) + 2)
    for k in CUTS:
        within = position < k
        result[f"AP@{k}"] = precision[within].sum() / min(k, total)
        result[f"Recall@{k}"] = within.sum() / total
        result[f"nDCG@{k}"] = (grades[:k] @ discount[: len(grades[:k])]) / (best[:k] @ discount[: len(best[:k])])
    return {name: float(value) for name, value in result.items()}


def bootstrap(
    values: FloatArray,
    clusters: NDArray[np.int64],
    strata: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> FloatArray:
    """95 % percentile intervals (m, 2) of the means of (q, m) values; NaN values are left out of their mean.

    Args:
        clusters: (q,) numbers 0 … c − 1; clusters are drawn with replacement, whole. `np.arange(q)` draws the values.
        strata: (q,) numbers; with them the statistic is the mean, over the strata drawn, of the stratum's mean.
    """
    c = int(clusters.max()) + 1
    drawn = np.random.default_rng(seed).integers(c, size=(resamples, c)) + np.arange(resamples)[:, None] * c
    weight = np.bincount(drawn.ravel(), minlength=resamples * c).reshape(resamples, c)[:, clusters].astype(float)
    strata = np.zeros(len(values), np.int64) if strata is None else strata
    known = np.isfinite(values)
    sums, counts = [], []
    for stratum in np.unique(strata):
        of = strata == stratum
        sums.append(weight[:, of] @ np.where(known, values, 0)[of])
        counts.append(weight[:, of] @ known[of])
    with np.errstate(invalid="ignore"):
        means = np.stack(sums) / np.stack(counts)  # NaN where a stratum was not drawn
        statistic = np.nansum(means, axis=0) / np.isfinite(means).sum(axis=0)
    intervals = np.full((values.shape[1], 2), np.nan)
    for i, column in enumerate(statistic.T):
        if np.isfinite(column).any():
            intervals[i] = np.percentile(column[np.isfinite(column)], [2.5, 97.5])
    return intervals


# --- evaluation ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of one search on one protocol: every measure of every query, and ways to sum them up."""

    queries: tuple[Query, ...]
    values: FloatArray  # (q, len(METRICS)), NaN = not defined for this query
    labels: Mapping[str, tuple[str, ...]]  # "kind", "source", "size", "edit" -> (q) part that a query belongs to
    searched: int  # files that occur in the rankings
    unread: tuple[str, ...]  # queries without a ranking, counted as 0
    unread_relevant: int  # pairs (query, relevant file) whose file does not occur in the rankings, counted as not found
    without_relevant: int  # members of groups that could not ask

    def mean(self, metric: str) -> float:
        """Mean over queries."""
        return _mean(self.values[:, METRICS.index(metric)])

    def mean_of_sources(self, metric: str) -> float:
        """Mean over sources of the mean over their queries."""
        return _mean(np.array([part[metric] for _, part in self.parts("source").values()]))

    def parts(self, by: str) -> dict[str, tuple[int, dict[str, float]]]:
        """Number of queries and mean of every measure for each kind, source, size or edit."""
        labels = np.array(self.labels[by], dtype=object)
        names = sorted(set(labels), key=_size_order if by == "size" else None)
        return {name: (int((labels == name).sum()), _means(self.values[labels == name])) for name in names}

    def to_json(self) -> dict[str, Any]:
        """Everything but the single queries, for `json.dumps`; undefined figures are null."""
        groups = _numbers([query.group for query in self.queries])
        sources = _numbers(self.labels["source"])
        each = np.arange(len(self.queries))
        intervals = {
            "interval": bootstrap(self.values, each),
            "interval_by_group": bootstrap(self.values, groups),
            "mean_of_sources_interval": bootstrap(self.values, each, sources),
        }
        metrics = {
            name: {
                "mean": _plain(self.mean(name)),
                "mean_of_sources": _plain(self.mean_of_sources(name)),
                **{key: [_plain(x) for x in value[i]] for key, value in intervals.items()},
            }
            for i, name in enumerate(METRICS)
        }
        parts = {
            by: {
                name: {"queries": n, **{m: _plain(x) for m, x in means.items()}}
                for name, (n, means) in self.parts(by).items()
            }
            for by in self.labels
        }
        return {
            "queries": len(self.queries),
            "files": self.searched,
            "unread_queries": list(self.unread),
            "unread_relevant": self.unread_relevant,
            "without_relevant": self.without_relevant,
            "metrics": metrics,
            "by": parts,
        }

    def table(self) -> str:
        """Plain text: all measures with intervals, then the main ones by kind, source, size and edit."""
        report = self.to_json()
        head = f"{len(self.queries)} queries in {self.searched} drawings"
        if self.unread:
            head += f"; drawings that ask but were not read, whose queries count as 0: {len(self.unread)}"
        if self.unread_relevant:
            head += f"; right answers that were not read, which count as not found: {self.unread_relevant}"
        if self.without_relevant:
            head += f"; members of groups that do not ask, for want of another drawing to find: {self.without_relevant}"
        rows = [
            [name, f"{m['mean']:.3f}", *(_span(m[key]) for key in ("interval", "interval_by_group")),
             f"{m['mean_of_sources']:.3f}", _span(m["mean_of_sources_interval"])]
            for name, m in report["metrics"].items()
            if m["mean"] is not None
        ]  # fmt: skip
        blocks = [
            head,
            _columns(["", "mean", "95 % (queries)", "95 % (groups)", "mean of sources", "95 % (queries)"], rows),
        ]
        for by in self.labels:
            rows = [[n, str(q), *(f"{m[x]:.3f}" for x in IN_SHORT)] for n, (q, m) in self.parts(by).items()]
            blocks.append(_columns([f"by {by}", "queries", *IN_SHORT], rows))
        return "\n\n".join(blocks)


def evaluate(rankings: Rankings, protocol: Protocol, sizes: Mapping[str, int] | None = None) -> Evaluation:
    """Measure rankings, from `rank`, from a re-ranking or from a file, on a protocol.

    Args:
        sizes: file -> number of entities, for the figures by size; queries of unknown size are a part of their own.

    Raises:
        GroupsError: none of the queries has a ranking.
    """
    asked = [query.file in rankings.hits for query in protocol.queries]
    if not any(asked):
        raise GroupsError(
            f"none of the {len(protocol.files)} drawings that ask, such as {protocol.files[0]}, was read; "
            "paths in the groups file must be relative to the folder of the drawings"
        )
    number = {file: i for i, file in enumerate(rankings.files)}
    values = np.zeros((len(protocol.queries), len(METRICS)))
    for i, query in enumerate(protocol.queries):
        if asked[i]:
            result = measures(
                _grades(query, rankings.hits[query.file], number), np.array(list(query.relevant.values()))
            )
            values[i] = [result[name] for name in METRICS]
    sizes = sizes or {}
    labels: dict[str, Callable[[Query], str]] = {
        "kind": lambda query: query.kind,
        "source": lambda query: protocol.source(query.file),
        "size": lambda query: size_bucket(sizes.get(query.file)),
        "edit": lambda query: query.edit or "unknown",
    }
    return Evaluation(
        protocol.queries,
        values,
        {by: tuple(label(query) for query in protocol.queries) for by, label in labels.items()},
        len(rankings.files),
        tuple(sorted({q.file for q, ok in zip(protocol.queries, asked, strict=True) if not ok})),
        sum(file not in number for query in protocol.queries for file in query.relevant),
        protocol.without_relevant,
    )


def size_bucket(entities: int | None) -> str:
    """Name of the bucket of a number of entities: powers of ten."""
    if entities is None:
        return "unknown"
    bucket = int(np.searchsorted(SIZES, entities, "right"))
    if bucket == 0:
        return f"below {SIZES[0]}"
    return f"from {SIZES[bucket - 1]}" if bucket == len(SIZES) else f"{SIZES[bucket - 1]} to {SIZES[bucket] - 1}"


def _grades(query: Query, hits: Indices, number: Mapping[str, int]) -> FloatArray:
    """Grades of the hits of a query, best first, without the query and what is neutral."""
    grade = np.zeros(len(number))
    for file in (query.file, *query.neutral):
        if file in number:
            grade[number[file]] = np.nan
    for file, value in query.relevant.items():
        if file in number:
            grade[number[file]] = value
    grades = grade[hits]
    known: BoolArray = ~np.isnan(grades)
    return grades[known]


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """Names as numbers 0 … of the sorted different names."""
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def _mean(values: FloatArray) -> float:
    """Mean of what is not NaN; NaN of nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _means(values: FloatArray) -> dict[str, float]:
    return {name: _mean(column) for name, column in zip(METRICS, values.T, strict=True)}


def _plain(value: float) -> float | None:
    """A number as JSON has it: NaN is null; six decimals are more than any figure is good for."""
    return None if np.isnan(value) else round(float(value), 6)


def _size_order(name: str) -> int:
    known = [size_bucket(size) for size in (0, *SIZES)]
    return known.index(name) if name in known else len(known)


def _span(interval: Sequence[float | None]) -> str:
    return " … ".join("–" if x is None else f"{x:.3f}" for x in interval)


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in columns, the first one to the left, the others to the right."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    lines = [
        [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        for line in (header, *rows)
    ]
    lines.insert(1, ["─" * width for width in widths])
    return "\n".join("  ".join(line).rstrip() for line in lines)
