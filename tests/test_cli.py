"""The command line: every command, and everything that people do to it."""

from __future__ import annotations

import argparse
import csv
import errno
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepdxf import cli
from deepdxf.archive import Archive, encoder_of
from deepdxf.cli import main, number, parser, shown, size_text
from deepdxf.encoder import ENCODERS, load
from deepdxf.errors import EncoderError
from deepdxf.where import COLUMNS, compile_where
from tests import dxf
from tests.test_reader import two_spaces

ROOT = Path(cli.__file__).parents[1]
COMMANDS = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)).choices


class Result(SimpleNamespace):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Result(code=code, out=out, err=err)

    return run


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Runs a command in a process of its own."""
    command = [sys.executable, "-m", "deepdxf", *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    # buffered as usual, or a full disk would show elsewhere
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(command, **{**pipes, "cwd": ROOT, "env": environment, **options})


def is_one_line(text: str) -> bool:
    return text.startswith("deepdxf: ") and text.count("\n") == 1 and text.endswith("\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with generated drawings in ``drawings`` and their archive in ``archive``; not to be changed."""
    base = tmp_path_factory.mktemp("made")
    assert main(["synth", str(base / "drawings"), "--drawings", "20", "--seed", "3"]) == 0
    assert main(["index", str(base / "drawings"), "--archive", str(base / "archive"), "--workers", "1"]) == 0
    return base


@pytest.fixture(scope="module")
def drawing(made: Path) -> Path:
    """One of the drawings: a base with its edits beside it."""
    return min((made / "drawings").glob("*/00000_base.dxf"))


def write(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or dxf.encode(dxf.document(dxf.line(0, 0, 10, 5))))
    return path


# --- the parser and its help -----------------------------------------------------------------------------------------


ISSUED = {
    "inspect": "FILE --space model --layouts --xrefs",
    "encode": "PATH --out DIR",
    "embed": "PATH --out FILE.npz --encoder NAME",
    "index": "PATH --archive DIR",
    "search": "FILE --archive DIR -k 10 --where x --any-size --mirrored --rotated --min-score 0.5",
    "remove": "--archive DIR --id ID --where x --dry-run",
    "compare": "A B --space paper",
    "split": "FILE --out DIR --gap 2 --all",
    "evaluate": "PATH --groups groups.csv --encoder NAME --rankings OUT.jsonl",
    "synth": "OUT --drawings 5 --seed 1",
    "encoders": "",
    "serve": "--archive DIR",
    "train": "base --out DIR",
    "finetune": "PATH --model DIR --out DIR",
    "objectives": "",
    "plot": "map PATH --method tsne",
    "experiment": "objectives --size smoke",
    "duplicates": "--archive DIR --decide not --group a b",
    "revisions": "FILE --archive DIR --min-confidence 0.8",
    "report": "duplicates --archive DIR --out x.html",
    "watch": "PATH --archive DIR --every 5",
    "metadata": "parts.csv --archive DIR --key PartNo --by field:TAG",
    "export": "--archive DIR --out x.zip",
    "import": "x.zip --archive DIR",
    "demo": "",
}


def test_the_commands() -> None:
    assert list(COMMANDS) == list(ISSUED)


@pytest.mark.parametrize("name", ISSUED)
def test_options_and_help(name: str, run: Any) -> None:
    arguments = parser().parse_args([name, *ISSUED[name].split(), "--json", "--quiet", "--debug"])
    assert arguments.json and arguments.quiet and arguments.debug
    result = run(name, "--help")
    assert result.code == 0
    assert not result.err
    examples = result.out.split("examples:\n")[1].strip().splitlines()
    for example in examples:
        words = shlex.split(example)
        words = words[words.index("deepdxf") + 1 :]  # torchrun … -m deepdxf
        assert parser().parse_args(words).command == name
    undocumented = [action.dest for action in COMMANDS[name]._actions if not action.help]
    assert not undocumented


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "required: COMMAND"),
        ("nothing", "invalid choice"),
        ("search x.dxf", "--archive"),
        ("search x.dxf --archive a -k 0", "'0' is not a whole number of 1 or more"),
        ("search x.dxf --archive a -k ten", "'ten' is not a whole number of 1 or more"),
        ("search x.dxf --archive a --min-score nan", "'nan' is not a number"),
        ("search --archive a", "name one query"),
        ("search x.dxf --archive a --text word", "name one query"),
        ("search --archive a --text word --mirrored", "need a FILE"),
        ("index x --archive a --timeout -1", "-1 is not a number above 0"),
        ("index x --arch a", "--archive"),
        ("evaluate x --groups x.csv --depth 5", "--rankings"),
        ("demo --drawings 3", "'3' is not a whole number of 20 or more"),
    ],
)
def test_a_wrong_command_line(run: Any, arguments: str, message: str) -> None:
    result = run(*arguments.split())
    assert result.code == 2
    assert not result.out
    assert message in result.err


