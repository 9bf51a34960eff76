"""The command line: one function a command; everything heavy is imported inside of them.

Every command takes ``--json`` (a JSON document on standard output, nothing else there), ``--quiet`` (no progress bar) and
``--debug`` (tracebacks). Progress goes to standard error. Exit codes: 0 done, 1 the command as a whole failed, 2 the
command line is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn

from deepdxf import __version__, cli_archive, cli_compare, cli_experiment, cli_plot, cli_serve, cli_split, cli_train
from deepdxf.console import (
    command_parser,
    complain,
    counted,
    listed,
    number,
    print_json,
    print_outcome,
    print_pairs,
    shown,
    size_text,
)
from deepdxf.errors import ArchiveError, DeepDXFError

if TYPE_CHECKING:
    from deepdxf.archive import Archive, Hit
    from deepdxf.drawing import Drawing
    from deepdxf.encoder import Switches
    from deepdxf.report import Card, Value

Arguments = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    prepare_output()
    debug = False
    try:
        try:
            arguments = parser().parse_args(argv)
            debug = arguments.debug
            code: int = arguments.run(arguments)
        finally:
            sys.stdout.flush()  # here, where a failure is reported like any other
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        drop_output()  # the reader, e.g. `head`, has seen enough
        return 0
    except Exception as error:
        if debug:
            raise
        drop_output()
        print(f"deepdxf: {shown(' '.join(error_text(error).split()))}", file=sys.stderr)
        return 1
    return code


def error_text(error: Exception) -> str:
    """What to tell the user of an error."""
    if isinstance(error, DeepDXFError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if isinstance(error, MemoryError):
        return "the memory is used up"
    return f"{type(error).__name__}: {error}; this is a defect of deepdxf, --debug shows where"


def prepare_output() -> None:
    """Output in UTF-8 wherever it goes: names of drawings hold characters that many consoles' code pages lack."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def drop_output() -> None:
    """Let what standard output holds and cannot write vanish, or Python would complain about it when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- commands --------------------------------------------------------------------------------------------------------


def inspect(arguments: Arguments) -> int:
    """What is in a drawing, and what the reader had to repair, leave out or ignore."""
    from deepdxf.clean import find, places
    from deepdxf.reader import read, spaces
    from deepdxf.summary import summarise

    if arguments.layouts:
        sizes = spaces(arguments.file)
        if arguments.json:
            return print_json({"file": str(arguments.file), "spaces": sizes})
        print_pairs({name: f"{size} entities" for name, size in sizes.items()})
        return 0
    drawing = read(arguments.file, space=arguments.space, xrefs=arguments.xrefs)
    summary, dirt = summarise(drawing), find(drawing)
    if arguments.json:
        document = {"file": str(arguments.file), **summary.to_dict(), "frame": drawing.frame.tolist()}
        return print_json({**document, "dirt": dirt.counts, "dirty_places": places(drawing, dirt)})
    release = f"(release {RELEASES[summary.version]})" if summary.version in RELEASES else ""
    version = " ".join(filter(None, (summary.format.upper(), summary.version, release)))
    counts = [f"{n} {name}" for name, n in summary.counts.items()]
    print_pairs(
        {
            "file": str(arguments.file),
            "status": summary.status,
            "format": f"{version}, read by {summary.reader}",
            "space": summary.space,
            "size": size_text(summary.width, summary.height, summary.unit_mm),
            "entities": f"{summary.entities}: {listed(counts)}" if counts else "0",
            "layers": counted(summary.layers),
            "blocks": counted(summary.blocks),
            "texts": counted(summary.texts),
            "dimensions": counted([number(value, 6) for value in summary.dimensions]),
            "title block": listed(f"{tag}={value}" for tag, value in summary.fields),
            "ignored": listed(f"{n} {name}" for name, n in summary.ignored.items()),
            "dirt": listed(DIRT[kind].format(count) for kind, count in dirt.counts.items()),
            "problems": listed(f"{code} ({count}: {message})" for code, message, count in summary.problems),
        }
    )
    return 0


# What people call dirt, by the kinds of `clean`
DIRT = {
    "double": "{} drawn twice",
    "covered": "{} lines within another",
    "empty": "{} of no length",
    "repeated": "{} vertices repeated",
    "straight": "{} vertices where nothing bends",
    "continued": "{} lines that continue another",
}

# What people call the versions of the format
RELEASES = {
    "AC1006": "R10",
    "AC1009": "R12",
    "AC1012": "R13",
    "AC1014": "R14",
    "AC1015": "2000",
    "AC1018": "2004",
    "AC1021": "2007",
    "AC1024": "2010",
    "AC1027": "2013",
    "AC1032": "2018",
}


def encode(arguments: Arguments) -> int:
    """Sequence code and geometry code of drawings, one file each."""
    from deepdxf.embed import encode_files

    done, failed = encode_files(
        arguments.paths,
        arguments.out,
        arguments.format,
        space=arguments.space,
        xrefs=arguments.xrefs,
        workers=arguments.workers,
        quiet=arguments.quiet,
    )
    text = f"{len(done)} drawings encoded into {arguments.out}"
    cut = {name: rows for name, (_, rows) in done.items() if rows}
    if not arguments.json:
        for name, rows in cut.items():
            complain("cut", name, f"{rows} rows beyond the limit of the codes left out")
    facts = {"encoded": {name: target for name, (target, _) in done.items()}, "cut": cut}
    return print_outcome(arguments, facts, failed, len(done), text)


def embed(arguments: Arguments) -> int:
    """Vectors of drawings as one .npz file: arrays `files` and `vectors`."""
    import numpy as np

    from deepdxf.embed import embed_files
    from deepdxf.files import check_writable, replacing

    check_writable(arguments.out)
    options = {
        "space": arguments.space,
        "xrefs": arguments.xrefs,
        "workers": arguments.workers,
        "quiet": arguments.quiet,
    }
    result = embed_files(arguments.paths, arguments.encoder, **options)
    with replacing(arguments.out) as partial, partial.open("wb") as stream:
        np.savez(stream, files=np.array(result.files, np.str_), vectors=result.vectors)
    shape = list(result.vectors.shape)
    facts = {"encoder": arguments.encoder, "out": str(arguments.out), "shape": shape}
    text = f"{shape[0]} vectors of length {shape[1]} in {arguments.out}"
    return print_outcome(arguments, facts, result.failed, len(result.files), text)


def index(arguments: Arguments) -> int:
    """Bring an archive up to date with folders of drawings."""
    if arguments.report:
        from deepdxf.files import check_writable

        check_writable(arguments.report)
    from deepdxf.follow import index_folders

    archive, report = index_folders(
        arguments.paths,
        arguments.archive,
        arguments.encoder,
        workers=arguments.workers,
        timeout_s=arguments.timeout,
        memory_mb=arguments.memory,
        redo=arguments.redo,
        retries=arguments.retries,
        prune=arguments.prune,
        thumbnails=not arguments.no_thumbnails,
        quiet=arguments.quiet,
    )
    if arguments.report:
        from deepdxf.report import write_csv, write_json

        as_json = json.loads(report.to_json())
        if arguments.report.suffix.lower() == ".csv":
            write_csv(arguments.report, as_json["files"])
        else:
            write_json(arguments.report, as_json)
    if arguments.json:
        print(report.to_json())
    else:
        cli_archive.print_index_report(archive, report, arguments.report)
    if report.interrupted:
        return 130
    statuses = report.statuses()
    return 1 if statuses and set(statuses) == {"failed"} else 0


def remove(arguments: Arguments) -> int:
    """Forget drawings of an archive, by id or filter; the files themselves are never touched."""
    from deepdxf.archive import Archive

    if (arguments.where is None) == (not arguments.id):
        arguments.fail("name the drawings: --id ID … or --where FILTER")
    archive = Archive.open(arguments.archive)
    rows = archive.records(arguments.where, ("path", "root"))
    if arguments.id:
        known = {row["id"] for row in rows}
        for id in arguments.id:
            if id not in known:
                raise ArchiveError(f"no drawing with id {id!r} in the archive {archive.address}")
        rows = [row for row in rows if row["id"] in arguments.id]
    if not arguments.dry_run:
        archive.remove([row["id"] for row in rows])
    if arguments.json:
        return print_json({"removed": rows, "dry_run": arguments.dry_run})
    for row in rows:
        print(shown(f"{row['id']}  {row['path']}"))
    print(f"{len(rows)} drawings {'would be ' if arguments.dry_run else ''}removed; {len(archive)} in the archive")
    return 0


def search(arguments: Arguments) -> int:
    """The drawings of an archive that are most similar to a file, or to one of its own, or that hold a text."""
    if arguments.part:
        return cli_archive.search_parts(arguments, switches_of(arguments))
    if arguments.box or arguments.marked:
        arguments.fail("--box and --marked go with --part")
    archive, hits, rows, card, note = searched(arguments)
    if arguments.html:
        write_gallery(arguments.html, archive, card(), hits, note)
    if arguments.csv:
        from deepdxf.metadata import flat
        from deepdxf.report import write_csv

        write_csv(arguments.csv, flat(rows))
    if arguments.json:
        return print_json({"query": str(arguments.file or arguments.id or arguments.text), "hits": rows})
    print_hits(rows, arguments.columns or ())
    if arguments.text is None and rows and not any(row.get("same_part", 1.0) >= LIKELY for row in rows):
        print("no hit is likely the same part; drawings that contain the query as a detail are found with --part")
    if arguments.html:
        print(f"gallery: {arguments.html}")
    return 0


def searched(arguments: Arguments) -> tuple[Archive, list[Hit], list[dict[str, Any]], Callable[[], Card], str]:
    """What `search` finds: the archive, hits, their rows, what makes the card of the query, and a note how it was made."""
    from deepdxf.archive import Archive

    if sum(value is not None for value in (arguments.file, arguments.id, arguments.text)) != 1:
        arguments.fail("name one query: a FILE, or --id ID, or --text WORDS")
    if arguments.text is not None and (arguments.any_size or arguments.mirrored or arguments.rotated):
        arguments.fail("--any-size, --mirrored and --rotated are about shapes: they need a FILE or --id")
    archive = Archive.open(arguments.archive)
    drawing: Drawing | None = None
    if arguments.text is not None:
        hits = archive.find_text(arguments.text, arguments.k, where=arguments.where)
        if arguments.min_score is not None:
            hits = [hit for hit in hits if hit.score >= arguments.min_score]
        note = "drawings with all of these words"
    else:
        switches = switches_of(arguments)
        limits = {"min_score": arguments.min_score, "where": arguments.where}
        asked = (archive, arguments.file, arguments.id, switches, arguments.k)
        hits, drawing = similar(
            *asked, space=arguments.space, xrefs=arguments.xrefs, verify=not arguments.no_verify, **limits
        )
        note = describe(switches)
        if not arguments.no_verify:
            note += ", hits verified by the strokes they share"
            complain_of_unverified(archive, hits)
    records = records_of(archive, [hit.id for hit in hits])
    hits = [hit for hit in hits if hit.id in records]
    rows = [hit_row(rank, hit, records[hit.id]) for rank, hit in enumerate(hits, 1)]
    if arguments.text is None:
        add_same_part(rows, archive.encoder_id, switches, verified=not arguments.no_verify)

    def card() -> Card:
        if arguments.text is not None:
            return text_card(arguments.text)
        if arguments.file is not None and drawing is not None:
            return drawing_card(arguments.file, drawing)
        return cli_archive.cards_of(archive, [arguments.id])[arguments.id]

    return archive, hits, rows, card, note


def similar(
    archive: Archive,
    file: Path | None,
    id: str | None,
    switches: Switches,
    k: int,
    *,
    space: str = "auto",
    xrefs: bool = False,
    verify: bool = True,
    **limits: Any,
) -> tuple[list[Hit], Drawing | None]:
    """The drawings most similar to a file, or to the one of the archive with an id, without itself.

    Args:
        space, xrefs: of a file, see `reader.read`.
        verify: whether the first hits are verified.
        limits: ``min_score`` and ``where`` of `Archive.search`.

    Returns:
        The hits, and the query if it had to be read.
    """
    from deepdxf import reader
    from deepdxf.archive import drawing_id, encoder_of
    from deepdxf.encoder import Switches
    from deepdxf.verify import Verification

    drawing: Drawing | None = None
    if id is not None and switches == Switches():
        own, vectors = id, archive.vector(id)[None]
    else:
        if id is not None:
            record = archive.get(id)
            file = Path(record["root"], record["path"])
        assert file is not None
        own = id or drawing_id(os.path.abspath(file))
        search_encoder = encoder_of(archive)
        drawing = reader.read(file, space=space, xrefs=xrefs)
        vectors = search_encoder.query(drawing, switches)
    if not vectors.any():
        raise DeepDXFError(f"{file or id}: the drawing has nothing in it to search by")
    verification = None
    if verify:
        if drawing is None:
            verification = Verification(archive.sketches([own])[0], switches)
        else:
            verification = Verification.of(drawing, switches)
    # one more, because the query itself is no answer
    found = archive.search(vectors, k + 1, verification=verification, rotation=switches.rotation, **limits)
    return [hit for hit in found if hit.id != own][:k], drawing


def complain_of_unverified(archive: Archive, hits: Sequence[Hit]) -> None:
    """Tell of hits that would have been verified if the archive had what it takes."""
    from deepdxf.verify import DEPTH

    if lacking := sum(hit.overlap is None for hit in hits[: DEPTH - 1]):  # the query itself may have been one more
        reason = f"{lacking} hits, for an older version indexed them or the query; index their folders again"
        complain("not verified", archive.address, reason)


LIKELY = 0.5  # share of pairs that are the same part, below which a search for a part of a drawing is suggested
ROW_COLUMNS = ("status", "entities", "width_mm", "height_mm", "width", "height", "layer", "meta")
ROWS_AT_ONCE = 400  # ids that a filter can hold


def records_of(archive: Archive, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Columns of some drawings by id; those that another process has just removed are not in it."""
    found: dict[str, Mapping[str, Any]] = {}
    for first in range(0, len(ids), ROWS_AT_ONCE):
        some = ", ".join(f"'{id}'" for id in ids[first : first + ROWS_AT_ONCE])
        found |= {row["id"]: row for row in archive.records(f"id in ({some})", ROW_COLUMNS)}
    return found


