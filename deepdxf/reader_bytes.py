"""Bytes of a DXF made fit to read, and what they tell beside the readers: how many entities they declare, handles, units.

A DXF is lines in pairs: a group code and its value. Most questions about a file are answered by its starts: the lines
"0" whose value is a name, where sections, tables, objects and entities begin. They are found once, by array operations
over all bytes (`find_starts`); patterns are tried only where something was found.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from deepdxf.drawing import BoolArray, IntArray
from deepdxf.errors import ReadError
from deepdxf.table import Limits, Table

BINARY_DXF = b"AutoCAD Binary DXF"

# The start of an entity; a value line is never a word after a line "0".
ENTITY = re.compile(rb"\n[ \t]*0[ \t]*\r?\n[ \t]*(3D[A-Z]+|[A-Z][A-Z0-9_-]*)")
HEADER_SECTION = re.compile(rb"\n[ \t]*2[ \t]*\r?\n[ \t]*HEADER[ \t]*\r?\n")
ENTITIES_SECTION = re.compile(rb"\n[ \t]*2[ \t]*\r?\n[ \t]*ENTITIES[ \t]*\r?\n")
# A float group and a number with a decimal comma: "40\n22,07". A code line is never "22,07", so pairs cannot slip.
FLOAT_GROUPS = rb"(?:[1-5]\d|1[1-4]\d|2[1-3]\d|46\d|10[1-5]\d)"
DECIMAL_COMMA = re.compile(
    rb"(\n[ \t]*" + FLOAT_GROUPS + rb"[ \t]*\r?\n[ \t]*[-+]?\d*),(\d+(?:[eE][-+]?\d+)?[ \t]*\r?(?=\n))"
)
NOT_A_NUMBER = re.compile(
    rb"(\n[ \t]*" + FLOAT_GROUPS + rb"[ \t]*\r?\n[ \t]*)[-+]?(?:nan|inf|\d*\.#)[^\r\n]*", re.IGNORECASE
)
SECTION_MARK = re.compile(rb"(?:\A|\n)[ \t]*0[ \t]*\r?\n[ \t]*(SECTION|ENDSEC|EOF)[ \t]*\r?(?=\n|\Z)")
SECTION_START = re.compile(rb"(?:\A|\n)[ \t]*0[ \t]*\r?\n[ \t]*SECTION[ \t]*\r?\n")
SECTION_NAME = re.compile(rb"SECTION[ \t]*\r?\n[ \t]*2[ \t]*\r?\n[ \t]*(\w+)")
DRAWN_SECTION = re.compile(
    rb"\n[ \t]*2[ \t]*\r?\n[ \t]*(?:BLOCKS|ENTITIES)[ \t]*\r?\n(.*?\n)[ \t]*(?:0[ \t]*\r?\n[ \t]*ENDSEC|\Z)", re.DOTALL
)
HANDLE = re.compile(rb"\s*[0-9A-Fa-f]{1,16}\s*")
OLD_LINE = re.compile(rb"(\n[ \t]*0[ \t]*\r?\n[ \t]*)3DLINE(?=[ \t]*\r?\n)")  # R10's name of a LINE with z coordinates
# The head of an associative HATCH, up to its group 71; in pairs of lines, so that no value is taken for a code.
HATCH_HEAD = re.compile(
    rb"\nHATCH[ \t]*\r?\n"
    rb"((?:[ \t]*(?!(?:0|71)[ \t]*\r?\n)\d+[ \t]*\r?\n[^\n]*\n){1,60})"
    rb"[ \t]*71[ \t]*\r?\n[ \t]*1[ \t]*\r?\n"
)
END_OF_FILE = re.compile(rb"\n[ \t]*0[ \t]*\r?\n[ \t]*EOF[ \t]*[\r\n]")  # comments may follow
INSERTION_UNIT = re.compile(rb"\$INSUNITS\s+70\s+(\d+)")
PADDING = b"\x1a\0 \t\r\n"  # what may follow the end of a file
TAIL = 4096  # bytes at the end in which its mark is looked for
# Not entities of their own in the fast reader's count: parts of a polyline or an insert, and section ends.
PARTS = (b"VERTEX", b"SEQEND", b"ATTRIB", b"ENDSEC", b"EOF", b"SECTION")
# Sections that draw nothing. Of their objects, the fast reader asks for the names of layouts only.
UNDRAWN = (b"OBJECTS", b"THUMBNAILIMAGE", b"ACDSDATA")
LAYOUT = b"LAYOUT"

# Group codes of binary DXF by the type of their value; all others are strings that end with a zero byte.
BINARY_VALUES = {
    code: (struct.Struct(form).unpack_from, struct.calcsize(form))
    for form, codes in {
        "<h": chain(
            range(60, 80), range(170, 180), range(270, 290), range(370, 390), range(400, 410), range(1060, 1071)
        ),
        "<i": chain(range(90, 100), range(420, 430), range(440, 460), [1071]),
        "<q": range(160, 170),
        "<d": chain(range(10, 60), range(110, 150), range(210, 240), range(460, 470), range(1010, 1060)),
        "<B": range(290, 300),
    }.items()
    for code in codes
}
BINARY_CHUNKS = {*range(310, 320), 1004}  # a byte with the length, then so many bytes
KNOWN_TAGS = 1 << 16  # different tags whose lines are remembered
NOT_ASCII = re.compile(r"[^\x00-\x7f]")

MILLIMETRES = {  # $INSUNITS -> millimetres
    1: 25.4, 2: 304.8, 3: 1609344.0, 4: 1.0, 5: 10.0, 6: 1000.0, 7: 1e6, 8: 25.4e-6, 9: 0.0254, 10: 914.4, 11: 1e-7,
    12: 1e-6, 13: 1e-3, 14: 100.0, 15: 1e4, 16: 1e5, 17: 1e12, 21: 1200000 / 3937,
}  # fmt: skip


# --- starts ----------------------------------------------------------------------------------------------------------

Bytes = NDArray[np.uint8]
BLANK, LETTER, NAME = (np.zeros(256, bool) for _ in range(3))
BLANK[list(b" \t")] = True
LETTER[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")] = True
NAME[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] = True
WORD = 8  # characters of a name that are compared


@dataclass(frozen=True)
class Starts:
    """The lines "0" of an ASCII DXF whose value is a name, in their order; each (m,)."""

    line: IntArray  # place of the newline before the line "0", −1 at the start of the file
    name: IntArray  # place of the first character of the name
    word: NDArray[np.bytes_]  # the first `WORD` characters of the name
    tags: int  # pairs of lines, as far as they were counted

    def named(self, *names: bytes) -> BoolArray:
        """(m,) whether the name is one of these."""
        found = np.zeros(len(self.word), bool)
        for name in names:
            found |= self.word == name
        return found


def find_starts(data: bytes, limits: Limits) -> Starts:
    """The starts of an ASCII DXF: what `ENTITY` matches, and one on the first line.

    Beyond ``limits.tags`` none is looked for, and no more than ``limits.objects`` and one are given.
    """
    # with a line's end before and some after, so that no look around leaves the array
    text, size = np.frombuffer(b"".join((b"\n", data, b"\n\n\n\n", bytes(WORD))), np.uint8), len(data)
    zeros = [np.zeros(0, np.int64)]
    lines = 0
    for first in range(1, size + 1, BLOCK):
        block = text[first - 1 : min(first + BLOCK, size + 1) + 1]
        is_blank = block <= ord(" ")
        is_zero = block[1:-1] == ord("0")
        is_zero &= is_blank[2:]
        is_zero &= is_blank[:-2]
        zeros.append(first + np.flatnonzero(is_zero))
        lines += int(np.count_nonzero(block[1:-1] == ord("\n")))
        if lines > 2 * limits.tags:
            break
    at = np.concatenate(zeros)
    name = passed(text, at + 1, 1)
    name += text[name] == ord("\r")
    is_end = text[name] == ord("\n")
    at, name = at[is_end], passed(text, name[is_end] + 1, 1)
    is_name = LETTER[text[name]]
    old = np.flatnonzero(text[name] == ord("3"))  # 3DFACE and the like
    is_name[old] = (text[name[old] + 1] == ord("D")) & LETTER[text[name[old] + 2]]
    at, name = at[is_name], name[is_name]
    line = passed(text, at - 1, -1)
    is_line = text[line] == ord("\n")
    line, name = line[is_line][: limits.objects + 1], name[is_line][: limits.objects + 1]
    letters = text[name + np.arange(WORD)[:, None]]
    letters[~np.logical_and.accumulate(NAME[letters])] = 0
    return Starts(line - 1, name - 1, np.ascontiguousarray(letters.T).view(f"S{WORD}")[:, 0], lines // 2)


def passed(text: Bytes, at: IntArray, step: int) -> IntArray:
    """(m,) places of the first characters from there on, or back, that are not blanks; `INDENT` blanks at most."""
    at = at.copy()
    blank = np.flatnonzero(BLANK[text[at]])
    for _ in range(INDENT):
        if not len(blank):
            break
        at[blank] += step
        blank = blank[BLANK[text[at[blank]]]]
    return at


INDENT = 256  # a line "0" with more blanks around it is none


def within(data: bytes, starts: Starts, limits: Limits, table: Table) -> tuple[bytes, Starts]:
    """An ASCII DXF and its starts up to the limits, closed where it was cut; a cut is counted in the table."""
    if starts.tags <= limits.tags and len(starts.line) <= limits.objects:
        return data, starts
    if len(starts.line) < 2:
        raise ReadError(f"too large: more than {limits.tags} pairs of lines, and hardly an entity among them")
    table.problem("too-large", f"what follows {limits.tags} pairs of lines or {limits.objects} objects left out")
    data = data[: starts.line[-1]] + b"\n0\nENDSEC\n0\nEOF\n"
    return data, find_starts(data, limits)


# --- bytes made fit to read ------------------------------------------------------------------------------------------


def prepare(data: bytes, table: Table, limits: Limits) -> tuple[bytes, Starts]:
    """ASCII DXF with newlines, decimal points and sections, and its starts; what had to be mended is counted in the
    table."""
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise ReadError("not a DXF or DWG drawing but damaged UTF-16 text") from None
    if b"\0" in data[:4096]:
        raise ReadError("neither text nor a known binary form: not a DXF or DWG drawing, or a damaged one")
    if b"\n" not in data and b"\r" in data:
        data = data.replace(b"\r", b"\n")
        table.problem("line-ends", "lines ended with a carriage return alone")
    if has_no_number(data):
        data = NOT_A_NUMBER.sub(rb"\g<1>1e300", data)  # left out, and counted, as every number beyond reason
    if has_decimal_comma(data):
        data, count = DECIMAL_COMMA.subn(rb"\1.\2", data)
        if count:
            table.problem("decimal-comma", "number with a decimal comma read as if with a point", count)
    data, starts = within(data, find_starts(data, limits), limits, table)
    if starts.named(b"3DLINE").any():
        data = OLD_LINE.sub(rb"\1LINE", data)
        starts = find_starts(data, limits)
    if b"SECTION" not in data and ENTITY.search(b"\n" + data[:100_000]):
        data = with_ends(b"0\nSECTION\n2\nENTITIES\n" + data)
        starts = find_starts(data, limits)
        if not declared_entities(data, starts):
            raise ReadError("not a DXF or DWG drawing")
        table.problem("fragment", "entities without any section read as an entities section")
    elif missing := missing_end(data, starts):
        data = with_ends(data)
        starts = find_starts(data, limits)
        table.problem("truncated", missing)
    return data, starts


def with_ends(data: bytes) -> bytes:
    """An ASCII DXF whose sections and file are closed. An entity that is cut off within a tag is dropped: half a LINE
    would end in the origin."""
    data = data.rstrip(b"\x1a\0 \t")
    if not data.rstrip().endswith(b"EOF"):
        last = max((match.start() for match in ENTITY.finditer(data)), default=len(data))
        lines = data.count(b"\n", last)
        if lines % 2 == 0 and data.endswith((b"\n\n", b"\n\r\n")):  # a blank line after the last tag is no half of one
            data = data[: data.rindex(b"\n")].rstrip(b"\r")
            lines -= 1
        if not data.endswith(b"\n") or lines % 2 == 0:  # the newline before it, and two for each whole tag
            data = data[:last] + b"\n"
        data += b"0\nEOF\n"
    pieces: list[bytes] = []
    at, is_open = 0, False
    for mark in SECTION_MARK.finditer(data):
        if is_open and mark[1] != b"ENDSEC":
            pieces += (data[at : mark.start()], b"\n0\nENDSEC")
            at = mark.start()
        is_open = mark[1] == b"SECTION"
    return b"".join(pieces) + data[at:]


def has_no_number(data: bytes) -> bool:
    """Whether a word is there that the fast reader would take for 0: ``nan`` or ``inf`` in any case at the start of a
    line, after a blank or a sign; or ``.#``."""
    text, has_hash = np.frombuffer(data, np.uint8), b"#" in data
    for first in range(0, len(text), BLOCK):
        block = text[first : first + BLOCK + 2]
        if has_hash and ((block[:-1] == ord(".")) & (block[1:] == ord("#"))).any():
            return True
        lower: Bytes = block | np.uint8(0x20)
        found = around(lower, b"nn")  # rare enough to look at each
        found |= around(lower, b"if")
        if found.any():
            at = first + np.flatnonzero(found)
            at = at[at > 0]
            words = (data[i : i + 3].lower() for i in at[NUMBER_BEGINS[text[at - 1]]].tolist())
            if any(word in (b"nan", b"inf") for word in words):
                return True
    return False


