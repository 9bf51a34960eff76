"""The settings of a training run: nested frozen dataclasses, from YAML and ``key=value`` overrides.

    config = load("tiny", ["schedule.name=constant", "terms.across.weight=1.5"])

A configuration is a file, or the name of one that comes with the package (`names`). What a file does not name has the
default that stands beside the field; ``null`` is none. The parts that configure a module of their own stand beside
its code: encoder, views, optimiser, schedule, tracking.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from deepdxf.augment import Views
from deepdxf.encoders.config import EncoderConfig
from deepdxf.errors import DeepDXFError
from deepdxf.optim import OptimiserConfig, ScheduleConfig
from deepdxf.processes import DistributedConfig
from deepdxf.tracking import TrackingConfig

Count = Annotated[int, Meta(ge=0)]
Number = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0.0, lt=1.0)]
Part = Annotated[float, Meta(gt=0.0, le=1.0)]
Whole = Annotated[float, Meta(ge=0.0, le=1.0)]
Scalar = int | float | str | bool | None
Option = int | float | str | bool | None | tuple[int | float | str, ...]


@dataclass(frozen=True)
class DataConfig:
    """Which drawings, and how they are parted."""

    drawings: tuple[str, ...] = ()  # files and folders
    groups: str | None = None  # groups.csv of those drawings: families are not parted, validation asks by them
    store: str | None = None  # folder where they are kept once read, also for other runs; none: in the run's folder
    synthetic: Count = 0  # drawings of generated families to train on as well (or alone)
    synthetic_seed: Count = 0  # another number, other drawings
    by_source: bool = True  # drawings of one source (repo of manifest.csv, else first folder) are not parted either
    test: Share = 0.2  # share that is held out first, and measured once at the end
    validation: Share = 0.2  # share of the rest that decides when to stop; with folds, one fold in turn
    amount: Part = 1.0  # share of the training part that is trained on; the other parts stay as they are
    labels: Whole = 1.0  # share of the training part whose families objectives that need labels are told
    same: Literal["family", "content", "off"] = "family"  # drawings that are no negatives of each other, alike in what
    folds: Count = 0  # parts of the rest for cross-validation; 0: one split into training and validation
    workers: Count = 2  # processes that make views and codes; the result does not depend on it


@dataclass(frozen=True)
class TermConfig:
    """One term of the loss: an objective of the zoo applied to one sort of embeddings."""

    objective: str = "nt-xent"  # name in the registry, see `deepdxf objectives`
    codes: Literal["sequence", "geometry", "raster", "across"] = "across"  # within a code, or from sequence to geometry
    weight: float = 1.0
    temperature: float | None = None  # none: that of the run
    options: dict[str, Option] = field(default_factory=dict)  # further arguments of the objective


@dataclass(frozen=True)
class BalanceConfig:
    """How the terms are weighed against each other, beside their weights."""

    name: str = "chance"  # strategy, see balance.BALANCING
    options: dict[str, Option] = field(default_factory=dict)  # arguments of the strategy


@dataclass(frozen=True)
class BatchConfig:
    """Drawings that are compared with each other in one step."""

    drawings: Number = 128
    chunk: Number = 16  # most drawings that go through the encoders at once; they are all compared nevertheless
    entities: Number = 24_000  # most entities of these; memory follows it


@dataclass(frozen=True)
class StoppingConfig:
    """When training ends, and which of its states is kept."""

    epochs: Number = 100
    steps: Count = 0  # 0: as many as the epochs have
    every: Number = 1  # epochs from one validation to the next
    patience: Count = 20  # validations without a better score or a lower loss after which it stops; 0: never
    measure: str = "mAP"  # of `evaluate.METRICS`, on the validation part: the best state is kept by it
    collapse: Count = 50  # steps in a row in which all embeddings are nearly one, after which it stops; 0: never
    bad_batches: Number = 5  # batches in a row without a finite loss after which it stops


@dataclass(frozen=True)
class CheckpointConfig:
    """What is written, and how often: the state from which a run can go on, and the model."""

    every: Number = 500  # steps, and at the end of every epoch
    onnx: bool = True  # in the end, write the graph that serves without torch, which takes 10 seconds or more
    half: bool = False  # keep the model's matrices in half precision: half the size, and 1e-3 of rounding


@dataclass(frozen=True)
class PrecisionConfig:
    """Numbers of the encoders; embeddings and losses are always float32."""

    name: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "cpu"  # cpu, cuda, mps, or auto


@dataclass(frozen=True)
class TrainConfig:
    """A run."""

    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    views: Views = field(default_factory=Views)
    terms: dict[str, TermConfig] = field(default_factory=dict)  # at least one
    temperature: float | None = None  # of terms that name none and have one; none: the objectives' own
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    stopping: StoppingConfig = field(default_factory=StoppingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    grid: dict[str, tuple[Scalar, ...]] = field(default_factory=dict)  # key -> values: every combination is tried
    hidden: Share = 0.3  # share of entities that objectives about entities hide from the encoders
    teacher: str | None = None  # folder of a trained model, for objectives that imitate one
    seed: Count = 0  # all that is random follows from it


def names() -> list[str]:
    """The configurations that come with the package."""
    return sorted(file.name.removesuffix(".yaml") for file in _folder().iterdir() if file.name.endswith(".yaml"))


def load(source: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The configuration of a file, or of a name, with overrides ``key=value``; keys have dots, values are YAML.

    Raises:
        DeepDXFError: there is no such file; it is no YAML; a key is unknown; a value has the wrong type.
    """
    tree = _read(source)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise DeepDXFError(f"{override!r} is not of the form key=value, e.g. optimiser.lr=1e-3")
        _set(tree, key, _parse(value, override))
    return from_dict(tree)


