"""Groups of duplicates against a slow oracle, and decisions about them as drawings come, go and change."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from deepdxf import decisions as decisions_module
from deepdxf import duplicates
from deepdxf.archive import Archive
from deepdxf.cli import main
from deepdxf.decisions import Decision, Decisions, group_id
from deepdxf.descriptor import Strokes
from deepdxf.duplicates import (
    DecidedMeanwhile,
    Duplicates,
    decide,
    exact_groups,
    find_duplicates,
    group_vectors,
    kept_by,
)
from deepdxf.encoder import Switches, Vectors
from deepdxf.errors import ArchiveError, DeepDXFError, FilterError
from deepdxf.fingerprint import NOTHING

DIM = 16
START = datetime(2026, 1, 1, tzinfo=UTC)


def heaps(seed: int, n: int, spread: float) -> Vectors:
    """Unit vectors around a few centres."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((3, DIM))
    vectors = centres[rng.integers(3, size=n)] + spread * rng.standard_normal((n, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def slow_groups(vectors: Vectors, exact: np.ndarray, least: float) -> set[frozenset[int]]:
    """Complete linkage by its definition: merge the two groups whose least alike pair is the most alike."""
    scores = np.round((vectors @ vectors.T).astype(float), 6)
    groups = [set(group) for group in partition(exact)]
    while True:
        linked = [
            (min(scores[i, j] for i in a for j in b), x, y)
            for x, a in enumerate(groups)
            for y, b in enumerate(groups)
            if x < y
        ]
        score, x, y = max(linked, default=(-1.0, 0, 0))
        if score < least:
            return {frozenset(group) for group in groups}
        groups[x] |= groups[y]
        del groups[y]


@given(st.integers(0, 10**6), st.integers(1, 14), st.sampled_from([0.2, 0.5, 1.0]), st.sampled_from([0.5, 0.8, 0.95]))
@settings(max_examples=60)
def test_complete_linkage(seed: int, n: int, spread: float, least: float) -> None:
    vectors = heaps(seed, n, spread)
    exact = np.random.default_rng(seed).integers(0, 2 * n, n)
    found = partition(group_vectors(vectors, exact, least))
    assert found == slow_groups(vectors, exact, least)
    order = np.random.default_rng(seed).permutation(n)
    again = partition(group_vectors(vectors[order], exact[order], least))
    assert {frozenset(order[list(group)].tolist()) for group in again} == found


def test_pairs_are_summed_up_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = heaps(1, 60, 0.3)
    expected = partition(group_vectors(vectors, np.arange(60), 0.8))
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 10)
    assert partition(group_vectors(vectors, np.arange(60), 0.8)) == expected
    assert 1 < len(expected) < 60


def test_a_heap_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "LARGEST", 10)
    with pytest.raises(DeepDXFError, match=r"hang together at a minimum score of 0.1; raise it"):
        group_vectors(heaps(1, 60, 0.1), np.arange(60), 0.1)


def test_exact_is_the_same_at_the_same_size() -> None:
    def record(shape: str | None, width: float, unit: float | None = None) -> dict[str, Any]:
        size = {"width": width, "height": 1.0, "width_mm": unit and width * unit, "height_mm": unit and unit}
        return {"geometry": shape, **size}

    rows = [
        record("a", 10.0, 25.4),  # 0
        record("a", 254.0, 1.0),  # 1 as large as 0 in millimetres
        record("a", 254.001),  # 2 as large as 1 in drawing units
        record("a", 20.0, 25.4),  # 3 twice as large
        record("b", 10.0, 25.4),  # 4 another shape
        record(NOTHING, 0.0),  # 5 and 6: nothing is drawn
        record(NOTHING, 0.0),
        record(None, 10.0),  # 7 and 8: no hash
        record(None, 10.0),
    ]
    assert partition(exact_groups(rows)) == {frozenset({0, 1, 2}), *(frozenset({i}) for i in range(3, 9))}


