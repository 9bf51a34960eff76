"""Fine-tuning: a trained model on the user's own drawings, without labels; never ends with a worse model.

Two things are measured before and after every epoch, on drawings that training does not see: whether edits of the user's
drawings find their drawings, and whether drawings of generated families still find their siblings. A state counts only
if the second is not below what the model had before; it is kept only if the first is above.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepdxf import config as configuration
from deepdxf.checkpoint import load_model, save_model
from deepdxf.config import DataConfig, TrainConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.held_out import HeldOut
from deepdxf.report import write_json
from deepdxf.tracking import Tracker
from deepdxf.train import (
    EVALUATION,
    MODEL_FOLDER,
    TrainingError,
    begin,
    fit,
    part,
    prepare,
    prepared,
)

SANITY_DRAWINGS, SANITY_SEED = 120, 20_260_101  # of the generated families; the seed of no other run
LEAST = 10  # drawings that training and check need


def finetune(
    paths: Sequence[str | Path],
    model: Path,
    folder: Path,
    config: TrainConfig | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a model further on the drawings below some paths; a better one is left in ``folder/model``.

    Args:
        paths: files and folders.
        model: folder of the model; it is not changed.
        folder: of the run.
        config: default ``finetune``; its encoder is that of the model.
        resume: go on with the run that the folder holds.
        quiet: no progress bar, and messages only in log.txt.

    Returns:
        The content of evaluation.json: ``better``, the folder of the ``model`` to use, and the figures of both checks
        before and after.

    Raises:
        TrainingError: there are too few drawings; the folder holds another run.
        DeepDXFError: as `train.fit`.
    """
    old = load_model(model)
    config = config or configuration.load("finetune")
    data = dataclasses.replace(config.data, drawings=tuple(str(path) for path in paths))
    config = dataclasses.replace(config, data=data, encoder=old.config, terms=fitting(config, old))
    begin(config, folder, resume)
    for name, reason in prepare(config, folder, quiet).items():
        Tracker.write(folder, f"not read: {name}: {reason}", quiet)
    store, protocol = prepared(config, folder)
    if len(store) < LEAST:
        raise TrainingError(f"{len(store)} drawings are too few to learn from and to check: give at least {LEAST}")
    parts = part(store, protocol, config)
    batch = dataclasses.replace(config.batch, drawings=min(config.batch.drawings, len(parts.train)))
    config = dataclasses.replace(config, batch=batch)

    own = parts.questions(parts.validation, config)
    if not own.asks:
        raise TrainingError("none of the drawings of the check shows anything; give others")
    sanity = sanity_questions(config, folder, quiet)
    measure = config.stopping.measure

    def figures(weights: DualEncoder) -> dict[str, float]:
        return {"own": own.of_model(weights).mean(measure), "sanity": sanity.of_model(weights).mean(measure)}

    before = figures(old)

    def judge(weights: DualEncoder) -> dict[str, float]:
        now = figures(weights)
        return {**now, "score": now["own"] if now["sanity"] >= before["sanity"] else float("-inf")}

    fitted = fit(config, parts, folder, model=load_model(model), judge=judge, resume=resume, quiet=quiet)
    better = fitted.score > before["own"]
    report: dict[str, Any] = {
        "better": better,
        "model": str(folder / MODEL_FOLDER if better else model),
        "measure": measure,
        "drawings": {"training": len(parts.train), "check": len(parts.validation)},
        "before": before,
        "after": figures(fitted.model),
        "steps": fitted.steps,
        "stopped": fitted.stopped,
    }
    if better:
        card = f"# Model of DeepDXF\n\nFine-tuned from {model} on {len(store)} drawings.\n"
        save_model(fitted.model, folder / MODEL_FOLDER, card, onnx=config.checkpoint.onnx, half=config.checkpoint.half)
    write_json(folder / EVALUATION, report)
    return report


def fitting(config: TrainConfig, model: DualEncoder) -> dict[str, configuration.TermConfig]:
    """The terms that a model can have: those about codes that it encodes."""
    there = {code for code in ("sequence", "geometry", "raster") if getattr(model, code) is not None}
    if {"sequence", "geometry"} <= there:
        there.add("across")
    return {name: term for name, term in config.terms.items() if term.codes in there}


def sanity_questions(config: TrainConfig, folder: Path, quiet: bool) -> HeldOut:
    """Drawings of generated families, and what their groups ask."""
    data = DataConfig(synthetic=SANITY_DRAWINGS, synthetic_seed=SANITY_SEED, test=0.0, validation=0.0)
    sanity = dataclasses.replace(config, data=data)
    place = folder / "sanity"
    place.mkdir(exist_ok=True)
    prepare(sanity, place, quiet)
    parts = part(*prepared(sanity, place), sanity)
    return parts.questions(parts.train, sanity)
