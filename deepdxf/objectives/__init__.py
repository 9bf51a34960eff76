"""Objectives: pure functions of embeddings, one small file each (torch).

**Call convention.** An objective is called with keyword arguments and gives a scalar tensor, at least 0, in float32. It
is a function, or a `torch.nn.Module` where it owns state: a queue, a bank, prototypes, a predictor, a learned temperature.
It knows embeddings, never the encoder. What it is to be given stands in its signature, and `INPUTS` is the complete list
of names, so one loop drives all of them::

    loss = objectives.build("byol", width=128, count=len(store))
    wanted = objectives.inputs(loss)                       # ("z_a", "z_b", "momentum_a", "momentum_b")
    value = loss(**{name: given[name] for name in wanted})

* `inputs(loss)`: the names to give, in the order of the signature. Those of `OPTIONAL` have a default and may be left out
  when the loop does not have them (``same`` without known groups, say); all others must be given.
* Projections are *not* normalised before: the loss does it. Rows with the same number belong to the same drawing in all
  arguments. Arguments named ``momentum_*`` and ``teacher`` carry no gradient.
* With need ``codes`` the two sides are geometry (``_a``) and sequence (``_b``) of the same drawings; otherwise they are
  two views of one code.
* State: a module's ``parameters()`` go to the optimiser (weight decay on none with fewer than two dimensions), its
  ``state_dict`` into the checkpoint. Queues, banks, centres and momentum copies move once per call in training mode
  and never in evaluation mode: one call for each optimiser step (cached gradients do that), ``eval()`` for validation.
* With several processes, give gathered projections: every process computes the loss of the whole batch.
* A batch that teaches nothing (empty, no negatives, nothing hidden) has loss 0 with gradients of 0, never NaN.

`OBJECTIVES` is the registry. Listing it imports no torch.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from deepdxf.errors import ObjectiveError

if TYPE_CHECKING:
    from torch import Tensor

    Loss = Callable[..., Tensor]

# What a loop can be asked for: b drawings, n rows (entities, patches), d width. Names in OPTIONAL may be left out.
INPUTS: Mapping[str, str] = {
    "z_a": "(b, d) projections of the first view, or of the geometry code",
    "z_b": "(b, d) projections of the second view, or of the sequence code",
    "more": "sequence of (b, d): further views (strength ladder, small crops)",
    "momentum_a": "(b, d) projections of the first view by the momentum copy",
    "momentum_b": "(b, d) projections of the second view by the momentum copy",
    "same": "(b, b) bool, drawings that are the same (hash, source, family): no negatives of each other",
    "groups": "(b,) int64 number of each drawing's group of same drawings, −1 = none: what `same` is for queues and banks",
    "ids": "(b,) int64 number of each drawing in the training set, 0 … count − 1",
    "labels": "(b,) int64 family of each drawing, −1 = not known",
    "nodes_a": "(n, d) features of entities or patches of the first view, by drawing, in drawing order",
    "nodes_b": "(n, d) the same of the second view, rows matched: row i of both is the same entity",
    "owner": "(n,) int64 drawing of each node, ascending",
    "block": "(n,) int64 block of each node, numbered through the batch, ascending",
    "teacher": "(b, d′) projections of a trained larger model",
    "class_logits": "(m, classes) of the m hidden entities",
    "classes": "(m,) int64 true class of the hidden entities",
    "bin_logits": "(p, bins) of the p present slots of hidden entities",
    "bins": "(p,) int64 true bin of these slots",
    "predicted": "(m, w) a decoder's values of entities",
    "values": "(m, w) their true values, NaN = absent",
    "corrupted": "(m,) bool, which of them were hidden or changed before encoding",
    "replaced_logits": "(n,) a decoder's answer whether each entity was replaced",
    "replaced": "(n,) bool, whether it was",
    "step": "int, optimiser steps done",
    "steps": "int, optimiser steps of the whole run",
}
OPTIONAL = frozenset({"more", "same", "groups", "block", "step", "steps"})

NEEDS = (
    "memory bank", "queue", "momentum copy", "predictor", "prototypes", "decoder", "labels", "codes", "teacher",
)  # fmt: skip


@dataclass(frozen=True)
class Objective:
    """One entry of the registry."""

    name: str
    path: str  # module:function or module:class, inside deepdxf.objectives
    paper: str  # where the formula and the defaults are from
    level: str  # what it compares: vector, node or parameter
    needs: tuple[
        str, ...
    ] = ()  # of NEEDS; the momentum copy, decoder and teacher are the loop's, the rest is the loss's own
    status: str = "zoo"  # core: part of the usual recipe; zoo: there to be compared with it
    settings: Mapping[str, Any] = field(default_factory=dict)  # where the defaults differ from the function's own
    momentum: tuple[float, float] | None = None  # of the momentum copy: at the start and at the end of the run
    chance: Callable[[int, Mapping[str, Any]], float] | None = (
        None  # loss of embeddings without information; see `chance`
    )


def _views(b: int, settings: Mapping[str, Any]) -> float:
    return math.log(max(2 * b - 1, 1))


def _batch(b: int, settings: Mapping[str, Any]) -> float:
    return math.log(max(b, 1))


def _others(b: int, settings: Mapping[str, Any]) -> float:
    return math.log(max(b - 1, 1))


def _queue(b: int, settings: Mapping[str, Any]) -> float:
    return math.log(1 + int(settings["length"]))


def _yes_or_no(b: int, settings: Mapping[str, Any]) -> float:
    """Of b questions a row the best constant answer, 1/b."""
    return math.log(max(b, 1)) + (b - 1) * math.log(b / (b - 1)) if b > 1 else 0.0


def _margin(b: int, settings: Mapping[str, Any]) -> float:
    return 2.0 * float(settings["margin"])


def _nce(b: int, settings: Mapping[str, Any]) -> float:
    """Of one yes and m noes the best constant answer, 1/(1 + m)."""
    m = int(settings["negatives"])
    return math.log(1 + m) + m * math.log((1 + m) / m)


def _cmc(b: int, settings: Mapping[str, Any]) -> float:
    views = int(settings["views"])
    return views * (views - 1) * _nce(b, settings)


def _sampled(b: int, settings: Mapping[str, Any]) -> float:
    return math.log(int(settings["sampled"]))


def _moco_v3(b: int, settings: Mapping[str, Any]) -> float:
    return 4.0 * float(settings["temperature"]) * _batch(b, settings)


def _prototypes(b: int, settings: Mapping[str, Any]) -> float:
    return math.log(int(settings["prototypes"]))


def _albef(b: int, settings: Mapping[str, Any]) -> float:
    """Contrast over batch and queue, and a match that is true one time in three."""
    return math.log(max(b + int(settings["length"]), 1)) + math.log(3) - 2 / 3 * math.log(2)


def _m2_mixup(b: int, settings: Mapping[str, Any]) -> float:
    return (1.0 + float(settings["mix_weight"])) * _batch(b, settings)


def _nodes(b: int, settings: Mapping[str, Any]) -> float:
    return math.log(2 * int(settings["sampled"]) - 1)


def _bins(b: int, settings: Mapping[str, Any]) -> float:
    return math.log(12) + float(settings["bin_weight"]) * math.log(256)


OBJECTIVES: dict[str, Objective] = {
    entry.name: entry
    for entry in (
        Objective("nt-xent", "nt_xent:nt_xent", "SimCLR, ICML 2020", "vector", status="core", chance=_views),
        Objective(
            "cross-code", "cross_code:cross_code", "CLIP, ICML 2021, with a fixed temperature", "vector", ("codes",),
            status="core", chance=_batch,
        ),
        Objective(
            "clip", "cross_code:LearnedCrossCode", "CLIP, ICML 2021", "vector", ("codes",), status="core", chance=_batch
        ),
        Objective("siglip", "siglip:SigLIP", "SigLIP, ICCV 2023", "vector", ("codes",), chance=_yes_or_no),
        Objective(
            "margin-queue", "margin_queue:MarginQueue", "MCT, CVPR 2021, eq. 13-15", "vector",
            ("codes", "queue", "momentum copy"), momentum=(0.999, 0.999), chance=_margin,
        ),
        Objective(
            "node-contrast", "node_contrast:node_contrast", "GRACE, 2020; CGMN, IJCAI 2022", "node",
            status="core", chance=_nodes,
        ),
        Objective(
            "masked-parameters", "masked_parameters:masked_parameters", "BERT, 2019; weights of DeepCAD, ICCV 2021",
            "parameter", ("decoder",), status="core", chance=_bins,
        ),
        Objective("variance", "variance:variance", "VICReg, ICLR 2022", "vector", status="core"),
        Objective("supervised", "supervised:supervised", "SupCon, NeurIPS 2020", "vector", ("labels",), chance=_views),
        Objective(
            "instdisc", "instdisc:InstDisc", "Instance discrimination, CVPR 2018", "vector", ("memory bank",), chance=_nce
        ),
        Objective("invaspread", "invaspread:invaspread", "Invariant and spreading, CVPR 2019", "vector", chance=_yes_or_no),
        Objective("cpc", "cpc:CPC", "CPC, 2018", "node", chance=_sampled),
        Objective("cmc", "cmc:CMC", "CMC, ECCV 2020", "vector", ("codes", "memory bank"), chance=_cmc),
        Objective(
            "moco-v1", "moco:MomentumContrast", "MoCo, CVPR 2020", "vector", ("queue", "momentum copy"),
            momentum=(0.999, 0.999), chance=_queue,
        ),
        Objective(
            "moco-v2", "moco:MomentumContrast", "MoCo v2, 2020", "vector", ("queue", "momentum copy"),
            settings={"temperature": 0.2}, momentum=(0.999, 0.999), chance=_queue,
        ),
        Objective(
            "moco-v3", "moco:MoCoV3", "MoCo v3, ICCV 2021", "vector", ("momentum copy", "predictor"),
            momentum=(0.99, 1.0), chance=_moco_v3,
        ),
        Objective(
            "simclr", "nt_xent:nt_xent", "SimCLR, ICML 2020, at its published temperature", "vector",
            settings={"temperature": 0.1}, chance=_views,
        ),
        Objective(
            "simclr-v2", "nt_xent:nt_xent", "SimCLR v2, NeurIPS 2020: the same loss under a deeper head", "vector",
            settings={"temperature": 0.1}, chance=_views,
        ),
        Objective(
            "distillation", "distillation:distillation", "SimCLR v2, NeurIPS 2020, second stage", "vector", ("teacher",),
            chance=_others,
        ),
        Objective("swav", "swav:SwAV", "SwAV, NeurIPS 2020", "vector", ("prototypes", "queue"), chance=_prototypes),
        Objective(
            "byol", "byol:BYOL", "BYOL, NeurIPS 2020", "vector", ("momentum copy", "predictor"),
            momentum=(0.996, 1.0), chance=lambda b, settings: 4.0,
        ),
        Objective(
            "simsiam", "simsiam:SimSiam", "SimSiam, CVPR 2021", "vector", ("predictor",), chance=lambda b, settings: 1.0
        ),
        Objective(
            "dino", "dino:DINO", "DINO, ICCV 2021", "vector", ("momentum copy", "prototypes"),
            momentum=(0.996, 1.0), chance=_prototypes,
        ),
        Objective("masked-values", "masked_values:masked_values", "MAE, CVPR 2022", "parameter", ("decoder",)),
        Objective("denoising", "denoising:denoising", "Denoising autoencoders, JMLR 2010", "parameter", ("decoder",)),
        Objective(
            "replaced-entity", "replaced_entity:replaced_entity", "ELECTRA, ICLR 2020", "parameter", ("decoder",),
            chance=lambda b, settings: math.log(2),
        ),
        Objective(
            "albef", "albef:ALBEF", "ALBEF, NeurIPS 2021", "vector", ("codes", "queue", "momentum copy"),
            momentum=(0.995, 0.995), chance=_albef,
        ),
        Objective("mixup", "mixup:mixup", "i-Mix, ICLR 2021", "vector", chance=_batch),
        Objective("m2-mixup", "m2_mixup:m2_mixup", "m²-mixup, NeurIPS 2023", "vector", ("codes",), chance=_m2_mixup),
        Objective("eclip", "eclip:ECLIP", "eCLIP, ECCV 2024", "vector", ("codes",), chance=_batch),
        Objective(
            "semi-supervised", "semi_supervised:SemiSupervised", "SimCLR, ICML 2020, with SupCon, NeurIPS 2020",
            "vector", ("labels",), chance=_views,
        ),
        Objective("hierarchical", "hierarchical:hierarchical", "TS2Vec, AAAI 2022; COMET, NeurIPS 2023", "node"),
        Objective(
            "mvgrl", "mvgrl:mvgrl", "MVGRL, ICML 2020", "node", chance=lambda b, settings: 4.0 * math.log(2)
        ),
        Objective("vicreg", "vicreg:vicreg", "VICReg, ICLR 2022", "vector"),
    )
}  # fmt: skip


def find(name: str) -> Objective:
    """The entry of a name."""
    if name not in OBJECTIVES:
        raise ObjectiveError(f"no objective {name!r}; there are: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]


def build(name: str, *, width: int, count: int | None = None, **settings: Any) -> Loss:
    """The objective of a name, ready to be called: a module where it owns state, else a function.

    ``width``: d of what it will get, of the projections or, at level node, of the nodes. ``count``: drawings in the
    training set, needed for memory banks; with it, a queue (``length``) that is not set is at most a quarter of it and
    ``prototypes`` at most as many: the papers' values are for millions of pictures. ``settings``: keyword arguments of the
    function or class, over the defaults.
    """
    entry, target = find(name), load(name)
    known = _settings(target)
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ObjectiveError(f"objective {name} has no setting {unknown[0]!r}; it has: {', '.join(known) or 'none'}")
    chosen = _over(known, count, entry, settings)
    if not inspect.isclass(target):
        return partial(target, **chosen) if chosen else target
    parameters = inspect.signature(target).parameters
    if "count" in parameters and count is None:
        raise ObjectiveError(f"objective {name} has a memory bank; give build(..., count=number of drawings)")
    sizes = {key: value for key, value in (("width", width), ("count", count)) if key in parameters}
    return cast("Loss", target(**sizes, **chosen))


def load(name: str) -> Callable[..., Any]:
    """The function or class of a name (imports torch)."""
    module, _, attribute = find(name).path.partition(":")
    target: Callable[..., Any] = getattr(importlib.import_module(f"deepdxf.objectives.{module}"), attribute)
    return target


def inputs(loss: Loss) -> tuple[str, ...]:
    """Names of `INPUTS` that a loss takes."""
    return tuple(key for key in inspect.signature(getattr(loss, "forward", loss)).parameters if key in INPUTS)


def chance(name: str, batch: int, *, count: int | None = None, **settings: Any) -> float | None:
    """Loss (nats, where it is an entropy) of embeddings that say nothing: all equal, or all at right angles.

    ``count`` and ``settings`` as given to `build`. None where no such level is defined.
    """
    entry = find(name)
    if entry.chance is None:
        return None
    known = _settings(load(name))
    return entry.chance(batch, known | _over(known, count, entry, settings))


def _settings(target: Callable[..., Any]) -> dict[str, Any]:
    """Settings of a function or class with their defaults: keyword arguments that no loop and no data set gives."""
    return {
        key: parameter.default
        for key, parameter in inspect.signature(target).parameters.items()
        if key not in INPUTS and key not in ("width", "count", "self")
    }


def _over(known: Mapping[str, Any], count: int | None, entry: Objective, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be set over the defaults ``known``: sizes cut to ``count``, then the entry's own, then what was asked."""
    most = {} if count is None else {"length": max(count // 4, 1), "prototypes": max(count, 2)}
    cut = {key: min(known[key], most[key]) for key in known if key in most}
    return {**cut, **entry.settings, **settings}