# --- an archive ------------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive", "fake/1", DIM)


def axis(*weights: float) -> Vectors:
    vector = np.zeros(DIM, np.float32)
    vector[: len(weights)] = weights
    return vector / np.linalg.norm(vector)


def put(archive: Archive, name: str, vector: Vectors, shape: str, day: int = 0, **more: Any) -> None:
    size = {"width": 10.0, "height": 5.0, "unit_mm": 1.0, "width_mm": 10.0, "height_mm": 5.0}
    row = {"id": name.rjust(16, "0"), "root": "/r", "path": f"{name}.dxf", "status": "ok", "vector": vector}
    time = int((START + timedelta(days=day)).timestamp() * 1e6)
    archive._write([{**row, "geometry": shape, "modified": time, **size, **more}])


@pytest.fixture
def filled(archive: Archive) -> Archive:
    """a, b exact; c near them; d, e near; f alone."""
    put(archive, "a", axis(1, 0.1), "S", 3)
    put(archive, "b", axis(1, 0.1), "S", 1)
    put(archive, "c", axis(1, 0.15), "T", 2)
    put(archive, "d", axis(0, 0, 1, 0.1), "U")
    put(archive, "e", axis(0, 0, 1, 0.12), "V")
    put(archive, "f", axis(0, 0, 0, 0, 1), "W")
    put(archive, "g", np.zeros(DIM, np.float32), NOTHING)
    return archive


def names(found: Duplicates) -> list[str]:
    return ["".join(member.path[0] for member in group.members) for group in found.groups]


def test_exact_and_near_are_one_group(filled: Archive) -> None:
    found = find_duplicates(filled, 0.95)
    assert names(found) == ["abc", "de"]
    assert [group.kind for group in found.groups] == ["both", "near"]
    assert [member.exact for member in found.groups[0].members] == [1, 1, None]
    assert found.groups[0].score == pytest.approx(float(axis(1, 0.1) @ axis(1, 0.15)), abs=1e-6)
    assert (found.searched, found.left_out, found.unhashed) == (6, 1, 0)
    assert find_duplicates(filled, 0.95) == found
    assert names(find_duplicates(filled, 1.0)) == ["ab"]
    assert find_duplicates(filled, 1.0).groups[0].kind == "exact"


def test_filters_and_fields_part_groups(filled: Archive) -> None:
    assert names(find_duplicates(filled, 0.95, where="path != 'a.dxf' and path != 'e.dxf'")) == ["bc"]
    put(filled, "c", axis(1, 0.15), "T", field=["MATERIAL=Steel"])
    assert names(find_duplicates(filled, 0.95, apart="material")) == ["ab", "de"]
    for name in "ab":
        put(filled, name, axis(1, 0.1), "S", field=["Material= steel "])
    assert names(find_duplicates(filled, 0.95, apart="material")) == ["abc", "de"]


def test_bad_questions(filled: Archive) -> None:
    for least in (0.0, 1.5, float("nan")):
        with pytest.raises(DeepDXFError, match="above 0 and at most 1"):
            find_duplicates(filled, least)
    with pytest.raises(FilterError):
        find_duplicates(filled, 0.9, where="colour = 'red'")
    with pytest.raises(DeepDXFError, match=r"no group .cafe. at a minimum of 0\.95"):
        decide(filled, find_duplicates(filled, 0.95), "not", ["cafe"])
    assert find_duplicates(filled, 0.95).open()


def test_rules_of_what_to_keep_are_reported(filled: Archive) -> None:
    def kept(rule: str) -> list[str]:
        found = find_duplicates(filled, 0.95, keep=rule)
        return [member.path for member in found.groups[0].members if member.keep]

    assert (kept("newest"), kept("oldest"), kept("[BC].*"), kept("old/*")) == (["a.dxf"], ["b.dxf"], ["c.dxf"], [])
    assert all(member.keep is None for member in find_duplicates(filled, 0.95, keep="old/*").groups[0].members)
    assert (
        kept_by("newest", [{"id": "1", "path": "x", "modified": None}, {"id": "2", "path": "y", "modified": None}])
        == "2"
    )
    assert len(filled) == 7


