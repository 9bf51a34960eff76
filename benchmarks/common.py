"""What the measurements share: tables, goals, the machine they ran on, and the drawings that they are made with."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

Cell = str | int | float
LIBRARIES = ("pycadkit", "ezdxf", "numpy", "scipy", "shapely", "msgspec", "lancedb", "pyarrow", "resvg_py")


@dataclass
class Table:
    """Measured values; ``note`` says how they were measured."""

    title: str
    columns: tuple[str, ...]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    note: str = ""

    def markdown(self) -> str:
        """The table with its title and note."""
        lines = [f"### {self.title}", "", *([self.note, ""] if self.note else [])]
        return "\n".join(lines + markdown_rows(self.columns, self.rows))


@dataclass(frozen=True)
class Goal:
    """A value that a release must reach: ``at_least`` for ratios, otherwise at most."""

    name: str
    value: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the value keeps to the bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass
class Result:
    """What one benchmark gives."""

    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)


def goals_table(goals: Iterable[Goal]) -> Table:
    """All goals with what was measured."""
    rows: list[Sequence[Cell]] = [
        (g.name, f"{number(g.value)} {g.unit}", f"{'≥' if g.at_least else '≤'} {g.bound:g}", "yes" if g.met else "NO")
        for g in goals
    ]
    return Table("Goals", ("goal", "measured", "bound", "met"), rows)


def markdown_rows(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """Lines of a Markdown table; columns of numbers are right-aligned."""
    cells = [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in rows]
    right = [any(not isinstance(row[i], str) for row in rows) for i in range(len(columns))] if cells else []
    rule = ["---:" if is_right else "---" for is_right in right] or ["---"] * len(columns)
    return ["| " + " | ".join(line) + " |" for line in [list(columns), rule, *cells]]


def number(value: int | float) -> str:
    """A number with three digits that count."""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3}f}"


def machine() -> dict[str, Any]:
    """Where and with what the numbers were measured."""
    import psutil

    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load": round(psutil.getloadavg()[0], 2),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }


def commit() -> str:
    """Short hash of the checked-out commit, with "+" where files differ from it; "unknown" outside of a checkout."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def find_corpus(given: Path | None) -> Path | None:
    """Folder of the unpacked corpus of real drawings: given, $DEEPDXF_CORPUS, or ``deepdxf-corpus`` in the user's
    cache; None where there is none.

    Raises:
        SystemExit: a folder was given that is not the corpus.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = given or Path(os.environ.get("DEEPDXF_CORPUS") or cache / "deepdxf-corpus")
    for place in (folder, folder.absolute().parent):  # the folder of its drawings is understood too
        if (place / "manifest.csv").is_file() and (place / "drawings").is_dir():
            return place
    if given is not None:
        raise SystemExit(f"no corpus in {folder}: it has no manifest.csv")
    return None


def drawing_files(corpus: Path) -> list[Path]:
    """The DXF drawings of the corpus, sorted."""
    return sorted((corpus / "drawings").rglob("*.dxf"), key=lambda path: path.as_posix())


def seconds(step: Callable[[], object], repeats: int = 1) -> float:
    """Best wall time of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


def processor_seconds(step: Callable[[], object], repeats: int = 1) -> float:
    """Best processor time of some runs, all threads together: other load of the machine does not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times)


def median_p95(values: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return float(np.median(values)), float(np.percentile(values, 95))
