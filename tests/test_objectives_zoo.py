# ruff: noqa: E402 (modules that need torch come after the check for it)
"""The zoo against slow forms of the papers' formulas, loop by loop in NumPy, and the parts that it shares."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from numpy.typing import NDArray
from torch import nn

from deepdxf.errors import ObjectiveError
from deepdxf.objectives.albef import ALBEF
from deepdxf.objectives.byol import BYOL
from deepdxf.objectives.cmc import CMC
from deepdxf.objectives.cpc import CPC, windows
from deepdxf.objectives.cross_code import cross_code
from deepdxf.objectives.denoising import denoising
from deepdxf.objectives.dino import DINO
from deepdxf.objectives.distillation import distillation
from deepdxf.objectives.eclip import ECLIP, joining
from deepdxf.objectives.hierarchical import hierarchical
from deepdxf.objectives.instdisc import InstDisc
from deepdxf.objectives.invaspread import invaspread
from deepdxf.objectives.m2_mixup import geodesic, m2_mixup
from deepdxf.objectives.masked_values import masked_values
from deepdxf.objectives.mixup import mixed_contrast, mixup
from deepdxf.objectives.moco import MoCoV3, MomentumContrast
from deepdxf.objectives.mvgrl import mvgrl
from deepdxf.objectives.node_contrast import node_contrast
from deepdxf.objectives.nt_xent import nt_xent
from deepdxf.objectives.parts import (
    Bank,
    MomentumCopy,
    Prototypes,
    Queue,
    cosine_between,
    not_negatives,
    pool,
    sinkhorn,
    standardise,
    unit,
)
from deepdxf.objectives.replaced_entity import replaced_entity
from deepdxf.objectives.semi_supervised import SemiSupervised
from deepdxf.objectives.simsiam import SimSiam
from deepdxf.objectives.supervised import supervised
from deepdxf.objectives.swav import SwAV
from deepdxf.objectives.vicreg import vicreg

Array = NDArray[np.float64]
RNG = np.random.default_rng(1)


def some(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.normal(size=shape)).float()


def array(z: torch.Tensor) -> Array:
    return z.detach().double().numpy()


def rows(z: torch.Tensor) -> Array:
    """Unit rows."""
    a = array(z)
    return a / np.linalg.norm(a, axis=-1, keepdims=True)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(logits: Array, true: int) -> float:
    return -math.log(softmax(logits)[true])


# --- parts -----------------------------------------------------------------------------------------------------------


def test_queue_keeps_the_last_vectors_in_a_ring() -> None:
    queue, pushed = Queue(5, 2), []
    for i, size in enumerate([2, 2, 2, 7, 0, 1]):
        vectors = torch.full((size, 2), float(i)) + torch.arange(size)[:, None] / 10
        queue.push(vectors, torch.full((size,), i))
        pushed += vectors[:, 0].tolist()
        assert len(queue) == min(len(pushed), 5)
        assert sorted(queue.stored()[:, 0].tolist()) == pytest.approx(sorted(pushed[-5:]))
    assert queue.same(torch.tensor([3, 5, 9])).sum(1).tolist() == [4, 1, 0]
    read = queue.stored()
    before = read.clone()
    queue.push(torch.ones(5, 2))
    assert torch.equal(read, before)  # what a loss has read is not written over before its gradient is taken
    assert not queue.same(torch.tensor([-1, 0])).any()  # no group is no common group


def test_bank_is_a_running_mean_on_the_sphere() -> None:
    bank, v = Bank(4, 3, momentum=0.5), unit(some(2, 3))
    start = bank.vectors.clone()
    assert np.linalg.norm(array(start), axis=1) == pytest.approx(np.ones(4))
    bank.update(torch.tensor([3, 1]), v)
    expected = array(start)
    for row, vector in ((3, array(v)[0]), (1, array(v)[1])):
        mixed = 0.5 * expected[row] + 0.5 * vector
        expected[row] = mixed / np.linalg.norm(mixed)
    assert array(bank.vectors) == pytest.approx(expected, abs=1e-6)


def test_momentum_copy_follows_and_takes_no_gradient() -> None:
    module = nn.Linear(2, 2)
    copy = MomentumCopy(module, (0.9, 1.0))
    start = copy.module.weight.clone()
    with torch.no_grad():
        module.weight += 1.0
    copy.update(module, 0, 10)
    assert torch.allclose(copy.module.weight, start + 0.1)
    copy.update(module, 10, 10)
    assert torch.allclose(copy.module.weight, start + 0.1)  # m is 1 at the end
    assert not any(p.requires_grad for p in copy.parameters())
    assert not copy(some(1, 2).requires_grad_()).requires_grad
    assert cosine_between(0.996, 1.0, 0.5) == pytest.approx(0.998)


@pytest.mark.parametrize("epsilon", [0.05, 1e-3])
def test_sinkhorn(epsilon: float) -> None:
    """Against the plain form where that does not overflow; rows and columns balanced in any case."""
    scores = some(12, 4)
    q = sinkhorn(scores, epsilon, 200)
    assert torch.isfinite(q).all() and q.sum(1).numpy() == pytest.approx(np.ones(12), abs=1e-5)
    if epsilon == 0.05:
        plain = np.exp((array(scores) - array(scores).max()) / epsilon)
        for _ in range(3):
            plain /= plain.sum(0, keepdims=True)
            plain /= plain.sum(1, keepdims=True)
        assert array(sinkhorn(scores, epsilon, 3)) == pytest.approx(plain, abs=1e-4)
        assert q.sum(0).numpy() == pytest.approx(np.full(4, 3.0), rel=0.2)


def test_pool_and_standardise() -> None:
    z, owner = some(5, 3), torch.tensor([0, 0, 1, 2, 2])
    for how, slow in (("mean", np.mean), ("amax", np.max)):
        expected = [slow(array(z)[[i, j]], 0) for i, j in ((0, 1), (2, 2), (3, 4))]
        assert array(pool(z, owner, how)) == pytest.approx(np.array(expected), abs=1e-6)
    flat = array(standardise(some(50, 3) * 7 + 3))
    assert flat.mean(0) == pytest.approx(np.zeros(3), abs=1e-5) and flat.std(0) == pytest.approx(np.ones(3), rel=1e-3)


def test_prototypes_stay_on_the_sphere_and_freeze() -> None:
    prototypes, z = Prototypes(4, 6), unit(some(3, 4)).requires_grad_()
    with torch.no_grad():
        prototypes.weight *= 5.0
    assert prototypes(z).abs().max() <= 1.0 + 1e-6
    prototypes(z, frozen=True).sum().backward()
    assert prototypes.weight.grad is None and z.grad is not None


# --- banks and queues ------------------------------------------------------------------------------------------------


def test_instdisc_formula() -> None:
    """−log h − Σ log(1 − h), h = P / (P + m/n), Z = n · mean of the first batch's e^{s/τ}."""
    torch.manual_seed(0)
    loss, z, ids = InstDisc(4, 9, negatives=6, temperature=0.5), some(3, 4), torch.tensor([2, 0, 5])
    bank = array(loss.nce.bank.vectors)
    torch.manual_seed(7)
    drawn = torch.randint(9, (6,)).numpy()
    torch.manual_seed(7)
    value = loss(z, ids).item()
    v = rows(z)
    e = np.exp(v @ bank[drawn].T / 0.5)
    big_z = 9 * e.mean()
    expected = 0.0
    for i in range(3):
        p = math.exp(v[i] @ bank[ids[i]] / 0.5) / big_z
        expected -= math.log(p / (p + 6 / 9))
        for j, row in enumerate(drawn):
            if row != ids[i]:
                p = e[i, j] / big_z
                expected -= math.log(1 - p / (p + 6 / 9))
    assert value == pytest.approx(expected / 3, rel=1e-5)
    kept = loss.nce.log_z.item()
    loss(some(3, 4), ids)
    assert loss.nce.log_z.item() == kept  # Z is estimated once