BLOCK = 1 << 17  # bytes that are compared at once: what is worked out in between stays near the processor
NUMBER_BEGINS = np.zeros(256, bool)  # what stands before the first letter
NUMBER_BEGINS[list(b"\n \t-+")] = True


def around(text: Bytes, ends: bytes) -> BoolArray:
    """(n − 2,) whether these two characters stand around another one, by the place of the first."""
    result: BoolArray = text[:-2] == ends[0]
    result &= text[2:] == ends[1]
    return result


def has_decimal_comma(data: bytes) -> bool:
    """Whether there is any: only its commas are looked at, which spares nearly every file the search line by line."""
    values = np.frombuffer(data, np.uint8)
    at = np.flatnonzero(values[:-1] == ord(","))
    at = at[(values[at + 1] >= ord("0")) & (values[at + 1] <= ord("9"))]
    if len(at) > MANY:
        return True  # then the search line by line is faster
    # the pattern begins with the line before, which holds the code
    for i in at.tolist():
        value = max(data.rfind(b"\n", max(i - LONG, 0), i), 0)
        code = data.rfind(b"\n", max(value - LONG, 0), value)
        if code >= 0 and DECIMAL_COMMA.match(data, code):
            return True
    return False


MANY = 50_000  # commas
LONG = 1000  # characters of a line: a number or a group code is shorter


