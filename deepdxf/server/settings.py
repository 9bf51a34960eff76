"""What a server was started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """An archive and the limits within which it is served."""

    archive: str  # address
    tokens: Path | None = None  # file of `access.load_tokens`; None: everybody may do everything
    hosts: frozenset[str] = frozenset()  # names by which the server may be called; empty: any
    keep: Path | None = None  # folder for uploads that are to stay; None: no upload does

    upload_mb: int = 32  # largest body of a request, MiB
    unpacked_mb: int = 256  # largest drawing after decompression, MiB
    body_s: float = 60.0  # time for sending a body
    work_s: float = 60.0  # time for reading or comparing drawings
    memory_mb: int = 2000  # of a worker process, MiB
    workers: int = 2  # processes for uploads, pictures and comparisons
    waiting: int = 16  # requests that wait for a worker; further ones are turned away
    requests: int = 100  # at once

    held: int = 64  # uploads in memory at once
    held_mb: int = 256  # and their size together, MiB
    held_s: float = 1800.0  # an upload is forgotten so long after its last use