def test_cmc_is_the_sum_over_ordered_pairs_and_counts_its_banks() -> None:
    torch.manual_seed(0)
    loss, ids = CMC(4, 9, negatives=6).eval(), torch.arange(3)
    a, b = some(3, 4), some(3, 4)
    for nce in loss.nce:
        nce.log_z.fill_(0.3)
    torch.manual_seed(3)
    value = loss(a, b, ids).item()
    torch.manual_seed(3)
    assert value == pytest.approx((loss.nce[0](unit(b), ids) + loss.nce[1](unit(a), ids)).item())
    with pytest.raises(ObjectiveError, match="set views=3"):
        loss(a, b, ids, more=[a])


def test_moco_formula() -> None:
    loss = MomentumContrast(4, length=6, temperature=0.2)
    old, q, k = some(5, 4), some(3, 4), some(3, 4)
    loss(old, old, groups=torch.arange(5))
    value = loss(q, k, groups=torch.tensor([9, 1, 9])).item()
    expected = []
    for i in range(3):
        negatives = [rows(q)[i] @ rows(old)[j] / 0.2 for j in range(5) if not (i == 1 and j == 1)]
        expected.append(cross_entropy(np.array([rows(q)[i] @ rows(k)[i] / 0.2, *negatives]), 0))
    assert value == pytest.approx(np.mean(expected), rel=1e-5)


