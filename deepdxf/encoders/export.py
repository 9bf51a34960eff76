"""A model as an ONNX graph: the served vectors of a ragged batch, for machines without torch."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepdxf.collate import TENSORS, Batch, arrays
from deepdxf.drawing import N_CLASSES, EntityClass
from deepdxf.encoders.dual import DualEncoder
from deepdxf.errors import EncoderError
from deepdxf.files import replacing
from deepdxf.graph import N_NODES, Blocks, ClassGraph, DrawingCode, EntityGraph
from deepdxf.raster import CHANNELS, RasterCode
from deepdxf.sequence import ClassicCode, RichCode
from deepdxf.vocabulary import N_CLASSIC, N_RICH

OPSET = 18  # the first with sums and maxima of scattered rows
OUTPUT = "vector"
HALVED = 1024  # numbers that a matrix has at least to be kept in half precision, where that is asked for


class _Served(nn.Module):
    """`DualEncoder.embed` of the tensors of a batch, in the order of TENSORS."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.model.embed(Batch(**dict(zip(TENSORS, tensors, strict=True)), ids=()))


def is_halved(tensor: Tensor) -> bool:
    """Is this one of the tensors that half precision is for: large matrices, not biases and norms."""
    return tensor.is_floating_point() and tensor.ndim > 1 and tensor.numel() >= HALVED


def rounded(model: DualEncoder) -> DualEncoder:
    """A copy on the CPU whose large matrices hold numbers of half precision, still as float32.

    Raises:
        EncoderError: a number is too large for half precision.
    """
    result = copy.deepcopy(model).cpu().float()
    for name, tensor in result.state_dict().items():
        if is_halved(tensor):
            tensor.copy_(tensor.half())
            if not tensor.isfinite().all():
                raise EncoderError(f"{name} has numbers beyond half precision; save the model without it")
    return result


def export_onnx(model: DualEncoder, path: str | Path, *, half: bool = False) -> None:
    """Write `DualEncoder.embed` as an ONNX file of one piece.

    Inputs have the names, types and shapes of `collate.Batch`, all sizes free; those that the model does not read are
    left out. Output: ``vector`` (b, d) float32.

    Args:
        model: on any device.
        path: of the file.
        half: large matrices are kept in half precision and widened when the graph is loaded; they must be `rounded`.

    Raises:
        DeepDXFError: it cannot be written.
    """
    served = _Served(copy.deepcopy(model).cpu().float()).eval().requires_grad_(False)
    example = arrays([_example(5, model.config.pixels), _example(3, model.config.pixels)])
    tensors = tuple(torch.from_numpy(example[name]) for name in TENSORS)
    free = tuple({1 if name == "edge" else 0: torch.export.Dim.DYNAMIC} for name in TENSORS)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), _quiet():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            served,
            tensors,
            dynamic_shapes=(free,),
            input_names=list(TENSORS),
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    inputs = program.model.graph.inputs
    for value in [value for value in inputs if not value.uses()]:
        inputs.remove(value)
    if half:
        _halve(program.model.graph)
    for node in program.model.graph:  # stack traces, which name folders of this machine
        node.metadata_props.clear()
    with replacing(path) as partial:
        program.save(str(partial), external_data=False)


def _halve(graph: Any) -> None:
    """Keep the large rounded matrices of an ONNX graph (onnx_ir) as float16, each behind a cast that loading works out once."""
    import onnx_ir as ir

    first = graph[0]
    for name, value in list(graph.initializers.items()):
        wide = value.const_value.numpy()
        if wide.dtype != np.float32 or wide.ndim < 2 or wide.size < HALVED:
            continue
        halved = wide.astype(np.float16)
        if not np.array_equal(halved, wide):  # what the exporter worked out of several
            continue
        narrow = ir.Value(
            name=f"{name}/half",
            shape=value.shape,
            type=ir.TensorType(ir.DataType.FLOAT16),
            const_value=ir.tensor(halved, name=f"{name}/half"),
        )
        cast = ir.node("Cast", [narrow], {"to": int(ir.DataType.FLOAT)})
        value.replace_all_uses_with(cast.outputs[0])
        del graph.initializers[name]
        graph.register_initializer(narrow)
        graph.insert_before(first, cast)


class _quiet:
    """No messages of the exporter's loggers, which speak of libraries that no model here needs."""

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.disable(self.before)


def _example(n: int, pixels: int) -> DrawingCode:
    """Codes of n entities; the graph is the same for any."""
    cls = np.arange(n) % N_CLASSES
    cls[cls == EntityClass.INSERT] = EntityClass.LINE
    rich = RichCode(
        cls.astype(np.uint8),
        np.zeros((n, 3), np.uint8),
        np.zeros((n, N_RICH), np.float32),
        np.arange(n, dtype=np.int32),
        1.0,
        0,
    )
    edges = np.stack([np.arange(n - 1), np.arange(1, n)]).astype(np.int32)
    graph = EntityGraph(
        np.zeros((n, 2), np.float32), edges, np.zeros(n - 1, np.uint8), np.zeros((n - 1, 5), np.float32), 0
    )
    every = np.ones((N_NODES, N_NODES), np.uint8)
    classes = ClassGraph(np.zeros((N_NODES, 1 + N_NODES), np.float32), every, every)
    classic = np.zeros((n, 1 + N_CLASSIC), np.int16)
    blocks = Blocks(np.arange(n, dtype=np.int32) % 2, np.zeros((2, 4), np.float32))
    return DrawingCode(
        "",
        ClassicCode(classic, 0),
        rich,
        classes,
        graph,
        blocks,
        RasterCode(np.zeros((CHANNELS, pixels, pixels), np.float16)),
    )
