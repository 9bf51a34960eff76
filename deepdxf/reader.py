"""``read(path)``: a DXF or DWG file becomes a `Drawing`.

Two readers feed the same `Table`. The fast one (pycadkit) reads ASCII DXF and DWG; the careful one (ezdxf with recover)
takes what the fast one rejects and files that hold numbers which the fast one would turn into zeros. Before that,
bytes are made fit to read: gzip, binary DXF, old line ends, decimal commas, fragments without sections. After it, completeness is checked
against the bytes, because a file cut in half reads as half a drawing.

Folding of DXF types into the twelve classes: POLYLINE, MLINE, meshes → LWPOLYLINE · ELLIPSE, HELIX → SPLINE ·
TRACE, 3DFACE → SOLID · ATTRIB, ATTDEF, TOLERANCE → TEXT · MULTILEADER → LEADER · POINT → CIRCLE of radius 0 · 3DLINE → LINE ·
MPOLYGON → HATCH · ACAD_TABLE → INSERT · ARC_DIMENSION, LARGE_RADIAL_DIMENSION → DIMENSION. All others are ignored and counted:
infinite lines, images, underlays, viewports, proxies, solids and surfaces.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib
from pathlib import Path

import cadkit

from deepdxf.drawing import Drawing
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

ENTITY = re.compile(rb"\n[ \t]*0[ \t]*\r?\n[ \t]*(3D[A-Z]+|[A-Z][A-Z0-9_-]*)")  # a value line is never a word after a line "0"
ENTITIES_SECTION = re.compile(rb"\n[ \t]*2[ \t]*\r?\n[ \t]*ENTITIES[ \t]*\r?\n")
# A float group followed by a number with a decimal comma: "40\n22,07". A code line is never "22,07", so pairs cannot slip.
FLOAT_GROUPS = rb"(?:[1-5]\d|1[1-4]\d|2[1-3]\d|46\d|10[1-5]\d)"
DECIMAL_COMMA = re.compile(rb"(\n[ \t]*" + FLOAT_GROUPS + rb"[ \t]*\r?\n[ \t]*[-+]?\d*),(\d+(?:[eE][-+]?\d+)?[ \t]*\r?(?=\n))")
NOT_A_NUMBER = re.compile(rb"\n[ \t]*" + FLOAT_GROUPS + rb"[ \t]*\r?\n[ \t]*[-+]?(?:nan|inf|\d*\.#)", re.IGNORECASE)
INSERTION_UNIT = re.compile(rb"\$INSUNITS\s+70\s+(\d+)")
# Not entities of their own in the fast reader's count: parts of a polyline or an insert, and section ends.
PARTS = {b"VERTEX", b"SEQEND", b"ATTRIB", b"ENDSEC", b"EOF", b"SECTION"}

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
    if not data.strip(b"\0 \t\r\n"):
        raise ReadError("the file is empty")
    for magic, what in FOREIGN.items():
        if data[: len(magic)].lower() == magic.lower():
            raise ReadError(f"not a DXF or DWG drawing but {what}")
    if data[:2] == b"AC" and data[:4] != b"ACIS" and b"\n" not in data[:6]:
        return parse_fast(data, Table(), space, limits)
    table = Table()
    if data.startswith(BINARY_DXF):
        data = binary_to_ascii(data)
    if b"\0" in data[:4096]:
        raise ReadError("neither text nor a known binary form: not a DXF or DWG drawing, or a damaged one")
    data = prepare(data, table)
    if not careful and not has_not_a_number(data):
        try:
            return parse_fast(data, table, space, limits, declared=declared_entities(data))
        except ReadError:
            pass
    fresh = Table()
    fresh.problems.update({key: n for key, n in table.problems.items() if key[0] in PREPARED})
    return parse_careful(data, fresh, space, limits)


# --- before: bytes made fit to read ----------------------------------------------------------------------------------

PREPARED = {"line-ends", "decimal-comma", "fragment", "truncated"}  # problems found in the bytes, before any reader


def prepare(data: bytes, table: Table) -> bytes:
    """ASCII DXF with newlines, decimal points and sections; what had to be mended is counted in the table."""
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise ReadError("not a DXF or DWG drawing but damaged UTF-16 text") from None
    if b"\n" not in data and b"\r" in data:
        data = data.replace(b"\r", b"\n")
        table.problem("line-ends", "lines ended with a carriage return alone")
    if b"," in data:
        data, count = DECIMAL_COMMA.subn(rb"\1.\2", data)
        if count:
            table.problem("decimal-comma", "number with a decimal comma read as if with a point", count)
    if b"SECTION" not in data and ENTITY.search(b"\n" + data[:100_000]):
        data = b"0\nSECTION\n2\nENTITIES\n" + data.strip(b"\x1a\0 \t\r\n") + b"\n"
        if not data.rstrip().endswith(b"EOF"):
            data += b"0\nENDSEC\n0\nEOF\n"
        table.problem("fragment", "entities without any section read as an entities section")
    elif missing := missing_end(data):
        table.problem("truncated", missing)
    return data


def binary_to_ascii(data: bytes) -> bytes:
    """Binary DXF as ASCII DXF, characters beyond ASCII as ``\\U+XXXX``; a cut-off file as far as it goes."""
    from ezdxf.lldxf.const import DXFError
    from ezdxf.lldxf.tagger import binary_tags_loader

    lines: list[str] = []
    try:
        for code, value in binary_tags_loader(data, errors="replace"):
            text = value.hex().upper() if isinstance(value, bytes) else str(value)
            lines += (str(code), text.replace("\r", " ").replace("\n", " "))
    except (DXFError, IndexError, ValueError, struct.error):
        pass  # the missing end is found, and reported, as in any other file
    text = "\n".join(lines) + "\n"
    if not text.isascii():
        text = "".join(c if c < "\x80" else f"\\U+{min(ord(c), 0xFFFD):04X}" for c in text)
    return text.encode("ascii")


def missing_end(data: bytes) -> str:
    """What shows that an ASCII DXF was cut off; empty when it is whole."""
    if not data.rstrip(b"\x1a\0 \t\r\n").endswith(b"EOF"):
        return "the file does not end with EOF: it may be cut off, what is there was read"
    opened = len(re.findall(rb"\n?[ \t]*0[ \t]*\r?\n[ \t]*SECTION", data))
    closed = data.count(b"ENDSEC")
    if closed < opened:
        return "a section is not closed: the file may be cut off, what is there was read"
    return ""


def has_not_a_number(data: bytes) -> bool:
    """Whether a coordinate is NaN or infinite, which the fast reader would silently read as 0."""
    lower = data.lower()
    return any(word in lower for word in (b"nan", b"inf", b".#")) and NOT_A_NUMBER.search(data) is not None


def declared_entities(data: bytes) -> int:
    """Number of entities that start in the ENTITIES section, parts of entities not counted."""
    match = ENTITIES_SECTION.search(data)
    if match is None:
        return 0
    end = data.find(b"ENDSEC", match.end())
    names = ENTITY.findall(data, match.end() - 2, end if end >= 0 else len(data))
    return sum(name not in PARTS for name in names)


# --- the two readers -------------------------------------------------------------------------------------------------


def parse_fast(data: bytes, table: Table, space: str, limits: Limits, declared: int = 0) -> Drawing:
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
        raise ReadError("not a DXF or DWG drawing") from error
    except (cadkit.CadkitError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ReadError(f"cannot be read ({one_line(error)})") from error
    if document.source.format not in ("dxf", "dwg"):
        raise ReadError(f"a {document.source.format.upper()} file, not a DXF or DWG drawing")
    found = sum(len(entities) for _, entities in models)
    if found < declared:
        raise ReadError(f"{declared} entities declared, {found} read")
    sizes = {
        ("model" if model.kind == "model" else model.name): sum(not isinstance(e.kind, fast.ViewportKind) for e in entities)
        for model, entities in models
    }
    chosen = choose_space(space, sizes)
    entities = next((e for model, e in models if ("model" if model.kind == "model" else model.name) == chosen), [])
    fast.Feeder(document, table).feed(entities)
    metres = document.units.meters_per_unit
    source = {"format": document.source.format, "version": document.source.version or "", "reader": "cadkit"}
    return table.drawing(limits, None if not metres else metres * 1000.0, chosen, source, len(data))


def parse_careful(data: bytes, table: Table, space: str, limits: Limits) -> Drawing:
    """The careful reader: ezdxf, with recover for what its strict loader refuses."""
    from ezdxf import recover
    from ezdxf.filemanagement import dxf_stream_info
    from ezdxf.filemanagement import read as read_strict
    from ezdxf.lldxf.const import DXFError

    from deepdxf.reader_ezdxf import Feeder

    failures = (DXFError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError)
    try:
        encoding = codepage_of(data) or dxf_stream_info(io.StringIO(data[:100_000].decode("latin-1"))).encoding
        document = read_strict(io.StringIO(data.decode(encoding, "surrogateescape").replace("\r\n", "\n")))
        reader = "ezdxf"
    except (*failures, LookupError):
        try:
            document, auditor = recover.read(io.BytesIO(data), errors="surrogateescape")
        except failures as error:
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
    Feeder(document, table).feed(layout)
    source = {"format": "dxf", "version": document.dxfversion, "reader": reader}
    unit = MILLIMETRES.get(int(match[1])) if (match := INSERTION_UNIT.search(data)) else None
    return table.drawing(limits, unit, chosen, source, len(data))


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


def codepage_of(data: bytes) -> str | None:
    """The encoding of an old DXF that names none: UTF-8 where its bytes are UTF-8. None = as the file says."""
    head = data[:100_000]
    if data[:2] == b"AC" or data.isascii() or b"$DWGCODEPAGE" in head:
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def one_line(error: object) -> str:
    """The text of an error on one line, cut at 160 characters."""
    return " ".join(str(error).split())[:160]
