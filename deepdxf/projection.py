"""Vectors of many dimensions in two or three, and how they lie on the sphere: what pictures of embeddings show.

n vectors (n, d), any float type; results are float64 and the same on every call. Letters in shapes: g points of a grid.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import FloatArray
from deepdxf.errors import DeepDXFError

Method = Literal["pca", "tsne", "umap", "pacmap"]
METHODS: dict[Method, tuple[str, str, str]] = {  # name -> (title, module, extra that brings it)
    "pca": ("PCA", "numpy", ""),
    "tsne": ("t-SNE", "sklearn.manifold", "plot"),
    "umap": ("UMAP", "umap", "maps"),
    "pacmap": ("PaCMAP", "pacmap", "maps"),
}
LEAST = 5  # vectors of a map: the methods that look at neighbours need some
DIRECT = 512  # up to so many rows or columns, all singular values are computed
REDUCED = 50  # dimensions that neighbours are looked for in (van der Maaten and Hinton 2008 take 30, openTSNE 50)
PERPLEXITY, NEIGHBOURS = 30.0, 15  # of t-SNE and of UMAP, their papers' usual ones; less for few vectors
WIDTH = 0.35  # of a kernel on a sphere of k dimensions is WIDTH · n^(−1 / (k + 4)) radians: Scott's rule, narrowed
EPS = 1e-12

Vectors = NDArray[Any]


def unit(vectors: Vectors) -> FloatArray:
    """(n, d) at unit length; zeros stay zeros."""
    array = np.asarray(vectors, np.float64)
    result: FloatArray = array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), EPS)
    return result


def centred(vectors: Vectors) -> FloatArray:
    """(n, d) unit vectors less their mean: what is left when that which all have in common is taken away."""
    of_length_one = unit(vectors)
    result: FloatArray = of_length_one - of_length_one.mean(axis=0)
    return result


def modality_gap(a: Vectors, b: Vectors) -> float:
    """Distance of the means of the unit vectors of two codes (Liang et al., Mind the Gap, NeurIPS 2022), 0 … 2."""
    return float(np.linalg.norm(unit(a).mean(axis=0) - unit(b).mean(axis=0)))


# --- maps ------------------------------------------------------------------------------------------------------------


def principal(vectors: Vectors, k: int = 2, *, centre: bool = True) -> tuple[FloatArray, FloatArray]:
    """Coordinates (n, k) along the axes of largest variance, and the share of the variance that each has (k,).

    Each axis points to where the vector farthest from 0 along it lies. Axes that the vectors do not have are zeros.

    Args:
        centre: about the mean (PCA). False: about the origin, axes of largest second moment; the first one then is
            about the mean direction, and points along it.
    """
    array = np.asarray(vectors)
    dtype = np.result_type(array, np.float32)  # vectors of an archive may fill half of the memory: they are not copied
    mean = array.mean(axis=0, dtype=np.float64) if centre else np.zeros(array.shape[1])
    n, d = array.shape
    if min(n, d) <= max(DIRECT, k):
        axes = np.linalg.svd(array - mean, full_matrices=False)[2][:k].T
    else:
        from scipy.sparse.linalg import LinearOperator, svds

        offset = mean.astype(dtype)
        operator = LinearOperator(
            (n, d),
            matvec=lambda x: array @ x - offset @ x,
            rmatvec=lambda y: array.T @ y - offset * y.sum(),
            dtype=dtype,
        )
        start = np.random.default_rng(0).standard_normal(min(n, d)).astype(dtype)
        axes = svds(operator, k, v0=start)[2][::-1].T
    places = np.zeros((n, k))
    places[:, : axes.shape[1]] = array @ axes.astype(dtype) - mean @ axes  # equal vectors have equal places
    farthest = places[np.abs(places).argmax(axis=0), np.arange(k)]
    if not centre:
        farthest[0] = places[:, 0].sum()
    places *= np.where(farthest < 0, -1.0, 1.0)
    total = float(np.einsum("ij,ij->", array, array, dtype=np.float64) - n * mean @ mean)
    return places, np.square(places).sum(axis=0) / max(total, EPS)


def need_method(method: Method) -> None:
    """Whether a method's library is installed, asked before long work rather than after it.

    Raises:
        DeepDXFError: it is not.
    """
    import importlib.util

    title, module, extra = METHODS[method]
    try:
        found = importlib.util.find_spec(module)
    except ImportError:
        found = None
    if found is None:
        library = {"tsne": "scikit-learn", "umap": "umap-learn"}.get(method, method)
        raise DeepDXFError(f"{title} needs {library}, which is not installed: pip install 'deepdxf[{extra}]'")


def project(vectors: Vectors, method: Method = "pca", seed: int = 0) -> FloatArray:
    """(n, 2) places of vectors on a map.

    ``pca`` is a shadow: distances on it are never larger than the true ones. The others (t-SNE: van der Maaten and
    Hinton 2008; UMAP: McInnes et al. 2018; PaCMAP: Wang et al. 2021) keep neighbours together; sizes of clusters and
    distances between them mean nothing there. They begin from the PCA, so that a seed gives one picture.

    Raises:
        DeepDXFError: there are too few vectors, or the method's library is not installed.
    """
    if len(vectors) < LEAST:
        raise DeepDXFError(f"a map of {len(vectors)} drawings; it needs at least {LEAST}")
    need_method(method)
    if method == "pca":
        return principal(vectors)[0]
    reduced = principal(vectors, min(REDUCED, *np.shape(vectors)))[0]
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
        placed = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    elif method == "umap":
        from umap import UMAP

        placed = UMAP(n_neighbors=min(NEIGHBOURS, len(reduced) - 1), random_state=seed, n_jobs=1).fit_transform(reduced)
    else:
        from pacmap import PaCMAP

        neighbours = min(10, len(reduced) - 1)
        placed = PaCMAP(n_neighbors=neighbours, apply_pca=False, random_state=seed).fit_transform(reduced)
    result: FloatArray = np.asarray(placed, np.float64)
    return result


# --- spheres ---------------------------------------------------------------------------------------------------------


def on_sphere(vectors: Vectors, k: int) -> tuple[FloatArray, float]:
    """Points (n, k) on the unit sphere of k = 2 or 3 dimensions, and the share of the squared length that they keep.

    The k axes of largest second moment of the unit vectors, about the origin: the mean direction stays in the picture,
    so a cone looks like one. Each shadow is stretched back to unit length. Vectors spread evenly over the sphere of d
    dimensions come out spread evenly; a share near k / d says that the picture shows little of them.
    """
    shadow, share = principal(unit(vectors), k, centre=False)
    points = unit(shadow)
    points[~points.any(axis=1), 0] = 1.0  # at right angles to all axes: no place is theirs
    return points, float(share.sum())


def sharpness(n: int, k: int) -> float:
    """Concentration κ of the kernels of n points on the sphere in k dimensions."""
    return float((WIDTH * max(n, 1) ** (-1.0 / (k + 3))) ** -2)


def ring_density(angles: FloatArray, at: FloatArray) -> FloatArray:
    """(g,) density of angles (n,) at the angles (g,), radians: von Mises kernels; its integral over 2π is 1."""
    from scipy.special import ive

    kappa = sharpness(len(angles), 2)
    kernels = np.exp(kappa * (np.cos(at[:, None] - angles) - 1.0))
    result: FloatArray = kernels.mean(axis=1) / (2.0 * np.pi * ive(0, kappa))
    return result


def sphere_density(points: FloatArray, at: FloatArray) -> FloatArray:
    """(g,) density of points (n, 3) on S² at the points (g, 3): von Mises–Fisher kernels; its integral is 1."""
    kappa = sharpness(len(points), 3)
    result = np.empty(len(at))
    for first in range(0, len(at), 1024):
        kernels = np.exp(kappa * (at[first : first + 1024] @ points.T - 1.0))
        result[first : first + 1024] = kernels.mean(axis=1)
    scale = kappa / (2.0 * np.pi * -float(np.expm1(-2.0 * kappa)))
    return result * scale


def mollweide(longitude: FloatArray, latitude: FloatArray) -> tuple[FloatArray, FloatArray]:
    """x in [−2, 2] and y in [−1, 1] of Mollweide's projection, which keeps areas: the sphere is an ellipse; radians."""
    turn = np.array(latitude, np.float64)
    for _ in range(30):  # Newton's method for 2 t + sin 2t = π sin(latitude); slow only at the poles, where cos t is 0
        slope = 2.0 + 2.0 * np.cos(2.0 * turn)
        step = (2.0 * turn + np.sin(2.0 * turn) - np.pi * np.sin(latitude)) / np.maximum(slope, 1e-9)
        turn = np.clip(turn - step, -np.pi / 2.0, np.pi / 2.0)
    return 2.0 / np.pi * longitude * np.cos(turn), np.sin(turn)