def test_moco_v3_formula() -> None:
    loss = MoCoV3(4, hidden=8, temperature=0.2)
    a, b, k_a, k_b = (some(5, 4) for _ in range(4))
    expected = 0.0
    for z, key in ((a, k_b), (b, k_a)):
        logits = rows(loss.predictor(z)) @ rows(key).T / 0.2
        expected += 2 * 0.2 * np.mean([cross_entropy(logits[i], i) for i in range(5)])
    assert loss(a, b, k_a, k_b).item() == pytest.approx(expected, rel=1e-5)


def test_albef_formula_of_the_contrast() -> None:
    torch.manual_seed(0)
    loss = ALBEF(4, length=8, alpha=0.4)
    old_a, old_b = some(3, 4), some(3, 4)
    loss(old_a, old_b, old_a, old_b)
    a, b, k_a, k_b = (some(5, 4) for _ in range(4))
    matching = loss._matching
    loss._matching = lambda *_: torch.zeros(())  # type: ignore[method-assign]
    value = loss(a, b, k_a, k_b, step=1, steps=60).item()  # half of the ramp of 1/30
    loss._matching = matching  # type: ignore[method-assign]
    expected = 0.0
    for query, own, keys in (
        (a, k_a, np.vstack([rows(k_b), rows(old_b)])),
        (b, k_b, np.vstack([rows(k_a), rows(old_a)])),
    ):
        for i in range(5):
            target = 0.2 * softmax(rows(own)[i] @ keys.T / 0.07)
            target[i] += 0.8
            expected -= (target * np.log(softmax(rows(query)[i] @ keys.T / 0.07))).sum() / 5 / 2
    assert value == pytest.approx(expected, rel=1e-4)


def test_albef_matching_draws_hard_negatives_and_no_twins() -> None:
    torch.manual_seed(0)
    loss = ALBEF(3, length=4, temperature=0.02)
    a = torch.eye(3)
    b = torch.tensor([[1.0, 0, 0], [0.9, 0.1, 0], [0, 0, 1.0]])
    seen: list[torch.Tensor] = []
    loss.match.register_forward_hook(lambda module, given, result: seen.append(given[0]))
    twins = torch.zeros(3, 3, dtype=torch.bool)
    loss._matching(a, b, twins)
    negatives = seen[-1][3:6]  # one b for each a
    assert torch.equal(negatives[0][3:6], b[1])  # the b most like a₀ beside its own
    twins[0, 1] = twins[1, 0] = True
    loss._matching(a, b, twins)
    assert torch.equal(seen[-1][3][3:6], b[2])
    assert len(seen[-1]) == 9
    loss._matching(a[:1], b[:1], twins[:1, :1])
    assert len(seen[-1]) == 1  # a single pair has no negative


