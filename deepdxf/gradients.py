"""Gradients of a batch that is larger than what the encoders can hold at once, or spread over several processes.

A contrastive loss needs the embeddings of the whole batch: averaging the gradients of small batches (plain gradient
accumulation) loses the negatives between them. Cached gradients (Gao et al., Scaling Deep Contrastive Learning Batch Size
under Memory Limited Setup, 2021) do not:

1. embed the batch chunk by chunk, without a graph;
2. compute the loss of all embeddings, and its gradient for each of them: the cache;
3. embed each chunk again, with a graph, and send its part of the cache through it.

Both passes of a chunk see the same random numbers, since the generator is seeded by step and chunk. So chunks may lie in
any process, and a run that goes on from a checkpoint needs no generator's state.
A batch of one chunk keeps the graph of its first pass instead of a second one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from deepdxf.collate import Batch
from deepdxf.processes import Processes

Parts = dict[str, Tensor]  # outputs of the model by name; the first axis runs over drawings, or nodes of them


@dataclass(frozen=True)
class Chunk:
    """Drawings that go through the encoders together."""

    number: int  # in the batch of all processes
    first: int  # number of its first drawing in that batch
    views: tuple[Batch, ...]  # of the same drawings in the same order

    def to(self, device: torch.device) -> Chunk:
        """The chunk on another device."""
        return replace(self, views=tuple(view.to(device) for view in self.views))


def seed_everything(*numbers: int) -> None:
    """Seed torch's generators with some numbers from 0 up, e.g. (seed, step, chunk)."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1))


def backward(
    chunks: Sequence[Chunk],
    represent: Callable[[Chunk], Parts],
    loss: Callable[[Parts], Tensor],
    parameters: Iterable[nn.Parameter],
    *,
    seed: tuple[int, ...] = (0,),
    processes: Processes | None = None,
) -> None:
    """Leave the gradient of the loss of a whole batch in ``.grad`` of every parameter that took part.

    Args:
        chunks: the share of this process, at least one.
        represent: outputs of the model for a chunk; numbers of drawings in them count through the whole batch.
        loss: scalar loss of the outputs of all chunks of all processes, concatenated.
        parameters: those that ``represent`` uses, whose gradients are summed over the processes. Parameters that only
            ``loss`` uses have the same gradient everywhere.
    """
    processes = processes or Processes()
    keep = len(chunks) == 1
    passes = []
    for chunk in chunks:
        seed_everything(*seed, 1 + chunk.number)
        with torch.set_grad_enabled(keep):
            passes.append(represent(chunk))
    whole, begin = {}, {}
    for name in passes[0]:
        whole[name], begin[name] = processes.gather(torch.cat([outputs[name].detach() for outputs in passes]))
        if whole[name].is_floating_point():
            whole[name].requires_grad_()

    seed_everything(*seed, 0)
    loss(whole).backward()  # type: ignore[no-untyped-call]
    for chunk, outputs in zip(chunks, passes, strict=True):
        lengths = {name: len(output) for name, output in outputs.items()}
        if not keep:
            seed_everything(*seed, 1 + chunk.number)
            outputs = represent(chunk)
        tensors, gradients = [], []
        for name, output in outputs.items():
            cache = whole[name].grad
            if output.requires_grad and cache is not None:
                tensors.append(output)
                gradients.append(cache[begin[name] : begin[name] + lengths[name]])
            begin[name] += lengths[name]
        if tensors:
            torch.autograd.backward(tensors, gradients)
    processes.sum_gradients(parameters)
