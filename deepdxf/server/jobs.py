"""Long work in the background: indexing, with progress; one job at a time, so that they do not fight for the machine."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from deepdxf import encoder, reader, render
from deepdxf.archive import IndexReport, Ingest, Redo
from deepdxf.errors import DeepDXFError
from deepdxf.files import is_below
from deepdxf.server.library import Library
from deepdxf.server.problems import Problem

KEPT = 50  # jobs that have ended
LISTED = 200  # files that a job's report lists
ENDED = ("done", "failed", "cancelled")


@dataclass
class Job:
    """A job; its fields are written by the thread that works on it and read by all."""

    kind: str
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: str = "waiting"  # waiting, running, done, failed, cancelled
    done: int = 0
    total: int | None = None  # None: not known yet
    message: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    stop: bool = False  # asked to

    def document(self) -> dict[str, Any]:
        """The job as clients see it."""
        names = ("id", "kind", "state", "done", "total", "message", "created", "ended", "result")
        return {name: getattr(self, name) for name in names}


class Jobs:
    """The jobs of a server."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def all(self) -> list[Job]:
        """All jobs, newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def get(self, id: str) -> Job:
        """A job. Raises Problem."""
        with self._lock:
            if id not in self._jobs:
                raise Problem("not-found", "no job of this id; jobs are forgotten when the server ends")
            return self._jobs[id]

    def index(self, redo: Redo, prune: bool, paths: Sequence[Path] | None = None) -> Job:
        """Begin to bring the archive up to date: with some files, or with the folders that were indexed before.

        Raises:
            Problem: the same is waiting already, or nothing was indexed yet.
        """
        roots = list(self._library.catalogue().folders) if paths is None else [str(path) for path in paths]
        if not roots:
            raise Problem("conflict", "no folder has been indexed yet; begin with: deepdxf index FOLDER --archive DIR")
        kind = "index" if paths is None else "add"
        job = Job(kind)
        with self._lock:
            waiting = [other for other in self._jobs.values() if other.kind == kind and other.state not in ENDED]
            if waiting and kind == "index":
                raise Problem("conflict", "the archive is being indexed already", job=waiting[0].id)
            self._jobs[job.id] = job
            for id in [other.id for other in self._jobs.values() if other.state in ENDED][:-KEPT]:
                del self._jobs[id]
        threading.Thread(
            target=self._run, args=(job, partial(self._index, job, roots, redo, prune)), daemon=True
        ).start()
        return job

    def cancel(self, id: str) -> Job:
        """Ask a job to stop; what it has done stays. Raises Problem."""
        job = self.get(id)
        if job.state in ENDED:
            raise Problem("conflict", f"the job has ended already: {job.state}")
        job.stop = True
        return job

    def close(self) -> None:
        """Ask all jobs to stop."""
        for job in self.all():
            job.stop = True

    def _run(self, job: Job, work: Callable[[], IndexReport]) -> None:
        with self._turn:
            try:
                if job.stop:
                    job.state = "cancelled"
                    return
                job.state = "running"
                report = work()
                job.result = self._result(report)
                job.state = "cancelled" if report.interrupted else "done"
            except DeepDXFError as error:
                job.state, job.message = "failed", self._library.public(str(error))
            except Exception as error:  # a defect must not leave a job that never ends
                job.state, job.message = "failed", f"{type(error).__name__}; this is a defect"
            finally:
                job.ended = datetime.now(UTC)

    def _index(self, job: Job, roots: Sequence[str], redo: Redo, prune: bool) -> IndexReport:
        library = self._library

        def progress(done: int, total: int) -> None:
            job.done, job.total = done, total
            if job.stop:
                raise KeyboardInterrupt

        ingest = Ingest(partial(encoder.load, library.encoder_name), reader.read, render.thumbnail)
        return library.archive.index(
            roots,
            ingest,
            workers=library.settings.workers,
            timeout_s=library.settings.work_s,
            memory_mb=library.settings.memory_mb,
            redo=redo,
            prune=prune,
            progress=progress,
        )

    def _result(self, report: IndexReport) -> dict[str, Any]:
        """The report, without paths of the server."""
        folders = self._library.catalogue().folders.values()

        def shown(path: str) -> str:
            for folder in folders:
                if is_below(path, folder.root):
                    return f"{folder.name}/{Path(path).relative_to(folder.root).as_posix()}"
            return Path(path).name

        files = [
            {"path": shown(file.path), "action": file.action, "status": file.status, "message": file.message}
            for file in report.files
            if file.action != "unchanged"
        ]
        return {
            "actions": report.actions(),
            "statuses": report.statuses(),
            "seconds": round(report.seconds, 3),
            "files": [file | {"message": self._library.public(file["message"])} for file in files[:LISTED]],
            "more": max(len(files) - LISTED, 0),
        }
