"""A trained model as an encoder: codes -> ONNX graph -> vectors. Needs onnxruntime, not torch."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepdxf.checkpoint import GRAPH, read_manifest
from deepdxf.collate import arrays
from deepdxf.drawing import Drawing
from deepdxf.encoder import Switches, Vectors, encode_poses
from deepdxf.errors import EncoderError
from deepdxf.graph import encode

BASE = Path(__file__).with_name("data") / "base"  # the model that comes with the package


class Learned:
    """The model in a folder, an `Encoder`.

    Codes are limited to the model's number of rows (4,096); longer drawings are known by their first ones.
    """

    def __init__(self, folder: str | Path, threads: int | None = None) -> None:
        """Load a model.

        Args:
            folder: of the model.
            threads: that compute; None: one in a process that another one started, whose siblings have the other cores,
                else all cores.

        Raises:
            EncoderError: there is no model, it is damaged, or onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError:
            raise EncoderError("learned models need onnxruntime: pip install 'deepdxf[learned]'") from None

        manifest = read_manifest(folder)
        self.id, self.dim = manifest.id, manifest.dim
        self.codes = {name: slice(*part) for name, part in manifest.codes.items()}
        self._settings = manifest.encoder
        self._tells_size = True
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        if threads is None:
            threads = 0 if multiprocessing.parent_process() is None else 1  # 0: all cores
        options.intra_op_num_threads = threads
        path = Path(folder) / GRAPH
        if not path.is_file():
            raise EncoderError(f"{folder}: no {GRAPH}; save the model again with it (checkpoint.save_model)")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base but this
            reason = " ".join(str(error).split())[:200]
            raise EncoderError(f"{folder}: {GRAPH} is damaged ({reason}); copy the model again") from None
        self._inputs = [value.name for value in self._session.get_inputs()]
        width = self._session.get_outputs()[0].shape[-1]
        if width != self.dim:
            raise EncoderError(f"{folder}: {GRAPH} gives vectors of {width} numbers, config.json says {self.dim}")

    def encode(self, drawings: Sequence[Drawing]) -> Vectors:
        """(n, dim), see `Encoder.encode`."""
        vectors, of = [np.zeros((0, self.dim), np.float32)], self._settings
        for drawing in drawings:  # one by one: together they would be padded to the longest, which saves nothing
            batch = arrays([encode(drawing, "", of.limit, of.blocks, of.pixels)])
            if not self._tells_size:
                batch["size"][:] = np.nan
            vectors += self._session.run(None, {name: batch[name] for name in self._inputs})
        return np.concatenate(vectors)

    def query(self, drawing: Drawing, switches: Switches) -> Vectors:
        """See `Encoder.query`. Free of size, the model is not told the size, as for half of the drawings in training."""
        asked = copy.copy(self)
        asked._tells_size = switches.size
        return encode_poses(asked, drawing, switches)


def base() -> Learned:
    """The model that comes with the package. Raises EncoderError as `Learned`."""
    return Learned(BASE)