def missing_end(data: bytes, starts: Starts) -> str:
    """What shows that an ASCII DXF was cut off; empty when it is whole."""
    end = data[-TAIL:].rstrip(PADDING) or data.rstrip(PADDING)
    if not end.endswith(b"EOF") and END_OF_FILE.search(data[-TAIL:]) is None:
        return "the file does not end with EOF: it may be cut off, what is there was read"
    # counting starts is cheap, and enough for nearly every whole file; an ENDSEC may stand elsewhere too
    if starts.named(b"ENDSEC").sum() < starts.named(b"SECTION").sum():
        closed = data.count(b"ENDSEC")
        if closed < len(SECTION_START.findall(data)):
            return "a section is not closed: the file may be cut off, what is there was read"
    return ""


def drawn_part(data: bytes, starts: Starts) -> bytes:
    """An ASCII DXF without the content of `UNDRAWN` sections, except layouts: often most of a file, and no reader that
    draws needs it."""
    pieces: list[bytes] = []
    at = 0
    marks = np.flatnonzero(starts.named(b"SECTION", b"ENDSEC"))
    for mark, end in zip(marks[:-1].tolist(), marks[1:].tolist(), strict=True):
        name = SECTION_NAME.match(data, int(starts.name[mark]))
        if name is None or name[1] not in UNDRAWN or starts.word[end] != b"ENDSEC":
            continue
        # the thumbnail has no objects: what follows its name goes
        pieces.append(data[at : name.end() if mark + 1 == end else starts.line[mark + 1]])
        for layout in (mark + 1 + np.flatnonzero(starts.word[mark + 1 : end] == LAYOUT)).tolist():
            pieces.append(data[starts.line[layout] : starts.line[layout + 1]])
        at = int(starts.line[end])
    return b"".join([*pieces, data[at:]]) if pieces else data


