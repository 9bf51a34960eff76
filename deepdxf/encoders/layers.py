"""Message passing on a sparse graph with edge features: one step of talking between neighbours.

Four layers by name, all with the call (n, d) nodes, (2, e) directed edges from first to second, (e, f) edge features ->
(n, d). x_u is a node, r_uv an edge's features through a Linear, N(v) the edges that end in v:

ggnn   m_v = Σ (W x_u + r_uv); GRU(m_v, x_v)                         Li et al., Gated graph sequence neural networks, 2016
gcn    W Σ (x_u + r_uv) / √((1 + d_u)(1 + d_v)) + W x_v / (1 + d_v)     Kipf, Welling, 2017; d: edges that end there
sage   W x_v + V mean (x_u + r_uv)                                    Hamilton et al., GraphSAGE, 2017
gin    MLP((1 + ε) x_v + Σ ReLU(x_u + r_uv))                           Hu et al., GINE, 2020
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepdxf.encoders.ragged import segment_mean, segment_sum


class GatedGraph(nn.Module):
    """``ggnn``."""

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.edge = nn.Linear(edge_width, width)
        self.message = nn.Linear(width, width, bias=False)
        self.input, self.state = nn.Linear(width, 3 * width), nn.Linear(width, 3 * width)

    def forward(self, x: Tensor, edge: Tensor, features: Tensor) -> Tensor:
        """See the module's head."""
        message = segment_sum(self.message(x)[edge[0]] + self.edge(features), edge[1], x.shape[0])
        reset_m, update_m, new_m = self.input(message).chunk(3, dim=1)
        reset_x, update_x, new_x = self.state(x).chunk(3, dim=1)
        update = torch.sigmoid(update_m + update_x)
        new = torch.tanh(new_m + torch.sigmoid(reset_m + reset_x) * new_x)
        return (1.0 - update) * new + update * x


class GraphConvolution(nn.Module):
    """``gcn``."""

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.edge, self.out = nn.Linear(edge_width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, edge: Tensor, features: Tensor) -> Tensor:
        """See the module's head."""
        degree = 1.0 + segment_sum(x.new_ones((edge.shape[1], 1)), edge[1], x.shape[0])
        scale = degree.rsqrt()
        message = (x[edge[0]] + self.edge(features)) * scale[edge[0]] * scale[edge[1]]
        result: Tensor = self.out(segment_sum(message, edge[1], x.shape[0]) + x / degree)
        return result


class GraphSage(nn.Module):
    """``sage``."""

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.edge = nn.Linear(edge_width, width)
        self.own, self.neighbours = nn.Linear(width, width), nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, edge: Tensor, features: Tensor) -> Tensor:
        """See the module's head."""
        message = segment_mean(x[edge[0]] + self.edge(features), edge[1], x.shape[0])
        result: Tensor = self.own(x) + self.neighbours(message)
        return result


class GraphIsomorphism(nn.Module):
    """``gin``, with LayerNorm inside the MLP: sums over the border of a sheet can be large."""

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.edge = nn.Linear(edge_width, width)
        self.epsilon = nn.Parameter(torch.zeros(1))
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: Tensor, edge: Tensor, features: Tensor) -> Tensor:
        """See the module's head."""
        message = F.relu(x[edge[0]] + self.edge(features))
        result: Tensor = self.mlp((1.0 + self.epsilon) * x + segment_sum(message, edge[1], x.shape[0]))
        return result


LAYERS: dict[str, type[nn.Module]] = {
    "ggnn": GatedGraph,
    "gcn": GraphConvolution,
    "sage": GraphSage,
    "gin": GraphIsomorphism,
}


class MessagePassing(nn.Module):
    """A layer by name as a pre-norm residual block: x + dropout(ReLU(layer(LayerNorm(x))))."""

    def __init__(self, name: str, width: int, edge_width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layer = LAYERS[name](width, edge_width)
        self.dropout = dropout

    def forward(self, x: Tensor, edge: Tensor, features: Tensor) -> Tensor:
        """(n, d) of nodes (n, d), directed edges (2, e) and their features (e, f)."""
        result: Tensor = x + F.dropout(F.relu(self.layer(self.norm(x), edge, features)), self.dropout, self.training)
        return result
