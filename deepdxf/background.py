"""The background of a run: some of its training drawings, as they are, from which codewords start and whitening follows.

Nothing here is trained by gradients; what an encoder needs to know of drawings in general is counted once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from deepdxf.collate import Batch, collate
from deepdxf.drawing import IntArray
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.loader import code_of
from deepdxf.sampler import buckets
from deepdxf.store import Store

DRAWINGS = 1024  # most that are looked at
AT_ONCE, ENTITIES = 32, 24_000  # most drawings and entities of a batch


@dataclass(frozen=True, eq=False)
class Background:
    """Drawings of a store, at random from some of its rows."""

    store: Store
    rows: IntArray  # (n,) ascending
    encoder: EncoderConfig

    @classmethod
    def of(cls, store: Store, rows: IntArray, encoder: EncoderConfig, seed: int) -> Background:
        """The background of a training part: numbers of drawings of the store."""
        chosen = np.random.default_rng([seed, DRAWINGS]).permutation(rows)[:DRAWINGS]
        return cls(store, np.sort(chosen), encoder)

    @cached_property
    def _parts(self) -> list[IntArray]:
        return [self.rows[part] for part in buckets(self.store.lengths[self.rows], ENTITIES, AT_ONCE, 0, 0)]

    @cached_property
    def batches(self) -> list[Batch]:
        """The drawings as batches; made once."""
        return [
            collate([code_of(self.store[int(row)], str(row), self.encoder) for row in part]) for part in self._parts
        ]

    @cached_property
    def weight(self) -> Tensor:
        """(n,) of the drawings in the order of the batches: a source counts as the square root of its drawings."""
        _, source, count = np.unique(
            np.array(self.store.sources)[np.concatenate(self._parts)], return_inverse=True, return_counts=True
        )
        return torch.from_numpy(1.0 / np.sqrt(count[source.reshape(-1)]))

    def start(self, model: DualEncoder) -> None:
        """Take the codewords of a new model from the drawings, where it has a codebook."""
        if model.geometry is not None and len(model.geometry.codebooks):
            model.geometry.start_codebooks(self.batches)

    def whiten(self, model: DualEncoder) -> None:
        """Fit the whitening of the served vectors, where the model has one."""
        if not model.config.whitening:
            return
        device = next(model.parameters()).device
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            encoded = [{code: e.vector.cpu() for code, e in model(batch.to(device)).items()} for batch in self.batches]
        model.whiten({code: torch.cat([part[code] for part in encoded]) for code in encoded[0]}, self.weight)
        model.train(was_training)
