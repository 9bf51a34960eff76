"""Drawings on disk: what was stored comes back, whatever happens while writing; splits that nothing crosses."""

from __future__ import annotations

import csv
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf import store as store_module
from deepdxf.augment import Views
from deepdxf.drawing import Drawing, Problem
from deepdxf.dxfwrite import dxf_bytes
from deepdxf.errors import GroupsError, StoreError
from deepdxf.fingerprint import canonical_hash
from deepdxf.reader import parse
from deepdxf.store import EMPTY_HASH, TRIVIAL, Store, components, split
from deepdxf.synth_families import FAMILIES, draw_design, draw_style
from tests.drawings import circle, drawing, line, polyline


def synthetic() -> dict[str, bytes]:
    rng = np.random.default_rng(7)
    designs = {kind: draw_design(kind, draw_style(rng), rng) for kind in FAMILIES}
    return {f"made/{kind}.dxf": dxf_bytes(design.build()) for kind, design in designs.items()}


SYNTHETIC = synthetic()


def several() -> dict[str, Drawing]:
    """Drawings of all sorts, not in the order of their names."""
    odd = drawing(line(0, 0, 1, 1), circle(0, 0, 2))
    odd = replace(
        odd,
        layers=("0", "Größe \udcff", "图"),
        texts=("\udc80",),
        unit_mm=None,
        fields=(("TITLE", "a"), ("TITLE", "b")),
        problems=(Problem("truncated", "cut", 3),),
        ignored={"VIEWPORT": 2},
        content_size=17,
    )
    parsed = {name: parse(data) for name, data in SYNTHETIC.items()}
    return {"z/empty.dxf": drawing(), "b/odd.dxf": odd, **parsed, "a/line.dxf": drawing(line(0, 0, 3, 4))}


def assert_equal(a: Drawing, b: Drawing) -> None:
    for name in Drawing.__dataclass_fields__:
        one, other = getattr(a, name), getattr(b, name)
        if isinstance(other, np.ndarray):
            assert one.dtype == other.dtype, name
            np.testing.assert_array_equal(one, other, err_msg=name)
        else:
            assert one == other, name


def assert_holds(folder: Path, expected: dict[str, Drawing]) -> Store:
    store = Store.open(folder)
    assert store.names == sorted(expected)
    for name, stored in zip(store.names, store, strict=True):
        assert_equal(stored, expected[name])
    return store


# --- there and back --------------------------------------------------------------------------------------------------


def test_stored_drawings_are_equal(tmp_path: Path) -> None:
    expected = several()
    report = Store.write(tmp_path / "store", expected)
    assert (report.added, report.kept, report.failed) == (len(expected), 0, {})
    store = assert_holds(tmp_path / "store", expected)
    assert store.lengths.tolist() == [len(expected[name]) for name in store.names]
    assert [store.content_hash(i) for i in range(len(store))] == [canonical_hash(expected[n]) for n in store.names]
    assert_equal(store[-1], expected["z/empty.dxf"])
    with pytest.raises(IndexError):
        store[len(store)]


def test_files_are_read_in_processes_and_bad_ones_reported(tmp_path: Path) -> None:
    folder = tmp_path / "drawings"
    (folder / "made").mkdir(parents=True)
    for name, data in SYNTHETIC.items():
        (folder / name).write_bytes(data)
    (folder / "bad.dxf").write_bytes(b"\x89PNG no drawing")
    report = Store.write(tmp_path / "store", [folder], workers=2)
    assert report.added == len(SYNTHETIC) and list(report.failed) == ["bad.dxf"]
    assert "PNG" in report.failed["bad.dxf"] and str(folder) not in report.failed["bad.dxf"]
    with (tmp_path / "store/failed.csv").open(encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)] == ["file", "bad.dxf"]
    store = assert_holds(tmp_path / "store", {name: parse(data) for name, data in SYNTHETIC.items()})
    assert set(store.sources) == {"made"}


def test_columns_are_arrays_that_numpy_loads(tmp_path: Path) -> None:
    expected = several()
    Store.write(tmp_path / "store", expected)
    cls = np.load(tmp_path / "store/cls.npy")
    np.testing.assert_array_equal(cls, np.concatenate([d.cls for d in expected.values()]))
    assert np.load(tmp_path / "store/vertices.npy").shape == (sum(len(d.vertices) for d in expected.values()), 3)


