"""A model is a folder: what it is (config.json), its weights, the graph that is served (model.onnx), and a card.

    config.json           format number, id, settings of the encoders, length and codes of the vectors
    weights.safetensors   all parameters, training heads included
    model.onnx            drawings' codes in, vectors out; `deepdxf.learned` runs it without torch
    card.md               for people: what it was trained on and how well it does

Reading config.json needs no torch; the rest of the module does, and imports it when called.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdxf.encoders.config import EncoderConfig
from deepdxf.errors import DeepDXFError, EncoderError

if TYPE_CHECKING:
    from deepdxf.encoders.dual import DualEncoder

CONFIG, WEIGHTS, GRAPH, CARD = "config.json", "weights.safetensors", "model.onnx", "card.md"

FORMAT = 1  # of config.json
# number of a format -> change of config.json to the next one; each with a test on an old file
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


@dataclass(frozen=True)
class Manifest:
    """What config.json says."""

    id: str  # name and hash of settings and weights
    encoder: EncoderConfig
    codes: Mapping[str, tuple[int, int]]  # begin and end of the stretch of the vector by code

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return max(end for _, end in self.codes.values())


def read_manifest(folder: str | Path) -> Manifest:
    """What the model in a folder is.

    Raises:
        EncoderError: there is no model, or one that this version cannot read.
    """
    path = Path(folder) / CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format"]
        if type(version) is not int or not 1 <= version <= FORMAT:
            raise EncoderError(
                f"{path}: format {version!r} of a model, this version of deepdxf reads 1 to {FORMAT}; update deepdxf"
            )
        for number in range(version, FORMAT):
            content = MIGRATIONS[number](content)
        codes = {str(name): (int(begin), int(end)) for name, (begin, end) in content["codes"].items()}
        if not codes:
            raise ValueError("no codes")
        return Manifest(str(content["id"]), EncoderConfig.from_dict(content["encoder"]), codes)
    except OSError as error:
        raise EncoderError(
            f"{folder}: no model ({CONFIG}: {error.strerror or error}); name a folder that training made"
        ) from None
    except EncoderError as error:
        raise EncoderError(f"{folder}: {str(error).removeprefix(f'{path}: ')}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EncoderError(f"{folder}: {CONFIG} is damaged ({_line(error)}); copy or train the model again") from None


def save_model(
    model: DualEncoder,
    folder: str | Path,
    card: str = "",
    *,
    name: str = "learned",
    onnx: bool = True,
    half: bool = False,
) -> str:
    """Write a model; the folder is there as a whole or not at all, one of that name is replaced.

    Args:
        model: on any device.
        folder: its parent must exist.
        card: Markdown for people.
        name: first part of the id.
        onnx: write the graph that is served, which takes 10 seconds or more; without it a model can only be loaded.
        half: keep matrices in half precision, in both files: half the size. The model that is read back is the rounded
            one, and so is the graph.

    Returns:
        The id.

    Raises:
        DeepDXFError: it cannot be written.
    """
    from safetensors.torch import save

    from deepdxf.encoders.export import export_onnx, is_halved, rounded

    folder = Path(folder)
    if half:
        model = rounded(model)
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in _state(model).items()}
    settings = json.dumps(model.config.to_dict(), sort_keys=True)
    digest = hashlib.sha256(settings.encode())
    for key, tensor in sorted(tensors.items()):
        digest.update(key.encode())
        digest.update(tensor.numpy().tobytes())
    identity = f"{name}-{model.config.size}-{digest.hexdigest()[:12]}"
    codes = {code: (part.start, part.stop) for code, part in model.slices.items()}
    manifest = asdict(Manifest(identity, model.config, codes))
    try:
        partial = Path(
            tempfile.mkdtemp(dir=folder.absolute().parent, prefix=f".{folder.name[:40]}.", suffix=".partial")
        )
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        (partial / CONFIG).write_text(json.dumps({"format": FORMAT} | manifest, indent=1) + "\n", encoding="utf-8")
        stored = {key: tensor.half() if half and is_halved(tensor) else tensor for key, tensor in tensors.items()}
        (partial / WEIGHTS).write_bytes(save(stored))
        (partial / CARD).write_text(card or f"# {identity}\n", encoding="utf-8")
        if onnx:
            export_onnx(model, partial / GRAPH, half=half)
        if os.name == "posix":  # temporary folders are private
            mask = os.umask(0)
            os.umask(mask)
            partial.chmod(0o777 & ~mask)
        _put(partial, folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return identity


def _put(partial: Path, folder: Path) -> None:
    """Move a complete folder to its place; a model that is there makes way."""
    if not folder.exists():
        partial.rename(folder)
        return
    if not (folder / CONFIG).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise DeepDXFError(f"cannot write {folder}: there is something else than a model; name another folder")
    old = partial.with_suffix(".old")
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> DeepDXFError:
    return DeepDXFError(f"cannot write {folder}: {error.strerror or error}; is its parent folder missing or read-only?")


def load_model(folder: str | Path) -> DualEncoder:
    """The model in a folder, on the CPU, ready to serve (`eval`).

    Raises:
        EncoderError: there is no model, or its parts do not fit each other.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from deepdxf.encoders.dual import DualEncoder

    manifest = read_manifest(folder)
    model = DualEncoder(manifest.encoder)
    path = Path(folder) / WEIGHTS
    try:
        given = load_file(path)
        wanted = _state(model)
        if wrong := sorted(given.keys() ^ wanted.keys()):
            raise ValueError(f"{len(wrong)} tensors too many or missing, such as {wrong[0]}")
        for key, tensor in wanted.items():
            if tensor.shape != given[key].shape:
                raise ValueError(f"{key} has the shape {tuple(given[key].shape)} instead of {tuple(tensor.shape)}")
            tensor.copy_(given[key])
    except (OSError, ValueError, SafetensorError) as error:
        raise EncoderError(
            f"{folder}: {WEIGHTS} is missing or damaged ({_line(error)}); copy the model again"
        ) from None
    return model.eval()


def _state(model: DualEncoder) -> dict[str, Any]:
    """Parameters and buffers by name, each once: what two encoders share has the name that it has in the first."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for key, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            found[key] = tensor
        seen.add(tensor.data_ptr())
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
