"""The encoders side by side, their projection heads, and the vector that is served."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepdxf import whitening
from deepdxf.collate import Batch
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.geometry import EntityNodes, GeometryEncoder
from deepdxf.encoders.matching import MatchingNetwork
from deepdxf.encoders.raster import RasterEncoder
from deepdxf.encoders.sequence import Encoded, SequenceEncoder

EPS = 1e-6


class DualEncoder(nn.Module):
    """Sequence, geometry and raster encoder with heads for the directions of contrast; some of the three may be missing.

    ``heads`` are used in training only: "sequence_within", "geometry_within", "raster_within" (within a code),
    "sequence_across", "geometry_across", "raster_across" (across codes, one width for all) and, with ``matching``,
    "geometry_nodes" (of its nodes). The vectors that they read are the vectors that are served.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config = config.resolved()
        self.sequence = SequenceEncoder(config) if config.codes != "geometry" else None
        self.geometry = GeometryEncoder(config) if config.codes != "sequence" else None
        self.raster = RasterEncoder(config) if config.pixels else None
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

        if config.whitening:
            for name, encoder in self._encoders().items():
                # until `whiten`: the first numbers of the code, as they are
                self.register_buffer(f"{name}_centre", torch.zeros(encoder.dim))
                self.register_buffer(f"{name}_whitening", torch.eye(encoder.dim, self._served(encoder.dim)))

    def _encoders(self) -> dict[str, SequenceEncoder | GeometryEncoder | RasterEncoder]:
        """The encoders that there are, by code."""
        all_ = {"sequence": self.sequence, "geometry": self.geometry, "raster": self.raster}
        return {name: encoder for name, encoder in all_.items() if encoder is not None}

    def _served(self, dim: int) -> int:
        """How many numbers of a code of this length are served."""
        return min(dim, self.config.whitening) if self.config.whitening else dim

    @property
    def slices(self) -> dict[str, slice]:
        """Stretches of the served vector by code."""
        result, end = {}, 0
        for name, encoder in self._encoders().items():
            result[name] = slice(end, end + self._served(encoder.dim))
            end = result[name].stop
        return result

    def heads_width(self, on: str) -> int:
        """Width of projections: within "sequence" or "geometry", or "across"."""
        return self.config.head_across if on == "across" else self.config.head_within

    def nodes_width(self, code: str) -> int:
        """Width of the tokens of a code, see `Encoded.nodes`."""
        widths = {"sequence": self.config.width, "geometry": self.config.graph_width}
        return widths.get(code, 6 * self.config.raster_width)

    def branches(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by branch, each once: "sequence", "geometry", "raster" with their heads, "shared" what two use."""
        groups: dict[str, list[nn.Parameter]] = {"sequence": [], "geometry": [], "raster": [], "shared": []}
        shared = {id(p) for p in self.sequence.embedding.parameters()} if self.shares_entities and self.sequence else ()
        for name, parameter in self.named_parameters():
            branch = next((b for b in ("sequence", "raster") if name.startswith((b, f"heads.{b}"))), "geometry")
            groups["shared" if id(parameter) in shared else branch].append(parameter)
        return {name: group for name, group in groups.items() if group}

    def forward(self, batch: Batch, codes: Collection[str] | None = None) -> dict[str, Encoded]:
        """The codes of a batch, encoded: all that there are, or those that are asked for."""
        embedded = self.sequence.embedding(batch) if self.shares_entities and self.sequence else None
        wanted = {n: encoder for n, encoder in self._encoders().items() if codes is None or n in codes}
        return {name: encoder(batch, embedded) for name, encoder in wanted.items()}

    def project(self, encoded: Encoded, head: str) -> Tensor:
        """(b, width of the head) projections of the vectors of a batch, not normalised."""
        result: Tensor = self.heads[head](encoded.vector)
        return result

    def embed(self, batch: Batch) -> Tensor:
        """(b, d) float32 vectors to serve: unit length, or zeros for a drawing without entities.

        Each code's vector, whitened where the model is, at unit length, times the square root of its weight, one after
        the other: the dot product of two drawings is the weighted mean of their cosines by code. With ``join`` "lengths"
        the vectors stand side by side as they are, and the whole is brought to unit length.
        """
        vectors = {name: self._whitened(name, encoded.vector.float()) for name, encoded in self(batch).items()}
        there = (batch.start.diff() > 0)[:, None]
        if self.config.join == "lengths":
            return F.normalize(torch.cat(list(vectors.values()), dim=1), dim=1, eps=EPS) * there
        weights = self._weights()
        parts = [weights[name] ** 0.5 * F.normalize(vector, dim=1, eps=EPS) for name, vector in vectors.items()]
        return torch.cat(parts, dim=1) * there

    def _weights(self) -> dict[str, float]:
        """Share of each code in the cosine of served vectors."""
        sequence, raster = self.config.sequence_weight, self.config.raster_weight
        shares = {
            "sequence": (1.0 - raster) * sequence,
            "geometry": (1.0 - raster) * (1.0 - sequence),
            "raster": raster,
        }
        there = {name: shares[name] for name in self._encoders()}
        total = sum(there.values())
        return {name: share / total if total else 1.0 / len(there) for name, share in there.items()}

    def _whitened(self, code: str, vector: Tensor) -> Tensor:
        if not self.config.whitening:
            return vector
        unit = F.normalize(vector, dim=1, eps=EPS)
        result: Tensor = (unit - getattr(self, f"{code}_centre")) @ getattr(self, f"{code}_whitening")
        return result

    @torch.no_grad()
    def whiten(self, vectors: Mapping[str, Tensor], weight: Tensor | None = None) -> None:
        """Decorrelate the served codes, by the vectors of some drawings (`whitening`); the encoders stay as they are.

        Args:
            vectors: code -> (n, dim of its encoder), at least a few times as many as numbers are served.
            weight: (n,) of the drawings, so that a source with many drawings does not decide alone; none: all the same.
        """
        for code, vector in vectors.items():
            unit = F.normalize(vector.double(), dim=1, eps=EPS).cpu().numpy()
            share = None if weight is None else weight.double().cpu().numpy()
            fitted = whitening.fit(unit, self._served(unit.shape[1]), share)
            getattr(self, f"{code}_centre").copy_(torch.from_numpy(fitted.centre))
            getattr(self, f"{code}_whitening").copy_(torch.from_numpy(fitted.matrix))


def _head(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, out))
