"""Which module may import which, what an import loads, and what the package offers.

Arrows only downward: every module of the package stands in one of the layers below and imports modules of lower layers
only, wherever in the file the import stands. Reading and encoding therefore know nothing of archives, reports or the
command line.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import deepdxf

PACKAGE = Path(deepdxf.__file__).parent

# From the top to the bottom. Modules of one layer do not know each other.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("cli_experiment",),
    ("cli_archive", "cli_compare", "cli_plot", "cli_serve", "cli_split", "cli_train"),
    ("server",),
    ("duplicates", "follow", "parts", "revisions", "transfer"),
    ("decisions",),
    ("experiment",),
    ("finetune", "experiment_data"),
    ("train",),
    ("learner", "held_out", "background", "probe"),
    ("masking", "loader", "config"),
    ("gradients",),
    ("optim", "processes", "tracking"),
    ("plot_page",),
    ("plot",),
    ("experiment_tables",),
    ("experiment_sets",),
    ("embed", "archive", "cad_json", "augment", "store", "overlay", "console"),
    ("compare",),
    ("match", "verify", "fusion", "inventory"),
    ("align", "calibration", "learned"),
    ("checkpoint",),
    ("encoders",),
    ("collate",),
    ("graph", "descriptor", "peers", "summary", "report", "synth", "evaluate", "balance"),
    ("clean",),
    ("sequence", "raster", "encoder", "render", "reader", "synth_families", "groups", "batch", "where", "fingerprint"),
    ("turn", "metadata", "document", "split"),
    ("marks",),
    ("reader_cadkit", "reader_ezdxf", "dxfwrite", "vocabulary", "xrefs"),
    ("reader_codes", "reader_bytes"),
    ("table",),
    ("geometry", "text", "files", "converter", "watch", "sampler", "objectives", "projection", "whitening"),
    ("drawing",),
    ("errors", "__init__"),
)
# Libraries that know files of CAD programs, and the modules that may use them: the readers, the few curves that the
# careful reader's library computes for both (`table`), and writing what a test of the readers needs re-saved (`synth`).
CAD = {"cadkit": {"reader", "reader_cadkit"}, "ezdxf": {"reader", "reader_bytes", "reader_ezdxf", "table", "synth"}}
# Slow to load, or not in every install: none of them when the package is imported, or asked for its version.
HEAVY = {
    "numpy",
    "torch",
    "lancedb",
    "pyarrow",
    "ezdxf",
    "cadkit",
    "scipy",
    "shapely",
    "rich",
    "h5py",
    "onnxruntime",
    "fastapi",
    "matplotlib",
}


# Modules by name; a subpackage is one module, whose parts may import each other.
FILES = {path.stem: [path] for path in sorted(PACKAGE.glob("*.py"))}
FILES |= {path.parent.name: sorted(path.parent.glob("*.py")) for path in sorted(PACKAGE.glob("*/__init__.py"))}
MODULES = sorted(FILES)
LEVEL = {module: level for level, layer in enumerate(LAYERS) for module in layer}


@cache
def imports(path: Path) -> dict[str, int]:
    """What a file of the package imports at run time, in full, with the line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name: node.lineno for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = ".".join(filter(None, ("deepdxf" if node.level else "", node.module)))
            found |= {f"{source}.{alias.name}": node.lineno for alias in node.names}
    return found


def libraries(module: str) -> set[str]:
    """First names of what a module imports, libraries and the package itself."""
    return {name.split(".")[0] for path in FILES[module] for name in imports(path)}


def own(module: str) -> dict[str, str]:
    """The modules of the package that a module imports, other than itself, with the place."""
    found = {}
    for path in FILES[module]:
        for name, line in imports(path).items():
            first, _, rest = name.partition(".")
            if first == "deepdxf":
                inner = rest.partition(".")[0]
                found[inner if inner in FILES else "__init__"] = f"{path.relative_to(PACKAGE)}:{line}"
    return {name: place for name, place in found.items() if name != module}


def test_every_module_has_a_layer() -> None:
    assert sorted(LEVEL) == MODULES
    assert len(LEVEL) == sum(map(len, LAYERS))


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_downward(module: str) -> None:
    assert not [f"{place} imports {other}" for other, place in own(module).items() if LEVEL[other] <= LEVEL[module]]


@pytest.mark.parametrize("library", sorted(CAD))
def test_who_knows_a_cad_library(library: str) -> None:
    knowing = {module for module in MODULES if library in libraries(module)}
    assert knowing <= CAD[library]


# The learning layer: what may import torch. `collate` and `checkpoint` do so in functions, for models are served without.
LEARNING = {
    "background", "balance", "checkpoint", "collate", "config", "encoders", "experiment", "experiment_data", "finetune",
    "gradients", "held_out", "learner", "loader", "masking", "objectives", "optim", "probe", "processes", "tracking",
    "train",
}  # fmt: skip
SERVING = {
    "checkpoint",
    "collate",
    "encoders",
    "objectives",
}  # of them, what others may import: their heads need no torch


def test_only_the_learning_layer_knows_torch() -> None:
    assert {module for module in MODULES if "torch" in libraries(module)} <= LEARNING


def test_learning_is_imported_by_nothing_but_the_commands_about_it() -> None:
    importers = {module for module in MODULES if (LEARNING - SERVING) & set(own(module))}
    assert importers <= LEARNING | {"cli_experiment", "cli_plot", "cli_train"}


@pytest.mark.parametrize(
    "module", ["learned", "checkpoint", "collate", "encoders.config", "objectives", "store", "augment"]
)
def test_what_serves_or_prepares_loads_no_torch(module: str) -> None:
    code = f"import sys, deepdxf.{module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("statement", ["import deepdxf", "import deepdxf.cli as c; c.parser()", "VERSION"])
def test_start_is_light(statement: str) -> None:
    if statement == "VERSION":
        statement = "import deepdxf.cli as c\ntry: c.main(['--version'])\nexcept SystemExit: pass"
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def test_reading_and_filters_load_no_database() -> None:
    code = (
        "import sys, deepdxf.reader, deepdxf.encoder, deepdxf.where, deepdxf.archive, deepdxf.descriptor\n"
        "print({'lancedb', 'pyarrow', 'scipy', 'shapely', 'rich', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "set()"


def test_public_names() -> None:
    assert sorted(deepdxf._PUBLIC) == deepdxf.__all__
    for name, (module, there) in deepdxf._PUBLIC.items():
        assert getattr(deepdxf, name) is getattr(importlib.import_module(f"deepdxf.{module}"), there)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        deepdxf.nothing_like_it  # noqa: B018
    assert not hasattr(deepdxf, "nothing_like_it")


def test_public_names_are_known_to_type_checkers() -> None:
    """The names under TYPE_CHECKING, which editors complete, are those that load."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    stated = {
        alias.asname: (str(node.module).removeprefix("deepdxf."), alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert stated == deepdxf._PUBLIC