def test_stored_drawings_cannot_be_written_to_and_have_views(tmp_path: Path) -> None:
    Store.write(tmp_path / "store", several())
    store = Store.open(tmp_path / "store")
    with pytest.raises(ValueError, match="read-only"):
        store[0].vertices[:] = 0
    for number in range(len(store)):
        Views(strength=2.0).drawings(store[number], np.random.default_rng(number))
    assert_holds(tmp_path / "store", several())


def test_selections_and_other_processes(tmp_path: Path) -> None:
    Store.write(tmp_path / "store", several())
    store = Store.open(tmp_path / "store")
    long = store.select(store.lengths > 50)
    assert len(long) == int((store.lengths > 50).sum()) and min(long.lengths) > 50
    again = pickle.loads(pickle.dumps(long.select(np.array([2, 0]))))
    assert again.names == [long.names[2], long.names[0]]
    assert_equal(again[0], long[2])
    assert len(pickle.dumps(store)) < 2000  # the folder and numbers, not the drawings


# --- writing more, and writing that is cut off -----------------------------------------------------------------------


def test_drawings_are_added(tmp_path: Path) -> None:
    expected = several()
    names = list(expected)
    Store.write(tmp_path / "store", {name: expected[name] for name in names[:5]})
    report = Store.write(tmp_path / "store", {name: expected[name] for name in names[3:]})
    assert (report.added, report.kept) == (len(names) - 5, 2)
    assert_holds(tmp_path / "store", expected)


@pytest.mark.parametrize("after", [1, 4, 5, 9])
def test_writing_that_is_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    expected = several()
    calls = 0

    def hash_until(d: Drawing) -> str:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return canonical_hash(d)

    monkeypatch.setattr(store_module, "COMMIT_DRAWINGS", 4)
    monkeypatch.setattr(store_module, "canonical_hash", hash_until)
    with pytest.raises(KeyboardInterrupt):
        Store.write(tmp_path / "store", expected)
    with pytest.raises(StoreError, match=rf"incomplete, {after} drawings.*write it again"):
        Store.open(tmp_path / "store")
    monkeypatch.undo()
    report = Store.write(tmp_path / "store", expected)
    assert (report.added, report.kept) == (len(expected) - after, after)
    assert_holds(tmp_path / "store", expected)


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    """Columns of unequal ends, headers ahead of the index: the state between two commits."""
    expected = several()
    names = list(expected)
    Store.write(tmp_path / "store", {name: expected[name] for name in names[:6]})
    index = json.loads((tmp_path / "store/store.json").read_text())
    (tmp_path / "store/store.json").write_text(json.dumps(index | {"complete": False}))
    for i, path in enumerate(sorted((tmp_path / "store").glob("*.npy"))):
        with path.open("ab") as file:
            file.write(b"\x07" * i)
    Store.write(tmp_path / "store", expected)
    assert_holds(tmp_path / "store", expected)