# --- prediction ------------------------------------------------------------------------------------------------------


def slow_standard(z: torch.Tensor) -> Array:
    a = array(z)
    return (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5)


def cosine(x: Array, y: Array) -> Array:
    return (x * y).sum(1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))


def test_byol_and_simsiam_formulas() -> None:
    a, b, k_a, k_b = (some(6, 4) for _ in range(4))
    loss = BYOL(4, hidden=8)

    def predicted(module: nn.Module, z: torch.Tensor) -> Array:
        return array(module.predictor(torch.from_numpy(slow_standard(z)).float()))  # type: ignore[operator]

    expected = np.mean(2 - 2 * cosine(predicted(loss, a), slow_standard(k_b)))
    expected += np.mean(2 - 2 * cosine(predicted(loss, b), slow_standard(k_a)))
    assert loss(a, b, k_a, k_b).item() == pytest.approx(expected, rel=1e-4)
    siam = SimSiam(4, hidden=8)
    one, two = cosine(predicted(siam, a), slow_standard(b)), cosine(predicted(siam, b), slow_standard(a))
    assert siam(a, b).item() == pytest.approx(1 - np.mean(one + two) / 2, rel=1e-4)


def test_targets_carry_no_gradient() -> None:
    a, b = some(6, 4).requires_grad_(), some(6, 4).requires_grad_()
    BYOL(4, hidden=8)(some(6, 4), some(6, 4), a, b)
    loss = BYOL(4, hidden=8)
    loss(some(6, 4).requires_grad_(), some(6, 4), a, b).backward()
    assert a.grad is None and b.grad is None
    siam = SimSiam(4, hidden=8)
    siam.predictor = nn.Sequential(nn.Linear(4, 4))
    with torch.no_grad():
        siam.predictor[0].weight.zero_()
    siam(a, b).backward()
    assert not a.grad.any() and not b.grad.any()  # nothing comes back through the answer that is predicted


def test_dino_formula_and_centre() -> None:
    torch.manual_seed(0)
    loss = DINO(4, prototypes=5)
    a, b, k_a, k_b, crop = (some(3, 4) for _ in range(5))
    loss.centre.copy_(some(5) / 10)
    before = array(loss.centre)
    value = loss(a, b, k_a, k_b, more=[crop], step=5, steps=10).item()
    student, teacher = rows(loss.student.weight), rows(loss.teacher.module.weight)
    g = [rows(z) @ teacher.T for z in (k_a, k_b)]
    s = [rows(z) @ student.T for z in (a, b, crop)]
    terms = [
        -np.mean((softmax((g[t] - before) / 0.04) * np.log(softmax(s[v] / 0.1))).sum(1))
        for t in range(2)
        for v in range(3)
        if v != t
    ]
    assert value == pytest.approx(np.mean(terms), rel=1e-4)
    assert array(loss.centre) == pytest.approx(0.9 * before + 0.1 * np.concatenate(g).mean(0), abs=1e-6)


def test_swav_formula_with_crops() -> None:
    torch.manual_seed(0)
    loss = SwAV(4, prototypes=3, length=4)
    a, b, crop = (some(6, 4) for _ in range(3))
    value = loss(a, b, more=[crop]).item()
    weight = rows(loss.prototypes.weight)
    scores = [rows(z) @ weight.T for z in (a, b, crop)]
    terms = []
    for s in range(2):
        q = array(sinkhorn(torch.from_numpy(scores[s]), 0.05, 3))
        terms += [-np.mean((q * np.log(softmax(scores[t] / 0.1))).sum(1)) for t in range(3) if t != s]
    assert value == pytest.approx(np.mean(terms), rel=1e-4)
    assert loss(a, b, more=[crop]).item() != pytest.approx(value, rel=1e-4)  # the queue is full now and takes part
    assert len(loss.queue_a) == 4


