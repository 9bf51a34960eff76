"""Optimisers, schedules and averaged weights against values worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deepdxf.optim import (
    LARS,
    OptimiserConfig,
    ScheduleConfig,
    average,
    ema_decay,
    lr_share,
    optimiser_for,
    set_lr,
)


def test_warmup_then_cosine() -> None:
    config = ScheduleConfig("warmup-cosine", warmup=0.1, floor=0.01)
    shares = [lr_share(config, step, 31) for step in range(31)]  # 4 steps up, 27 down; step 17 is half way
    assert shares[:4] == [0.25, 0.5, 0.75, 1.0]
    assert shares[4] == 1.0
    assert shares[17] == pytest.approx(0.01 + 0.99 / 2)
    assert shares[30] == pytest.approx(0.01)
    assert shares[4:] == sorted(shares[4:], reverse=True)


def test_ramp_then_cosine_back_to_where_it_began() -> None:
    config = ScheduleConfig("ramp-cosine", ramp_steps=2000, floor=0.1)
    lr = [1e-4 * lr_share(config, step, 10_001) for step in range(10_001)]
    assert lr[0] == pytest.approx(1e-5)
    assert lr[1000] == pytest.approx(5.5e-5)
    assert lr[2000] == pytest.approx(1e-4)
    assert lr[6000] == pytest.approx(5.5e-5)
    assert lr[10_000] == pytest.approx(1e-5)


def test_constant() -> None:
    assert {lr_share(ScheduleConfig("constant"), step, 10) for step in range(10)} == {1.0}


@pytest.mark.parametrize("name", ["warmup-cosine", "ramp-cosine"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_shortest_runs_have_a_rate(name: str, steps: int) -> None:
    config = ScheduleConfig(name)  # type: ignore[arg-type]
    assert all(0 < lr_share(config, step, steps) <= 1 for step in range(steps))


def test_lars_step_worked_by_hand() -> None:
    w, b = nn.Parameter(torch.tensor([[3.0, 4.0]])), nn.Parameter(torch.tensor([1.0]))
    optimiser = LARS([{"params": [w], "weight_decay": 0.5}, {"params": [b]}], lr=2.0, momentum=0.9, trust=0.1)
    w.grad, b.grad = torch.tensor([[-1.5, 4.0]]), torch.tensor([0.25])
    optimiser.step()
    # d = g + w/2 = (0, 6); r = 0.1 · 5 / 6 = 1/12; w ← w − 2 · d/12 = (3, 3); b moves by the plain rate
    torch.testing.assert_close(w.detach(), torch.tensor([[3.0, 3.0]]))
    torch.testing.assert_close(b.detach(), torch.tensor([0.5]))
    w.grad, b.grad = torch.tensor([[-1.5, -1.5]]), torch.tensor([0.0])
    optimiser.step()
    # d = 0, so only the momentum: v = 0.9 · (0, 1) and 0.9 · 0.5
    torch.testing.assert_close(w.detach(), torch.tensor([[3.0, 2.1]]))
    torch.testing.assert_close(b.detach(), torch.tensor([0.05]))


def test_lars_takes_the_plain_rate_where_weights_are_zero() -> None:
    w = nn.Parameter(torch.zeros(1, 2))
    optimiser = LARS([w], lr=0.5)
    w.grad = torch.tensor([[1.0, -1.0]])
    optimiser.step()
    torch.testing.assert_close(w.detach(), torch.tensor([[-0.5, 0.5]]))


@pytest.mark.parametrize("name, decay", [("adamw", 0.02), ("sgd", 1e-4), ("lars", 1e-6)])
def test_branches_have_rates_and_only_matrices_decay(name: str, decay: float) -> None:
    branches = {
        "sequence": list(nn.Linear(2, 2).parameters()),
        "geometry": [*nn.Linear(2, 2).parameters(), *nn.LayerNorm(2).parameters()],
        "other": [nn.Parameter(torch.tensor(0.1))],
    }
    config = OptimiserConfig(name, lr=1.0, lr_geometry=3.0)  # type: ignore[arg-type]
    optimiser = optimiser_for(branches, config, 64)
    of = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    assert set(of) == {id(p) for parameters in branches.values() for p in parameters}
    for branch, parameters in branches.items():
        for parameter in parameters:
            assert of[id(parameter)]["highest_lr"] == (3.0 if branch == "geometry" else 1.0)
            assert of[id(parameter)]["weight_decay"] == (decay if parameter.ndim > 1 else 0.0)
    set_lr(optimiser, 0.5)
    assert {group["lr"] for group in optimiser.param_groups} == {0.5, 1.5}


def test_usual_rate_of_lars_follows_the_batch() -> None:
    optimiser = optimiser_for({"m": nn.Linear(1, 1).parameters()}, OptimiserConfig("lars"), 512)
    assert optimiser.param_groups[0]["highest_lr"] == pytest.approx(0.6)


def test_average_of_weights() -> None:
    a, b = nn.Linear(1, 1), nn.Linear(1, 1)
    with torch.no_grad():
        for module, value in ((a, 1.0), (b, 5.0)):
            for p in module.parameters():
                p.fill_(value)
    average(a, b, 0.75)
    assert a.weight.item() == pytest.approx(2.0)
    config = OptimiserConfig(ema_start=0.9, ema_end=0.99)
    assert ema_decay(config, 0, 1001) == pytest.approx(0.1)  # the first weights are soon forgotten
    assert ema_decay(config, 500, 1001) == pytest.approx(0.945)
    assert ema_decay(config, 1000, 1001) == pytest.approx(0.99)


def test_a_model_averaged_often_enough_is_the_model() -> None:
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    for step in range(300):
        average(a, b, ema_decay(OptimiserConfig(), step, 300))
    torch.testing.assert_close(a.weight, b.weight, atol=1e-2, rtol=0)
