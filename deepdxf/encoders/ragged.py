"""Operations on ragged batches: rows of many sequences one after the other, `start` or an owner says whose they are.

Padding exists inside one attention layer only, is always masked, and sequences of like length are padded together.
Letters in shapes: b sequences, n rows in all, d width, s longest sequence.
"""

from __future__ import annotations

import torch
from torch import Tensor


def exporting() -> bool:
    """Whether the model is being written as an ONNX graph, which has no Python control flow over values."""
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()


def segment_sum(x: Tensor, owner: Tensor, count: int) -> Tensor:
    """(count, d) sums of the rows (n, d) of each owner (n,); 0 without rows."""
    return x.new_zeros((count, *x.shape[1:])).index_add(0, owner, x)


def segment_mean(x: Tensor, owner: Tensor, count: int) -> Tensor:
    """(count, d) means of the rows of each owner; 0 without rows."""
    rows = segment_sum(x.new_ones((x.shape[0], 1)), owner, count)
    return segment_sum(x, owner, count) / rows.clamp(min=1.0)


def segment_max(x: Tensor, owner: Tensor, count: int) -> Tensor:
    """(count, d) largest values of the rows of each owner; 0 without rows."""
    lowest = torch.finfo(x.dtype).min
    result = x.new_full((count, x.shape[1]), lowest).scatter_reduce(0, owner[:, None].expand(-1, x.shape[1]), x, "amax")
    return torch.where(result == lowest, 0.0, result)


def lowest_outside(x: Tensor, mask: Tensor) -> Tensor:
    """x where the mask is true, elsewhere the lowest number of its type, finite: for maxima and softmax."""
    return torch.where(mask, x, torch.finfo(x.dtype).min)


def number(x: Tensor, least: int = 0) -> int:
    """A whole number that a tensor holds, for shapes; at least ``least``."""
    value: int = x.clamp(min=least).item()  # type: ignore[assignment]
    if exporting():
        torch._check(value >= least)  # type: ignore[no-untyped-call]
    return value


def longest(length: Tensor) -> int:
    """Room for padded sequences of these lengths; never 1, a shape that graphs treat as a case of its own."""
    return number(length.max(), 2)


def starts(lengths: Tensor) -> Tensor:
    """(b + 1,) first row of each of b sequences of these lengths (b,) int64, and the end."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


def owners(start: Tensor, rows: int) -> Tensor:
    """(rows,) sequence of each row; ``start`` as from `starts`."""
    row = torch.arange(rows, device=start.device)
    return (row[:, None] >= start[1:]).sum(1)


def pad(x: Tensor, first: Tensor, length: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Sequences as a block: (b, longest, d), zeros after their ends, and (b, longest) bool, True = a row.

    Args:
        x: (n, d) rows.
        first: (b,) first row of each sequence.
        length: (b,) rows of each sequence.
        longest: at least the largest length.
    """
    column = torch.arange(longest, device=x.device)
    mask = column < length[:, None]
    row = torch.where(mask, first[:, None] + column, x.shape[0])  # one row of zeros stands after the last
    return torch.cat([x, x.new_zeros((1, x.shape[1]))])[row], mask


def buckets(length: Tensor, floor: int = 32) -> list[Tensor]:
    """Numbers of the sequences (b,), in groups whose lengths share a power of two; those up to ``floor`` together.

    So a batch with one long sequence does not pad the short ones to its length.
    """
    if exporting():
        return [torch.arange(length.shape[0], device=length.device)]
    power = torch.log2(length.clamp(min=floor).double()).ceil()
    return [torch.nonzero(power == value)[:, 0] for value in torch.unique(power)]