def from_dict(tree: Mapping[str, Any]) -> TrainConfig:
    """The configuration of nested dicts, checked.

    Raises:
        DeepDXFError: as `load`.
    """
    config: TrainConfig = _build(tree, TrainConfig, "")
    for key, values in config.grid.items():
        for value in values:
            varied(config, {key: value})
    return config


def varied(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """The configuration with other values at some dotted keys."""
    tree = to_dict(config)
    tree["grid"] = {}
    for key, value in values.items():
        _set(tree, key, value)
    return dataclasses.replace(from_dict(tree), grid=config.grid)


def points(config: TrainConfig) -> list[dict[str, Scalar]]:
    """All combinations of the grid, as values for `varied`; one without values where there is no grid."""
    return [dict(zip(config.grid, values, strict=True)) for values in itertools.product(*config.grid.values())]


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """Nested dicts and lists, for `from_dict`, YAML and JSON."""
    tree: dict[str, Any] = msgspec.to_builtins(config)
    return tree


def to_yaml(config: TrainConfig) -> str:
    """The configuration with all its keys, as `load` reads it."""
    return str(yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True))


# --- reading -----------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # the library has no types
    """YAML in which, as in YAML 1.2, 1e-3 is a number and on, off, yes, no are words; and a key stands once."""

    yaml_implicit_resolvers: typing.ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith((":bool", ":float"))]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} stands there twice", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))  # others are no names anyway
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"(?:[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|[-+]?\.inf|\.nan)$"),
    list("-+0123456789."),
)


def _folder() -> Any:
    return resources.files("deepdxf") / "configs"


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise DeepDXFError(f"{path}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise DeepDXFError(f"{path}: not in UTF-8") from error
    elif str(source) in names():
        text = (_folder() / f"{source}.yaml").read_text(encoding="utf-8")
    else:
        raise DeepDXFError(f"no configuration {str(source)!r}: name a .yaml file, or one of {', '.join(names())}")
    tree = _parse(text, str(source))
    if not isinstance(tree, dict):
        raise DeepDXFError(f"{source}: not of the form key: value")
    return tree


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise DeepDXFError(f"{where}{line}: no YAML ({getattr(error, 'problem', None) or error})") from None


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise DeepDXFError(f"{key}: {name} is a value, it has no keys below it")
    tree[last] = value


def _build(value: Any, kind: Any, key: str) -> Any:
    """A value of the type of a field; nested dicts become dataclasses, whose absent keys have their defaults."""
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        hints = typing.get_type_hints(kind, include_extras=True)
        known = [f.name for f in dataclasses.fields(kind)]
        for name in value:
            if name not in known:
                raise DeepDXFError(f"unknown key {_below(key, name)}{_nearest(str(name), known, key)}")
        fields = {name: _build(v, hints[name], _below(key, name)) for name, v in value.items()}
        try:
            return kind(**fields)  # type: ignore[operator]  # a dataclass
        except DeepDXFError as error:  # fields that do not fit each other
            raise DeepDXFError(f"{key}: {error}") from error
    if typing.get_origin(kind) is dict and isinstance(value, Mapping):
        return {str(name): _build(v, typing.get_args(kind)[1], _below(key, name)) for name, v in value.items()}
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        choices = [str(c) for c in typing.get_args(kind)] if typing.get_origin(kind) is Literal else []
        what = "is none of the choices" if choices else str(error).replace("`", "").partition(" - at")[0].lower()
        raise DeepDXFError(f"{key or 'configuration'}: {value!r} {what}{_nearest(str(value), choices)}") from None


def _below(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _nearest(word: str, known: Sequence[str], key: str = "") -> str:
    """The end of a message: the known name most like a wrong one, or all of them."""
    if not known:
        return ""
    close = difflib.get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {_below(key, close[0])}?" if close else f"; known are {', '.join(known)}"
