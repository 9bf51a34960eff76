"""Balancing strategies: which way each one's weights go, totals, state."""

# ruff: noqa: E402 (modules that need torch come after the check for it)
from __future__ import annotations

import copy
import inspect
import math

import pytest

torch = pytest.importorskip("torch")

from deepdxf import balance
from deepdxf.errors import ObjectiveError

NAMES = list(balance.BALANCING)


def build(name: str, **settings: object) -> balance.Fixed:
    if name == "uncertainty":
        settings.setdefault("names", ("a", "b"))
    if name == "phase-in":
        settings.setdefault("late", ("b",))
    return balance.build(name, **settings)


def losses(a: float, b: float) -> dict[str, torch.Tensor]:
    return {"a": torch.tensor(a, requires_grad=True), "b": torch.tensor(b, requires_grad=True)}


def weights(
    balancer: balance.Fixed,
    a: float,
    b: float,
    step: int = 0,
    steps: int = 100,
    norms: tuple[float, float] | None = None,
) -> dict[str, float]:
    return balancer.weights({"a": a, "b": b}, norms and {"a": norms[0], "b": norms[1]}, step, steps)


def test_fixed_takes_the_users_weights_and_nothing_else() -> None:
    balancer = build("fixed", weights={"b": 3.0}, chance={"a": 5.0})
    assert weights(balancer, 1.0, 9.0, step=77) == {"a": 1.0, "b": 3.0}
    assert balancer.combine(losses(1.0, 9.0), 0, 100).item() == 28.0


def test_chance_makes_losses_at_chance_equal() -> None:
    levels = {"a": math.log(3), "b": math.log(4095)}
    balancer = build("chance", chance=levels, weights={"b": 1.5})
    total = balancer.combine(losses(levels["a"], levels["b"]), 0, 100)
    assert total.item() == pytest.approx(1.0 + 1.5)


def test_uncertainty_learns_to_weigh_a_noisy_loss_down() -> None:
    balancer = build("uncertainty", weights={"a": 1.0, "b": 1.0})
    optimiser = torch.optim.SGD(balancer.parameters(), 0.1)
    for step in range(500):
        optimiser.zero_grad()
        balancer.combine({"a": torch.tensor(0.5), "b": torch.tensor(4.0)}, step, 500).backward()
        optimiser.step()
    s = {name: value.item() for name, value in balancer.log_variance.items()}
    assert s["a"] == pytest.approx(math.log(0.5), abs=0.02)  # optimum: e^s = L
    assert s["b"] == pytest.approx(math.log(4.0), abs=0.02)
    found = weights(balancer, 0.5, 4.0)
    assert found["a"] > found["b"]


def test_uncertainty_stays_bounded_and_no_total_is_negative() -> None:
    balancer = build("uncertainty", chance={"a": 5.0, "b": 5.0})
    optimiser = torch.optim.SGD(balancer.parameters(), 0.5)
    for step in range(200):
        optimiser.zero_grad()
        total = balancer.combine({"a": torch.tensor(1e-6), "b": torch.tensor(1e4)}, step, 200)
        assert total >= 0
        total.backward()
        optimiser.step()
    found = weights(balancer, 1.0, 1.0)
    assert [found["a"], found["b"]] == pytest.approx([math.exp(2.0) / 10, math.exp(-3.0) / 10])
    for step in range(200):  # the way back is not blocked
        optimiser.zero_grad()
        balancer.combine({"a": torch.tensor(5.0), "b": torch.tensor(5.0)}, step, 200).backward()
        optimiser.step()
    assert abs(balancer.log_variance["a"].item()) < 0.1 > abs(balancer.log_variance["b"].item())


def test_uncertainty_names_a_loss_that_it_was_not_told_of() -> None:
    with pytest.raises(ObjectiveError, match="'c'"):
        build("uncertainty").combine({"c": torch.tensor(1.0)}, 0, 1)


def test_larger_gradient_gets_less_weight() -> None:
    balancer = build("gradient-norm")
    found = weights(balancer, 1.0, 1.0)
    assert found == {"a": 1.0, "b": 1.0}  # nothing measured
    found = weights(balancer, 1.0, 1.0, norms=(1.0, 10.0))
    assert found["a"] > found["b"]
    assert found["a"] * 1.0 == pytest.approx(found["b"] * 10.0)  # they pull equally hard
    assert found["a"] + found["b"] == pytest.approx(2.0)


