"""The command line: one function a command; everything heavy is imported inside of them.

Every command takes ``--json`` (a JSON document on standard output, nothing else there), ``--quiet`` (no progress bar) and
``--debug`` (tracebacks). Progress goes to standard error. Exit codes: 0 done, 1 the command as a whole failed, 2 the
command line is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from deepdxf import __version__
from deepdxf.errors import DeepDXFError

if TYPE_CHECKING:
    from deepdxf.archive import Archive, Hit, IndexReport
    from deepdxf.drawing import Drawing
    from deepdxf.encoder import Encoder, Switches
    from deepdxf.report import Card

Arguments = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    make_output_unicode()
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        if arguments.debug:
            raise
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader, e.g. `head`, has seen enough
        return 0
    except (DeepDXFError, OSError, MemoryError) as error:
        if arguments.debug:
            raise
        text = str(error) if isinstance(error, DeepDXFError) else f"{type(error).__name__}: {error}"
        print(f"deepdxf: {' '.join(text.split())}", file=sys.stderr)
        return 1
    return code


def make_output_unicode() -> None:
    """Output in UTF-8 wherever it goes: names of drawings hold characters that many consoles' code pages lack."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


# --- commands --------------------------------------------------------------------------------------------------------


def inspect(arguments: Arguments) -> int:
    """What is in a drawing, and what the reader had to repair, leave out or ignore."""
    from deepdxf.reader import read
    from deepdxf.summary import summarise

    drawing = read(arguments.file, space=arguments.space)
    summary = summarise(drawing)
    if arguments.json:
        return print_json({"file": str(arguments.file), **summary.to_dict(), "frame": drawing.frame.tolist()})
    unit = f" units of {summary.unit_mm:g} mm" if summary.unit_mm else " units (unit not stated)"
    print_pairs(
        {
            "file": str(arguments.file),
            "status": summary.status,
            "format": f"{summary.format.upper()} {summary.version}, read by {summary.reader}, space {summary.space}",
            "size": f"{summary.width:g} × {summary.height:g}{unit}",
            "entities": f"{summary.entities}: " + listed(f"{n} {name}" for name, n in summary.counts.items()),
            "layers": listed(summary.layers),
            "blocks": listed(summary.blocks),
            "texts": listed(summary.texts),
            "dimensions": listed(f"{value:g}" for value in summary.dimensions),
            "title block": listed(f"{tag}={value}" for tag, value in summary.fields),
            "ignored": listed(f"{n} {name}" for name, n in summary.ignored.items()),
        }
    )
    for code, message, count in summary.problems:
        print(f"  {code} ({count}): {message}")
    return 0