LENGTH_DECIMALS = 6  # beyond them there is but the error of the arithmetic


def hit_row(rank: int, hit: Hit, record: Mapping[str, Any]) -> dict[str, Any]:
    """A hit as a row of tables and files."""
    from deepdxf import metadata

    lengths = ("width_mm", "height_mm", "width", "height")
    row: dict[str, Any] = {"rank": rank, "score": hit.score, "path": hit.path, "id": hit.id, "root": hit.root}
    if hit.match:
        row["match"] = hit.match
    else:
        row["overlap"] = hit.overlap
    row |= {"status": record["status"], "entities": record["entities"]}
    row |= {name: None if record[name] is None else round(record[name], LENGTH_DECIMALS) for name in lengths}
    row |= {"layers": list(record["layer"] or ())}
    return row | ({"meta": metadata.unpack(record["meta"])} if record["meta"] else {})


def add_same_part(rows: Sequence[dict[str, Any]], encoder_id: str, switches: Switches, *, verified: bool) -> None:
    """Tell of each hit the share of pairs with its score that people call the same part, where it is known.

    It is known of encoders with a calibration, for searches like those that it was learned from.
    """
    from deepdxf.calibration import calibration_of
    from deepdxf.encoder import Switches

    curve = calibration_of(encoder_id, "verified" if verified else "cosine") if switches == Switches() else None
    if curve is None:
        return
    for row in rows:
        if not verified or row["overlap"] is not None:
            row["same_part"] = round(float(curve.probability(row["score"])), 3)


