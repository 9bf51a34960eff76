"""The drawings of an experiment, the same for all of its cells, and the questions that they are asked.

Without drawings of the user, they are generated: some kinds to train on, other kinds to be held out as sources. Questions:

held_out    drawings of held-out sources find the other members of their groups
edits       generated drawings find what was edited out of the same one; the designs are others than those trained on
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from deepdxf import config as configuration
from deepdxf.config import TrainConfig
from deepdxf.drawing import Drawing, IntArray
from deepdxf.encoders.config import EncoderConfig
from deepdxf.errors import DeepDXFError
from deepdxf.experiment_sets import EVERY_SIZE, Set, Size
from deepdxf.files import find_files, relative_names
from deepdxf.gradients import Chunk
from deepdxf.groups import Protocol, load_groups
from deepdxf.held_out import EDIT_SEED, EDITED, HeldOut, held_out
from deepdxf.loader import Key, Samples
from deepdxf.reader import read
from deepdxf.store import Store, components
from deepdxf.synth import generate
from deepdxf.train import Data, part

TRAINED_SEED, SUITE_SEED = 20_260_201, 20_260_202  # of the generated drawings
TEST = 0.25  # share of the drawings whose kinds or sources are held out
ARCHIVE = 0.5  # the same where a part of them is an archive to fine-tune on
PAIRS = 64  # drawings of which a view is made, for the figures of embeddings
REMEMBERED = 10_000  # drawings of all steps of a run up to which their views are kept for the runs after it
SETS_REMEMBERED = 2  # views by so many settings

CodeSettings = tuple[int, str, int]


@dataclass(frozen=True)
class Given:
    """Drawings of the user."""

    drawings: Path
    groups: Path  # groups.csv
    test: frozenset[str] | None = None  # sources that are held out; None: a part of them, dealt out

    @classmethod
    def of(cls, drawings: Path, groups: Path, test_sources: Path | None) -> Given:
        """With the held-out sources of a JSON file, ``{"test": [source, …]}``.

        Raises:
            DeepDXFError: the file cannot be read or has another form.
        """
        if test_sources is None:
            return cls(drawings, groups)
        try:
            test = json.loads(test_sources.read_text(encoding="utf-8"))["test"]
            if not isinstance(test, list):
                raise TypeError
            return cls(drawings, groups, frozenset(map(str, test)))
        except OSError as error:
            raise DeepDXFError(f"{test_sources}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DeepDXFError(f'{test_sources}: not of the form {{"test": [source, …]}}') from error


@dataclass(eq=False)
class Bench:
    """What all cells of an experiment have in common."""

    data: Data  # to train on
    questions: Mapping[str, HeldOut]  # "held_out", "edits", and "pairs": drawings and a view of each, nothing asked
    archive: Store  # drawings to fine-tune on; others than the held-out ones
    domains: Mapping[str, str] = field(default_factory=dict)  # file -> domain, where a manifest tells it
    _asked: dict[CodeSettings, dict[str, HeldOut]] = field(default_factory=dict)
    _views: dict[tuple[object, ...], _Remembered] = field(default_factory=dict)

    def asked(self, encoder: EncoderConfig) -> dict[str, HeldOut]:
        """The questions, for a model of these settings; codes are made once for all models that read the same."""
        key = code_settings(encoder)
        if key not in self._asked:
            _forget(self._asked)
            self._asked[key] = {name: replace(of, encoder=encoder) for name, of in self.questions.items()}
        return self._asked[key]

    def samples(self, config: TrainConfig) -> Samples:
        """What makes the views of a run; runs with the same views share them."""
        if config.stopping.steps * config.batch.drawings > REMEMBERED:
            return Samples(self.data.store, config.views, config.encoder, config.seed)
        key = (config.views, code_settings(config.encoder), config.seed)
        if key not in self._views:
            _forget(self._views)
            self._views[key] = _Remembered(self.data.store, config.views, config.encoder, config.seed)
        return self._views[key]


@dataclass(frozen=True, eq=False)
class _Remembered(Samples):
    """Samples that are made once."""

    chunks: dict[Key, Chunk] = field(default_factory=dict)

    def __getitem__(self, key: Key) -> Chunk:
        if key not in self.chunks:
            self.chunks[key] = super().__getitem__(key)
        return self.chunks[key]


def _forget(kept: dict) -> None:
    """Make room for one more."""
    while len(kept) >= SETS_REMEMBERED:
        del kept[next(iter(kept))]


def code_settings(encoder: EncoderConfig) -> CodeSettings:
    """The settings of a model that its codes depend on, see `loader.code_of`."""
    return encoder.limit, encoder.blocks, encoder.pixels


def prepare(folder: Path, experiment: Set, size: Size, given: Given | None, quiet: bool = False) -> Bench:
    """Generate and read the drawings of an experiment into its folder; what is there already is kept.

    Raises:
        DeepDXFError: drawings or groups cannot be read, nothing is held out, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawings, protocol = generated(folder / "trained", size.drawings, TRAINED_SEED)
    settings = {**EVERY_SIZE, "data.test": ARCHIVE if experiment.archive else TEST}
    plain = configuration.varied(configuration.load("base"), settings)
    data = part(drawings.select(drawings.lengths <= size.rows), protocol, plain)
    suite, edits = generated(folder / "suite", size.suite, SUITE_SEED)
    suite = suite.select(suite.lengths <= size.rows)
    store, rows, domains = data.store, data.test, dict[str, str]()
    if given is not None:
        Store.write(folder / "given", [given.drawings], groups=given.groups, quiet=quiet)
        store, protocol = Store.open(folder / "given"), load_groups(given.groups)
        domains = read_domains(given.groups.with_name("manifest.csv"))
        if experiment.own:
            rows = np.arange(len(store))
            if given.test is not None:
                rows = of_sources(store, given.test)
        else:
            data = parted(store, protocol, plain, size, given.test)
            rows = data.test
    archive = store.select(np.zeros(0, np.int64))
    if experiment.archive:
        mine, rows = halves(store, rows)
        archive = store.select(mine)
    held = asked_by_groups(store, rows, protocol, plain)
    if not held.asks:
        raise DeepDXFError("the held-out drawings ask nothing: the groups name no two of them that belong together")
    questions = {
        "held_out": held,
        "edits": asked_by_groups(suite, np.arange(len(suite)), edits, plain),
        "pairs": pairs_of(held, plain),
    }
    return Bench(data, questions, archive, domains)


