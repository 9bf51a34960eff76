"""Which drawings go through the model together: batches of about equal lengths, pairs within a batch."""

from __future__ import annotations

import numpy as np

from deepdxf.drawing import IntArray
from deepdxf.errors import DeepDXFError

OCTAVES = 1.0  # drawings of one batch differ in length by about this factor of two: chance beside the length


def buckets(
    lengths: IntArray, token_budget: int, batch: int, seed: int, epoch: int, *, even: bool = False
) -> list[IntArray]:
    """Batches of one epoch; every drawing is in exactly one, and all are dealt anew for every epoch.

    Drawings of about the same length go together, and batches come in random order. The last batch of a length may be
    smaller than the others only where the budget is met.

    Args:
        lengths: (n,) entities of each drawing.
        token_budget: most entities of a batch; a single drawing may have more.
        batch: most drawings of a batch.
        seed, epoch: equal ones give equal batches.
        even: batches of an even number of drawings, for `pairs`; one at most is odd, and a drawing over half of the
            budget shares its batch with one other.

    Returns:
        Numbers of the drawings, one array a batch.

    Raises:
        DeepDXFError: budget or batch are too small.
    """
    least = 2 if even else 1
    if token_budget < 1 or batch < least:
        raise DeepDXFError(f"no batches of at most {batch} drawings and {token_budget} entities: give at least {least}")
    lengths = np.asarray(lengths, np.int64)
    rng = np.random.default_rng([seed, epoch])
    order = np.argsort(np.log2(lengths + 1.0) + rng.uniform(0.0, OCTAVES, len(lengths)), kind="stable")
    total = np.concatenate([[0], np.cumsum(lengths[order])])
    result = []
    first = 0
    while first < len(order):
        fitting = int(np.searchsorted(total, total[first] + token_budget, "right")) - 1 - first
        size = max(min(fitting, batch), least)
        if even:
            size -= size % 2
        result.append(order[first : first + size])
        first += size
    return [result[number] for number in rng.permutation(len(result))]


def pairs(batch: IntArray, rng: np.random.Generator) -> IntArray:
    """(p, 2) drawings of a batch in pairs by chance, each in one pair; of an odd number, one is in none."""
    mixed = rng.permutation(batch)
    result: IntArray = mixed[: len(mixed) // 2 * 2].reshape(-1, 2)
    return result
