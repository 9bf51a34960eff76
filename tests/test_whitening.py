"""Whitening against its definition, and what a model makes of it."""

from __future__ import annotations

import numpy as np
import torch

from deepdxf.whitening import FLOOR, POWER, fit
from tests.encoder_cases import PIXELS, batch, code, model


def correlated(n: int = 400, d: int = 12) -> np.ndarray:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_whitened_vectors_are_centred_uncorrelated_and_levelled() -> None:
    x, weight = correlated(), np.random.default_rng(4).random(400) + 0.1
    white = fit(x, 12, weight)(x)
    share = weight / weight.sum()
    np.testing.assert_allclose(share @ white, 0, atol=1e-12)
    covariance = (share[:, None] * white).T @ white
    centred = x - share @ x
    variance = np.linalg.eigvalsh((share[:, None] * centred).T @ centred)
    np.testing.assert_allclose(
        covariance, np.diag(variance * (variance + FLOOR * variance.max()) ** (-2 * POWER)), atol=1e-9
    )


def test_the_strongest_directions_are_kept() -> None:
    x = correlated()
    all_, some = fit(x, 12), fit(x, 5)
    np.testing.assert_allclose(np.abs(some(x)), np.abs(all_(x)[:, -5:]), atol=1e-9)


def test_a_model_serves_whitened_codes() -> None:
    encoder = model(whitening=16, pixels=PIXELS)
    drawings = [code(5 + 3 * i, i) for i in range(40)]
    with torch.no_grad():
        before = encoder.embed(batch(*drawings))
        vectors = {name: encoded.vector for name, encoded in encoder(batch(*drawings)).items()}
        encoder.whiten(vectors)
        after = encoder.embed(batch(*drawings))
    assert list(vectors) == list(encoder.slices) == ["sequence", "geometry", "raster"]
    assert after.shape == (40, 3 * 16)
    torch.testing.assert_close(after.norm(dim=1), torch.ones(40))

    def likeness(x: torch.Tensor) -> float:
        return float((x @ x.T)[~torch.eye(40, dtype=torch.bool)].mean())

    assert likeness(after) < 0.2 < likeness(before)  # what all have in common is gone
