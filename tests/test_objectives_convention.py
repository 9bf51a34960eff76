"""What holds for every objective: the call convention, degenerate batches, half precision, state."""

# ruff: noqa: E402 (modules that need torch come after the check for it)
from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from deepdxf import objectives
from deepdxf.errors import ObjectiveError
from tests.objective_cases import COUNT, SMALL, WIDTH, batch, build, call

NAMES = list(objectives.OBJECTIVES)


def gradients(given: dict) -> list:
    return [
        t.grad
        for value in given.values()
        for t in (value if isinstance(value, list) else [value])
        if isinstance(t, torch.Tensor) and t.requires_grad and t.grad is not None
    ]


def test_listing_imports_no_torch() -> None:
    code = "import sys, json\nfrom deepdxf.objectives import OBJECTIVES, find\nfind('nt-xent')\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_file_is_in_the_registry() -> None:
    here = Path(objectives.__file__).parent
    files = {path.stem for path in here.glob("*.py")} - {"__init__", "parts"}
    assert files == {entry.path.partition(":")[0] for entry in objectives.OBJECTIVES.values()}


@pytest.mark.parametrize("name", NAMES)
def test_entry(name: str) -> None:
    entry, target = objectives.find(name), objectives.load(name)
    assert entry.name == name and entry.paper
    assert entry.level in ("vector", "node", "parameter") and entry.status in ("core", "zoo")
    assert set(entry.needs) <= set(objectives.NEEDS)
    assert inspect.getdoc(target) and inspect.getdoc(sys.modules[target.__module__])
    wanted = set(objectives.inputs(build(name)))
    asked_for = {
        "momentum copy": {"momentum_a", "momentum_b"}, "memory bank": {"ids"}, "labels": {"labels"},
        "teacher": {"teacher"},
        "decoder": {"class_logits", "predicted", "replaced_logits"},
    }  # fmt: skip
    for need, names in asked_for.items():
        assert (need in entry.needs) == bool(wanted & names)
    assert ("momentum copy" in entry.needs) == (entry.momentum is not None)
    assert set(entry.settings) <= set(inspect.signature(target).parameters)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_counts_and_optional_ones_may_be_left_out(name: str) -> None:
    loss = build(name)
    for key in objectives.inputs(loss):
        parameter = inspect.signature(getattr(loss, "forward", loss)).parameters[key]
        assert (parameter.default is inspect.Parameter.empty) == (key not in objectives.OPTIONAL), key


@pytest.mark.parametrize("name", NAMES)
def test_scalar_of_float32_at_least_0_with_gradients(name: str) -> None:
    loss, given = build(name), batch(8)
    for _ in range(3):  # queues and banks are empty at first
        value = call(loss, given)
    assert value.shape == () and value.dtype == torch.float32 and value.item() > 0
    value.backward()
    found = gradients(given)
    assert found and all(torch.isfinite(g).all() for g in found) and any(g.abs().sum() > 0 for g in found)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("b", [0, 1, 2])
def test_small_batches_give_numbers(name: str, b: int) -> None:
    loss, given = build(name), batch(b)
    for _ in range(2):
        value = call(loss, given)
        assert torch.isfinite(value)
    if value.requires_grad:
        value.backward()
        assert all(torch.isfinite(g).all() for g in gradients(given))


@pytest.mark.parametrize("name", NAMES)
def test_all_drawings_the_same_or_zero_vectors_give_numbers(name: str) -> None:
    given = batch(6)
    given["same"] = torch.ones(6, 6, dtype=torch.bool)
    given["groups"] = torch.zeros(6, dtype=torch.int64)
    loss = build(name)
    for zeros in (False, True):
        if zeros:
            given |= {
                k: torch.zeros_like(v).requires_grad_() for k, v in given.items() if k in ("z_a", "z_b", "nodes_a")
            }
        for _ in range(2):
            value = call(loss, given)
            assert torch.isfinite(value)
        value.backward()
        assert all(torch.isfinite(g).all() for g in gradients(given))


