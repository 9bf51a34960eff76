"""Experiments: what cells differ in, that every set runs and goes on where it was cut off, and what the tables say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepdxf import cli, cli_experiment, experiment, experiment_sets, finetune
from deepdxf import config as configuration
from deepdxf.errors import DeepDXFError
from deepdxf.experiment import Job, Runner, described, run, settings_of
from deepdxf.experiment_data import Given, halves, prepare
from deepdxf.experiment_sets import NAMES, SIZES, Cell, Set, chosen, find, sets
from deepdxf.experiment_tables import markdown, read_results
from deepdxf.loader import Key, Samples
from deepdxf.objectives import OBJECTIVES
from deepdxf.store import Store

SMOKE = SIZES["smoke"]


@pytest.fixture(autouse=True)
def small_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network of pictures, which takes seconds to load; few drawings of the check of fine-tuning."""
    monkeypatch.setattr(finetune, "SANITY_DRAWINGS", 12)
    monkeypatch.setattr(experiment, "WORST", 6)
    monkeypatch.setattr(experiment, "commit", lambda: "0123456")  # another one may come between two runs
    real = experiment.load_encoder
    monkeypatch.setattr(experiment, "load_encoder", lambda name: real("no such package" if name == "sscd" else name))


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated drawings of an experiment of this size, made once: they are the same for all of them."""
    folder = tmp_path_factory.mktemp("drawings")
    prepare(folder, sets(SMOKE)["objectives"], SMOKE, None, quiet=True)
    return folder


@pytest.fixture
def place(drawings: Path, tmp_path: Path) -> Path:
    shutil.copytree(drawings, tmp_path / "out" / "data")
    return tmp_path / "out"


# --- what is declared ------------------------------------------------------------------------------------------------


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {prefix + key: value}
    return found


@pytest.mark.parametrize("size", SIZES)
def test_every_ablation_differs_from_base_in_the_keys_that_it_names(size: str) -> None:
    this, of = find("ablations", size)
    base = settings_of(this, of, [])
    seen = []
    for cell in this.cells:
        if cell.kind != "train" or cell.name == "base":
            continue
        before, after = (flat(configuration.to_dict(c)) for c in (base, configuration.varied(base, cell.settings)))
        different = {key for key in {*before, *after} if before.get(key, "none") != after.get(key, "none")}
        for key in cell.settings:  # each of them is no idle word …
            assert any(d == key or d.startswith(f"{key}.") for d in different), (cell.name, key)
        for key in different:  # … and there is nothing else
            assert any(key == d or key.startswith(f"{d}.") for d in cell.settings), (cell.name, key)
        seen.append(json.dumps(configuration.to_dict(configuration.varied(base, cell.settings)), sort_keys=True))
    assert len(set(seen)) == len(seen) > 70


def test_objectives_are_all_of_the_zoo_and_each_is_alone() -> None:
    this, of = find("objectives", "smoke")
    learned = [cell for cell in this.cells if cell.kind == "train"]
    assert {cell.name for cell in learned} == set(OBJECTIVES)
    base = settings_of(this, of, [])
    for cell in learned:
        config = configuration.varied(base, cell.settings)
        assert {term.objective for term in config.terms.values()} == {cell.name}
        assert replace(config, terms=base.terms) == base  # equal budget: nothing else differs
    names = [cell.name for cell in this.cells]
    for cell in this.cells:
        assert not cell.model or names.index(cell.model) < names.index(cell.name)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_cells_are_folders_of_their_own(name: str) -> None:
    this, of = find(name, "full")
    folders = [Job(cell, seed).folder for cell in this.cells for seed in (0, 1)]
    assert len(set(folders)) == len(folders)
    assert not any("," in cell.name for cell in this.cells)  # --only takes a list
    base = settings_of(this, of, ["optimiser.lr=1e-4"])
    assert base.optimiser.lr == 1e-4
    for cell in this.cells:
        assert (cell.kind == "ready") == bool(cell.encoder)


def test_wrong_names_are_answered_with_the_nearest_right_one(tmp_path: Path) -> None:
    for arguments, message in (
        (("objectivs", "smoke"), "no experiment 'objectivs'; did you mean 'objectives'?"),
        (("xyz", "smoke"), "no experiment 'xyz'; there are: objectives, ablations, finetuning, labels, domains, folds"),
        (("objectives", "smal"), "no size 'smal'; did you mean 'small'?"),
    ):
        with pytest.raises(DeepDXFError) as error:
            run(*arguments, tmp_path / "x")
        assert str(error.value) == message
    with pytest.raises(DeepDXFError, match="experiment objectives has no cell 'simcrl'; did you mean 'simclr'"):
        run("objectives", "smoke", tmp_path / "x", only=["simcrl"])
    with pytest.raises(DeepDXFError, match=r"unknown key optimiser.lrr; did you mean optimiser.lr\?"):
        run("objectives", "smoke", tmp_path / "x", overrides=["optimiser.lrr=1"])
    assert not (tmp_path / "x").exists()


def test_the_help_names_all_experiments() -> None:
    assert ", ".join(NAMES) == cli_experiment.NAMES and set(NAMES) == set(sets(SMOKE))


def test_a_cell_brings_the_one_whose_model_it_needs() -> None:
    this, _ = find("objectives", "smoke")
    assert [cell.name for cell in chosen(this, ["distillation"])] == ["simclr-v2", "distillation"]


# --- running ---------------------------------------------------------------------------------------------------------

# One of every kind of cell, and what differs most; the whole sets are for people with minutes
SOME = {
    "objectives": ["descriptor", "untrained", "simclr-v2", "distillation", "cmc", "masked-parameters"],
    "ablations": [
        "base", "sequence alone", "classic", "class graph", "4 views", "nodes matched", "no attention over blocks",
        "concatenated as they are", "10% of the drawings",
    ],
    "finetuning": ["start", "fine-tuned"],
    "labels": ["hybrid 30% labelled"],
    "domains": ["descriptor", "trained"],
    "folds": ["lr 0.0005 dropout 0.1 temperature 0.07"],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_set_runs(name: str, place: Path) -> None:
    rows = run(name, "smoke", place, only=SOME[name], quiet=True)
    this, _ = find(name, "smoke")
    assert [row["cell"] for row in rows] == [cell.name for cell in this.cells if cell.name in SOME[name]]
    assert rows == read_results(place / "results.jsonl")
    for row in rows:
        assert row["error"] is None, row
        assert row["experiment"] == name and row["size"] == "smoke" and row["seconds"] >= 0
        assert set(row["metrics"]) == {"held_out", "edits"}
        for figures in row["metrics"].values():
            assert set(figures) == {"mAP", "mAP_low", "mAP_high", "P@1", "Recall@10"}
            assert 0 <= figures["mAP_low"] <= figures["mAP"] <= figures["mAP_high"] <= 1
        assert 0 <= row["alignment"] <= 4 and row["uniformity"] <= 0 and row["rank"] >= 1 and row["collapsed"] is False
        kind = next(cell.kind for cell in this.cells if cell.name == row["cell"])
        assert (row["steps"] > 0) == (row["drawings"] > 0) == (kind not in ("ready", "untrained"))
    text = (place / "tables.md").read_text(encoding="utf-8")
    assert all(f"| {row['cell']} |" in text for row in rows)
    assert not list(place.rglob("checkpoint.pt")) and not list(place.rglob("best.pt"))
    if name == "domains":
        assert "### By source" in text and "### By kind of group" in text
        lines = (place / "worst-descriptor-0.csv").read_text(encoding="utf-8-sig").splitlines()
        assert lines[0] == "query,kind,source,first right,mAP,right,instead" and len(lines) > 5
        assert "<img" in (place / "worst-descriptor-0.html").read_text(encoding="utf-8")
    if name == "folds":
        assert len(rows[0]["folds"]) == 2
    if name == "finetuning":
        assert {row.get("better") for row in rows} == {None, True} or {row.get("better") for row in rows} == {
            None,
            False,
        }


def test_a_run_that_was_cut_off_gives_the_same_results(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = ["descriptor", "untrained", "byol"]
    monkeypatch.setattr(Runner, "probe", lambda self: 1.0)
    whole = place.with_name("whole")
    shutil.copytree(place, whole)
    run("objectives", "smoke", whole, only=some, seeds=2, quiet=True)

    real, steps = experiment.fit, []

    def cut(*arguments: Any, **options: Any) -> Any:
        steps.append(None)
        if len(steps) == 2:  # in the second seed
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(experiment, "fit", cut)
    with pytest.raises(KeyboardInterrupt):
        run("objectives", "smoke", place, only=some, seeds=2, quiet=True)
    assert len(read_results(place / "results.jsonl")) == 4
    monkeypatch.setattr(experiment, "fit", real)
    run("objectives", "smoke", place, only=some, seeds=1, quiet=True)
    run("objectives", "smoke", place, only=some, seeds=2, quiet=True)

    def lines(folder: Path) -> list[str]:
        rows = read_results(folder / "results.jsonl")
        return [json.dumps({**row, "seconds": 0}) for row in rows]

    assert lines(place) == lines(whole)
    assert [json.loads(line)["seed"] for line in lines(place)] == [0] * 3 + [1] * 2

    def never(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("finished cells are not run again")

    monkeypatch.setattr(Runner, "row", never)
    before = (place / "results.jsonl").read_bytes()
    run("objectives", "smoke", place, only=some, seeds=2, quiet=True)
    assert (place / "results.jsonl").read_bytes() == before
    with pytest.raises(DeepDXFError, match="holds an experiment with another overrides; name another folder"):
        run("objectives", "smoke", place, overrides=["optimiser.lr=1"], quiet=True)
    with pytest.raises(DeepDXFError, match="holds an experiment with another experiment"):
        run("ablations", "smoke", place, quiet=True)


def test_a_cell_that_fails_is_a_row_and_is_tried_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    this, size = find("ablations", "smoke")
    broken = (
        Cell("too many", {"batch.drawings": 5000}),
        Cell("no such objective", {"terms.across.objective": "simcrl"}),
        Cell("base"),
        Cell("image network", kind="ready", encoder="sscd"),
    )
    monkeypatch.setattr(experiment, "find", lambda name, size_name: (replace(this, cells=broken), size))
    monkeypatch.setattr(Runner, "probe", lambda self: 1.0)
    rows = run("ablations", "smoke", place, quiet=True)
    assert [bool(row["error"]) for row in rows] == [True, True, False, True]
    assert "a batch takes 5000" in rows[0]["error"] and "simcrl" in rows[1]["error"]
    assert rows[0]["metrics"] == {} and "\n" not in rows[0]["error"]
    assert "* too many, seed 0: the training part has" in (place / "tables.md").read_text(encoding="utf-8")
    tried = []
    real = Runner.row
    monkeypatch.setattr(Runner, "row", lambda self, job: (tried.append(job.cell.name), real(self, job))[1])
    run("ablations", "smoke", place, quiet=True)
    assert tried == ["too many", "no such objective", "image network"]
    # what is declared otherwise now is another cell
    monkeypatch.setattr(
        experiment, "find", lambda name, size_name: (replace(this, cells=(Cell("base", {"seed": 1}),)), size)
    )
    tried.clear()
    run("ablations", "smoke", place, quiet=True)
    assert tried == ["base"]


def test_runs_with_the_same_views_share_them(drawings: Path) -> None:
    this, size = find("ablations", "smoke")
    bench = prepare(drawings, this, size, None, quiet=True)
    base = settings_of(this, size, [])
    by_name = {cell.name: configuration.varied(base, cell.settings) for cell in this.cells if cell.kind == "train"}
    samples = bench.samples(by_name["base"])
    assert bench.samples(by_name["temperature 0.2"]) is samples
    assert bench.samples(by_name["without crop"]) is not samples
    assert bench.samples(replace(by_name["base"], seed=1)) is not samples
    long = bench.samples(configuration.varied(base, {"stopping.steps": 10**6}))
    assert type(long) is Samples
    key = Key(1, 0, 0, (0, 3))
    made, again, anew = samples[key], samples[key], long[key]
    assert made is again is not anew
    for one, other in zip(made.views, anew.views, strict=True):
        for name in ("cls", "values", "edge", "classic", "place"):
            assert torch.equal(getattr(one, name).nan_to_num(-9), getattr(other, name).nan_to_num(-9))


# --- the drawings ----------------------------------------------------------------------------------------------------


def test_held_out_kinds_are_not_trained_on(drawings: Path) -> None:
    bench = prepare(drawings, sets(SMOKE)["objectives"], SMOKE, None, quiet=True)
    data = bench.data
    sources = np.array(data.store.sources)
    assert not set(sources[data.train]) & set(sources[data.test])
    assert set(bench.questions["held_out"].names) == {data.store.names[row] for row in data.test}
    assert bench.questions["held_out"].asks and bench.questions["edits"].asks
    assert max(data.store.lengths) <= SMOKE.rows
    pairs = bench.questions["pairs"]
    assert len(pairs.edits) == len(pairs.names) > 5


def test_sources_of_the_user_are_held_out_by_name(drawings: Path, tmp_path: Path) -> None:
    mine = drawings / "suite" / "drawings"
    (tmp_path / "test.json").write_text('{"test": ["plate"]}', encoding="utf-8")
    given = Given.of(mine, mine / "groups.csv", tmp_path / "test.json")
    shutil.copytree(drawings, tmp_path / "out")
    bench = prepare(tmp_path / "out", sets(SMOKE)["objectives"], SMOKE, given, quiet=True)
    assert {name.split("/")[0] for name in bench.questions["held_out"].names} == {"plate"}
    assert "plate" not in {bench.data.store.sources[row] for row in bench.data.train}
    whole = prepare(tmp_path / "out", sets(SMOKE)["domains"], SMOKE, Given.of(mine, mine / "groups.csv", None))
    assert len(whole.questions["held_out"].names) == 40  # all that there are: what is trained on is generated
    with pytest.raises(DeepDXFError, match="no drawing is of a held-out source; sources are"):
        prepare(tmp_path / "out", sets(SMOKE)["objectives"], SMOKE, replace(given, test=frozenset({"elsewhere"})))
    (tmp_path / "test.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DeepDXFError, match="not of the form"):
        Given.of(mine, mine / "groups.csv", tmp_path / "test.json")


def test_halves_part_nothing_that_belongs_together(drawings: Path) -> None:
    store = Store.open(drawings / "trained" / "store")
    first, second = halves(store, np.arange(len(store)))
    assert len(first) and len(second) and not set(first) & set(second)
    assert not set(store.families[first]) & set(store.families[second])


# --- tables ----------------------------------------------------------------------------------------------------------


def row(cell: str, held_out: float, edits: float, seed: int = 0, **others: Any) -> dict[str, Any]:
    figures = [
        {"mAP": value, "mAP_low": value - 0.1, "mAP_high": value + 0.1, "P@1": value / 2, "Recall@10": value / 4}
        for value in (held_out, edits)
    ]
    return {
        "experiment": "ablations", "cell": cell, "seed": seed, "settings": {}, "size": "small", "steps": 60, "seconds": 30.0,
        "drawings": 300, "commit": None, "metrics": dict(zip(("held_out", "edits"), figures, strict=True)),
        "alignment": 0.5, "uniformity": -2.0, "rank": 7.25, "collapsed": False, "error": None, **others,
    }  # fmt: skip


def cells(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_table_of_one_seed_by_hand() -> None:
    rows = [row("descriptor", 0.8, 0.6, steps=0), row("base", 0.4, 0.5), row("4 views", 0.44, 0.48, collapsed=True)]
    rows.append(row("classic", 0, 0, error="it broke", metrics={}))
    text = markdown("ablations", rows)
    assert cells(text, "base") == [
        "base", "base", "0.400 (0.300–0.500)", "0.200", "0.100", "0.500 (0.400–0.600)", "0.250", "–", "–",
        "0.50", "-2.00", "7.2", "",
    ]  # fmt: skip
    assert cells(text, "4 views")[7:9] == ["+0.040", "-0.020"] and cells(text, "4 views")[-1] == "yes"
    assert cells(text, "descriptor")[7:9] == ["+0.400", "+0.100"]
    assert "* classic, seed 0: it broke" in text and "| classic |" not in text
    assert "Not run yet, " in text and "image network, untrained, half batch twice the steps, " in text
    assert "Size `small`: 60 steps over 300 drawings" in text and "1 seed; 4 cells in 2 min" in text


def test_a_table_of_seeds_by_hand() -> None:
    rows = [row("nt-xent", 0.4, 0.5), row("byol", 0.5, 0.5), row("untrained", 0.3, 0.3, steps=0)]
    rows += [row("nt-xent", 0.5, 0.5, 1), row("byol", 0.7, 0.5, 1, collapsed=True)]
    rows += [row("untrained", 0.5, 0.3, 1, steps=0), row("descriptor", 0.7, 0.7, steps=0)]
    text = markdown("objectives", rows)
    assert cells(text, "nt-xent")[1] == "0.450 ± 0.071" and cells(text, "byol")[1] == "0.600 ± 0.141"
    # the best of each group first, groups as they come in the rows
    assert (
        text.index("| byol |") < text.index("| nt-xent |") < text.index("| descriptor |") < text.index("| untrained |")
    )
    assert cells(text, "untrained")[1] == "0.400 ± 0.141" and cells(text, "untrained")[6:8] == ["–", "–"]
    # seed by seed: 0.4 − 0.3 and 0.5 − 0.5, 0.5 − 0.3 and 0.7 − 0.5; the descriptor has no seeds
    assert cells(text, "nt-xent")[6:8] == ["+0.050 ± 0.071", "+0.200 ± 0.000"]
    assert cells(text, "byol")[6] == "+0.200 ± 0.000" and cells(text, "byol")[-1] == "1 of 2"
    assert cells(text, "descriptor")[6] == "+0.300 ± 0.141" and cells(text, "descriptor")[1] == "0.700 (0.600–0.800)"
    assert (
        "± standard deviation over 2 seeds" in text and "to untrained, seed by seed" in text and "| seeds |" not in text
    )


def test_a_table_of_cells_with_more_and_fewer_seeds() -> None:
    rows = [row(name, 0.5, 0.5) for name in ("untrained", "nt-xent", "byol", "descriptor")]
    rows += [row("untrained", 0.7, 0.5, 1), row("nt-xent", 0.9, 0.5, 1)]
    text = markdown("objectives", rows)
    assert [cells(text, name)[-1] for name in ("untrained", "nt-xent", "byol", "descriptor")] == ["2", "2", "1", "1"]
    assert cells(text, "byol")[1] == "0.500 (0.400–0.600)" and cells(text, "byol")[6] == "+0.000"  # of seed 0 alone
    assert cells(text, "nt-xent")[6] == "+0.100 ± 0.141"


def test_tables_by_domain_by_hand() -> None:
    parts = {
        "descriptor": {"source": {"a": {"queries": 3, "mAP": 0.9}, "b": {"queries": 2, "mAP": 0.5}}},
        "histogram": {"source": {"a": {"queries": 3, "mAP": 0.1}, "b": {"queries": 2, "mAP": 0.7}}},
    }
    rows = [row(name, 0.5, 0.5, steps=0, parts=of) for name, of in parts.items()]
    text = markdown("domains", rows)
    assert cells(text, "b") == ["b", "2", "0.500", "0.700"] and cells(text, "a") == ["a", "3", "0.900", "0.100"]
    assert text.index("| b |") < text.index("| a |")
    assert "### By domain" not in text


@pytest.mark.parametrize("line", ["{", "[]", '{"cell": "x"}', "[" * 100_000])
def test_damaged_results_are_one_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(json.dumps(row("base", 0.1, 0.1)) + f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DeepDXFError, match=r"results.jsonl, line 2: not a line of results; delete it"):
        read_results(tmp_path / "results.jsonl")


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runner, "probe", lambda self: 1.0)
    command = ["experiment", "ablations", "temperature=0.3", "--size", "smoke", "--out", str(place)]
    command += ["--only", "descriptor,base"]
    assert cli.main(command) == 0
    output = capsys.readouterr()
    assert "| base |" in output.out and output.out == (place / "tables.md").read_text(encoding="utf-8")
    assert (
        "2 of" in output.err
        and "cells to run, about" in output.err
        and "[2/2] base, seed 0: held_out mAP" in output.err
    )
    assert cli.main([*command, "--json", "--quiet"]) == 0
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert output.err == "" and [row["cell"] for row in report["rows"]] == ["descriptor", "base"]
    assert report["rows"][1]["settings"] == {"temperature": 0.3}
    assert configuration.load(place / "cells" / "base-0" / "config.yaml").temperature == 0.3
    with pytest.raises(SystemExit):
        cli.main(["experiment", "domains", "--drawings", str(place)])
    assert "--drawings and --groups belong together" in capsys.readouterr().err
    assert cli.main(["experiment", "objectivs"]) == 1
    assert "did you mean 'objectives'?" in capsys.readouterr().err


def test_settings_of_a_row_name_the_model() -> None:
    cell = Cell("x", {"a": 1}, model="y")
    assert described(cell) == {"a": 1, "model": "y"}
    assert isinstance(experiment_sets.sets(SMOKE)["folds"], Set)


def test_the_page_shows_the_results_that_are_kept() -> None:
    """Its tables are made, never typed."""
    import importlib.util

    path = Path(__file__).parent.parent / "docs" / "make_experiments.py"
    spec = importlib.util.spec_from_file_location("make_experiments", path)
    assert spec is not None and spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    text = maker.PAGE.read_text(encoding="utf-8")
    assert maker.page(text) == text
    for name in NAMES:
        assert f"<!-- results of {name}, " in text
        kept = maker.KEPT / name / "results.jsonl"
        if kept.exists():
            assert maker.page(text.replace(markdown(name, read_results(kept)), "typed by hand\n")) == text
    for path in maker.KEPT.glob("*/results.jsonl"):
        content = path.read_text(encoding="utf-8")
        assert ".dxf" not in content and ".dwg" not in content  # sources are named, files are not