# --- decisions -------------------------------------------------------------------------------------------------------


def verdicts(archive: Archive) -> dict[str, Any]:
    found = find_duplicates(Archive.open(archive.address), 0.95)
    return {name: group.verdict for name, group in zip(names(found), found.groups, strict=True)}


def test_a_decision_holds_until_something_joins(filled: Archive) -> None:
    found = find_duplicates(filled, 0.95)
    decide(filled, found, "not", [found.groups[0].id], "another machine")
    assert verdicts(filled) == {"abc": "not", "de": None}
    filled.remove(["b".rjust(16, "0")])  # a member less is nothing new
    assert verdicts(filled) == {"ac": "not", "de": None}
    put(filled, "x", axis(1, 0.12), "X")
    found = find_duplicates(filled, 0.95)
    group = found.groups[0]
    assert (names(found)[0], group.verdict, group.earlier, group.note) == ("acx", None, "not", "another machine")
    assert group.new == ("x".rjust(16, "0"),)
    decided = decide(filled, found, "same", [group.id])
    assert decided.groups[0].verdict == "same" and not decided.groups[0].new
    assert verdicts(filled)["acx"] == "same"


def test_a_changed_drawing_opens_its_group(filled: Archive) -> None:
    found = find_duplicates(filled, 0.95)
    decide(filled, found, "ignore", [group.id for group in found.groups])
    assert verdicts(filled) == {"abc": "ignore", "de": "ignore"}
    put(filled, "e", axis(0, 0, 1, 0.12), "V", day=5)  # saved again, it shows the same
    assert verdicts(filled)["de"] == "ignore"
    put(filled, "e", axis(0, 0, 1, 0.11), "V2")
    assert verdicts(filled) == {"abc": "ignore", "de": None}


def test_decisions_can_be_taken_back(filled: Archive) -> None:
    found = find_duplicates(filled, 0.95)
    ids = [group.id for group in found.groups]
    decide(filled, found, "not", ids)
    decide(filled, found, "same", ids[:1])  # the later one counts
    assert verdicts(filled) == {"abc": "same", "de": "not"}
    decide(filled, found, None, ids[:1])
    assert verdicts(filled) == {"abc": None, "de": "not"}


def test_indexing_leaves_decisions_alone(filled: Archive) -> None:
    found = find_duplicates(filled, 0.95)
    decide(filled, found, "not", [found.groups[0].id])
    for day in range(3):
        put(filled, "f", axis(0, 0, 0, 0, 1), "W", day)
    filled._table.optimize()
    assert verdicts(filled)["abc"] == "not"


@given(st.sets(st.sampled_from("abcdef"), min_size=1), st.sets(st.sampled_from("abcdef"), min_size=1))
def test_a_decision_covers_subsets_only(decided: set[str], asked: set[str]) -> None:
    decision = Decision("not", dict.fromkeys(decided, "s"), START)
    assert decision.covers(dict.fromkeys(asked, "s")) == (asked <= decided)
    assert decision.new(dict.fromkeys(asked, "s")) == sorted(asked - decided)
    assert group_id(decided) == group_id(sorted(decided, reverse=True))
    assert (group_id(decided) == group_id(asked)) == (decided == asked)


DECIDER = """
import sys
from deepdxf.archive import Archive
from deepdxf.decisions import Decisions
decisions = Decisions(Archive.open(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for i in range(8):
    decisions.record(sys.argv[2], [{sys.argv[2] + str(i): "s", "z": "s"}, {"shared" + str(i): "s", "z": "s"}])
"""