def write_gallery(path: Path, archive: Archive, query: Card, hits: Sequence[Hit], note: str) -> None:
    """The page with the pictures of a query and its hits."""
    from deepdxf.report import gallery

    cards = cli_archive.cards_of(archive, [hit.id for hit in hits], {hit.id: hit.score for hit in hits})
    gallery(path, query, list(cards.values()), note=note)


def drawing_card(path: Path, drawing: Drawing) -> Card:
    """A drawing that was read as a card of a gallery."""
    from deepdxf.files import portable
    from deepdxf.render import thumbnail
    from deepdxf.report import Card
    from deepdxf.summary import summarise

    summary = summarise(drawing)
    facts: dict[str, Value] = {
        "status": summary.status,
        "size": size_text(summary.width, summary.height, summary.unit_mm),
        "entities": summary.entities,
        "layers": summary.layers,
        "blocks": summary.blocks,
    }
    problems = [code for code, _, _ in summary.problems]
    return Card(portable(str(path)), thumbnail(drawing), facts, problems, file=Path(os.path.abspath(path)))


def text_card(words: str) -> Card:
    """Words that were searched for as a card of a gallery."""
    from deepdxf.report import Card

    return Card(f"“{words}”")


def describe(switches: Switches) -> str:
    """The switches in words."""
    words = ["size matters" if switches.size else "any size"]
    words.append("mirrored is as good" if switches.mirror else "mirrored differs")
    words.append("turned is as good" if switches.rotation else "turned differs")
    return ", ".join(words)


