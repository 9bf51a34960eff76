"""Training: every configuration runs, resumes, spreads over processes, and stops when it must."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawings import circle, drawing, line, polyline

from deepdxf import config as configuration
from deepdxf import train
from deepdxf.config import TrainConfig
from deepdxf.drawing import Drawing
from deepdxf.errors import DeepDXFError
from deepdxf.loader import Key, Loader, Plan, Samples
from deepdxf.store import Store
from deepdxf.train import BEST, CHECKPOINT, Data, fit, part, prepared, read_state, run

ROOT = Path(__file__).parent.parent
FAST = {"OMP_NUM_THREADS": "1"}
# Few kinds of views: those of drawings of a dozen entities would be empty otherwise, and slow
SMALL = [
    "encoder.size=tiny",
    "encoder.head_across=32",
    "data.workers=0",
    "data.test=0.2",
    "data.validation=0.25",
    "data.synthetic=0",
    "batch.drawings=5",
    "batch.chunk=2",
    "stopping.epochs=2",
    "checkpoint.every=2",
    "checkpoint.onnx=false",
    "views.drop_run=0",
    "views.crop=0",
]


def plate(number: int) -> Drawing:
    """One of many different drawings of a dozen entities."""
    rng = np.random.default_rng(number)
    width, height = rng.uniform(20, 100, 2)
    rows = [polyline([(0, 0), (width, 0), (width, height), (0, height)])]
    rows += [circle(*(rng.random(2) * [width, height]), rng.uniform(1, 5)) for _ in range(4)]
    rows += [line(*(rng.random(4) * [width, height, width, height])) for _ in range(6)]
    return drawing(*rows)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "store"
    Store.write(folder, {f"plate-{i:02d}": plate(i) for i in range(25)})
    return folder


def small(store: Path, name: str, *overrides: str) -> TrainConfig:
    return configuration.load(name, [*SMALL, f"data.store={store.as_posix()}", *overrides])


def parted(config: TrainConfig) -> Data:
    return part(*prepared(config, Path()), config)


def fitted(config: TrainConfig, folder: Path, **options: Any) -> train.Fitted:
    folder.mkdir(exist_ok=True)
    return fit(config, parted(config), folder, quiet=True, **options)


def weights(folder: Path, name: str = "learner") -> dict[str, Any]:
    state: dict[str, Any] = read_state(folder / CHECKPOINT)[name]
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# --- whole runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, overrides",
    [
        (
            "tiny",
            [
                "data.synthetic=50",
                "data.store=null",
                "data.validation=0.3",
                "stopping.epochs=1",
                "stopping.measure=P@1",
            ],
        ),
        ("gf", []),
        ("deepdxf", ["encoder.limit=64"]),
        ("multimodal", ["views.views=4", "views.strength=0.5", "stopping.epochs=1"]),
        ("base", []),
        (
            "joint",
            ["data.folds=2", "stopping.epochs=1", "grid={temperature: [0.07, 0.2]}", "optimiser.name=lars"],
        ),
    ],
)
def test_every_configuration_runs(name: str, overrides: list[str], store: Path, tmp_path: Path) -> None:
    config = small(store, name, *overrides)
    report = run(config, tmp_path / "run", quiet=True)
    for file in (
        "config.yaml",
        "log.txt",
        "metrics.csv",
        "checkpoint.pt",
        "evaluation.json",
        "model/weights.safetensors",
    ):
        assert (tmp_path / "run" / file).is_file(), file
    assert configuration.load(tmp_path / "run" / "config.yaml") == config
    assert report == json.loads((tmp_path / "run" / "evaluation.json").read_text(encoding="utf-8"))
    assert set(report["encoders"]) == {"trained", "untrained weights", "descriptor"}
    assert report["part"] == "test" and report["drawings"] > 0
    for figures in report["encoders"].values():
        assert 0 <= figures["metrics"]["mAP"]["mean"] <= 1
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    steps = [row for row in rows if row["kind"] == "train"]
    assert [int(row["step"]) for row in steps] == list(range(1, report["steps"] + 1))
    assert all(float(row[f"loss/{term}"]) >= 0 for row in steps for term in config.terms)
    assert any(float(row["loss"]) > 0 for row in steps)
    assert [row for row in rows if row["kind"] == "validation" and row["score"]]
    if config.grid:
        with (tmp_path / "run" / "folds.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert [(line["temperature"], line["fold"]) for line in lines] == [
            ("0.07", "0"), ("0.07", "1"), ("0.2", "0"), ("0.2", "1"),
        ]  # fmt: skip
    with pytest.raises(DeepDXFError, match="holds a run already; go on with it by --resume"):
        run(config, tmp_path / "run", quiet=True)


@pytest.mark.parametrize("optimiser, precision", [("sgd", "bf16"), ("adamw", "fp16"), ("lars", "bf16")])
def test_optimisers_and_precisions(optimiser: str, precision: str, store: Path, tmp_path: Path) -> None:
    config = small(
        store, "multimodal", f"optimiser.name={optimiser}", f"precision.name={precision}", "stopping.steps=3",
        "optimiser.lr=1e-3", "balance.name=uncertainty",
    )  # fmt: skip
    data = parted(config)
    torch.manual_seed(0)
    model = train.DualEncoder(config.encoder)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fit(config, data, tmp_path, model=model, quiet=True)
    after = model.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values() if value.is_floating_point())
    assert all(value.dtype == before[key].dtype for key, value in after.items())
    for branch in ("sequence.", "geometry.", "heads.sequence_within", "heads.geometry_across"):
        assert any(not torch.equal(value, before[key]) for key, value in after.items() if key.startswith(branch)), (
            branch
        )


# --- the same weights ------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from deepdxf import config, train
from deepdxf.train import fit, part, prepared

steps = 0
real = train.train_step

def deadly(*arguments):
    global steps
    steps += 1
    if steps == int(sys.argv[3]):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return real(*arguments)

if __name__ == "__main__":
    train.train_step = deadly
    settings = config.load(Path(sys.argv[1]))
    folder = Path(sys.argv[2])
    fit(settings, part(*prepared(settings, folder), settings), folder, quiet=True)
"""


