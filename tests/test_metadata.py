"""Tables of other systems joined to drawings: read as people save them, found by every way to name a drawing, kept."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepdxf import encoder, metadata, reader
from deepdxf.archive import METADATA, Archive, Ingest
from deepdxf.cli import main
from deepdxf.errors import ArchiveError, DeepDXFError, FilterError
from deepdxf.metadata import FIELD, Lookup, Row, flat, number_in, pack, read_table, unpack, value_of
from tests import dxf

TABLE = "PartNo;Material;Unit price;Customer\nplate_1;6061;12,50;Müller\n0815-B;S235;7;O'Hara\nnobody;x;1;y\n"


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_tables_as_people_save_them(tmp_path: Path, encoding: str, delimiter: str) -> None:
    file = tmp_path / "t.csv"
    text = 'No;Größe;note\r\n1;5;"a;b\r\nc"\r\n;;\r\n2; ;\r\n'.replace(";", delimiter)
    file.write_bytes(text.encode(encoding))
    read = read_table(file)
    assert read.columns == ("No", "Größe", "note")
    assert read.rows == ({"No": "1", "Größe": "5", "note": f"a{delimiter}b c".replace("\t", " ")}, {"No": "2"})


def test_a_sheet_of_excel(tmp_path: Path) -> None:
    xlsxwriter, _ = pytest.importorskip("xlsxwriter"), pytest.importorskip("python_calamine")
    book = xlsxwriter.Workbook(tmp_path / "t.xlsx")
    book.add_worksheet("empty")
    sheet = book.add_worksheet("Parts")
    for row, cells in enumerate([("No", "price", "ok"), (4711, 12.5, True), ("00815", 3.0, None)]):
        sheet.write_row(row, 0, cells)
    book.close()
    rows = read_table(tmp_path / "t.xlsx", "Parts").rows
    assert rows == ({"No": "4711", "price": "12.5", "ok": "True"}, {"No": "00815", "price": "3"})
    with pytest.raises(DeepDXFError, match="no sheet 'Nix'; it has empty, Parts"):
        read_table(tmp_path / "t.xlsx", "Nix")
    with pytest.raises(DeepDXFError, match="no heading"):
        read_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"", "no heading"),
        ("t.csv", b"a;a\n1;2\n", "two columns are named 'a'"),
        ("t.xlsx", b"PK nonsense", "cannot be read"),
        ("t.csv", b",".join(b"c%d" % i for i in range(201)), "201 columns"),
        ("missing.csv", None, "No such file"),
    ],
)
def test_what_is_no_table_is_said_to_be_none(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    if name.endswith(".xlsx"):
        pytest.importorskip("python_calamine")
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DeepDXFError, match=message):
        read_table(tmp_path / name)


@given(st.binary(max_size=200), st.sampled_from([".csv", ".xlsx"]))
def test_any_bytes_are_a_table_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str) -> None:
    file = tmp_path_factory.getbasetemp() / f"any{suffix}"
    file.write_bytes(data)
    try:
        table = read_table(file)
    except DeepDXFError:
        return
    assert all(set(row) <= set(table.columns) for row in table.rows)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12.5", 12.5), ("12,5", 12.5), ("1,200.50", 1200.5), ("1.200,50", 1200.5), ("1,200,300", 1200300.0),
        ("-3", -3.0), ("1e3", 1000.0), ("0", 0.0), ("0,5", 0.5), ("0815", None), ("6061-T6", None), ("", None),
        ("1.2.3", None), ("nan", None), ("1e999", None), ("12 €", None),
    ],
)  # fmt: skip
def test_numbers_of_either_notation(text: str, number: float | None) -> None:
    assert number_in(text) == number


@given(st.dictionaries(st.from_regex(r"[^\W#=]\w{0,8}", fullmatch=True), st.text(max_size=20).map(metadata._text)))
def test_packed_values_come_back(values: dict[str, str]) -> None:
    assert unpack(pack(values)) == values


# --- joining ----------------------------------------------------------------------------------------------------------


def record(path: str, *fields: str) -> dict[str, Any]:
    return {"path": path, "root": "/share/drawings", "field": list(fields)}


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("a/plate_R1.dxf", True),
        ("A\\Plate_r1.DXF ", True),
        ("a/plate_R1", True),
        ("/share/drawings/a/plate_R1.dxf", True),
        ("plate_R1.dxf", True),
        ("plate_R1", True),
        ("471-12", True),
        ("47112", True),
        ("plate", False),
        ("b/plate_R1.dxf", False),
        ("471", False),
    ],
)
def test_ways_to_name_a_drawing(key: str, found: bool) -> None:
    lookup = Lookup.of([Row("any", key, {"m": "1"})])
    assert bool(lookup.values(record("a/plate_R1.dxf", "DRAWING_NO=471-12", "REV=B"))) is found


def test_versions_share_a_row_by_their_number() -> None:
    lookup = Lookup.of([Row("any", "4711-12", {"m": "1"}), Row("any", "4711-12_rev2", {"m": "2"})])
    names = ("4711-12_rev1.dxf", "4711-12_rev2.dxf", "4711-12 (2).dwg", "4712-12.dxf")
    assert [lookup.values(record(name)).get("m") for name in names] == ["1", "2", "1", None]


def test_a_field_counts_alone_where_it_is_asked_for() -> None:
    lookup = Lookup.of([Row(f"{FIELD}orderno", "77", {"m": "1"})])
    assert lookup.values(record("77.dxf")) == {}
    assert lookup.values(record("x.dxf", "Order No.=77")) == {"m": "1"}


def test_later_values_replace_earlier_ones_of_the_same_name() -> None:
    lookup = Lookup.of([Row("any", "A1", {"Material": "x", "price": "1"}), Row("any", "a1", {"MATERIAL": "y"})])
    assert lookup.values(record("a1.dxf")) == {"price": "1", "MATERIAL": "y"}
    assert value_of({"price": "1", "MATERIAL": "y"}, "meta.material") == "y"


def test_flat_rows_have_the_columns_of_all() -> None:
    rows = flat([{"a": 1, "meta": {"x": "1"}}, {"a": 2}])
    assert rows == [{"a": 1, "meta.x": "1"}, {"a": 2, "meta.x": None}]


# --- in an archive ----------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "drawings"
    folder.mkdir()
    for number, name in enumerate(("plate_1", "0815-B", "other")):
        write(folder / f"{name}.dxf", number)
    (tmp_path / "t.csv").write_text(TABLE, encoding="utf-8")
    run(tmp_path, capsys)
    return tmp_path


def write(file: Path, number: int) -> None:
    lines = dxf.line(0, 0, 50 + number, 0) + dxf.line(50 + number, 0, 50, 30) + dxf.line(50, 30, 0, 0)
    file.write_bytes(dxf.encode(dxf.document(lines)))


def run(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--archive", str(made / "archive"), "--encoder", "histogram", "--workers", "1", "--quiet"]
    assert main(["index", str(made / "drawings"), *options]) == 0
    capsys.readouterr()


def join(made: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    command = ["metadata", str(made / "t.csv"), "--archive", str(made / "archive"), "--key", "partno", "--json"]
    assert main([*command, *options]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def passing(made: Path, where: str) -> list[str]:
    return sorted(row["path"] for row in Archive.open(made / "archive").records(where, ("path",)))


def test_rows_are_joined_reported_and_kept(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert join(made, capsys, "--dry-run")["changed"] == 2
    assert passing(made, "meta.material is not null") == []
    done = join(made, capsys, "--report", str(made / "r.csv"))
    assert done["matched"] == {"plate_1": ["plate_1.dxf"], "0815-B": ["0815-B.dxf"]}
    assert done["unmatched"] == ["nobody"] and done["without"] == ["other.dxf"] and done["rows"] == 3
    with (made / "r.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert {tuple(row.values()) for row in csv.DictReader(stream)} >= {("nobody", ""), ("", "other.dxf")}
    # a changed file keeps its row, a new one gets its own, another import updates
    write(made / "drawings" / "plate_1.dxf", 7)
    write(made / "drawings" / "nobody.dxf", 8)
    run(made, capsys)
    assert passing(made, "meta.material = '6061' and meta.\"unit price\" = 12.5") == ["plate_1.dxf"]
    assert passing(made, "meta.customer = 'y'") == ["nobody.dxf"]
    (made / "t.csv").write_text("PartNo,Material\nplate_1,7075\nplate_1,7076\n,z\n", encoding="utf-8")
    done = join(made, capsys)
    assert done["repeated"] == ["plate_1"] and done["keyless"] == 1 and done["changed"] == 1
    assert passing(made, "meta.material = '7076' and meta.customer = 'Müller'") == ["plate_1.dxf"]
    assert join(made, capsys)["changed"] == 0
    assert join(made, capsys, "--replace")["changed"] == 3
    assert passing(made, "meta.material is not null") == ["plate_1.dxf"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("meta.material = '6061'", [1]),
        ("META.Material = 'S235'", [0]),
        ('meta."unit price" < 8', [0]),
        ('meta."unit price" between 7 and 12.5', [0, 1]),
        ('meta."unit price" = 12.4 ± 0.2', [1]),
        ("meta.material in ('6061', 'S235') and not meta.customer = 'Müller'", [0]),
        ("meta.customer like 'm%ER'", [1]),
        ("meta.customer = 'O''Hara'", [0]),
        ("meta.material is null", [2]),
        ("meta.nothing = 'x' or meta.material = 6061", [1]),
        ("meta.material not in ('6061')", [0]),
        ("meta.partno = 815", []),
    ],
)
def test_filters_by_columns_of_a_table(
    made: Path, capsys: pytest.CaptureFixture[str], where: str, found: list[int]
) -> None:
    join(made, capsys)
    assert passing(made, where) == [("0815-B.dxf", "plate_1.dxf", "other.dxf")[i] for i in found]


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_is_typed_is_compared_and_never_run(name: str, value: str) -> None:
    from deepdxf.where import compile_where

    quoted = value.replace("'", "''")
    try:
        compiled = compile_where(f"meta.\"{name}\" = '{quoted}'")
    except FilterError:
        assert '"' in name or "\n" in name or not name
        return
    # texts of the database, taken out one after the other, leave nothing that was typed
    rest, inside = "", False
    for character in compiled:
        inside ^= character == "'"
        rest += "" if inside or character == "'" else character
    assert rest == "(array_element(regexp_match(meta, ), 1) = )"


@pytest.mark.parametrize("name", ["a.*", "x|y", "Material)", "m\\d", "(?i)", "^a$", "a'b", "a;b"])
def test_names_are_no_patterns(made: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (made / "t.csv").write_text(f'PartNo,"{name}"\nplate_1,5\nother,x\n', encoding="utf-8")
    join(made, capsys)
    assert passing(made, f'meta."{name}" = 5') == ["plate_1.dxf"]
    assert passing(made, f"meta.\"{name}\" = 'x'") == ["other.dxf"]


def test_hits_tell_what_tables_say(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    join(made, capsys)
    asked = ["search", str(made / "drawings" / "other.dxf"), "--archive", str(made / "archive")]
    assert main([*asked, "--json", "--where", "meta.customer like 'm%'", "--csv", str(made / "hits.csv")]) == 0
    (hit,) = json.loads(capsys.readouterr().out)["hits"]
    assert hit["meta"] == {"PartNo": "plate_1", "Material": "6061", "Unit price": "12,50", "Customer": "Müller"}
    with (made / "hits.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert [row["meta.Material"] for row in csv.DictReader(stream)] == ["6061"]
    assert main([*asked, "--columns", "material", "meta.Customer", "--html", str(made / "hits.html")]) == 0
    table = capsys.readouterr().out
    assert "6061" in table and "O'Hara" in table
    assert "meta.Unit price" in (made / "hits.html").read_text(encoding="utf-8")


def test_drawings_of_another_material_are_no_duplicates(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("plate_1", "0815-B", "other"):
        write(made / "drawings" / f"{name}.dxf", 3)
    run(made, capsys)
    join(made, capsys)
    asked = ["duplicates", "--archive", str(made / "archive"), "--json"]
    counts = []
    for options in ([], ["--apart", "meta.material"]):
        assert main([*asked, *options]) == 0
        counts.append([group["size"] for group in json.loads(capsys.readouterr().out)["groups"]])
    assert counts == [[3], []]


def test_an_export_has_it_all(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    join(made, capsys)
    assert main(["export", "--archive", str(made / "archive"), "--out", str(made / "a.zip")]) == 0
    assert main(["import", str(made / "a.zip"), "--archive", str(made / "copy")]) == 0
    assert METADATA in Archive.open(made / "copy").tables()
    assert Archive.open(made / "copy").records("meta.material = '6061'", ("path",))


def test_a_key_that_is_no_column(made: Path) -> None:
    with pytest.raises(ArchiveError, match="no column 'Nummer'; it has PartNo, Material, Unit price, Customer"):
        Archive.open(made / "archive").join(read_table(made / "t.csv"), "Nummer")


def test_many_rows_are_read_once_and_again_after_an_import(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, other = Archive.open(made / "archive"), Archive.open(made / "archive")
    names = [f"new_{number}" for number in range(40)]
    (made / "t.csv").write_text("PartNo,Material\n" + "".join(f"{name},{name}\n" for name in names), encoding="utf-8")
    other.join(read_table(made / "t.csv"), "PartNo")
    read, of = [], Lookup.of

    def counted(rows: Any) -> Lookup:
        read.append(1)
        return of(rows)

    ingest = Ingest(functools.partial(encoder.load, "histogram"), reader.read)
    monkeypatch.setattr(Lookup, "of", counted)
    monkeypatch.setattr("deepdxf.archive.BATCH_ROWS", 1)
    folder = made / "more"
    folder.mkdir()
    for number, name in enumerate(names[-4:]):
        write(folder / f"{name}.dxf", number)
    archive.index([folder], ingest, workers=1)
    assert len(read) == 1
    assert passing(made, "meta.material like 'new%'") == [f"{name}.dxf" for name in names[-4:]]
    (made / "t.csv").write_text("PartNo,Material\nlast,steel\n", encoding="utf-8")
    other.join(read_table(made / "t.csv"), "PartNo")
    write(folder / "last.dxf", 9)
    archive.index([folder], ingest, workers=1)
    assert passing(made, "meta.material = 'steel'") == ["last.dxf"]