def test_swav_freezes_prototypes_at_first() -> None:
    for step, frozen in ((0, True), (50, False)):
        loss = SwAV(4, prototypes=3, frozen=0.1)
        loss(some(6, 4).requires_grad_(), some(6, 4), step=step, steps=100).backward()
        assert (loss.prototypes.weight.grad is None) == frozen


def test_distillation_formula() -> None:
    z, teacher = some(5, 4), some(5, 7)
    s, t = rows(z) @ rows(z).T / 0.1, rows(teacher) @ rows(teacher).T / 0.1
    expected = 0.0
    for i in range(5):
        others = [j for j in range(5) if j != i]
        expected -= (softmax(t[i, others]) * np.log(softmax(s[i, others]))).sum() / 5
    assert distillation(z, teacher).item() == pytest.approx(expected, rel=1e-5)
    assert distillation(teacher, teacher) < distillation(some(5, 4), teacher)


# --- mixtures and others on vectors ----------------------------------------------------------------------------------


def test_invaspread_formula() -> None:
    f, g = some(5, 4), some(5, 4)
    between, within = np.exp(rows(f) @ rows(g).T / 0.1), np.exp(rows(f) @ rows(f).T / 0.1)
    expected = 0.0
    for i in range(5):
        expected -= math.log(between[i, i] / between[:, i].sum()) / 5
        expected -= sum(math.log(1 - within[i, j] / within[:, j].sum()) for j in range(5) if j != i) / 5
    assert invaspread(f, g).item() == pytest.approx(expected, rel=1e-4)


def test_mixup_formula() -> None:
    a, b = unit(some(5, 4)), unit(some(5, 4))
    share, partner = torch.tensor([0.3, 0.9, 0.5, 1.0, 0.0]), torch.tensor([1, 0, 2, 4, 3])
    mixed = array(share)[:, None] * array(a) + (1 - array(share))[:, None] * array(a)[partner.numpy()]
    logits = mixed / np.linalg.norm(mixed, axis=1, keepdims=True) @ array(b).T / 0.2
    expected = np.mean(
        [
            float(share[i]) * cross_entropy(logits[i], i)
            + (1 - float(share[i])) * cross_entropy(logits[i], int(partner[i]))
            for i in range(5)
        ]
    )
    assert mixed_contrast(a, b, share, partner, 0.2, not_negatives(5, None, a)).item() == pytest.approx(
        expected, rel=1e-5
    )
    torch.manual_seed(0)
    one = mixup(a, b)
    assert mixup(a, b) != one  # shares and partners are drawn anew


def test_geodesic_stays_on_the_circle_between() -> None:
    u, v = unit(some(6, 4)), unit(some(6, 4))
    share = torch.linspace(0, 1, 6)[:, None]
    m = geodesic(u, v, share)
    assert array(m.norm(dim=-1)) == pytest.approx(np.ones(6), abs=1e-5)
    angle = np.arccos((array(u) * array(v)).sum(1))
    assert np.arccos(np.clip((array(m) * array(v)).sum(1), -1, 1)) == pytest.approx(
        share[:, 0].numpy() * angle, abs=1e-3
    )
    for w in (u.clone(), -u):  # equal and opposite vectors: finite, with finite gradients
        w.requires_grad_()
        point = geodesic(u, w, torch.tensor(0.5))
        point.sum().backward()
        assert torch.isfinite(point).all() and torch.isfinite(w.grad).all()


def test_m2_mixup_formula() -> None:
    a, b = some(4, 3), some(4, 3)
    torch.manual_seed(5)
    value = m2_mixup(a, b, mix_weight=0.5).item()
    torch.manual_seed(5)
    share = array(torch.distributions.Beta(1.0, 1.0).sample((4,)))
    u, v = rows(a), rows(b)
    theta = np.arccos((u * v).sum(1))[:, None]
    m = (u * np.sin(share[:, None] * theta) + v * np.sin((1 - share[:, None]) * theta)) / np.sin(theta)
    mixed = 0.0
    for x in (u, v):
        for i in range(4):
            negatives = [x[i] @ m[j] / 0.07 for j in range(4) if j != i]
            mixed += cross_entropy(np.array([u[i] @ v[i] / 0.07, *negatives]), 0) / 4 / 2
    assert value == pytest.approx(cross_code(a, b).item() + 0.5 * mixed, rel=1e-4)


