"""Commands about an archive as a whole: duplicates, revisions, details, export and import."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdxf.console import complain, listed, print_json, shown, size_text

if TYPE_CHECKING:
    from deepdxf.archive import Archive, IndexReport
    from deepdxf.drawing import Drawing
    from deepdxf.duplicates import Duplicates, Group
    from deepdxf.encoder import Switches
    from deepdxf.parts import PartSearch
    from deepdxf.report import Card, Value
    from deepdxf.revisions import Chain, Step
    from deepdxf.transfer import Transferred

Arguments = argparse.Namespace
Command = Callable[[str, Callable[[Arguments], int], str], argparse.ArgumentParser]

SURE = 0.95  # share of pairs that are the same part, from where drawings are taken for duplicates
DEFAULT_SCORE = 0.95  # of encoders that are not calibrated
LEAST_SHARE = 0.6  # of a detail, for a drawing to contain it
SHOWN_GROUPS = 20  # that the terminal shows


# --- duplicates ------------------------------------------------------------------------------------------------------


def duplicates(arguments: Arguments) -> int:
    """Groups of the same drawing, exact and near, to work through; decisions about them are kept in the archive."""
    from deepdxf.archive import Archive
    from deepdxf.duplicates import DecidedMeanwhile, decide

    if (arguments.decide is None) != (not arguments.group):
        arguments.fail("--decide and --group go together: --decide not --group ID …")
    archive = Archive.open(arguments.archive)
    found = found_duplicates(archive, arguments)
    if arguments.decide is not None:
        import getpass

        user = ""
        groups = [group for group in found.groups if arguments.only in (None, group.kind)]
        chosen = [group.id for group in groups if group.verdict is None]
        ids = chosen if arguments.group == ["all"] else arguments.group
        with suppress(Exception):  # of a system that does not know who its user is
            user = getpass.getuser()
        verdict = None if arguments.decide == "open" else arguments.decide
        # a decision that is there was perhaps made by others, and not seen: it is left unless that is said
        seen = {} if arguments.force or verdict is None else dict.fromkeys(ids, "open")
        try:
            found = decide(archive, found, verdict, ids, arguments.note, by=user, seen=seen)
        except DecidedMeanwhile as error:
            raise DecidedMeanwhile(error.groups, "--force decides all the same") from None
        decided = [group for group in found.groups if group.id in ids]
        if arguments.json:
            return print_json({"decided": [group_json(group) for group in decided]})
        for group in decided:
            print(f"{group.id}  {group.verdict or 'open'}")
        print(f"{len(decided)} groups decided")
        return 0
    groups = shown_groups(found, arguments)
    if arguments.json:
        return print_json({**duplicates_facts(found), "groups": [group_json(group) for group in groups[: arguments.k]]})
    print_duplicates(found, groups, arguments.k or SHOWN_GROUPS)
    return 0


def found_duplicates(archive: Archive, arguments: Arguments) -> Duplicates:
    """The groups that the options ask for."""
    from deepdxf.calibration import calibration_of
    from deepdxf.duplicates import find_duplicates
    from deepdxf.encoder import Switches

    curve = calibration_of(archive.encoder_id)
    least = arguments.min_score
    if least is None:
        least = (curve and curve.score(SURE)) or DEFAULT_SCORE
    return find_duplicates(
        archive,
        least,
        where=arguments.where,
        apart=arguments.apart,
        keep=arguments.keep,
        switches=Switches(mirror=arguments.mirrored, rotation=arguments.rotated),
    )


def shown_groups(found: Duplicates, arguments: Arguments) -> list[Group]:
    """Open groups, or all of them, of the kind that is asked for."""
    groups = found.groups if arguments.decided else found.open()
    return [group for group in groups if arguments.only in (None, group.kind)]


def duplicates_facts(found: Duplicates) -> dict[str, Any]:
    """Figures of a search for duplicates."""
    groups = found.groups
    return {
        "min_score": found.min_score,
        "searched": found.searched,
        "left_out": found.left_out,
        "unhashed": found.unhashed,
        "found": len(groups),
        "open": len(found.open()),
        "kinds": {kind: sum(group.kind == kind for group in groups) for kind in ("exact", "near", "both")},
    }


def group_json(group: Group) -> dict[str, Any]:
    """A group as a JSON object."""
    from dataclasses import asdict

    members = []
    for member in group.members:
        row = asdict(member) | {"modified": member.modified.isoformat() if member.modified else None}
        members.append(row)
    return {
        "id": group.id,
        "kind": group.kind,
        "size": len(group.members),
        "score": group.score,
        "verdict": group.verdict or "open",
        "earlier": group.earlier,
        "note": group.note,
        "decided": group.decided.isoformat() if group.decided else None,
        "by": group.by,
        "members": members,
    }


def group_rows(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """A line a member, for tables and spreadsheets."""
    from deepdxf.metadata import flat

    rows = [
        {
            "group": group.id,
            "kind": group.kind,
            "drawings": len(group.members),
            "lowest score": group.score,
            "decision": group.verdict or "open",
            "decision before": group.earlier,
            "note": group.note,
            "decided": group.decided.isoformat(timespec="seconds") if group.decided else None,
            "decided by": group.by,
            "path": member.path,
            "root": member.root,
            "pose": member.pose,
            "exact": member.exact,
            "new": member.new,
            "keep": member.keep,
            "modified": member.modified.isoformat() if member.modified else None,
            "bytes": member.bytes,
            "entities": member.entities,
            "id": member.id,
            "meta": member.meta,
        }
        for group in groups
        for member in group.members
    ]
    return flat(rows)


def print_duplicates(found: Duplicates, groups: Sequence[Group], most: int) -> None:
    """Groups with their members, a line each."""
    for group in groups[:most]:
        print(f"{group.id}  {len(group.members)} drawings, {group.kind}, {group_text(group)}")
        for member in group.members:
            exact = f"={member.exact}" if member.exact is not None else ""
            keep = {None: "", True: "keep", False: "surplus"}[member.keep]
            date = f"{member.modified:%Y-%m-%d}" if member.modified else ""
            pose = f"  ({member.pose})" if member.pose else ""
            print(shown(f"    {exact:<3} {date:<10} {keep:<7} {'new ' if member.new else ''}{member.path}{pose}"))
    if len(groups) > most:
        print(f"… and {len(groups) - most} more groups: -k {len(groups)} shows them, --json all of them")
    facts = duplicates_facts(found)
    kinds = ", ".join(f"{count} {kind}" for kind, count in facts["kinds"].items() if count)
    decided = facts["found"] - facts["open"]
    print(
        f"{facts['found']} groups among {found.searched} drawings"
        + (f" ({kinds})" if kinds else "")
        + f": every pair in one is exact or scores at least {found.min_score:g}"
        + (f"; {decided} of them are decided (--decided shows them)" if decided else "")
    )
    if found.left_out:
        print(f"{found.left_out} drawings are in no group, for nothing is drawn in them or they could not be read")
    if found.unhashed:
        print(
            f"{found.unhashed} drawings were indexed by an older version: index again to find exact duplicates of them"
        )


def group_text(group: Group) -> str:
    """How alike the members of a group are, and what is decided about it."""
    before = f", {len(group.new)} new since it was decided: {group.earlier}" if group.earlier else ""
    score = "the same" if group.kind == "exact" else f"scores from {group.score:.3f}"
    by = f" by {group.by}" if group.by else ""
    when = f" ({group.decided:%Y-%m-%d}{by})" if group.decided else ""
    return f"{score}, {group.verdict or 'open'}{before}{when}"


# --- revisions -------------------------------------------------------------------------------------------------------


def revisions(arguments: Arguments) -> int:
    """The earlier and later versions of a drawing, and what changed from each to the next."""
    from deepdxf.archive import Archive
    from deepdxf.revisions import chain_rows, change_rows, step_rows

    if (arguments.file is None) == (arguments.id is None):
        arguments.fail("name one drawing: a FILE, or --id ID")
    archive = Archive.open(arguments.archive)
    chain, steps = revisions_of(archive, arguments)
    if arguments.json:
        document = {"ordered_by": chain.ordered_by, "notes": chain.notes, "versions": chain_rows(chain)}
        return print_json({**document, "steps": step_rows(steps), "changes": change_rows(steps)})
    print_revisions(chain, steps)
    return 0


def revisions_of(archive: Archive, arguments: Arguments) -> tuple[Chain, list[Step]]:
    """The chain and its ledger that the options ask for."""
    from deepdxf import reader
    from deepdxf.archive import drawing_id, encoder_of
    from deepdxf.revisions import find_revisions, ledger, record_of, record_of_file

    known = arguments.id
    if known is None:
        id = drawing_id(os.path.abspath(arguments.file))
        drawing = reader.read(arguments.file)
        vector = encoder_of(archive).encode([drawing])[0]
        query, vector = record_of_file(arguments.file, drawing, vector)
        for row in archive.records(f"id = '{id}'", ("path", "root")):  # named as the archive names it
            query |= {"path": row["path"], "root": row["root"]}
    else:
        query, vector = record_of(archive, known)
    chain = find_revisions(archive, query, vector, min_confidence=arguments.min_confidence)
    return chain, [] if arguments.no_changes else ledger(chain, tolerance=arguments.tolerance)


def print_revisions(chain: Chain, steps: Sequence[Step]) -> None:
    """The versions, oldest first, with what changed in between."""
    by_new = {step.new: step for step in steps}
    for version in chain.versions:
        step = by_new.get(version.path)
        if step is not None and version is not chain.versions[0]:
            print(shown(f"      {step_text(step)}"))
        elif step is not None:
            print(shown(f"      {step.message}"))
        date = f"{version.modified:%Y-%m-%d}" if version.modified else ""
        sure = "" if version.position == "this" else f"  confidence {version.confidence:.0%}"
        print(shown(f"{version.position:<8}  {version.mark or '-':<10} {date:<10}  {version.path}{sure}"))
        for reason in version.reasons:
            print(shown(f"          because of {reason}"))
    others = len(chain.versions) - 1
    print(f"{others} other version{'s' if others != 1 else ''}, ordered by: {chain.ordered_by}")
    for note in chain.notes:
        print(note)


def step_text(step: Step) -> str:
    """A step in one line."""
    if step.comparison is None:
        return f"not compared: {step.message}"
    counts = [f"{len(step.comparison.of(kind))} {kind}" for kind in ("added", "removed", "changed", "moved")]
    counts = [text for text in counts if not text.startswith("0 ")]
    return f"{', '.join(counts) or 'no difference'} (agreement {step.comparison.agreement:.1%})"


# --- reports ---------------------------------------------------------------------------------------------------------

REPORTS = ("search", "duplicates", "revisions")
FORMATS = (".html", ".csv", ".json", ".xlsx")
PICTURES = 2000  # in a page; what comes after has none, or browsers give up


def report(arguments: Arguments) -> int:
    """A search, the duplicates or the revisions of a drawing as files: HTML with pictures, CSV, JSON, Excel."""
    from deepdxf.archive import Archive
    from deepdxf.files import check_writable

    asks = (arguments.file, arguments.id) != (None, None)
    if asks == (arguments.kind == "duplicates") or (arguments.file is not None and arguments.id is not None):
        arguments.fail("search and revisions need a FILE or --id ID, duplicates neither")
    for path in arguments.out:
        if path.suffix.lower() not in FORMATS:
            arguments.fail(f"{path}: the files end in {', '.join(FORMATS)}")
        check_writable(path)
    if any(path.suffix.lower() == ".xlsx" for path in arguments.out):
        from deepdxf.report import need_excel

        need_excel()
    if arguments.kind == "search":
        made = search_report(arguments)
    else:
        archive = Archive.open(arguments.archive)
        made = (duplicates_report if arguments.kind == "duplicates" else revisions_report)(archive, arguments)
    for path in arguments.out:
        made.write(path)
    if arguments.json:
        return print_json({"kind": arguments.kind, "rows": made.count, "files": [str(path) for path in arguments.out]})
    print(shown(f"{made.count} {made.counted} in {', '.join(map(str, arguments.out))}"))
    return 0


@dataclass(frozen=True)
class Report:
    """What a report writes, by format."""

    count: int
    counted: str
    document: Any  # for JSON
    sheets: Mapping[str, Sequence[Mapping[str, Any]]]  # for Excel; the last is what CSV holds
    page: Callable[[Path], None]  # writes HTML

    def write(self, path: Path) -> None:
        """Write the file in the format of its name."""
        from deepdxf.report import write_csv, write_json, write_xlsx

        match path.suffix.lower():
            case ".csv":
                write_csv(path, list(self.sheets.values())[-1])
            case ".json":
                write_json(path, self.document)
            case ".xlsx":
                write_xlsx(path, self.sheets)
            case _:
                self.page(path)


def search_report(arguments: Arguments) -> Report:
    """Hits of a search."""
    from deepdxf.metadata import flat
    from deepdxf.report import gallery

    archive, hits, rows, card, note = arguments.searched(arguments)
    document = {"query": str(arguments.file or arguments.id), "note": note, "hits": rows}

    def page(path: Path) -> None:
        cards = cards_of(archive, [hit.id for hit in hits], {hit.id: hit.score for hit in hits})
        gallery(path, card(), list(cards.values()), note=note)

    return Report(len(rows), "hits", document, {"hits": flat(rows)}, page)


def duplicates_report(archive: Archive, arguments: Arguments) -> Report:
    """Groups of duplicates."""
    from deepdxf.report import Section, sections

    found = found_duplicates(archive, arguments)
    groups = shown_groups(found, arguments)[: arguments.k]
    facts = duplicates_facts(found)

    def page(path: Path) -> None:
        cards = cards_of(archive, [member.id for group in groups for member in group.members])
        parts = []
        for group in groups:
            members = []
            for member in group.members:
                about: dict[str, Value] = {
                    "pose": member.pose or None,
                    "exact duplicates": member.exact,
                    "new": member.new or None,
                    "keep": member.keep,
                    "modified": f"{member.modified:%Y-%m-%d}" if member.modified else None,
                }
                if member.id in cards:
                    card = cards[member.id]
                    members.append(replace(card, facts={**about, **card.facts}))
            parts.append(Section(f"{group.id}: {len(members)} drawings, {group.kind}", group_text(group), members))
        note = (
            f"every pair in a group is exact or scores at least {found.min_score:g}; {found.searched} drawings searched"
        )
        sections(path, parts, title="Duplicates", note=note)

    document = {**facts, "groups": [group_json(group) for group in groups]}
    figures = [{"what": name, "value": str(value)} for name, value in facts.items()]
    return Report(len(groups), "groups", document, {"summary": figures, "groups": group_rows(groups)}, page)


def revisions_report(archive: Archive, arguments: Arguments) -> Report:
    """The chain of a drawing and its ledger."""
    from deepdxf.report import Card, Section, sections
    from deepdxf.revisions import chain_rows, change_rows, step_rows

    chain, steps = revisions_of(archive, arguments)
    versions, changes = chain_rows(chain), change_rows(steps)
    document = {"ordered_by": chain.ordered_by, "notes": chain.notes, "versions": versions, "steps": step_rows(steps)}

    def page(path: Path) -> None:
        cards = cards_of(archive, [version.id for version in chain.versions])
        by_new = {step.new: step_text(step) for step in steps}
        parts = []
        for version in chain.versions:
            confidence = "" if version.position == "this" else f", confidence {version.confidence:.0%}"
            mark = f" {version.mark}" if version.mark else ""
            change = [by_new[version.path]] if version.path in by_new else []
            note = "; ".join([*change, *(f"because of {reason}" for reason in version.reasons)])
            card = cards.get(version.id, Card(version.path, id=version.id))
            parts.append(Section(f"{version.position}{mark}{confidence}", note, [card]))
        title = next(version.path for version in chain.versions if version.position == "this")
        sections(path, parts, title=f"Revisions of {title}", note=f"ordered by: {chain.ordered_by}")

    sheets = {"versions": versions, "steps": step_rows(steps), "changes": changes}
    return Report(len(versions), "versions", {**document, "changes": changes}, sheets, page)


def cards_of(archive: Archive, ids: Sequence[str], scores: Mapping[str, float] | None = None) -> dict[str, Card]:
    """Drawings of an archive as cards of a page, in the order of the ids; those that are gone are left out."""
    from deepdxf.archive import IDS_AT_ONCE
    from deepdxf.metadata import unpack
    from deepdxf.report import Card
    from deepdxf.where import quote

    columns = (
        "path", "root", "status", "width", "height", "unit_mm", "entities", "layer", "block", "message", "problem", "meta",
    )  # fmt: skip
    records: dict[str, Mapping[str, Any]] = {}
    for first in range(0, len(ids), IDS_AT_ONCE):
        some = ", ".join(quote(id) for id in ids[first : first + IDS_AT_ONCE])
        records |= {row["id"]: row for row in archive.records(f"id in ({some})", columns)}
    pictures = archive.thumbnails(ids[:PICTURES])
    cards = {}
    for id in ids:
        if id not in records:
            continue
        record = records[id]
        facts: dict[str, Value] = {
            "status": record["status"],
            "size": size_text(record["width"], record["height"], record["unit_mm"]),
            "entities": record["entities"],
            "layers": list(record["layer"] or ()),
            "blocks": list(record["block"] or ()),
            **{f"meta.{name}": value for name, value in unpack(record["meta"]).items()},
        }
        problems = [*filter(None, [record["message"]]), *(record["problem"] or ())]
        score = None if scores is None else scores[id]
        file = Path(record["root"]) / record["path"]
        cards[id] = Card(record["path"], pictures.get(id, b""), facts, problems, score=score, id=id, file=file)
    return cards


# --- parts -----------------------------------------------------------------------------------------------------------


def search_parts(arguments: Arguments, switches: Switches) -> int:
    """``deepdxf search --part``: the drawings of an archive that contain a detail, with the places."""
    from dataclasses import asdict

    from deepdxf import reader
    from deepdxf.archive import Archive, drawing_id
    from deepdxf.parts import detail_of, find_parts

    if arguments.text is not None or (arguments.file is None) == (arguments.id is None):
        arguments.fail("--part needs one drawing: a FILE, or --id ID")
    archive = Archive.open(arguments.archive)
    file, id = arguments.file, arguments.id
    if id is not None:
        record = archive.get(id)
        file = Path(record["root"], record["path"])
    drawing = reader.read(file, space=arguments.space, xrefs=arguments.xrefs)
    found = find_parts(
        archive,
        detail_of(drawing, arguments.box),
        arguments.k,
        switches=switches,
        where=arguments.where,
        without=id or drawing_id(os.path.abspath(file)),
        quiet=arguments.quiet,
        min_share=LEAST_SHARE if arguments.min_score is None else arguments.min_score,
    )
    rows: list[dict[str, Any]] = [
        {
            "rank": rank,
            "share": hit.share,
            "path": hit.path,
            "place": list(hit.place),
            "rotation": hit.rotation,
            "mirrored": hit.mirrored,
            "scale": hit.places[0].scale,
            "count": len(hit.places),
            "id": hit.id,
            "root": hit.root,
        }
        for rank, hit in enumerate(found.hits, 1)
    ]
    if arguments.csv:
        from deepdxf.report import write_csv

        write_csv(arguments.csv, rows)
    if arguments.html or arguments.marked:
        write_marked(arguments, drawing, file, found)
    if arguments.json:
        for row, hit in zip(rows, found.hits, strict=True):
            row["places"] = [asdict(place) for place in hit.places]
        names = ("strokes", "searched", "laid", "read", "left", "limited")
        facts = {name: getattr(found, name) for name in names}
        return print_json({"query": str(arguments.file or id), **facts, "failed": found.failed, "hits": rows})
    for path, reason in found.failed.items():
        complain("not looked at", path, reason)
    for row in rows:
        x0, y0, x1, y1 = row["place"]
        pose = f", turned by {row['rotation']:g}°" if row["rotation"] else ""
        pose += ", mirrored" if row["mirrored"] else ""
        pose += f", {row['scale']:.4g} times as large" if row["scale"] != 1.0 else ""
        pose += f", and at {row['count'] - 1} more places" if row["count"] > 1 else ""
        print(
            shown(
                f"{row['rank']:>3}  {row['share']:.0%}  {row['path']}  at ({x0:.6g}, {y0:.6g}) to ({x1:.6g}, {y1:.6g}){pose}"
            )
        )
    print(
        f"{len(rows)} drawings contain the detail ({found.strokes} strokes); {found.searched} searched by the sizes of their "
        f"strokes, it was laid into {found.laid} of them"
        + (f", {found.read} of which had to be read" if found.read else "")
        + (f"; {found.left} more could contain it: narrow the search by --where or --min-score" if found.left else "")
    )
    if found.limited:
        print(
            f"{found.limited} drawings are so crowded with strokes of these sizes that incomplete places may be missing"
        )
    return 0


def write_marked(arguments: Arguments, drawing: Drawing, file: Path, found: PartSearch) -> None:
    """The hits of a part search with the places marked: as a gallery, as pictures."""
    from deepdxf import reader
    from deepdxf.errors import ReadError
    from deepdxf.files import replacing
    from deepdxf.parts import marked_svg
    from deepdxf.render import png, thumbnail
    from deepdxf.report import Card, gallery

    pixels = 256
    cards = []
    if arguments.marked:
        arguments.marked.mkdir(parents=True, exist_ok=True)
    for rank, hit in enumerate(found.hits, 1):
        path = Path(hit.root, hit.path)
        best = hit.places[0]
        facts: dict[str, Value] = {
            "places": [", ".join(f"{value:.6g}" for value in place.box) for place in hit.places],
            "turned by": best.rotation or None,
            "mirrored": best.mirrored or None,
            "scale": best.scale if best.scale != 1.0 else None,
        }
        boxes = [place.box for place in hit.places]
        try:
            shown_drawing = reader.read(path)
        except ReadError as error:  # it has vanished just now
            cards.append(Card(hit.path, b"", facts, [str(error)], score=hit.share, id=hit.id))
            continue
        if arguments.marked:
            large = marked_svg(shown_drawing, boxes)
            name = f"{rank:03}_{path.stem}"
            with replacing(arguments.marked / f"{name}.svg") as partial:
                partial.write_text(large, encoding="utf-8", newline="\n")
            with replacing(arguments.marked / f"{name}.png") as partial:
                partial.write_bytes(png(large))
        picture = png(marked_svg(shown_drawing, boxes, pixels))
        cards.append(Card(hit.path, picture, facts, score=hit.share, id=hit.id, file=path))
    if arguments.html:
        picture = thumbnail(drawing) if arguments.box is None else png(marked_svg(drawing, arguments.box, pixels))
        about: dict[str, Value] = {"strokes of the detail": found.strokes}
        query = Card(str(file), picture, about, file=Path(os.path.abspath(file)))
        gallery(
            arguments.html, query, cards, title="Drawings that contain a detail", note="the places are in dashed frames"
        )


def part_options(made: argparse.ArgumentParser) -> None:
    """What `deepdxf search` has for part search."""
    made.add_argument(
        "--part",
        action="store_true",
        help="find drawings that contain FILE as a detail, with the places; --min-score: the share of its strokes that are "
        f"there (default: {LEAST_SHARE})",
    )
    made.add_argument(
        "--box",
        type=box,
        metavar="X0,Y0,X1,Y1",
        help="the detail is what of FILE lies in this box, in drawing units (with --part); --box=-10,0,5,8 where it begins "
        "with a minus",
    )
    made.add_argument(
        "--marked", type=Path, metavar="DIR", help="write SVG and PNG of the hits with the places marked (with --part)"
    )


def box(text: str) -> tuple[float, float, float, float]:
    """Four numbers with commas: two corners that span an area."""
    try:
        x0, y0, x1, y1 = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form X0,Y0,X1,Y1") from None
    if not (x0 != x1 and y0 != y1 and all(map(math.isfinite, (x0, y0, x1, y1)))):
        raise argparse.ArgumentTypeError(f"{text!r} spans no area")
    return x0, y0, x1, y1


# --- indexing --------------------------------------------------------------------------------------------------------


def print_index_report(archive: Archive, report: IndexReport, written: Path | None) -> None:
    """Totals, then a line for each file that failed or went missing."""
    for file in report.files:
        if file.action in ("added", "updated") and file.status == "failed":
            complain("failed", file.path, file.message)
        elif file.action in ("added", "updated") and file.message:
            complain("empty", file.path, file.message)
        elif file.action in ("vanished", "removed", "unreachable"):
            complain(file.action, file.path, file.message)
    done = listed(f"{count} {action}" for action, count in report.actions().items()) or "no drawings found"
    states = listed(f"{count} {status}" for status, count in report.statuses().items())
    print(f"{done} in {report.seconds:.1f} s; {len(archive)} in the archive" + (f" ({states})" if states else ""))
    if retried := [file for file in report.files if file.attempts > 1]:
        failed = sum(file.status == "failed" for file in retried)
        most = max(file.attempts for file in retried)
        print(f"{len(retried)} files were tried again, up to {most} times in all; {failed} of them still failed")
    if written:
        print(f"the files one by one: {written}")
    if report.interrupted:
        print("interrupted: what was read is in the archive; the same command goes on from there", file=sys.stderr)


def watch(arguments: Arguments) -> int:
    """Keep an archive up to date with folders of drawings until Ctrl-C."""
    from deepdxf.errors import DeepDXFError
    from deepdxf.follow import follow, index_folders

    archive: Archive | None = None

    def update() -> IndexReport:
        nonlocal archive
        archive, report = index_folders(
            arguments.paths,
            arguments.archive,
            arguments.encoder,
            workers=arguments.workers,
            prune=arguments.prune,
            quiet=arguments.quiet,
        )
        return report

    try:
        for outcome in follow(arguments.paths, update, seconds=arguments.every):
            if isinstance(outcome, DeepDXFError):
                complain("not up to date", arguments.archive, str(outcome))
            elif arguments.json:
                print(json.dumps(json.loads(outcome.to_json()), ensure_ascii=False), flush=True)
            else:
                assert archive is not None
                print_index_report(archive, outcome, None)
                sys.stdout.flush()
    except KeyboardInterrupt:
        pass  # how it is meant to end
    return 0


# --- metadata --------------------------------------------------------------------------------------------------------


def metadata(arguments: Arguments) -> int:
    """Join a table of an ERP or PDM system to the drawings of an archive: material, price, customer …"""
    from dataclasses import asdict

    from deepdxf.archive import Archive
    from deepdxf.files import check_writable
    from deepdxf.metadata import read_table

    if arguments.report:
        check_writable(arguments.report)
    archive = Archive.open(arguments.archive)
    table = read_table(arguments.file, arguments.sheet)
    done = archive.join(table, arguments.key, arguments.by, replace=arguments.replace, dry_run=arguments.dry_run)
    if arguments.report:
        from deepdxf.report import write_csv

        rows = [{"key": key, "drawing": path} for key, paths in done.matched.items() for path in paths]
        rows += [{"key": key, "drawing": ""} for key in done.unmatched]
        write_csv(arguments.report, [*rows, *({"key": "", "drawing": path} for path in done.without)])
    if arguments.json:
        return print_json({"dry_run": arguments.dry_run, **asdict(done)})
    would = "would be " if arguments.dry_run else ""
    paths = {path for some in done.matched.values() for path in some}
    print(f"{done.rows} rows, columns {', '.join(done.columns)}")
    print(f"{len(done.matched)} keys {would}joined to {len(paths)} drawings, {done.changed} of which {would}changed")
    for count, what, some in (
        (len(done.unmatched), "keys are about no drawing of the archive", done.unmatched),
        (len(done.without), "drawings have no row in the table", done.without),
        (len(done.repeated), "keys have several rows, of which the last counts", done.repeated),
        (done.keyless, "rows have no key", ()),
    ):
        if count:
            print(shown(f"{count} {what}" + (f": {listed(some[:SHOWN_KEYS])}" if some else "") + more(some)))
    return 0


SHOWN_KEYS = 10


def more(some: Sequence[str]) -> str:
    """That a list goes on."""
    return f" … and {len(some) - SHOWN_KEYS} more (--report FILE.csv has all)" if len(some) > SHOWN_KEYS else ""


def by(text: str) -> str:
    """How the keys of a table name drawings."""
    if text != "any" and not (text.startswith("field:") and text.removeprefix("field:").strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form field:TAG")
    return text


# --- export and import -----------------------------------------------------------------------------------------------


def export(arguments: Arguments) -> int:
    """A whole archive as one file: vectors, facts, thumbnails and decisions, without the drawings' files."""
    from deepdxf.archive import Archive
    from deepdxf.files import check_writable
    from deepdxf.transfer import export_archive

    check_writable(arguments.out)
    done = export_archive(Archive.open(arguments.archive), arguments.out)
    return print_transferred(arguments, done, str(arguments.out))


