"""Experiments: the cells of a set one after the other, each a line of results.jsonl; what is finished is never run again.

    run("objectives", "small", Path("runs/objectives"), seeds=3)

The folder of an experiment:

    experiment.json   what was asked for; a folder is for one experiment
    data/             the drawings, see `experiment_data`
    cells/            a folder a learned cell: its settings and the figures of every step
    results.jsonl     a line a finished cell, in the order of the set
    tables.md         made of results.jsonl by `experiment_tables`
    worst-….html/csv  of experiments by domain: the queries that are answered worst

A cell that fails is a line too, with its error, and is tried again by the next run. A cell that was cut off goes on from
its checkpoint to the same figures.
"""

from __future__ import annotations

import copy
import csv
import functools
import json
import operator
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepdxf import config as configuration
from deepdxf.background import Background
from deepdxf.checkpoint import load_model, save_model
from deepdxf.config import TrainConfig
from deepdxf.drawing import FloatArray
from deepdxf.encoder import Vectors
from deepdxf.encoder import load as load_encoder
from deepdxf.encoders.dual import DualEncoder
from deepdxf.errors import DeepDXFError
from deepdxf.evaluate import METRICS, Evaluation, bootstrap
from deepdxf.experiment_data import Bench, Given, prepare
from deepdxf.experiment_sets import EVERY_SIZE, Cell, Set, Size, chosen, find
from deepdxf.experiment_tables import Row, markdown, read_results
from deepdxf.files import replacing
from deepdxf.finetune import finetune
from deepdxf.held_out import HeldOut, embedded
from deepdxf.processes import Processes
from deepdxf.render import thumbnail
from deepdxf.report import Card, Section, plain, sections, write_csv, write_json
from deepdxf.store import Store
from deepdxf.train import BEST, CHECKPOINT, CONFIG, MODEL_FOLDER, Fitted, cross_validate, fit, limited, untrained
from deepdxf.watch import Watch, alignment, effective_rank, std_sqrt_d, uniformity

RESULTS, TABLES, ASKED = "results.jsonl", "tables.md", "experiment.json"
SHOWN = ("mAP", "P@1", "Recall@10")
WORST = 20  # queries that are listed
READY_SECONDS = 5.0  # guess for a cell that trains nothing
DECIMALS = 6

Embed = Callable[[HeldOut], Vectors]


@dataclass(frozen=True)
class Job:
    """A cell with a seed."""

    cell: Cell
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        """What a row is known by."""
        return self.cell.name, self.seed

    @property
    def learned(self) -> bool:
        """Whether something is trained."""
        return self.cell.kind not in ("ready", "untrained")

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{re.sub(r'[^a-z0-9.]+', '-', self.cell.name.lower()).strip('-')}-{self.seed}"


def run(
    name: str,
    size_name: str,
    folder: Path,
    *,
    seeds: int = 1,
    only: Sequence[str] = (),
    overrides: Sequence[str] = (),
    given: Given | None = None,
    quiet: bool = False,
) -> list[Row]:
    """Run an experiment, or go on with it; see the module's head.

    Args:
        name, size_name: see `experiment_sets`.
        folder: of the experiment.
        seeds: each learned cell is run with seeds 0 … seeds − 1.
        only: names of cells; none: all of them.
        overrides: ``key=value`` settings of all learned cells, over those of the set.
        given: drawings of the user; None: generated ones.
        quiet: no messages about progress.

    Returns:
        All rows of the folder.

    Raises:
        DeepDXFError: there is no such experiment, cell or setting; the folder holds another experiment; drawings cannot
            be read; a file cannot be written.
    """
    experiment, size = find(name, size_name)
    wanted = chosen(experiment, only)
    base = settings_of(experiment, size, overrides)  # before anything is made: it may name an unknown key
    for cell in wanted:
        if cell.kind in ("train", "folds", "untrained"):
            configuration.varied(base, cell.settings)
    remember(folder, experiment, size_name, overrides, given)
    say = _say if not quiet else _nothing
    say(f"{experiment.title}: reading the drawings")
    bench = prepare(folder / "data", experiment, size, given, quiet)
    asked = [
        f"{len(of.protocol.queries)} {key} among {len(of.names)}" for key, of in bench.questions.items() if of.asks
    ]
    say(f"{len(bench.data.train)} drawings to train on; queries: {', '.join(asked)}")
    common = values_of(experiment, overrides)
    results = Results(folder, experiment, seeds, common)
    runner = Runner(experiment, size_name, base, bench, folder, common)
    todo = results.missing(wanted)
    learned = sum(job.learned for job in todo)
    seconds = results.seconds() or ([runner.probe()] if learned else [])

    def time_for(cells: int, trained: int) -> str:
        return duration(trained * float(np.mean(seconds or [0.0])) + (cells - trained) * READY_SECONDS)

    say(f"{len(todo)} of {len(jobs(experiment, seeds))} cells to run, about {time_for(len(todo), learned)}")
    spent: list[float] = []
    for number, job in enumerate(todo, 1):
        row = runner.row(job)
        results.add(row)
        if job.learned:
            learned -= 1
            spent.append(row["seconds"])
            seconds = spent  # how fast it is now says more than how fast it was
        outcome = row["error"] or ", ".join(f"{key} mAP {of['mAP']:.3f}" for key, of in row["metrics"].items())
        left = time_for(len(todo) - number, learned)
        place = f"[{number}/{len(todo)}] {job.cell.name}, seed {job.seed}"
        say(f"{place}: {outcome}; {row['seconds']:.0f} s, about {left} left")
    results.write()
    return results.listed()


