"""Collapse measures against slow forms, and when the watch speaks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepdxf.watch import Watch, alignment, effective_rank, loss_over_chance, std_sqrt_d, uniformity

RNG = np.random.default_rng(0)


def unit(z: np.ndarray) -> np.ndarray:
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def test_measures_are_their_formulas() -> None:
    a, b = RNG.normal(size=(9, 5)), RNG.normal(size=(9, 5)) * 3
    x, y = unit(a), unit(b)
    assert alignment(a, b) == pytest.approx(np.mean([((p - q) ** 2).sum() for p, q in zip(x, y, strict=True)]))
    pairs = [((x[i] - x[j]) ** 2).sum() for i in range(9) for j in range(9) if i != j]
    assert uniformity(a) == pytest.approx(math.log(np.mean(np.exp(-2 * np.array(pairs)))))
    deviations = [math.sqrt(np.mean((c - c.mean()) ** 2)) for c in x.T]
    assert std_sqrt_d(a) == pytest.approx(np.mean(deviations) * math.sqrt(5))
    assert loss_over_chance(2.0, 4.0) == 0.5
    assert math.isnan(loss_over_chance(2.0, None))


def test_effective_rank_counts_dimensions_in_use() -> None:
    assert effective_rank(np.eye(8)) == pytest.approx(8.0)
    assert effective_rank(np.outer(RNG.normal(size=20), RNG.normal(size=6))) == pytest.approx(1.0, abs=1e-6)
    assert effective_rank(np.zeros((4, 4))) == 0.0
    spread = RNG.normal(size=(500, 16))
    assert 15 < effective_rank(spread) <= 16
    assert effective_rank(spread * 1e4) == pytest.approx(effective_rank(spread))


def test_limits() -> None:
    even = RNG.normal(size=(4000, 32))
    assert std_sqrt_d(even) == pytest.approx(1.0, abs=0.02)
    assert -4.0 < uniformity(even) < -3.5
    one_point = np.ones((50, 32))
    assert std_sqrt_d(one_point) == pytest.approx(0.0, abs=1e-9)
    assert uniformity(one_point) == pytest.approx(0.0, abs=1e-9)
    assert alignment(even, even) == 0.0
    assert alignment(even, -even) == pytest.approx(4.0)
    assert math.isnan(std_sqrt_d(even[:1])) and math.isnan(uniformity(even[:1]))


def look(watch: Watch, z: np.ndarray, loss: float = 1.0, step: int = 0) -> list[str]:
    return watch.update(step, {"within": loss}, {"geometry": (z, z)})


def test_watch_speaks_once_of_a_lasting_collapse() -> None:
    watch, point = Watch(patience=3), np.ones((8, 4)) + 1e-4 * RNG.normal(size=(8, 4))
    spread = RNG.normal(size=(8, 4))
    for _ in range(2):
        assert look(watch, point) == []
    assert look(watch, spread) == []  # it was only a moment
    assert not watch.collapsed
    said = [line for step in range(10) for line in look(watch, point, step=step)]
    assert len(said) == 1 and said[0].startswith("step 2: embeddings of geometry collapse")
    assert watch.collapsed


def test_watch_sees_a_line_of_vectors() -> None:
    """Two opposite points have a large std, and still tell nothing apart."""
    watch = Watch(patience=1)
    line = np.outer(RNG.choice([-1.0, 1.0], 32), RNG.normal(size=16))
    assert std_sqrt_d(line) > 0.5
    assert look(watch, line) and watch.collapsed


def test_watch_lets_healthy_embeddings_pass() -> None:
    watch = Watch(chance={"within": 2.0}, patience=1, slow=3)
    for step in range(20):
        assert look(watch, RNG.normal(size=(8, 4)), loss=1.0, step=step) == []
    assert not watch.collapsed
    assert watch.measures["loss_over_chance/within"] == 0.5
    assert {name.split("/")[0] for name in watch.measures} == {
        "loss_over_chance", "std_sqrt_d", "effective_rank", "alignment", "uniformity",
    }  # fmt: skip


def test_watch_warns_of_a_loss_at_chance_without_stopping() -> None:
    watch = Watch(chance={"within": 2.0}, slow=3)
    said = [line for step in range(9) for line in look(watch, RNG.normal(size=(8, 4)), loss=1.99, step=step)]
    assert len(said) == 1 and "chance level" in said[0]
    assert not watch.collapsed


@pytest.mark.parametrize("loss, z", [(math.nan, np.eye(4)), (1.0, np.full((4, 4), np.inf))])
def test_what_is_not_a_number_is_a_collapse(loss: float, z: np.ndarray) -> None:
    watch = Watch()
    assert len(look(watch, z, loss=loss)) == 1
    assert watch.collapsed


def test_small_batches_are_passed_over_and_state_comes_back() -> None:
    watch = Watch(patience=3)
    for _ in range(5):
        assert look(watch, np.ones((3, 4))) == []
    look(watch, np.ones((8, 4)))
    look(watch, np.ones((8, 4)))
    other = Watch(patience=3)
    other.load_state_dict(watch.state_dict())
    assert look(other, np.ones((8, 4)))


def test_tensors_do_as_well() -> None:
    torch = pytest.importorskip("torch")
    z = torch.randn(8, 4, requires_grad=True)
    for measure in (std_sqrt_d, effective_rank, uniformity):
        assert measure(z) == pytest.approx(measure(z.detach().numpy()))
        assert measure(z.bfloat16()) == pytest.approx(measure(z), rel=0.05)
