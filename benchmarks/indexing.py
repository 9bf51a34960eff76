"""Indexing a whole folder with `deepdxf index`: time, memory of all processes; a second run with nothing changed; a run
with the shipped model.
"""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.common import Goal, Result, Table
from deepdxf import synth

WORKERS = 2
SYNTHETIC = 2000  # drawings where there is no corpus
SAMPLE_S = 0.25  # memory is looked at so often


@dataclass(frozen=True)
class Run:
    """One run of the command."""

    seconds: float
    peak_mb: float  # all processes together
    report: dict[str, Any]


@dataclass(frozen=True)
class Indexed:
    """A folder after two runs."""

    folder: Path
    archive: Path
    first: Run
    second: Run


def measure(corpus: Path | None) -> Result:
    """All runs as a table, with their goals."""
    indexed = index_twice(corpus)
    learned = run_index(indexed.folder, indexed.archive.with_name("archive-base"), "base")
    files = len(indexed.first.report["files"])
    megabytes = sum(path.stat().st_size for path in indexed.folder.rglob("*") if path.is_file()) / 1e6
    table = Table(
        f"Indexing {'the corpus' if corpus else 'synthetic drawings'}, thumbnails included",
        ("run", "files", "MB", "s", "files/s", "MB/s", "peak MB", "statuses"),
        note=f"`deepdxf index`, {WORKERS} worker processes. Memory: proportional set size of the process tree, sampled "
        f"every {SAMPLE_S} s (where the system has none, resident size, which counts shared pages more than once).",
    )
    runs = {"descriptor": indexed.first, "nothing changed": indexed.second, "shipped model `base`": learned}
    for name, run in runs.items():
        statuses = ", ".join(f"{count} {status}" for status, count in run.report["statuses"].items())
        table.rows.append(
            (name, files, megabytes, run.seconds, files / run.seconds, megabytes / run.seconds, run.peak_mb, statuses)
        )
    share = 1.0 if corpus else SYNTHETIC / 3966  # the bounds are for the corpus
    return Result(
        [table],
        [
            Goal("index, first run", indexed.first.seconds, 180.0 * share, "s"),
            Goal("index, peak memory", max(indexed.first.peak_mb, indexed.second.peak_mb), 1500.0, "MB"),
            Goal("index, nothing changed", indexed.second.seconds, 10.0 * share, "s"),
            Goal("index, shipped model", learned.seconds, 360.0 * share, "s"),
        ],
    )


@functools.cache
def index_twice(corpus: Path | None) -> Indexed:
    """The corpus, or synthetic drawings, indexed in a temporary folder that lives as long as the process."""
    place = Path(tempfile.mkdtemp(prefix="deepdxf-bench-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = corpus / "drawings" if corpus else place / "drawings"
    if corpus is None:
        synth.generate(folder, SYNTHETIC)
    archive = place / "archive"
    return Indexed(folder, archive, run_index(folder, archive), run_index(folder, archive))


def run_index(folder: Path, archive: Path, encoder: str = "descriptor") -> Run:
    """One run of the command.

    Raises:
        SystemExit: it failed.
    """
    words = ("index", str(folder), "--archive", str(archive), "--encoder", encoder, "--workers", str(WORKERS))
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "deepdxf", *words, "--json", "--quiet"], stdout=subprocess.PIPE)
    peaks: list[float] = [0.0]
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(psutil.Process(process.pid), ended, peaks))
    watcher.start()
    output, _ = process.communicate()
    taken = time.perf_counter() - start
    ended.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"deepdxf index ended with code {process.returncode}")
    return Run(taken, max(peaks), json.loads(output))


def watch(main: psutil.Process, ended: threading.Event, peaks: list[float]) -> None:
    """Collect the memory of a process and its children, MB, until it has ended."""
    while not ended.wait(SAMPLE_S):
        total = 0.0
        try:
            family = [main, *main.children(recursive=True)]
        except psutil.Error:
            continue
        for process in family:
            try:
                info = process.memory_full_info()
                total += getattr(info, "pss", info.rss) / 1e6
            except psutil.Error:
                continue  # it has just ended
        peaks.append(total)