def test_eclip_curriculum_and_synthetic_pairs() -> None:
    course = [joining(i / 100) for i in range(101)]
    assert set(course[:10]) == {0.0} and course[10] == pytest.approx(0.05) and max(course) == course[40] == 0.5
    assert course[80] == pytest.approx(0.05) == pytest.approx(course[100])
    torch.manual_seed(0)
    loss, a, b = ECLIP(), some(6, 4), some(6, 4)
    same = torch.zeros(6, 6, dtype=torch.bool)
    for i in range(0, 6, 2):
        same[i, i + 1] = same[i + 1, i] = True
    plain = cross_code(a, b, same=same).item()
    assert loss(a, b, same=same, step=5, steps=100).item() == pytest.approx(plain, rel=1e-5)
    values = [loss(a, b, same=same, step=40, steps=100).item() for _ in range(8)]
    assert any(abs(v - plain) > 1e-3 for v in values)
    # No other view or revision of any drawing: nothing to mix with.
    assert loss(a, b, step=40, steps=100).item() == pytest.approx(cross_code(a, b).item(), rel=1e-5)


def test_semi_supervised_is_the_sum_of_its_parts() -> None:
    a, b, labels = some(6, 4), some(6, 4), torch.tensor([0, -1, 1, 0, -1, 1])
    loss = SemiSupervised(4, classes=2)
    z = torch.cat([a, b])
    e = np.exp(rows(z) @ rows(z).T / 0.07)
    unlabelled = [-math.log(e[i, (i + 6) % 12] / (e[i].sum() - e[i, i])) for i in (1, 4, 7, 10)]
    logits = array(loss.classifier(torch.stack([a, b])[:, labels >= 0]))  # type: ignore[misc]
    known = labels[labels >= 0].tolist()
    classes = [cross_entropy(logits[v, i], known[i]) for v in range(2) for i in range(4)]
    expected = np.mean(unlabelled) + supervised(a, b, labels).item() + np.mean(classes)
    assert loss(a, b, labels).item() == pytest.approx(expected, rel=1e-5)
    nobody = SemiSupervised(4)(a, b, torch.full((6,), -1))
    assert nobody.item() == pytest.approx(nt_xent(a, b).item(), rel=1e-5)


def test_vicreg_is_that_of_pytorch_metric_learning() -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    a, b = some(9, 4) * 0.5, some(9, 4) * 0.5
    theirs = losses.VICRegLoss()(a, ref_emb=b)
    assert vicreg(a, b).item() == pytest.approx(theirs.item(), rel=1e-4)


# --- nodes and parameters --------------------------------------------------------------------------------------------


def test_cpc_formula() -> None:
    torch.manual_seed(0)
    loss, owner = CPC(3, ahead=2, hidden=4), torch.tensor([0, 0, 0, 0, 1, 1, 1])
    z = some(7, 3)
    steps = []
    for k in (1, 2):
        anchors = []
        for first, size in ((0, 4), (4, 3)):
            context = array(loss.context(z[None, first : first + size])[0][0])
            weight = array(loss.predict[k - 1].weight)
            anchors += [(weight @ context[t], array(z)[first + t + k]) for t in range(size - k)]
        losses = [cross_entropy(np.array([p @ target for _, target in anchors]), i) for i, (p, _) in enumerate(anchors)]
        steps.append(np.mean(losses))
    assert loss(z, owner).item() == pytest.approx(np.mean(steps), rel=1e-4)


def test_cpc_windows_are_consecutive_rows_of_one_drawing() -> None:
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor([2, 50, 9]))
    starts = set()
    for _ in range(20):
        table, filled = windows(owner, 9)
        assert table.shape == (3, 9) and filled.sum(1).tolist() == [2, 9, 9]
        for i in range(3):
            taken = table[i][filled[i]]
            assert (owner[taken] == i).all() and (taken.diff() == 1).all()
        starts.add(int(table[1, 0]))
    assert len(starts) > 3


