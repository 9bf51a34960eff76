# ruff: noqa: E402 (modules that need torch come after the check for it)
"""Every objective trains a toy through one loop and raises its retrieval; without its safeguard it collapses, and the
watch says so.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn

from deepdxf import objectives
from deepdxf.objectives import byol, simsiam, swav
from deepdxf.objectives.parts import unit
from deepdxf.watch import Watch
from tests.objective_toy import DRAWINGS, Toy, run

# Sizes for 32 drawings in one batch. A bank is to change slowly from step to step: papers update each row once an epoch,
# here every row is updated in every step.
TOY: dict[str, dict[str, Any]] = {
    "instdisc": {"negatives": 64, "momentum_": 0.99},
    "cmc": {"negatives": 64, "momentum_": 0.99, "views": 3},
    "margin-queue": {"length": 64},
    "moco-v1": {"length": 64},
    "moco-v2": {"length": 64},
    "moco-v3": {"hidden": 64},
    "albef": {"length": 64, "steps": 150},
    "swav": {"prototypes": 32, "length": 64},
    "dino": {"prototypes": 64},
    "byol": {"hidden": 64},
    "simsiam": {"hidden": 64},
    "cpc": {"ahead": 3, "hidden": 32, "lasting": False},  # noise that lasts can be foretold as well
    "replaced-entity": {"lasting": False, "steps": 400},  # and shared noise shows a stranger
}
LEARNING = sorted(set(objectives.OBJECTIVES) - {"variance"})  # the variance term compares no drawings


def train(name: str, **settings: Any) -> tuple[Toy, float]:
    chosen = {**TOY.get(name, {}), **settings}
    if "momentum_" in chosen:  # of the bank; `run` has its own of the momentum copy
        bank = chosen.pop("momentum_")

        def change(loss: objectives.Loss) -> None:
            for part in loss.modules():  # type: ignore[attr-defined]
                if hasattr(part, "bank"):
                    part.bank.momentum = bank

        chosen["change"] = change
    return run(name, **chosen)


def collapsed(toy: Toy) -> bool:
    """What the watch says of the trained toy."""
    watch = Watch(patience=2)
    said = []
    for step in range(2):
        z = toy.vectors(projected=True)
        said += watch.update(step, {}, {"toy": (z, toy.vectors(projected=True))})
    assert bool(said) == watch.collapsed
    return watch.collapsed


@pytest.mark.parametrize("name", LEARNING)
def test_learns_and_does_not_collapse(name: str) -> None:
    toy, before = train(name)
    after = toy.recall()
    assert after > before + 0.15, (before, after)
    assert not collapsed(toy), toy.spread()


def identity(z: torch.Tensor) -> torch.Tensor:
    return z


def without_predictor(loss: objectives.Loss) -> None:
    loss.predictor = nn.Identity()  # type: ignore[attr-defined]


# --- safeguards taken away: negatives --------------------------------------------------------------------------------


def attraction(logits: torch.Tensor, positive: torch.Tensor, excluded: torch.Tensor | None = None) -> torch.Tensor:
    """`parts.info_nce` without what stands in its denominator."""
    return -positive


def attraction_of_views(z: torch.Tensor, excluded: torch.Tensor, temperature: float) -> torch.Tensor:
    """`nt_xent.anchor_losses` without what stands in its denominator."""
    return -torch.einsum("...vnd,...wnd->...vn", unit(z), unit(z)) / temperature


@pytest.mark.parametrize("name", ["nt-xent", "node-contrast", "clip", "cross-code", "cpc", "moco-v1", "moco-v3"])
def test_positives_without_negatives_collapse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"deepdxf.objectives.{objectives.find(name).path.partition(':')[0]}")
    inner, outer = (
        ("anchor_losses", attraction_of_views) if hasattr(module, "anchor_losses") else ("info_nce", attraction)
    )
    monkeypatch.setattr(module, inner, outer)
    settings = {"momentum": (0.5, 0.5)} if name == "moco-v1" else {}  # a target as slow as it has takes too long
    assert collapsed(train(name, **settings)[0])


def tell(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    """Tell the objective something else of the drawings than what is so."""
    real = Toy.vectors_of
    monkeypatch.setattr(Toy, "vectors_of", lambda *given: real(*given) | facts)


@pytest.mark.parametrize("name", ["albef", "siglip", "supervised", "semi-supervised"])
def test_drawings_that_are_said_to_be_all_the_same_collapse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = torch.zeros(DRAWINGS, dtype=torch.int64)
    tell(monkeypatch, same=torch.ones(DRAWINGS, DRAWINGS, dtype=torch.bool), groups=one, labels=one)
    assert collapsed(train(name)[0])


@pytest.mark.parametrize(
    "name", ["clip", "eclip", "invaspread", "m2-mixup", "margin-queue", "moco-v1", "moco-v3", "nt-xent"]
)
def test_without_negatives_these_stop_rather_than_collapse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    same = torch.ones(DRAWINGS, DRAWINGS, dtype=torch.bool)
    tell(monkeypatch, same=same, groups=torch.zeros(DRAWINGS, dtype=torch.int64))
    toy, _ = train(name, steps=10)
    assert toy.history[-1] == 0.0 and not collapsed(toy)


# --- other safeguards taken away -------------------------------------------------------------------------------------


def test_attraction_without_the_variance_term_collapses() -> None:
    toy, _ = train("vicreg", spread=0.0, covariance=0.0)
    assert collapsed(toy)


def test_simsiam_and_byol_without_safeguards_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simsiam, "standardise", identity)
    assert collapsed(train("simsiam", change=without_predictor)[0])
    monkeypatch.setattr(byol, "standardise", identity)
    # a copy that follows at once is no slow target any more
    assert collapsed(train("byol", change=without_predictor, momentum=(1e-6, 1e-6), lr=1e-2)[0])


def test_swav_without_sinkhorn_collapses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swav, "sinkhorn", lambda scores, epsilon, iterations: (scores / epsilon).softmax(-1))
    assert collapsed(train("swav")[0])


def used(toy: Toy, loss: Any) -> int:
    """How many prototypes are the nearest of some drawing."""
    z = nn.functional.normalize(toy.vectors(projected=True))
    return len(loss.student(z).argmax(-1).unique())


def test_dino_without_sharpening_or_centring() -> None:
    losses: list[Any] = []
    given = {"momentum": (0.99, 0.99), "steps": 150, "change": losses.append}
    sound = train("dino", **given)[0]
    uncentred = train("dino", centre_momentum=1.0, **given)[0]  # the centre stays 0
    blunt = train("dino", teacher_temperature=1.0, **given)[0]
    assert not collapsed(sound) and collapsed(blunt)
    assert used(sound, losses[0]) >= 8 > 4 >= used(uncentred, losses[1])  # a few prototypes take all
    assert uncentred.spread()[1] < 0.9 * sound.spread()[1]


def test_a_bank_that_follows_at_once_teaches_nothing() -> None:
    """The published μ is for rows that are met once an epoch, not in every step."""
    toy, before = train("instdisc", momentum_=0.5)
    assert toy.recall() < before + 0.1