def test_two_processes_decide_at_once(filled: Archive) -> None:
    command = [sys.executable, "-c", DECIDER, filled.address]
    crew = [
        subprocess.Popen([*command, verdict], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for verdict in ("same", "not")
    ]
    for process in crew:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in crew:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(60) for process in crew] == [0, 0]
    for process in crew:
        process.stdin.close()  # type: ignore[union-attr]
        process.stdout.close()  # type: ignore[union-attr]
    decisions = Decisions(filled)
    own = sorted((decision.verdict, *sorted(decision.members)) for decision in decisions.all)
    for verdict in ("same", "not"):
        assert [row[1] for row in own if row[0] == verdict and row[1].startswith(verdict)] == [
            f"{verdict}{i}" for i in range(8)
        ]
    # of both decisions about one group there is one
    assert sorted(row[1] for row in own if row[1].startswith("shared")) == [f"shared{i}" for i in range(8)]
    assert len(own) == 24


def test_a_damaged_table_is_one_line(filled: Archive, tmp_path: Path) -> None:
    found = find_duplicates(filled, 0.95)
    decide(filled, found, "not", [found.groups[0].id])
    for file in (tmp_path / "archive" / "decisions.lance" / "data").iterdir():
        file.write_bytes(b"nonsense")
    with pytest.raises(ArchiveError, match="cannot be reached or is damaged") as caught:
        find_duplicates(Archive.open(filled.address), 0.95)
    assert "\n" not in str(caught.value)


# --- the command -----------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    try:
        code = main(list(arguments))
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_the_command(filled: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["duplicates", "--archive", filled.address]
    code, out, _ = run(capsys, *command, "--keep", "newest")
    assert code == 0
    assert out.splitlines()[0].endswith("3 drawings, both, scores from 0.999, open")
    assert out.splitlines()[1].split() == ["=1", "2026-01-04", "keep", "a.dxf"]
    document = json.loads(run(capsys, *command, "--json")[1])
    assert [group["size"] for group in document["groups"]] == [3, 2]
    assert document["found"] == document["open"] == 2
    first = document["groups"][0]["id"]
    code, out, _ = run(capsys, *command, "--decide", "not", "--group", first)
    assert (code, out.splitlines()) == (0, [f"{first}  not", "1 groups decided"])
    document = json.loads(run(capsys, *command, "--json")[1])
    assert [group["size"] for group in document["groups"]] == [2]
    assert len(json.loads(run(capsys, *command, "--decided", "--json")[1])["groups"]) == 2
    run(capsys, *command, "--decide", "same", "--group", "all", "--only", "near")
    assert "0 groups" not in run(capsys, *command, "--json")[1]
    assert json.loads(run(capsys, *command, "--json")[1])["groups"] == []
    # what is decided, perhaps by others, is not overwritten unawares
    code, out, err = run(capsys, *command, "--decide", "same", "--group", first)
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert f"others have decided about group {first} meanwhile: it is not the same; nothing was changed: --force" in err
    assert run(capsys, *command, "--decide", "not", "--group", first)[0] == 0
    code, out, _ = run(capsys, *command, "--decide", "ignore", "--group", first, "--force")
    assert (code, out.splitlines()[0]) == (0, f"{first}  ignore")
    run(capsys, *command, "--decide", "open", "--group", first)
    assert [g["id"] for g in json.loads(run(capsys, *command, "--json")[1])["groups"]] == [first]


def test_wrong_commands(filled: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["duplicates", "--archive", filled.address]
    code, out, err = run(capsys, *command, "--decide", "not", "--group", "0123456789ab")
    assert (code, out) == (1, "")
    assert "no group '0123456789ab' at a minimum of" in err and err.count("\n") == 1
    assert run(capsys, *command, "--decide", "not")[0] == 2
    assert run(capsys, "duplicates", "--archive", "/no/such/archive")[0] == 1


# --- mirrored and turned; who decided first


def hand(length: float, quarter: int = 0, mirrored: bool = False) -> Strokes:
    """Lines that no turn or mirror image covers, in a pose."""
    points = np.array([[0, 0], [length, 0], [length, 31], [12, 31], [12, 60], [0, 60], [0, 0]], float)
    points = points * [-1 if mirrored else 1, 1] @ np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), quarter)
    points -= (points.min(axis=0) + points.max(axis=0)) / 2
    ends = np.stack([points[:-1], points[1:]])
    box = np.hstack([ends.min(axis=0), ends.max(axis=0)])
    return Strokes(np.zeros(6, np.int64), box, np.abs(np.diff(points, axis=0)).sum(axis=1))


