"""Both encoders side by side, their projection heads, and the vector that is served."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepdxf.collate import Batch
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.geometry import EntityNodes, GeometryEncoder
from deepdxf.encoders.matching import MatchingNetwork
from deepdxf.encoders.sequence import Encoded, SequenceEncoder

EPS = 1e-6


class DualEncoder(nn.Module):
    """Sequence and geometry encoder with heads for the directions of contrast; one of the two may be missing.

    ``heads`` are used in training only: "sequence_within", "geometry_within" (within a code), "sequence_across",
    "geometry_across" (across codes, one width for both) and, with ``matching``, "geometry_nodes" (of its nodes). The
    vectors that they read are the vectors that are served.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config = config.resolved()
        self.sequence = SequenceEncoder(config) if config.codes != "geometry" else None
        self.geometry = GeometryEncoder(config) if config.codes != "sequence" else None
        nodes = self.geometry.nodes if self.geometry else None
        self.shares_entities = bool(
            config.share_entities
            and isinstance(nodes, EntityNodes)
            and self.sequence is not None
            and not self.sequence.classic
        )
        if self.shares_entities:
            assert self.sequence is not None
            nodes.embedding = self.sequence.embedding  # type: ignore[union-attr]
        self.heads = nn.ModuleDict()
        for name, encoder in self._encoders().items():
            self.heads[f"{name}_within"] = _head(encoder.dim, config.head_within)
            self.heads[f"{name}_across"] = _head(encoder.dim, config.head_across)
        self.matching = None
        if config.matching and self.geometry is not None:
            self.matching = MatchingNetwork(config.graph_width, config.perspectives)
            self.heads["geometry_nodes"] = _head(config.perspectives, config.head_within)

    def _encoders(self) -> dict[str, SequenceEncoder | GeometryEncoder]:
        """The encoders that there are, by code."""
        both = {"sequence": self.sequence, "geometry": self.geometry}
        return {name: encoder for name, encoder in both.items() if encoder is not None}

    @property
    def slices(self) -> dict[str, slice]:
        """Stretches of the served vector by code."""
        result, end = {}, 0
        for name, encoder in self._encoders().items():
            result[name] = slice(end, end + encoder.dim)
            end += encoder.dim
        return result

    def heads_width(self, on: str) -> int:
        """Width of projections: within "sequence" or "geometry", or "across"."""
        return self.config.head_across if on == "across" else self.config.head_within

    def nodes_width(self, code: str) -> int:
        """Width of the tokens of a code, see `Encoded.nodes`."""
        return self.config.width if code == "sequence" else self.config.graph_width

    def branches(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by branch, each once: "sequence", "geometry" with their heads, "shared" what both use."""
        groups: dict[str, list[nn.Parameter]] = {"sequence": [], "geometry": [], "shared": []}
        shared = {id(p) for p in self.sequence.embedding.parameters()} if self.shares_entities and self.sequence else ()
        for name, parameter in self.named_parameters():
            branch = "sequence" if name.startswith(("sequence", "heads.sequence")) else "geometry"
            groups["shared" if id(parameter) in shared else branch].append(parameter)
        return {name: group for name, group in groups.items() if group}

    def forward(self, batch: Batch) -> dict[str, Encoded]:
        """Every code of a batch, encoded."""
        embedded = self.sequence.embedding(batch) if self.shares_entities and self.sequence else None
        return {name: encoder(batch, embedded) for name, encoder in self._encoders().items()}

    def project(self, encoded: Encoded, head: str) -> Tensor:
        """(b, width of the head) projections of the vectors of a batch, not normalised."""
        result: Tensor = self.heads[head](encoded.vector)
        return result

    def embed(self, batch: Batch) -> Tensor:
        """(b, d) float32 vectors to serve: unit length, or zeros for a drawing without entities.

        Each code's vector at unit length, times the square root of its weight, one after the other: the dot product of
        two drawings is the weighted mean of their cosines by code.
        """
        share = self.config.sequence_weight
        weights = {"sequence": share, "geometry": 1.0 - share} if len(self._encoders()) == 2 else {}
        parts = [
            weights.get(name, 1.0) ** 0.5 * F.normalize(encoded.vector.float(), dim=1, eps=EPS)
            for name, encoded in self(batch).items()
        ]
        return torch.cat(parts, dim=1) * (batch.start.diff() > 0)[:, None]


def _head(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, out))