def encode(arguments: Arguments) -> int:
    """Sequence code and geometry code of drawings, one file each."""
    from deepdxf.archive import find_files, portable
    from deepdxf.graph import encode as encode_drawing
    from deepdxf.reader import read
    from deepdxf.sequence import classic, write_h5

    found = find_files(arguments.paths)
    done: dict[str, str] = {}
    failed = {portable(folder): reason for folder, reason in found.unreadable.items()}
    for path, root in found.paths.items():
        name = Path(os.path.relpath(portable(path), portable(root))).as_posix()
        target = arguments.out / f"{name}.{arguments.format}"
        try:
            drawing = read(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            if arguments.format == "h5":
                write_h5(target, classic(drawing))
            else:
                encode_drawing(drawing, name).save(target)
            done[name] = str(target)
        except DeepDXFError as error:
            failed[name] = str(error)
    return print_outcome(arguments, {"encoded": done}, failed, f"{len(done)} drawings encoded into {arguments.out}")


def embed(arguments: Arguments) -> int:
    """Vectors of drawings as one .npz file: arrays `files` and `vectors`."""
    import numpy as np

    from deepdxf.embed import embed_files
    from deepdxf.report import write_atomically

    result = embed_files(arguments.paths, arguments.encoder, workers=arguments.workers, quiet=is_quiet(arguments))
    write_atomically(
        arguments.out, lambda stream: np.savez(stream, files=np.array(result.files, np.str_), vectors=result.vectors)
    )
    shape = list(result.vectors.shape)
    facts = {"encoder": arguments.encoder, "out": str(arguments.out), "shape": shape}
    text = f"{shape[0]} vectors of length {shape[1]} in {arguments.out}"
    return print_outcome(arguments, facts, result.failed, text)


def index(arguments: Arguments) -> int:
    """Bring an archive up to date with folders of drawings."""
    archive, report = index_folders(
        arguments.paths,
        arguments.archive,
        arguments.encoder,
        workers=arguments.workers,
        timeout_s=arguments.timeout,
        memory_mb=arguments.memory,
        redo=arguments.redo,
        prune=arguments.prune,
        thumbnails=not arguments.no_thumbnails,
        quiet=is_quiet(arguments),
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
        print_index_report(archive, report, arguments.report)
    if report.interrupted:
        return 130
    statuses = report.statuses()
    return 1 if statuses and set(statuses) == {"failed"} else 0


def index_folders(
    paths: Sequence[Path],
    address: str,
    name: str,
    *,
    thumbnails: bool = True,
    **options: Any,
) -> tuple[Archive, IndexReport]:
    """The archive at an address after indexing; made if it is not there. ``options`` as in `Archive.index`."""
    from functools import partial

    from deepdxf import encoder, reader, render
    from deepdxf.archive import Archive, Ingest

    search_encoder = encoder.load(name)
    archive = Archive.create(address, search_encoder.id, search_encoder.dim)
    ingest = Ingest(partial(encoder.load, name), reader.read, render.thumbnail if thumbnails else None)
    return archive, archive.index(paths, ingest, **options)


def print_index_report(archive: Archive, report: IndexReport, written: Path | None) -> None:
    """Totals, then a line for each file that failed or went missing."""
    for file in report.files:
        if file.action in ("added", "updated") and file.status == "failed":
            print(f"  failed: {file.path}: {file.message}", file=sys.stderr)
        elif file.action in ("vanished", "removed", "unreachable"):
            print(f"  {file.action}: {file.path} {file.message}".rstrip(), file=sys.stderr)
    done = listed(f"{count} {action}" for action, count in report.actions().items()) or "no drawings found"
    states = listed(f"{count} {status}" for status, count in report.statuses().items())
    print(f"{done} in {report.seconds:.1f} s; {len(archive)} in the archive" + (f" ({states})" if states else ""))
    if written:
        print(f"the files one by one: {written}")
    if report.interrupted:
        print("interrupted: what was read is in the archive; the same command goes on from there", file=sys.stderr)


def search(arguments: Arguments) -> int:
    """The drawings of an archive that are most similar to a file, or to one of its own, or that hold a text."""
    from deepdxf import encoder, reader
    from deepdxf.archive import Archive, drawing_id

    if sum(value is not None for value in (arguments.file, arguments.id, arguments.text)) != 1:
        arguments.fail("name one query: a FILE, or --id ID, or --text WORDS")
    archive = Archive.open(arguments.archive)
    drawing: Drawing | None = None
    own = arguments.id
    if arguments.text is not None:
        hits = archive.find_text(arguments.text, arguments.k, where=arguments.where)
        note = f"text {arguments.text!r}"
    else:
        search_encoder = encoder_of(archive)
        switches = switches_of(arguments)
        if arguments.file is not None:
            path = os.path.abspath(arguments.file)
        else:
            record = archive.get(arguments.id)
            path = os.path.join(record["root"], record["path"])
        own = own or drawing_id(path)
        if arguments.file is None and switches == encoder.Switches():
            query = archive.vector(arguments.id)[None]
        else:
            drawing = reader.read(path)
            query = search_encoder.query(drawing, switches)
        # one more, because the query itself is no answer
        hits = archive.search(query, arguments.k + 1, min_score=arguments.min_score, where=arguments.where)
        hits = [hit for hit in hits if hit.id != own][: arguments.k]
        note = describe(switches)
    records = {hit.id: archive.get(hit.id) for hit in hits}
    rows = [hit_row(rank, hit, records[hit.id]) for rank, hit in enumerate(hits, 1)]
    if arguments.html:
        from deepdxf import render
        from deepdxf.report import Card, gallery

        if drawing is not None:
            card = Card(path, render.thumbnail(drawing), drawing_facts(drawing), file=Path(path))
        elif own is not None:
            card = hit_card(archive, own, None)
        else:
            card = Card(note, b"")
        gallery(arguments.html, card, [hit_card(archive, hit.id, hit.score) for hit in hits], note=note)
    if arguments.csv:
        from deepdxf.report import write_csv

        write_csv(arguments.csv, rows)
    if arguments.json:
        return print_json({"query": str(arguments.file or own or arguments.text), "hits": rows})
    print_hits(rows)
    if arguments.html:
        print(f"gallery: {arguments.html}")
    return 0


def encoder_of(archive: Archive) -> Encoder:
    """The encoder that an archive was made with. Raises EncoderError when this version does not have it."""
    from deepdxf import encoder
    from deepdxf.errors import EncoderError

    name = archive.encoder_id.rsplit("-", 1)[0].split("-", 1)[0]
    if name in encoder.ENCODERS:
        found = encoder.load(name)
        if found.id == archive.encoder_id:
            return found
    raise EncoderError(
        f"the archive was made with encoder {archive.encoder_id!r}, which this version does not have; index into a new one"
    )


def hit_row(rank: int, hit: Hit, record: Mapping[str, Any]) -> dict[str, Any]:
    """A hit as a row of tables and files."""
    columns = ("status", "entities", "width_mm", "height_mm", "width", "height")
    row: dict[str, Any] = {"rank": rank, "score": hit.score, "path": hit.path, "id": hit.id, "root": hit.root}
    if hit.match:
        row["match"] = hit.match
    return row | {name: record[name] for name in columns} | {"layers": list(record["layer"] or ())}


def hit_card(archive: Archive, id: str, score: float | None) -> Card:
    """A drawing of the archive as a card of a gallery."""
    from deepdxf.report import Card

    record = archive.get(id)
    facts = {
        "status": record["status"],
        "size": size_text(record["width"], record["height"], record["unit_mm"]),
        "entities": record["entities"],
        "layers": list(record["layer"] or ()),
        "blocks": list(record["block"] or ()),
    }
    file = Path(record["root"]) / record["path"]
    problems = list(record["problem"] or ())
    return Card(record["path"], archive.thumbnail(id) or b"", facts, problems, score=score, id=id, file=file)


def drawing_facts(drawing: Drawing) -> dict[str, Any]:
    """What a gallery tells of a query that is not in the archive."""
    width, height = drawing.size
    layers = sorted({drawing.layers[i] for i in set(drawing.layer.tolist())})
    return {"size": size_text(width, height, drawing.unit_mm), "entities": len(drawing), "layers": layers}


def size_text(width: float | None, height: float | None, unit_mm: float | None) -> str | None:
    """Width and height as people write them."""
    if width is None or height is None:
        return None
    if unit_mm is None:
        return f"{width:.4g} × {height:.4g} (unit not stated)"
    return f"{width * unit_mm:.4g} × {height * unit_mm:.4g} mm"


def describe(switches: Switches) -> str:
    """The switches in words."""
    words = ["size matters" if switches.size else "any size"]
    words.append("mirrored is as good" if switches.mirror else "mirrored differs")
    words.append("turned by 90° is as good" if switches.rotation else "turned differs")
    return ", ".join(words)


def compare(arguments: Arguments) -> int:
    """How alike two drawings are, overall and by code."""
    from deepdxf import encoder, reader

    drawings = [reader.read(path) for path in (arguments.a, arguments.b)]
    result = encoder.similarity(encoder.load(arguments.encoder), *drawings, switches_of(arguments))
    if arguments.json:
        document = {"a": str(arguments.a), "b": str(arguments.b), "encoder": arguments.encoder}
        return print_json({**document, "similarity": result.overall, "codes": dict(result.codes)})
    print_pairs(
        {"similarity": f"{result.overall:.4f}", **{name: f"{value:.4f}" for name, value in result.codes.items()}}
    )
    return 0


def evaluate(arguments: Arguments) -> int:
    """Retrieval figures of an encoder on a folder of drawings with known groups."""
    from deepdxf import evaluate as evaluation
    from deepdxf.embed import embed_files
    from deepdxf.groups import load_groups

    protocol = load_groups(arguments.groups, arguments.judgements, arguments.manifest, arguments.kinds)
    quiet = is_quiet(arguments)
    switches = switches_of(arguments)
    embedded = embed_files(
        [arguments.path], arguments.encoder, switches=switches, workers=arguments.workers, quiet=quiet
    )
    rankings = evaluation.rank(embedded.files, embedded.vectors, protocol.files, embedded.queries or None)
    result = evaluation.evaluate(rankings, protocol, embedded.entities)
    if arguments.rankings:
        evaluation.write_rankings(arguments.rankings, rankings, arguments.depth)
    if arguments.json:
        facts = {"encoder": arguments.encoder, "drawings": len(embedded.files), "not_read": embedded.failed}
        return print_json({**facts, **result.to_json()})
    print(f"{arguments.encoder}: {len(embedded.files)} drawings read, {len(embedded.failed)} not")
    print(result.table())
    return 0


def synth(arguments: Arguments) -> int:
    """Generate drawings with known edits, and the groups that they form."""
    from dataclasses import asdict

    from deepdxf.batch import progress_bar
    from deepdxf.synth import generate

    with progress_bar("drawing", arguments.drawings, is_quiet(arguments)) as step:
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


def demo(arguments: Arguments) -> int:
    """Make an archive of generated drawings, search it, and write a gallery of the hits."""
    import shutil

    from deepdxf import encoder, reader, render
    from deepdxf.archive import drawing_id
    from deepdxf.groups import read_members
    from deepdxf.report import Card, gallery
    from deepdxf.synth import generate

    out: Path = arguments.out
    drawings, archive_path, page = out / "drawings", out / "archive", out / "hits.html"
    for folder in (drawings, archive_path):
        if folder.exists():
            shutil.rmtree(folder)  # of an earlier demo: these two names are the demo's own
    quiet = is_quiet(arguments)
    say = (lambda text: None) if arguments.json else print
    report = generate(drawings, arguments.drawings, arguments.seed)
    say(f"{report.files} drawings in {drawings}")
    archive, indexed = index_folders([drawings], str(archive_path), "descriptor", quiet=quiet)
    say(f"indexed in {indexed.seconds:.1f} s into {archive_path}")
    members = read_members(drawings / "groups.csv")
    query = next(member.file for member in members if member.kind == DEMO_QUERY_KIND)
    path = drawings / query
    drawing = reader.read(path)
    vectors = encoder.load("descriptor").query(drawing, encoder.Switches())
    own = drawing_id(os.path.abspath(path))
    hits = [hit for hit in archive.search(vectors, 11) if hit.id != own][:10]
    rows = [hit_row(rank, hit, archive.get(hit.id)) for rank, hit in enumerate(hits, 1)]
    card = Card(query, render.thumbnail(drawing), drawing_facts(drawing), file=path.resolve())
    gallery(page, card, [hit_card(archive, hit.id, hit.score) for hit in hits], note="made by: deepdxf demo")
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

LISTED = 12  # longer lists say how many more there are


def print_json(document: Any) -> int:
    """A JSON document on standard output; numbers that are not finite become null."""
    from deepdxf.report import plain

    print(json.dumps(plain(document), ensure_ascii=False, indent=1, allow_nan=False))
    return 0


def print_outcome(arguments: Arguments, facts: Mapping[str, Any], failed: Mapping[str, str], text: str) -> int:
    """What a batch did and which files failed; exit code 1 when all did."""
    done = facts.get("encoded", facts.get("shape", [0]))
    nothing = (len(done) if isinstance(done, dict) else done[0]) == 0
    if arguments.json:
        print_json({**facts, "failed": dict(failed)})
    else:
        for name, reason in failed.items():
            print(f"  failed: {name}: {reason}", file=sys.stderr)
        print(text + (f", {len(failed)} failed" if failed else ""))
    return 1 if nothing else 0


def print_pairs(pairs: Mapping[str, str]) -> None:
    """Names and values in two columns; empty values are left out."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        if value:
            print(f"{name:<{width}}  {value}")


def print_hits(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of hits."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print("no drawing passes")
        return
    table = Table(box=None, pad_edge=False)
    for name, justify in (
        ("#", "right"),
        ("score", "right"),
        ("drawing", "left"),
        ("size", "left"),
        ("entities", "right"),
    ):
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name != "drawing")  # type: ignore[arg-type]
    for row in rows:
        in_mm = row["width_mm"] is not None
        size = size_text(
            row["width_mm" if in_mm else "width"], row["height_mm" if in_mm else "height"], 1.0 if in_mm else None
        )
        size = (size or "").replace(" (unit not stated)", "")
        # `Text`: brackets in a name are no markup
        name = Text(row["path"] + (f"  “{row['match']}”" if "match" in row else ""))
        table.add_row(str(row["rank"]), f"{row['score']:.3f}", name, size, str(row["entities"]))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def listed(items: Iterable[str]) -> str:
    """Items with commas, the first `LISTED` of them."""
    items = list(items)
    more = f" … and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


def is_quiet(arguments: Arguments) -> bool:
    return bool(arguments.quiet)


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
        about = (run.__doc__ or "").strip()
        made = commands.add_parser(
            name,
            help=about[0].lower() + about[1:].rstrip("."),
            description=about,
            epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run, fail=made.error)
        made.add_argument("--json", action="store_true", help="print a JSON document")
        made.add_argument("--quiet", action="store_true", help="no progress bar")
        made.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return made

    def archive_option(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--archive", required=True, metavar="DIR", help="folder or object-storage address of the archive"
        )

    def encoder_option(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--encoder", default="descriptor", metavar="NAME", help="see `deepdxf encoders` (default: %(default)s)"
        )

    def workers_option(made: argparse.ArgumentParser) -> None:
        made.add_argument("--workers", type=positive, metavar="N", help="processes (default: one a core)")

    def switch_options(made: argparse.ArgumentParser) -> None:
        made.add_argument("--any-size", action="store_true", help="the same shape at another scale is as good")
        made.add_argument("--mirrored", action="store_true", help="a mirrored drawing is as good")
        made.add_argument("--rotated", action="store_true", help="a drawing turned by 90°, 180° or 270° is as good")

    made = command("inspect", inspect, "deepdxf inspect bracket.dxf\ndeepdxf inspect sheet.dwg --space paper --json")
    made.add_argument("file", type=Path, metavar="FILE")
    made.add_argument(
        "--space", default="auto", help="auto, model, paper, or the name of a layout (default: %(default)s)"
    )

    made = command(
        "encode", encode, "deepdxf encode drawings --out codes\ndeepdxf encode a.dxf --out codes --format h5"
    )
    made.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files and folders")
    made.add_argument("--out", type=Path, required=True, metavar="DIR")
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
    made.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    encoder_option(made)
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
        "deepdxf search --id 0123456789abcdef --archive my-archive",
    )
    made.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the drawing to search for")
    archive_option(made)
    made.add_argument("--id", metavar="ID", help="search for a drawing of the archive")
    made.add_argument("--text", metavar="WORDS", help="search in texts, title blocks and file names")
    made.add_argument("-k", type=positive, default=10, metavar="K", help="number of hits (default: %(default)s)")
    made.add_argument("--min-score", type=float, metavar="S", help="the lowest score of a hit")
    made.add_argument("--where", metavar="FILTER", help="only drawings that pass; see docs/filters.md")
    made.add_argument("--html", type=Path, metavar="FILE", help="write a gallery with pictures")
    made.add_argument("--csv", type=Path, metavar="FILE", help="write the hits as CSV")
    switch_options(made)

    made = command(
        "compare", compare, "deepdxf compare old.dxf new.dxf\ndeepdxf compare left.dxf right.dxf --mirrored --json"
    )
    made.add_argument("a", type=Path, metavar="A")
    made.add_argument("b", type=Path, metavar="B")
    encoder_option(made)
    switch_options(made)

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
    switch_options(made)

    made = command("synth", synth, "deepdxf synth drawings --drawings 1000 --seed 1")
    made.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")
    made.add_argument("--drawings", type=positive, default=300, metavar="N", help="(default: %(default)s)")
    made.add_argument("--seed", type=int, default=0, metavar="S", help="(default: %(default)s)")

    command("encoders", encoders, "deepdxf encoders")

    made = command("demo", demo, "deepdxf demo\ndeepdxf demo --out my-demo --drawings 500")
    made.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="(default: %(default)s)")
    made.add_argument("--drawings", type=positive, default=300, metavar="N", help="(default: %(default)s)")
    made.add_argument("--seed", type=int, default=0, metavar="S", help="(default: %(default)s)")
    return top


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of 1 or more")
    return number


def positive_number(text: str) -> float:
    """A number above 0."""
    if not (number := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def run() -> NoReturn:
    """Entry of ``python -m deepdxf``."""
    sys.exit(main())


if __name__ == "__main__":
    run()