class Results:
    """The rows of an experiment's folder, in the order of its set."""

    def __init__(self, folder: Path, experiment: Set, seeds: int, common: Mapping[str, Any]) -> None:
        self.folder, self.experiment = folder, experiment
        found = {(row["cell"], row["seed"]): row for row in read_results(folder / RESULTS, missing_ok=True)}
        self.plan = jobs(experiment, seeds)
        self.order = [job.key for job in jobs(experiment, max([seeds, *(seed + 1 for _, seed in found)]))]
        # a row of other settings, or of none that is declared, is of another cell
        settings = {job.cell.name: plain({**common, **described(job.cell)}) for job in self.plan}
        self.rows = {key: row for key, row in found.items() if settings.get(key[0]) == row["settings"]}

    def missing(self, wanted: Sequence[Cell]) -> list[Job]:
        """What is to be run of some cells: what has not been, or has failed."""
        return [
            job for job in self.plan if job.cell in wanted and (job.key not in self.rows or self.rows[job.key]["error"])
        ]

    def seconds(self) -> list[float]:
        """How long learned cells took."""
        return [row["seconds"] for row in self.rows.values() if row["steps"] and not row["error"]]

    def add(self, row: Row) -> None:
        """One more row, on the disk when this returns."""
        self.rows[row["cell"], row["seed"]] = row
        self.write()

    def listed(self) -> list[Row]:
        """All rows."""
        return [self.rows[key] for key in self.order if key in self.rows]

    def write(self) -> None:
        """Results and tables; each whole or not at all."""
        write_results(self.folder / RESULTS, self.listed())
        with replacing(self.folder / TABLES) as partial:
            partial.write_text(markdown(self.experiment.name, self.listed()), encoding="utf-8", newline="\n")


def jobs(experiment: Set, seeds: int) -> list[Job]:
    """Every cell once, then again with every further seed; what is not random only once."""
    return [Job(cell, seed) for seed in range(seeds) for cell in experiment.cells if seed == 0 or cell.kind != "ready"]


def settings_of(experiment: Set, size: Size, overrides: Sequence[str]) -> TrainConfig:
    """The configuration that the cells of a set differ from.

    Raises:
        DeepDXFError: an override is none, or names an unknown key.
    """
    config = configuration.load(experiment.configuration)
    config = configuration.varied(config, {**EVERY_SIZE, **size.settings, **experiment.settings})
    return configuration.varied(config, values_of(experiment, overrides))


def values_of(experiment: Set, overrides: Sequence[str]) -> dict[str, Any]:
    """Values by key of overrides, which are YAML.

    Raises:
        DeepDXFError: see `config.load`.
    """
    tree = configuration.to_dict(configuration.load(experiment.configuration, overrides))
    values = {}
    for key in (override.partition("=")[0] for override in overrides):
        values[key] = functools.reduce(operator.getitem, key.split("."), tree)
    return values


def described(cell: Cell) -> dict[str, Any]:
    """What a cell differs in, for its row: its settings, and the cell whose model it has."""
    return {**cell.settings, **({"model": cell.model} if cell.model else {})}