def evaluate(arguments: Arguments) -> int:
    """Retrieval figures of an encoder on a folder of drawings with known groups."""
    from deepdxf import evaluate as evaluation
    from deepdxf.embed import embed_files
    from deepdxf.files import check_writable
    from deepdxf.groups import load_groups
    from deepdxf.verify import DEPTH, ranking_overlaps, verified

    if arguments.rankings:
        check_writable(arguments.rankings)
    elif arguments.depth:
        arguments.fail("--depth is about the file of --rankings")
    protocol = load_groups(arguments.groups, arguments.judgements, arguments.manifest, arguments.kinds)
    verify, switches = not arguments.no_verify, switches_of(arguments)
    options = {"workers": arguments.workers, "quiet": arguments.quiet}
    embedded = embed_files([arguments.path], arguments.encoder, switches=switches, sketches=verify, **options)
    rankings = evaluation.rank(
        embedded.files, embedded.vectors, protocol.files, embedded.queries, level_vectors=embedded.level
    )
    if verify:
        overlaps = ranking_overlaps(rankings, embedded.sketches, switches, asked=embedded.asked, **options)
        rankings = verified(rankings, overlaps)
    result = evaluation.evaluate(rankings, protocol, embedded.entities)
    if arguments.rankings:
        evaluation.write_rankings(arguments.rankings, rankings, arguments.depth)
    if arguments.json:
        facts = {"encoder": arguments.encoder, "drawings": len(embedded.files), "not_read": embedded.failed}
        return print_json({**facts, "verified": DEPTH if verify else 0, **result.to_json()})
    order = f"first {DEPTH} hits verified" if verify else "hits not verified"
    print(f"{arguments.encoder}, {order}: {len(embedded.files)} drawings read, {len(embedded.failed)} not")
    print(result.table())
    return 0


