"""Files as they come: every known trap, on both readers, with hand-made bytes."""

from __future__ import annotations

import gzip
import io
import os
import struct
from pathlib import Path

import ezdxf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.drawing import Drawing, EntityClass
from deepdxf.errors import ReadError
from deepdxf.reader import parse, read, spaces
from deepdxf.reader_bytes import binary_to_ascii
from deepdxf.table import Limits
from deepdxf.text import decode_characters
from tests.dxf import block, codes, document, drawing, encode, insert, line, section, tags

C = EntityClass
both = pytest.mark.parametrize("careful", [False, True], ids=["fast", "careful"])
SQUARE = line(0, 0, 4, 0) + line(4, 0, 4, 3) + line(4, 3, 0, 3) + line(0, 3, 0, 0)
SHEET = SQUARE + "0 CIRCLE, 8 holes, 10 2, 20 1, 30 0, 40 0.5," + insert("PIN", 1, 1) + insert("PIN", 3, 1)
PIN = block("PIN", line(0, 0, 0, 1) + "0 TEXT, 8 0, 10 0, 20 0, 40 0.2, 1 pin,")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def check(d: Drawing) -> None:
    """What every Drawing promises, whatever the file was."""
    n = len(d)
    assert d.vertex_start[0] == 0 and d.vertex_start[-1] == len(d.vertices) and (np.diff(d.vertex_start) > 0).all()
    assert d.knot_start[-1] == len(d.knots)
    assert np.isfinite(d.vertices).all() and np.isfinite(d.box).all() and np.isfinite(d.frame).all()
    assert (d.box[:, :2] <= d.box[:, 2:]).all()
    assert ((d.parent >= -1) & (d.parent < np.arange(n))).all()
    assert ((d.parent == -1) == (d.depth == 0)).all()
    inside = d.parent >= 0
    assert (d.depth[inside] == d.depth[d.parent[inside]] + 1).all()
    assert (d.cls[d.parent[inside]] == C.INSERT).all()
    assert (d.handle[~inside] == np.sort(d.handle[~inside])).all()
    assert ((d.layer >= 0) & (d.layer < len(d.layers))).all()
    assert (d.text_index < len(d.texts)).all() and (d.block_index < len(d.blocks)).all()
    assert d.status in ("ok", "repaired", "partial", "too large")


# --- what is no drawing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \r\n\0\0", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG picture"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "a JPEG picture"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
        (b"AC1009" + bytes(200), "R13 and later"),
        (b"AC1032" + bytes(200), "cannot be read"),
        (b"just some prose\nof two lines\n", "not a"),
        (bytes(range(256)) * 20, "neither text nor"),
        (b"\xff\xfe" + b"a" * 11, "UTF-16"),
    ],
)
def test_what_is_no_drawing_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    path = write(tmp_path / "plan.dxf", content)
    with pytest.raises(ReadError, match=words) as error:
        read(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        read(tmp_path / "nothing.dxf")
    with pytest.raises(ReadError, match="folder"):
        read(tmp_path)
    with pytest.raises(ReadError, match="cannot be read"):
        read("nul\0byte.dxf")


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="rights do not bind here"
)
def test_no_permission(tmp_path: Path) -> None:
    path = write(tmp_path / "secret.dxf", encode(document(SQUARE)))
    path.chmod(0)
    with pytest.raises(ReadError, match="no permission"):
        read(path)


def test_no_permission_is_said_whatever_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "secret.dxf", encode(document(SQUARE)))

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ReadError, match="no permission"):
        read(path)


@pytest.mark.parametrize("name", ["with space.dxf", "图纸.dxf", "no-suffix", "UPPER.DXF"])
def test_names_of_files(tmp_path: Path, name: str) -> None:
    assert len(read(write(tmp_path / name, encode(document(SQUARE))))) == 4


def test_size_limit(tmp_path: Path) -> None:
    data = encode(document(SQUARE))
    packed = gzip.compress(data + b" " * 100_000)
    limits = Limits(file_bytes=len(data))
    assert len(parse(data, limits=limits)) == 4
    assert len(packed) < limits.file_bytes
    for content in (data + b"\n", packed):
        with pytest.raises(ReadError, match="too large"):
            read(write(tmp_path / "a.dxf", content), limits=limits)
    with pytest.raises(ReadError, match="too large"):
        parse(data + b"\n", limits=limits)


# --- forms of a file -------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_ends(newline: str, careful: bool) -> None:
    d = parse(encode(document(SHEET, PIN), newline), careful=careful)
    assert d.class_counts() == {"TEXT": 2, "LINE": 6, "CIRCLE": 1, "INSERT": 2}
    assert ("line-ends" in codes(d)) == (newline == "\r")


@both
def test_codes_without_padding(careful: bool) -> None:
    data = "".join(f"{code}\n{value}\n" for code, value in document(SQUARE)).encode()
    assert len(parse(data, careful=careful)) == 4


