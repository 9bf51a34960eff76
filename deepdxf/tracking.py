"""What a training run leaves to read: a log, the metrics of every step, and the same in TensorBoard or wandb by switch.

    log.txt         every message, with date and time
    metrics.jsonl   one JSON object a record: step, epoch, kind ("train" or "validation") and figures
    metrics.csv     the same as a table

A run that goes on from a checkpoint first forgets the records after it, so that no step stands there twice.
"""

from __future__ import annotations

import csv
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deepdxf.errors import DeepDXFError
from deepdxf.files import replacing

METRICS = "metrics.jsonl"
WANDB = "pip install 'deepdxf[wandb]'"


@dataclass(frozen=True)
class TrackingConfig:
    """Where figures go beside the run's folder."""

    tensorboard: bool = False  # event files in the run's folder
    wandb: Literal["off", "online", "offline"] = "off"  # offline: files in the run's folder, no account needed
    project: str = "deepdxf"  # of wandb


class Tracker:
    """The records of one run; a context. Processes other than the first have one without a folder, which is silent."""

    def __init__(
        self,
        folder: Path | None,
        config: TrackingConfig | None = None,
        run: Mapping[str, Any] | None = None,
        *,
        step: int = 0,
        quiet: bool = False,
    ) -> None:
        """Open the records of the run in ``folder``.

        Args:
            run: the run's settings, for wandb.
            step: number of steps done before; records from there on are dropped.
            quiet: messages go to log.txt alone.

        Raises:
            DeepDXFError: the folder cannot be written, or an optional library is asked for and not installed.
        """
        self.folder, self.quiet = folder, quiet
        self.records: list[dict[str, Any]] = []
        self.columns: list[str] = []
        self._tensorboard = self._wandb = None
        config = config or TrackingConfig()
        if folder is None:
            return
        self._keep(step)
        if config.tensorboard:
            self._tensorboard = _tensorboard(folder, step)
        if config.wandb != "off":
            self._wandb = _wandb(folder, config, dict(run or {}))

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._tensorboard is not None:
            self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if exception[0] is None else 1)

    def log(self, text: str) -> None:
        """A message to standard error and log.txt."""
        if self.folder is not None:
            self.write(self.folder, text, self.quiet)

    @staticmethod
    def write(folder: Path, text: str, quiet: bool = False) -> None:
        """A message before or after the steps of the run in ``folder``."""
        if not quiet:
            print(text, file=sys.stderr)  # the stream of the moment: a progress bar puts its own there
        _append(folder / "log.txt", f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def record(self, kind: str, step: int, epoch: int, figures: Mapping[str, float]) -> None:
        """Figures after a step; numbers that are not finite are stored as null."""
        if self.folder is None:
            return
        plain = {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}
        row = {"step": step, "epoch": epoch, "kind": kind, **plain}
        self.records.append(row)
        _append(self.folder / METRICS, json.dumps(row) + "\n")
        if set(row) <= set(self.columns):
            with _one_line(self.folder / "metrics.csv"), (self.folder / "metrics.csv").open("a", newline="") as file:
                csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)
        else:
            self._write_csv()
        for name, value in figures.items():
            if self._tensorboard is not None:
                self._tensorboard.add_scalar(f"{kind}/{name}", value, step)
        if self._wandb is not None:
            self._wandb.log({f"{kind}/{name}": value for name, value in figures.items()}, step=step)

    def _keep(self, step: int) -> None:
        """Read the records of the steps before ``step`` again and drop the others."""
        assert self.folder is not None
        path = self.folder / METRICS
        if path.exists():
            self.records = [row for row in read_records(self.folder) if row["step"] <= step]
        with replacing(path) as partial:
            partial.write_text("".join(json.dumps(row) + "\n" for row in self.records), encoding="utf-8")
        self._write_csv()

    def _write_csv(self) -> None:
        assert self.folder is not None
        self.columns = list(dict.fromkeys(name for row in self.records for name in row))
        with (
            replacing(self.folder / "metrics.csv") as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.records)


def read_records(folder: Path) -> list[dict[str, Any]]:
    """The records of the run in a folder, in their order.

    Raises:
        DeepDXFError: there is no file of them, or no line of it is a record.
    """
    path = folder / METRICS
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not in UTF-8"
        raise DeepDXFError(f"{path}: {reason}; name the folder of a run") from None
    records, lines = [], text.splitlines()
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:  # the process was killed while it wrote
            continue
        if isinstance(row, dict) and {"step", "kind"} <= row.keys():
            records.append(row)
    if not records and "\n" in text:  # without a line's end it is the first record that was being written
        raise DeepDXFError(f"{path} is damaged: none of its {len(lines)} lines is a record")
    return records


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """OSErrors of the block become one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DeepDXFError(f"cannot write {path}: {reason}; make room and go on with --resume") from error


def _append(path: Path, text: str) -> None:
    with _one_line(path), path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _tensorboard(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise DeepDXFError("tracking.tensorboard needs tensorboard: pip install 'deepdxf[train]'") from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)


def _wandb(folder: Path, config: TrackingConfig, run: dict[str, Any]) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise DeepDXFError(f"tracking.wandb={config.wandb} needs wandb: {WANDB}") from error
    return wandb.init(project=config.project, mode=config.wandb, dir=str(folder), config=run, name=folder.name)