def synth(arguments: Arguments) -> int:
    """Generate drawings with known edits, and the groups that they form."""
    from dataclasses import asdict

    from deepdxf.batch import progress_bar
    from deepdxf.synth import generate

    with progress_bar("drawing", arguments.drawings, arguments.quiet) as step:
        report = generate(arguments.out, arguments.drawings, arguments.seed, progress=lambda done, total: step())
    if arguments.json:
        return print_json({"out": str(arguments.out), **asdict(report)})
    print(f"{report.files} drawings of {report.designs} designs in {arguments.out}, with groups.csv and truth.jsonl")
    print_pairs({"kinds": listed(f"{n} {name}" for name, n in sorted(report.kinds.items()))})
    print_pairs({"edits": listed(f"{n} {name}" for name, n in sorted(report.edits.items()))})
    return 0


def encoders(arguments: Arguments) -> int:
    """The encoders by name."""
    from deepdxf.encoder import ENCODERS

    if arguments.json:
        return print_json({name: about for name, (_, _, about) in ENCODERS.items()})
    print_pairs({name: about for name, (_, _, about) in ENCODERS.items()})
    return 0


DEMO_QUERY_KIND = "revision"
DEMO_MARK = "made-by-deepdxf-demo"  # a file: the folder is a demo's, which the next one may replace
DEMO_DRAWINGS = 20  # fewer may lack a design with a revision


def clear_demo(out: Path) -> None:
    """Make the folder of a demo, without what an earlier one has left.

    Raises:
        DeepDXFError: something that is not a demo's is in it, or it cannot be written.
    """
    import shutil

    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / DEMO_MARK).exists() and any(out.iterdir()):
            raise DeepDXFError(f"the folder {out} is not empty; name a new one with --out")
        (out / DEMO_MARK).touch()
        for name in ("drawings", "archive"):
            if (out / name).exists():
                shutil.rmtree(out / name)
    except OSError as error:
        raise DeepDXFError(f"cannot write into {out}: {error.strerror or error}; name another with --out") from error