@both
def test_byte_order_marks(careful: bool) -> None:
    data = encode(document(SQUARE))
    for form in (b"\xef\xbb\xbf" + data, data.decode().encode("utf-16")):
        assert len(parse(form, careful=careful)) == 4


def test_gzip(tmp_path: Path) -> None:
    data = encode(document(SHEET, PIN))
    plain, packed = parse(data), read(write(tmp_path / "a.dxf.gz", gzip.compress(data)))
    assert packed.content_size == len(data) and np.array_equal(plain.vertices, packed.vertices)


def binary(pairs: list[tuple[int, object]], wide: bool = True) -> bytes:
    """Tags as binary DXF: group codes of two bytes, or of one as R12 wrote them."""
    out = b"AutoCAD Binary DXF\r\n\x1a\x00"
    for code, value in pairs:
        out += struct.pack("<H", code) if wide else struct.pack("B", code)
        if 10 <= code <= 59:
            out += struct.pack("<d", float(str(value)))
        elif 60 <= code <= 79:
            out += struct.pack("<h", int(str(value)))
        else:
            out += str(value).encode("cp1252") + b"\0"
    return out


@pytest.mark.parametrize("wide", [True, False])
def test_binary_dxf_equals_ascii(wide: bool) -> None:
    header = [(9, "$ACADVER"), (1, "AC1015" if wide else "AC1009")]
    content = [*tags(SHEET), (0, "TEXT"), (8, "0"), (10, 0), (20, 0), (40, 1), (1, "Größe")]
    pairs = document(content, PIN, header)
    a, b = parse(encode(pairs, encoding="cp1252")), parse(binary(pairs, wide))
    assert a.class_counts() == b.class_counts() and np.array_equal(a.vertices, b.vertices)
    assert "Größe" in b.texts and set(a.texts) == set(b.texts)


def test_dwg_is_known_by_its_content(corpus: Path, tmp_path: Path) -> None:
    source = next(p for p in sorted((corpus / "dwg").rglob("*2018*Arc.dwg")))
    d = read(write(tmp_path / "misnamed.dxf", source.read_bytes()))
    assert d.format == "dwg" and d.version == "AC1032" and d.class_counts()["ARC"] >= 1
    check(d)
    assert len(read(write(tmp_path / "packed.gz", gzip.compress(source.read_bytes())))) == len(d)


# --- damage ----------------------------------------------------------------------------------------------------------


@both
def test_decimal_commas(careful: bool) -> None:
    pairs = document("0 LINE, 8 0, 10 1.5, 20 -2.25, 11 1e1, 21 .5," + "0 TEXT, 8 0, 10 0.5, 20 0.5, 40 2.5, 1 x")
    commas = encode([(c, str(v).replace(".", ",") if 10 <= c < 60 else v) for c, v in pairs])
    commas = commas.replace(b"\nx\n", b"\n1,5 mm\n")
    d = parse(commas, careful=careful)
    assert d.points(0).tolist() == [[1.5, -2.25, 0.0], [10.0, 0.5, 0.0]]
    assert d.text(1) == "1,5 mm" and d.scalar(C.TEXT, "height")[0] == 2.5
    assert codes(d) == {"decimal-comma": 6} and d.status == "repaired"


