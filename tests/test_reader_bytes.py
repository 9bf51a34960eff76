"""Bytes of a DXF: what array operations find is what patterns find; what a file can cost is bounded."""

from __future__ import annotations

import gc
import io
import re
import weakref
from collections.abc import Callable

import cadkit
import ezdxf
import numpy as np
import pytest
from ezdxf.document import Drawing as Document
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepdxf import reader_bytes as rb
from deepdxf.errors import ReadError
from deepdxf.reader import parse
from deepdxf.table import Limits, Table
from tests.dxf import document, encode, section

LIMITS = Limits()
PIECES = st.sampled_from(
    b"0| |\t|\n|\r\n|LINE|VERTEX|3DFACE|3D|3|SECTION|ENDSEC|EOF|x|ENTITIES|2|00|10|-|_A9|ATTRIB|nan|iNf|+|.#|,5|\xff"
    b"|\0".split(b"|")
)
TEXTS = st.lists(PIECES, max_size=60).map(b"".join) | st.lists(
    st.sampled_from([b"0\nLINE\n", b"  0\r\nVERTEX\r\n", b"2\nENTITIES\n", b"0\nENDSEC\n", b" 70\n  0\n", b"8\n0\n"])
).map(b"".join)


@given(data=TEXTS)
@example(data=b"0\nA")
@example(data=b"\n0\n3DX")
@example(data=b"\n0" + b" " * 40 + b"\n\tLINE")
def test_starts_are_what_the_pattern_matches(data: bytes) -> None:
    starts = rb.find_starts(data, LIMITS)
    matches = list(rb.ENTITY.finditer(b"\n" + data))  # the first line counts too
    assert starts.line.tolist() == [match.start() - 1 for match in matches]
    assert starts.name.tolist() == [match.start(1) - 1 for match in matches]
    words = [re.match(rb"[A-Z0-9_-]*", match[1] + data[match.end() - 1 :])[0] for match in matches]
    assert starts.word.tolist() == [word[: rb.WORD] for word in words]


@given(data=TEXTS)
def test_words_for_numbers_that_are_none(data: bytes) -> None:
    assert rb.has_no_number(data) == bool(re.search(rb"[\n \t+-](?:nan|inf)|\.#", data, re.IGNORECASE))


def test_words_for_numbers_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rb, "BLOCK", 16)
    for place in range(40):
        assert rb.has_no_number(b"x" * place + b"\nNaN" + b"x" * 40)
        data = b"8\n" * place + b"  0\nLINE\n" + b"8\n" * 20
        assert rb.find_starts(data, LIMITS).name.tolist() == [data.index(b"LINE")]


@given(data=TEXTS)
def test_declared_entities_against_the_pattern(data: bytes) -> None:
    declared = 0
    if match := rb.ENTITIES_SECTION.search(data):
        names = rb.ENTITY.findall(data, match.end() - 2)
        ends = [i for i, name in enumerate(names) if name == b"ENDSEC"]
        declared = sum(name not in rb.PARTS for name in names[: ends[0] if ends else None])
    assert rb.declared_entities(data, rb.find_starts(data, LIMITS)) == declared


@settings(max_examples=50)
@given(data=TEXTS.map(lambda text: b"\n40\n2,5\n" + text) | TEXTS)
def test_decimal_commas_against_the_pattern(data: bytes) -> None:
    assert rb.has_decimal_comma(data) == bool(rb.DECIMAL_COMMA.search(data))


# --- what is not drawn -----------------------------------------------------------------------------------------------


def two_layouts() -> Document:
    doc = ezdxf.new("R2010")
    doc.modelspace().add_line((0, 0), (3, 4))
    doc.layouts.new("Sheet A").add_circle((0, 0), 5)
    doc.layouts.new("Sheet B").add_circle((0, 0), 7)
    return doc


def words(data: bytes, *names: bytes) -> list[bytes]:
    """The names of the starts, those that are asked for."""
    return [word for word in rb.find_starts(data, LIMITS).word.tolist() if word in names]


KEPT = (b"SECTION", b"ENDSEC", b"EOF", b"LAYOUT", b"BLOCK", b"LINE", b"CIRCLE")