def test_version(run: Any) -> None:
    result = run("--version")
    assert (result.code, result.out.split()[0]) == (0, "deepdxf")


def test_the_list_of_commands_is_current() -> None:
    place = importlib.util.spec_from_file_location("make_cli", ROOT / "docs" / "make_cli.py")
    assert place and place.loader
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: python docs/make_cli.py"


def test_every_column_of_the_filters_is_documented() -> None:
    text = (ROOT / "docs" / "filters.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \| .*? \| `(.+)` \|$", text, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(COLUMNS)
    for name, kind, example in rows:
        assert kind == COLUMNS[name][0].value, name
        assert name in example
        compile_where(example)


def test_filters_in_examples_compile() -> None:
    text = (ROOT / "docs" / "filters.md").read_text(encoding="utf-8")
    expressions = re.findall(r'--where "(.+?)"', text)
    assert len(expressions) >= 2
    for expression in expressions:
        compile_where(expression)


# --- every command ---------------------------------------------------------------------------------------------------


def test_inspect(run: Any, drawing: Path) -> None:
    result = run("inspect", drawing)
    assert result.code == 0
    assert re.search(r"^entities +\d+: \d+ ", result.out, re.MULTILINE)
    found = run("inspect", drawing, "--json").json
    assert found["file"] == str(drawing)
    assert sum(found["counts"].values()) == found["entities"] > 10


def test_inspect_tells_the_problems(run: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "cut.dxf", dxf.encode(dxf.document(dxf.line(0, 0, 10, 5) * 3))[:-40])
    assert re.search(r"^problems .*truncated \(1: ", run("inspect", file).out, re.MULTILINE)
    assert [code for code, _, _ in run("inspect", file, "--json").json["problems"]] == ["truncated"]


def test_inspect_lists_dirt(run: Any, tmp_path: Path) -> None:
    lines = dxf.line(0, 0, 10, 5) + dxf.line(10, 5, 0, 0) + dxf.line(3, 3, 3, 3)
    file = write(tmp_path / "dirty.dxf", dxf.encode(dxf.document(lines)))
    assert re.search(r"^dirt +1 drawn twice, 1 of no length$", run("inspect", file).out, re.MULTILINE)
    found = run("inspect", file, "--json").json
    assert found["dirt"] == {"double": 1, "empty": 1}
    assert [place["kind"] for place in found["dirty_places"]] == ["double", "empty"]


def test_layouts_are_listed_and_read(run: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "sheet.dxf", two_spaces(True))
    assert run("inspect", file, "--layouts", "--json").json["spaces"] == {"model": 1, "Layout1": 2, "Second": 1}
    assert re.search(r"^Layout1 +2 entities$", run("inspect", file, "--layouts").out, re.MULTILINE)
    assert run("inspect", file, "--space", "Layout1", "--json").json["entities"] == 2
    assert run("compare", file, file, "--space", "Layout1", "--json").json["classes"].keys() == {"CIRCLE"}
    vectors = {}
    for space in ("model", "Layout1", "paper"):
        out = tmp_path / f"{space}.npz"
        assert run("embed", file, "--out", out, "--space", space, "--workers", 1).code == 0
        vectors[space] = np.load(out)["vectors"][0]
    assert np.array_equal(vectors["Layout1"], vectors["paper"]) and not np.allclose(vectors["model"], vectors["paper"])
    result = run("embed", file, "--out", tmp_path / "no.npz", "--space", "Third", "--workers", 1)
    assert result.code == 1 and "no layout 'Third'" in result.err


def test_encoders(run: Any) -> None:
    assert list(run("encoders", "--json").json) == list(ENCODERS)
    assert [line.split()[0] for line in run("encoders").out.splitlines()] == list(ENCODERS)


def test_compare(run: Any, drawing: Path) -> None:
    edited = next(path for path in sorted(drawing.parent.glob("00000_*.dxf")) if path != drawing)
    same = run("compare", drawing, drawing, "--json").json
    assert same["similarity"] == pytest.approx(1.0, abs=1e-5)
    assert set(same["codes"]) == {"sequence", "geometry"}
    other = run("compare", drawing, edited, "--json").json
    assert 0 < other["similarity"] < same["similarity"]
    assert f"{other['similarity']:.4f}" in run("compare", drawing, edited).out


def test_encode(run: Any, drawing: Path, tmp_path: Path) -> None:
    result = run("encode", drawing.parent, "--out", tmp_path / "codes", "--json", "--workers", 1)
    assert result.code == 0
    encoded = result.json["encoded"]
    assert list(encoded) == sorted(path.name for path in drawing.parent.iterdir())
    assert all(Path(target).is_file() for target in encoded.values())
    assert result.json["failed"] == {}


def test_search_finds_what_is_like_it(run: Any, made: Path, drawing: Path, tmp_path: Path) -> None:
    page, table = tmp_path / "hits.html", tmp_path / "hits.csv"
    options = ["--archive", made / "archive", "-k", 5]
    result = run("search", drawing, *options, "--html", page, "--csv", table, "--json")
    hits = result.json["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4, 5]
    assert hits == sorted(hits, key=lambda hit: (-hit["score"], hit["id"]))
    name = drawing.relative_to(made / "drawings").as_posix()
    assert hits[0]["path"].startswith(name.removesuffix("_base.dxf"))  # an edit of it
    assert name not in [hit["path"] for hit in hits]  # itself is no answer
    with table.open(encoding="utf-8-sig", newline="") as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == [hit["id"] for hit in hits]
    assert page.read_text(encoding="utf-8").count('<img src="data:image/png;base64,iVBOR') == 6
    lines = run("search", drawing, *options).out.splitlines()
    assert len(lines) == 6
    for line, hit in zip(lines[1:], hits, strict=True):
        same = [f"{hit['same_part']:.0%}"] if "same_part" in hit else []
        assert line.split()[: 3 + len(same)] == [str(hit["rank"]), f"{hit['score']:.3f}", *same, hit["path"]]


def test_search_by_id_is_search_by_file(run: Any, made: Path, drawing: Path) -> None:
    options = ["--archive", made / "archive", "-k", 3, "--json"]
    best = run("search", drawing, *options).json["hits"][0]
    by_id = run("search", "--id", best["id"], *options).json
    by_file = run("search", Path(best["root"], best["path"]), *options).json
    assert by_id["query"] == best["id"]
    assert by_id["hits"] == by_file["hits"]
    turned = [run("search", *query, *options, "--rotated").json["hits"] for query in (["--id", best["id"]], [drawing])]
    assert len(turned[0]) == len(turned[1]) == 3


def test_search_narrowed(run: Any, made: Path, drawing: Path) -> None:
    options = ["--archive", made / "archive", "--json", "-k", 20]
    every = run("search", drawing, *options).json["hits"]
    least = every[4]["score"]
    assert run("search", drawing, *options, "--min-score", least).json["hits"] == every[:5]
    few = run("search", drawing, *options, "--where", "path like '%moved%'").json["hits"]
    assert [hit["path"] for hit in few] == [hit["path"] for hit in every if "moved" in hit["path"]]
    none = run("search", drawing, "--archive", made / "archive", "--where", "entities < 0")
    assert (none.code, none.out) == (0, "no drawing of the archive passes\n")


def test_search_by_text(run: Any, made: Path, drawing: Path, tmp_path: Path) -> None:
    options = ["--archive", made / "archive", "-k", 4]
    page = tmp_path / "hits.html"
    hits = run("search", "--text", "base", *options, "--html", page, "--json").json["hits"]
    assert hits and all("base" in hit["path"] or "match" in hit for hit in hits)
    assert "“base”" in page.read_text(encoding="utf-8")
    assert 'base64,"' not in page.read_text(encoding="utf-8")  # no picture without content
    least = hits[0]["score"]
    best = run("search", "--text", "base", *options, "--min-score", least, "--json").json["hits"]
    assert best == [hit for hit in hits if hit["score"] >= least]


def test_embed_and_evaluate(run: Any, made: Path, tmp_path: Path) -> None:
    vectors, rankings = tmp_path / "vectors.npz", tmp_path / "rankings.jsonl"
    folder = made / "drawings"
    encoder = ["--encoder", "histogram", "--workers", 1]
    result = run("embed", folder, "--out", vectors, "--json", *encoder)
    assert result.json["shape"] == [20, 12]
    with np.load(vectors) as arrays:
        assert set(arrays.files) == {"files", "vectors"}
        files = arrays["files"].tolist()
        assert files == sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.dxf"))
        np.testing.assert_allclose(np.linalg.norm(arrays["vectors"], axis=1), 1, rtol=1e-5)
        scores = arrays["vectors"] @ arrays["vectors"].T
    groups = ["--groups", folder / "groups.csv"]
    report = run("evaluate", folder, *groups, *encoder, "--no-verify", "--rankings", rankings, "--json").json
    assert report["verified"] == 0
    assert report["drawings"] == 20
    assert report["not_read"] == {}
    lines = [json.loads(line) for line in rankings.read_text(encoding="utf-8").splitlines()]
    assert lines == sorted(lines, key=lambda line: line["query"])
    for line in lines:
        assert list(line) == ["query", "hits"]
        assert line["query"] not in [file for file, _ in line["hits"]]
        assert len(line["hits"]) == 19
        for file, score in line["hits"]:
            assert score == pytest.approx(scores[files.index(line["query"]), files.index(file)], abs=1e-5)


def test_evaluate_verifies_like_search(run: Any, made: Path, tmp_path: Path) -> None:
    """Rankings of `evaluate` are, hit by hit, what `search` gives for the same query."""
    folder, rankings = made / "drawings", tmp_path / "rankings.jsonl"
    options = ["--groups", folder / "groups.csv", "--workers", 1]
    assert run("evaluate", folder, *options, "--rankings", rankings, "--json").json["verified"] == 60
    assert "first 60 hits verified" in run("evaluate", folder, *options).out.splitlines()[0]
    line = json.loads(rankings.read_text(encoding="utf-8").splitlines()[0])
    found = run("search", folder / line["query"], "--archive", made / "archive", "-k", 19, "--json").json["hits"]
    assert {hit["path"]: hit["score"] for hit in found} == pytest.approx(dict(line["hits"]), abs=2e-6)
    assert [hit["score"] for hit in found] == pytest.approx([score for _, score in line["hits"]], abs=2e-6)


def test_search_verifies_unless_told_not_to(run: Any, made: Path, drawing: Path) -> None:
    options = ["--archive", made / "archive", "-k", 19, "--json"]
    bare = {hit["path"]: hit for hit in run("search", drawing, *options, "--no-verify").json["hits"]}
    hits = run("search", drawing, *options).json["hits"]
    assert {hit["overlap"] for hit in bare.values()} == {None}
    for hit in hits:
        assert hit["score"] == pytest.approx((bare[hit["path"]]["score"] + 0.3 * hit["overlap"]) / 1.3, abs=1e-5)
    moved = next(hit for hit in hits if hit["path"].endswith("_moved.dxf"))
    assert moved["overlap"] == 1.0


def test_an_archive_without_sketches_is_searched_and_says_so(run: Any, drawing: Path, tmp_path: Path) -> None:
    address = tmp_path / "archive"
    assert main(["index", str(drawing.parent), "--archive", str(address), "--workers", "1"]) == 0
    archive = Archive.open(address)
    archive._table.update(values_sql={"sketch": "CAST(NULL AS binary)"})
    result = run("search", drawing, "--archive", address, "--json")
    assert "not verified" in result.err and "index their folders again" in result.err
    bare = run("search", drawing, "--archive", address, "--no-verify", "--json")
    assert not bare.err
    # of what was to be verified and was not, the share of same parts is not known
    hits = [{key: value for key, value in hit.items() if key != "same_part"} for hit in bare.json["hits"]]
    assert hits == result.json["hits"]
    run("index", drawing.parent, "--archive", address, "--workers", 1)
    again = run("search", drawing, "--archive", address, "--json")
    assert not again.err and all(hit["overlap"] is not None for hit in again.json["hits"])


def test_demo(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = run("demo", "--out", out, "--drawings", 20)
    assert result.code == 0
    assert "deepdxf index FOLDER --archive my-archive" in result.out
    assert (out / "hits.html").resolve().as_uri() in result.out
    assert (out / "hits.html").is_file()


def test_demo_replaces_nothing_but_a_demo(run: Any, tmp_path: Path) -> None:
    mine = write(tmp_path / "drawings" / "mine.dxf")
    result = run("demo", "--out", tmp_path)
    assert result.code == 1
    assert is_one_line(result.err)
    assert mine.is_file()
    cli.clear_demo(tmp_path / "new")
    write(tmp_path / "new" / "drawings" / "generated.dxf")
    write(tmp_path / "new" / "notes.txt")
    cli.clear_demo(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [cli.DEMO_MARK, "notes.txt"]


# --- bad input: one file ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that cannot be read, and readable ones with names that make trouble."""
    folder = tmp_path_factory.mktemp("bad")
    write(folder / "empty.dxf", b" ")
    write(folder / "picture.dxf", b"\x89PNG\r\n\x1a\n" + bytes(50))
    write(folder / "folder.dxf" / "inside.dxf")
    for name in GOOD_NAMES:
        write(folder / name)
    return folder


GOOD_NAMES = ["with space.dxf", "图纸 中文.dxf", "[bold] 100%s.dxf"]
GOOD_NAMES += ["new\nline.dxf", "esc\x1b[31m.dxf"] if os.name == "posix" else []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.dxf", "no such file"),
        ("empty.dxf", "the file is empty"),
        ("picture.dxf", "a PNG picture"),
        ("folder.dxf", "is a folder"),
        ("missing\nline.dxf", "no such file"),
    ],
)
@pytest.mark.parametrize("command", ["inspect {}", "compare {} {}", "search {} --archive {archive}"])
def test_a_file_that_is_no_drawing(run: Any, made: Path, bad: Path, name: str, reason: str, command: str) -> None:
    words = [word.format(bad / name, archive=made / "archive") for word in command.split(" ")]
    result = run(*words, "--json")
    assert result.code == 1
    assert not result.out
    assert is_one_line(result.err)
    assert reason in result.err
    assert result.err.count(str(bad)) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything may be read by this user")
def test_no_permission(run: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "mine.dxf")
    file.chmod(0)
    result = run("inspect", file)
    assert (result.code, is_one_line(result.err)) == (1, True)
    assert "no permission" in result.err


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_names_that_make_trouble(run: Any, bad: Path, name: str) -> None:
    result = run("inspect", bad / name)
    assert result.code == 0
    assert "\x1b" not in result.out
    assert all(re.match(r"[a-z ]+  \S", line) for line in result.out.splitlines())
    assert run("inspect", bad / name, "--json").json["file"] == str(bad / name)


def test_a_drawing_without_content(run: Any, made: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "nothing.dxf", dxf.encode(dxf.document("")))
    result = run("search", file, "--archive", made / "archive")
    assert (result.code, is_one_line(result.err)) == (1, True)
    assert "nothing in it" in result.err


# --- bad input: folders ----------------------------------------------------------------------------------------------


@contextmanager
def growing(path: Path) -> Iterator[None]:
    """A drawing that another program is writing all the time."""
    write(path, dxf.encode(dxf.document(dxf.line(0, 0, 10, 5) * 3000)))  # long enough to be caught growing
    done = threading.Event()

    def grow() -> None:
        while not done.is_set():
            with path.open("ab") as file:
                file.write(b"999\ngrowing\n")
            time.sleep(0.0002)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_folder_with_bad_files(run: Any, bad: Path, tmp_path: Path) -> None:
    folder, archive, report = tmp_path / "folder", tmp_path / "archive", tmp_path / "report.csv"
    shutil.copytree(bad, folder)
    with growing(folder / "growing.dxf"):
        result = run("index", folder, folder / "empty.dxf", "--archive", archive, "--report", report, "--workers", 1)
    assert result.code == 0
    good = len(GOOD_NAMES) + 1
    assert f"{good + 3} added" in result.out
    assert f"{good} ok, 3 failed" in result.out or f"3 failed, {good} ok" in result.out
    failures = sorted(result.err.splitlines())
    assert len(failures) == 3
    assert failures[0] == f"  failed: {folder / 'empty.dxf'}: the file is empty"
    assert failures[1].endswith("growing.dxf: the file changed while it was read; index it again")
    assert failures[2].endswith("picture.dxf: not a DXF or DWG drawing but a PNG picture")
    with report.open(encoding="utf-8-sig", newline="") as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {str(path) for path in folder.rglob("*.dxf") if path.is_file()}
    assert rows[str(folder / "empty.dxf")]["message"] == "the file is empty"
    # once more: what failed has not changed, but for the one that grew on
    again = run("index", folder, "--archive", archive, "--json", "--workers", 1).json
    assert again["statuses"]["failed"] == 2
    names = {hit["path"] for hit in run("search", bad / GOOD_NAMES[0], "--archive", archive, "--json").json["hits"]}
    assert names >= set(GOOD_NAMES)
    table = run("search", bad / GOOD_NAMES[0], "--archive", archive).out
    assert len(table.splitlines()) == len(names) + 1
    assert "\x1b" not in table


def test_embed_and_encode_go_on_after_bad_files(run: Any, bad: Path, tmp_path: Path) -> None:
    out = tmp_path / "vectors.npz"
    result = run("embed", bad, "--out", out, "--encoder", "histogram", "--workers", 1)
    assert result.code == 0
    assert sorted(result.err.splitlines()) == [
        "  failed: empty.dxf: the file is empty",
        "  failed: picture.dxf: not a DXF or DWG drawing but a PNG picture",
    ]
    with np.load(out) as arrays:
        assert sorted(arrays["files"].tolist()) == sorted([*GOOD_NAMES, "folder.dxf/inside.dxf"])
    all_bad = run("encode", bad / "empty.dxf", "--out", tmp_path / "codes", "--json", "--workers", 1)
    assert all_bad.code == 1
    assert all_bad.json == {"encoded": {}, "cut": {}, "failed": {"empty.dxf": "the file is empty"}}


def test_a_folder_without_drawings(run: Any, tmp_path: Path) -> None:
    result = run("embed", tmp_path, "--out", tmp_path / "vectors.npz", "--encoder", "histogram")
    assert (result.code, is_one_line(result.err)) == (1, True)
    assert "no drawings found" in result.err
    result = run("index", tmp_path, "--archive", tmp_path / "archive")
    assert (result.code, result.out.split(" in ")[0]) == (0, "no drawings found")


NEEDS_OUT = {
    "embed {folder} --out {out} --encoder histogram": "cannot write",
    "encode {folder} --out {file}/x": "cannot make the folder",
    "index {folder} --archive {new} --report {out}": "cannot write",
    "search {file} --archive {archive} --html {out}": "cannot write",
    "search {file} --archive {archive} --csv {out}": "cannot write",
    "evaluate {folder} --groups {groups} --rankings {out}": "cannot write",
    "synth {file}": "cannot write",
    "demo --out {file}": "cannot write",
    "index {folder} --archive {file}": "archive",
    "index {folder} --archive {folder}": "not empty, and no archive",
}


@pytest.mark.parametrize("command", NEEDS_OUT)
@pytest.mark.parametrize("out", [".", "missing/out.csv"])
def test_where_nothing_can_be_written(
    run: Any, made: Path, drawing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, out: str
) -> None:
    monkeypatch.setattr("deepdxf.embed.read_many", None)  # the error comes before the work, or the work is lost
    monkeypatch.setattr("deepdxf.archive.read_many", None)
    places = {"folder": made / "drawings", "file": drawing, "groups": made / "drawings" / "groups.csv"}
    places |= {"archive": made / "archive", "new": tmp_path / "new", "out": tmp_path / out}
    before = drawing.read_bytes()
    result = run(*[word.format(**places) for word in command.split()])
    assert (result.code, is_one_line(result.err), result.out) == (1, True, "")
    assert NEEDS_OUT[command] in result.err
    assert drawing.read_bytes() == before


def test_a_full_disk_keeps_the_old_file(
    run: Any, drawing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    out = write(tmp_path / "vectors.npz", b"old")
    result = run("embed", drawing, "--out", out, "--encoder", "histogram", "--workers", 1)
    assert (result.code, is_one_line(result.err)) == (1, True)
    assert os.strerror(errno.ENOSPC) in result.err
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_a_full_disk_while_indexing(run: Any, made: Path, drawing: Path, tmp_path: Path) -> None:
    import resource

    archive = tmp_path / "archive"
    shutil.copytree(made / "archive", archive)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        result = run("index", drawing, "--archive", archive, "--redo", "all", "--workers", 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (result.code, is_one_line(result.err)) == (1, True)
    assert "the disk is full" in result.err
    assert len(run("search", drawing, "--archive", archive, "-k", 50, "--json").json["hits"]) == 19


def test_unknown_encoders(run: Any, made: Path, drawing: Path, tmp_path: Path) -> None:
    for command in ("embed {} --out {}/x.npz", "index {} --archive {}/x", "compare {0} {0}"):
        result = run(*command.format(drawing, tmp_path).split(), "--encoder", "nobody")
        assert (result.code, is_one_line(result.err)) == (1, True)
        assert "unknown encoder 'nobody'; known are descriptor, " in result.err
    result = run("index", drawing, "--archive", made / "archive", "--encoder", "histogram")
    assert (result.code, is_one_line(result.err)) == (1, True)
    assert "was made with encoder 'descriptor" in result.err
    assert list(tmp_path.iterdir()) == []


def test_the_encoder_of_an_archive() -> None:
    for name in ("descriptor", "histogram", "raster", "phash"):
        encoder = load(name)
        assert type(encoder_of(SimpleNamespace(encoder_id=encoder.id, name=""))) is type(encoder)
    with pytest.raises(EncoderError, match="made with encoder 'descriptor-0'"):
        encoder_of(SimpleNamespace(encoder_id="descriptor-0", name=""))


# --- bad input: archives and filters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--where", "layer ="),
        ("--where", "no_column = 1"),
        ("--where", "'; drop table drawings; --"),
        ("--where", "width < 1 or 1 = 1"),
        ("--where", "path = 'x') or (status = 'ok'"),
    ],
)
def test_filters_that_do_not_parse(run: Any, made: Path, drawing: Path, options: str, message: str) -> None:
    for query in ([drawing], ["--text", "base"]):
        result = run("search", *query, "--archive", made / "archive", options, message)
        assert (result.code, is_one_line(result.err), result.out) == (1, True, "")
        assert "filter, position " in result.err
    assert len(run("search", drawing, "--archive", made / "archive", "-k", 50, "--json").json["hits"]) == 19


def test_no_archive(run: Any, drawing: Path, tmp_path: Path) -> None:
    result = run("search", drawing, "--archive", tmp_path / "nowhere")
    assert (result.code, is_one_line(result.err)) == (1, True)
    assert "deepdxf index FOLDER --archive" in result.err
    assert list(tmp_path.iterdir()) == []


def test_unknown_id(run: Any, made: Path) -> None:
    for switches in ([], ["--rotated"]):
        result = run("search", "--id", "it's not", "--archive", made / "archive", *switches)
        assert (result.code, is_one_line(result.err)) == (1, True)
        assert "no drawing with id" in result.err


def test_a_damaged_archive(run: Any, made: Path, drawing: Path, tmp_path: Path) -> None:
    for pattern in ("drawings.lance/data/*", "drawings.lance/_versions/*", "about.lance/data/*"):
        archive = tmp_path / pattern.split("/")[0] / pattern.split("/")[1]
        shutil.copytree(made / "archive", archive)
        for file in archive.glob(pattern):
            file.write_bytes(b"no data")
        result = run("search", drawing, "--archive", archive)
        assert (result.code, is_one_line(result.err)) == (1, True), pattern
        assert str(archive) in result.err


def test_two_indexers_at_once(run: Any, made: Path, tmp_path: Path) -> None:
    both = [start("index", made / "drawings", "--archive", tmp_path / "archive", "--workers", 1) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
    again = run("index", made / "drawings", "--archive", tmp_path / "archive", "--json").json
    assert again["actions"] == {"unchanged": 20}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="sends a POSIX signal")
def test_interrupted_and_continued(run: Any, drawing: Path, tmp_path: Path) -> None:
    folder, archive = tmp_path / "drawings", tmp_path / "archive"
    folder.mkdir()
    count = 600
    for copy in range(count):
        shutil.copy(drawing, folder / f"{copy}.dxf")
    process = start("index", folder, "--archive", archive, "--workers", 1)
    while not (archive / "drawings.lance").exists():
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(1.5)  # long enough to read some, too short to read all
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "the same command goes on from there" in err
    kept = int(re.search(r"(\d+) in the archive", out)[1])
    assert kept < count
    actions = run("index", folder, "--archive", archive, "--json").json["actions"]
    assert (actions.get("unchanged", 0), actions["added"]) == (kept, count - kept)


# --- output ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="closes pipes as POSIX does")
@pytest.mark.parametrize("arguments", ["encoders", "--help"])
def test_a_reader_that_goes_away(arguments: str) -> None:
    read, written = os.pipe()
    os.close(read)
    process = start(arguments, stdout=written)
    os.close(written)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_output_that_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:
        process = start("encoders", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert is_one_line(err)


def test_output_is_unicode_everywhere(drawing: Path) -> None:
    process = start("inspect", drawing, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "×" in out


def test_closed_output(run: Any, drawing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["inspect", str(drawing)]) == 0


@pytest.mark.parametrize("debug", [False, True])
def test_a_defect_is_one_line_unless_debugged(run: Any, monkeypatch: pytest.MonkeyPatch, debug: bool) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("deepdxf.reader.read", fail)
    with pytest.raises(ZeroDivisionError) if debug else nullcontext():
        result = run("inspect", "x.dxf", *(["--debug"] if debug else []))
        assert result.code == 1
        assert is_one_line(result.err)
        assert "ZeroDivisionError: division by zero" in result.err


def test_interrupted(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deepdxf.reader.read", interrupt)
    result = run("inspect", "x.dxf")
    assert (result.code, result.out, result.err) == (130, "", "interrupted\n")


def test_narrow_terminals_and_names_with_markup(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"rank": 1, "score": 0.5, "path": "a[bold]b\n" * 30, "root": "/r", "status": "ok", "entities": 7}
    row |= {"width": 1.0, "height": 2.0, "width_mm": None, "height_mm": None}
    cli.print_hits([row])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2  # output that is no terminal is never folded
    assert "a[bold]b\\n" * 30 in lines[1]
    failed = {**row, "path": "b.dxf", "root": "/s", "status": "failed", "entities": None, "width": None, "rank": 2}
    cli.print_hits([row, failed])
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split()[2].startswith("r/a[bold]")
    assert second.split() == ["2", "0.500", "s/b.dxf", "failed"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (73.66, "73.66"), (0.00123456, "0.001235"), (999.96, "1000"), (52061.4, "52061"), (1.5e6, "1500000")],
)
def test_numbers_are_written_as_people_do(value: float, text: str) -> None:
    assert number(value) == text


def test_sizes() -> None:
    assert size_text(2.9, 2.25, 25.4) == "73.66 × 57.15 mm"
    assert size_text(2.9, 2.25, None) == "2.9 × 2.25 (unit not stated)"
    assert size_text(None, None, None) == ""


def test_shown() -> None:
    assert shown("a\tb\x1b[31m\u2028图 ×\ud800") == "a\\tb\\x1b[31m\\u2028图 ×\\ud800"


def test_remove_forgets_rows_and_no_files(tmp_path: Path, run: Any) -> None:
    folder, archive = tmp_path / "drawings", tmp_path / "archive"
    assert run("synth", folder, "--drawings", 20).code == 0
    assert run("index", folder, "--archive", archive).code == 0
    files = sorted(folder.rglob("*.dxf"))
    listed = run("remove", "--archive", archive, "--where", "path like '%_base%'", "--dry-run", "--json").json
    assert listed["dry_run"] and len(listed["removed"]) == 2
    assert run("remove", "--archive", archive, "--where", "path like '%_base%'").code == 0
    assert run("remove", "--archive", archive, "--where", "path like '%_base%'", "--json").json["removed"] == []
    assert run("remove", "--archive", archive, "--id", "0" * 16).code == 1
    assert run("remove", "--archive", archive).code == 2
    assert sorted(folder.rglob("*.dxf")) == files


def test_encode_says_what_the_limit_cut(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "long.dxf"
    path.write_bytes(dxf.encode(dxf.document("".join(dxf.line(i, 0, i, 1) for i in range(4100)))))
    result = run("encode", path, "--out", tmp_path / "codes", "--json")
    assert result.code == 0 and result.json["cut"] == {"long.dxf": 4}
    assert "4 rows beyond the limit" in run("encode", path, "--out", tmp_path / "codes").err