def remember(folder: Path, experiment: Set, size: str, overrides: Sequence[str], given: Given | None) -> None:
    """Write what is asked for into a new folder, or compare it with what was.

    Raises:
        DeepDXFError: the folder is of another experiment, or cannot be written.
    """
    drawings = None if given is None else {"drawings": str(given.drawings), "groups": str(given.groups)}
    if given is not None and given.test is not None:
        drawings = {**(drawings or {}), "test": sorted(given.test)}  # type: ignore[dict-item]  # a list
    asked = {"experiment": experiment.name, "size": size, "overrides": list(overrides), "drawings": drawings}
    path = folder / ASKED
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DeepDXFError(f"{path} is damaged; name another folder") from error
        if differing := [key for key in asked if before.get(key) != asked[key]]:
            raise DeepDXFError(f"{folder} holds an experiment with another {differing[0]}; name another folder")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeepDXFError(f"cannot make the folder {folder}: {error.strerror or error}; name another") from error
    write_json(path, asked)


def write_results(path: Path, rows: Iterable[Row]) -> None:
    """A line a row; whole or not at all."""
    with replacing(path) as partial:
        lines = (json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows)
        partial.write_text("".join(lines), encoding="utf-8", newline="\n")


# --- one cell --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a cell gave."""

    embed: Embed  # vectors of drawings and edits, as they are served
    plain: Embed  # the same before whitening
    steps: int = 0
    drawings: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)  # further figures of the row


