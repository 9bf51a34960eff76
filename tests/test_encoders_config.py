"""Settings of the encoders: sizes, validation, and that every field does something."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
import torch

from deepdxf.encoders.config import SIZES, EncoderConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.errors import EncoderError
from tests.encoder_cases import PIXELS, batch, code, model

# field -> another value, and what must be set beside it for the field to matter
OTHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "size": ("small", {}),
    "codes": ("sequence", {}),
    "vocabulary": ("classic", {}),
    "mixer": ("set", {}),
    "width": (48, {}),
    "layers": (1, {}),
    "heads": (4, {}),
    "feedforward": (80, {}),
    "bag_width": (12, {}),
    "patch": (8, {}),
    "funnel": (16, {"mixer": "funnel", "layers": 1, "limit": 128}),
    "limit": (2048, {"mixer": "full"}),
    "frequencies": (3, {}),
    "tags": (False, {}),
    "order_dropout": (0.9, {}),
    "size_dropout": (0.9, {}),
    "dropout": (0.5, {}),
    "pool_queries": (2, {}),
    "graph": ("class", {}),
    "adjacency": ("overlap", {"graph": "class"}),
    "layer": ("sage", {}),
    "graph_width": (48, {}),
    "graph_layers": (1, {}),
    "block_layers": (2, {}),
    "readout": ("jk", {}),
    "codewords": (32, {}),
    "sharpness": (5.0, {}),
    "share_entities": (False, {}),
    "vector": (32, {}),
    "matching": (True, {}),
    "perspectives": (8, {"matching": True}),
    "head_within": (64, {}),
    "head_across": (256, {}),
    "sequence_weight": (0.2, {}),
    "pixels": (PIXELS, {}),
    "raster_width": (16, {"pixels": PIXELS}),
    "raster_weight": (0.6, {"pixels": PIXELS}),
    "join": ("lengths", {}),
    "whitening": (16, {}),
}
ELSEWHERE = {"blocks"}  # read before the encoders: see test_learned


def outcome(settings: dict[str, Any]) -> list[torch.Tensor]:
    """All that a model gives for a batch: served vectors, training outputs, projections, shapes of its weights."""
    encoder = model(**settings)
    data = batch(code(40), code(90, 1))
    with torch.no_grad():
        found = [encoder.embed(data)]
        encoder.train()
        torch.manual_seed(1)
        for name, encoded in encoder(data).items():
            found += [encoded.vector, *(encoder.project(encoded, f"{name}_{on}") for on in ("within", "across"))]
    return found + [torch.tensor(parameter.shape) for parameter in encoder.parameters()]


@pytest.mark.parametrize("field", [field.name for field in fields(EncoderConfig) if field.name not in ELSEWHERE])
def test_every_field_changes_something(field: str) -> None:
    value, beside = OTHERS[field]
    before, after = outcome(beside), outcome(beside | {field: value})
    assert len(before) != len(after) or any(
        a.shape != b.shape or not torch.allclose(a.float(), b.float(), atol=1e-6)
        for a, b in zip(before, after, strict=True)
    )


def test_the_same_settings_give_the_same() -> None:
    for a, b in zip(outcome({}), outcome({}), strict=True):
        torch.testing.assert_close(a, b)


def test_a_size_sets_all_dimensions_and_fields_override_them() -> None:
    config = EncoderConfig(size="base", layers=7).resolved()
    assert config.layers == 7
    assert {name: getattr(config, name) for name in SIZES["base"]} == SIZES["base"] | {"layers": 7}
    assert config.resolved() == config


def test_json() -> None:
    config = EncoderConfig(size="tiny", mixer="set", dropout=0).resolved()
    assert EncoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 3}, "unknown encoder setting 'widht'; did you mean 'width'?"),
        ({"zzz": 3}, "unknown encoder setting 'zzz'"),
        ({"width": "64"}, "width must be a whole number, not '64'"),
        ({"width": True}, "width must be a whole number, not True"),
        ({"tags": 1}, "tags must be true or false, not 1"),
        ({"dropout": "a"}, "dropout must be a number, not 'a'"),
        ({"dropout": 1.5}, "dropout must be at least 0 and below 1, not 1.5"),
        ({"sequence_weight": -1.0}, "sequence_weight must be from 0 to 1, not -1"),
        ({"mixer": "pach"}, "mixer cannot be 'pach'; did you mean 'patch'?; choices: set, patch, full, funnel"),
        ({"size": []}, "size cannot be []; choices: tiny, small, base"),
        ({"patch": 0}, "patch must be at least 1, not 0"),
        ({"layers": -1}, "layers must be at least 1, not -1"),
        ({"width": 100, "heads": 3}, "width 100 must be an even multiple of heads 3"),
        ({"codewords": 7}, "codewords must be even, not 7"),
        ({"raster_weight": 1.5}, "raster_weight must be from 0 to 1, not 1.5"),
        ({"pixels": -1}, "pixels must be at least 0, not -1"),
    ],
)
def test_wrong_settings_are_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(EncoderError) as error:
        EncoderConfig.from_dict(values)
    assert str(error.value) == message


def test_base_fits_in_20_megabytes() -> None:
    encoder = DualEncoder(EncoderConfig(size="base"))
    served = sum(p.numel() for name, p in encoder.named_parameters() if not name.startswith(("heads", "matching")))
    assert 4 * served <= 19e6
