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
import gc
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cadkit

from deepdxf import converter
from deepdxf.drawing import Drawing, Problem
from deepdxf.errors import ReadError
from deepdxf.reader_bytes import (
    BINARY_DXF,
    DRAWN_SECTION,
    PADDING,
    Starts,
    associative_hatches,
    binary_to_ascii,
    codepage_of,
    declared_entities,
    drawn_part,
    handles_in,
    prepare,
    to_ascii,
    unit_of,
    with_version,
)
from deepdxf.table import Limits, Table
from deepdxf.xrefs import Folder, attach

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


def read(path: str | Path, *, space: str = "auto", limits: Limits | None = None, xrefs: bool = False) -> Drawing:
    """Read a DXF (ASCII, binary, gzip'd) or DWG file.

    Args:
        path: the file.
        space: ``"auto"`` = model space, or the fullest layout when model space is empty; ``"model"``; ``"paper"`` = the
            fullest layout; or the name of a layout.
        limits: what the file may cost; see `Limits`.
        xrefs: whether drawings that it refers to are attached where they lie beside it, see `deepdxf.xrefs`.

    Returns:
        The drawing. Its ``problems``, ``ignored`` and ``status`` tell what was repaired, left out or is missing.

    Raises:
        ReadError: nothing could be read as a drawing; the text says why.
    """
    path = Path(path)
    limits = limits or Limits()
    try:
        return parse(load(path, limits), space=space, limits=limits, folder=Folder.of(path) if xrefs else None)
    except ReadError as error:
        raise ReadError(f"{path}: {error}") from error.__cause__


