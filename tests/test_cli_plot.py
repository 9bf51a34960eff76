"""The command ``plot`` as users run it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from PIL import Image

from deepdxf import cli_plot, plot
from deepdxf.cli import main, parser
from deepdxf.groups import Member
from deepdxf.synth import generate
from deepdxf.tracking import Tracker


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot, "DPI", 40)


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plots") / "drawings"
    generate(folder, 12, 3)
    return folder


@pytest.fixture(scope="module")
def vectors(drawings: Path) -> Path:
    """Vectors of the drawings, as `deepdxf embed` writes them."""
    names = sorted(path.relative_to(drawings).as_posix() for path in drawings.rglob("*.dxf"))
    made = np.random.default_rng(0).standard_normal((len(names), 16)).astype(np.float32)
    path = drawings.parent / "vectors.npz"
    np.savez(path, files=np.array(names), vectors=made / np.linalg.norm(made, axis=1, keepdims=True))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with three steps and a model that has learned nothing."""
    torch = pytest.importorskip("torch")
    from deepdxf.checkpoint import save_model
    from deepdxf.encoders.config import EncoderConfig
    from deepdxf.encoders.dual import DualEncoder

    folder = tmp_path_factory.mktemp("run")
    with Tracker(folder, quiet=True) as tracker:
        for step in (1, 2, 3):
            tracker.record(
                "train", step, 0, {"loss/a": 3.0 / step, "loss_over_chance/a": 1.0 / step, "alignment/a": 1.0}
            )
        tracker.record("validation", 3, 1, {"mAP": 0.5})
    torch.manual_seed(0)
    save_model(DualEncoder(EncoderConfig(size="tiny", limit=256, head_across=16)), folder / "model", onnx=False)
    return folder


