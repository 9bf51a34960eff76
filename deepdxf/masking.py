"""Entities hidden from an encoder, and a decoder that says what they were (masked modelling).

Hidden are the values and the place of an entity; its class stays, as does everything around it. As in BERT (Devlin et al.
2019) some of the hidden rows are not blank but hold the values of another entity of their class, and some are left as
they are. In the class graph, columns of the matrix and edges are hidden, as in CGMN (Jin et al., IJCAI 2022). Nodes
neither come nor go: row i is the same node with and without. Letters in shapes: n rows, m hidden rows, p values of them,
w columns, b drawings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from deepdxf.collate import Batch
from deepdxf.drawing import N_CLASSES
from deepdxf.graph import MISSING
from deepdxf.vocabulary import BINS, N_RICH, RICH_HIGH, RICH_LOW

SWAPPED, LEFT = 0.1, 0.1  # of the hidden rows; the others are blank


@dataclass(frozen=True)
class Hidden:
    """A batch of which some entities are hidden, and which."""

    batch: Batch
    hidden: Tensor  # (n,) bool
    swapped: Tensor  # (n,) bool, of those: rows that hold another entity's values


def hide(batch: Batch, share: float) -> Hidden:
    """Hide that share of the entities of a batch, drawn from torch's generator."""
    chance = torch.rand(len(batch.cls), device=batch.cls.device)
    hidden = chance < share
    swapped = chance < share * SWAPPED
    blank = hidden & (chance >= share * (SWAPPED + LEFT))
    other = next_of_class(batch.cls)
    values = torch.where(swapped[:, None], batch.values[other], batch.values)
    values = values.masked_fill(blank[:, None], torch.nan)
    place = batch.place.masked_fill(hidden[:, None], torch.nan)
    graph = batch.class_matrix
    columns = torch.rand(len(batch), 1, graph.shape[2], device=graph.device) < share
    columns[:, :, 0] = False  # which classes there are
    edges = torch.rand_like(batch.class_successor).triu(1)
    stay = (edges + edges.mT >= share / 2.0).float()
    view = replace(
        batch,
        values=values,
        place=place,
        class_matrix=graph.masked_fill(columns, MISSING),
        class_successor=batch.class_successor * stay,
        class_overlap=batch.class_overlap * stay,
    )
    return Hidden(view, hidden, swapped & (other != torch.arange(len(other), device=other.device)))


def next_of_class(cls: Tensor) -> Tensor:
    """(n,) another row of the class of each row at random; the row itself where it is the only one."""
    order = torch.randperm(len(cls), device=cls.device)
    order = order[torch.sort(cls[order], stable=True).indices]
    ordered = cls[order]
    first = torch.searchsorted(ordered, ordered)  # where the class of each begins
    end = torch.searchsorted(ordered, ordered, right=True)
    following = torch.arange(1, len(cls) + 1, device=cls.device)
    following = torch.where(following == end, first, following)
    other = torch.empty_like(order)
    other[order] = order[following]
    return other


class Decoder(nn.Module):
    """Says of entities, from the features that an encoder gave them, what their values are."""

    low: Tensor
    range: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        self.cls = nn.Linear(width, N_CLASSES)
        self.column = nn.Embedding(N_RICH, width)
        self.bin = nn.Linear(width, BINS)
        self.value = nn.Linear(width, N_RICH)
        self.replaced = nn.Linear(width, 1)
        for name, table in (("low", RICH_LOW), ("range", RICH_HIGH - RICH_LOW)):
            self.register_buffer(name, torch.from_numpy(table.astype(np.float32)), persistent=False)

    def forward(self, nodes: Tensor, truth: Batch, hidden: Hidden) -> dict[str, Tensor]:
        """What `objectives.INPUTS` calls the answers of a decoder and what is right, of (n, width) features of the nodes
        of ``hidden.batch``."""
        rows = torch.nonzero(hidden.hidden)[:, 0]
        features = self.body(nodes)
        own = features[rows]
        low, extent = self.low[truth.cls], self.range[truth.cls]
        values = ((truth.values - low) / extent).clamp(0.0, 1.0)  # (n, w), NaN = absent
        asked = values[rows]
        row, column = torch.nonzero(~asked.isnan(), as_tuple=True)
        return {
            "class_logits": self.cls(own).float(),
            "classes": truth.cls[rows],
            "bin_logits": self.bin(torch.relu(own[row] + self.column(column))).float(),
            "bins": (asked[row, column] * (BINS - 1)).round().long(),
            "predicted": self.value(features).float(),
            "values": values,
            "corrupted": hidden.hidden,
            "replaced_logits": self.replaced(features)[:, 0].float(),
            "replaced": hidden.swapped,
        }