def import_(arguments: Arguments) -> int:
    """A new archive out of an exported file."""
    from deepdxf.encoder import ENCODERS, load
    from deepdxf.transfer import import_archive

    makers = (getattr(importlib.import_module(module), maker) for module, maker, _ in ENCODERS.values())
    known = {maker.id for maker in makers if hasattr(maker, "id")}
    if arguments.encoder is not None:
        known = {load(arguments.encoder).id}
    done = import_archive(arguments.file, arguments.archive, known)
    return print_transferred(arguments, done, arguments.archive)


def print_transferred(arguments: Arguments, done: Transferred, target: str) -> int:
    """What was exported or imported."""
    if arguments.json:
        return print_json({"encoder": done.encoder, "rows": dict(done.rows), "target": target})
    rows = ", ".join(f"{count} {name}" for name, count in done.rows.items())
    print(f"{rows} in {target}, encoder {done.encoder}")
    return 0


# --- the parser ------------------------------------------------------------------------------------------------------


def add_commands(
    command: Command,
    archive_option: Callable[[argparse.ArgumentParser], None],
    encoder_option: Callable[[argparse.ArgumentParser], None],
    workers_option: Callable[[argparse.ArgumentParser], None],
    types: Mapping[str, Callable[[str], Any]],
    searched: Callable[[Arguments], Any],
) -> None:
    """Add the commands to the parser; the options that other commands have too, types of numbers and search are given."""
    made = command(
        "duplicates",
        duplicates,
        "deepdxf duplicates --archive my-archive\n"
        "deepdxf duplicates --archive my-archive --min-score 0.98 --keep newest\n"
        "deepdxf duplicates --archive my-archive --decide not --group 0123456789ab fedcba987654\n"
        "deepdxf duplicates --archive my-archive --decide same --group all --only exact\n"
        "deepdxf duplicates --archive my-archive --apart MATERIAL --where \"path like 'released/%'\" --json",
    )
    archive_option(made)
    duplicates_options(made, types)
    made.add_argument(
        "-k", type=types["positive"], metavar="K", help=f"groups to show (default: {SHOWN_GROUPS}; --json: all)"
    )
    made.add_argument(
        "--decide",
        choices=("same", "not", "ignore", "open"),
        help="decide about groups; open takes a decision back. It holds until another drawing joins the group or one of "
        "its drawings changes",
    )
    made.add_argument("--group", nargs="+", metavar="ID", help="the groups to decide about; all: all open ones")
    made.add_argument("--note", default="", metavar="TEXT", help="kept with the decision")
    made.add_argument(
        "--force", action="store_true", help="decide anew about groups that have another decision, perhaps by others"
    )

    made = command(
        "revisions",
        revisions,
        "deepdxf revisions bracket_rev03.dxf --archive my-archive\n"
        "deepdxf revisions bracket_rev03.dxf --archive my-archive --min-confidence 0.8 --json\n"
        "deepdxf revisions --id 0123456789abcdef --archive my-archive --no-changes",
    )
    revisions_options(made, types)
    archive_option(made)

    made = command(
        "report",
        report,
        "deepdxf report duplicates --archive my-archive --out duplicates.html duplicates.xlsx\n"
        "deepdxf report revisions bracket_rev03.dxf --archive my-archive --out ledger.xlsx\n"
        "deepdxf report search bracket.dxf --archive my-archive -k 100 --out hits.html hits.csv",
    )
    made.add_argument("kind", choices=REPORTS, metavar="KIND", help="search, duplicates or revisions")
    revisions_options(made, types)
    archive_option(made)
    made.add_argument(
        "--out", type=Path, nargs="+", required=True, metavar="FILE", help=f"files to write: {', '.join(FORMATS)}"
    )
    duplicates_options(made, types)
    made.add_argument(
        "-k", type=types["positive"], default=100, metavar="K", help="hits or groups (default: %(default)s)"
    )
    made.set_defaults(searched=searched, text=None, any_size=False, no_verify=False, space="auto", xrefs=False)

    made = command(
        "watch",
        watch,
        "deepdxf watch drawings --archive my-archive\ndeepdxf watch /share/drawings --archive my-archive --every 60 --prune",
    )
    made.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="files and folders")
    archive_option(made)
    encoder_option(made)
    workers_option(made)
    made.add_argument(
        "--every",
        type=types["positive_number"],
        default=5.0,
        metavar="S",
        help="seconds between two looks at the folders; what has changed is indexed when it has come to rest "
        "(default: %(default)g; --json prints a line of JSON each time)",
    )
    made.add_argument("--prune", action="store_true", help="remove vanished files from the archive")

    made = command(
        "metadata",
        metadata,
        "deepdxf metadata parts.csv --archive my-archive --key PartNo\n"
        "deepdxf metadata erp.xlsx --sheet Parts --archive my-archive --key Number --by field:DRAWING_NO --dry-run",
    )
    made.add_argument("file", type=Path, metavar="FILE", help="the table, with a heading: .csv, .xlsx, .xls, .ods")
    archive_option(made)
    made.add_argument(
        "--key",
        required=True,
        metavar="COLUMN",
        help="the column that says which drawing a row is about: a path, a file name with or without its ending, or a "
        "drawing number",
    )
    made.add_argument(
        "--by", type=by, default="any", metavar="field:TAG", help="the key is what title blocks state under this tag"
    )
    made.add_argument("--sheet", metavar="NAME", help="the sheet of a workbook (default: the first)")
    made.add_argument("--replace", action="store_true", help="forget all that was imported before")
    made.add_argument("--dry-run", action="store_true", help="only tell what would be")
    made.add_argument(
        "--report", type=Path, metavar="FILE.csv", help="write every row and drawing that was matched or not"
    )

    made = command("export", export, "deepdxf export --archive my-archive --out my-archive.zip")
    archive_option(made)
    made.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write, a .zip")

    made = command("import", import_, "deepdxf import my-archive.zip --archive copy-of-it")
    made.add_argument("file", type=Path, metavar="FILE", help="what `deepdxf export` wrote")
    archive_option(made)
    made.add_argument(
        "--encoder", metavar="NAME", help="the encoder that it must be of; needed for trained models: their folder"
    )


