"""A batch with everything that an objective can be given, for tests that go over the whole registry."""

from __future__ import annotations

from typing import Any

import torch

from deepdxf import objectives

WIDTH, COUNT = 8, 40
SMALL: dict[str, dict[str, Any]] = {  # settings for a small build, where the defaults are for large data
    "instdisc": {"negatives": 16},
    "cmc": {"negatives": 16, "views": 3},
    "cpc": {"ahead": 3, "hidden": 8, "sampled": 8},
    "moco-v3": {"hidden": 16},
    "byol": {"hidden": 16},
    "simsiam": {"hidden": 16},
    "swav": {"prototypes": 6},
    "dino": {"prototypes": 6},
}


def batch(b: int, seed: int = 0, nodes: int = 5) -> dict[str, Any]:
    """Random values for every name of `objectives.INPUTS`: b drawings with up to ``nodes`` nodes each."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    sizes = [1 + (i % nodes) for i in range(b)]
    owner = torch.repeat_interleave(torch.arange(b), torch.tensor(sizes, dtype=torch.int64))
    n = len(owner)
    groups = torch.arange(b)
    if b > 3:
        groups[1] = groups[0]  # two drawings are the same
    return {
        "z_a": normal(b, WIDTH).requires_grad_(),
        "z_b": normal(b, WIDTH).requires_grad_(),
        "more": [normal(b, WIDTH).requires_grad_()],
        "momentum_a": normal(b, WIDTH),
        "momentum_b": normal(b, WIDTH),
        "same": groups[:, None] == groups,
        "groups": groups,
        "ids": torch.randperm(COUNT, generator=g)[:b],
        "labels": torch.arange(b) // 2 - (torch.arange(b) > b - 2).long() * 1000,
        "nodes_a": normal(n, WIDTH).requires_grad_(),
        "nodes_b": normal(n, WIDTH).requires_grad_(),
        "owner": owner,
        "block": owner * 2 + (torch.arange(n) > n // 2).long(),
        "teacher": normal(b, 3 * WIDTH),
        "class_logits": normal(n, 12).requires_grad_(),
        "classes": torch.randint(12, (n,), generator=g),
        "bin_logits": normal(3 * n, 256).requires_grad_(),
        "bins": torch.randint(256, (3 * n,), generator=g),
        "predicted": normal(n, 6).requires_grad_(),
        "values": torch.where(normal(n, 6) > 1.0, torch.nan, normal(n, 6)),
        "corrupted": normal(n) > 0,
        "replaced_logits": normal(n).requires_grad_(),
        "replaced": normal(n) > 0,
        "step": 3,
        "steps": 10,
    }


def build(name: str, **settings: Any) -> objectives.Loss:
    """The objective of a name in its small form."""
    torch.manual_seed(0)
    return objectives.build(name, width=WIDTH, count=COUNT, **{**SMALL.get(name, {}), **settings})


def call(loss: objectives.Loss, given: dict[str, Any]) -> torch.Tensor:
    """As a training loop does it."""
    torch.manual_seed(1)
    return loss(**{name: given[name] for name in objectives.inputs(loss)})
