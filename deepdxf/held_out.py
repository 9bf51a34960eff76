"""Drawings that are kept from training, and what is asked of them: whether an encoder is good for search.

Drawings with known groups ask by these (`groups`). Drawings without any ask by an edit of themselves: a view of the
drawing, the same for every encoder, has to find the drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from deepdxf.augment import Views
from deepdxf.collate import Batch, collate
from deepdxf.drawing import Drawing
from deepdxf.encoder import Vectors
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.evaluate import Evaluation, evaluate, rank
from deepdxf.groups import Protocol, Query
from deepdxf.loader import code_of

EDITED = "edit of "  # before the name of a drawing: its edited view
EDIT_SEED = 7_919
AT_ONCE = 32  # drawings of a batch

Embed = Callable[[Sequence[Drawing]], Vectors]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Drawings and questions."""

    names: tuple[str, ...]
    drawings: tuple[Drawing, ...]  # by name
    protocol: Protocol  # queries of names, and of edits
    edits: dict[str, Drawing]  # by the name of the query
    encoder: EncoderConfig  # whose codes are read

    @property
    def asks(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self.protocol.queries)

    @cached_property
    def batches(self) -> list[Batch]:
        """The drawings, then the edits, as batches for an encoder; made once."""
        drawings = [*self.drawings, *self.edits.values()]
        codes = [code_of(drawing, str(i), self.encoder) for i, drawing in enumerate(drawings)]
        return [collate(codes[i : i + AT_ONCE]) for i in range(0, len(codes), AT_ONCE)]

    def of_model(self, model: DualEncoder) -> Evaluation:
        """Figures of a model."""
        return self.of_vectors(embedded(model, self.batches))

    def of_encoder(self, embed: Embed) -> Evaluation:
        """Figures of any other encoder."""
        return self.of_vectors(embed([*self.drawings, *self.edits.values()]))

    def of_vectors(self, vectors: Vectors) -> Evaluation:
        """Figures of unit vectors (n, d) of the drawings and the edits."""
        n = len(self.names)
        queries = {name: vectors[n + i][None] for i, name in enumerate(self.edits)}
        rankings = rank(self.names, vectors[:n], self.protocol.files, queries)
        sizes = {name: len(drawing) for name, drawing in zip(self.names, self.drawings, strict=True)}
        return evaluate(rankings, self.protocol, sizes)


def embedded(model: DualEncoder, batches: Iterable[Batch]) -> Vectors:
    """(n, d) float32 vectors as they are served, of batches of drawings."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        vectors = [model.embed(batch.to(device)).float().cpu().numpy() for batch in batches]
    model.train(was_training)
    return np.concatenate(vectors)


def held_out(
    names: Sequence[str],
    drawings: Sequence[Drawing],
    protocol: Protocol | None,
    same: Sequence[Sequence[str]],
    views: Views,
    encoder: EncoderConfig,
) -> HeldOut:
    """Questions for some drawings.

    Args:
        protocol: of groups that hold some of them; queries and answers that are not among ``names`` are left out.
        same: for each drawing the names of those that are the same, itself among them: neutral for its edit.
        views: how edits are made.
    """
    known = set(names)
    queries = [
        replace(query, relevant=relevant, neutral=query.neutral & known)
        for query in (protocol.queries if protocol else ())
        if query.file in known and (relevant := {f: g for f, g in query.relevant.items() if f in known})
    ]
    grouped = {query.file for query in queries}.union(*(query.relevant for query in queries))
    edits: dict[str, Drawing] = {}
    for i, (name, drawing) in enumerate(zip(names, drawings, strict=True)):
        if name not in grouped and drawing.visible.any():
            rng = np.random.default_rng([EDIT_SEED, i])
            edits[EDITED + name] = views.drawings(drawing, rng)[0]
            neutral = frozenset(same[i]) - {name}
            queries.append(Query(EDITED + name, EDITED + name, "edit", "view", {name: 1.0}, neutral))
    sources = {name: protocol.source(name) for name in names} if protocol else {}
    whole = Protocol(tuple(sorted(queries, key=lambda q: (q.file, q.group))), sources, 0)
    return HeldOut(tuple(names), tuple(drawings), whole, edits, encoder)