def generated(folder: Path, number: int, seed: int) -> tuple[Store, Protocol]:
    """Generated drawings, whose source is their kind, and what their groups ask."""
    drawings, store = folder / "drawings", folder / "store"
    if not (drawings / "groups.csv").exists():  # written last
        shutil.rmtree(drawings, ignore_errors=True)
        generate(drawings, number, seed)
    files = Files({name: Path(path) for path, name in relative_names(find_files([drawings])).items()})
    Store.write(store, files, groups=drawings / "groups.csv")
    return Store.open(store), load_groups(drawings / "groups.csv")


@dataclass(frozen=True)
class Files(Mapping[str, Drawing]):
    """Drawings of files that can be trusted, read here when they are asked for: no processes, no limits."""

    paths: Mapping[str, Path]

    def __getitem__(self, name: str) -> Drawing:
        return read(self.paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def parted(store: Store, protocol: Protocol, config: TrainConfig, size: Size, test: frozenset[str] | None) -> Data:
    """Training part and test part of the user's drawings, by sources that are named, or else dealt out."""
    if test is None:
        data = part(store, protocol, config)
    else:
        held = of_sources(store, test)
        connected = components(store, by_source=False)
        free = np.setdiff1d(np.flatnonzero(~np.isin(connected, connected[held])), held)
        data = Data(store, free, np.zeros(0, np.int64), held, protocol)
    return replace(data, train=data.train[store.lengths[data.train] <= size.rows])


def of_sources(store: Store, names: frozenset[str]) -> IntArray:
    """Numbers of the drawings of some sources.

    Raises:
        DeepDXFError: there are none.
    """
    rows = np.flatnonzero(np.isin(store.sources, sorted(names)))
    if not len(rows):
        raise DeepDXFError(
            f"no drawing is of a held-out source; sources are {', '.join(sorted(set(store.sources))[:8])} …"
        )
    return rows


def halves(store: Store, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Two parts of some drawings of about the same size; connected ones stay together."""
    connected = components(store.select(rows), by_source=False)
    order = np.random.default_rng(0).permutation(int(connected.max(initial=-1)) + 1)
    first = np.isin(connected, order[: len(order) // 2])
    return rows[first], rows[~first & (connected >= 0)]


def asked_by_groups(store: Store, rows: IntArray, protocol: Protocol, config: TrainConfig) -> HeldOut:
    """Some drawings, and what the groups ask of them."""
    names = [store.names[row] for row in rows]
    drawings = [store[int(row)] for row in rows]
    still = replace(config.views, strength=0.0)  # edits are asked for elsewhere: their views would be thrown away
    everything = held_out(names, drawings, protocol, [[name] for name in names], still, config.encoder)
    queries = tuple(query for query in everything.protocol.queries if not query.file.startswith(EDITED))
    return replace(everything, protocol=replace(everything.protocol, queries=queries), edits={})


def pairs_of(held: HeldOut, config: TrainConfig) -> HeldOut:
    """Some of the drawings and a view of each, as training would make it."""
    shown = [i for i, drawing in enumerate(held.drawings) if drawing.visible.any()]
    chosen = [shown[i] for i in np.unique(np.linspace(0, len(shown) - 1, min(PAIRS, len(shown))).astype(int))]
    edits = {
        EDITED + held.names[i]: config.views.drawings(held.drawings[i], np.random.default_rng([EDIT_SEED, i]))[0]
        for i in chosen
    }
    return HeldOut(
        tuple(held.names[i] for i in chosen), tuple(held.drawings[i] for i in chosen), Protocol((), {}, 0), edits,
        config.encoder,
    )  # fmt: skip


def read_domains(manifest: Path) -> dict[str, str]:
    """Domain by file, where a manifest has a column of that name."""
    import csv

    if not manifest.is_file():
        return {}
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row["domain"] for row in csv.DictReader(file) if row.get("domain")}
