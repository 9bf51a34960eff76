"""A toy that every objective is to learn: 32 drawings of six entities, each a point in 6 dimensions that stays the same
from view to view, among 26 louder dimensions that do not. One loop drives all objectives by their signatures alone, as the
documentation of `deepdxf.objectives` promises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deepdxf import objectives
from deepdxf.objectives.parts import MomentumCopy
from deepdxf.watch import effective_rank, std_sqrt_d

DRAWINGS, ENTITIES, SIGNAL, NOISE, WIDTH, BINS = 32, 6, 6, 26, 16, 8


class Encoder(nn.Module):
    """Entities (b, t, 32) → their features (b, t, 32), their mean as the drawing's vector (b, 32), projection (b, 16)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(SIGNAL + NOISE, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, WIDTH))
        self.head = nn.Sequential(nn.Linear(WIDTH, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, WIDTH))

    def forward(self, entities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nodes = self.body(entities)
        vector = nodes.mean(1)
        return nodes, vector, self.head(vector)


@dataclass
class Toy:
    """Data, model and loop. Two codes of a drawing: the same entities through two encoders of their own."""

    seed: int = 0
    lr: float = 3e-3
    lasting: bool = True  # whether the noise of a view is one for all its entities
    history: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        steps = torch.randn(DRAWINGS, 1, SIGNAL), torch.randn(DRAWINGS, ENTITIES, SIGNAL)
        self.points = steps[0] + 0.5 * steps[1]  # (b, t, 6): what is drawn next depends on the drawing
        self.model = nn.ModuleDict({"a": Encoder(), "b": Encoder()})
        self.decoder = nn.ModuleDict(
            {
                "classes": nn.Linear(2 * WIDTH, BINS),
                "bins": nn.Linear(2 * WIDTH, SIGNAL * BINS),
                "restored": nn.Linear(2 * WIDTH, SIGNAL),
                "replaced": nn.Sequential(nn.Linear(2 * WIDTH, 32), nn.ReLU(), nn.Linear(32, 1)),
            }
        )

    def view(self, noise: float = 1.0) -> Tensor:
        """(b, t, 32) entities as seen once."""
        loud = noise * torch.randn(DRAWINGS, 1 if self.lasting else ENTITIES, NOISE).expand(-1, ENTITIES, -1)
        return torch.cat([self.points + 0.1 * torch.randn_like(self.points), loud], -1)

    def train(self, loss: objectives.Loss, codes: bool, momentum: tuple[float, float] | None, steps: int = 100) -> None:
        """Minimise ``loss``; only what it asks for is computed."""
        wanted = set(objectives.inputs(loss))
        copy = MomentumCopy(self.model, momentum or (0.99, 0.99))
        own = list(loss.parameters()) if isinstance(loss, nn.Module) else []
        parameters = [*self.model.parameters(), *self.decoder.parameters(), *(p for p in own if p.requires_grad)]
        optimiser = torch.optim.AdamW(parameters, self.lr)
        for step in range(steps):
            given = (
                self.vectors_of(wanted, codes, copy) | self.answers_of(wanted, step) | {"step": step, "steps": steps}
            )
            value = loss(**{name: given[name] for name in wanted})
            optimiser.zero_grad()
            if value.requires_grad:
                value.backward()
                optimiser.step()
            if "momentum_b" in wanted:
                copy.update(self.model, step, steps)
            self.history.append(value.item())

    def vectors_of(self, wanted: set[str], codes: bool, copy: MomentumCopy) -> dict[str, Any]:
        """Two views of one code, or one view each of two, and what is known of the drawings."""
        second = "b" if codes else "a"
        x, y = self.view(), self.view()
        nodes_a, _, z_a = self.model["a"](x)
        nodes_b, _, z_b = self.model[second](y)
        ids = torch.arange(DRAWINGS)
        given = {
            "z_a": z_a,
            "z_b": z_b,
            "same": torch.eye(DRAWINGS, dtype=torch.bool),
            "groups": ids,
            "ids": ids,
            "labels": torch.where(ids % 4 > 0, ids, -1),
            "nodes_a": nodes_a.flatten(0, 1),
            "nodes_b": nodes_b.flatten(0, 1),
            "owner": ids.repeat_interleave(ENTITIES),
            "block": torch.arange(DRAWINGS * ENTITIES) // (ENTITIES // 2),
            "teacher": self.points.mean(1),
        }
        if "more" in wanted:
            given["more"] = [self.model["a"](self.view(0.7))[2]]
        if "momentum_b" in wanted:
            with torch.no_grad():
                given["momentum_a"], given["momentum_b"] = copy.module["a"](x)[2], copy.module[second](y)[2]
        return given

    def answers_of(self, wanted: set[str], step: int) -> dict[str, Any]:
        """A decoder's answers about hidden or exchanged entities, and what is right."""
        if not wanted & {"predicted", "class_logits", "replaced_logits"}:
            return {}
        x = self.view()
        replaced = torch.rand(DRAWINGS, ENTITIES) < 0.2
        swapped = torch.where(replaced[..., None], x.roll(1 + step % (DRAWINGS - 1), 0), x)
        hidden = torch.rand(DRAWINGS, ENTITIES) < 0.4
        blank, stranger = self._context(x.masked_fill(hidden[..., None], 0.0)), self._context(swapped)
        bins = (self.points.clamp(-2, 1.99) * (BINS / 4) + BINS / 2).long()
        return {
            "class_logits": self.decoder["classes"](blank)[hidden],
            "classes": bins[hidden][:, 0],
            "bin_logits": self.decoder["bins"](blank)[hidden].reshape(-1, BINS),
            "bins": bins[hidden].flatten(),
            "predicted": self.decoder["restored"](blank).flatten(0, 1),
            "values": self.points.flatten(0, 1),
            "corrupted": hidden.flatten(),
            "replaced_logits": self.decoder["replaced"](stranger).flatten(),
            "replaced": replaced.flatten(),
        }

    def _context(self, entities: Tensor) -> Tensor:
        """(b, t, 32) what a decoder sees of an entity: itself and the drawing."""
        nodes, vector, _ = self.model["a"](entities)
        return torch.cat([nodes, vector[:, None].expand_as(nodes)], -1)

    @torch.no_grad()
    def vectors(self, code: str = "a", projected: bool = False) -> Tensor:
        return self.model[code](self.view())[2 if projected else 1]

    @torch.no_grad()
    def recall(self) -> float:
        """Share of fresh views whose nearest other view is the right drawing, by the vectors that would be served."""
        hits = []
        for _ in range(8):
            a, b = self.vectors() - self.mean(), self.vectors() - self.mean()
            s = nn.functional.normalize(a) @ nn.functional.normalize(b).mT
            hits.append((s.argmax(1) == torch.arange(DRAWINGS)).float().mean().item())
        return sum(hits) / len(hits)

    def mean(self) -> Tensor:
        return torch.stack([self.vectors().mean(0) for _ in range(4)]).mean(0)

    def spread(self) -> tuple[float, float]:
        """std·√d and effective rank of the projections, which the loss acts on."""
        z = torch.cat([self.vectors(projected=True) for _ in range(4)])
        return std_sqrt_d(z), effective_rank(z)


def run(
    name: str,
    *,
    seed: int = 0,
    steps: int = 100,
    lr: float = 5e-3,
    lasting: bool = True,
    momentum: tuple[float, float] | None = None,
    change: Callable[[objectives.Loss], None] | None = None,
    **settings: Any,
) -> tuple[Toy, float]:
    """A trained toy, and the recall before training. ``change`` is done to the loss before it starts."""
    entry = objectives.find(name)
    toy = Toy(seed, lr, lasting)
    before = toy.recall()
    loss = objectives.build(name, width=WIDTH, **{"count": DRAWINGS, **settings})
    if change:
        change(loss)
    toy.train(loss, "codes" in entry.needs, momentum or entry.momentum, steps)
    assert all(map(math.isfinite, toy.history))
    return toy, before
