"""Vectors on maps and spheres: beside full decompositions, closed forms and integrals."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import i0

from deepdxf import projection
from deepdxf.errors import DeepDXFError
from deepdxf.projection import (
    DIRECT,
    centred,
    modality_gap,
    mollweide,
    on_sphere,
    principal,
    project,
    ring_density,
    sharpness,
    sphere_density,
    unit,
)


def cloud(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ np.diag(3.0 / (1.0 + np.arange(d))) + rng.standard_normal(d)


@pytest.mark.parametrize(("n", "d"), [(40, 7), (7, 40), (DIRECT + 20, DIRECT + 9)])
def test_pca_is_that_of_scikit_learn(n: int, d: int) -> None:
    from sklearn.decomposition import PCA

    data = cloud(n, d)
    oracle = PCA(2, svd_solver="full").fit(data)
    places, share = principal(data, 2)
    expected = oracle.transform(data)
    np.testing.assert_allclose(np.abs(places), np.abs(expected), atol=1e-6)
    np.testing.assert_allclose(share, oracle.explained_variance_ratio_, atol=1e-9)
    farthest = places[np.abs(places).argmax(axis=0), [0, 1]]
    assert (farthest > 0).all()
    assert np.array_equal(places, principal(data.copy(), 2)[0])


def test_pca_of_what_has_fewer_axes() -> None:
    line = np.outer(np.arange(6.0), [3.0, 4.0, 0.0])
    places, share = principal(line, 2)
    np.testing.assert_allclose(np.ptp(places[:, 0]), 25.0)
    np.testing.assert_allclose(share, [1.0, 0.0], atol=1e-12)
    assert principal(np.ones((4, 1)), 2)[0].shape == (4, 2)


def test_without_centring_the_first_axis_points_along_the_mean() -> None:
    data = unit(cloud(60, 5) + 20.0 * np.eye(5)[2])
    places, _ = principal(data, 3, centre=False)
    assert (places[:, 0] > 0.5).all()
    values = np.linalg.svd(data, compute_uv=False)[:3]
    np.testing.assert_allclose(np.linalg.norm(places, axis=0), values)


def test_centring_closes_the_gap() -> None:
    a, b = cloud(30, 8, 1), cloud(30, 8, 2) + 5.0
    assert modality_gap(a, b) > 0.5
    np.testing.assert_allclose(centred(a).mean(axis=0), centred(b).mean(axis=0), atol=1e-12)
    assert modality_gap(a, 7.0 * a) == pytest.approx(0.0, abs=1e-12)


def test_maps_keep_families_apart() -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    data = np.concatenate([rng.standard_normal((15, 12)) * 0.1 + 5 * np.eye(12)[k] for k in range(3)])
    family = np.repeat(np.arange(3), 15)
    for method in ("pca", "tsne"):
        places = project(data, method, seed=1)
        middle = np.array([places[family == k].mean(axis=0) for k in range(3)])
        nearest = np.linalg.norm(places[:, None] - middle, axis=2).argmin(axis=1)
        assert (nearest == family).all()
        assert np.array_equal(places, project(data, method, seed=1))


def test_what_cannot_be_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeepDXFError, match="at least 5"):
        project(np.eye(3))
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(DeepDXFError, match=r"pip install 'deepdxf\[maps\]'"):
        project(cloud(20, 4), "umap")
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(DeepDXFError, match=r"pip install 'deepdxf\[plot\]'"):
        projection.need_method("tsne")


# --- spheres ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-np.pi, np.pi), min_size=1, max_size=40))
def test_density_of_the_circle_integrates_to_one(angles: list[float]) -> None:
    at = np.linspace(-np.pi, np.pi, 2001)
    density = ring_density(np.array(angles), at)
    assert np.trapezoid(density, at) == pytest.approx(1.0, abs=1e-6) and (density >= 0).all()


def test_density_of_one_angle_is_a_von_mises_distribution() -> None:
    at = np.linspace(-np.pi, np.pi, 9)
    kappa = sharpness(1, 2)
    np.testing.assert_allclose(
        ring_density(np.array([0.4]), at), np.exp(kappa * np.cos(at - 0.4)) / (2 * np.pi * i0(kappa))
    )


def test_density_of_the_sphere_integrates_to_one_and_turns_with_the_points() -> None:
    points = unit(cloud(50, 3))
    n = 20_000  # evenly spread: Fibonacci's lattice
    z = 1 - (2 * np.arange(n) + 1) / n
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    lattice = np.column_stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z])
    density = sphere_density(points, lattice)
    assert density.mean() * 4 * np.pi == pytest.approx(1.0, abs=1e-3)
    rotation = np.linalg.qr(cloud(3, 3, 5))[0]
    np.testing.assert_allclose(sphere_density(points @ rotation, lattice @ rotation), density, rtol=1e-9)


def test_even_vectors_stay_even_and_a_point_stays_a_point() -> None:
    even = unit(np.random.default_rng(0).standard_normal((4000, 40)))
    for k in (2, 3):
        points, share = on_sphere(even, k)
        np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0)
        assert np.linalg.norm(points.mean(axis=0)) < 0.12 and share < 3 * k / 40
        points, share = on_sphere(np.tile(even[:1], (10, 1)), k)
        np.testing.assert_allclose(points, np.tile(np.eye(k)[0], (10, 1)), atol=1e-6)
        assert share == pytest.approx(1.0)


def test_mollweide_keeps_areas() -> None:
    latitude = np.linspace(-np.pi / 2, np.pi / 2, 181)
    x, y = mollweide(np.full_like(latitude, np.pi), latitude)
    np.testing.assert_allclose((x / 2) ** 2 + y**2, 1.0, atol=1e-6)  # the edge is an ellipse
    # area between parallels: of the sphere 2π Δ sin(latitude); of the ellipse the same share of its area 2π
    turn = np.arcsin(y)
    np.testing.assert_allclose((2 * turn + np.sin(2 * turn)) / np.pi, np.sin(latitude), atol=1e-5)
