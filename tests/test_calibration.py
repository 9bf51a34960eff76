"""The curve from scores to probabilities, and where it is shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf import calibration
from deepdxf.calibration import Calibration, calibration_of, fit, tables
from deepdxf.cli import add_same_part
from deepdxf.encoder import Switches

LINE = Calibration((0.5, 0.6, 0.8, 1.0), (0.1, 0.1, 0.5, 0.9))


def test_the_fit_finds_a_known_curve() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(40_000)
    truth = 1.0 / (1.0 + np.exp(-12.0 * (scores - 0.6)))
    curve = fit(scores, rng.random(len(scores)) < truth, np.ones(len(scores)))
    assert np.abs(curve.probability(scores) - truth)[np.abs(scores - 0.5) < 0.45].max() < 0.05
    # pairs of a kind that weighs twice count like two of them
    same = rng.random(len(scores)) < 0.5
    weighted = fit(scores, same, np.where(same, 2.0, 1.0))
    assert weighted.probability(0.5) == pytest.approx(2 / 3, abs=0.03)


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.booleans(), st.floats(0.1, 5)), min_size=1, max_size=60),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
@settings(max_examples=80)
def test_a_higher_score_is_never_less_probable(pairs: list[tuple[float, bool, float]], a: float, b: float) -> None:
    scores, same, weights = (np.array(column, float) for column in zip(*pairs, strict=True))
    curve = fit(scores, same, weights)
    low, high = curve.probability(sorted((a, b)))
    assert 0.0 < low <= high < 1.0
    assert list(curve.scores) == sorted(set(curve.scores))
    order = np.random.default_rng(0).permutation(len(scores))
    assert len(set(scores.tolist())) < len(scores) or fit(scores[order], same[order], weights[order]) == curve


def test_scores_of_probabilities() -> None:
    assert LINE.probability([0.0, 0.5, 0.7, 0.9, 2.0]) == pytest.approx([0.1, 0.1, 0.3, 0.7, 0.9])
    assert [LINE.score(p) for p in (0.05, 0.1, 0.5, 0.7, 0.9)] == pytest.approx([0.5, 0.5, 0.8, 0.9, 1.0])
    assert LINE.score(0.95) is None


def test_unknown_encoders_have_no_curve() -> None:
    assert calibration_of("nothing/1") is None
    assert calibration_of("nothing/1", "verified") is None


def test_shipped_curves_are_curves() -> None:
    for encoder_id, curves in tables().items():
        for scoring in curves:
            curve = calibration_of(encoder_id, scoring)
            assert curve is not None
            for values in (curve.scores, curve.probabilities):
                assert list(values) == sorted(values)
            assert 0.0 < curve.probabilities[0] <= curve.probabilities[-1] < 1.0


def test_where_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"known/1": {"cosine": {"score": [0.0, 1.0], "probability": [0.1, 0.9]}}}
    known["known/1"]["verified"] = {"score": [0.0, 1.0], "probability": [0.2, 0.8]}
    monkeypatch.setattr(calibration, "tables", lambda: known)

    def shown(encoder_id: str, switches: Switches, *, verified: bool) -> list[float | None]:
        rows = [{"score": 0.5, "overlap": 0.4}, {"score": 1.0, "overlap": None}]
        add_same_part(rows, encoder_id, switches, verified=verified)
        return [row.get("same_part") for row in rows]

    assert shown("known/1", Switches(), verified=False) == [0.5, 0.9]
    assert shown("known/1", Switches(), verified=True) == [0.5, None]  # one could not be verified
    assert shown("other/1", Switches(), verified=False) == [None, None]
    assert shown("known/1", Switches(mirror=True), verified=False) == [None, None]