def demo(arguments: Arguments) -> int:
    """Make an archive of generated drawings, search it, and write a gallery of the hits."""
    from deepdxf.encoder import Switches
    from deepdxf.groups import read_members
    from deepdxf.synth import generate

    out: Path = arguments.out
    drawings, archive_path, page = out / "drawings", out / "archive", out / "hits.html"
    clear_demo(out)
    say = (lambda text: None) if arguments.json else print
    report = generate(drawings, arguments.drawings, arguments.seed)
    say(f"{report.files} drawings in {drawings}")
    from deepdxf.follow import index_folders

    archive, indexed = index_folders([drawings], str(archive_path), "descriptor", quiet=arguments.quiet)
    if indexed.interrupted:
        raise KeyboardInterrupt
    say(f"indexed in {indexed.seconds:.1f} s into {archive_path}")
    members = read_members(drawings / "groups.csv")
    query = next(member.file for member in members if member.kind == DEMO_QUERY_KIND)
    hits, drawing = similar(archive, drawings / query, None, Switches(), 10)
    assert drawing is not None
    records = records_of(archive, [hit.id for hit in hits])
    rows = [hit_row(rank, hit, records[hit.id]) for rank, hit in enumerate(hits, 1)]
    write_gallery(page, archive, drawing_card(drawings / query, drawing), hits, "made by: deepdxf demo")
    if arguments.json:
        return print_json({"query": query, "hits": rows, "gallery": str(page)})
    print(f"\nmost similar to {query}:")
    print_hits(rows)
    print(f"\nThe hits with pictures: {page.resolve().as_uri()}")
    print("Try your own drawings next:")
    print("  deepdxf index FOLDER --archive my-archive")
    print("  deepdxf search FILE.dxf --archive my-archive --html hits.html")
    return 0


# --- printing --------------------------------------------------------------------------------------------------------

MATCHED = 60  # characters shown of a text that was found


