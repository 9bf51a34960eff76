"""Many files through worker processes, with a limit on time and memory for each.

A drawing can hang a parser, exhaust the memory or crash a native library. Each worker is therefore a process of its own
that can be ended: the file it was on becomes a failed outcome, a fresh worker takes over, and nothing else is lost.

    for outcome in read_many(paths, work, workers=2, timeout_s=60, memory_mb=2000):
        ...

Works wherever Python starts processes by "spawn" (Windows, macOS, Linux).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from pickle import PickleError
from typing import Any, Generic, TypeVar

from deepdxf.errors import AwayError, DeepDXFError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items handed to a worker ahead of the one it is on, so that it never waits for the main process.
AHEAD = 3
# Longest wait before limits are looked at again, seconds.
TICK_S = 0.2
# A worker is let go after this many crashes before its first answer: the work itself cannot be started.
MAX_STARTS = 3


class Passing(str):
    """An error that may be over another time: the item was at fault only for now."""


class TimedOut(Passing):
    """An item took longer than its limit, which a busy machine may be the reason of."""


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item: a value, or an error in one line."""

    item: Item
    value: Result | None
    error: str | None  # `Passing` where it may be over another time
    seconds: float  # time in the worker; for a worker that was ended, until its end


def read_many(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    *,
    workers: int | None = None,
    timeout_s: float = 120.0,
    memory_mb: int = 2000,
) -> Iterator[Outcome[Item, Result]]:
    """Apply ``work`` to every item in worker processes; outcomes come as they are ready, in any order.

    Exactly one outcome an item: ``work`` that raises, takes longer than ``timeout_s``, needs more than ``memory_mb`` of
    memory or ends its process gives an outcome with an error. Closing the iterator, or Ctrl-C, ends the workers.

    Args:
        items: what to work on; read lazily. Items, ``work`` and results must be picklable.
        work: called in the workers; its global state lives as long as the worker.
        workers: number of processes; default: the number of cores.
        timeout_s: limit an item, seconds.
        memory_mb: limit a worker, MiB: its data segment on Linux, its resident memory, watched, elsewhere.

    Raises:
        DeepDXFError: the workers end before they begin (e.g. ``work`` cannot be imported there).
    """
    queue = _Queue(items)
    crew: list[_Worker] = []
    try:
        while True:
            while len(crew) < (workers or os.cpu_count() or 1) and queue.has_next():
                crew.append(_Worker(work, memory_mb))
            for worker in crew:
                worker.fill(queue)
            if not any(worker.given for worker in crew):
                return
            ready = set(wait([worker.pipe for worker in crew], timeout=TICK_S))
            for worker in list(crew):
                yield from worker.attend(queue, worker.pipe in ready, timeout_s, memory_mb)
                if worker.ended:
                    crew.remove(worker)
    finally:
        for worker in crew:
            worker.end()


class Standby(Generic[Item, Result]):
    """A worker process that is kept between items: what a server asks, one item at a time, under the same limits.

    It is started by the first item, and anew by the next one after it has ended. For one thread at a time.

    Args:
        work, timeout_s, memory_mb: as in `read_many`.
    """

    def __init__(self, work: Callable[[Item], Result], *, timeout_s: float = 120.0, memory_mb: int = 2000) -> None:
        self._work, self._timeout_s, self._memory_mb = work, timeout_s, memory_mb
        self._worker: _Worker | None = None

    def ask(self, item: Item) -> Outcome[Item, Result]:
        """What becomes of an item. Raises DeepDXFError when the process ends before it begins."""
        queue = _Queue([item])
        while True:
            worker = self._worker = self._worker or _Worker(self._work, self._memory_mb)
            worker.fill(queue)
            ready = bool(wait([worker.pipe], timeout=TICK_S))
            outcomes = list(worker.attend(queue, ready, self._timeout_s, self._memory_mb))
            if worker.ended:
                self._worker = None
            if outcomes:
                return outcomes[0]

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None


