"""Settings of the encoders: one size sets all dimensions, expert fields override single ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from deepdxf.errors import EncoderError

Size = Literal["tiny", "small", "base"]
Codes = Literal["both", "sequence", "geometry"]
Vocabulary = Literal["rich", "classic"]
Mixer = Literal["set", "patch", "full", "funnel"]
Graph = Literal["entity", "class"]
Adjacency = Literal["successor", "overlap"]
Layer = Literal["ggnn", "gcn", "sage", "gin"]
Readout = Literal["jk", "codebook"]
BlockMethod = Literal["views", "tiles", "chunks"]
Join = Literal["cosines", "lengths"]

# What a size sets. tiny is for tests, small for experiments on two cores, base is what is shipped.
SIZES: Mapping[Size, Mapping[str, int]] = {
    "tiny": {
        "raster_width": 8, "width": 32, "layers": 2, "heads": 2, "feedforward": 64, "bag_width": 8,
        "graph_width": 32, "graph_layers": 2, "codewords": 64, "perspectives": 16, "vector": 64,
    },
    "small": {
        "raster_width": 32, "width": 128, "layers": 3, "heads": 4, "feedforward": 256, "bag_width": 32,
        "graph_width": 64, "graph_layers": 2, "codewords": 256, "perspectives": 32, "vector": 128,
    },
    "base": {
        "raster_width": 32, "width": 192, "layers": 4, "heads": 6, "feedforward": 384, "bag_width": 32,
        "graph_width": 96, "graph_layers": 3, "codewords": 512, "perspectives": 64, "vector": 256,
    },
}  # fmt: skip


@dataclass(frozen=True)
class EncoderConfig:
    """Architecture of both encoders. A field that a size sets is 0 until `resolved` fills it.

    Raises:
        EncoderError: a value has the wrong type, is no choice, or does not fit the others.
    """

    size: Size = "small"  # sets the fields of SIZES that are 0
    codes: Codes = "both"  # which encoders there are
    # sequence
    vocabulary: Vocabulary = "rich"  # rows that the sequence encoder reads: see `deepdxf.vocabulary`
    mixer: Mixer = "patch"  # how rows come together: `set` without order, `patch` 16 rows a token, `full`, `funnel`
    width: int = 0  # of tokens of the sequence encoder and of the entity embedding
    layers: int = 0  # of the mixer
    heads: int = 0  # of attention
    feedforward: int = 0  # inner width of a layer of the mixer
    bag_width: int = 0  # width of the embeddings of quantised values, before a Linear to `width`
    patch: int = 16  # consecutive rows a token of the mixer `patch`
    funnel: int = 64  # most tokens that the mixer `funnel` leaves
    limit: int = 4096  # most rows of a code; what is cut is counted in the code
    frequencies: int = 6  # octaves of sine and cosine of a continuous value
    tags: bool = True  # read nesting depth, layer and colour
    order_dropout: float = 0.3  # share of drawings whose rows come in Z-order instead of by handle, in training
    size_dropout: float = 0.5  # share of drawings whose size is hidden, in training
    dropout: float = 0.1
    pool_queries: int = 4  # of the attention pool
    # geometry
    graph: Graph = "entity"  # the graph that the geometry encoder reads
    adjacency: Adjacency = "successor"  # edges of the class graph
    layer: Layer = "gin"  # message passing
    graph_width: int = 0
    graph_layers: int = 0
    blocks: BlockMethod = "views"  # how sheets are cut, see `deepdxf.graph.blocks`
    block_layers: int = 1  # of attention over the blocks of a drawing; 0: they are pooled as they are
    readout: Readout = "codebook"  # `jk`, or `codebook`: a bag of learned codewords beside it
    codewords: int = 0  # of the codebook, half of them for single entities, half for entities with their surroundings
    sharpness: float = 20.0  # factor of the cosines to codewords before the softmax
    # raster
    pixels: int = 0  # side of the picture that the raster encoder reads; 0: there is no raster encoder
    raster_width: int = 0  # of its first layer
    # all
    share_entities: bool = True  # one entity embedding for both encoders, where both read entities
    vector: int = 0  # length of each encoder's vector, without the codebook
    matching: bool = False  # a matching network over the nodes of the geometry encoder
    perspectives: int = 0  # of the matching network
    head_within: int = 128  # width of the projections within a code
    head_across: int = 1024  # width of the projections across codes
    sequence_weight: float = 0.5  # share of the sequence code beside the geometry code in the cosine of served vectors
    raster_weight: float = 0.3  # share of the raster code in it, where there is one
    join: Join = "cosines"  # of served codes: cosines by these shares; `lengths`: a longer vector counts more
    whitening: int = 0  # numbers of each code that are served, decorrelated on training drawings; 0: codes as they are

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            object.__setattr__(self, name, _checked(name, kind, getattr(self, name)))
        for name in ("dropout", "order_dropout", "size_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise EncoderError(f"{name} must be at least 0 and below 1, not {getattr(self, name):g}")
        for name in ("sequence_weight", "raster_weight"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise EncoderError(f"{name} must be from 0 to 1, not {getattr(self, name):g}")
        by_size = SIZES[self.size]
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in ("pixels", "whitening", "block_layers") else 1
            if type(value) is int and value < (0 if field.name in by_size else least):
                raise EncoderError(f"{field.name} must be at least {least}, not {value}")
        head = (self.width or by_size["width"]) / (self.heads or by_size["heads"])
        if head % 2:
            raise EncoderError(
                f"width {self.width or by_size['width']} must be an even multiple of heads "
                f"{self.heads or by_size['heads']}"
            )
        if (self.codewords or by_size["codewords"]) % 2:
            raise EncoderError(f"codewords must be even, not {self.codewords}")

    def resolved(self) -> EncoderConfig:
        """The same with every field that the size sets filled in."""
        filled: dict[str, Any] = {name: getattr(self, name) or value for name, value in SIZES[self.size].items()}
        return replace(self, **filled)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderConfig:
        """The settings out of plain values.

        Raises:
            EncoderError: a key is unknown or a value wrong; the text names the nearest right one.
        """
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                raise EncoderError(f"unknown encoder setting {key!r}{_nearest(str(key), names)}")
        return cls(**values)


def _checked(name: str, kind: Any, value: Any) -> Any:
    """The value of a field in its type."""
    choices = get_args(kind)
    if choices:
        if value not in choices:
            raise EncoderError(
                f"{name} cannot be {value!r}{_nearest(str(value), choices)}; choices: {', '.join(choices)}"
            )
        return value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        what = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise EncoderError(f"{name} must be {what}, not {value!r}")
    return value


def _nearest(given: str, known: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(given, known, 1, 0.4)
    return f"; did you mean {near[0]!r}?" if near else ""
