"""Geometry encoder: how the drawn things lie over each other -> a vector.

graph -> message passing (`layers`) -> one vector a block -> attention over the blocks of the drawing -> vector.
Graphs: the entity graph (a node an entity) or the class graph (a node a class). The readout ``codebook`` adds a bag of
learned codewords: which kinds of entities and surroundings there are, and how many.
Letters in shapes: b drawings, n nodes, e edges, k blocks in all, d width, w codewords.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepdxf.collate import Batch
from deepdxf.encoders.attention import Pool, TransformerLayer
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.layers import MessagePassing
from deepdxf.encoders.ragged import longest, owners, pad, segment_max, segment_mean, segment_sum, starts
from deepdxf.encoders.sequence import Encoded
from deepdxf.encoders.tokens import EntityEmbedding, SizeToken, fourier
from deepdxf.graph import EDGE_FEATURES, MISSING, N_NODES, Relation

# What an edge's features become when it is read from the second node to the first.
REVERSED = (-1.0, -1.0, -1.0, 1.0, -1.0)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes and edges as the layers read them; every edge in both directions."""

    x: Tensor  # (n, d)
    edge: Tensor  # (2, e) int64 from, to
    features: Tensor  # (e, f)
    drawing: Tensor  # (n,) int64 ascending
    block: Tensor  # (n,) int64
    block_start: Tensor  # (b + 1,) int64 first block of each drawing
    block_box: Tensor  # (k, 4)


class EntityNodes(nn.Module):
    """The entity graph of a batch."""

    edge_width = 2 * len(Relation) + len(EDGE_FEATURES)

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.octaves = config.frequencies
        self.embedding = EntityEmbedding(config)
        self.out = nn.Linear(config.width, config.graph_width)
        self.place = nn.Linear(2 * (1 + 2 * self.octaves), config.graph_width, bias=False)
        self.register_buffer("reversed", torch.tensor(REVERSED), persistent=False)
        self.reversed: Tensor

    def forward(self, batch: Batch, embedded: Tensor | None) -> Graph:
        """``embedded`` (n, width): rows of `embedding`, if the caller has them."""
        x = self.out(self.embedding(batch) if embedded is None else embedded)
        there = ~batch.place.isnan()
        place = torch.where(there, batch.place, 0.0).clamp(-1.0, 2.0)
        x = x + self.place((fourier(place - 0.5, self.octaves) * there[:, :, None]).flatten(1))
        edge = torch.cat([batch.edge, batch.edge.flip(0)], dim=1)
        kind = F.one_hot(torch.cat([batch.relation, batch.relation + len(Relation)]), 2 * len(Relation))
        values = batch.edge_values.nan_to_num(0.0)
        values = torch.cat([values, values * self.reversed])
        block_start = starts(
            segment_sum(torch.ones_like(batch.block_drawing), batch.block_drawing, batch.size.shape[0])
        )
        features = torch.cat([kind.to(x.dtype), values], dim=1)
        return Graph(x, edge, features, batch.drawing, batch.block, block_start, batch.block_box)


class ClassNodes(nn.Module):
    """The class graph of a batch: the classes that a drawing has, one block a drawing."""

    edge_width = 1

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.adjacency = config.adjacency
        self.cls = nn.Parameter(torch.randn(N_NODES, config.graph_width) * 0.3)
        # missing is not zero: beside every share stands whether there is one
        self.shares = nn.Linear(2 * (N_NODES + 1), config.graph_width)
        self.size = SizeToken(config, config.graph_width)

    def forward(self, batch: Batch, embedded: Tensor | None) -> Graph:
        """``embedded`` is not read."""
        matrix = batch.class_matrix
        known = matrix != MISSING
        shares = torch.cat([torch.where(known, matrix, 0.0), known.to(matrix.dtype)], dim=2)
        x = self.cls + self.shares(shares) + self.size(batch.size)[:, None]  # (b, 10, d)
        node = known[:, :, 0]
        number = node.flatten().cumsum(0).reshape(node.shape) - 1
        adjacency = batch.class_successor if self.adjacency == "successor" else batch.class_overlap
        drawing, row, column = torch.nonzero((adjacency > 0) & node[:, :, None] & node[:, None, :], as_tuple=True)
        edge = torch.stack([number[drawing, row], number[drawing, column]])
        owner = torch.nonzero(node)[:, 0]
        box = x.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(batch.size.shape[0], 4)
        block_start = torch.arange(batch.size.shape[0] + 1, device=x.device)
        return Graph(x[node], edge, x.new_ones((edge.shape[1], 1)), owner, owner, block_start, box)