@contextmanager
def progress_bar(title: str, total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar with rate and remaining time on standard error; yields the function that counts one item as done.

    There is none when ``quiet``, when standard error is no terminal, or when there is nothing to do.
    """
    if quiet or not total or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )

    class Rate(ProgressColumn):
        def render(self, task: Task) -> str:
            return f"{task.speed or 0:.1f}/s"

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


class _Queue(Generic[Item]):
    """Numbered items to do; items that an ended worker had not begun come back to the front."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = iter(items)
        self.back: deque[Item] = deque()
        self.failed_starts = 0

    def has_next(self) -> bool:
        if not self.back:
            for item in self.items:
                self.back.append(item)
                break
        return bool(self.back)

    def pop(self) -> Item:
        return self.back.popleft()


class _Worker:
    """A process and what it has been given; the first of ``given`` is what it is on."""

    def __init__(self, work: Callable[[Any], Any], memory_mb: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, memory_mb), daemon=True)
        self.process.start()
        other.close()
        self.given: deque[Any] = deque()
        self.since = time.monotonic()  # when it began with the first of `given`, or was started
        self.started = False
        self.gone = False  # it has ended, or is about to
        self.ended = False  # and was buried
        self.spent = False  # it ended by itself between two items
        with suppress(OSError):  # it ended at once: the next wait() finds the pipe closed
            self.pipe.send(work)

    def fill(self, queue: _Queue[Any]) -> None:
        while len(self.given) < 1 + AHEAD and queue.has_next():
            item = queue.pop()
            if not self.given:
                self.since = time.monotonic()
            self.given.append(item)
            try:
                self.pipe.send(item)
            except OSError:
                return

    def attend(self, queue: _Queue[Any], ready: bool, timeout_s: float, memory_mb: int) -> Iterator[Outcome[Any, Any]]:
        """Yield what the worker has sent, if it is ``ready``, and end it when a limit or it itself says so."""
        # only one that is silent can have run over a limit: a slow consumer of outcomes is not its fault
        reason = "" if ready else self.overrun(timeout_s, memory_mb)
        if ready:
            yield from self.receive()
        if self.gone or reason:
            yield from self.bury(queue, reason)

    def receive(self) -> Iterator[Outcome[Any, Any]]:
        """Yield what the worker has sent."""
        try:
            while not self.gone and self.pipe.poll():
                message = self.pipe.recv()
                self.since = time.monotonic()
                if message is None:  # loaded and ready
                    self.started = True
                    continue
                value, error, seconds, self.spent = message
                self.gone = self.spent
                yield Outcome(self.given.popleft(), value, error, seconds)
        except (EOFError, OSError):
            self.gone = True

    def overrun(self, timeout_s: float, memory_mb: int) -> str:
        """Why the worker must be ended now, empty if it need not."""
        if not self.given or not self.started:
            return ""
        if time.monotonic() - self.since > timeout_s:
            return TimedOut(f"took longer than {timeout_s:g} s")
        if sys.platform != "linux" and _resident_mb(self.process.pid) > memory_mb:
            return f"needs more than {memory_mb} MiB of memory"
        return ""

    def bury(self, queue: _Queue[Any], reason: str) -> Iterator[Outcome[Any, Any]]:
        """End the worker; the item it was on has failed, and those that it had not begun go back."""
        self.ended = True
        if self.gone:
            self.process.join(timeout=2)  # its own exit code is known only once it has ended by itself
        self.end()
        if not self.started:
            queue.failed_starts += 1
            if queue.failed_starts >= MAX_STARTS:
                raise DeepDXFError(f"worker processes end before they begin ({_cause(self.process.exitcode)})")
        elif self.given and not self.spent:
            queue.failed_starts = 0
            reason = reason or f"the reader crashed ({_cause(self.process.exitcode)})"
            yield Outcome(self.given.popleft(), None, reason, time.monotonic() - self.since)
        queue.back.extendleft(reversed(self.given))

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            pass
    return f"exit code {code}"


def _resident_mb(pid: int | None) -> float:
    import psutil

    try:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0


# --- in the worker ---------------------------------------------------------------------------------------------------


def _serve(pipe: Connection, memory_mb: int) -> None:
    """Main function of a worker: receive the work, then items; send an outcome for each."""
    threading.Thread(target=_follow_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the main one decides
    for library in ("OMP", "OPENBLAS", "MKL", "RAYON"):  # cores are shared by workers, not by threads in each
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    logging.getLogger().addHandler(logging.NullHandler())  # what readers log is in the drawing's problems
    try:
        work = pipe.recv()
        _limit_memory(memory_mb)
        pipe.send(None)
        while True:
            item = pipe.recv()
            start = time.perf_counter()
            value, error, spent = _attempt(work, item, memory_mb)
            try:
                pipe.send((value, error, time.perf_counter() - start, spent))
            except (MemoryError, TypeError, ValueError, AttributeError, PickleError) as failure:  # nothing was sent yet
                text = f"the result cannot be sent ({type(failure).__name__}: {failure})"
                pipe.send((None, text, time.perf_counter() - start, spent))
            if spent:
                return
    except (EOFError, OSError):
        return  # the main process is gone


def _follow_parent() -> None:
    """End this process, whatever it is doing, when the main process is gone: it may hang in a file forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _attempt(work: Callable[[Any], Any], item: Any, memory_mb: int) -> tuple[Any, str | None, bool]:
    """Value, error, and whether the process should be replaced because its memory is in an unknown state."""
    try:
        return work(item), None, False
    except MemoryError:
        return None, _memory_message(memory_mb), True
    except DeepDXFError as error:
        text = " ".join(str(error).split())
        return None, Passing(text) if isinstance(error, AwayError) else text, False
    except Exception as error:  # a defect of a reader must cost one file only
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return (None, f"{text} ({Path(place.filename).name}:{place.lineno})", False)


def _memory_message(memory_mb: int) -> str:
    return f"needs more than {memory_mb} MiB of memory"


def _limit_memory(memory_mb: int) -> None:
    """Let allocations beyond the limit fail, where the system can; elsewhere the main process watches."""
    if sys.platform == "linux":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        limit = memory_mb * 2**20
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
