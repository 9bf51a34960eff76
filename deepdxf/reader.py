"""``read(path)``: a DXF or DWG file becomes a `Drawing`.

Two readers feed the same `Table`. The fast one (pycadkit) reads ASCII DXF and DWG; the careful one (ezdxf with recover)
takes what the fast one rejects. Before that, bytes are made fit to read: gzip, binary DXF, old line ends, decimal
commas, words for numbers that are none, fragments without sections. After it, completeness is checked against the
bytes, because a file cut in half reads as half a drawing.

Folding of DXF types into the twelve classes: POLYLINE, MLINE, meshes → LWPOLYLINE · ELLIPSE, HELIX → SPLINE · TRACE,
3DFACE → SOLID · ATTRIB, ATTDEF, TOLERANCE → TEXT · MULTILEADER → LEADER · POINT → CIRCLE of radius 0 · 3DLINE → LINE ·
MPOLYGON → HATCH · ACAD_TABLE → INSERT · ARC_DIMENSION, LARGE_RADIAL_DIMENSION → DIMENSION. All others are ignored and
counted: infinite lines, images, underlays, viewports, proxies, solids and surfaces.

Problems, by `Problem.code` (`Drawing.status` sums them up):
  line-ends, decimal-comma, fragment, repaired, knots-replaced, empty-entity, insert-cycle    mended or harmless
  projected                                                           3-D content, seen from above
  truncated, not-finite, broken-entity, lost-entity, missing-block, too-deep, external-reference    a part is missing
  too-large                                                           a limit was met; what came before it is kept
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import struct
import zlib
from dataclasses import replace
from itertools import chain
from pathlib import Path

import cadkit
import numpy as np

from deepdxf.drawing import Drawing, Problem
from deepdxf.errors import ReadError
from deepdxf.table import Limits, Table

BINARY_DXF = b"AutoCAD Binary DXF"
FOREIGN = {  # first bytes -> what the file is instead
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
    b"MZ": "a program",
    b"<?xml": "XML",
    b"<html": "a web page",
    b"<!DOC": "a web page",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}

# The start of an entity; a value line is never a word after a line "0".
ENTITY = re.compile(rb"\n[ \t]*0[ \t]*\r?\n[ \t]*(3D[A-Z]+|[A-Z][A-Z0-9_-]*)")
HEADER_SECTION = re.compile(rb"\n[ \t]*2[ \t]*\r?\n[ \t]*HEADER[ \t]*\r?\n")
ENTITIES_SECTION = re.compile(rb"\n[ \t]*2[ \t]*\r?\n[ \t]*ENTITIES[ \t]*\r?\n")
# A float group and a number with a decimal comma: "40\n22,07". A code line is never "22,07", so pairs cannot slip.
FLOAT_GROUPS = rb"(?:[1-5]\d|1[1-4]\d|2[1-3]\d|46\d|10[1-5]\d)"
DECIMAL_COMMA = re.compile(
    rb"(\n[ \t]*" + FLOAT_GROUPS + rb"[ \t]*\r?\n[ \t]*[-+]?\d*),(\d+(?:[eE][-+]?\d+)?[ \t]*\r?(?=\n))"
)
# The fast reader would take these for 0. The words are searched first, which is far cheaper than the pattern.
NO_NUMBERS = [b".#", *(before + word for before in (b"\n", b" ", b"\t", b"-", b"+") for word in (b"nan", b"inf"))]
NOT_A_NUMBER = re.compile(
    rb"(\n[ \t]*" + FLOAT_GROUPS + rb"[ \t]*\r?\n[ \t]*)[-+]?(?:nan|inf|\d*\.#)[^\r\n]*", re.IGNORECASE
)
SECTION_MARK = re.compile(rb"(?:\A|\n)[ \t]*0[ \t]*\r?\n[ \t]*(SECTION|ENDSEC|EOF)[ \t]*\r?(?=\n|\Z)")
SECTION_START = re.compile(rb"(?:\A|\n)[ \t]*0[ \t]*\r?\n[ \t]*SECTION[ \t]*\r?\n")
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
# Not entities of their own in the fast reader's count: parts of a polyline or an insert, and section ends.
PARTS = {b"VERTEX", b"SEQEND", b"ATTRIB", b"ENDSEC", b"EOF", b"SECTION"}

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
NOT_ASCII = re.compile(r"[^\x00-\x7f]")

MILLIMETRES = {  # $INSUNITS -> millimetres
    1: 25.4, 2: 304.8, 3: 1609344.0, 4: 1.0, 5: 10.0, 6: 1000.0, 7: 1e6, 8: 25.4e-6, 9: 0.0254, 10: 914.4, 11: 1e-7,
    12: 1e-6, 13: 1e-3, 14: 100.0, 15: 1e4, 16: 1e5, 17: 1e12, 21: 1200000 / 3937,
}  # fmt: skip


def read(path: str | Path, *, space: str = "auto", limits: Limits | None = None) -> Drawing:
    """Read a DXF (ASCII, binary, gzip'd) or DWG file.

    Args:
        path: the file.
        space: ``"auto"`` = model space, or the fullest layout when model space is empty; ``"model"``; ``"paper"`` = the
            fullest layout; or the name of a layout.
        limits: what the file may cost; see `Limits`.

    Returns:
        The drawing. Its ``problems``, ``ignored`` and ``status`` tell what was repaired, left out or is missing.

    Raises:
        ReadError: nothing could be read as a drawing; the text says why.
    """
    path = Path(path)
    limits = limits or Limits()
    try:
        return parse(load(path, limits), space=space, limits=limits)
    except ReadError as error:
        raise ReadError(f"{path}: {error}") from error.__cause__


def load(path: Path, limits: Limits) -> bytes:
    """Bytes of a file, decompressed if gzip'd."""
    try:
        if path.is_dir():
            raise ReadError("is a folder, not a drawing")
        if path.exists() and not path.is_file():
            raise ReadError("is not a regular file")  # reading a pipe would wait for ever
        if path.stat().st_size > limits.file_bytes:
            raise ReadError(f"too large: {path.stat().st_size} bytes, the limit is {limits.file_bytes}")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ReadError("no such file") from None
    except PermissionError:
        raise ReadError("no permission to read it") from None
    except (OSError, ValueError) as error:
        raise ReadError(f"cannot be read ({error})") from error
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(limits.file_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ReadError(f"damaged gzip file ({error})") from error
        if len(data) > limits.file_bytes:
            raise ReadError(f"too large: more than {limits.file_bytes} bytes after decompression")
    return data


def parse(data: bytes, *, space: str = "auto", limits: Limits | None = None, careful: bool = False) -> Drawing:
    """A drawing from the bytes of a file; see `read`. ``careful`` forces the careful reader (DXF only).

    Raises:
        ReadError: nothing could be read as a drawing; the text says why.
    """
    limits = limits or Limits()
    if len(data) > limits.file_bytes:
        raise ReadError(f"too large: {len(data)} bytes, the limit is {limits.file_bytes}")
    if not data.strip(b"\0 \t\r\n"):
        raise ReadError("the file is empty")
    for magic, what in FOREIGN.items():
        if data.removeprefix(codecs.BOM_UTF8)[: len(magic)].lower() == magic.lower():
            raise ReadError(f"not a DXF or DWG drawing but {what}")
    if data[:2] == b"AC" and data[:4] != b"ACIS" and b"\n" not in data[:6]:
        return parse_fast(data, Table(), space, limits, declared=0)
    table = Table()
    if data.startswith(BINARY_DXF):
        data = binary_to_ascii(data)
    data = prepare(data, table)
    prepared = table.problems.copy()
    declared = declared_entities(data)
    attempts = [parse_careful] if careful else [parse_fast, parse_careful, parse_what_is_left]
    failure = ReadError("cannot be read")
    for attempt in attempts:
        table = Table()
        table.problems.update(prepared)
        try:
            return attempt(data, table, space, limits, declared)
        except ReadError as error:
            failure = error
    raise failure


# --- before: bytes made fit to read ----------------------------------------------------------------------------------


def prepare(data: bytes, table: Table) -> bytes:
    """ASCII DXF with newlines, decimal points and sections; what had to be mended is counted in the table."""
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
    lower = data.lower()
    if any(word in lower for word in (b"nan", b"inf", b".#")) and any(word in lower for word in NO_NUMBERS):
        data = NOT_A_NUMBER.sub(rb"\g<1>1e300", data)  # left out, and counted, as every number beyond reason
    if has_decimal_comma(data):
        data, count = DECIMAL_COMMA.subn(rb"\1.\2", data)
        if count:
            table.problem("decimal-comma", "number with a decimal comma read as if with a point", count)
    if b"3DLINE" in data:
        data = OLD_LINE.sub(rb"\1LINE", data)
    if b"SECTION" not in data and ENTITY.search(b"\n" + data[:100_000]):
        data = with_ends(b"0\nSECTION\n2\nENTITIES\n" + data)
        if not declared_entities(data):
            raise ReadError("not a DXF or DWG drawing")
        table.problem("fragment", "entities without any section read as an entities section")
    elif missing := missing_end(data):
        data = with_ends(data)
        table.problem("truncated", missing)
    return data


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


def has_decimal_comma(data: bytes) -> bool:
    """Whether there is any: only its commas are looked at, which spares nearly every file the search line by line."""
    values = np.frombuffer(data, np.uint8)
    at = np.flatnonzero(values[:-1] == ord(","))
    at = at[(values[at + 1] >= ord("0")) & (values[at + 1] <= ord("9"))]
    # the pattern begins with the line before, which holds the code
    return any(DECIMAL_COMMA.match(data, data.rfind(b"\n", 0, max(data.rfind(b"\n", 0, i), 0))) for i in at.tolist())


def binary_to_ascii(data: bytes) -> bytes:
    """Binary DXF as ASCII DXF, characters beyond ASCII as ``\\U+XXXX``; a cut-off file as far as it goes.

    Our own loop: through the tag objects of a library the same takes more than twice as long. That loader is its oracle.
    """
    encoding, short_codes = binary_encoding(data)
    lines: list[str] = []
    at, size = len(BINARY_DXF) + 4, len(data)
    try:
        while at < size:
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
                text = str(unpack(data, at)[0])
                at += length
            elif code in BINARY_CHUNKS:
                text = data[at + 1 : at + 1 + data[at]].hex().upper()
                at += 1 + data[at]
            else:
                end = data.index(0, at)
                text = data[at:end].decode(encoding, "replace").replace("\r", " ").replace("\n", " ")
                at = end + 1
            lines.append(f"{code}\n{text}\n")
    except (IndexError, ValueError, struct.error):
        pass  # the missing end is found, and reported, as in any other file
    return to_ascii("".join(lines))


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
    return NOT_ASCII.sub(lambda match: f"\\U+{min(ord(match[0]), 0xFFFD):04X}", text).encode("ascii")


def missing_end(data: bytes) -> str:
    """What shows that an ASCII DXF was cut off; empty when it is whole."""
    if not data.rstrip(b"\x1a\0 \t\r\n").endswith(b"EOF") and END_OF_FILE.search(data[-4096:]) is None:
        return "the file does not end with EOF: it may be cut off, what is there was read"
    closed = data.count(b"ENDSEC")
    # counting the word is far cheaper than the pattern, and enough for nearly every whole file
    words = data.count(b"SECTION\n") + data.count(b"SECTION\r")
    if closed < words and closed < len(SECTION_START.findall(data)):
        return "a section is not closed: the file may be cut off, what is there was read"
    return ""


def declared_entities(data: bytes) -> int:
    """Number of entities that start in the ENTITIES section, parts of entities not counted."""
    match = ENTITIES_SECTION.search(data)
    if match is None:
        return 0
    end = data.find(b"ENDSEC", match.end())
    names = ENTITY.findall(data, match.end() - 2, end if end >= 0 else len(data))
    return sum(name not in PARTS for name in names)


# --- the two readers -------------------------------------------------------------------------------------------------


def parse_fast(data: bytes, table: Table, space: str, limits: Limits, declared: int) -> Drawing:
    """The fast reader. Raises ReadError where it fails or finds fewer entities than declared."""
    import msgspec

    from deepdxf import reader_cadkit as fast

    try:
        parsed = cadkit.read(data, max_input_bytes=limits.file_bytes, codepage=codepage_of(data))
        document = fast.decode_document(parsed.to_json())
        models = [(model, fast.decode_entities(model.entities)) for model in document.models]
    except cadkit.LimitExceededError as error:
        raise ReadError(f"too large ({one_line(error)})") from error
    except cadkit.UnknownFormatError as error:
        if data[:2] == b"AC":
            version = data[:6].decode("ascii", "replace")
            raise ReadError(f"a DWG of version {version}, which cannot be read (R13 and later can)") from error
        raise ReadError("not a DXF or DWG drawing") from error
    except (cadkit.CadkitError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ReadError(f"cannot be read ({one_line(error)})") from error
    if document.source.format not in ("dxf", "dwg"):
        raise ReadError(f"a {document.source.format.upper()} file, not a DXF or DWG drawing")
    found = sum(len(entities) for _, entities in models)
    if found < declared:
        raise ReadError(f"{declared} entities declared, {found} read")
    spaces = {("model" if model.kind == "model" else model.name): entities for model, entities in models}
    sizes = {
        name: sum(not isinstance(e.kind, fast.ViewportKind) for e in entities) for name, entities in spaces.items()
    }
    chosen = choose_space(space, sizes)
    entities = spaces.get(chosen, [])
    is_dxf = document.source.format == "dxf"
    fast.Feeder(document, table, associative_hatches(data) if is_dxf else set()).feed(entities)
    metres = document.units.meters_per_unit
    unit = unit_of(data) if is_dxf else metres * 1000.0 if metres else None
    source = {"format": document.source.format, "version": document.source.version or "", "reader": "cadkit"}
    return table.drawing(limits, unit, chosen, source, len(data))


def parse_what_is_left(data: bytes, table: Table, space: str, limits: Limits, declared: int) -> Drawing:
    """The fast reader on a file that the careful one cannot read at all: what it finds, and the loss counted."""
    drawing = parse_fast(data, table, space, limits, declared=0)
    found = int((drawing.depth == 0).sum()) + sum(drawing.ignored.values())
    if found >= declared:
        return drawing
    lost = Problem("lost-entity", "entity that could not be read", declared - found)
    return replace(drawing, problems=(*drawing.problems, lost))


def parse_careful(data: bytes, table: Table, space: str, limits: Limits, declared: int) -> Drawing:
    """The careful reader: ezdxf, with recover for what its strict loader refuses."""
    from ezdxf import recover
    from ezdxf.filemanagement import dxf_stream_info
    from ezdxf.filemanagement import read as read_strict

    from deepdxf.reader_ezdxf import Feeder

    size = len(data)
    handles = {handle for section in DRAWN_SECTION.findall(data) for handle in handles_in(section)}
    unit = unit_of(data)
    data = with_version(data)
    try:
        encoding = codepage_of(data) or dxf_stream_info(io.StringIO(data[:100_000].decode("latin-1"))).encoding
        data = to_ascii(data.decode(encoding, "replace").replace("\r\n", "\n"))
        document = read_strict(io.StringIO(data.decode("ascii")))
        reader = "ezdxf"
    except Exception:  # the library may raise anything on damaged files
        try:
            document, auditor = recover.read(io.BytesIO(data), errors="replace")
        except Exception as error:
            raise ReadError(f"not a readable DXF drawing ({one_line(error)})") from error
        reader = "ezdxf.recover"
        for entry in (*auditor.fixes, *auditor.errors):
            table.problem("repaired", f"structure repaired ({one_line(entry.message)[:60]})")
    sizes = {}
    for layout in document.layouts:
        name = "model" if layout.is_modelspace else layout.name
        sizes[name] = sum(entity.dxftype() != "VIEWPORT" for entity in layout)
    chosen = choose_space(space, sizes)
    layout = document.modelspace() if chosen == "model" else document.paperspace(chosen)
    if (lost := declared - sum(map(len, document.layouts))) > 0:
        table.problem("lost-entity", "entity that the careful reader could not keep", lost)
    Feeder(document, table, handles).feed(layout)
    source = {"format": "dxf", "version": document.dxfversion, "reader": reader}
    return table.drawing(limits, unit, chosen, source, size)


def choose_space(space: str, sizes: dict[str, int]) -> str:
    """Name of the space to read, from the entities in each."""
    papers = {name: size for name, size in sizes.items() if name != "model"}
    fullest = max(papers, key=lambda name: papers[name], default=None)
    if space == "model" or (space == "auto" and (sizes.get("model", 0) > 0 or fullest is None or papers[fullest] == 0)):
        return "model"
    if space in ("auto", "paper"):
        if fullest is None:
            raise ReadError("the drawing has no paper space")
        return fullest
    if space not in papers:
        raise ReadError(f"no layout {space!r}; there are {', '.join(map(repr, sizes))}")
    return space


def handles_in(lines: bytes) -> set[int]:
    """The handles (group 5) in whole pairs of lines."""
    rows = lines.split(b"\n")
    pairs = zip(rows[::2], rows[1::2], strict=False)
    return {int(value, 16) for code, value in pairs if code.strip() == b"5" and HANDLE.fullmatch(value)}


def unit_of(data: bytes) -> float | None:
    """Millimetres per drawing unit by the header of an ASCII DXF; None = it does not say."""
    header = data[: max(data.find(b"ENDSEC"), 0)]
    match = INSERTION_UNIT.search(header)
    return MILLIMETRES.get(int(match[1])) if match else None


def associative_hatches(data: bytes) -> set[int]:
    """Handles of the associative HATCHes of an ASCII DXF, which the fast reader does not tell."""
    handles: set[int] = set()
    at = data.find(b"\nHATCH")
    while at >= 0:
        if head := HATCH_HEAD.match(data, at):
            handles |= handles_in(head[1])
        at = data.find(b"\nHATCH", at + 1)
    return handles


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


def one_line(error: object) -> str:
    """The text of an error on one line, cut at 160 characters."""
    return " ".join(str(error).split())[:160]