def test_a_killed_run_goes_on_to_the_same_weights(store: Path, tmp_path: Path) -> None:
    """Queue, momentum copy, learned balance and averaged weights included; killed in the middle of the second epoch."""
    config = small(
        store, "multimodal", "balance.name=uncertainty", "stopping.epochs=3", "checkpoint.every=1",
        "terms.queue={objective: margin-queue, options: {length: 8}}",
    )  # fmt: skip
    whole = fitted(config, tmp_path / "whole")
    broken = tmp_path / "broken"
    broken.mkdir()
    (tmp_path / "config.yaml").write_text(configuration.to_yaml(config), encoding="utf-8")
    steps = plan(config).steps
    assert steps >= 3
    kill_at = steps + 3
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "config.yaml"), str(broken), str(kill_at)],
        env={**os.environ, **FAST}, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -getattr(signal, "SIGKILL", 0) or os.name == "nt", done.stderr
    progress = read_state(broken / CHECKPOINT)["progress"]
    assert (progress["epoch"], progress["done"], progress["step"]) == (1, 2, kill_at - 1)
    resumed = fitted(config, broken, resume=True)
    assert resumed.steps == whole.steps
    for name in ("learner", "averaged"):
        assert equal(weights(tmp_path / "whole", name), weights(broken, name))
    assert equal(read_state(tmp_path / "whole" / BEST)["weights"], read_state(broken / BEST)["weights"])

    def figures(folder: Path) -> list[str]:
        return (folder / "metrics.jsonl").read_text().splitlines()

    assert figures(tmp_path / "whole") == figures(broken)


def plan(config: TrainConfig) -> Plan:
    return train.plan_of(config, parted(config), train.Processes())


