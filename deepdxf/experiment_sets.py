"""Experiments, declared: which runs belong together, and in what each differs from the others.

A cell is a run: a name, and settings over those of its set, which stand over a configuration that comes with the package.
To add a run is to add a line. `experiment` runs them, `experiment_tables` makes their tables.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deepdxf.augment import CODE_KINDS, KINDS, Views
from deepdxf.errors import DeepDXFError
from deepdxf.objectives import OBJECTIVES

Settings = Mapping[str, Any]  # dotted key of a configuration -> value
# How a cell comes to its figures: an encoder that is there already; random weights; training; training of a model further
# on drawings of an archive; training on each fold, then on all of them.
Kind = Literal["ready", "untrained", "train", "finetune", "folds"]


@dataclass(frozen=True)
class Cell:
    """One row of a table."""

    name: str  # without commas, for the command takes lists of them
    settings: Settings = field(default_factory=dict)
    kind: Kind = "train"
    encoder: str = ""  # of kind "ready": a name for `encoder.load`
    model: str = ""  # cell whose model this one imitates or begins with; it must come before
    group: str = ""  # heading in the table


@dataclass(frozen=True)
class Size:
    """How large the drawings, the steps and the encoders of an experiment are."""

    drawings: int  # generated for training and for the held-out kinds
    suite: int  # generated for the questions about edits
    rows: int  # drawings with more entities are left out
    batch: int  # settings below are for batches of so many drawings
    settings: Settings


@dataclass(frozen=True)
class Set:
    """An experiment."""

    name: str
    title: str
    about: str  # what stands above its table
    cells: tuple[Cell, ...]
    settings: Settings = field(default_factory=dict)  # of all cells, over those of the size
    configuration: str = "base"
    against: str = ""  # cell that the others are compared with
    ordered: bool = False  # the order of the cells says something; else the table has the best first
    steps: float = 1.0  # times the steps of the size
    own: bool = False  # drawings of the user only ask; what is trained on is generated
    archive: bool = False  # half of the held-out drawings are an archive to fine-tune on
    by_domain: bool = False  # whether figures by source, kind and domain are kept, and the worst queries


EVERY_SIZE: Settings = {
    "data.synthetic": 0,  # drawings are made, or given, once for all cells
    "data.validation": 0.0,  # every cell takes all its steps: equal budgets
    "data.workers": 0,
    "checkpoint.onnx": False,
    "stopping.epochs": 1_000_000,
    "stopping.every": 1_000_000,  # measured at the end, once
    "stopping.patience": 0,
    "checkpoint.every": 1_000_000,
    "stopping.collapse": 0,  # a collapse is a result
}
SIZES: Mapping[str, Size] = {
    "smoke": Size(60, 40, 120, 4, {
        "encoder.size": "tiny", "encoder.codewords": 16, "encoder.whitening": 8, "encoder.head_across": 32,
        "batch.drawings": 4, "batch.chunk": 4, "stopping.steps": 2,
    }),
    "small": Size(520, 200, 200, 32, {
        "encoder.size": "tiny", "encoder.whitening": 64, "encoder.head_across": 128,
        "batch.drawings": 32, "batch.chunk": 32, "stopping.steps": 60,
        "optimiser.lr": 2e-3, "optimiser.lr_geometry": 2e-3,
    }),
    "full": Size(2600, 650, 4096, 128, {"encoder.size": "small", "batch.drawings": 128, "stopping.steps": 1000}),
}  # fmt: skip

READY = (
    Cell("descriptor", kind="ready", encoder="descriptor", group="not learned"),
    Cell("histogram", kind="ready", encoder="histogram", group="not learned"),
    Cell("image network", kind="ready", encoder="sscd", group="not learned"),
)
UNTRAINED = Cell("untrained", kind="untrained", group="not learned")


# --- all objectives --------------------------------------------------------------------------------------------------

TEACHER = "simclr-v2"


def alone(objective: str) -> Settings:
    """The loss that is one objective and nothing else: across the codes where it needs two, else within each."""
    if "codes" in OBJECTIVES[objective].needs:
        return {"terms": {"across": {"objective": objective, "codes": "across"}}}
    return {"terms": {code: {"objective": objective, "codes": code} for code in ("sequence", "geometry")}}


def objectives() -> Iterable[Cell]:
    for name in sorted(OBJECTIVES, key=lambda name: name == "distillation"):  # its teacher is another cell
        yield Cell(name, alone(name), model=TEACHER if name == "distillation" else "", group="objectives")


# --- ablations -------------------------------------------------------------------------------------------------------

ONE_CODE = {
    code: {
        code: {"objective": "nt-xent", "codes": code},
        f"spread_{code}": {"objective": "variance", "codes": code, "weight": 0.1},
    }
    for code in ("sequence", "geometry")
}
# group -> name -> settings that differ from `base`
SWITCHES: Mapping[str, Mapping[str, Settings]] = {
    "branches": {
        "sequence alone": {"encoder.codes": "sequence", "encoder.pixels": 0, "terms": ONE_CODE["sequence"]},
        "geometry alone": {"encoder.codes": "geometry", "encoder.pixels": 0, "terms": ONE_CODE["geometry"]},
        "without raster": {"encoder.pixels": 0},
        "entities not shared": {"encoder.share_entities": False},
    },
    "losses": {
        "without sequence": {"terms.sequence.weight": 0.0},
        "without geometry": {"terms.geometry.weight": 0.0},
        "without across": {"terms.across.weight": 0.0},
        "without spread": {"terms.spread_sequence.weight": 0.0, "terms.spread_geometry.weight": 0.0},
        "across by margin and queue": {"terms.across.objective": "margin-queue"},
        "with masked parameters": {
            "terms.masked": {"objective": "masked-parameters", "codes": "geometry", "weight": 0.1}
        },
    },
    "fusion of codes": {
        "sequence counts 0.25": {"encoder.sequence_weight": 0.25},
        "sequence counts 0.75": {"encoder.sequence_weight": 0.75},
        "concatenated as they are": {"encoder.join": "lengths"},
        "not whitened": {"encoder.whitening": 0},
    },
    "views": {"4 views": {"views.views": 4}},
    "vocabulary": {"classic": {"encoder.vocabulary": "classic"}},
    "mixer": {mixer: {"encoder.mixer": mixer} for mixer in ("set", "full", "funnel")},
    "graph": {
        "class graph": {"encoder.graph": "class"},
        "class graph by overlap": {"encoder.graph": "class", "encoder.adjacency": "overlap"},
        "readout jk": {"encoder.readout": "jk"},
    },
    "graph layer": {layer: {"encoder.layer": layer} for layer in ("ggnn", "gcn", "sage")},
    "blocks": {
        "no attention over blocks": {"encoder.block_layers": 0},
        "2 layers over blocks": {"encoder.block_layers": 2},
        "blocks are tiles": {"encoder.blocks": "tiles"},
        "blocks are chunks": {"encoder.blocks": "chunks"},
    },
    "momentum": {
        "momentum and queue": {"terms.sequence.objective": "moco-v2", "terms.geometry.objective": "moco-v2"},
        "momentum and predictor": {"terms.sequence.objective": "moco-v3", "terms.geometry.objective": "moco-v3"},
        "weights not averaged": {"optimiser.ema_start": 0.0, "optimiser.ema_end": 0.0},
    },
    "balancing": {
        name: {"balance": {"name": name}} for name in ("fixed", "chance", "uncertainty", "gradient-norm", "loss-ratio")
    },
    "level": {
        "nodes instead of vectors": {"terms.geometry.objective": "node-contrast"},
        "nodes beside vectors": {"terms.nodes": {"objective": "node-contrast", "codes": "geometry", "weight": 0.5}},
        "nodes matched": {
            "terms.nodes": {"objective": "node-contrast", "codes": "geometry", "weight": 0.5},
            "encoder.matching": True,
        },
    },
    "temperature": {f"temperature {t:g}": {"temperature": t} for t in (0.05, 0.07, 0.2, 0.5)},
    "false negatives": {
        "only copies masked": {"data.same": "content"},
        "none masked": {"data.same": "off"},
    },
    "curriculum": {
        "synthetic positives by curriculum": {"terms.across.objective": "eclip"},
        "mixup": {"terms.sequence.objective": "mixup", "terms.geometry.objective": "mixup"},
        "across from the start": {"balance.options": {"late": ["across"], "start": 0.0, "end": 0.01}},
        "across late": {"balance.options": {"late": ["across"], "start": 0.4, "end": 0.6}},
    },
    "depth and width": {
        "1 layer": {"encoder.layers": 1},
        "4 layers": {"encoder.layers": 4},
        "1 graph layer": {"encoder.graph_layers": 1},
        "4 graph layers": {"encoder.graph_layers": 4},
        "half as wide": {"encoder.width": 16, "encoder.graph_width": 16},
        "twice as wide": {"encoder.width": 64, "encoder.graph_width": 64},
        "vectors of 32": {"encoder.vector": 32},
        "dropout 0": {"encoder.dropout": 0.0},
        "dropout 0.3": {"encoder.dropout": 0.3},
    },
    "data": {f"{share:.0%} of the drawings": {"data.amount": share} for share in (0.1, 0.3)},
    "mirror and rotation": {
        "mirrored views": {"views.mirror": True},
        "turned views": {"views.rotation": True},
    },
    "views are weaker or stronger": {f"strength {s:g}": {"views.strength": s} for s in (0.0, 0.5, 1.5)},
    "one kind of view off": {
        f"without {kind}": {f"views.{kind}": 0.0}
        for kind in (*KINDS, *CODE_KINDS)
        if kind not in ("rotate", "flip") and getattr(Views(), kind)  # these two are off until they are allowed
    },
}


def ablations(size: Size) -> Iterable[Cell]:
    yield Cell("base", group="base")
    # what depends on the size: half and twice of batches and steps, at the same number of drawings where batches differ
    steps = size.settings["stopping.steps"]
    by_size = {
        "batch and steps": {
            "half batch twice the steps": {"batch.drawings": size.batch // 2, "stopping.steps": steps * 2},
            "twice the batch half the steps": {"batch.drawings": size.batch * 2, "stopping.steps": max(steps // 2, 1)},
            "half the steps": {"stopping.steps": max(steps // 2, 1)},
            "twice the steps": {"stopping.steps": steps * 2},
            "a third of the learning rate": {
                "optimiser.lr": size.settings.get("optimiser.lr", 5e-4) / 3,
                "optimiser.lr_geometry": size.settings.get("optimiser.lr_geometry", 1e-3) / 3,
            },
        },
    }
    for group, switches in {**by_size, **SWITCHES}.items():
        for name, settings in switches.items():
            yield Cell(name, settings, group=group)


# --- fine-tuning, labels, domains, folds -----------------------------------------------------------------------------


def finetuning(size: Size) -> Iterable[Cell]:
    yield Cell("start", group="before")
    batch: Settings = {"batch.drawings": size.batch, "stopping.epochs": 1 if size.batch < 8 else 10}
    for name, settings in {
        "fine-tuned": {},
        "learning rate a third": {"optimiser.lr": 1e-4 / 3},
        "learning rate times three": {"optimiser.lr": 3e-4},
        "30% of the archive": {"data.amount": 0.3},
    }.items():
        yield Cell(name, {**batch, **settings}, kind="finetune", model="start", group="after")


def hybrid(objective: str, share: float) -> Settings:
    """A loss that may know some families, beside no other knowledge of them."""
    return {**alone(objective), "data.labels": share, "data.same": "content"}


LABELS = (
    Cell("no labels", hybrid("nt-xent", 0.0), group="learned"),
    *(Cell(f"hybrid {share:.0%} labelled", hybrid("semi-supervised", share), group="learned")
      for share in (0.0, 0.1, 0.3, 1.0)),
    Cell("labels alone", hybrid("supervised", 1.0), group="learned"),
)  # fmt: skip

GRID = tuple(
    Cell(f"lr {lr:g} dropout {dropout:g} temperature {t:g}",
         {"optimiser.lr": lr, "optimiser.lr_geometry": lr, "encoder.dropout": dropout, "temperature": t},
         kind="folds", group="grid")
    for lr in (5e-4, 2e-3)
    for dropout in (0.1, 0.3)
    for t in (0.07, 0.2)
)  # fmt: skip

# One embedding alone: without the raster code, which is never trained, and without whitening, which hides a collapse.
PLAIN: Settings = {"encoder.pixels": 0, "encoder.whitening": 0, "balance": {"name": "chance"}}
NAMES = ("objectives", "ablations", "finetuning", "labels", "domains", "folds")


def sets(size: Size) -> dict[str, Set]:
    """All experiments at a size, by name."""
    every = (
        Set(
            "objectives",
            "All objectives at equal budget",
            "Every objective alone, on the same drawings and the same views for the same number of steps, at the settings "
            "of its paper. Codes are served as the encoders give them: no raster code, no whitening.",
            (*READY, UNTRAINED, *objectives()),
            # tokens that are entities, which objectives about entities need
            {**PLAIN, "encoder.mixer": "set", "temperature": None},
            against="untrained",
        ),
        Set(
            "ablations",
            "One switch away from `base`",
            "Each row differs from `base`, at this size, in the settings that it names and in nothing else.",
            (*READY, UNTRAINED, *ablations(size)),
            against="base",
            ordered=True,
        ),
        Set(
            "finetuning",
            "Fine-tuning on an own archive",
            "A model trained on other kinds of drawings, then further on half of the drawings of an archive; held out is "
            "the other half. A tuned model counts only if it got better by its own check, else the old one is measured.",
            (*READY[:1], *finetuning(size)),
            against="start",
            ordered=True,
            own=True,
            archive=True,
        ),
        Set(
            "labels",
            "How many labels the hybrid needs",
            "Labels are families of drawings. They are told to the objective and to nothing else: drawings of one family "
            "are negatives of each other where their label is not known.",
            (*READY[:2], UNTRAINED, *LABELS),
            PLAIN,
            against="no labels",
            ordered=True,
        ),
        Set(
            "domains",
            "Where encoders are weak",
            "Encoders that have never seen any of these drawings: not one of them is trained on. `trained` has seen "
            "generated drawings only.",
            (*READY, UNTRAINED, Cell("trained", group="learned")),
            own=True,
            by_domain=True,
        ),
        Set(
            "folds",
            "Folds and a grid",
            "Each point of a grid is trained once a fold, then on all folds together, which the held-out figures are of.",
            GRID,
            {"data.folds": 2 if size.batch < 8 else 3},
        ),
    )
    return {experiment.name: experiment for experiment in every}


def find(name: str, size: str) -> tuple[Set, Size]:
    """An experiment at a size.

    Raises:
        DeepDXFError: there is none of that name, or no such size; the text names the nearest right one.
    """
    if size not in SIZES:
        raise DeepDXFError(f"no size {size!r}{nearest(size, SIZES)}")
    there = sets(SIZES[size])
    if name not in there:
        raise DeepDXFError(f"no experiment {name!r}{nearest(name, there)}")
    return there[name], SIZES[size]


def chosen(experiment: Set, names: Iterable[str]) -> list[Cell]:
    """Cells by name, in their order, with those whose models they need; all where none is named.

    Raises:
        DeepDXFError: there is none of a name; the text names the nearest right one.
    """
    cells = {cell.name: cell for cell in experiment.cells}
    wanted = set()
    for name in names:
        if name not in cells:
            raise DeepDXFError(f"experiment {experiment.name} has no cell {name!r}{nearest(name, cells)}")
        wanted |= {name, cells[name].model}
    return [cell for cell in experiment.cells if not wanted or cell.name in wanted]


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message: the known name most like a wrong one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(word, names, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(names)}"