@both
def test_handles_zero_absent_and_duplicate(careful: bool) -> None:
    if not careful:  # the careful reader's library refuses handle 0
        zero = drawing("".join(line(i, 0, i, 1, "5 0,") for i in (3, 1, 2)))
        assert zero.handle.tolist() == [0, 0, 0] and zero.vertices[::2, 0].tolist() == [3, 1, 2]
    absent = drawing("".join(line(i, 0, i, 1) for i in (3, 1, 2)), careful=careful)
    assert absent.handle.tolist() == [0, 0, 0] and absent.vertices[::2, 0].tolist() == [3, 1, 2]
    double = drawing("".join(line(i, 0, i, 1, "5 2F,") for i in (3, 1, 2)), careful=careful)
    assert double.vertices[::2, 0].tolist() == [3, 1, 2]
    shuffled = drawing("".join(line(i, 0, i, 1, f"5 {i + 0x20:X},") for i in (3, 1, 2)), careful=careful)
    assert shuffled.handle.tolist() == [0x21, 0x22, 0x23] and shuffled.vertices[::2, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("handle", ["FFFFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFFFFFFFFFF", "XYZ", "-5"])
def test_absurd_handles(handle: str) -> None:
    d = drawing(line(0, 0, 1, 1, f"5 {handle},") + line(1, 1, 2, 2))
    assert d.class_counts() == {"LINE": 2} and (d.handle == 0).all()


@both
def test_far_coordinates_are_kept_and_do_not_shrink_the_frame(careful: bool) -> None:
    d = drawing(SQUARE + "0 POINT, 8 0, 10 1e10, 20 -1e10,", careful=careful)
    assert d.vertices[-1].tolist() == [1e10, -1e10, 0.0]
    assert d.frame.tolist() == [0, 0, 4, 3]


@pytest.mark.parametrize("word", ["nan", "NaN", "-nan", "inf", "-INF", "1.#QNAN", "-1.#IND", "1.#INF"])
def test_not_a_number_is_left_out_and_counted(word: str) -> None:
    d = drawing(line(0, 0, 1, 1) + f"0 LINE, 8 0, 10 {word}, 20 0, 11 1, 21 1," + line(2, 2, 3, 3))
    assert d.class_counts() == {"LINE": 2} and d.status == "partial"
    assert codes(d) == {"not-finite": 1} and d.reader == "cadkit"
    check(d)


@both
@pytest.mark.parametrize("size", ["1e200", "-1e308", "1e101"])
def test_absurd_numbers_are_left_out_and_counted(size: str, careful: bool) -> None:
    d = drawing(
        line(0, 0, 1, 1) + f"0 CIRCLE, 8 0, 10 0, 20 0, 40 {size}, 0 POINT, 8 0, 10 {size}, 20 0,", careful=careful
    )
    assert d.class_counts() == {"LINE": 1} and codes(d) == {"not-finite": 2} and d.status == "partial"


@both
def test_scales_that_blow_up_sound_numbers(careful: bool) -> None:
    d = drawing(insert("A", 0, 0, "41 1e99, 42 1e99,") + SQUARE, block("A", line(0, 0, 1e90, 1e90)), careful=careful)
    assert d.class_counts() == {"LINE": 4, "INSERT": 1} and codes(d) == {"not-finite": 1}
    check(d)


@both
def test_entities_of_no_size(careful: bool) -> None:
    d = drawing(
        line(1, 1, 1, 1)
        + "0 CIRCLE, 8 0, 10 2, 20 2, 40 0,"
        + "0 ARC, 8 0, 10 2, 20 2, 40 0, 50 0, 51 90,"
        + "0 POINT, 8 0, 10 5, 20 5,"
        + "0 TEXT, 8 0, 10 0, 20 0, 40 0, 1 ,"
        + "0 SOLID, 8 0, 10 1, 20 1, 11 1, 21 1, 12 1, 22 1, 13 1, 23 1,",
        careful=careful,
    )
    check(d)
    assert d.class_counts() == {"TEXT": 1, "ARC": 1, "LINE": 1, "CIRCLE": 2, "SOLID": 1}
    assert d.box[0].tolist() == [1, 1, 1, 1]


@both
def test_coincident_and_missing_polyline_points(careful: bool) -> None:
    vertex = "0 VERTEX, 8 0, 10 {}, 20 {}, 42 {},"
    points = "".join(vertex.format(*p) for p in [(0, 0, 1), (0, 0, 0.5), (2, 0, 0), (2, 0, 0)])
    d = drawing(
        f"0 POLYLINE, 8 0, 66 1, 70 1, 10 0, 20 0, {points} 0 SEQEND, 8 0, 0 POLYLINE, 8 0, 66 1, 70 0, 0 SEQEND,",
        careful=careful,
    )
    check(d)
    assert d.points(0).tolist() == [[0, 0, 1], [0, 0, 0.5], [2, 0, 0], [2, 0, 0]]
    assert codes(d) == {"empty-entity": 1} and d.status == "repaired"


@both
def test_missing_endsec_and_eof(careful: bool) -> None:
    whole = encode(document(SQUARE))
    for end, code in ((b"  0\nENDSEC\n  0\nEOF\n", "truncated"), (b"  0\nEOF\n", "truncated")):
        d = parse(whole.removesuffix(end), careful=careful)
        assert d.class_counts() == {"LINE": 4} and codes(d).get(code) == 1 and d.status == "partial"
    d = parse(whole.replace(b"  0\nENDSEC\n  0\nEOF\n", b"  0\nEOF\n"), careful=careful)
    assert "truncated" in codes(d) and d.status == "partial"
    assert d.class_counts() == {"LINE": 4}


@both
def test_half_an_entity_at_the_end_is_dropped(careful: bool) -> None:
    data = encode(document(SQUARE))
    d = parse(data[: data.rindex(b" 11\n") + 5], careful=careful)  # in the middle of the last line's end point
    assert d.class_counts() == {"LINE": 3} and codes(d)["truncated"] == 1 and d.status == "partial"
    assert d.frame.tolist() == [0, 0, 4, 3]


@both
def test_a_section_not_closed_within_the_file(careful: bool) -> None:
    data = encode(document(insert("PIN"), PIN)).replace(b"  0\nENDSEC\n", b"", 2)
    d = parse(data, careful=careful)
    assert d.class_counts() == {"TEXT": 1, "LINE": 1, "INSERT": 1} and codes(d)["truncated"] == 1


@both
@pytest.mark.parametrize("keep", ["", "100 AcDbEntity,", "100 AcDbLine,"])
def test_missing_subclass_markers(keep: str, careful: bool) -> None:
    entity = f"0 LINE, 5 2F, {keep} 8 walls, 10 0, 20 0, 11 3, 21 4,"
    d = parse(encode(document(entity, header="9 $ACADVER, 1 AC1015")), careful=careful)
    assert d.class_counts() == {"LINE": 1} and d.box[0].tolist() == [0, 0, 3, 4]


@both
@pytest.mark.parametrize("end", ["", "0 EOF"])
def test_entities_without_sections(end: str, careful: bool) -> None:
    d = parse(encode(tags(SQUARE + end)), careful=careful)
    assert d.class_counts() == {"LINE": 4} and codes(d)["fragment"] == 1 and d.status == "repaired"


@both
def test_empty_and_missing_blocks(careful: bool) -> None:
    d = drawing(insert("NOTHING") + insert("ABSENT") * 2 + SQUARE, block("NOTHING", ""), careful=careful)
    assert d.class_counts() == {"LINE": 4, "INSERT": 3}
    assert codes(d) == {"missing-block": 2} and d.status == "partial"
    assert "'ABSENT'" in d.problems[0].message


@both
def test_entities_section_without_entities(careful: bool) -> None:
    d = drawing("", careful=careful)
    assert len(d) == 0 and d.status == "ok" and d.frame.tolist() == [0, 0, 0, 0]
    check(d)


def test_every_prefix_of_a_file_reads_or_says_why() -> None:
    """ASCII and binary; what is read of a prefix is a part of the whole, and the loss is told."""
    pairs = document(SHEET, PIN)
    whole = parse(encode(pairs))
    for form in (encode(pairs), binary(pairs, wide=False)):
        complete = len(form.rstrip(b"\0\n"))
        for size in range(len(form)):
            try:
                d = parse(form[:size])
            except ReadError as error:
                assert "\n" not in str(error)
                continue
            check(d)
            assert len(d) <= len(whole)
            if size < complete:
                assert d.status == "partial", size


def test_every_prefix_of_a_gzip_file_reads_or_says_why(tmp_path: Path) -> None:
    packed = gzip.compress(encode(document(SQUARE)), mtime=0)
    for size in range(len(packed)):
        with pytest.raises(ReadError):
            read(write(tmp_path / "a.gz", packed[:size]))


def test_the_careful_reader_reads_every_prefix_too() -> None:
    form = encode(document(SHEET, PIN))
    for size in range(0, len(form), 7):
        try:
            check(parse(form[:size], careful=True))
        except ReadError:
            continue


# --- characters ------------------------------------------------------------------------------------------------------

WORDS = [("cp936", "ANSI_936", "标注层"), ("cp932", "ANSI_932", "寸法線"), ("cp1251", "ANSI_1251", "Размеры")]


@both
@pytest.mark.parametrize(("encoding", "page", "word"), WORDS)
def test_codepages(encoding: str, page: str, word: str, careful: bool) -> None:
    header = f"9 $ACADVER, 1 AC1015, 9 $DWGCODEPAGE, 3 {page}"
    content = f"0 TEXT, 5 2F, 100 AcDbEntity, 8 {word}, 100 AcDbText, 10 0, 20 0, 40 1, 1 {word} %%c5, 100 AcDbText,"
    d = parse(encode(document(content, header=header), encoding=encoding), careful=careful)
    assert d.layers == (word,) and d.texts == (f"{word} Ø5",)


@both
@pytest.mark.parametrize(("encoding", "page", "word"), WORDS)
def test_utf8_where_no_codepage_is_named_and_where_the_version_demands_it(
    encoding: str, page: str, word: str, careful: bool
) -> None:
    content = f"0 TEXT, 8 {word}, 10 0, 20 0, 40 1, 1 {word},"
    modern = document(content, header=f"9 $ACADVER, 1 AC1027, 9 $DWGCODEPAGE, 3 {page}")
    for pairs in (document(content), document(content, header=""), modern):
        d = parse(encode(pairs), careful=careful)
        assert d.layers == (word,) and d.texts == (word,)


@both
def test_unicode_escapes(careful: bool) -> None:
    d = drawing(
        "0 TEXT, 8 \\U+6807\\U+6CE8, 10 0, 20 0, 40 1, 1 \\U+00D810 %%p0.1 \\M+1967B," + insert("\\U+00C4"),
        block("\\U+00C4", line(0, 0, 1, 1)),
        careful=careful,
    )
    assert "标注" in d.layers and d.texts == ("Ø10 ±0.1 本",)
    assert d.blocks == ("Ä",) and d.class_counts()["LINE"] == 1


@both
def test_bytes_of_no_encoding(careful: bool) -> None:
    data = encode(document("0 TEXT, 8 layer, 10 0, 20 0, 40 1, 1 XYZ,")).replace(b"XYZ", b"a\xff\x81\xfeb")
    d = parse(data, careful=careful)
    assert d.class_counts() == {"TEXT": 1} and d.texts[0].startswith("a") and d.texts[0].endswith("b")
    d.texts[0].encode()  # no lone surrogates


# --- spaces, units, what is left out ---------------------------------------------------------------------------------


def two_spaces(in_model: bool) -> bytes:
    doc = ezdxf.new("R2010", units=5)
    if in_model:
        doc.modelspace().add_line((0, 0), (1, 0))
    paper = doc.layout("Layout1")
    paper.add_circle((0, 0), 3)
    paper.add_circle((9, 0), 3)
    doc.new_layout("Second").add_point((0, 0))
    stream = io.StringIO()
    doc.write(stream)
    return stream.getvalue().encode()


@both
def test_spaces(careful: bool) -> None:
    d = parse(two_spaces(True), careful=careful)
    assert d.space == "model" and d.class_counts() == {"LINE": 1} and d.unit_mm == 10.0
    d = parse(two_spaces(False), careful=careful)
    assert d.space == "Layout1" and d.class_counts() == {"CIRCLE": 2}
    assert parse(two_spaces(True), space="paper", careful=careful).class_counts() == {"CIRCLE": 2}
    assert len(parse(two_spaces(False), space="model", careful=careful)) == 0
    assert parse(two_spaces(True), space="Second", careful=careful).dxftypes == ("POINT",)
    with pytest.raises(ReadError, match="no layout 'Third'; there are 'model'"):
        parse(two_spaces(True), space="Third", careful=careful)


def test_spaces_are_listed(tmp_path):
    path = tmp_path / "sheet.dxf"
    path.write_bytes(two_spaces(True))
    assert spaces(path) == {"model": 1, "Layout1": 2, "Second": 1}
    path.write_bytes(two_spaces(False))
    assert list(spaces(path)) == ["model", "Layout1", "Second"]
    with pytest.raises(ReadError, match="no such file"):
        spaces(tmp_path / "none.dxf")


@both
def test_old_paper_space(careful: bool) -> None:
    d = drawing("".join(line(0, 0, i, 1, "67 1,") for i in range(3)), careful=careful)
    assert d.class_counts() == {"LINE": 3} and d.space != "model"


@both
@pytest.mark.parametrize(("number", "mm"), [(0, None), (1, 25.4), (4, 1.0), (6, 1000.0), (99, None)])
def test_units(number: int, mm: float | None, careful: bool) -> None:
    header = f"9 $ACADVER, 1 AC1015, 9 $INSUNITS, 70 {number}"
    assert parse(encode(document(SQUARE, header=header)), careful=careful).unit_mm == mm
    assert drawing(SQUARE, careful=careful).unit_mm is None


@both
def test_three_dimensional_content_is_projected_and_counted(careful: bool) -> None:
    d = drawing(
        "0 LINE, 8 0, 10 0, 20 0, 30 0, 11 3, 21 4, 31 12," * 2
        + "0 3DFACE, 8 0, 10 0, 20 0, 30 0, 11 1, 21 0, 31 1, 12 1, 22 1, 32 2, 13 0, 23 1, 33 1,",
        careful=careful,
    )
    assert d.points(0)[:, :2].tolist() == [[0, 0], [3, 4]]
    assert codes(d) == {"projected": 3}
    assert d.status == "ok"  # a fact, no damage


@both
def test_invisible_and_unknown_entities_are_counted(careful: bool) -> None:
    d = drawing(line(0, 0, 1, 1, "60 1,") + line(0, 0, 1, 1) + "0 SHAPE, 8 0, 10 0, 20 0, 40 1, 2 X,", careful=careful)
    assert d.class_counts() == {"LINE": 1} and d.ignored == {"SHAPE": 1, "invisible": 1}
    modern = "0 RAY, 5 30, 100 AcDbEntity, 8 0, 100 AcDbRay, 10 0, 20 0, 30 0, 11 1, 21 0, 31 0,"
    d = parse(encode(document(modern, header="9 $ACADVER, 1 AC1015")), careful=careful)
    assert len(d) == 0 and d.ignored == {"RAY": 1}


@both
def test_external_references_are_told(careful: bool) -> None:
    xref = "0 BLOCK, 8 0, 2 SITE, 70 4, 10 0, 20 0, 30 0, 3 SITE, 1 C:\\plans\\site.dwg, 0 ENDBLK, 8 0,"
    d = drawing(insert("SITE") + line(0, 0, 1, 1), xref, careful=careful)
    assert codes(d)["external-reference"] == 1 and d.status == "partial"
    assert "site.dwg" in d.problems[0].message


@both
def test_attributes_are_texts_and_fields(careful: bool) -> None:
    content = (
        insert("FRAME", 10, 0, "66 1,")
        + "0 ATTRIB, 8 0, 10 11, 20 1, 40 0.5, 1 Flange %%c80, 2 TITLE, 70 0,"
        + "0 ATTRIB, 8 0, 10 11, 20 2, 40 0.5, 1 secret, 2 NOTE, 70 1,"
        + "0 SEQEND, 8 0,"
    )
    definition = line(0, 0, 9, 0) + "0 ATTDEF, 8 0, 10 1, 20 1, 40 0.5, 1 default, 3 prompt, 2 TITLE, 70 0,"
    d = drawing(content, block("FRAME", definition), careful=careful)
    assert d.fields == (("TITLE", "Flange Ø80"), ("NOTE", "secret"))
    assert [d.text(row) for row in d.rows(C.TEXT)] == ["Flange Ø80"]
    assert d.ignored == {"ATTDEF": 1, "invisible": 1}
    assert d.class_counts() == {"TEXT": 1, "LINE": 1, "INSERT": 1}


@both
def test_a_dimension_is_one_row_and_not_its_picture(careful: bool) -> None:
    doc = ezdxf.new("R2010")
    space = doc.modelspace()
    space.add_linear_dim(base=(0, 5), p1=(0, 0), p2=(30, 0)).render()
    space.add_linear_dim(base=(0, 9), p1=(0, 0), p2=(30, 0), text="<> H7 ±0.1").render()
    space.add_diameter_dim(center=(0, 0), radius=4, angle=30).render()
    space.add_angular_dim_2l(base=(5, 5), line1=((0, 0), (9, 0)), line2=((0, 0), (0, 9))).render()
    stream = io.StringIO()
    doc.write(stream)
    d = parse(stream.getvalue().encode(), careful=careful)
    assert d.class_counts() == {"DIMENSION": 4}
    assert d.scalar(C.DIMENSION, "measurement") == pytest.approx([30, 30, 8, 90])
    assert d.scalar(C.DIMENSION, "value") == pytest.approx([30, 30, 8, 90])
    assert d.scalar(C.DIMENSION, "tolerance_upper")[1] == 0.1
    assert d.scalar(C.DIMENSION, "kind").tolist() == [0, 0, 3, 2]


# --- the two readers -------------------------------------------------------------------------------------------------

FOLDED = {  # DXF type -> class, as the docstring of the reader says
    "LINE": C.LINE, "POINT": C.CIRCLE, "CIRCLE": C.CIRCLE, "ARC": C.ARC, "LWPOLYLINE": C.LWPOLYLINE,
    "POLYLINE": C.LWPOLYLINE, "MESH": C.LWPOLYLINE, "MLINE": C.LWPOLYLINE, "ELLIPSE": C.SPLINE, "SPLINE": C.SPLINE,
    "HELIX": C.SPLINE, "SOLID": C.SOLID, "TRACE": C.SOLID, "3DFACE": C.SOLID, "TEXT": C.TEXT, "MTEXT": C.MTEXT,
    "HATCH": C.HATCH, "MPOLYGON": C.HATCH, "LEADER": C.LEADER, "MULTILEADER": C.LEADER, "INSERT": C.INSERT,
    "TOLERANCE": C.TEXT, "ATTDEF": C.TEXT,
}  # fmt: skip


def everything(dxftype: str) -> ezdxf.document.Drawing:
    """A document with one entity of a type."""
    doc = ezdxf.new("R2010")
    doc.blocks.new("B").add_line((0, 0), (1, 0))
    m = doc.modelspace()
    points = [(0, 0), (4, 1), (5, 5), (1, 6)]
    make = {
        "LINE": lambda: m.add_line((0, 0), (1, 2)),
        "POINT": lambda: m.add_point((3, 4)),
        "CIRCLE": lambda: m.add_circle((1, 2), 3),
        "ARC": lambda: m.add_arc((1, 2), 3, 30, 200),
        "LWPOLYLINE": lambda: m.add_lwpolyline([(0, 0, 0.5), (4, 0, 0), (4, 4, -1)], format="xyb", close=True),
        "POLYLINE": lambda: m.add_polyline2d([(0, 0, 0.5), (4, 0, 0), (4, 4, -1)], format="xyb"),
        "MESH": lambda: m.add_polymesh((3, 4)),
        "MLINE": lambda: m.add_mline(points),
        "ELLIPSE": lambda: m.add_ellipse((1, 1), (4, 1), 0.4, 0.3, 4.0),
        "SPLINE": lambda: m.add_open_spline(points),
        "HELIX": lambda: m.add_helix(2, 1, 3),
        "SOLID": lambda: m.add_solid(points),
        "TRACE": lambda: m.add_trace(points),
        "3DFACE": lambda: m.add_3dface(points),
        "TEXT": lambda: m.add_text("abc", height=2, rotation=30).set_placement((5, 6)),
        "MTEXT": lambda: m.add_mtext("a\\Pb {\\fArial;c}", {"char_height": 2, "insert": (1, 2), "width": 30}),
        "HATCH": lambda: m.add_hatch().paths.add_polyline_path([(0, 0, 1), (4, 0, 0), (4, 4, 0)], is_closed=True),
        "MPOLYGON": lambda: m.add_mpolygon().paths.add_polyline_path([(0, 0), (4, 0), (4, 4)], is_closed=True),
        "LEADER": lambda: m.add_leader(points),
        "MULTILEADER": lambda: _multileader(m),
        "INSERT": lambda: m.add_blockref("B", (1, 2), {"rotation": 30, "xscale": 2, "column_count": 2}),
        "TOLERANCE": lambda: m.new_entity("TOLERANCE", {"insert": (1, 2), "content": "{\\Fgdt;j}%%v0.2"}),
        "ATTDEF": lambda: m.add_attdef("TAG", (1, 2), "default"),
    }
    make[dxftype]()
    return doc


def _multileader(space: ezdxf.layouts.Modelspace) -> None:
    builder = space.add_multileader_mtext("Standard")
    builder.set_content("note")
    builder.add_leader_line(ezdxf.render.ConnectionSide.left, [ezdxf.math.Vec2(-5, -5)])
    builder.build(insert=ezdxf.math.Vec2(5, 5))


@pytest.mark.parametrize("dxftype", FOLDED)
def test_folding_and_agreement_of_the_readers(dxftype: str) -> None:
    stream = io.StringIO()
    everything(dxftype).write(stream)
    fast, careful = (parse(stream.getvalue().encode(), careful=c) for c in (False, True))
    assert (fast.reader, careful.reader) == ("cadkit", "ezdxf")
    assert {EntityClass(c) for c in fast.cls[fast.depth == 0]} == {FOLDED[dxftype]}
    for name in ("cls", "handle", "depth", "parent", "color", "vertex_start", "vertex_path", "knot_start"):
        assert np.array_equal(getattr(fast, name), getattr(careful, name)), name
    for name in ("vertices", "scalars", "box", "knots"):
        np.testing.assert_allclose(getattr(fast, name), getattr(careful, name), rtol=1e-9, atol=1e-12, err_msg=name)
    assert fast.texts == careful.texts and fast.layers == careful.layers and fast.unit_mm == careful.unit_mm
    check(fast)


@pytest.mark.parametrize("name", ["3DSOLID", "REGION", "XLINE", "RAY", "IMAGE", "WIPEOUT", "VIEWPORT", "OLE2FRAME"])
def test_types_without_a_class_are_counted(name: str) -> None:
    content = f"0 {name}, 5 30, 100 AcDbEntity, 8 0, 10 0, 20 0, 30 0, 11 1, 21 0, 31 0," + line(0, 0, 1, 1)
    d = parse(encode(document(content, header="9 $ACADVER, 1 AC1015")))
    assert d.class_counts() == {"LINE": 1} and d.ignored == {name: 1} and d.status == "ok"


def test_the_careful_reader_takes_over_and_says_so() -> None:
    doc = ezdxf.new("R2000")
    mesh = doc.modelspace().add_polymesh(
        (3, 3), dxfattribs={"smooth_type": 5, "m_smooth_density": 2, "n_smooth_density": 2}
    )
    mesh.dxf.flags |= 4
    for vertex in mesh.vertices[:5]:
        vertex.dxf.flags |= 16  # five of the nine control the four that are drawn
    stream = io.StringIO()
    doc.write(stream)
    d = parse(stream.getvalue().encode())
    assert d.reader == "ezdxf" and len(d.points(0)) == 4
    assert drawing(SQUARE).reader == "cadkit"


def test_the_careful_reader_says_what_it_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    from ezdxf.entitydb import EntitySpace

    add, lost = EntitySpace.add, []

    def lose_one(self: EntitySpace, entity: object) -> None:
        if getattr(entity, "DXFTYPE", "") == "LINE" and not lost:
            lost.append(entity)
        else:
            add(self, entity)

    monkeypatch.setattr(EntitySpace, "add", lose_one)
    d = drawing(SQUARE, careful=True)
    assert d.class_counts() == {"LINE": 3} and codes(d) == {"lost-entity": 1} and d.status == "partial"


def test_the_fast_reader_keeps_what_the_careful_one_cannot_read_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "0 LINE, 5 30, 100 AcDbEntity, 8 0, 100 AcDbLine, 10 0, 20 0, 11 1, 21 1, 0 REGION, 5 31, 8 0,"
    data = encode(document(broken, header="9 $ACADVER, 1 AC1015"))
    with pytest.raises(ReadError, match="not a readable DXF"):
        parse(data, careful=True)
    monkeypatch.setattr("deepdxf.reader.declared_entities", lambda data, starts: 4)  # as if the fast one had lost two
    d = parse(data)
    assert d.reader == "cadkit" and d.class_counts() == {"LINE": 1} and d.ignored == {"REGION": 1}
    assert codes(d) == {"lost-entity": 2} and d.status == "partial"


def test_associative_hatches_are_told_apart() -> None:
    doc = ezdxf.new("R2010")
    flags = [1, 0, 1]
    for flag in flags:
        hatch = doc.modelspace().add_hatch(dxfattribs={"associative": flag})
        hatch.paths.add_polyline_path([(0, 0), (1, 0), (1, 1)])
        doc.modelspace().add_mtext("x", {"attachment_point": 1})  # its group 71 is 1
    stream = io.StringIO()
    doc.write(stream)
    assert parse(stream.getvalue().encode()).scalar(C.HATCH, "associative").tolist() == flags


# --- fuzz ------------------------------------------------------------------------------------------------------------

ASCII, BINARY = encode(document(SHEET, PIN)), binary(document(SHEET, PIN), wide=False)
FIELDS = st.sampled_from(
    [0, 1, 2, 3, 5, 8, 10, 20, 30, 11, 21, 40, 41, 42, 50, 60, 62, 66, 67, 70, 71, 72, 73, 100, 210, 230, 420]
)
VALUES = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", " ", "A", "PIN", "*D1", "POLYLINE", "VERTEX", "SEQEND", "INSERT", "SPLINE", "HATCH", "ENDSEC"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=6),
)