def test_mvgrl_formula() -> None:
    u, v, owner = some(6, 3), some(6, 3), np.array([0, 0, 0, 1, 1, 2])

    def plus(s: float) -> float:
        return math.log(2) - math.log1p(math.exp(-s))

    def minus(s: float) -> float:
        return math.log1p(math.exp(-s)) + s - math.log(2)

    expected = 0.0
    for nodes, other in ((array(u), array(v)), (array(v), array(u))):
        graphs = [other[owner == i].mean(0) for i in range(3)]
        positive = [plus(nodes[n] @ graphs[owner[n]]) for n in range(6)]
        negative = [minus(nodes[n] @ graphs[g]) for n in range(6) for g in range(3) if g != owner[n]]
        expected += np.mean(negative) - np.mean(positive) + 2 * math.log(2)
    assert mvgrl(u, v, torch.from_numpy(owner)).item() == pytest.approx(expected, rel=1e-5)


def test_hierarchical_is_the_mean_of_its_levels() -> None:
    u, v, owner = some(8, 3), some(8, 3), torch.tensor([0, 0, 0, 0, 0, 2, 2, 2])
    block = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3])

    def pooled(z: torch.Tensor, parts: list[list[int]]) -> torch.Tensor:
        return torch.stack([z[part].amax(0) for part in parts])

    patches = [[0, 1], [2, 3], [4], [5, 6], [7]]
    blocks = [[0, 1], [2, 3, 4], [5, 6], [7]]
    whole = [[0, 1, 2, 3, 4], [5, 6, 7]]
    expected = [
        node_contrast(u, v, owner, temperature=0.07),
        node_contrast(pooled(u, patches), pooled(v, patches), torch.tensor([0, 0, 0, 1, 1]), temperature=0.07),
        node_contrast(pooled(u, blocks), pooled(v, blocks), torch.tensor([0, 0, 1, 1]), temperature=0.07),
        nt_xent(pooled(u, whole), pooled(v, whole)),
    ]
    value = hierarchical(u, v, owner, block=block, patch=2)
    assert value.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)
    three = hierarchical(u, v, owner, patch=2)
    assert three.item() == pytest.approx(torch.stack([expected[0], expected[1], expected[3]]).mean().item(), rel=1e-5)


def test_masked_values_and_denoising_formulas() -> None:
    predicted, values = some(4, 3), some(4, 3)
    values[0, 1] = values[3] = torch.nan  # a value that its class does not use; an entity without values
    errors = [
        np.mean([(p - t) ** 2 for p, t in zip(row, true, strict=True) if not math.isnan(t)])
        for row, true in zip(array(predicted)[:3], array(values)[:3], strict=True)
    ]
    corrupted = torch.tensor([True, False, False, True])
    assert masked_values(predicted, values, corrupted).item() == pytest.approx(errors[0], rel=1e-5)
    every = torch.ones(4, dtype=torch.bool)
    assert masked_values(predicted, values, every).item() == pytest.approx(np.mean(errors), rel=1e-5)
    expected = (errors[0] + 0.5 * errors[1] + 0.5 * errors[2]) / 2.0
    assert denoising(predicted, values, corrupted).item() == pytest.approx(expected, rel=1e-5)
    predicted.requires_grad_()
    masked_values(predicted, values, every).backward()
    assert torch.isfinite(predicted.grad).all() and not predicted.grad[3].any()


def test_replaced_entity_formula() -> None:
    logits, replaced = some(5), np.array([True, False, True, False, False])
    p = 1 / (1 + np.exp(-array(logits)))
    expected = -np.mean(np.where(replaced, np.log(p), np.log(1 - p)))
    assert replaced_entity(logits, torch.from_numpy(replaced)).item() == pytest.approx(expected, rel=1e-5)