class Runner:
    """Runs the cells of an experiment."""

    def __init__(
        self, experiment: Set, size: str, base: TrainConfig, bench: Bench, folder: Path, common: Mapping[str, Any]
    ) -> None:
        self.experiment, self.size, self.base, self.bench, self.folder = experiment, size, base, bench, folder
        self.common = common
        self.commit = commit()

    def row(self, job: Job) -> Row:
        """Run a cell; its line of the results, whatever happens."""
        start = time.perf_counter()
        row: Row = {
            "experiment": self.experiment.name, "cell": job.cell.name, "seed": job.seed,
            "settings": {**self.common, **described(job.cell)}, "size": self.size, "steps": 0, "seconds": 0.0,
            "drawings": 0, "commit": self.commit, "metrics": {}, "alignment": None, "uniformity": None, "rank": None,
            "collapsed": None, "error": None,
        }  # fmt: skip
        try:
            outcome = self.outcome(job)
            row |= {
                "steps": outcome.steps,
                "drawings": outcome.drawings,
                **self.measured(job, outcome),
                **outcome.extra,
            }
        except Exception as error:  # a set goes on whatever a cell does
            text = " ".join(str(error).split())
            row["error"] = text if isinstance(error, DeepDXFError) else f"{type(error).__name__}: {text}"
        row["seconds"] = round(time.perf_counter() - start, 1)
        return plain(row)  # type: ignore[no-any-return]

    def outcome(self, job: Job) -> Outcome:
        """Make what a cell is about."""
        if job.cell.kind == "ready":
            encoder = load_encoder(job.cell.encoder)
            embed: Embed = lambda of: encoder.encode([*of.drawings, *of.edits.values()])  # noqa: E731
            return Outcome(embed, embed)
        place = self.folder / "cells" / job.folder
        place.mkdir(parents=True, exist_ok=True)
        if job.cell.kind == "finetune":
            return self.tuned(job, place)
        config = replace(configuration.varied(self.base, job.cell.settings), seed=job.seed)
        if job.cell.model:
            config = replace(config, teacher=str(self.model_of(job)))
        if (place / CONFIG).exists() and (place / CONFIG).read_text(encoding="utf-8") != configuration.to_yaml(config):
            shutil.rmtree(place)
            place.mkdir()
        with replacing(place / CONFIG) as partial:
            partial.write_text(configuration.to_yaml(config), encoding="utf-8")
        data = limited(self.bench.data, config)
        if job.cell.kind == "untrained":
            background = Background.of(data.store, data.train, config.encoder, config.seed)
            model = untrained(config, background)
            background.whiten(model)
            return self.of_model(model)
        extra = self.folds(config, place) if job.cell.kind == "folds" else {}
        config = replace(config, data=replace(config.data, folds=0))
        fitted = self.fitted(config, place)
        if any(cell.model == job.cell.name for cell in self.experiment.cells):
            save_model(fitted.model, place / MODEL_FOLDER, onnx=False)
        for name in (CHECKPOINT, BEST):  # what is left is small
            for path in place.rglob(name):
                path.unlink()
        return self.of_model(fitted.model, fitted.steps, len(data.train), extra)

    def fitted(self, config: TrainConfig, place: Path) -> Fitted:
        """Train as long as the configuration says."""
        data = limited(self.bench.data, config)
        return fit(config, data, place, samples=self.bench.samples(config), resume=True, quiet=True)

    def folds(self, config: TrainConfig, place: Path) -> dict[str, Any]:
        """Scores of the folds, each the validation part once."""
        store, rows = self.bench.data.store, self.bench.data.train
        data = replace(config.data, test=0.0)
        protocol = self.bench.data.protocol
        cross_validate(replace(config, data=data), store.select(rows), protocol, place, quiet=True, among=Processes())
        with (place / "folds.csv").open(encoding="utf-8", newline="") as file:
            scores = [float(line["score"]) for line in csv.DictReader(file)]
        return {"folds": scores}

    def tuned(self, job: Job, place: Path) -> Outcome:
        """A model trained further on the archive; where that made it worse, the model as it was."""
        config = configuration.varied(configuration.load("finetune"), {"data.workers": 0, "checkpoint.onnx": False})
        config = replace(configuration.varied(config, job.cell.settings), seed=job.seed)
        store = self.bench.archive
        written = place / "archive"
        Store.write(written, {store.names[i]: store[i] for i in range(len(store))})
        config = replace(config, data=replace(config.data, store=str(written)))
        start = self.model_of(job)
        report = finetune([], start, place / "run", config, resume=True, quiet=True)
        model = load_model(report["model"])
        extra = {"better": report["better"], "before": report["before"], "after": report["after"]}
        for unwanted in (written, place / "run" / "sanity"):
            shutil.rmtree(unwanted, ignore_errors=True)
        for name in (CHECKPOINT, BEST):
            (place / "run" / name).unlink(missing_ok=True)
        return self.of_model(model, report["steps"], report["drawings"]["training"], extra)

    def model_of(self, job: Job) -> Path:
        """Folder of the model that a cell begins with, or imitates.

        Raises:
            DeepDXFError: that cell has not been run, or failed.
        """
        cell = next(cell for cell in self.experiment.cells if cell.name == job.cell.model)
        folder = self.folder / "cells" / Job(cell, job.seed).folder / MODEL_FOLDER
        if not folder.is_dir():
            raise DeepDXFError(
                f"there is no model of cell {cell.name!r} with seed {job.seed}: it failed, or its folder is gone"
            )
        return folder

    def of_model(
        self, model: DualEncoder, steps: int = 0, drawings: int = 0, extra: Mapping[str, Any] | None = None
    ) -> Outcome:
        """The outcome that is a model."""
        bare = copy.copy(model)
        bare.config = replace(model.config, whitening=0)  # the same weights
        asked = {id(of): name for name, of in self.bench.questions.items()}
        codes = self.bench.asked(model.config)
        return Outcome(
            lambda of: embedded(model, codes[asked[id(of)]].batches),
            lambda of: embedded(bare, codes[asked[id(of)]].batches),
            steps,
            drawings,
            extra or {},
        )

    def measured(self, job: Job, outcome: Outcome) -> dict[str, Any]:
        """All figures of a row."""
        metrics = {}
        found: dict[str, Any] = {}
        for name in ("held_out", "edits"):
            of = self.bench.questions[name]
            vectors = outcome.embed(of)
            evaluation = of.of_vectors(vectors)
            metrics[name] = figures(evaluation)
            if name == "held_out" and self.experiment.by_domain:
                found["parts"] = self.parts(evaluation)
                self.write_worst(job, of, vectors, evaluation)
        pairs = self.bench.questions["pairs"]
        vectors = outcome.plain(pairs)
        a, b = vectors[: len(pairs.names)], vectors[len(pairs.names) :]
        rank, limits = effective_rank(a), Watch()
        found |= {
            "alignment": round(alignment(a, b), DECIMALS),
            "uniformity": round(uniformity(a), DECIMALS),
            "rank": round(rank, 3),
            "collapsed": bool(std_sqrt_d(a) < limits.least_std or rank < limits.least_rank),
        }
        return {"metrics": metrics, **found}

    def probe(self) -> float:
        """Seconds of a cell whose views are made already, from a few steps and one measurement."""
        spent = []
        short = limited(self.bench.data, self.base)
        with tempfile.TemporaryDirectory() as folder:
            for number, steps in enumerate((3, 1, 3)):  # the first makes the views, and loads what torch loads late
                config = replace(self.base, stopping=replace(self.base.stopping, steps=steps))
                place = Path(folder, str(number))
                place.mkdir()
                start = time.perf_counter()
                fitted = fit(config, short, place, samples=self.bench.samples(config), quiet=True)
                spent.append(time.perf_counter() - start)
        start = time.perf_counter()
        outcome = self.of_model(fitted.model)
        for of in self.bench.questions.values():
            outcome.embed(of)
        measuring = time.perf_counter() - start
        step = max(spent[2] - spent[1], 0.0) / 2
        return (1 + self.base.data.folds) * (spent[1] + (self.base.stopping.steps - 1) * step) + measuring

    # --- by domain ---

    def parts(self, evaluation: Evaluation) -> dict[str, dict[str, dict[str, float]]]:
        """Figures by kind of group, by source, and by domain where it is known."""
        labels = {by: list(evaluation.labels[by]) for by in ("kind", "source")}
        if self.bench.domains:
            labels["domain"] = [self.bench.domains.get(query.file, "unknown") for query in evaluation.queries]
        found: dict[str, dict[str, dict[str, float]]] = {}
        for by, of in labels.items():
            names = np.array(of, dtype=object)
            found[by] = {
                name: {"queries": int((names == name).sum()), **_means(evaluation.values[names == name])}
                for name in sorted(set(of))
            }
        return found

    def write_worst(self, job: Job, of: HeldOut, vectors: Vectors, evaluation: Evaluation) -> None:
        """The queries whose first right hit stands lowest: a CSV, and a page of pictures."""
        first = evaluation.values[:, METRICS.index("MRR")]
        average = evaluation.values[:, METRICS.index("mAP")]
        place = {name: i for i, name in enumerate(of.names)}
        lines, shown = [], []
        for number in np.lexsort((average, first))[:WORST].tolist():
            query = evaluation.queries[number]
            scores = vectors @ vectors[place[query.file]]
            out = [place[name] for name in (query.file, *query.neutral) if name in place]
            scores[out] = -np.inf
            right = max((place[name] for name in query.relevant if name in place), key=lambda i: float(scores[i]))
            rank = round(1 / first[number]) if first[number] > 0 else None
            best = int(np.argmax(scores))
            lines.append({
                "query": query.file, "kind": query.kind, "source": evaluation.labels["source"][number], "first right": rank,
                "mAP": round(float(average[number]), 4), "right": of.names[right], "instead": of.names[best],
            })  # fmt: skip
            cards = [
                Card(of.names[i], thumbnail(of.drawings[i]), {"role": role, "score": round(float(score), 3)})
                for role, i, score in (
                    ("query", place[query.file], 1.0),
                    (f"right, found at place {rank or '–'}", right, scores[right]),
                    ("first hit", best, scores[best]),
                )
            ]
            heading = f"{query.kind}, {evaluation.labels['source'][number]}"
            shown.append(Section(heading, f"The first right hit stands at place {rank or '–'}.", cards))
        write_csv(self.folder / f"worst-{job.folder}.csv", lines)
        title = f"{job.cell.name}: queries that are answered worst"
        sections(self.folder / f"worst-{job.folder}.html", shown, title=title)


def figures(evaluation: Evaluation) -> dict[str, float]:
    """Means of the measures that are shown, and the 95 % interval of mAP over groups."""
    _, group = np.unique([query.group for query in evaluation.queries], return_inverse=True)
    low, high = bootstrap(evaluation.values[:, [METRICS.index("mAP")]], group.reshape(-1))[0]
    shown = {name: round(evaluation.mean(name), DECIMALS) for name in SHOWN}
    interval = {"mAP_low": round(float(low), DECIMALS), "mAP_high": round(float(high), DECIMALS)}
    return {"mAP": shown["mAP"], **interval, **shown}


def _means(values: FloatArray) -> dict[str, float]:
    return {name: round(float(values[:, METRICS.index(name)].mean()), 4) for name in ("mAP", "P@1", "MRR")}


def commit() -> str | None:
    """Short name of the commit that runs; None where the package is not run out of its repository."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _nothing(text: str) -> None:
    pass