def survives(data: bytes) -> None:
    try:
        check(parse(data, limits=Limits(entities=2000, vertices=50_000)))
    except ReadError as error:
        assert "\n" not in str(error) and str(error)


@settings(max_examples=150)
@given(st.sampled_from([ASCII, BINARY]), st.data())
def test_flipped_bytes(data: bytes, draw: st.DataObject) -> None:
    mutable = bytearray(data)
    for place, value in draw.draw(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=8)):
        mutable[place] = value
    survives(bytes(mutable))


ENTITY_NAMES = st.sampled_from([*FOLDED, "ACAD_TABLE", "ARC_DIMENSION", "3DLINE", "WIPEOUT", "DIMENSION"])


@settings(max_examples=200)
@given(
    st.lists(st.tuples(ENTITY_NAMES, st.lists(st.tuples(FIELDS, VALUES), max_size=12)), min_size=1, max_size=4),
    st.sampled_from(["AC1009", "AC1015", "AC1032"]),
)
def test_entities_of_random_tags(entities: list[tuple[str, list[tuple[int, str]]]], version: str) -> None:
    content = [tag for name, fields in entities for tag in [(0, name), (8, "0"), *fields]]
    survives(encode(document(content, PIN, [(9, "$ACADVER"), (1, version)])))


@pytest.mark.parametrize("name", ["2000", "2004", "2007", "2010", "2018"])
def test_damaged_dwg(corpus: Path, name: str) -> None:
    source = min((corpus / "dwg").rglob(f"*~{name}~*.dwg"), key=lambda path: (path.stat().st_size, path))
    data = source.read_bytes()
    check(parse(data))
    generator = np.random.default_rng(5)
    for size in generator.integers(6, len(data), 6):
        survives(data[:size])
    for _ in range(12):
        mutable = np.frombuffer(data, np.uint8).copy()
        mutable[generator.integers(6, len(data), 10)] = generator.integers(0, 256, 10)
        survives(mutable.tobytes())