def print_hits(rows: Sequence[Mapping[str, Any]], own: Sequence[str] = ()) -> None:
    """A table of hits; beside their size, their status where one is not read as it should be, and columns of imported
    tables by name."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from deepdxf.metadata import value_of

    if not rows:
        print("no drawing of the archive passes")
        return
    table = Table(box=None, pad_edge=False)
    with_status = any(row["status"] != "ok" for row in rows)
    several_roots = len({row["root"] for row in rows}) > 1
    right = {"#", "score", "same part", "entities"}
    with_same = any("same_part" in row for row in rows)
    columns = ("#", "score", *(["same part"] if with_same else []))
    for name in (*columns, "drawing", "size", "entities", *(["status"] if with_status else []), *own):
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=name != "drawing")
    for row in rows:
        in_mm = row["width_mm"] is not None
        width, height = (row["width_mm"], row["height_mm"]) if in_mm else (row["width"], row["height"])
        size = size_text(width, height, 1.0 if in_mm else None).replace(" (unit not stated)", "")
        path = f"{PurePosixPath(row['root']).name}/{row['path']}" if several_roots else row["path"]
        match = "" if path.endswith(row.get("match", "")) else row["match"]
        match = f"  “{match if len(match) <= MATCHED else match[: MATCHED - 1] + '…'}”" if match else ""
        entities = "" if row["entities"] is None else str(row["entities"])
        # `Text`: brackets in a name are no markup
        drawing = Text(shown(path + match))
        status = [row["status"]] if with_status else []
        values = [Text(shown(value_of(row.get("meta") or {}, name))) for name in own]
        same = [f"{row['same_part']:.0%}" if "same_part" in row else ""] if with_same else []
        table.add_row(str(row["rank"]), f"{row['score']:.3f}", *same, drawing, size, entities, *status, *values)
    # lines of a file or a pipe are as long as they need to be
    Console(width=None if sys.stdout.isatty() else 100_000).print(table)


# --- the parser ------------------------------------------------------------------------------------------------------


def switches_of(arguments: Arguments) -> Switches:
    """The switches that the options set."""
    from deepdxf.encoder import Switches

    return Switches(size=not arguments.any_size, mirror=arguments.mirrored, rotation=arguments.rotated)


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = argparse.ArgumentParser(
        prog="deepdxf",
        description="Find, compare and clean up CAD drawings (DXF, DWG) by the vectors in them.",
        epilog="deepdxf COMMAND --help tells more and shows examples.",
    )
    top.add_argument("--version", action="version", version=f"deepdxf {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Arguments], int], examples: str) -> argparse.ArgumentParser:
        return command_parser(commands, name, run, run.__doc__, examples)

    def archive_option(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--archive", required=True, metavar="DIR", help="folder or object-storage address of the archive"
        )

    def encoder_option(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--encoder", default="descriptor", metavar="NAME", help="see `deepdxf encoders` (default: %(default)s)"
        )

    def space_option(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--space",
            default="auto",
            metavar="NAME",
            help="auto, model, paper, or the name of a layout (default: %(default)s)",
        )
        made.add_argument(
            "--xrefs", action="store_true", help="attach the drawings that a file refers to, if they lie beside it"
        )

    def workers_option(made: argparse.ArgumentParser) -> None:
        made.add_argument("--workers", type=positive, metavar="N", help="processes (default: one a core)")

    def seed_option(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--seed", type=int, default=0, metavar="S", help="another number, other drawings (default: %(default)s)"
        )

    def verify_option(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--no-verify", action="store_true", help="rank by the vectors alone: do not lay the first hits on the query"
        )

    def switch_options(made: argparse.ArgumentParser) -> None:
        made.add_argument("--any-size", action="store_true", help="the same shape at another scale is as good")
        made.add_argument("--mirrored", action="store_true", help="a mirrored drawing is as good")
        made.add_argument(
            "--rotated", action="store_true", help="a drawing turned by any angle is as good; a detail by right angles"
        )

    made = command(
        "inspect",
        inspect,
        "deepdxf inspect bracket.dxf\ndeepdxf inspect sheet.dwg --layouts\ndeepdxf inspect sheet.dwg --space Layout1 --json",
    )
    made.add_argument("file", type=Path, metavar="FILE", help="the drawing")
    space_option(made)
    made.add_argument("--layouts", action="store_true", help="list model space and the layouts instead")

    made = command(
        "encode", encode, "deepdxf encode drawings --out codes\ndeepdxf encode a.dxf --out codes --format h5"
    )
    made.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files and folders")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the codes")
    space_option(made)
    workers_option(made)
    made.add_argument(
        "--format",
        choices=("npz", "h5"),
        default="npz",
        help="npz: both codes; h5: the classic sequence matrix `dxf_vec`",
    )

    made = command(
        "embed", embed, "deepdxf embed drawings --out vectors.npz\ndeepdxf embed a.dxf b.dwg --out two.npz --json"
    )
    made.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files and folders")
    made.add_argument("--out", type=Path, required=True, metavar="FILE.npz", help="the file to write")
    encoder_option(made)
    space_option(made)
    workers_option(made)

    made = command(
        "index",
        index,
        "deepdxf index drawings --archive my-archive\n"
        "deepdxf index drawings --archive my-archive --prune --report files.csv",
    )
    made.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files and folders")
    archive_option(made)
    encoder_option(made)
    workers_option(made)
    made.add_argument(
        "--timeout", type=positive_number, default=120.0, metavar="S", help="limit a file (default: %(default)g s)"
    )
    made.add_argument(
        "--memory", type=positive, default=2000, metavar="MIB", help="limit a process (default: %(default)s MiB)"
    )
    made.add_argument(
        "--redo",
        choices=("changed", "failed", "all"),
        default="changed",
        help="which known files to read again (default: those that changed)",
    )
    made.add_argument(
        "--retries",
        type=count,
        default=0,
        metavar="N",
        help="try files that are locked, away or over the limit of time again, so often, after 2, 4, 8 … s "
        "(default: %(default)s; without it the next run does, but for those over the limit)",
    )
    made.add_argument("--prune", action="store_true", help="remove vanished files from the archive")
    made.add_argument("--report", type=Path, metavar="FILE", help="write what became of each file (.json or .csv)")
    made.add_argument("--no-thumbnails", action="store_true", help="make no pictures")

    made = command(
        "search",
        search,
        "deepdxf search bracket.dxf --archive my-archive\n"
        "deepdxf search bracket.dxf --archive my-archive --any-size --rotated --mirrored -k 20\n"
        "deepdxf search bracket.dxf --archive my-archive --where \"layer = 'CUT' and width_mm < 200\" --html hits.html\n"
        'deepdxf search --text "lead frame" --archive my-archive\n'
        "deepdxf search --id 0123456789abcdef --archive my-archive\n"
        "deepdxf search sheet.dxf --part --box 20,10,80,60 --rotated --archive my-archive --html hits.html",
    )
    made.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the drawing to search for")
    space_option(made)
    archive_option(made)
    made.add_argument(
        "--id", metavar="ID", help="search for a drawing of the archive; ids stand in --json, --csv and --html"
    )
    made.add_argument("--text", metavar="WORDS", help="search in texts, title blocks and file names")
    made.add_argument("-k", type=positive, default=10, metavar="K", help="number of hits (default: %(default)s)")
    made.add_argument("--min-score", type=finite, metavar="S", help="the lowest score of a hit")
    made.add_argument("--where", metavar="FILTER", help="only drawings that pass; see docs/filters.md")
    made.add_argument("--html", type=Path, metavar="FILE", help="write a gallery with pictures")
    made.add_argument("--csv", type=Path, metavar="FILE", help="write the hits as CSV")
    made.add_argument(
        "--columns", nargs="+", metavar="NAME", help="show these columns of imported tables, see `deepdxf metadata`"
    )
    cli_archive.part_options(made)
    verify_option(made)
    switch_options(made)

    made = command(
        "remove",
        remove,
        "deepdxf remove --archive my-archive --where \"root = '/old/share'\" --dry-run\n"
        "deepdxf remove --archive my-archive --id 0123456789abcdef",
    )
    archive_option(made)
    made.add_argument("--id", nargs="+", metavar="ID", help="ids of drawings")
    made.add_argument("--where", metavar="FILTER", help="all drawings that pass; see docs/filters.md")
    made.add_argument("--dry-run", action="store_true", help="only list them")

    cli_compare.add_command(command, encoder_option, space_option, positive_number)
    cli_split.add_command(command, space_option, positive_number)

    made = command(
        "evaluate",
        evaluate,
        "deepdxf evaluate drawings --groups drawings/groups.csv\n"
        "deepdxf evaluate drawings --groups groups.csv --encoder histogram --rankings out.jsonl",
    )
    made.add_argument("path", type=Path, metavar="PATH", help="folder of the drawings")
    made.add_argument("--groups", type=Path, required=True, metavar="CSV", help="which drawings belong together")
    made.add_argument(
        "--judgements", type=Path, metavar="CSV", help="judged pairs (default: judgements.csv beside the groups)"
    )
    made.add_argument(
        "--manifest", type=Path, metavar="CSV", help="geometries and sources (default: manifest.csv beside the groups)"
    )
    made.add_argument(
        "--kinds", nargs="+", metavar="KIND", help="kinds of groups that ask (default: all but families and copies)"
    )
    made.add_argument("--rankings", type=Path, metavar="JSONL", help="write the hits of every query")
    made.add_argument("--depth", type=positive, metavar="N", help="hits a query in the rankings file (default: all)")
    encoder_option(made)
    workers_option(made)
    verify_option(made)
    switch_options(made)

    made = command("synth", synth, "deepdxf synth drawings --drawings 1000 --seed 1")
    made.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")
    made.add_argument(
        "--drawings", type=positive, default=300, metavar="N", help="how many to generate (default: %(default)s)"
    )
    seed_option(made)

    command("encoders", encoders, "deepdxf encoders")

    cli_serve.add_command(command, positive, positive_number)
    cli_train.add_commands(command)
    cli_plot.add_command(command, encoder_option, workers_option, positive, positive_number)
    cli_experiment.add_command(command, positive)

    numbers = {"positive": positive, "positive_number": positive_number, "finite": finite}
    cli_archive.add_commands(command, archive_option, encoder_option, workers_option, numbers, searched)

    made = command("demo", demo, "deepdxf demo\ndeepdxf demo --out my-demo --drawings 500")
    made.add_argument(
        "--out",
        type=Path,
        default=Path("demo"),
        metavar="DIR",
        help="a new folder, or an earlier demo's, which is replaced (default: %(default)s)",
    )
    made.add_argument(
        "--drawings",
        type=demo_size,
        default=300,
        metavar="N",
        help=f"how many to generate, at least {DEMO_DRAWINGS} (default: %(default)s)",
    )
    seed_option(made)
    return top


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return whole(text, 1)


def count(text: str) -> int:
    """A whole number of at least 0."""
    return whole(text, 0)


def demo_size(text: str) -> int:
    """A whole number of at least `DEMO_DRAWINGS`."""
    return whole(text, DEMO_DRAWINGS)


def whole(text: str, least: int) -> int:
    """A whole number of at least ``least``."""
    if not text.isdecimal() or (value := int(text)) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return value


def finite(text: str) -> float:
    """A number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def positive_number(text: str) -> float:
    """A number above 0."""
    if (value := finite(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def run() -> NoReturn:
    """Entry of ``python -m deepdxf``."""
    sys.exit(main())


if __name__ == "__main__":
    run()