def test_two_processes_give_the_weights_of_one(store: Path, tmp_path: Path) -> None:
    config = small(store, "multimodal", "batch.drawings=6", "stopping.epochs=1", "batch.chunk=3")
    fitted(config, tmp_path / "one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "deepdxf", "train", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "two")]
    (tmp_path / "config.yaml").write_text(configuration.to_yaml(config), encoding="utf-8")
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [*command, "--quiet"], env={**os.environ, **FAST, **address, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=2e-4, rtol=1e-3, msg=key)
    assert "model:" in outputs[0][0] and outputs[1][0] == ""


def test_workers_change_nothing(store: Path) -> None:
    config = small(store, "tiny")
    made = []
    for workers in (0, 2):
        loader = Loader(Samples(Store.open(store), config.views, config.encoder, config.seed), workers)
        for epoch in (0, 1):  # one loader for all epochs
            keys = [key for batch in plan(config).batches(epoch) for key in batch]
            made.append(list(loader.chunks(keys)))
    for here, there in zip(made[0] + made[1], made[2] + made[3], strict=True):
        assert (here.number, here.first) == (there.number, there.first)
        for one, other in zip(here.views, there.views, strict=True):
            for name in ("cls", "values", "edge", "classic", "place"):
                assert torch.equal(getattr(one, name).nan_to_num(-9), getattr(other, name).nan_to_num(-9))


def test_every_drawing_is_used_once_an_epoch_and_dealt_anew(store: Path) -> None:
    config = small(store, "tiny")
    dealt = [[row for batch in plan(config).batches(epoch) for key in batch for row in key.rows] for epoch in range(2)]
    assert sorted(dealt[0]) == sorted(dealt[1]) == parted(config).train.tolist()
    assert dealt[0] != dealt[1]
    for batch in plan(config).batches(0):
        assert [key.first for key in batch] == np.cumsum([0, *(len(key.rows) for key in batch[:-1])]).tolist()
        assert max(len(key.rows) for key in batch) <= config.batch.chunk


def test_chunks_do_not_change_a_step(store: Path, tmp_path: Path) -> None:
    quiet = ["encoder.dropout=0", "encoder.order_dropout=0", "encoder.size_dropout=0", "stopping.steps=1"]
    found = []
    for chunk in (1, 5):
        config = small(store, "multimodal", f"batch.chunk={chunk}", *quiet, "optimiser.name=sgd", "optimiser.clip=0")
        fitted(config, tmp_path / str(chunk))
        found.append(weights(tmp_path / str(chunk)))
    for key, value in found[0].items():
        torch.testing.assert_close(found[1][key], value, atol=1e-6, rtol=1e-4, msg=key)


# --- validation, stopping --------------------------------------------------------------------------------------------


def test_the_best_state_is_kept_and_training_stops(store: Path, tmp_path: Path) -> None:
    config = small(store, "multimodal", "stopping.epochs=9", "stopping.patience=2", "optimiser.lr=1e-5")
    scores = iter([0.2, 0.5, 0.4, 0.3, 0.9])
    config = replace(config, data=replace(config.data, validation=0.0))  # no loss: the score alone decides
    seen: list[dict[str, Any]] = []

    def judge(model: train.DualEncoder) -> dict[str, float]:
        seen.append({key: value.clone() for key, value in model.state_dict().items()})
        return {"score": next(scores)}

    result = fitted(config, tmp_path, judge=judge)
    assert result.score == 0.5 and len(seen) == 4
    assert result.stopped == "no better for 2 validations"
    assert equal(seen[1], result.model.state_dict())
    resumed = fitted(config, tmp_path, judge=judge, resume=True)  # nothing more to do
    assert len(seen) == 4 and equal(seen[1], resumed.model.state_dict())


def test_training_teaches_something(store: Path, tmp_path: Path) -> None:
    config = small(
        store, "multimodal", "stopping.epochs=9", "optimiser.lr=2e-3", "optimiser.lr_geometry=2e-3", "temperature=0.2",
        "views.strength=0.1", "data.validation=0",
    )  # fmt: skip
    fitted(config, tmp_path)
    with (tmp_path / "metrics.jsonl").open() as file:
        losses = [json.loads(text)["loss"] for text in file]
    assert np.mean(losses[-8:]) < 0.85 * np.mean(losses[:8])


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_fewer_drawings_than_a_batch(store: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DeepDXFError, match=r"the training part has 15 drawings, a batch takes 64: .* batch.drawings=15"
    ):
        fitted(small(store, "tiny", "batch.drawings=64"), tmp_path)


def test_drawings_that_are_all_the_same(tmp_path: Path) -> None:
    Store.write(tmp_path / "store", {f"copy-{i}": plate(1) for i in range(9)})
    with pytest.raises(DeepDXFError, match=r"all 9 drawings of the training part are the same, or of one family"):
        fitted(small(tmp_path / "store", "tiny", "data.test=0", "data.validation=0"), tmp_path / "run")


def test_no_drawings(tmp_path: Path) -> None:
    config = configuration.load("gf")
    with pytest.raises(DeepDXFError, match=r"no drawings: name files and folders in data.drawings"):
        run(config, tmp_path / "run", quiet=True)


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"PK\x03\x04" + bytes(100), None], ids=["empty", "text", "cut", "half"]
)
def test_a_broken_checkpoint_is_one_line(content: bytes | None, store: Path, tmp_path: Path) -> None:
    config = small(store, "tiny", "stopping.steps=1")
    fitted(config, tmp_path)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DeepDXFError, match=r"checkpoint.pt is damaged; delete it to begin again"):
        fitted(config, tmp_path, resume=True)


