"""Drawings -> views -> codes -> chunks of a step, in worker processes beside the step before.

A view depends on (seed, epoch, drawing) alone: the number of workers, of processes and of chunks changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from deepdxf.augment import Views
from deepdxf.collate import collate
from deepdxf.drawing import Drawing, IntArray
from deepdxf.encoders.config import EncoderConfig
from deepdxf.gradients import Chunk
from deepdxf.graph import DrawingCode, encode
from deepdxf.sampler import buckets
from deepdxf.store import Store

AHEAD = 4  # chunks that a worker makes before they are asked for


@dataclass(frozen=True)
class Key:
    """A chunk to be made."""

    epoch: int
    number: int  # in the batch of all processes
    first: int  # number of its first drawing in that batch
    rows: tuple[int, ...]  # drawings in the store


@dataclass(frozen=True)
class Plan:
    """Which drawings are compared with each other: every drawing once an epoch, in batches of about equal size."""

    rows: IntArray  # drawings of the store
    lengths: IntArray  # entities of all drawings of the store
    batch: int  # drawings of a batch
    chunk: int  # most drawings of a chunk
    entities: int  # most entities of a chunk, unless one drawing has more
    seed: int

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return max(round(len(self.rows) / self.batch), 1)

    def batches(self, epoch: int) -> list[list[Key]]:
        """The batches of an epoch, each cut into chunks of drawings of similar length."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        return [self._chunks(rows, epoch, i) for i, rows in enumerate(np.array_split(order, self.steps))]

    def _chunks(self, rows: IntArray, epoch: int, number: int) -> list[Key]:
        parts = buckets(self.lengths[rows], self.entities, self.chunk, self.seed, epoch * self.steps + number)
        first = np.cumsum([0, *map(len, parts)])
        return [Key(epoch, k, int(first[k]), tuple(rows[part].tolist())) for k, part in enumerate(parts)]


@dataclass(frozen=True)
class Samples(Dataset[Chunk]):
    """Chunks by key, views of all of their drawings."""

    store: Store
    views: Views
    encoder: EncoderConfig
    seed: int

    def __getitem__(self, key: Key) -> Chunk:
        codes = [self.sample(row, key.epoch) for row in key.rows]
        return Chunk(key.number, key.first, tuple(collate(view) for view in zip(*codes, strict=True)))

    def sample(self, row: int, epoch: int) -> list[DrawingCode]:
        """The codes of all views of a drawing."""
        rng = np.random.default_rng([self.seed, epoch, row])
        drawings = self.views.drawings(self.store[row], rng)
        return [
            self.views.codes(code_of(drawing, str(row), self.encoder), rng, rung)
            for drawing, rung in zip(drawings, self.views.rungs, strict=True)
        ]


def code_of(drawing: Drawing, name: str, config: EncoderConfig) -> DrawingCode:
    """The codes of a drawing as an encoder of this configuration reads them."""
    return encode(drawing, name, config.limit, config.blocks, config.pixels)


class Loader:
    """Makes the chunks of lists of keys, in their order."""

    def __init__(self, samples: Samples, workers: int) -> None:
        """``workers``: processes; 0: chunks are made here."""
        self._keys: list[Key] = []
        ahead = {"multiprocessing_context": "spawn", "persistent_workers": True, "prefetch_factor": AHEAD}
        self._loader: DataLoader[Chunk] = DataLoader(
            samples,
            batch_size=None,
            sampler=_Order(self._keys),
            num_workers=workers,
            collate_fn=_as_it_is,
            **(ahead if workers else {}),  # type: ignore[arg-type]
        )

    def chunks(self, keys: Sequence[Key]) -> Iterator[Chunk]:
        """The chunks of the keys."""
        self._keys[:] = keys
        return iter(self._loader)


@dataclass(frozen=True)
class _Order:
    keys: list[Key]

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self.keys))

    def __len__(self) -> int:
        return len(self.keys)


def _as_it_is(chunk: Any) -> Any:
    return chunk
