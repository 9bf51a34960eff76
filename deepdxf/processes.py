"""Several training processes, on one machine or many, started by torchrun; without it there is one.

    torchrun --nproc-per-node 2 -m deepdxf train base --out run

Every process embeds its share of a batch; the embeddings of all are gathered, so that each process computes the loss of
the whole batch, with all its negatives, and the gradients of the encoders are summed. The result is that of one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from deepdxf.errors import DeepDXFError

T = TypeVar("T")


@dataclass(frozen=True)
class DistributedConfig:
    """Several processes, started by torchrun; without it nothing here matters."""

    backend: Literal["gloo", "nccl"] = "gloo"  # nccl: between GPUs
    timeout_s: int = 1800  # longest wait for another process, which may be validating


@dataclass(frozen=True)
class Processes:
    """This process among all; a process alone exchanges nothing."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, logs and validates."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """The share of this process of n things; shares follow each other by rank and differ by at most one."""
        return slice(n * self.rank // self.world, n * (self.rank + 1) // self.world)

    def gather(self, tensor: Tensor) -> tuple[Tensor, int]:
        """The tensors of all processes, concatenated along the first axis by rank, without gradients; and the row where
        that of this process begins."""
        tensor = tensor.detach().contiguous()
        if self.world == 1:
            return tensor, 0
        lengths = [torch.zeros(1, dtype=torch.int64, device=tensor.device) for _ in range(self.world)]
        with _together():
            dist.all_gather(lengths, torch.tensor([len(tensor)], device=tensor.device))
        rows = [int(length) for length in lengths]
        padded = tensor.new_zeros(max(rows), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in rows]
        with _together():
            dist.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, rows, strict=True)]), sum(rows[: self.rank])

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let every process have the sum of all gradients; a parameter without one counts as 0."""
        if self.world == 1:
            return
        listed = [p for p in parameters if p.requires_grad]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in listed])
        with _together():
            dist.all_reduce(flat)
        for p, gradient in zip(listed, torch.split(flat, [p.numel() for p in listed]), strict=True):
            p.grad = gradient.view_as(p).clone()

    def from_first(self, value: T) -> T:
        """The value that the first process has."""
        if self.world == 1:
            return value
        box = [value]
        with _together():
            dist.broadcast_object_list(box)
        return box[0]


@contextmanager
def _together() -> Iterator[None]:
    """An exchange that all processes take part in; one that is gone is one line in the others."""
    try:
        yield
    except RuntimeError as error:
        raise DeepDXFError("another process of this run has ended or is stuck; what it printed says why") from error


@contextmanager
def processes(config: DistributedConfig) -> Iterator[Processes]:
    """The processes that torchrun started; they part at the end of the block.

    Raises:
        DeepDXFError: they do not find each other.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes()
        return
    try:
        dist.init_process_group(config.backend, timeout=timedelta(seconds=config.timeout_s))
    except (RuntimeError, ValueError) as error:
        raise DeepDXFError(
            f"the {world} processes do not find each other ({' '.join(str(error).split())}); start them by torchrun"
        ) from error
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
        dist.barrier()  # none may leave while another still waits for it
    finally:
        dist.destroy_process_group()
