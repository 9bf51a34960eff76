from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.errors import GroupsError
from deepdxf.groups import Protocol, Query, load_groups, read_judgements, read_members


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def query(protocol: Protocol, file: str, group: str) -> Query:
    (found,) = (q for q in protocol.queries if (q.file, q.group) == (file, group))
    return found


CORPUS = """file,group_id,kind,evidence
a/r1,rev-1,revision,history
a/r2,rev-1,revision,history
a/r2-copy,rev-1,revision,history
a/r1,var-1,variant,name-parameter
a/v2,var-1,variant,numbered-symbol
a/r1,cop-1,copy,same-geometry
a/c1,cop-1,copy,same-geometry
a/r1,fam-1,family,things
b/f1,fam-1,family,things
a/r2,cop-2,copy,same-geometry
a/r2-copy,cop-2,copy,same-geometry
"""
MANIFEST = """file,geom,repo
a/r1,G1,A/A
a/c1,G1,A/A
a/r2,G2,A/A
a/r2-copy,G2,A/A
a/v2,G3,A/A
b/f1,G4,B/B
b/j1,G5,B/B
b/j1-copy,G5,B/B
b/j2,G6,B/B
b/j3,G7,B/B
"""
JUDGEMENTS = """a,b,label
a/c1,b/j1,V
b/j2,a/r1,F
b/j3,a/r1,N
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "groups.csv", CORPUS)
    write(tmp_path / "manifest.csv", MANIFEST)
    write(tmp_path / "judgements.csv", JUDGEMENTS)
    return tmp_path


def test_protocol_worked_by_hand(folder):
    protocol = load_groups(folder / "groups.csv")
    assert [(q.file, q.group) for q in protocol.queries] == [
        ("a/r1", "rev-1"),
        ("a/r1", "var-1"),
        ("a/r2", "rev-1"),
        ("a/r2-copy", "rev-1"),
    ]  # v2 is numbered-symbol; copies and families do not ask
    revision = query(protocol, "a/r1", "rev-1")
    assert dict(revision.relevant) == {"a/r2": 1, "a/r2-copy": 1}
    # its copy; its sibling by the variant group; j1 judged V against its copy, and j1's copy. F and N stay wrong.
    assert revision.neutral == {"a/c1", "a/v2", "b/j1", "b/j1-copy"}
    variant = query(protocol, "a/r1", "var-1")
    assert dict(variant.relevant) == {"a/v2": 1}
    assert variant.neutral == {"a/r2", "a/r2-copy", "a/c1", "b/j1", "b/j1-copy"}
    # r2-copy has r2's geometry: not relevant to it, but neutral
    assert dict(query(protocol, "a/r2", "rev-1").relevant) == {"a/r1": 1}
    assert query(protocol, "a/r2", "rev-1").neutral == {"a/r2-copy"}
    assert protocol.source("b/j1") == "B/B"
    assert protocol.files == ["a/r1", "a/r2", "a/r2-copy"]


def test_a_judged_pair_of_the_group_stays_relevant(folder):
    write(folder / "judgements.csv", "a,b,label\na/r1,a/r2,R\n")
    revision = query(load_groups(folder / "groups.csv"), "a/r1", "rev-1")
    assert set(revision.relevant) == {"a/r2", "a/r2-copy"} and not revision.neutral & set(revision.relevant)


def test_groups_alone(tmp_path):
    path = write(tmp_path / "groups.csv", CORPUS.replace("a/", ""))
    protocol = load_groups(path)
    assert {q.kind for q in protocol.queries} == {"revision", "variant", "copy"}
    revision = query(protocol, "r1", "rev-1")
    assert set(revision.relevant) == {"r2", "r2-copy"}  # geometry unknown: every file is a drawing of its own
    assert revision.neutral == {"v2", "c1"}
    assert set(query(protocol, "r1", "cop-1").relevant) == {"c1"}
    assert protocol.source("r1") == "." and protocol.source("x/y/z") == "x"


def test_copies_of_a_right_answer_are_not_wrong(tmp_path):
    path = write(
        tmp_path / "groups.csv", "file,group_id,kind\nbase,r,revision\nrev,r,revision\nbase,c,copy\ncop,c,copy\n"
    )
    assert query(load_groups(path), "rev", "r").neutral == {"cop"}


def test_grades_and_edits(tmp_path):
    path = write(
        tmp_path / "groups.csv",
        "file,group_id,kind,evidence,relevance,edit\n"
        "base,r,revision,synthetic,,\n"
        "hole,r,revision,synthetic,2,hole added\n"
        "moved,r,revision,synthetic,3,moved\n"
        "other,r,revision,synthetic,0,replaced\n",
    )
    protocol = load_groups(path)
    assert dict(query(protocol, "base", "r").relevant) == {"hole": 2, "moved": 3}
    assert dict(query(protocol, "moved", "r").relevant) == {"base": 3, "hole": 2}
    assert [q.edit for q in protocol.queries] == ["synthetic", "hole added", "moved"]
    assert protocol.without_relevant == 1  # "other": nothing is relevant to a grade of 0


def test_own_files(tmp_path):
    """Two columns, semicolons, a byte order mark and backslashes, as a spreadsheet on Windows saves them."""
    path = tmp_path / "groups.csv"
    path.write_bytes(
        "\ufefffile;group_id\r\nTeile\\Flansch 1,5.dxf;1\r\n.\\Teile\\Fläche.dxf;1\r\nallein.dxf;2\r\n".encode()
    )
    protocol = load_groups(path)
    assert [q.file for q in protocol.queries] == ["Teile/Flansch 1,5.dxf", "Teile/Fläche.dxf"]
    assert protocol.queries[0].kind == "group" and protocol.without_relevant == 1


def test_kinds_by_name(folder):
    protocol = load_groups(folder / "groups.csv", kinds=["family"])
    assert [q.file for q in protocol.queries] == ["a/r1", "b/f1"]
    with pytest.raises(GroupsError, match="no group of kind 'twin'; it has copy, family, revision, variant"):
        load_groups(folder / "groups.csv", kinds=["twin"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'file'"),
        ("file,kind\na,b\n", "no column 'group_id'"),
        ("file,group_id\n", "no line after the header"),
        ("file,group_id\na,1,x\n", "line 2: not as many values"),
        ("file,group_id,kind\na,1\n", "line 2: not as many values"),
        ("file,group_id\na,\n", "line 2: file and group_id must not be empty"),
        ("file,group_id\na,1\nb,1\na,1\n", "line 4: 'a' is in group '1' already"),
        (
            "file,group_id,kind\na,1,copy\nb,1,variant\n",
            "line 3: group '1' is of kind 'copy' above, of kind 'variant' here",
        ),
        ("file,group_id,relevance\na,1,high\n", "line 2: relevance 'high' is not a number"),
        ("file,group_id,relevance\na,1,nan\n", "line 2: relevance 'nan' is not a number"),
        ("file,group_id,relevance\na,1,-1\n", "line 2: relevance '-1' is not a number"),
        ("file,group_id,kind\na,1,family\nb,1,family\n", "only family groups; name the kinds"),
        ("file,group_id\na,1\nb,2\n", "no query"),
    ],
)
def test_bad_groups(tmp_path, text, message):
    with pytest.raises(GroupsError, match=message) as caught:
        load_groups(write(tmp_path / "groups.csv", text))
    assert "\n" not in str(caught.value)


def test_bad_files(tmp_path):
    with pytest.raises(GroupsError, match="No such file"):
        load_groups(tmp_path / "none.csv")
    with pytest.raises(GroupsError):
        load_groups(tmp_path)
    (tmp_path / "latin.csv").write_bytes("file,group_id\nFläche,1\n".encode("latin-1"))
    with pytest.raises(GroupsError, match="not in UTF-8"):
        load_groups(tmp_path / "latin.csv")
    with pytest.raises(GroupsError, match="label 'X' is none of C, F, N, R, V"):
        read_judgements(write(tmp_path / "judgements.csv", "a,b,label\np,q,X\n"))


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("groups") / "groups.csv"
    path.write_text("file,group_id,kind\n" + text, encoding="utf-8", errors="replace", newline="")
    try:
        members = read_members(path)
    except GroupsError as error:
        assert "\n" not in str(error).replace(str(path), "")
    else:
        assert members and all(member.file and member.group for member in members)


files = st.sampled_from([f"s{i % 3}/{i}" for i in range(9)])
rows = st.lists(
    st.tuples(files, st.sampled_from(["revision:1", "revision:2", "variant:3", "copy:4", "family:5", "copy:6"])),
    min_size=1,
    max_size=14,
    unique=True,
)
pairs = st.lists(st.tuples(files, files, st.sampled_from("CRVFN")), max_size=4)


@settings(max_examples=150, deadline=None)
@given(rows=rows, judged=pairs, geometry=st.dictionaries(files, st.sampled_from("XYZ"), min_size=1))
def test_protocol_equals_its_definition_pair_by_pair(tmp_path_factory, rows, judged, geometry):
    """The rules of the corpus, asked for every pair of files; all files have a geometry, their own if nothing else."""
    geometry = {f"s{i % 3}/{i}": geometry.get(f"s{i % 3}/{i}", f"own {i}") for i in range(9)}
    folder = tmp_path_factory.mktemp("protocol")
    groups = write(
        folder / "groups.csv",
        "file,group_id,kind,evidence\n" + "".join(f"{f},{g},{g.split(':')[0]},e\n" for f, g in rows),
    )
    write(folder / "manifest.csv", "file,geom\n" + "".join(f"{f},{g}\n" for f, g in geometry.items()))
    write(
        folder / "judgements.csv", "a,b,label\ns0/0,s1/1,N\n" + "".join(f"{a},{b},{label}\n" for a, b, label in judged)
    )

    def is_relevant(q: str, group: str, x: str) -> bool:
        return x != q and (x, group) in rows and geometry[x] != geometry[q]

    def is_neutral(q: str, group: str, x: str) -> bool:
        if x == q or is_relevant(q, group, x):
            return False
        sibling = any((q, g) in rows and (x, g) in rows and g != group and not g.startswith("family") for _, g in rows)
        related = any(
            label in "CRV" and {geometry[a], geometry[b]} == {geometry[q], geometry[x]}
            and (geometry[a] != geometry[b] or geometry[q] == geometry[x])
            for a, b, label in judged
        )  # fmt: skip
        return geometry[x] == geometry[q] or sibling or related

    expected = {
        (q, group): (
            {x for x in geometry if is_relevant(q, group, x)},
            {x for x in geometry if is_neutral(q, group, x)},
        )
        for q, group in rows
        if group.startswith(("revision", "variant"))
    }
    expected = {key: value for key, value in expected.items() if value[0]}
    try:
        protocol = load_groups(groups, kinds=sorted({g.split(":")[0] for _, g in rows} & {"revision", "variant"}))
    except GroupsError:
        assert not expected
        return
    assert {(q.file, q.group): (set(q.relevant), set(q.neutral)) for q in protocol.queries} == expected


def test_corpus_has_the_published_number_of_queries(corpus):
    """Of the corpus's README: 1,200 queries; and the counts of a plain reading of its CSV files."""
    protocol = load_groups(corpus / "groups.csv")
    assert len(protocol.queries) == 1200
    with (corpus / "manifest.csv").open(encoding="utf-8", newline="") as file:
        geometry = {row["file"]: row["geom"] for row in csv.DictReader(file)}
    members = defaultdict(set)
    with (corpus / "groups.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            members[row["group_id"]].add(row["file"])
    for q in protocol.queries:
        assert set(q.relevant) == {f for f in members[q.group] if geometry[f] != geometry[q.file]}