def test_section_helper_makes_what_ezdxf_accepts() -> None:
    """The oracle of the helper: the file that these tests start from is a valid one for another library."""
    doc = ezdxf.read(io.StringIO(encode(document(SHEET, PIN)).decode()))
    assert len(doc.modelspace()) == 7 and "PIN" in doc.blocks
    assert section("X", [])[0] == (0, "SECTION")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("blank", [0, 1])
def test_fragment_with_a_blank_line_at_its_end_keeps_its_last_entity(newline: str, blank: int):
    data = encode(tags(line(0, 0, 3, 4) + line(1, 1, 2, 2)), newline) + blank * newline.encode()
    drawing = parse(data)
    assert drawing.class_counts() == {"LINE": 2}
    assert drawing.points(1)[:, :2].tolist() == [[1, 1], [2, 2]]


@pytest.mark.parametrize("version", ["R12", "R2000", "R2010"])
def test_binary_tags_are_those_of_the_library(version: str):
    from ezdxf.lldxf.tagger import binary_tags_loader

    document = ezdxf.new(version, setup=True)
    space = document.modelspace()
    document.layers.add("Größe")
    space.add_line((1.5, -2), (1e-9, 3e10), dxfattribs={"layer": "Größe"})
    space.add_text("Ø 12 ± 0,1")
    if version != "R12":
        space.add_lwpolyline([(0, 0, 0.5), (1, 1, 0)], format="xyb")
        space.add_hatch().paths.add_polyline_path([(0, 0), (1, 0), (1, 1)])
    stream = io.BytesIO()
    document.write(stream, fmt="bin")
    expected = []
    for code, value in binary_tags_loader(stream.getvalue(), errors="replace"):
        text = value.hex().upper() if isinstance(value, bytes) else str(value)
        expected += [str(code), text]
    lines = binary_to_ascii(stream.getvalue()).decode("ascii").split("\n")[:-1]
    assert [decode_characters(text) for text in lines] == [decode_characters(text) for text in expected]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "p.dxf")
    with pytest.raises(ReadError, match="not a regular file"):
        read(tmp_path / "p.dxf")


def test_a_comment_after_the_end_is_no_loss():
    data = encode(document(SQUARE)) + b"999\nmade by hand\n"
    assert parse(data).status == "ok"
    assert parse(data.replace(b"EOF\n", b"")).status == "partial"


def test_xml_behind_a_byte_order_mark_is_named():
    with pytest.raises(ReadError, match="but XML"):
        parse(b"\xef\xbb\xbf<?xml version='1.0'?><a/>")
