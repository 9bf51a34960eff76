"""The background of a run: which drawings it is, what they weigh, and what models take from it."""

# ruff: noqa: E402 (modules that need torch come after the check for it)
from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from drawings import circle, drawing, line, polyline
from torch.nn import functional as F

from deepdxf import background as module
from deepdxf.background import Background
from deepdxf.collate import collate
from deepdxf.encoders.config import EncoderConfig
from deepdxf.encoders.dual import DualEncoder
from deepdxf.loader import code_of
from deepdxf.store import Store
from deepdxf.whitening import FLOOR, POWER

SOURCES = {"alone": 1, "pair": 2, "many": 21}  # drawings of each
NUMBER = sum(SOURCES.values())
CONFIG = EncoderConfig(size="tiny", codewords=8, whitening=6)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Drawings of one to six kinds of things, of one to fifty entities, of three sources."""
    rng = np.random.default_rng(5)
    drawings = {}
    for source, count in SOURCES.items():
        for i in range(count):
            x, y, r = rng.uniform(1, 90, 3)
            rows = [polyline([(0, 0), (100, 0), (100, y), (0, y)]), circle(x, y, r), line(0, 0, x, y)]
            rows += [line(*rng.uniform(0, 100, 4)) for _ in range(int(rng.integers(0, 50)))]
            drawings[f"{source}/{i}.dxf"] = drawing(*rows[: 1 + i % 3] if i < 3 else rows)
    folder = tmp_path_factory.mktemp("background") / "store"
    Store.write(folder, drawings, quiet=True)
    return Store.open(folder)


def everything(store: Store, config: EncoderConfig = CONFIG) -> Background:
    return Background.of(store, np.arange(len(store)), config, 0)


def model(config: EncoderConfig = CONFIG) -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(config)


def one_by_one(encoder: DualEncoder, store: Store, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Unit vectors of drawings by code, each drawing in a batch of its own."""
    encoder = copy.deepcopy(encoder).eval()
    found: dict[str, list[torch.Tensor]] = {}
    with torch.no_grad():
        for row in rows:
            for code, encoded in encoder(collate([code_of(store[int(row)], "", encoder.config)])).items():
                found.setdefault(code, []).append(F.normalize(encoded.vector[0].double(), dim=0))
    return {code: torch.stack(vectors).numpy() for code, vectors in found.items()}


# --- which drawings --------------------------------------------------------------------------------------------------


def test_drawings_are_of_the_training_part_each_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    part = np.array([3, 5, 8, 9, 13, 20, 22])
    assert Background.of(store, part, CONFIG, 0).rows.tolist() == part.tolist()  # few: all of them
    monkeypatch.setattr(module, "DRAWINGS", 4)
    seen = set()
    for seed in range(20):
        rows = Background.of(store, part, CONFIG, seed).rows
        assert len(rows) == 4 and (np.diff(rows) > 0).all() and set(rows) <= set(part)
        assert rows.tolist() == Background.of(store, part, CONFIG, seed).rows.tolist()
        seen |= set(rows)
    assert seen == set(part)  # at random: no drawing is preferred


def test_batches_hold_every_drawing_as_it_is_and_keep_to_their_limits(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 5)
    monkeypatch.setattr(module, "ENTITIES", 60)
    of = everything(store)
    assert sorted(int(name) for batch in of.batches for name in batch.ids) == list(range(NUMBER))
    sizes = [batch.start.diff() for batch in of.batches]
    assert all(len(size) <= 5 and (len(size) == 1 or size.sum() <= 60) for size in sizes)
    assert any(len(size) > 1 for size in sizes) and len(sizes) > NUMBER / 5  # both limits are met
    for batch in of.batches:
        for i, name in enumerate(batch.ids):
            alone = collate([code_of(store[int(name)], "", CONFIG)])
            mine = batch.drawing == i
            assert torch.equal(batch.cls[mine], alone.cls)
            assert torch.equal(batch.values[mine].nan_to_num(-9.0), alone.values.nan_to_num(-9.0))
    assert of.batches is of.batches  # made once


