"""Raster encoder: the picture of a drawing -> a vector. A third code beside sequence and geometry: exact places of ink.

Letters in shapes: b drawings, c channels, p pixels a side, d width.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepdxf.collate import Batch
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.sequence import Encoded
from deepdxf.errors import EncoderError
from deepdxf.raster import CHANNELS

HALVINGS = 4
GRID = 4  # cells a side of the last map; each keeps its place in the vector
GROUPS = 8  # of group normalisation, which knows nothing of the other drawings of a batch


class RasterEncoder(nn.Module):
    """Convolutions that halve the picture until GRID cells are left; their layout and their mean, each of unit length."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        config = config.resolved()
        if config.pixels % (2**HALVINGS * GRID):
            raise EncoderError(f"pixels must be a multiple of {2**HALVINGS * GRID}, not {config.pixels}")
        d = config.raster_width
        widths = [CHANNELS, d, 2 * d, 4 * d, 6 * d]
        self.halve = nn.ModuleList(_convolution(a, b, 2) for a, b in itertools.pairwise(widths))
        self.refine = nn.ModuleList(_convolution(width, width, 1) for width in widths[2:4])
        self.layout = nn.Linear(widths[-1] * GRID**2, config.vector)
        self.mean = nn.Linear(widths[-1], config.vector)
        self.dim = 2 * config.vector

    def forward(self, batch: Batch, embedded: Tensor | None = None) -> Encoded:
        """Encode a batch; ``embedded`` is not read. The nodes are the cells of the last map."""
        x = batch.image
        for number, halve in enumerate(self.halve):
            x = halve(x)
            if 0 < number <= len(self.refine):
                x = x + self.refine[number - 1](x)
        x = F.avg_pool2d(x, x.shape[-1] // GRID)
        parts = (self.layout(x.flatten(1)), self.mean(x.mean((2, 3))))
        vector = torch.cat([F.normalize(part, dim=1, eps=1e-6) for part in parts], dim=1)
        nodes = x.flatten(2).transpose(1, 2)  # (b, cells, 6 d)
        owner = torch.arange(x.shape[0], device=x.device)[:, None].expand(nodes.shape[:2])
        return Encoded(vector, nodes.flatten(0, 1), owner.flatten())


def _convolution(a: int, b: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1), nn.GroupNorm(GROUPS, b), nn.GELU())