def test_a_store_can_be_read_while_files_beyond_its_end_exist(tmp_path: Path) -> None:
    expected = several()
    Store.write(tmp_path / "store", expected)
    with (tmp_path / "store/vertices.npy").open("ab") as file:
        file.write(b"\x07" * 99)
    assert_holds(tmp_path / "store", expected)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        Store.open(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file.txt").write_text("x")
    with pytest.raises(StoreError, match="other things"):
        Store.write(tmp_path / "other", several())
    Store.write(tmp_path / "store", several())
    index = json.loads((tmp_path / "store/store.json").read_text())
    with store_module._exclusive(tmp_path / "store"), pytest.raises(StoreError, match="another process"):
        Store.write(tmp_path / "store", several())
    (tmp_path / "store/store.json").write_text(json.dumps(index | {"format": 99}))
    with pytest.raises(StoreError, match="format 99"):
        Store.open(tmp_path / "store")
    (tmp_path / "store/store.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        Store.open(tmp_path / "store")
    (tmp_path / "store/store.json").write_text(json.dumps(index))
    box = tmp_path / "store/box.npy"
    box.write_bytes(box.read_bytes()[:-8])
    with pytest.raises(StoreError, match=r"box\.npy: damaged"):
        Store.open(tmp_path / "store")
    with pytest.raises(StoreError, match=r"box\.npy: damaged"):  # nor is it made longer with zeros
        Store.write(tmp_path / "store", several() | {"more.dxf": drawing(line(0, 0, 1, 0))})


# --- labels ----------------------------------------------------------------------------------------------------------


def write_groups(folder: Path, *rows: tuple[str, str, str]) -> Path:
    with (folder / "groups.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "group_id", "kind"), *rows])
    return folder / "groups.csv"


def shapes(*names: str) -> dict[str, Drawing]:
    """Different drawings, none of them trivial, by name."""
    return {
        name: drawing(*[circle(k * (i + 2), k * k, 1 + k + i) for k in range(TRIVIAL + 1)])
        for i, name in enumerate(names)
    }


def test_families_are_connected_by_groups_of_any_kind(tmp_path: Path) -> None:
    rows = [("a/1", "rev", "revision"), ("a/2", "rev", "revision"), ("a/2", "fam", "family"), ("b/3", "fam", "family"),
            ("b/4", "cpy", "copy"), ("b/5", "cpy", "copy"), ("elsewhere", "fam", "family")]  # fmt: skip
    (tmp_path / "manifest.csv").write_text("file,repo\na/1,one/repo\n", encoding="utf-8")
    groups = write_groups(tmp_path, *rows)
    Store.write(tmp_path / "store", shapes("a/1", "a/2", "b/3", "b/4", "b/5", "c/6"), groups=groups)
    store = Store.open(tmp_path / "store")
    one, two, three, four, five, six = store.families.tolist()
    assert one == two == three != four == five and six == -1 and four >= 0
    assert store.groups == ["rev", "rev", "fam", "cpy", "cpy", ""]
    assert store.kinds == ["revision", "revision", "family", "copy", "copy", ""]
    assert store.sources == ["one/repo", "a", "b", "b", "b", "c"]
    same = store.same_matrix(np.array([0, 2, 3, 5]))
    assert same.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert store.same_matrix(np.array([2, 3]), source=True).all()

    Store.write(tmp_path / "store", shapes("a/0"))  # without groups: labels stay
    more = Store.open(tmp_path / "store")
    assert more.families.tolist() == [-1, one, two, three, four, five, six]
    assert more.kinds[1:] == store.kinds and more.sources[1:] == store.sources


def test_groups_of_other_files_are_refused(tmp_path: Path) -> None:
    groups = write_groups(tmp_path, ("x/1", "g", "copy"), ("x/2", "g", "copy"))
    with pytest.raises(GroupsError, match=r"none of the 1 drawings"):
        Store.write(tmp_path / "store", shapes("a/1"), groups=groups)
    with pytest.raises(StoreError, match="incomplete"):
        Store.open(tmp_path / "store")
    Store.write(tmp_path / "store", shapes("a/1"))
    assert len(Store.open(tmp_path / "store")) == 1


def test_equal_content_is_the_same_and_no_content_is_not(tmp_path: Path) -> None:
    a, b = shapes("a", "b").values()
    Store.write(tmp_path / "store", {"1": a, "2": b, "3": a, "4": drawing(), "5": drawing()})
    store = Store.open(tmp_path / "store")
    assert (store.hashes == EMPTY_HASH).tolist() == [False, False, False, True, True]
    expected = np.eye(5, dtype=bool)
    expected[0, 2] = expected[2, 0] = True
    assert (store.same_matrix(np.arange(5)) == expected).all()
    assert (store.same_matrix(np.arange(5), source=True) == expected).all()  # in no folder: of no known source
    assert (store.same_matrix(np.array([2, 4, 0])) == expected[np.ix_([2, 4, 0], [2, 4, 0])]).all()


# --- splits ----------------------------------------------------------------------------------------------------------


class Labels:
    """What `split` reads of a store."""

    def __init__(self, hashes: list[int], families: list[int], sources: list[int], trivial: list[bool]) -> None:
        self.hashes, self.families, self.source_numbers = (np.array(x, np.int64) for x in (hashes, families, sources))
        simple = {h for h, t in zip(hashes, trivial, strict=True) if t}
        self.vertex_counts = np.array([TRIVIAL if h in simple else TRIVIAL + 1 for h in hashes], np.int64)

    def __len__(self) -> int:
        return len(self.hashes)


@st.composite
def labels(draw: st.DrawFn) -> Labels:
    n = draw(st.integers(1, 60))
    some = [st.lists(st.integers(low, n), min_size=n, max_size=n) for low in (0, -1, -1)]
    trivial = draw(st.lists(st.integers(0, 5).map(lambda i: i == 0), min_size=n, max_size=n))
    return Labels(*(draw(s) for s in some), trivial)


@settings(max_examples=150)
@given(labels(), st.floats(0, 0.5), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_nothing_connected_stands_on_two_sides(of: Labels, test: float, folds: int, seed: int, by_source: bool) -> None:
    try:
        parts = split(of, test, folds, seed, by_source=by_source)  # type: ignore[arg-type]
    except StoreError as error:
        assert "do not fill" in str(error)
        return
    side = np.full(len(of), -2)
    for number, rows in enumerate((parts.left_out, parts.test, *parts.folds), -1):
        assert (side[rows] == -2).all()
        side[rows] = number
    assert (side > -2).all() and len(parts.folds) == folds
    known = [(of.hashes, EMPTY_HASH), (of.families, -1), *([(of.source_numbers, -1)] if by_source else [])]
    for label, nothing in known:
        for value in set(label.tolist()) - {nothing}:
            assert len(set(side[label == value].tolist()) - {-1}) <= 1
    assert (of.vertex_counts[parts.left_out] <= TRIVIAL).all()
    again = split(of, test, folds, seed, by_source=by_source)  # type: ignore[arg-type]
    assert again.test.tolist() == parts.test.tolist()
    for fold in range(folds):
        assert sorted([*parts.train(fold), *parts.folds[fold], *parts.test, *parts.left_out]) == list(range(len(of)))


@settings(max_examples=100)
@given(labels())
def test_components_are_those_of_a_search_from_drawing_to_drawing(of: Labels) -> None:
    found = components(of)  # type: ignore[arg-type]
    plain = (of.hashes != EMPTY_HASH) & (of.vertex_counts > TRIVIAL)
    n = len(of)
    joined = np.eye(n, dtype=bool)
    for label, known in (
        (of.hashes, plain),
        (of.families, of.families >= 0),
        (of.source_numbers, of.source_numbers >= 0),
    ):
        joined |= (label[:, None] == label) & known[:, None] & known
    for _ in range(n):
        joined = joined @ joined
    for i in range(n):
        twins = (of.hashes == of.hashes[i]) & (of.hashes != EMPTY_HASH) & (of.vertex_counts[i] <= TRIVIAL)
        assert (found[i] == -1) == bool((twins & ~joined[i]).any())
        if found[i] >= 0:
            assert ((found == found[i]) == joined[i] & (found >= 0)).all()
    assert list(dict.fromkeys(found[found >= 0].tolist())) == list(range(int(found.max()) + 1))


def test_parts_have_their_sizes_and_hang_on_the_seed() -> None:
    n = 5000
    of = Labels(list(range(1, n + 1)), [i // 3 for i in range(n)], [-1] * n, [False] * n)
    parts = split(of, 0.2, 10, 0)  # type: ignore[arg-type]
    assert abs(len(parts.test) - 1000) <= 3
    assert all(abs(len(fold) - 400) <= 3 for fold in parts.folds)
    other = split(of, 0.2, 10, 1)  # type: ignore[arg-type]
    assert len(set(parts.test) & set(other.test)) < 400
    large = Labels(list(range(1, n + 1)), [-1] * n, [min(i // 100, 20) for i in range(n)], [False] * n)  # one has 3,000
    parts = split(large, 0.2, 2, 0)  # type: ignore[arg-type]
    assert 600 <= len(parts.test) <= 1400 and sorted(map(len, parts.folds))[-1] >= 3000


def test_one_source_cannot_be_split_unless_it_may(tmp_path: Path) -> None:
    Store.write(tmp_path / "store", shapes(*(f"a/{i}" for i in range(20))))
    store = Store.open(tmp_path / "store")
    with pytest.raises(StoreError, match="by_source=False"):
        split(store, 0.2, 2)
    parts = split(store, 0.2, 2, by_source=False)
    assert [len(parts.test), *map(len, parts.folds)] == [4, 8, 8]
    with pytest.raises(StoreError, match="test must be"):
        split(store, 1.0)


def test_a_mirror_image_of_polyline_and_lines_is_not_trivial() -> None:
    """The border of what is trivial: a rectangle is, a plate with a few holes is not."""
    assert len(drawing(polyline([(0, 0), (1, 0), (1, 1), (0, 1)])).vertices) <= TRIVIAL
    plate = drawing(polyline([(0, 0), (9, 0), (9, 9), (0, 9)]), *[circle(i, i, 0.3) for i in range(1, 6)])
    assert len(plate.vertices) > TRIVIAL