# --- binary DXF ------------------------------------------------------------------------------------------------------


def binary_to_ascii(data: bytes, whole: bool = True, most: int = Limits.tags) -> bytes:
    """Binary DXF as ASCII DXF, characters beyond ASCII as ``\\U+XXXX``; a cut-off file as far as it goes.

    Our own loop: through the tag objects of a library the same takes more than twice as long. That loader is its oracle.
    Unless ``whole``, objects other than layouts are left out, see `drawn_part`. No more than ``most`` tags and one.
    """
    encoding, short_codes = binary_encoding(data)
    skips = not whole and not short_codes  # R12 has no objects
    lines: list[str] = []
    add = lines.append
    known: dict[bytes, str] = {}  # the lines of tags that were met: most of a file are a few, again and again
    at, size = len(BINARY_DXF) + 4, len(data)
    in_objects = False
    try:
        for _ in range(most + 1):
            if at >= size:
                break
            begin = at
            code = data[at]
            if not short_codes:
                code |= data[at + 1] << 8
                at += 2
            elif code == 255:  # a longer code follows
                code = data[at + 1] | data[at + 2] << 8
                at += 3
            else:
                at += 1
            fixed = BINARY_VALUES.get(code)
            if fixed is not None:
                unpack, length = fixed
                end = at + length
                pair = known.get(data[begin:end])
                if pair is None:
                    pair = f"{code}\n{unpack(data, at)[0]}\n"
                    if len(known) < KNOWN_TAGS:
                        known[data[begin:end]] = pair
                add(pair)
                at = end
            elif code in BINARY_CHUNKS:
                add(f"{code}\n{data[at + 1 : at + 1 + data[at]].hex().upper()}\n")
                at += 1 + data[at]
            else:
                end = data.index(0, at)
                if in_objects and code == 0 and data[at:end] != LAYOUT:  # on at the next, or the end
                    in_objects = False
                    if data[at:end] != b"ENDSEC":
                        at, in_objects = next_object(data, at)
                        continue
                pair = known.get(data[begin:end])
                if pair is None:
                    text = data[at:end].decode(encoding, "replace").replace("\r", " ").replace("\n", " ")
                    pair = f"{code}\n{text}\n"
                    if len(known) < KNOWN_TAGS:
                        known[data[begin:end]] = pair
                add(pair)
                at = end + 1
                if skips and code == 2 and lines[-2:] == ["0\nSECTION\n", "2\nOBJECTS\n"]:
                    in_objects = True
    except (IndexError, ValueError, struct.error):
        pass  # the missing end is found, and reported, as in any other file
    return to_ascii("".join(lines))


