"""Counts of what the server does, in the text format of Prometheus."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping

# name -> (type, help)
METRICS = {
    "deepdxf_requests_total": ("counter", "Requests by path and status."),
    "deepdxf_request_seconds": ("histogram", "Time from a request to the end of its answer."),
    "deepdxf_requests_now": ("gauge", "Requests that are being answered."),
    "deepdxf_work_total": ("counter", "Drawings read, pictured and compared in worker processes, by outcome."),
    "deepdxf_work_waiting": ("gauge", "Requests that wait for a worker process."),
    "deepdxf_uploads_held": ("gauge", "Uploads in memory."),
    "deepdxf_archive_drawings": ("gauge", "Drawings in the archive by status."),
    "deepdxf_jobs": ("gauge", "Jobs by state."),
}
BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters and a histogram; gauges are given when they are asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, Labels], float] = defaultdict(float)
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self.now = 0  # requests that are being answered

    def count(self, name: str, **labels: str) -> None:
        """One more."""
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += 1

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered; ``path`` is that of its route, so that there are only so many."""
        self.count("deepdxf_requests_total", path=path, status=str(status))
        with self._lock:
            self._seconds += seconds
            self._buckets[next((i for i, most in enumerate(BUCKETS) if seconds <= most), len(BUCKETS))] += 1

    def text(self, gauges: Mapping[tuple[str, Labels], float]) -> str:
        """All metrics, with the gauges as they are now."""
        with self._lock:
            values = {**self._counts, **gauges, ("deepdxf_requests_now", ()): float(self.now)}
            buckets, seconds = list(self._buckets), self._seconds
        lines = []
        for name, (kind, about) in METRICS.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            if kind == "histogram":
                for most, count in zip((*map(str, BUCKETS), "+Inf"), _running(buckets), strict=True):
                    lines.append(f'{name}_bucket{{le="{most}"}} {count}')
                lines += [f"{name}_sum {seconds:.6f}", f"{name}_count {sum(buckets)}"]
                continue
            for (other, labels), value in sorted(values.items()):
                if other == name:
                    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
                    lines.append(f"{name}{{{inner}}} {value:g}" if inner else f"{name} {value:g}")
        return "\n".join(lines) + "\n"


def _running(counts: list[int]) -> list[int]:
    return [sum(counts[: i + 1]) for i in range(len(counts))]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
