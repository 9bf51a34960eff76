"""Long work in the background, with progress: indexing, groups of duplicates, drawings that contain a detail.

One job that writes and one that only reads run at a time, so that they do not fight for the machine.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from deepdxf import encoder, reader, render
from deepdxf.archive import IndexReport, Ingest, Redo
from deepdxf.errors import DeepDXFError
from deepdxf.files import is_below
from deepdxf.parts import PartSearch
from deepdxf.server.library import Grouping, Library, Sought
from deepdxf.server.problems import Problem

KEPT = 50  # jobs that have ended
WAITING = 20  # jobs that wait for their turn; further ones are turned away
LISTED = 200  # files that a job's report lists
ENDED = ("done", "failed", "cancelled")


@dataclass
class Job:
    """A job; its fields are written by the thread that works on it and read by all."""

    kind: str  # index, add, duplicates, parts
    about: Grouping | Sought | None = None  # what is asked
    id: str = field(default_factory=lambda: secrets.token_hex(16))  # cannot be guessed
    state: str = "waiting"  # waiting, running, done, failed, cancelled
    done: int = 0
    total: int | None = None  # None: not known yet
    message: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    found: PartSearch | None = None  # of parts
    stop: bool = False  # asked to

    @property
    def writes(self) -> bool:
        """Whether it changes the archive."""
        return self.kind in ("index", "add")

    @property
    def private(self) -> bool:
        """Whether only who knows its id may see it: it is about somebody's drawing."""
        return isinstance(self.about, Sought)

    def progress(self, done: int, total: int) -> None:
        """How far it is. Raises Stopped when it has been asked to stop."""
        self.done, self.total = done, total
        if self.stop:
            raise Stopped

    def document(self) -> dict[str, Any]:
        """The job as clients see it."""
        names = ("id", "kind", "state", "done", "total", "message", "created", "ended", "result")
        return {name: getattr(self, name) for name in names}


class Stopped(Exception):
    """A job that only reads was asked to stop."""


class Jobs:
    """The jobs of a server."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = {writes: threading.Lock() for writes in (True, False)}

    def all(self) -> list[Job]:
        """All jobs, newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def public(self) -> list[Job]:
        """Those that everybody may see, newest first."""
        return [job for job in self.all() if not job.private]

    def get(self, id: str) -> Job:
        """A job. Raises Problem."""
        with self._lock:
            if id not in self._jobs:
                raise Problem("not-found", "no job of this id; jobs are forgotten when the server ends")
            return self._jobs[id]

    def index(self, redo: Redo, prune: bool, paths: Sequence[Path] | None = None) -> Job:
        """Begin to bring the archive up to date: with some files, or with the folders that were indexed before.

        Raises:
            Problem: the archive is being indexed already, or nothing was indexed yet.
        """
        roots = list(self._library.catalogue().folders) if paths is None else [str(path) for path in paths]
        if not roots:
            raise Problem("conflict", "no folder has been indexed yet; begin with: deepdxf index FOLDER --archive DIR")
        job = Job("index" if paths is None else "add")
        return self._begin(job, partial(self._index, job, roots, redo, prune))

    def duplicates(self, asked: Grouping) -> Job:
        """Begin to look for groups of duplicates; the job that does so already, if there is one. Raises Problem."""
        if asked.where is not None:
            self._library.filter(asked.where)
        job = Job("duplicates", asked)
        return self._begin(job, partial(self._duplicates, job, asked))

    def parts(self, sought: Sought) -> Job:
        """Begin to look for the drawings that contain a detail. Raises Problem."""
        job = Job("parts", sought)
        return self._begin(job, partial(self._parts, job, sought))

    def _begin(self, job: Job, work: Callable[[], None]) -> Job:
        with self._lock:
            waiting = [other for other in self._jobs.values() if other.state not in ENDED]
            for other in waiting:
                if other.kind == job.kind == "index":
                    raise Problem("conflict", "the archive is being indexed already", job=other.id)
                if other.kind == job.kind == "duplicates" and other.about == job.about and not other.stop:
                    return other
            if len(waiting) >= WAITING:
                raise Problem("busy", f"{len(waiting)} jobs are waiting already; try again in a moment")
            self._jobs[job.id] = job
            for id in [other.id for other in self._jobs.values() if other.state in ENDED][:-KEPT]:
                del self._jobs[id]
        threading.Thread(target=self._run, args=(job, work), daemon=True).start()
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

    def _run(self, job: Job, work: Callable[[], None]) -> None:
        with self._turn[job.writes]:
            try:
                if job.stop:
                    job.state = "cancelled"
                    return
                job.state = "running"
                work()
                if job.state == "running":
                    job.state = "done"
            except Stopped:
                job.state = "cancelled"
            except Problem as problem:
                job.state, job.message = "failed", problem.detail
            except DeepDXFError as error:
                job.state, job.message = "failed", self._library.public(str(error))
            except Exception as error:  # a defect must not leave a job that never ends
                job.state, job.message = "failed", f"{type(error).__name__}; this is a defect"
            finally:
                job.ended = datetime.now(UTC)

    def _index(self, job: Job, roots: Sequence[str], redo: Redo, prune: bool) -> None:
        library = self._library

        def progress(done: int, total: int) -> None:
            try:
                job.progress(done, total)
            except Stopped:
                raise KeyboardInterrupt from None  # what ends indexing in order

        ingest = Ingest(partial(encoder.load, library.encoder_name), reader.read, render.thumbnail)
        report = library.archive.index(
            roots,
            ingest,
            workers=library.settings.workers,
            timeout_s=library.settings.work_s,
            memory_mb=library.settings.memory_mb,
            redo=redo,
            prune=prune,
            progress=progress,
        )
        job.result = self._result(report)
        if report.interrupted:
            job.state = "cancelled"

    def _duplicates(self, job: Job, asked: Grouping) -> None:
        found = self._library.duplicates(asked, job.progress)
        job.done = job.total = job.total or len(found.groups)
        facts = {"min_score": found.min_score, "searched": found.searched, "left_out": found.left_out}
        job.result = {**facts, "groups": len(found.groups), "open": len(found.open())}

    def _parts(self, job: Job, sought: Sought) -> None:
        library = self._library
        found = library.find_parts(sought, job.progress)
        job.found = found
        hits = [
            {
                "id": hit.id,
                "path": hit.path,
                "folder": library.folder(hit.root),
                "share": hit.share,
                "places": [asdict(place) for place in hit.places],
            }
            for hit in found.hits
        ]
        failed = [{"path": path, "message": library.public(reason)} for path, reason in found.failed.items()]
        counts = {"strokes": found.strokes, "searched": found.searched, "left": found.left}
        job.result = {**counts, "hits": hits, "failed": failed[:LISTED]}

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