class BlockReadout(nn.Module):
    """Nodes of every layer to one vector a block: means, maxima and logarithms of sums, joined by a Linear.

    Jumping knowledge (Xu et al., 2018) in the form of MVGRL: σ(‖_l Σ_i h_i^(l) W). Sums alone would tell little but how
    many nodes there are.
    """

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(levels))
        self.out = nn.Linear(3 * levels * width, width)

    def forward(self, levels: list[Tensor], block: Tensor, blocks: int) -> Tensor:
        """(k, d) of the nodes after each layer (n, d) and the block of each node (n,)."""
        parts = []
        for norm, level in zip(self.norms, levels, strict=True):
            x = norm(level)
            parts += [segment_mean(x, block, blocks), segment_max(x, block, blocks)]
            parts.append(segment_sum(F.relu(x), block, blocks).log1p())
        return F.relu(self.out(torch.cat(parts, dim=1)))


class SheetReadout(nn.Module):
    """Blocks back on the sheet: each gets its number and place, attention joins them to the vector of the drawing."""

    octaves = 4

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d = config.graph_width
        heads = max(1, d // 32)
        self.place = nn.Linear(5 * (1 + 2 * self.octaves), d)
        self.layers = nn.ModuleList(
            TransformerLayer(d, heads, 2 * d, config.dropout) for _ in range(config.block_layers)
        )
        self.pool = Pool(d, config.pool_queries, config.vector)

    def forward(self, x: Tensor, start: Tensor, box: Tensor) -> Tensor:
        """(b, vector) of blocks (k, d), the first of each drawing (b + 1,) and their boxes (k, 4)."""
        drawing = owners(start, x.shape[0])
        index = torch.arange(x.shape[0], device=x.device) - start[drawing]
        place = torch.cat([(index / (index + 4.0))[:, None], box.clamp(-1.0, 2.0)], dim=1)
        x = x + self.place(fourier(place, self.octaves).flatten(1))
        length = start.diff()
        block, mask = pad(x, start[:-1], length, longest(length))
        for layer in self.layers:
            block = layer(block, mask)
        result: Tensor = self.pool(block, mask)
        return result


class WholeReadout(nn.Module):
    """The one block of each drawing to its vector."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.out = nn.Linear(config.graph_width, config.vector)

    def forward(self, x: Tensor, start: Tensor, box: Tensor) -> Tensor:
        """(b, vector) of blocks (b, d)."""
        result: Tensor = self.out(x)
        return result


class Codebook(nn.Module):
    """A drawing as a bag of codewords: nodes are shared out by a sharp softmax of their cosines, counts are damped by
    a logarithm and weighted by learned inverse frequencies. A mean of nodes forgets the rare ones; a bag does not.
    """

    def __init__(self, width: int, words: int, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.words = nn.Parameter(torch.randn(words, width))
        self.rarity = nn.Parameter(torch.full((words,), 0.5413))  # softplus gives 1
        self.register_buffer("centre", torch.zeros(width))
        self.centre: Tensor  # (d,) what all nodes have in common

    def shares(self, nodes: Tensor) -> Tensor:
        """(n, w) share of each codeword in each node (n, d); rows sum to 1."""
        x = F.normalize(F.layer_norm(nodes, nodes.shape[1:]) - self.centre, dim=1, eps=1e-6)
        return torch.softmax(self.sharpness * (x @ F.normalize(self.words, dim=1, eps=1e-6).T), dim=1)

    def forward(self, nodes: Tensor, drawing: Tensor, drawings: int) -> Tensor:
        """(b, w) unit vectors of nodes (n, d) and their drawings (n,); zeros for a drawing without nodes."""
        counts = segment_sum(self.shares(nodes), drawing, drawings)
        return F.normalize(counts.log1p() * F.softplus(self.rarity), dim=1, eps=1e-6)

    @torch.no_grad()
    def start_from(self, nodes: Tensor, drawing: Tensor, generator: torch.Generator | None = None) -> None:
        """Take codewords and inverse frequencies from nodes (n, d) of drawings (n,): a start far better than noise.

        Codewords are nodes far from each other (k-means++, Arthur, Vassilvitskii, 2007), so that rare kinds have some.
        The centre is theirs, not that of all nodes: that would lie among the commonest, whose differences are noise.
        """
        words = self.words.shape[0]
        if nodes.shape[0] < words:
            return
        normal = F.layer_norm(nodes, nodes.shape[1:])
        x = F.normalize(normal, dim=1, eps=1e-6)
        chosen = [int(torch.randint(x.shape[0], (1,), generator=generator))]
        gap = 1.0 - x @ x[chosen[0]]
        while len(chosen) < words:
            chosen.append(int(torch.multinomial(gap.clamp(min=1e-9), 1, generator=generator)))
            gap = torch.minimum(gap, 1.0 - x @ x[chosen[-1]])
        self.centre.copy_(normal[chosen].mean(0))
        self.words.copy_(normal[chosen] - self.centre)
        owner = torch.unique(drawing, return_inverse=True)[1]
        drawings = int(owner.max()) + 1
        frequency = (segment_sum(self.shares(nodes), owner, drawings) > 0.5).sum(0)
        rarity = ((drawings + 1) / (frequency + 0.5)).log().clamp(min=0.05)
        self.rarity.copy_(rarity.expm1().log())


class GeometryEncoder(nn.Module):
    """See the module's head."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        config = config.resolved()
        self.nodes = EntityNodes(config) if config.graph == "entity" else ClassNodes(config)
        d = config.graph_width
        self.layers = nn.ModuleList(
            MessagePassing(config.layer, d, self.nodes.edge_width, config.dropout) for _ in range(config.graph_layers)
        )
        self.block_readout = BlockReadout(d, 1 + config.graph_layers)
        # the class graph has one block a drawing, nothing to attend to
        self.sheet_readout = SheetReadout(config) if config.graph == "entity" else WholeReadout(config)
        books = 2 if config.readout == "codebook" else 0  # of entities, and of entities with their surroundings
        self.codebooks = nn.ModuleList(Codebook(d, config.codewords // 2, config.sharpness) for _ in range(books))
        self.dim = config.vector + (config.codewords if books else 0)

    def forward(self, batch: Batch, embedded: Tensor | None = None) -> Encoded:
        """Encode a batch; ``embedded`` are the rows of the entity embedding where the caller has them already."""
        graph: Graph = self.nodes(batch, embedded)
        levels = self._levels(graph)
        blocks = self.block_readout(levels, graph.block, graph.block_box.shape[0])
        vector = self.sheet_readout(blocks, graph.block_start, graph.block_box)
        if len(self.codebooks):
            bags = [
                book(level, graph.drawing, batch.size.shape[0])
                for book, level in zip(self.codebooks, (levels[0], levels[-1]), strict=True)
            ]
            # both halves weigh the same in a cosine, whatever the scale of the weights
            vector = torch.cat([F.normalize(vector, dim=1, eps=1e-6), *(bag / len(bags) ** 0.5 for bag in bags)], dim=1)
        return Encoded(vector, levels[-1], graph.drawing)

    def _levels(self, graph: Graph) -> list[Tensor]:
        """(n, d) nodes before the first and after each layer."""
        levels = [graph.x]
        for layer in self.layers:
            levels.append(layer(levels[-1], graph.edge, graph.features))
        return levels

    @torch.no_grad()
    def start_codebooks(self, batches: list[Batch], generator: torch.Generator | None = None) -> None:
        """Take the codewords from some drawings, see `Codebook.start_from`; a few hundred are enough."""
        if not len(self.codebooks):
            return
        training = self.training
        self.eval()
        found: list[list[Tensor]] = [[], [], []]
        before = 0
        for batch in batches:
            graph: Graph = self.nodes(batch, None)
            levels = self._levels(graph)
            for part, rows in zip(found, (levels[0], levels[-1], graph.drawing + before), strict=True):
                part.append(rows)
            before += len(batch)
        first, last, drawing = (torch.cat(part) for part in found)
        for book, nodes in zip(self.codebooks, (first, last), strict=True):
            book.start_from(nodes, drawing, generator)  # type: ignore[operator]
        self.train(training)