@pytest.mark.parametrize("space", ["model", "Sheet A", "Sheet B"])
def test_undrawn_sections_change_nothing_but_the_size(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    two_layouts().write(stream)
    data = stream.getvalue().encode()
    part = rb.drawn_part(data, rb.find_starts(data, LIMITS))
    assert len(part) < 0.9 * len(data) and words(part, *KEPT) == words(data, *KEPT)
    assert not words(part, b"DICTIONA") and words(data, b"DICTIONA")
    with_it = parse(data, space=space)
    monkeypatch.setattr("deepdxf.reader.drawn_part", lambda data, starts: data)
    without = parse(data, space=space)
    assert with_it.reader == without.reader == "cadkit" and len(with_it) == 1
    np.testing.assert_array_equal(with_it.box, without.box)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_thumbnails_are_left_out(end: bytes) -> None:
    lines = [(0, "LINE"), (10, 0.0), (20, 0.0), (11, 3.0), (21, 4.0)]
    picture = section("THUMBNAILIMAGE", [(90, 6000), *[(310, "AB" * 60)] * 50])
    data = encode([*section("ENTITIES", lines), *picture, (0, "EOF")]).replace(b"\n", end)
    part = rb.drawn_part(data, rb.find_starts(data, LIMITS))
    assert b"310" not in part and words(part, *KEPT) == words(data, *KEPT)
    d = parse(data)
    assert d.reader == "cadkit" and d.status == "ok" and d.class_counts() == {"LINE": 1}


def test_binary_objects_are_left_out_but_layouts() -> None:
    stream = io.BytesIO()
    two_layouts().write(stream, fmt="bin")
    data = stream.getvalue()
    whole, part = rb.binary_to_ascii(data), rb.binary_to_ascii(data, whole=False)
    assert len(part) < 0.9 * len(whole) and words(part, *KEPT) == words(whole, *KEPT)
    d = parse(data, space="Sheet B")
    assert d.reader == "cadkit" and d.class_counts() == {"CIRCLE": 1} and d.box[0, 2] == 7.0


# --- floods of tags --------------------------------------------------------------------------------------------------

SMALL = Limits(tags=2000, objects=300)
LINE = "0\nLINE\n8\n0\n10\n0\n20\n0\n11\n1\n21\n1\n"


@pytest.mark.parametrize("unit", [LINE, "0\nLINE\n", LINE + "1000\nx\n" * 50, "0\nVERTEX\n"])
@pytest.mark.parametrize("end", ["0\nENDSEC\n0\nEOF\n", ""])
def test_a_flood_is_cut_at_the_limit(unit: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rb, "BLOCK", 1024)  # bytes, in which tags are counted
    sizes: list[int] = []
    read: Callable[..., object] = cadkit.read
    monkeypatch.setattr("cadkit.read", lambda data, **limits: sizes.append(data.count(b"\n")) or read(data, **limits))
    data = ("0\nSECTION\n2\nENTITIES\n" + LINE + unit * 3000 + end).encode()
    d = parse(data, limits=SMALL)
    assert d.status == "too large" and 1 <= len(d) <= SMALL.objects
    assert sizes and max(sizes) <= 2 * SMALL.tags + rb.BLOCK
    assert rb.find_starts(data, SMALL).line.size <= SMALL.objects + 1


def test_the_careful_reader_takes_a_part_of_the_limits_only(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(document([(0, "LINE"), (10, 0.0), (11, 1.0)] * 100))
    assert len(parse(data, careful=True)) == 100
    with pytest.raises(ReadError, match="too large for the careful reader"):
        parse(data, careful=True, limits=SMALL)
    monkeypatch.setattr("deepdxf.reader.declared_entities", lambda data, starts: 101)  # as if the fast one had lost one
    d = parse(data, limits=SMALL)
    assert d.reader == "cadkit" and len(d) == 100 and d.status == "partial"


def test_a_flood_of_binary_tags_is_cut() -> None:
    pairs = b"".join(b"\x00LINE\x00\x08A\x00" for _ in range(5000))
    data = b"AutoCAD Binary DXF\r\n\x1a\x00" + b"\x00SECTION\x00\x02ENTITIES\x00" + pairs
    assert len(rb.binary_to_ascii(data, most=100).split(b"\n")) == 2 * 101 + 1
    assert parse(data, limits=SMALL).status == "too large"


def test_a_file_that_was_read_does_not_wait_for_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[weakref.ref[Table]] = []

    class Watched(Table):
        def __init__(self) -> None:
            super().__init__()
            tables.append(weakref.ref(self))

    monkeypatch.setattr("deepdxf.reader.Table", Watched)
    gc.disable()
    try:
        assert len(parse(encode(document([(0, "LINE"), (10, 0.0), (11, 1.0)])))) == 1
        assert tables and all(table() is None for table in tables)
    finally:
        gc.enable()


def test_sections_of_a_document_are_whole() -> None:
    data = encode([*section("HEADER", []), *section("ENTITIES", [(0, "LINE"), (8, "0")]), (0, "EOF")])
    assert rb.missing_end(data, rb.find_starts(data, LIMITS)) == ""
    assert "cut off" in rb.missing_end(data[:-30], rb.find_starts(data[:-30], LIMITS))