def test_a_checkpoint_of_other_settings(store: Path, tmp_path: Path) -> None:
    fitted(small(store, "tiny", "stopping.steps=1"), tmp_path)
    with pytest.raises(DeepDXFError, match=r"was made with another optimiser.lr; take the same"):
        fitted(small(store, "tiny", "stopping.steps=1", "optimiser.lr=1e-5"), tmp_path, resume=True)
    fitted(small(store, "tiny", "stopping.steps=1", "stopping.patience=7"), tmp_path, resume=True)


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(store, "tiny", "checkpoint.every=1")
    real, written = Path.write_bytes, []

    def full(path: Path, data: Any) -> int:
        if path.name.startswith(f".{CHECKPOINT}"):
            written.append(path)
            if len(written) == 2:
                real(path, bytes(data)[:1000])
                raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DeepDXFError, match=r"checkpoint.pt: No space left on device"):
        fitted(config, tmp_path)
    monkeypatch.undo()
    assert read_state(tmp_path / CHECKPOINT)["progress"]["step"] == 1
    assert not list(tmp_path.glob(".*"))
    assert fitted(config, tmp_path, resume=True).steps == 2 * plan(config).steps


def test_a_batch_that_is_not_finite_is_left_out(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(store, "multimodal", "stopping.epochs=2", "checkpoint.every=1", "stopping.bad_batches=2")
    real, calls = train.Learner.losses, []

    def spoilt(bad: set[int]) -> Any:
        def losses(self: Any, parts: Any, facts: Any) -> Any:
            found = real(self, parts, facts)
            if self.training:
                calls.append(facts.step)
                if facts.step in bad:
                    found["across"] = found["across"] * float("nan")
            return found

        return losses

    monkeypatch.setattr(train.Learner, "losses", spoilt({1}))
    fitted(config, tmp_path / "one")
    text = (tmp_path / "one" / "log.txt").read_text()
    assert "step 2: loss is not finite; the batch is left out" in text
    assert calls == list(range(2 * plan(config).steps))
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "one").values() if value.is_floating_point())

    monkeypatch.setattr(train.Learner, "losses", spoilt({2, 3}))
    with pytest.raises(DeepDXFError, match=r"2 batches in a row were not finite .*last good state is .*checkpoint.pt"):
        fitted(config, tmp_path / "two")
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "two").values() if value.is_floating_point())
    assert read_state(tmp_path / "two" / CHECKPOINT)["progress"]["bad"] < 2


def test_collapse_stops_training(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(store, "multimodal", "stopping.epochs=4", "stopping.collapse=5")
    real = train.Learner.represent

    def one_point(self: Any, chunk: Any) -> Any:
        return {name: part * 0 + 1 if "/" in name else part for name, part in real(self, chunk).items()}

    monkeypatch.setattr(train.Learner, "represent", one_point)
    with pytest.raises(DeepDXFError, match=r"training stopped: step 5: embeddings of \w+ collapse"):
        fitted(config, tmp_path)
    assert "warning: step 5" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["terms={}"], "there is no loss: name at least one term"),
        (["terms.across.codes=sequence"], "terms.across: objective cross-code compares two codes"),
        (["encoder.codes=geometry"], "terms.sequence.codes=sequence: the model has no sequence encoder"),
        (
            ["terms.x={objective: node-contrast, codes: sequence}"],
            "needs tokens that are entities; set encoder.mixer=set",
        ),
        (["terms.x={objective: node-contrast}"], "is about the entities of one code"),
        (["terms.x={objective: distillation}"], "needs a trained model; set teacher=FOLDER"),
        (["terms.x={objective: simcrl}"], "simcrl"),
        (["precision.device=cuda:9"], "precision.device=cuda:9: there is no such device"),
    ],
)
def test_settings_that_do_not_fit(overrides: list[str], message: str, store: Path, tmp_path: Path) -> None:
    with pytest.raises(DeepDXFError, match=message) as error:
        fitted(small(store, "multimodal", *overrides), tmp_path)
    assert "\n" not in str(error.value)


