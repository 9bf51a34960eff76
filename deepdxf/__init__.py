"""DeepDXF: find, compare and clean up CAD drawings by the vectors in them.

    import deepdxf
    drawing = deepdxf.read("bracket.dxf")

Names are loaded when they are first used, so that ``import deepdxf`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepdxf.archive import Archive as Archive
    from deepdxf.drawing import Drawing as Drawing
    from deepdxf.drawing import EntityClass as EntityClass
    from deepdxf.encoder import Switches as Switches
    from deepdxf.encoder import load as load_encoder
    from deepdxf.encoder import similarity as similarity
    from deepdxf.errors import DeepDXFError as DeepDXFError
    from deepdxf.errors import ReadError as ReadError
    from deepdxf.reader import read as read
    from deepdxf.table import Limits as Limits

__version__ = "0.1.0"

# public name -> (module, name there)
_PUBLIC = {
    "Archive": ("archive", "Archive"),
    "DeepDXFError": ("errors", "DeepDXFError"),
    "Drawing": ("drawing", "Drawing"),
    "EntityClass": ("drawing", "EntityClass"),
    "Limits": ("table", "Limits"),
    "ReadError": ("errors", "ReadError"),
    "Switches": ("encoder", "Switches"),
    "load_encoder": ("encoder", "load"),
    "read": ("reader", "read"),
    "similarity": ("encoder", "similarity"),
}

__all__ = [
    "Archive",
    "DeepDXFError",
    "Drawing",
    "EntityClass",
    "Limits",
    "ReadError",
    "Switches",
    "load_encoder",
    "read",
    "similarity",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'deepdxf' has no attribute {name!r}")
    module, there = _PUBLIC[name]
    value = getattr(importlib.import_module(f"deepdxf.{module}"), there)
    globals()[name] = value  # looked up once
    return value