def next_object(data: bytes, at: int) -> tuple[int, bool]:
    """Where the next layout of a binary DXF's objects begins, or else their end; and whether it is a layout.

    Raises:
        ValueError: there is neither.
    """
    end = data.index(b"\0\0ENDSEC\0", at)
    layout = data.find(b"\0\0" + LAYOUT + b"\0", at, end)
    return (end, False) if layout < 0 else (layout, True)


def binary_encoding(data: bytes) -> tuple[str, bool]:
    """Encoding of the strings of a binary DXF, and whether its group codes take one byte (R12 and earlier)."""
    from ezdxf.tools.codepage import toencoding

    version = header_text(data, b"$ACADVER") or "AC1009"
    if version >= "AC1021":
        return "utf-8", False
    page = header_text(data, b"$DWGCODEPAGE")
    return toencoding(page) if page else "cp1252", version <= "AC1009"


def header_text(data: bytes, name: bytes) -> str:
    """A text of the header of a binary DXF, empty when it is missing."""
    start = data.find(name, 0, 1024)
    if start < 0:
        return ""
    start += len(name) + 2  # the zero byte and the code, of one or two bytes
    start += data[start : start + 1] < b" "
    return data[start : max(data.find(b"\0", start), start)].decode("latin-1")


def to_ascii(text: str) -> bytes:
    """ASCII bytes with ``\\U+XXXX`` for every other character."""
    if not text.isascii():
        text = NOT_ASCII.sub(lambda match: f"\\U+{min(ord(match[0]), 0xFFFD):04X}", text)
    return text.encode("ascii")