def revisions_options(made: argparse.ArgumentParser, types: Mapping[str, Callable[[str], Any]]) -> None:
    """What says which versions there are."""
    made.add_argument("file", type=Path, nargs="?", metavar="FILE", help="the drawing, of the archive or not")
    made.add_argument("--id", metavar="ID", help="a drawing of the archive")
    made.add_argument(
        "--min-confidence",
        type=share,
        default=0.5,
        metavar="C",
        help="of a version, from 0 to 1; see docs/archive.md (default: %(default)g)",
    )
    made.add_argument(
        "--tolerance", type=types["positive_number"], metavar="T", help="as of `deepdxf compare`, for the changes"
    )
    made.add_argument("--no-changes", action="store_true", help="only the versions: read no file, compare nothing")


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def duplicates_options(made: argparse.ArgumentParser, types: Mapping[str, Callable[[str], Any]]) -> None:
    """What says which groups there are."""
    made.add_argument(
        "--min-score",
        type=types["finite"],
        metavar="S",
        help="every pair in a group is exact or scores at least this (default: from where 95 %% of pairs are the same part, see "
        f"docs/scores.md; {DEFAULT_SCORE} for encoders of which that is not known)",
    )
    made.add_argument("--where", metavar="FILTER", help="only drawings that pass; see docs/filters.md")
    made.add_argument(
        "--apart",
        metavar="TAG",
        help="drawings whose title blocks state another value under this tag are no duplicates, e.g. MATERIAL; or "
        "meta.NAME: a column of an imported table",
    )
    made.add_argument(
        "--mirrored", action="store_true", help="a mirrored drawing is as good; it is said to be mirrored"
    )
    made.add_argument("--rotated", action="store_true", help="a drawing turned by any angle is as good")
    made.add_argument("--only", choices=("exact", "near", "both"), help="only groups of this kind")
    made.add_argument("--decided", action="store_true", help="also the groups that are decided")
    made.add_argument(
        "--keep",
        metavar="RULE",
        help="say which one to keep: newest, oldest, or a pattern of paths such as 'released/*'; nothing is deleted",
    )