@pytest.mark.parametrize(
    ("switches", "linked"),
    [
        (Switches(mirror=True), {(0, 1)}),
        (Switches(rotation=True), {(0, 2)}),
        (Switches(mirror=True, rotation=True), {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}),
    ],
)
def test_pairs_in_other_poses(switches: Switches, linked: set[tuple[int, int]]) -> None:
    pens = [hand(90), hand(90, mirrored=True), hand(90, 1), hand(90, 3, True), hand(97), None]
    vectors = np.eye(6, DIM, dtype=np.float32)  # by these, nothing is alike
    shares = duplicates.posed_shares(pens, vectors, 0.9, switches, lambda compared: None).toarray()
    found = {(int(i), int(j)) for i, j in zip(*np.nonzero(shares), strict=True) if i < j}
    assert {pair for pair in found if 0 in pair or (switches.mirror and switches.rotation)} == linked
    assert (shares == shares.T).all() and set(np.unique(shares)) <= {0.0, 1.0}
    labels = group_vectors(vectors, np.arange(6), 0.9, posed=csr_array(shares))
    assert labels[4] == 4 and labels[5] == 5 and len(set(labels[:4])) < 4
    poses = duplicates._poses(pens[:4], Switches(mirror=True, rotation=True))
    assert poses == ["", "mirrored", "turned", "mirrored and turned"]


def test_progress_and_its_end(filled: Archive) -> None:
    steps: list[tuple[int, int]] = []
    found = find_duplicates(filled, 0.95, progress=lambda done, total: steps.append((done, total)))
    assert steps[0] == (0, found.searched) and steps[-1] == (found.searched, found.searched)

    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        find_duplicates(filled, 0.95, progress=stop)
    with pytest.raises(DeepDXFError, match="--any-size"):
        find_duplicates(filled, 0.95, switches=Switches(size=False))


def test_a_decision_that_was_not_seen_is_not_overwritten(filled: Archive) -> None:
    found = find_duplicates(filled, 0.95)
    id, mark = found.groups[0].id, found.groups[0].mark
    assert mark == "open"
    first = decide(filled, found, "same", [id], by="alice", seen={id: mark}).group(id)
    assert first.by == "alice" and first.decided is not None and first.mark != mark
    with pytest.raises(DecidedMeanwhile, match="it is the same") as caught:
        decide(filled, found, "not", [id], by="bob", seen={id: mark})
    assert [group.by for group in caught.value.groups] == ["alice"]
    assert find_duplicates(filled, 0.95).group(id).verdict == "same"
    with pytest.raises(DecidedMeanwhile):  # nor is it taken back
        decide(filled, found, None, [id], seen={id: mark})
    assert decide(filled, found, "not", [id], by="bob", seen={id: first.mark}).group(id).by == "bob"
    assert decide(filled, found, "ignore", [id]).group(id).verdict == "ignore"  # without a mark the later one counts


def test_decisions_of_older_versions_have_no_name(filled: Archive) -> None:
    import pyarrow

    old = pyarrow.schema([field for field in decisions_module.schema() if field.name != "by"])
    filled.side_table(decisions_module.TABLE, old)
    found = find_duplicates(filled, 0.95)
    group = decide(filled, found, "not", [found.groups[0].id], by="carol").groups[0]
    assert (group.verdict, group.by) == ("not", "carol")