# --- what the bytes tell ---------------------------------------------------------------------------------------------


def declared_entities(data: bytes, starts: Starts) -> int:
    """Number of entities that start in the ENTITIES section, parts of entities not counted."""
    at = data.find(b"ENTITIES")
    while at >= 0:
        code = data.rfind(b"\n", 0, max(data.rfind(b"\n", 0, at), 0))  # the line before holds the code
        if code >= 0 and (match := ENTITIES_SECTION.match(data, code)):
            first = np.searchsorted(starts.line, match.end() - 2)
            ends = np.flatnonzero(starts.word[first:] == b"ENDSEC")
            inside = slice(first, first + ends[0] if len(ends) else None)
            return len(starts.line[inside]) - int(starts.named(*PARTS)[inside].sum())
        at = data.find(b"ENTITIES", at + 1)
    return 0


def handles_in(lines: bytes) -> set[int]:
    """The handles (group 5) in whole pairs of lines."""
    rows = lines.split(b"\n")
    pairs = zip(rows[::2], rows[1::2], strict=False)
    return {int(value, 16) for code, value in pairs if code.strip() == b"5" and HANDLE.fullmatch(value)}


def associative_hatches(data: bytes, starts: Starts) -> set[int]:
    """Handles of the associative HATCHes of an ASCII DXF, which the fast reader does not tell."""
    handles: set[int] = set()
    for at in starts.name[starts.named(b"HATCH")].tolist():
        if head := HATCH_HEAD.match(data, at - 1):
            handles |= handles_in(head[1])
    return handles


def unit_of(data: bytes) -> float | None:
    """Millimetres per drawing unit by the header of an ASCII DXF; None = it does not say."""
    header = data[: max(data.find(b"ENDSEC"), 0)]
    match = INSERTION_UNIT.search(header)
    return MILLIMETRES.get(int(match[1])) if match else None


def with_version(data: bytes) -> bytes:
    """An ASCII DXF that names its version: without one, the careful reader takes it for R12 and skips newer parts."""
    if b"$ACADVER" in data or b"AcDb" not in data:
        return data
    version = b"9\n$ACADVER\n1\nAC1018\n"
    if header := HEADER_SECTION.search(data):
        return data[: header.end()] + version + data[header.end() :]
    return b"0\nSECTION\n2\nHEADER\n" + version + b"0\nENDSEC\n" + data


def codepage_of(data: bytes) -> str | None:
    """UTF-8 for a DXF whose bytes are UTF-8, whatever its header says of single-byte pages; None = as the file says.

    Many programs write UTF-8 under the name ANSI_1252. East Asian pages are trusted: their characters can pass as UTF-8.
    """
    if data[:2] == b"AC" or data.isascii() or b"ANSI_9" in data[:100_000]:
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"
