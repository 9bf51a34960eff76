"""A file to both codes: our reader against ezdxf.

Two ways to have ezdxf as the reader:

parsed      ezdxf reads the tags, our table expands the blocks (``parse(data, careful=True)``)
expanded    ezdxf reads the tags and expands the blocks too, entity by entity (``virtual_entities``), as programs do
            that have nothing else

Every file is read by all three in turn, in one process; files that one of them cannot read are counted and left out.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Goal, Result, Table, drawing_files, median_p95, processor_seconds
from deepdxf import reader, reader_bytes
from deepdxf.drawing import Drawing
from deepdxf.dxfwrite import Doc, Entity, dxf_bytes
from deepdxf.errors import ReadError
from deepdxf.graph import encode
from deepdxf.table import Limits
from deepdxf.table import Table as Rows

LARGE = 100_000  # bytes
SHEET = (500_000, 4_000_000)  # bytes of block-heavy sheets
HEAVY_SHARE, HEAVY_ROWS = 0.8, 1000  # least share and number of the entities of such a sheet that come out of blocks
REPEATS = 2  # runs of every way: as many for all, for the best of more looks faster on a busy machine
EVERY = 8  # of the large files, one in so many is read with ezdxf: all of them would take it a quarter of an hour
BLOCK_GOAL, LARGE_GOAL = 15.0, 8.0
VERSION_OF = re.compile(r"__r\d+of\d+_[0-9a-f]+")  # name of one of several versions of a drawing


@dataclass(frozen=True)
class Timing:
    """Processor seconds of one file to both codes."""

    name: str
    size: int  # bytes
    entities: int  # after expansion
    ours: float
    parsed: float
    expanded: float


def measure(corpus: Path | None) -> Result:
    """The comparison on block-heavy sheets, synthetic and real, and on large files."""
    time_file("warm-up", sheet(1, 20))
    result = Result()
    groups: list[tuple[str, float | None, Iterable[tuple[str, bytes]]]] = [
        ("block-heavy sheets, synthetic", BLOCK_GOAL, synthetic_sheets())
    ]
    if corpus is not None:
        large = [path for path in drawing_files(corpus) if path.stat().st_size > LARGE]
        groups += [
            ("block-heavy sheets of the corpus", BLOCK_GOAL, contents(block_heavy(large))),
            (f"every {EVERY}th file of the corpus above 100 kB", LARGE_GOAL, contents(large[::EVERY])),
        ]
    summary = Table(
        "Reading and both codes against ezdxf",
        ("drawings", "files", "left out", "MB", "ours MB/s", "ours median ms", "p95 ms", "ezdxf", "median ms", "p95 ms",
         "ratio of totals", "median ratio"),
        note=f"Processor time of one core, for each the best of {REPEATS} runs. 'parsed': our table expands the "
        "blocks; 'expanded': ezdxf does.",
    )  # fmt: skip
    detail = Table(
        "Block-heavy sheets one by one",
        ("drawing", "MB", "entities", "ours ms", "ezdxf parsed ms", "ratio", "ezdxf expanded ms", "ratio"),
    )
    result.tables = [summary, detail]
    for title, goal, files in groups:
        timings, left_out = [], 0
        for name, data in files:
            timing = time_file(name, data)
            if timing is None:
                left_out += 1
                continue
            timings.append(timing)
            if goal == BLOCK_GOAL:
                detail.rows.append(
                    (name[-60:], timing.size / 1e6, timing.entities, 1e3 * timing.ours, 1e3 * timing.parsed,
                     timing.parsed / timing.ours, 1e3 * timing.expanded, timing.expanded / timing.ours)
                )  # fmt: skip
        if not timings:
            continue
        ours = [t.ours for t in timings]
        megabytes = sum(t.size for t in timings) / 1e6
        for way in ("parsed", "expanded"):
            theirs = [float(getattr(t, way)) for t in timings]
            ratio = sum(theirs) / sum(ours)
            summary.rows.append(
                (title, len(timings), left_out, megabytes, megabytes / sum(ours), *(1e3 * s for s in median_p95(ours)),
                 way, *(1e3 * s for s in median_p95(theirs)), ratio,
                 float(np.median([b / a for a, b in zip(ours, theirs, strict=True)])))
            )  # fmt: skip
            if goal is not None:
                result.goals.append(Goal(f"{title}: faster than ezdxf, {way}", ratio, goal, "×", at_least=True))
    return result


def time_file(name: str, data: bytes) -> Timing | None:
    """The times of one file; None where one of the readers rejects it."""
    try:
        drawing = reader.parse(data)
        ours = processor_seconds(lambda: encode(reader.parse(data), name), REPEATS)
        parsed = processor_seconds(lambda: encode(reader.parse(data, careful=True), name), REPEATS)
        expanded = processor_seconds(lambda: encode(ezdxf_alone(data), name), REPEATS)
    except ReadError:
        return None
    return Timing(name, len(data), len(drawing), ours, parsed, expanded)


# --- ezdxf for all of it ---------------------------------------------------------------------------------------------


def ezdxf_alone(data: bytes) -> Drawing:
    """A drawing whose blocks ezdxf has expanded: there are no INSERT rows, all rows have depth 0.

    Raises:
        ReadError: ezdxf's strict loader rejects the file, or its expansion of blocks fails.
    """
    import ezdxf
    from ezdxf.filemanagement import dxf_stream_info

    from deepdxf.reader_ezdxf import Feeder

    rows = Rows()
    if data.startswith(reader_bytes.BINARY_DXF):
        data = reader_bytes.binary_to_ascii(data)
    head = io.StringIO(data[:100_000].decode("latin-1").replace("\r\n", "\n"))
    try:
        text = data.decode(dxf_stream_info(head).encoding, "replace").replace("\r\n", "\n")
        document = ezdxf.read(io.StringIO(text))  # type: ignore[attr-defined]
        space = next((layout for layout in document.layouts if len(layout)), document.modelspace())
        entities = list(expand(space))
    except Exception as error:  # the library may raise anything on damaged files
        raise ReadError(f"not a readable DXF drawing ({error})") from error
    Feeder(document, rows, set()).feed(entities)
    source = {"format": "dxf", "version": document.dxfversion, "reader": "ezdxf"}
    return rows.drawing(Limits(), None, "model", source, len(data))


def expand(entities: Iterable[Any]) -> Iterator[Any]:
    """Entities with every INSERT replaced by its attributes and content, nested ones too."""
    for entity in entities:
        if entity.dxftype() != "INSERT":
            yield entity
            continue
        for single in entity.multi_insert() if entity.mcount > 1 else (entity,):
            yield from single.attribs
            yield from expand(single.virtual_entities())


# --- which drawings --------------------------------------------------------------------------------------------------


def contents(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes, one file at a time."""
    for path in paths:
        yield path.name, path.read_bytes()