# --- parts of the data -----------------------------------------------------------------------------------------------


def test_less_data_is_a_part_of_more_and_the_test_stays(store: Path) -> None:
    found = [parted(small(store, "tiny", f"data.amount={amount}")) for amount in (0.1, 0.5, 1.0)]
    sizes = [len(data.train) for data in found]
    assert sizes == [int(np.ceil(share * sizes[2])) for share in (0.1, 0.5, 1.0)]
    assert set(found[0].train) < set(found[1].train) < set(found[2].train)
    for data in found:
        np.testing.assert_array_equal(data.test, found[2].test)
        np.testing.assert_array_equal(data.validation, found[2].validation)


def test_what_objectives_are_told_of_the_same_drawings(tmp_path: Path) -> None:
    names = {f"{i}.dxf": plate(i) for i in range(12)} | {"copy.dxf": plate(0)}
    (tmp_path / "groups.csv").write_text("file,group_id\n1.dxf,a\n2.dxf,a\n3.dxf,b\n4.dxf,b\n", encoding="utf-8")
    Store.write(tmp_path / "store", names, groups=tmp_path / "groups.csv")
    facts = {}
    for same in ("family", "content", "off"):
        config = small(tmp_path / "store", "tiny", "data.test=0", "data.validation=0", f"data.same={same}")
        data = part(Store.open(tmp_path / "store"), None, config)
        facts[same] = data.facts([Key(0, 0, 0, tuple(range(13)))], 0, 1)
    place = {name: i for i, name in enumerate(Store.open(tmp_path / "store").names)}
    copies, family = (place["0.dxf"], place["copy.dxf"]), (place["1.dxf"], place["2.dxf"])
    for same, (of_copies, of_family) in {"family": (1, 1), "content": (1, 0), "off": (0, 0)}.items():
        assert facts[same].same[copies] == of_copies and facts[same].same[family] == of_family
        groups = facts[same].groups
        assert bool(groups[copies[0]] == groups[copies[1]] != -1) == bool(of_copies)
        assert bool(groups[family[0]] == groups[family[1]] != -1) == bool(of_family)
        assert facts[same].same.diagonal().all()
        assert int((facts[same].labels >= 0).sum()) == 4


def test_labels_of_a_share_are_told(tmp_path: Path) -> None:
    files = {f"{i:02d}.dxf": plate(i) for i in range(40)}
    lines = "".join(f"{name},{i // 2}\n" for i, name in enumerate(files))
    (tmp_path / "groups.csv").write_text("file,group_id\n" + lines, encoding="utf-8")
    Store.write(tmp_path / "store", files, groups=tmp_path / "groups.csv")
    for share, least, most in ((0.0, 0, 0), (0.5, 10, 30), (1.0, 40, 40)):
        config = small(tmp_path / "store", "tiny", "data.test=0", "data.validation=0", f"data.labels={share}")
        data = part(Store.open(tmp_path / "store"), None, config)
        known = int((data.facts([Key(0, 0, 0, tuple(range(40)))], 0, 1).labels >= 0).sum())
        assert least <= known <= most


def test_a_checkpoint_from_before_a_setting_was_there(store: Path, tmp_path: Path) -> None:
    config = small(store, "tiny", "stopping.steps=1")
    fitted(config, tmp_path)
    state = read_state(tmp_path / CHECKPOINT)
    del state["config"]["data"]["amount"]
    train.write_state(tmp_path / CHECKPOINT, state)
    fitted(config, tmp_path, resume=True)
    with pytest.raises(DeepDXFError, match=r"was made with another data.amount"):
        fitted(small(store, "tiny", "stopping.steps=1", "data.amount=0.5"), tmp_path, resume=True)