@pytest.mark.parametrize("name", NAMES)
def test_autocast_and_half_inputs_change_nothing_inside(name: str) -> None:
    """The loss of rounded inputs is the same whether they come as half precision under autocast or as float32."""

    def halved(value: object, dtype: torch.dtype) -> object:
        if isinstance(value, list):
            return [halved(v, dtype) for v in value]
        floating = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.detach().to(torch.bfloat16).to(dtype) if floating else value

    plain, auto = build(name), build(name)
    for _ in range(2):
        expected = call(plain, {k: halved(v, torch.float32) for k, v in batch(8).items()})
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = call(auto, {k: halved(v, torch.bfloat16) for k, v in batch(8).items()})
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_scale_of_projections_does_not_count(name: str) -> None:
    """Losses of vectors normalise them, but for those that say otherwise."""
    if name in ("variance", "vicreg", "mvgrl", "cpc") or objectives.find(name).level == "parameter":
        return
    if "predictor" in objectives.find(name).needs:
        return
    one, many = build(name), build(name)
    for _ in range(2):
        given = batch(6)
        expected = call(one, given).item()
        scaled = {
            k: v * 7 if k in ("z_a", "z_b", "momentum_a", "momentum_b", "nodes_a", "nodes_b") else v
            for k, v in given.items()
        }
        scaled["more"] = [z * 3 for z in given["more"]]
        assert call(many, scaled).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_state_moves_in_training_only_and_comes_back(name: str) -> None:
    loss = build(name)
    if not isinstance(loss, torch.nn.Module):
        return
    call(loss, batch(8, 1))
    loss.eval()
    before = {k: v.clone() for k, v in loss.state_dict().items()}
    first = call(loss, batch(8, 2)).item()
    assert all(torch.equal(v, before[k]) for k, v in loss.state_dict().items())
    other = build(name)
    other.load_state_dict(loss.state_dict())
    other.eval()
    assert call(other, batch(8, 2)).item() == first
    if objectives.find(name).needs and {"queue", "memory bank"} & set(objectives.find(name).needs):
        loss.train()
        call(loss, batch(8, 2))
        assert not all(torch.equal(v, before[k]) for k, v in loss.state_dict().items())


# Where the level is not the loss of equal vectors: right angles to what a predictor says, all prototypes alike, the best
# constant answer to questions with a learned or estimated threshold.
OTHER_LEVELS = {"byol", "simsiam", "swav", "dino", "siglip", "instdisc", "cmc", "albef"}
EQUAL = [n for n, e in objectives.OBJECTIVES.items() if e.chance and e.level == "vector" and n not in OTHER_LEVELS]


@pytest.mark.parametrize("name", EQUAL)
def test_chance_level_is_the_loss_of_equal_vectors(name: str) -> None:
    b, one = 8, torch.randn(WIDTH)
    given = batch(b)
    for key in ("z_a", "z_b", "momentum_a", "momentum_b"):
        given[key] = one.expand(b, -1).clone()
    given |= {
        "more": (),
        "same": None,
        "groups": None,
        "labels": torch.zeros(b, dtype=torch.int64),
        "teacher": torch.ones(b, 3),
    }
    loss = build(name)
    for _ in range(3):  # until queues are full
        value = call(loss, given)
    assert value.item() == pytest.approx(objectives.chance(name, b, count=COUNT, **SMALL.get(name, {})), rel=1e-4)


def test_unknown_names_and_settings_are_one_line() -> None:
    with pytest.raises(ObjectiveError, match="no objective 'nt_xnet'; there are: nt-xent, "):
        objectives.build("nt_xnet", width=8)
    with pytest.raises(ObjectiveError, match="nt-xent has no setting 'tau'; it has: temperature"):
        objectives.build("nt-xent", width=8, tau=1)


def test_sizes_are_cut_to_the_data() -> None:
    assert len(objectives.build("margin-queue", width=4, count=400).keys_a.vectors) == 100
    assert len(objectives.build("margin-queue", width=4, count=400, length=7).keys_a.vectors) == 7


def test_settings_reach_the_function() -> None:
    given = batch(6)
    assert call(build("nt-xent", temperature=0.5), given) != call(build("nt-xent"), given)
    assert json.dumps(dict(objectives.find("nt-xent").settings)) == "{}"