def made(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    """What a plot says of itself; its files are there and not blank."""
    assert main(["plot", *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    for path in map(Path, document["files"]):
        if path.suffix == ".png":
            assert 0.002 < (np.asarray(Image.open(path).convert("L")) < 160).mean() < 0.7
        else:
            assert path.read_bytes().lstrip()[:1] == b"<"
    return document


def test_curves(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = made(["curves", str(run), "--out", str(tmp_path / "new" / "deep")], capsys)
    assert document["kind"] == "curves" and document["steps"] == 3
    assert [Path(path).name for path in document["files"]] == ["curves.png", "curves.svg"]


def test_one_file_by_name_and_flags_before_the_kind(
    vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "Map.SVG"
    assert main(["plot", "--json", "map", str(vectors), "--out", str(target)]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == [str(target)]
    assert [path.name for path in tmp_path.iterdir()] == ["Map.SVG"]


def test_map_by_family_and_source(
    vectors: Path, drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "m.png")]
    count = len(np.load(vectors)["files"])
    assert made(["map", str(vectors), *out], capsys)["color"] == "source"
    document = made(["map", str(vectors), *out, "--groups", str(drawings / "groups.csv"), "--method", "tsne"], capsys)
    assert document["color"] == "family" and document["drawings"] == count and document["method"] == "tsne"


def test_families_have_names_of_what_their_files_share() -> None:
    rows = [("p/01_a.dxf", "g1"), ("p/01_b.dxf", "g1"), ("p/01_b.dxf", "g2"), ("p/01_c.dxf", "g2"), ("x.dxf", "g3")]
    rows += [("y.dxf", "g3")]
    members = [Member(file, group, "revision", "", None, "") for file, group in rows]
    names = cli_plot.family_names(members)
    assert names == {"p/01_a.dxf": "p/01", "p/01_b.dxf": "p/01", "p/01_c.dxf": "p/01", "x.dxf": "g3", "y.dxf": "g3"}


def test_heat_of_a_group(vectors: Path, drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups = drawings / "groups.csv"
    group = groups.read_text(encoding="utf-8").splitlines()[1].split(",")[1]
    arguments = ["heat", str(vectors), "--groups", str(groups), "--out", str(tmp_path / "h.png")]
    document = made([*arguments, "--group", group], capsys)
    lines = [line for line in groups.read_text(encoding="utf-8").splitlines() if line.split(",")[1] == group]
    assert document["drawings"] == len(lines)
    assert main(["plot", *arguments, "--group", group[:-1] + "x"]) == 1
    assert "did you mean" in capsys.readouterr().err


def test_drawings_archive_and_page(drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = str(tmp_path / "archive")
    assert main(["index", str(drawings), "--archive", archive, "--workers", "1", "--quiet"]) == 0
    capsys.readouterr()
    target = tmp_path / "map.html"
    assert made(["page", "--archive", archive, "--out", str(target), "--color", "none"], capsys)["drawings"] == 12
    text = target.read_text(encoding="utf-8")
    assert text.count('class="point"') == text.count("data-picture=") == 12
    document = made(["sphere", "--archive", archive, "--out", str(tmp_path)], capsys)
    assert document["codes"] == ["sequence", "geometry"]
    two = [str(path) for path in sorted(drawings.rglob("*.dxf"))[:2]]
    made(["heat", *two, "--workers", "1", "--quiet", "--out", str(tmp_path / "h.svg")], capsys)


def test_look_into_a_model(run: Path, drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, few = ["--out", str(tmp_path)], ["--workers", "1", "--quiet"]
    document = made(["gap", str(run), str(drawings), *out, *few], capsys)
    assert 0 < document["gap"] <= 2 and 0 <= document["found_first"] <= 1
    document = made(["map", str(drawings), "--color", "code", "--model", str(run / "model"), *out, *few], capsys)
    assert document["color"] == "code" and document["drawings"] == 12
    file = next(drawings.rglob("*_base.dxf"))
    document = made(["attention", str(run), str(file), "-k", "3", *out], capsys)
    shares = [row["share"] for row in document["most_attended"]]
    assert len(shares) == 3 and shares == sorted(shares, reverse=True) and sum(shares) <= 1


def test_matches(drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = next(drawings.rglob("*_base.dxf"))
    other = next(path for path in sorted(base.parent.iterdir()) if "hole" in path.name or "feature" in path.name)
    document = made(["matches", str(base), str(other), "--out", str(tmp_path), "--lines", "4"], capsys)
    assert (
        document["same"] > 0 and document["moved"] + document["changed"] + document["added"] + document["removed"] > 0
    )


def test_gallery_of_best_and_worst(drawings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from deepdxf.groups import load_groups

    protocol = load_groups(drawings / "groups.csv")
    names = sorted(path.relative_to(drawings).as_posix() for path in drawings.rglob("*.dxf"))
    lines = []
    best = protocol.queries[0]
    for query in protocol.files:
        right = [name for q in protocol.queries if q.file == query for name in q.relevant]
        others = [name for name in names if name not in {query, *right}]
        hits = [*right, *others] if query == best.file else [*others, *right]
        lines.append(json.dumps({"query": query, "hits": [[name, 1 - k / 99] for k, name in enumerate(hits)]}))
    rankings = tmp_path / "rankings.jsonl"
    rankings.write_text("\n".join(lines), encoding="utf-8")
    arguments = ["gallery", str(rankings), str(drawings), "-n", "1", "-k", "2", "--out", str(tmp_path)]
    document = made(arguments, capsys)
    assert document["queries"] == 2 and document["shown"][0] == best.file
    assert made([*arguments, "--which", "worst"], capsys)["shown"] == document["shown"][1:]


def test_plane(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = {"experiment": "objectives", "size": "smoke", "settings": {}, "seed": 0, "error": None}
    rows = [
        {**about, "cell": name, "alignment": 0.1 * k, "uniformity": -k, "metrics": {"held_out": {"mAP": 0.5}}}
        for k, name in enumerate(("a", "b", "c"))
    ]
    rows.append({**about, "cell": "d", "alignment": None, "uniformity": None, "metrics": {}, "error": "broken"})
    (tmp_path / "results.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    document = made(["plane", str(tmp_path), "--out", str(tmp_path / "p")], capsys)
    assert document["cells"] == 3 and document["left_out"] == ["d"]


def test_all_of_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = made(["all", str(run), "--out", str(tmp_path / "all")], capsys)
    assert [Path(path).name for path in document["files"]] == ["curves.png", "curves.svg"]


def test_what_cannot_be_done_is_told_in_a_line(
    vectors: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    (tmp_path / "file").write_bytes(b"")
    out = ["--out", str(tmp_path / "x.png")]
    for arguments, message in (
        (["curves", str(tmp_path), *out], "name the folder of a run"),
        (["map", str(tmp_path / "bad.npz"), *out], "deepdxf embed FOLDER"),
        (["map", str(vectors), *out, "--color", "family"], "--groups CSV"),
        (["heat", str(vectors), *out, "--most", "3"], "--most"),
        (["plane", str(tmp_path / "none"), *out], "No such file"),
        (["gap", str(tmp_path), str(tmp_path), *out], "no model in it"),
        (["curves", str(run), "--out", str(tmp_path / "no" / "x.png")], "cannot write"),
        (["curves", str(run), "--out", str(tmp_path / "file")], "cannot make the folder"),
    ):
        assert main(["plot", *arguments]) == 1, arguments
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, (arguments, error)
    assert not (tmp_path / "x.png").exists()
    for arguments in (["map"], ["curves", str(run), "--out", "x.jpg"], ["map", str(vectors), "--method", "nothing"]):
        with pytest.raises(SystemExit) as stop:
            main(["plot", *arguments])
        assert stop.value.code == 2
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "umap", None)
    assert main(["plot", "map", str(vectors), *out, "--method", "umap"]) == 1
    assert "pip install 'deepdxf[maps]'" in capsys.readouterr().err
    monkeypatch.setattr(cli_plot.importlib.util, "find_spec", lambda name: None)
    assert main(["plot", "curves", str(run), *out]) == 1
    assert "pip install 'deepdxf[plot]'" in capsys.readouterr().err


def test_examples_of_all_kinds_are_right() -> None:
    top = parser()
    kinds = {**cli_plot.MAKERS, **cli_plot.WHOLE}
    for name in kinds:
        help_text = subcommand(subcommand(top, "plot"), name)
        lines = str(help_text.epilog).splitlines()[1:]
        assert lines and help_text.description
        for line in lines:
            _, command, *words = line.split()
            if command == "plot":
                assert top.parse_args([command, *words]).kind == name
        assert not [action.dest for action in help_text._actions if not action.help]


def subcommand(command: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    found = next(a.choices for a in command._actions if isinstance(a, argparse._SubParsersAction))
    return found[name]


def test_plain_commands_load_no_matplotlib() -> None:
    code = "import sys, deepdxf.cli, deepdxf.cli_plot; deepdxf.cli.parser(); print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
