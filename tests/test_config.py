"""Settings of a run: files, overrides, and messages about what is wrong in them."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest
import yaml

from deepdxf import config
from deepdxf.errors import DeepDXFError

NAMES = ["base", "deepdxf", "finetune", "gf", "joint", "multimodal", "tiny"]


def test_names() -> None:
    assert config.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shipped_configurations_load_and_come_back_from_what_is_printed(name: str, tmp_path: Path) -> None:
    loaded = config.load(name)
    printed = tmp_path / "config.yaml"
    printed.write_text(config.to_yaml(loaded), encoding="utf-8")
    assert config.load(printed) == loaded
    assert config.from_dict(yaml.safe_load(printed.read_text(encoding="utf-8"))) == loaded  # any YAML reader agrees


@pytest.mark.parametrize("name", NAMES)
def test_every_key_has_a_comment(name: str) -> None:
    text = (resources.files("deepdxf") / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    before_the_grid = text.partition("\ngrid:")[0]
    assert not [line for line in before_the_grid.splitlines() if line.startswith("  ") and "  # " not in line]


def test_overrides() -> None:
    loaded = config.load(
        "tiny",
        [
            "optimiser.lr=1e-3",
            "data.drawings=[a, b]",
            "terms.across.weight=2",
            "terms.more={objective: siglip}",
            "tracking.wandb=off",
            "temperature=null",
        ],
    )
    assert loaded.optimiser.lr == 1e-3
    assert loaded.data.drawings == ("a", "b")
    assert loaded.terms["across"].weight == 2.0 and loaded.terms["across"].objective == "cross-code"
    assert loaded.terms["more"].codes == "across"
    assert loaded.tracking.wandb == "off"
    assert loaded.temperature is None


@pytest.mark.parametrize(
    "override, message",
    [
        ("optimiser.lrr=1", "unknown key optimiser.lrr; did you mean optimiser.lr?"),
        ("terms.across.wieght=1", "unknown key terms.across.wieght; did you mean terms.across.weight?"),
        ("vews.crop=1", "unknown key vews; did you mean views?"),
        ("optimiser.lr=fast", "optimiser.lr: 'fast' expected float | null, got str"),
        ("batch.drawings=8.5", "batch.drawings: 8.5 expected int, got float"),
        ("batch.drawings=0", "batch.drawings: 0 expected int >= 1"),
        ("data.test=1.5", "data.test: 1.5 expected float < 1.0"),
        ("terms.across.weight=x", "terms.across.weight: 'x' expected float, got str"),
        (
            "schedule.name=warmup-cosin",
            "schedule.name: 'warmup-cosin' is none of the choices; did you mean warmup-cosine?",
        ),
        ("encoder.mixer=patches", "encoder.mixer: 'patches' is none of the choices; did you mean patch?"),
        ("views.views=3", "views: views must be 2 or 4, not 3"),
        ("encoder.dropout=1", "encoder: dropout must be at least 0 and below 1, not 1"),
        ("grid={optimiser.l: [1]}", "unknown key optimiser.l; did you mean optimiser.lr?"),
        ("seed.x=1", "seed: {'x': 1} expected int, got object"),
        ("optimiser.lr", "'optimiser.lr' is not of the form key=value"),
        ("data.drawings=[a", "data.drawings=[a, line 1: no YAML"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(override: str, message: str) -> None:
    with pytest.raises(DeepDXFError, match=re.escape(message)) as error:
        config.load("tiny", [override])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("- a", "not of the form key: value"),
        ("seed: 1\nseed: 2", r"line 2: no YAML \(key 'seed' stands there twice\)"),
        ("seed: [", "no YAML"),
        ("seed: 1\nsede: 2", "unknown key sede; did you mean seed?"),
    ],
)
def test_broken_files(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DeepDXFError, match=message):
        config.load(path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DeepDXFError, match=r"no configuration 'tny': name a .yaml file, or one of base"):
        config.load("tny")
    with pytest.raises(DeepDXFError, match=r"no.yaml: No such file"):
        config.load(tmp_path / "no.yaml")


def test_points_of_a_grid() -> None:
    loaded = config.load("joint")
    varied = config.varied(loaded, {"optimiser.lr": 1e-4, "temperature": 0.2})
    assert (varied.optimiser.lr, varied.temperature, varied.grid) == (1e-4, 0.2, loaded.grid)
    assert len(config.points(loaded)) == 8
    assert config.points(config.load("tiny")) == [{}]