class _Listed(Exception):
    """Raised in place of reading on where only the spaces were asked for."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes


_LIST = "\0list"  # a space that no file has: its spaces are only listed


def spaces(path: str | Path, *, limits: Limits | None = None) -> dict[str, int]:
    """Entities in each space of a file, blocks not expanded, by name: ``model``, then the layouts.

    Raises:
        ReadError: as `read`.
    """
    try:
        read(path, space=_LIST, limits=limits)
    except _Listed as listed:
        return listed.sizes
    raise AssertionError("a space was read though only a list was asked for")


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
    return unpacked(data, limits)


def unpacked(data: bytes, limits: Limits) -> bytes:
    """Bytes of a drawing, decompressed if gzip'd. Raises ReadError when that is damaged or beyond the limit."""
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(limits.file_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ReadError(f"damaged gzip file ({error})") from error
        if len(data) > limits.file_bytes:
            raise ReadError(f"too large: more than {limits.file_bytes} bytes after decompression")
    return data


def parse(
    data: bytes,
    *,
    space: str = "auto",
    limits: Limits | None = None,
    careful: bool = False,
    folder: Folder | None = None,
) -> Drawing:
    """A drawing from the bytes of a file; see `read`. ``careful`` forces the careful reader (DXF only); references are
    looked for in the ``folder``, if there is one.

    Raises:
        ReadError: nothing could be read as a drawing; the text says why.
    """
    limits = limits or Limits()
    if len(data) > limits.file_bytes:
        raise ReadError(f"too large: {len(data)} bytes, the limit is {limits.file_bytes}")
    if not (data[:TEXT_HEAD].strip(PADDING) or data.strip(PADDING)):
        raise ReadError("the file is empty")
    for magic, what in FOREIGN.items():
        if data.removeprefix(codecs.BOM_UTF8)[: len(magic)].lower() == magic.lower():
            raise ReadError(f"not a DXF or DWG drawing but {what}")
    size = len(data)
    if data[:2] == b"AC" and data[:4] != b"ACIS" and b"\n" not in data[:6]:
        return parse_dwg(data, space, limits, folder)
    is_binary = data.startswith(BINARY_DXF)
    content: Content | None = None
    attempts = [parse_careful] if careful else [parse_fast, parse_careful, parse_what_is_left]
    failure = ReadError("cannot be read")
    for attempt in attempts:
        whole = attempt is parse_careful  # it wants all objects
        if content is None or (is_binary and whole):
            content = Content.of(binary_to_ascii(data, whole, limits.tags) if is_binary else data, size, limits)
        table = Table()
        table.problems.update(content.problems)
        try:
            return with_references(attempt(content, table, space, limits), table, limits, folder)
        except ReadError as error:
            failure = error
    raise failure


def with_references(drawing: Drawing, table: Table, limits: Limits, folder: Folder | None) -> Drawing:
    """The drawing with what it refers to, as far as that is in the folder and can be read; the rest stays reported."""
    found: dict[int, tuple[str, Drawing]] = {}
    for number, stated in table.xrefs.items() if folder is not None else ():
        assert folder is not None
        if (path := folder.find(stated)) is not None:
            try:
                other = parse(load(path, limits), space="model", limits=limits, folder=folder.below(path))
            except ReadError:
                continue
            found[number] = stated, other
    return attach(drawing, found, limits) if found else drawing


def parse_dwg(data: bytes, space: str, limits: Limits, folder: Folder | None) -> Drawing:
    """A drawing from a DWG file; where the reader refuses it, by way of the user's converter, if there is one."""
    try:
        table = Table()
        return with_references(parse_fast(Content(data, len(data)), table, space, limits), table, limits, folder)
    except ReadError as refused:
        if not converter.command():
            raise
        try:
            drawing = parse(converter.convert(data, limits.file_bytes), space=space, limits=limits, folder=folder)
        except ReadError as error:
            raise ReadError(f"{refused}; {error}") from error
        version = data[:6].decode("ascii", "replace")
        return replace(drawing, format="dwg", version=version, reader=f"converter, {drawing.reader}")


TEXT_HEAD = 4096  # bytes at the start that tell nearly every file from an empty one


@dataclass(frozen=True)
class Content:
    """The bytes of a drawing as a reader takes them; of a DXF, what is known about them."""

    data: bytes  # a DWG, or an ASCII DXF fit to read
    size: int  # bytes of the file, decompressed
    starts: Starts | None = None  # of a DXF
    declared: int = 0  # entities, see `declared_entities`
    problems: Counter[tuple[str, str]] = field(default_factory=Counter)  # what had to be mended

    @classmethod
    def of(cls, data: bytes, size: int, limits: Limits) -> Content:
        """The content of an ASCII DXF."""
        table = Table()
        data, starts = prepare(data, table, limits)
        return cls(data, size, starts, declared_entities(data, starts), table.problems)


# --- the two readers -------------------------------------------------------------------------------------------------


@contextmanager
def collector_paused() -> Iterator[None]:
    """No search for reference cycles meanwhile: the hundred thousands of objects of a file, which have none, would set it
    off again and again, and every time it walks through all that the program has loaded."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


@collector_paused()
def parse_fast(content: Content, table: Table, space: str, limits: Limits, *, lossy: bool = False) -> Drawing:
    """The fast reader. Raises ReadError where it fails, or, unless ``lossy``, finds fewer entities than declared."""
    import msgspec

    from deepdxf import reader_cadkit as fast

    data, starts, declared = content.data, content.starts, 0 if lossy else content.declared
    try:
        drawn = data if starts is None else drawn_part(data, starts)
        parsed = cadkit.read(
            drawn, max_input_bytes=limits.file_bytes, max_objects=limits.objects, codepage=codepage_of(data)
        )
        document = fast.decode_document(parsed.to_json())
    except cadkit.LimitExceededError as error:
        raise ReadError(f"too large ({one_line(error)})") from error
    except cadkit.UnknownFormatError as error:
        if data[:2] == b"AC":
            version = data[:6].decode("ascii", "replace")
            raise ReadError(
                f"a DWG of version {version}, which cannot be read (R13 and later can, "
                f"others with a converter in {converter.VARIABLE})"
            ) from error
        raise ReadError("not a DXF or DWG drawing") from error
    except (cadkit.CadkitError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ReadError(f"cannot be read ({one_line(error)})") from error
    if document.source.format not in ("dxf", "dwg"):
        raise ReadError(f"a {document.source.format.upper()} file, not a DXF or DWG drawing")
    found = sum(len(model.entities) for model in document.models)
    if found < declared:
        raise ReadError(f"{declared} entities declared, {found} read")
    spaces = {("model" if model.kind == "model" else model.name): model.entities for model in document.models}
    sizes = {
        name: sum(not isinstance(e.kind, fast.ViewportKind) for e in entities) for name, entities in spaces.items()
    }
    chosen = choose_space(space, sizes)
    hatches = set() if starts is None else associative_hatches(data, starts)
    fast.Feeder(document, table, hatches).feed(spaces.get(chosen, ()))
    metres = document.units.meters_per_unit
    unit = unit_of(data) if starts is not None else metres * 1000.0 if metres else None
    source = {"format": document.source.format, "version": document.source.version or "", "reader": "cadkit"}
    return table.drawing(limits, unit, chosen, source, content.size)


def parse_what_is_left(content: Content, table: Table, space: str, limits: Limits) -> Drawing:
    """The fast reader on a file that the careful one cannot read at all: what it finds, and the loss counted."""
    drawing = parse_fast(content, table, space, limits, lossy=True)
    found = int((drawing.depth == 0).sum()) + sum(drawing.ignored.values())
    if found >= content.declared:
        return drawing
    lost = Problem("lost-entity", "entity that could not be read", content.declared - found)
    return replace(drawing, problems=(*drawing.problems, lost))


def parse_careful(content: Content, table: Table, space: str, limits: Limits) -> Drawing:
    """The careful reader: ezdxf, with recover for what its strict loader refuses."""
    from ezdxf import recover
    from ezdxf.filemanagement import dxf_stream_info
    from ezdxf.filemanagement import read as read_strict

    from deepdxf.reader_ezdxf import Feeder

    data, starts = content.data, content.starts
    if starts is not None and max(starts.tags / limits.tags, len(starts.line) / limits.objects) > CAREFUL_SHARE:
        raise ReadError("too large for the careful reader")
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
    if (lost := content.declared - sum(map(len, document.layouts))) > 0:
        table.problem("lost-entity", "entity that the careful reader could not keep", lost)
    Feeder(document, table, handles).feed(layout)
    source = {"format": "dxf", "version": document.dxfversion, "reader": reader}
    return table.drawing(limits, unit, chosen, source, content.size)


CAREFUL_SHARE = 1 / 8  # of the limits that the careful reader may take: it is so much slower


def choose_space(space: str, sizes: dict[str, int]) -> str:
    """Name of the space to read, from the entities in each."""
    if space == _LIST:
        raise _Listed({"model": sizes.get("model", 0)} | sizes)
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


def one_line(error: object) -> str:
    """The text of an error on one line, cut at 160 characters."""
    return " ".join(str(error).split())[:160]