def test_a_source_counts_as_the_square_root_of_its_drawings(store: Store) -> None:
    of = everything(store)
    total: dict[str, float] = dict.fromkeys(SOURCES, 0.0)
    names = [store.names[int(name)] for batch in of.batches for name in batch.ids]
    for name, weight in zip(names, of.weight.tolist(), strict=True):
        total[name.partition("/")[0]] += weight
    assert total == pytest.approx({source: count**0.5 for source, count in SOURCES.items()})
    # only the drawings that are looked at count
    some = Background.of(store, np.flatnonzero(np.char.startswith(store.names, "pair"))[:1], CONFIG, 0)
    assert some.weight.tolist() == [1.0]


# --- what a model takes from it --------------------------------------------------------------------------------------


def test_codewords_are_entities_of_the_drawings(store: Store) -> None:
    encoder, before = model(), model()
    everything(store).start(encoder)
    nodes: dict[bool, list[torch.Tensor]] = {False: [], True: []}  # without and with their surroundings
    still = copy.deepcopy(encoder).eval().geometry
    with torch.no_grad():
        for row in range(NUMBER):
            batch = collate([code_of(store[row], "", CONFIG)])
            levels = still._levels(still.nodes(batch, None))
            nodes[False].append(levels[0])
            nodes[True].append(levels[-1])
    for book, rows in zip(encoder.geometry.codebooks, nodes.values(), strict=True):
        normal = F.layer_norm(torch.cat(rows), rows[0].shape[1:])
        distance = torch.cdist(book.words + book.centre, normal, compute_mode="donot_use_mm_for_euclid_dist")
        assert distance.min(1).values.max() < 1e-3
        assert len(torch.unique(distance.argmin(1))) == len(book.words)  # all of them others
        assert torch.isfinite(book.rarity).all() and book.rarity.std() > 0  # the rare ones weigh more
    for name, value in encoder.state_dict().items():  # nothing else was touched
        assert "codebooks" in name or torch.equal(value, before.state_dict()[name]), name
    assert encoder.training


@pytest.mark.parametrize("settings", [{"readout": "jk"}, {"codes": "sequence"}], ids=str)
def test_models_without_a_codebook_stay_as_they_are(store: Store, settings: dict[str, str]) -> None:
    config = replace(CONFIG, **settings)
    encoder, before = model(config), model(config)
    everything(store, config).start(encoder)
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
def test_whitened_codes_are_centred_and_decorrelated_by_the_weights(store: Store, training: bool) -> None:
    encoder, of = model().train(training), everything(store)
    parameters = {name: value.clone() for name, value in encoder.named_parameters()}
    of.whiten(encoder)
    assert encoder.training == training
    assert all(torch.equal(value, parameters[name]) for name, value in encoder.named_parameters())
    rows = np.array([int(name) for batch in of.batches for name in batch.ids])
    share = (of.weight / of.weight.sum()).numpy()[:, None]
    for code, vectors in one_by_one(encoder, store, rows).items():
        centre, matrix = (getattr(encoder, f"{code}_{part}").double().numpy() for part in ("centre", "whitening"))
        white = (vectors - centre) @ matrix
        assert np.abs((share * white).sum(0)).max() < 1e-4
        covariance = (share * white).T @ white
        offset = vectors - (share * vectors).sum(0)
        variance = np.linalg.eigvalsh((share * offset).T @ offset)
        expected = variance[-6:] * (variance[-6:] + FLOOR * variance[-1]) ** (-2 * POWER)
        np.testing.assert_allclose(covariance, np.diag(expected), atol=2e-3 * expected.max())


def test_whitening_does_not_depend_on_how_drawings_are_batched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = model(), model()
    everything(store).whiten(one)
    monkeypatch.setattr(module, "AT_ONCE", 2)
    everything(store).whiten(other)
    for code in ("sequence", "geometry"):
        a, b = (getattr(encoder, f"{code}_whitening") for encoder in (one, other))
        torch.testing.assert_close(a @ a.T, b @ b.T, atol=5e-3, rtol=5e-3)  # axes may point the other way
        torch.testing.assert_close(
            getattr(one, f"{code}_centre"), getattr(other, f"{code}_centre"), atol=1e-5, rtol=1e-4
        )


def test_models_without_whitening_stay_as_they_are(store: Store) -> None:
    config = replace(CONFIG, whitening=0)
    encoder, before = model(config), model(config)
    everything(store, config).whiten(encoder)
    assert encoder.state_dict().keys() == before.state_dict().keys()
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in encoder.state_dict().items())