def block_heavy(paths: Iterable[Path]) -> list[Path]:
    """The files of the size of a sheet in which most entities come out of blocks, most of them first.

    Of several versions of a drawing, the one with the most.
    """
    best: dict[str, tuple[int, Path]] = {}
    for path in paths:
        if not SHEET[0] <= path.stat().st_size <= SHEET[1]:
            continue
        try:
            drawing = reader.parse(path.read_bytes())
        except ReadError:
            continue
        inside = int((drawing.depth > 0).sum())
        key = VERSION_OF.sub("", path.as_posix())
        if inside >= max(HEAVY_ROWS, HEAVY_SHARE * len(drawing)) and inside > best.get(key, (0, path))[0]:
            best[key] = inside, path
    return [path for _, path in sorted(best.values(), key=lambda entry: (-entry[0], entry[1].as_posix()))]


def synthetic_sheets() -> Iterator[tuple[str, bytes]]:
    """Sheets of 0.5 to 4 MB: some hundred kinds of symbols, each placed many times, as on plans and lead frames."""
    for kinds, places in ((50, 20), (100, 10), (200, 10), (400, 5)):
        yield f"{kinds} blocks, each placed {places} times", sheet(kinds, places)


def sheet(kinds: int, places: int) -> bytes:
    """A DXF of ``kinds`` blocks of 40 entities, each inserted ``places`` times, turned and mirrored by turns."""
    rng = np.random.default_rng(kinds)
    doc = Doc(layers={"PART": (7, "Continuous")}, version="AC1015")
    per_row = math.ceil(math.sqrt(kinds * places))
    make: list[Callable[[list[tuple[float, float]]], Entity]] = [
        lambda p: Entity("LINE", "PART", p[:2]),
        lambda p: Entity("LWPOLYLINE", "PART", p, bulges=(0.0, 0.4, 0.0, 0.0), closed=True),
        lambda p: Entity("CIRCLE", "PART", p[:1], size=0.5),
        lambda p: Entity("ARC", "PART", p[:1], size=0.7, angle=20.0, end=140.0),
    ]
    for kind in range(kinds):
        points = np.round(rng.uniform(0.0, 8.0, (40, 4, 2)), 3).tolist()
        doc.blocks[f"PART{kind}"] = [make[i % len(make)]([(x, y) for x, y in p]) for i, p in enumerate(points)]
    for i in range(kinds * places):
        place = (10.0 * (i % per_row), 10.0 * (i // per_row))
        turn, flip = 90.0 * (i % 4), i % 3 == 0
        doc.entities.append(Entity("INSERT", "PART", [place], 1.0, turn, name=f"PART{i % kinds}", mirrored=flip))
    doc.number()
    return dxf_bytes(doc)
