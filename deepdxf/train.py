"""Training of the two encoders: one readable loop, and what stands before and behind it.

    run(config, folder)     drawings -> store -> split -> (cross-validation) -> `fit` -> model, evaluation.json

A run's folder holds config.yaml (as run), log.txt, metrics.csv, metrics.jsonl, checkpoint.pt (from which `resume` goes on,
to the same weights bit by bit), best.pt (the weights that are kept), and at the end model/ and evaluation.json.

Everything random follows from the configuration's seed and the number of the step, chunk, epoch or drawing; no generator
has a state that would have to be kept.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import pickle
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepdxf import config as configuration
from deepdxf.background import Background
from deepdxf.batch import progress_bar
from deepdxf.checkpoint import load_model, save_model
from deepdxf.config import TrainConfig
from deepdxf.drawing import BoolArray, IntArray
from deepdxf.encoder import load as load_encoder
from deepdxf.encoders.dual import DualEncoder
from deepdxf.errors import DeepDXFError
from deepdxf.evaluate import IN_SHORT
from deepdxf.files import replacing
from deepdxf.gradients import Chunk, Parts, backward, seed_everything
from deepdxf.groups import Protocol, load_groups, read_members, read_sources
from deepdxf.held_out import HeldOut, held_out
from deepdxf.learner import Facts, Learner
from deepdxf.loader import Key, Loader, Plan, Samples
from deepdxf.optim import average, ema_decay, lr_share, optimiser_for, set_lr
from deepdxf.processes import Processes, processes
from deepdxf.report import write_json
from deepdxf.store import EMPTY_HASH, Store, components, split
from deepdxf.synth import generate
from deepdxf.tracking import Tracker
from deepdxf.watch import Watch

FORMAT = 1  # of checkpoints
CONFIG, CHECKPOINT, BEST, EVALUATION = "config.yaml", "checkpoint.pt", "best.pt", "evaluation.json"
MODEL_FOLDER = "model"
NEVER = 1 << 60  # a number of steps
VALIDATION_EPOCH = (
    1 << 30
)  # "epoch" of the views of validation drawings: the same every time, and never one of training
MODEL, START, LOSS, AMOUNT, LABELS = 1, 2, 3, 4, 5  # first number of seeds, by what they are for


class NotFinite(Exception):
    """Embeddings, a loss or a gradient of a batch are not numbers."""


class TrainingError(DeepDXFError):
    """Training cannot begin or go on."""


@dataclass
class Progress:
    """How far a run has come; all of it is in the checkpoint."""

    epoch: int = 0
    done: int = 0  # batches of this epoch that are done
    step: int = 0  # steps in all
    best: float = -math.inf  # score of best.pt
    least: float = math.inf  # validation loss, the least so far
    waited: int = 0  # validations since one of the two got better
    bad: int = 0  # batches in a row without finite gradients


@dataclass(frozen=True)
class Fitted:
    """What came out of `fit`."""

    model: DualEncoder  # with the weights that are kept
    score: float  # of the validation part; NaN: there is none
    loss: float  # least validation loss
    steps: int
    stopped: str  # why training ended, in words


# --- data --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Data:
    """Drawings and their parts; parts are numbers of drawings of the store, ascending."""

    store: Store
    train: IntArray
    validation: IntArray
    test: IntArray
    protocol: Protocol | None = None  # questions that groups.csv knows
    same: str = "family"  # see `DataConfig.same`
    labelled: BoolArray | None = None  # (n,) drawings of the store whose families are told as labels; None: all

    @cached_property
    def connected(self) -> IntArray:
        """(n,) number of the group of same drawings, by content and family, of every drawing."""
        return components(self.store, by_source=False)

    def alike(self, rows: IntArray) -> tuple[IntArray, BoolArray]:
        """Drawings that are no negatives of each other: (b,) their groups, −1 = none, and (b, b) whether two are."""
        if self.same == "family":
            return self.connected[rows], self.store.same_matrix(rows)
        content = self.store.hashes[rows] if self.same == "content" else np.full(len(rows), EMPTY_HASH)
        known = content != EMPTY_HASH
        same = (content[:, None] == content) & known | np.eye(len(rows), dtype=bool)
        return np.where(known, content, -1), same

    def facts(self, batch: Sequence[Key], step: int, steps: int) -> Facts:
        """What is known of the drawings of a batch."""
        rows = np.concatenate([key.rows for key in batch]).astype(np.int64)
        groups, same = self.alike(rows)
        labels = self.store.families[rows]
        if self.labelled is not None:
            labels = np.where(self.labelled[rows], labels, -1)
        return Facts(
            torch.from_numpy(np.searchsorted(self.train, rows)),
            torch.from_numpy(groups),
            torch.from_numpy(labels),
            torch.from_numpy(same),
            step,
            steps,
        )

    def questions(self, rows: IntArray, config: TrainConfig) -> HeldOut:
        """What is asked of the drawings of a part."""
        names = [self.store.names[row] for row in rows]
        same = self.store.same_matrix(rows)
        return held_out(
            names,
            [self.store[int(row)] for row in rows],
            self.protocol,
            [[names[j] for j in np.flatnonzero(line)] for line in same],
            config.views,
            config.encoder,
        )


def prepare(config: TrainConfig, folder: Path, quiet: bool = False) -> dict[str, str]:
    """Generate and read the drawings of a configuration into a store; what is there already is kept.

    Returns:
        Names of files that could not be read, and why.

    Raises:
        TrainingError: the configuration names no drawings.
        DeepDXFError: a file is missing or cannot be written.
    """
    paths: list[str | Path] = list(config.data.drawings)
    if config.data.synthetic:
        made = folder / "drawings"
        if not (made / "groups.csv").exists():  # written last
            shutil.rmtree(made, ignore_errors=True)
            with progress_bar("drawing", config.data.synthetic, quiet) as step:
                generate(made, config.data.synthetic, config.data.synthetic_seed, progress=lambda done, total: step())
        paths.append(made)
        with_synthetic(config.data.groups, made / "groups.csv", folder / "groups")
    if not paths and not config.data.store:
        raise TrainingError("no drawings: name files and folders in data.drawings, a data.store, or data.synthetic=300")
    if not paths:
        return {}
    return Store.write(store_of(config, folder), paths, groups=groups_of(config, folder), quiet=quiet).failed


def store_of(config: TrainConfig, folder: Path) -> Path:
    """Folder of the store of a run."""
    return Path(config.data.store or folder / "store")


def groups_of(config: TrainConfig, folder: Path) -> Path | None:
    """The groups.csv of a run, where it has one."""
    if config.data.synthetic:
        return folder / "groups" / "groups.csv"
    return Path(config.data.groups) if config.data.groups else None


def prepared(config: TrainConfig, folder: Path) -> tuple[Store, Protocol | None]:
    """What `prepare` left: the store, and the questions of the groups.

    Raises:
        TrainingError: none of the drawings could be read.
    """
    place, groups = store_of(config, folder), groups_of(config, folder)
    store = Store.open(place)
    if not len(store):
        raise TrainingError(f"none of the drawings could be read; {place / 'failed.csv'} says why")
    return store, load_groups(groups) if groups else None


def with_synthetic(groups: str | None, synthetic: Path, folder: Path) -> None:
    """A groups.csv and a manifest.csv of the user's groups, where there are some, and of generated drawings.

    A generated design is a source of its own: drawings of one kind may stand on both sides of a split, edits never do.
    """
    members = [(member, "synthetic ") for member in read_members(synthetic)]
    members += [(member, "") for member in (read_members(Path(groups)) if groups else [])]
    sources = read_sources(Path(groups)) if groups else {}
    rows, origins = [], []
    for m, prefix in members:
        relevance = "" if m.relevance is None else f"{m.relevance:g}"
        rows.append((m.file, prefix + m.group, m.kind, m.evidence, relevance, m.edit))
        origins.append((m.file, "synthetic " + m.file.rpartition("_")[0] if prefix else sources.get(m.file, "")))
    folder.mkdir(parents=True, exist_ok=True)
    for name, header, lines in (
        ("groups.csv", ("file", "group_id", "kind", "evidence", "relevance", "edit"), rows),
        ("manifest.csv", ("file", "repo"), sorted({*origins, *sources.items()})),
    ):
        with replacing(folder / name) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *lines])


def part(store: Store, protocol: Protocol | None, config: TrainConfig, fold: int = 0) -> Data:
    """Test, validation and training part; of k folds, one is the validation part.

    Raises:
        StoreError: too much is connected for so many parts.
    """
    data = config.data
    folds = data.folds or (max(round(1 / data.validation), 2) if data.validation else 1)
    parts = split(store, data.test, folds, config.seed, by_source=data.by_source)
    training, validation = parts.folds[0], np.zeros(0, np.int64)
    if folds > 1:
        training, validation = parts.train(fold), parts.folds[fold]
    return limited(Data(store, training, validation, parts.test, protocol), config)


def limited(data: Data, config: TrainConfig) -> Data:
    """The data with as much of its training part, and as much known of it, as the configuration wants."""
    labelled, n = None, len(data.store)
    if config.data.labels < 1.0:
        labelled = np.random.default_rng([LABELS, config.seed]).random(n) < config.data.labels
    chosen = np.random.default_rng([AMOUNT, config.seed]).permutation(data.train)
    training = np.sort(chosen[: math.ceil(config.data.amount * len(chosen))])
    return replace(data, train=training, same=config.data.same, labelled=labelled)


def plan_of(config: TrainConfig, data: Data, among: Processes) -> Plan:
    """The batches of a run.

    Raises:
        TrainingError: there are fewer drawings than a batch takes, or fewer than processes.
    """
    batch, n = config.batch, len(data.train)
    if n < batch.drawings:
        raise TrainingError(
            f"the training part has {n} drawings, a batch takes {batch.drawings}: give more, or set batch.drawings={n}"
        )
    if len(np.unique(data.connected[data.train])) < 2:
        raise TrainingError(
            f"all {n} drawings of the training part are the same, or of one family: there is nothing to tell apart; give more"
        )
    if batch.drawings < among.world:
        raise TrainingError(f"a batch of {batch.drawings} drawings is too small for {among.world} processes")
    chunk = min(batch.chunk, batch.drawings // among.world)  # so that no process is without one
    return Plan(data.train, data.store.lengths, batch.drawings, chunk, batch.entities, config.seed)


# --- the loop ----------------------------------------------------------------------------------------------------------


def fit(
    config: TrainConfig,
    data: Data,
    folder: Path,
    *,
    model: DualEncoder | None = None,
    judge: Callable[[DualEncoder], dict[str, float]] | None = None,
    samples: Samples | None = None,
    resume: bool = False,
    quiet: bool = False,
    among: Processes | None = None,
) -> Fitted:
    """Train a model on the training part of some drawings; keep the state with the best score.

    Args:
        config: see `config`; ``data`` and ``grid`` of it are not read.
        data: the drawings and their parts.
        folder: of the run, which exists.
        model: to start from; none: a new one of ``config.encoder``.
        judge: figures of a model, of which "score" decides; none: `config.stopping.measure` on the validation part.
        samples: that make the views; none: those of the configuration.
        resume: go on from the folder's checkpoint, if it has one.
        quiet: no progress bar, and messages only in log.txt.
        among: this process among several.

    Raises:
        TrainingError: there are fewer drawings than a batch takes; embeddings collapse; batches are not finite; a
            checkpoint cannot be read or was made by other settings.
        DeepDXFError: a file cannot be written.
    """
    among = among or Processes()
    device = device_of(config.precision.device)
    background = Background.of(data.store, data.train, config.encoder, config.seed)
    if model is None:
        model = untrained(config, background)
    seed_everything(config.seed, START)
    teacher = load_model(config.teacher) if config.teacher else None
    learner = Learner(model, config, len(data.train), teacher).to(device).train()
    averaged = copy.deepcopy(learner.model).requires_grad_(False).eval()
    optimiser = optimiser_for(learner.branches(), config.optimiser, config.batch.drawings)
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision.name == "fp16")
    watch = Watch(learner.chance, patience=config.stopping.collapse or NEVER)
    state = State(config, learner, averaged, optimiser, scaler, watch, Progress())
    if resume and (folder / CHECKPOINT).exists():
        state.load(folder / CHECKPOINT)
    progress = state.progress

    plan = plan_of(config, data, among)
    steps = config.stopping.steps or config.stopping.epochs * plan.steps
    validation = Validation(config, data, judge)
    with ExitStack() as stack:
        run = configuration.to_dict(config)
        tracker = Tracker(folder if among.first else None, config.tracking, run, step=progress.step, quiet=quiet)
        stack.enter_context(tracker)
        tick = stack.enter_context(progress_bar("training", steps - progress.step, quiet or not among.first))
        samples = samples or Samples(data.store, config.views, config.encoder, config.seed)
        loader = Loader(samples, config.data.workers)
        if progress.step:
            tracker.log(f"going on after step {progress.step} of {steps}")
        stopped = "all steps done"
        while progress.step < steps:
            batches = plan.batches(progress.epoch)[progress.done :]
            own = [batch[among.part(len(batch))] for batch in batches]
            made = loader.chunks([key for keys in own for key in keys])
            for batch, keys in zip(batches, own, strict=True):
                chunks = [next(made).to(device) for _ in keys]
                facts = data.facts(batch, progress.step, steps).to(device)
                try:
                    figures = train_step(state, chunks, facts, among)
                    progress.bad = 0
                except NotFinite as reason:
                    progress.bad += 1
                    tracker.log(f"step {progress.step + 1}: {reason}; the batch is left out")
                    if progress.bad >= config.stopping.bad_batches:
                        raise TrainingError(
                            f"{progress.bad} batches in a row were not finite ({reason}); the last good state is "
                            f"{folder / CHECKPOINT}; lower optimiser.lr, or set precision.name=fp32"
                        ) from None
                    figures = {}
                progress.step += 1
                progress.done += 1
                tick()
                tracker.record("train", progress.step, progress.epoch, figures)
                for warning in state.warnings:
                    tracker.log(f"warning: {warning}")
                if watch.collapsed:
                    raise TrainingError(f"training stopped: {state.warnings[-1]}; stopping.collapse=0 goes on")
                # not behind the last batch of an epoch: the validation that follows belongs to it
                within = batch is not batches[-1] and progress.step < steps
                if within and progress.step % config.checkpoint.every == 0 and among.first:
                    state.save(folder / CHECKPOINT)
                if progress.step == steps:
                    break
            progress.epoch, progress.done = progress.epoch + 1, 0
            if progress.epoch % config.stopping.every == 0 or progress.step == steps:
                if among.first:
                    background.whiten(averaged)
                figures = among.from_first(validation(state) if among.first else {})
                if figures:
                    tracker.record("validation", progress.step, progress.epoch, figures)
                tracker.log(summary(progress, steps, figures))
                keep(state, figures, folder, among)
                if config.stopping.patience and progress.waited >= config.stopping.patience:
                    stopped = f"no better for {progress.waited} validations"
                    progress.step = steps  # a resumed run has nothing more to do either
            if among.first:
                state.save(folder / CHECKPOINT)
        best = f"; best score {progress.best:.4f}" if math.isfinite(progress.best) else ""
        tracker.log(stopped + best)
    result = copy.deepcopy(averaged)
    if (folder / BEST).exists():
        result.load_state_dict(read_state(folder / BEST)["weights"])
    return Fitted(result, progress.best, progress.least, progress.step, stopped)


def untrained(config: TrainConfig, background: Background) -> DualEncoder:
    """A new model: random weights, codewords of the background."""
    seed_everything(config.seed, MODEL)
    model = DualEncoder(config.encoder)
    background.start(model)
    return model


def train_step(state: State, chunks: Sequence[Chunk], facts: Facts, among: Processes) -> dict[str, float]:
    """One step of the optimiser; the figures to be recorded.

    Raises:
        NotFinite: nothing was changed.
    """
    config, learner = state.config, state.learner
    seen: dict[str, float] = {}
    state.warnings = []
    state.optimiser.zero_grad(set_to_none=True)
    watched: dict[str, tuple[Tensor, Tensor]] = {}

    def loss(parts: Parts) -> Tensor:
        check_finite({name: part for name, part in parts.items() if part.is_floating_point() and "/values" not in name})
        losses = learner.losses(parts, facts)
        total = learner.total(losses, parts, facts)
        seen.update({"loss": float(total.detach()), **{f"loss/{n}": float(v.detach()) for n, v in losses.items()}})
        watched.update(learner.watched(parts))
        check_finite({"loss": total})
        scaled: Tensor = state.scaler.scale(total)
        return scaled

    seed = (config.seed, LOSS, facts.step)
    backward(chunks, learner.represent, loss, learner.encoder_parameters(), seed=seed, processes=among)
    state.scaler.unscale_(state.optimiser)
    parameters = [p for group in state.optimiser.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, config.optimiser.clip or math.inf)
    if not state.scaler.is_enabled():  # else infinite gradients are how it finds its scale
        check_finite({"gradient": norm})
    share = lr_share(config.schedule, facts.step, facts.steps)
    set_lr(state.optimiser, share)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    learner.follow(facts.step, facts.steps)
    average(state.averaged, learner.model, ema_decay(config.optimiser, facts.step, facts.steps))
    terms = {name: seen[f"loss/{name}"] for name in config.terms}
    state.warnings = state.watch.update(facts.step + 1, terms, watched)
    return {**seen, "lr": share * max(g["highest_lr"] for g in state.optimiser.param_groups), "gradient": float(norm),
            **state.watch.measures}  # fmt: skip


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise NotFinite naming the first tensor that is not finite."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor.detach()).all()):
            raise NotFinite(f"{name} is not finite")


# --- state, checkpoints ------------------------------------------------------------------------------------------------


@dataclass
class State:
    """All that a run has to remember to go on as if it had never stopped."""

    config: TrainConfig
    learner: Learner  # encoders, and what objectives and balancing own: queues, banks, predictors, learned weights
    averaged: DualEncoder  # mean of the weights along the run; what is served
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    watch: Watch
    progress: Progress
    warnings: list[str] = field(default_factory=list)  # of the last step

    def save(self, path: Path) -> None:
        """Write a checkpoint; under its name there is never half of one.

        Raises:
            DeepDXFError: it cannot be written.
        """
        write_state(
            path,
            {
                "format": FORMAT,
                "config": configuration.to_dict(self.config),
                "learner": self.learner.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": self.scaler.state_dict(),
                "watch": self.watch.state_dict(),
                "progress": asdict(self.progress),
            },
        )

    def load(self, path: Path) -> None:
        """Take up what `save` wrote.

        Raises:
            TrainingError: it cannot be read, or was made by other settings.
        """
        saved = read_state(path)
        try:
            then = configuration.from_dict(saved["config"])  # keys that it lacks are younger, and had their defaults
            differing = difference(configuration.to_dict(then), configuration.to_dict(self.config))
            if differing:
                raise TrainingError(f"{path} was made with another {differing}; take the same, or another folder")
            self.learner.load_state_dict(saved["learner"])
            self.averaged.load_state_dict(saved["averaged"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.scaler.load_state_dict(saved["scaler"])
            self.watch.load_state_dict(saved["watch"])
            self.progress = Progress(**saved["progress"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise TrainingError(f"{path} is no checkpoint of this version ({reason}); take another folder") from None


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all."""
    buffer = io.BytesIO()  # torch reports a full disk as an internal error, a file as what it is
    torch.save(dict(state), buffer)
    with replacing(path) as partial:
        partial.write_bytes(buffer.getbuffer())


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` wrote; nothing in the file is executed.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError("no mapping")
        return state
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror or error}") from error
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path} is damaged; delete it to begin again, or take another folder") from error


# parts of a configuration that may differ when a run goes on: they do not change the weights
FREE = ("data.workers", "tracking", "checkpoint", "stopping.patience", "distributed", "precision.device", "batch.chunk")


def difference(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> str:
    """The first dotted key in which two configurations differ, but for `FREE`; empty: none."""
    for name in dict.fromkeys([*one, *other]):
        key, a, b = f"{prefix}{name}", one.get(name), other.get(name)
        if key in FREE or a == b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if below := difference(a, b, f"{key}."):
                return below
        else:
            return key
    return ""


def keep(state: State, figures: Mapping[str, float], folder: Path, among: Processes) -> None:
    """Note whether a validation was better, and write the averaged weights if they are the best so far."""
    progress = state.progress
    score, loss = figures.get("score", math.nan), figures.get("loss", math.nan)
    # without drawings to ask for, the last state is as good as any before
    best = not score <= progress.best
    if not (best and math.isfinite(score)) and not loss < progress.least:
        progress.waited += 1
    else:
        progress.waited = 0
    progress.least = min(progress.least, loss) if math.isfinite(loss) else progress.least
    if best:
        progress.best = score if math.isfinite(score) else progress.best
        if among.first:
            write_state(folder / BEST, {"weights": state.averaged.state_dict(), "score": score, "step": progress.step})


def summary(progress: Progress, steps: int, figures: Mapping[str, float]) -> str:
    """A line of the log after a validation."""
    shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if "/" not in name)
    return f"epoch {progress.epoch}, step {progress.step} of {steps}: {shown or 'no validation part'}"


def device_of(name: str) -> torch.device:
    """The device of a name; ``auto``: the first that there is of cuda, mps, cpu.

    Raises:
        TrainingError: there is none of that name.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, ok in there.items() if ok))
    if not there.get(name.partition(":")[0], False):
        known = ", ".join(kind for kind, ok in there.items() if ok)
        raise TrainingError(f"precision.device={name}: there is no such device; here are auto, {known}")
    return torch.device(name)


# --- validation --------------------------------------------------------------------------------------------------------

VALIDATION_DRAWINGS = 512  # most drawings whose views the validation loss is taken of


class Validation:
    """Figures of the validation part: its loss, and how well its drawings are found."""

    def __init__(
        self, config: TrainConfig, data: Data, judge: Callable[[DualEncoder], dict[str, float]] | None
    ) -> None:
        self.config, self.data, self.judge = config, data, judge
        rows = data.validation[:VALIDATION_DRAWINGS]
        batch = config.batch
        plan = Plan(rows, data.store.lengths, min(batch.drawings, max(len(rows), 1)), batch.chunk, batch.entities, 0)
        self.batches = plan.batches(VALIDATION_EPOCH) if len(rows) > 1 else []
        self.samples = Samples(data.store, config.views, config.encoder, config.seed)

    @cached_property
    def chunks(self) -> list[list[Chunk]]:
        """The batches, made once."""
        return [[self.samples[key] for key in batch] for batch in self.batches]

    @cached_property
    def questions(self) -> HeldOut:
        """What is asked of the validation part."""
        return self.data.questions(self.data.validation, self.config)

    def __call__(self, state: State) -> dict[str, float]:
        """``loss``: the terms over their chance levels, by weight, whatever the balancing; each term as ``loss/<term>``;
        ``score``: what decides, and the figures that it comes from."""
        figures: dict[str, float] = {}
        if self.batches:
            terms = self.losses(state)
            weights = {name: self.config.terms[name].weight / state.learner.chance.get(name, 1.0) for name in terms}
            figures["loss"] = sum(weights[name] * value for name, value in terms.items())
            figures |= {f"loss/{name}": value for name, value in terms.items()}
        if self.judge is not None:
            return figures | self.judge(state.averaged)
        if len(self.data.validation) and self.questions.asks:
            result = self.questions.of_model(state.averaged)
            figures |= {name: result.mean(name) for name in dict.fromkeys(("mAP", "P@1", self.config.stopping.measure))}
            figures["score"] = figures[self.config.stopping.measure]
        return figures

    def losses(self, state: State) -> dict[str, float]:
        """Mean of every term over the batches; nothing of the state changes."""
        learner = state.learner.eval()
        device = next(learner.parameters()).device
        sums = dict.fromkeys(self.config.terms, 0.0)
        with torch.no_grad():
            for batch, chunks in zip(self.batches, self.chunks, strict=True):
                seed_everything(self.config.seed, LOSS, VALIDATION_EPOCH)
                outputs = [learner.represent(chunk.to(device)) for chunk in chunks]
                parts = {name: torch.cat([output[name] for output in outputs]) for name in outputs[0]}
                facts = self.data.facts(batch, state.progress.step, max(state.progress.step, 1)).to(device)
                for name, loss in learner.losses(parts, facts).items():
                    sums[name] += float(loss)
        learner.train()
        return {name: total / len(self.batches) for name, total in sums.items()}


# --- a whole run -------------------------------------------------------------------------------------------------------


def run(config: TrainConfig, folder: Path, *, resume: bool = False, quiet: bool = False) -> dict[str, Any]:
    """Train as the configuration says, and leave everything in the folder; see the module's head.

    Returns:
        The content of evaluation.json; nothing in other processes than the first.

    Raises:
        DeepDXFError: as `prepare`, `part` and `fit`; the folder holds another run and ``resume`` is not set.
    """
    with processes(config.distributed) as among:
        if among.first:
            begin(config, folder, resume)
            for name, reason in prepare(config, folder, quiet).items():
                Tracker.write(folder, f"not read: {name}: {reason}", quiet)
        among.from_first(None)  # the others wait until the store is there
        store, protocol = prepared(config, folder)
        if config.grid or config.data.folds:
            config = cross_validate(config, store, protocol, folder, quiet=quiet, among=among)
        data = part(store, protocol, config)
        fitted = fit(config, data, folder, resume=resume, quiet=quiet, among=among)
        report: dict[str, Any] = {}
        if among.first:
            background = Background.of(data.store, data.train, config.encoder, config.seed)
            others = {"untrained weights": untrained(config, background)}
            background.whiten(others["untrained weights"])
            report = finish(config, data, fitted, others, folder, quiet)
        among.from_first(None)  # the others stay until the first is done
        return report


def begin(config: TrainConfig, folder: Path, resume: bool) -> None:
    """Make the folder of a run, and write the configuration into it.

    Raises:
        TrainingError: it holds a run, and ``resume`` is not set.
        DeepDXFError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot make the folder {folder}: {error.strerror or error}; name another") from error
    if (folder / CONFIG).exists() and not resume:
        raise TrainingError(f"{folder} holds a run already; go on with it by --resume, or name another folder")
    with replacing(folder / CONFIG) as partial:
        partial.write_text(configuration.to_yaml(config), encoding="utf-8")


def cross_validate(
    config: TrainConfig, store: Store, protocol: Protocol | None, folder: Path, *, quiet: bool, among: Processes
) -> TrainConfig:
    """Train every point of the grid on every fold; the configuration of the best point.

    Best is the highest mean score over the folds, then the least mean loss. Every fit has a folder of its own below
    ``folds``, goes on where it was cut off, and is not repeated when it is done; folds.csv has a line for each.
    """
    points = configuration.points(config)
    rows: list[dict[str, Any]] = []
    for number, point in enumerate(points):
        varied = configuration.varied(config, point)
        for fold in range(max(config.data.folds, 1)):
            place = folder / "folds" / f"point-{number}-fold-{fold}"
            result = place / "result.json"
            if not among.from_first(result.exists()):
                if among.first:
                    place.mkdir(parents=True, exist_ok=True)
                fitted = fit(varied, part(store, protocol, varied, fold), place, resume=True, quiet=quiet, among=among)
                if among.first:
                    write_json(result, {"score": fitted.score, "loss": fitted.loss, "steps": fitted.steps})
            figures = among.from_first(json.loads(result.read_text()) if among.first else {})
            rows.append({"point": number, "fold": fold, **point, **figures})
            if among.first:
                with (
                    replacing(folder / "folds.csv") as partial,
                    partial.open("w", encoding="utf-8", newline="") as file,
                ):
                    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)

    def merit(number: int) -> tuple[float, float]:
        of = [row for row in rows if row["point"] == number]
        scores = [-math.inf if row["score"] is None else row["score"] for row in of]
        losses = [math.inf if row["loss"] is None else row["loss"] for row in of]
        return float(np.mean(scores)), -float(np.mean(losses))

    best = max(range(len(points)), key=merit)
    if among.first:
        score, loss = merit(best)
        chosen = ", ".join(f"{key}={value}" for key, value in points[best].items()) or "the configuration"
        Tracker.write(
            folder, f"{len(rows)} fits: {chosen} has score {score:.4f}, loss {-loss:.4f}; trained once more", quiet
        )
    return configuration.varied(config, points[best])


def finish(
    config: TrainConfig,
    data: Data,
    fitted: Fitted,
    others: Mapping[str, DualEncoder],
    folder: Path,
    quiet: bool,
) -> dict[str, Any]:
    """Write the model's folder, and evaluation.json: the model beside other weights and the descriptor.

    The figures are of the test part, which nothing has looked at before; of the validation part where there is no test.
    """
    name, rows = ("test", data.test) if len(data.test) else ("validation", data.validation)
    questions = data.questions(rows, config) if len(rows) else None
    report: dict[str, Any] = {
        "part": name,
        "drawings": len(rows),
        "validation": {"score": fitted.score, "loss": fitted.loss, "measure": config.stopping.measure},
        "steps": fitted.steps,
        "stopped": fitted.stopped,
        "encoders": {},
    }
    if questions is not None and questions.asks:
        results = {"trained": questions.of_model(fitted.model)}
        results |= {other: questions.of_model(model.to(device_of("cpu"))) for other, model in others.items()}
        results["descriptor"] = questions.of_encoder(load_encoder("descriptor").encode)
        report["encoders"] = {encoder: result.to_json() for encoder, result in results.items()}
        lines = [f"{name} part, {len(rows)} drawings, {len(questions.protocol.queries)} queries"]
        for encoder, result in results.items():
            lines.append(f"{encoder:18}" + "  ".join(f"{m} {result.mean(m):.3f}" for m in IN_SHORT))
        for line in lines:
            Tracker.write(folder, line, quiet)
    report["model"] = save_model(
        fitted.model,
        folder / MODEL_FOLDER,
        card_of(config, report),
        onnx=config.checkpoint.onnx,
        half=config.checkpoint.half,
    )
    write_json(folder / EVALUATION, report)
    return report


def card_of(config: TrainConfig, report: Mapping[str, Any]) -> str:
    """A model's card: what it was trained on, and how well it does."""
    data = config.data
    sources = [*data.drawings, *([f"{data.synthetic} generated drawings"] if data.synthetic else [])]
    lines = [
        "# Model of DeepDXF",
        "",
        f"Trained for {report['steps']} steps of {config.batch.drawings} drawings on "
        f"{', '.join(sources) or data.store}; {report['stopped']}.",
        f"Terms of the loss: {', '.join(f'{name} ({term.objective})' for name, term in config.terms.items())}.",
        "",
        f"Search among the {report['drawings']} drawings of the {report['part']} part, which training has not seen:",
        "",
        f"| | {' | '.join(IN_SHORT)} |",
        f"|---|{'---|' * len(IN_SHORT)}",
    ]
    for name, figures in report["encoders"].items():
        means = [figures["metrics"][metric]["mean"] for metric in IN_SHORT]
        lines.append(f"| {name} | {' | '.join('–' if mean is None else f'{mean:.3f}' for mean in means)} |")
    return "\n".join(lines) + "\n"