def test_slower_loss_gets_more_weight_at_equal_gradients() -> None:
    for name in ("gradient-norm", "loss-ratio"):
        balancer = build(name)
        for step in range(40):
            found = weights(balancer, 1.0, 0.97**step, step=step, norms=(1.0, 1.0))
        assert found["a"] > 1.0 > found["b"], name


def test_gradient_norms_are_measured_where_the_losses_meet() -> None:
    z = torch.tensor([3.0, 4.0], requires_grad=True)
    terms = {"a": (z * torch.tensor([3.0, 4.0])).sum(), "b": z.sum() * 10.0, "c": torch.tensor(1.0, requires_grad=True)}
    norms = balance.gradient_norms(terms, [z, torch.ones(2)])
    assert norms == {"a": pytest.approx(5.0), "b": pytest.approx(10 * math.sqrt(2)), "c": 0.0}
    balancer = build("gradient-norm", alpha=0.0)
    total = balancer.combine({"a": terms["a"], "b": terms["b"]}, 0, 10, [z])
    total.backward()
    found = weights(balancer, 25.0, 70.0)
    assert found["a"] * 5.0 == pytest.approx(found["b"] * 10 * math.sqrt(2))
    expected = found["a"] * torch.tensor([3.0, 4.0]) + found["b"] * 10.0
    assert torch.allclose(z.grad, expected)


def test_loss_ratio_formula() -> None:
    balancer = build("loss-ratio", windows=10)
    for step in range(20):
        found = weights(balancer, *((4.0, 4.0) if step < 10 else (2.0, 3.0)), step=step, steps=100)
        assert found == {"a": 1.0, "b": 1.0}  # two windows are not over before step 20
    found = weights(balancer, 1.0, 1.0, step=20, steps=100)
    e = [math.exp(0.5 / 2.0), math.exp(0.75 / 2.0)]
    assert [found["a"], found["b"]] == pytest.approx([2 * x / sum(e) for x in e])


def test_phase_in() -> None:
    balancer = build("phase-in", weights={"b": 1.5}, start=0.4, end=0.6)
    course = [weights(balancer, 1.0, 1.0, step=step)["b"] for step in range(100)]
    assert set(course[:41]) == {0.0} and set(course[60:]) == {1.5}
    assert course[50] == pytest.approx(0.75)
    assert course == sorted(course)
    assert weights(balancer, 1.0, 1.0, step=0)["a"] == 1.0
    with pytest.raises(ObjectiveError, match="0 ≤ start < end ≤ 1"):
        build("phase-in", start=0.5, end=0.5)


def test_a_loss_of_weight_0_takes_no_part_even_when_it_is_not_a_number() -> None:
    for name in NAMES:
        total = build(name, weights={"a": 1.0, "b": 0.0}).combine(losses(2.0, math.nan), 50, 100)
        assert torch.isfinite(total), name


@pytest.mark.parametrize("name", NAMES)
def test_one_call_for_the_loop(name: str) -> None:
    balancer = build(name, chance={"a": 2.0})
    z = torch.randn(4, 3, requires_grad=True)
    for step in range(20):
        total = balancer.combine({"a": z.square().mean(), "b": z.abs().mean().bfloat16()}, step, 20, [z])
        assert total.shape == () and total.dtype == torch.float32 and total >= 0
        total.backward()
    assert z.grad.abs().sum() > 0
    assert balancer.combine({}, 0, 20).item() == 0.0
    assert bool(list(balancer.parameters())) == (name == "uncertainty")


@pytest.mark.parametrize("name", NAMES)
def test_state_comes_back(name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    def course(balancer: balance.Fixed, steps: range) -> list[float]:
        totals = []
        for step in steps:
            z = torch.full((3,), 1.0 + step / 10, requires_grad=True)
            total = balancer.combine({"a": z.square().sum(), "b": (z / (step + 1)).sum()}, step, 60, [z])
            totals.append(total.item())
        return totals

    one = build(name)
    course(one, range(25))
    torch.save(one.state_dict(), tmp_path / "state.pt")
    rest = course(copy.deepcopy(one), range(25, 60))
    other = build(name)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert course(other, range(25, 60)) == rest


def test_unknown_names_and_settings_are_one_line() -> None:
    with pytest.raises(ObjectiveError, match="no balancing strategy 'gradnorm'; there are: fixed, "):
        balance.build("gradnorm")
    with pytest.raises(ObjectiveError, match="phase-in has no setting 'begin'; it has: weights"):
        balance.build("phase-in", begin=0.1)


def test_every_strategy_says_which_way_it_goes() -> None:
    for name, strategy in balance.BALANCING.items():
        assert inspect.getdoc(strategy) and name in (balance.__doc__ or "")
