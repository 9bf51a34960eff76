"""The objectives of the usual recipe against slow forms of their papers' formulas, and against another implementation."""

# ruff: noqa: E402 (modules that need torch come after the check for it)
from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from deepdxf.objectives.cross_code import LearnedCrossCode, cross_code
from deepdxf.objectives.margin_queue import MarginQueue
from deepdxf.objectives.masked_parameters import masked_parameters
from deepdxf.objectives.node_contrast import node_contrast, sample_rows
from deepdxf.objectives.nt_xent import nt_xent
from deepdxf.objectives.siglip import SigLIP, pairwise_sigmoid
from deepdxf.objectives.supervised import label_contrast, supervised
from deepdxf.objectives.variance import variance

RNG = np.random.default_rng(0)


def views(b: int, d: int = 6, number: int = 2) -> list[torch.Tensor]:
    return [torch.from_numpy(RNG.normal(size=(b, d))).float() for _ in range(number)]


def cosines(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    a, b = (z.detach().double().numpy() for z in (a, b))
    return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T


def slow_nt_xent(zs: list[torch.Tensor], tau: float, same: np.ndarray | None = None) -> float:
    """ℓ(i, p) pair by pair, as the paper writes it."""
    b, z = len(zs[0]), torch.cat(zs)
    e = np.exp(cosines(z, z) / tau)
    losses = []
    for i in range(len(z)):
        for p in range(len(z)):
            if p != i and p % b == i % b:
                negatives = [
                    e[i, k] for k in range(len(z)) if k % b != i % b and (same is None or not same[i % b, k % b])
                ]
                losses.append(-math.log(e[i, p] / (e[i, p] + sum(negatives))))
    return float(np.mean(losses))


@pytest.mark.parametrize("b", [2, 5])
@pytest.mark.parametrize("number", [2, 4])
@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_nt_xent_formula(b: int, number: int, tau: float) -> None:
    z = views(b, number=number)
    value = nt_xent(z[0], z[1], more=z[2:], temperature=tau)
    assert value.item() == pytest.approx(slow_nt_xent(z, tau), rel=1e-5)


def test_nt_xent_of_two_views_has_2n_minus_2_negatives() -> None:
    z = torch.ones(5, 3)
    assert nt_xent(z, z).item() == pytest.approx(math.log(2 * 5 - 1))


def test_same_drawings_are_no_negatives() -> None:
    z, groups = views(6), np.array([0, 0, 1, 2, 2, 3])
    same = groups[:, None] == groups
    value = nt_xent(*z, same=torch.from_numpy(same))
    assert value.item() == pytest.approx(slow_nt_xent(z, 0.07, same), rel=1e-5)
    # Without the mask an exact duplicate is a negative that cannot be told from the positive: at least ln 2 of loss.
    twin = [torch.eye(4)[[0, 0, 1]], torch.eye(4)[[0, 0, 1]]]
    mask = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    assert nt_xent(*twin, same=mask) < 1e-4 < nt_xent(*twin)


def test_nt_xent_is_that_of_pytorch_metric_learning() -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    for number in (2, 3):
        z = views(7, number=number)
        theirs = losses.NTXentLoss(temperature=0.1)(torch.cat(z), torch.arange(7).repeat(number))
        assert nt_xent(z[0], z[1], more=z[2:], temperature=0.1).item() == pytest.approx(theirs.item(), rel=1e-5)


def test_supcon_is_that_of_pytorch_metric_learning() -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    labels = torch.tensor([0, 0, 1, 2, 2, 2, 3])
    z = views(7)
    theirs = losses.SupConLoss(temperature=0.07)(torch.cat(z), labels.repeat(2))
    assert supervised(*z, labels).item() == pytest.approx(theirs.item(), rel=1e-4)
    theirs = losses.SupConLoss(temperature=0.07)(z[0], labels)  # one view: rows 2 and 6 have no positive
    value = label_contrast(z[0], labels, None, 0.07)
    kept = 5  # theirs counts skipped anchors as 0 in no mean, ours likewise
    assert value.item() == pytest.approx(theirs.item(), rel=1e-4), kept


def slow_supcon(z: torch.Tensor, labels: np.ndarray, tau: float) -> float:
    e = np.exp(cosines(z, z) / tau)
    losses = []
    for i in range(len(z)):
        positives = [p for p in range(len(z)) if p != i and labels[p] == labels[i]]
        if positives:
            rest = sum(e[i, a] for a in range(len(z)) if a != i)
            losses.append(-np.mean([math.log(e[i, p] / rest) for p in positives]))
    return float(np.mean(losses))


def test_supcon_formula_and_anchors_without_positive() -> None:
    z, labels = views(6, number=1)[0], np.array([0, 0, 1, 2, 2, 3])
    value = label_contrast(z.requires_grad_(), torch.from_numpy(labels), None, 0.07)
    assert value.item() == pytest.approx(slow_supcon(z, labels, 0.07), rel=1e-5)
    value.backward()
    assert torch.isfinite(z.grad).all()
    nothing = label_contrast(z, torch.arange(6), None, 0.07)
    assert nothing.item() == 0.0


def test_supcon_leaves_unlabelled_drawings_out() -> None:
    z, labels = views(6), torch.tensor([0, -1, 0, 1, -1, 1])
    kept = labels >= 0
    assert torch.equal(supervised(*z, labels), supervised(z[0][kept], z[1][kept], labels[kept]))
    assert supervised(*z, torch.full((6,), -1)).item() == 0.0


def slow_clip(a: torch.Tensor, b: torch.Tensor, tau: float) -> float:
    e = np.exp(cosines(a, b) / tau)
    rows = [-math.log(e[i, i] / e[i].sum()) - math.log(e[i, i] / e[:, i].sum()) for i in range(len(e))]
    return float(np.mean(rows) / 2)


def test_cross_code_formula_and_symmetry() -> None:
    a, b = views(7)
    assert cross_code(a, b).item() == pytest.approx(slow_clip(a, b, 0.07), rel=1e-5)
    assert cross_code(a, b).item() == pytest.approx(cross_code(b, a).item(), rel=1e-6)
    same = torch.zeros(7, 7, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    e = np.exp(cosines(a, b) / 0.07)
    e[0, 1] = e[1, 0] = 0.0
    expected = np.mean([-np.log(e[i, i] / e[i].sum()) - np.log(e[i, i] / e[:, i].sum()) for i in range(7)]) / 2
    assert cross_code(a, b, same=same).item() == pytest.approx(expected, rel=1e-5)


def test_learned_temperature_starts_at_its_value_learns_and_stays_bounded() -> None:
    a, b = views(7)
    loss = LearnedCrossCode()
    value = loss(a, b)
    assert value.item() == pytest.approx(cross_code(a, b).item(), rel=1e-5)
    value.backward()
    assert loss.log_scale.grad.abs() > 0
    with torch.no_grad():
        loss.log_scale.fill_(50.0)
    assert loss(a, b).item() == pytest.approx(cross_code(a, b, temperature=0.01).item(), rel=1e-4)
    loss.zero_grad()
    loss(a, b).backward()
    assert loss.log_scale.grad.abs() > 0  # at the bound, not stuck beyond it


def test_siglip_formula() -> None:
    a, b = views(5)
    logits = cosines(a, b) * 10 - 10
    y = 2 * np.eye(5) - 1
    expected = np.log1p(np.exp(-y * logits)).sum() / 5
    assert SigLIP()(a, b).item() == pytest.approx(expected, rel=1e-5)
    same = np.eye(5, dtype=bool)
    same[0, 1] = True
    expected = (np.log1p(np.exp(-y * logits)) * (~same | np.eye(5, dtype=bool))).sum() / 5
    value = pairwise_sigmoid(a, b, torch.tensor(10.0), torch.tensor(-10.0), torch.from_numpy(same))
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_margin_queue_formula() -> None:
    loss = MarginQueue(6, length=8, margin=0.2)
    a, b, k_a, k_b = views(4, number=4)
    groups = torch.arange(4)
    assert loss(a, b, k_a, k_b, groups=groups).item() == 0.0  # nothing queued yet
    q_a, q_b, n_a, n_b = views(4, number=4)
    value = loss(q_a, q_b, n_a, n_b, groups=groups).item()
    expected = 0.0
    for query, key, queue in ((q_a, n_b, k_b), (q_b, n_a, k_a)):
        for i in range(4):
            terms = [
                max(0.0, 0.2 - cosines(query, key)[i, i] + cosines(query, queue)[i, j]) for j in range(4) if j != i
            ]
            expected += sum(terms) / max(sum(t > 0 for t in terms), 1) / 4
    assert value == pytest.approx(expected, rel=1e-5)
    loss(q_a, q_b, n_a, n_b)
    assert torch.equal(loss.keys_a.groups, torch.tensor([-1, -1, -1, -1, 0, 1, 2, 3]))  # oldest overwritten


def slow_grace(u: torch.Tensor, v: torch.Tensor, tau: float) -> float:
    """CGMN's loss of one graph: ½ mean [ℓ(u, v) + ℓ(v, u)]."""
    total = 0.0
    for x, y in ((u, v), (v, u)):
        between, within = np.exp(cosines(x, y) / tau), np.exp(cosines(x, x) / tau)
        for i in range(len(x)):
            rest = between[i].sum() + within[i].sum() - within[i, i]
            total -= math.log(between[i, i] / rest)
    return total / (2 * len(u))


def test_node_contrast_formula_graph_by_graph() -> None:
    owner = torch.tensor([0, 0, 0, 2, 3, 3, 3, 3, 3])  # drawing 1 has no node, drawing 2 one: it tells nothing apart
    u, v = views(9)
    expected = np.mean([slow_grace(u[owner == i], v[owner == i], 0.7) for i in (0, 3)])
    assert node_contrast(u, v, owner).item() == pytest.approx(expected, rel=1e-5)


def test_node_contrast_does_not_see_other_drawings() -> None:
    owner = torch.tensor([0, 0, 0, 1, 1])
    u, v = views(5)
    u.requires_grad_()
    alone = node_contrast(u[:3], v[:3], owner[:3])
    both = node_contrast(u, v, owner)
    assert (2 * both - node_contrast(u[3:], v[3:], owner[3:])).item() == pytest.approx(alone.item(), rel=1e-5)


def test_node_contrast_samples() -> None:
    owner = torch.repeat_interleave(torch.arange(4), torch.tensor([3, 200, 1, 64]))
    rows, filled = sample_rows(owner, 64)
    assert rows.shape == (4, 64) and filled.sum(-1).tolist() == [3, 64, 1, 64]
    for i in range(4):
        picked = rows[i][filled[i]]
        assert (owner[picked] == i).all() and len(set(picked.tolist())) == len(picked)
    assert not torch.equal(rows, sample_rows(owner, 64)[0])
    z = torch.ones(len(owner), 4)
    assert node_contrast(z, z, owner, sampled=8).item() == pytest.approx((math.log(5) + 2 * math.log(15)) / 3)


def test_masked_parameters_formula() -> None:
    class_logits, bin_logits = torch.randn(5, 12), torch.randn(9, 256)
    classes, bins = torch.randint(12, (5,)), torch.randint(256, (9,))

    def entropy(logits: torch.Tensor, true: torch.Tensor) -> float:
        e = np.exp(logits.double().numpy())
        return float(np.mean([-math.log(e[i, t] / e[i].sum()) for i, t in enumerate(true.tolist())]))

    expected = entropy(class_logits, classes) + 2.0 * entropy(bin_logits, bins)
    assert masked_parameters(class_logits, classes, bin_logits, bins).item() == pytest.approx(expected, rel=1e-5)
    nothing = masked_parameters(class_logits[:0], classes[:0], bin_logits[:0], bins[:0])
    assert nothing.item() == 0.0


def test_variance_formula() -> None:
    a, b = views(10, 4)
    expected = 0.0
    for z in (a.double().numpy() * 0.4, b.double().numpy() * 0.4):
        for column in z.T:
            spread = math.sqrt(((column - column.mean()) ** 2).sum() / 9 + 1e-4)
            expected += max(0.0, 1.0 - spread) / 4 / 2
    assert variance(a * 0.4, b * 0.4).item() == pytest.approx(expected, rel=1e-5)
    cov = [np.cov(z.double().numpy().T) for z in (a * 0.4, b * 0.4)]
    more = sum((c**2).sum() - (np.diag(c) ** 2).sum() for c in cov) / 4 / 2
    assert variance(a * 0.4, b * 0.4, covariance=3.0).item() == pytest.approx(expected + 3 * more, rel=1e-5)
    assert variance(torch.ones(5, 3), torch.ones(5, 3)).item() == pytest.approx(0.99)
    assert variance(a[:1], b[:1]).item() == 0.0


def test_losses_of_logits_near_the_edge_of_float32_are_finite() -> None:
    """Cosine 1 at the lowest temperature in use; also vectors that overflow half precision."""
    z = torch.eye(4).mul(1e5).requires_grad_()
    for value in (nt_xent(z, z, temperature=0.001), cross_code(z, z, temperature=0.001)):
        z.grad = None
        value.backward()
        assert torch.isfinite(value) and torch.isfinite(z.grad).all()
