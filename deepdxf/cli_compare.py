"""The command ``compare``: what differs between two drawings, in the terminal and as files."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdxf.console import listed, print_json, print_pairs, shown

if TYPE_CHECKING:
    from deepdxf.compare import Comparison, Difference

Arguments = argparse.Namespace
Command = Callable[[str, Callable[[Arguments], int], str], argparse.ArgumentParser]

SHOWN = 15  # lines of a kind of difference that the terminal shows
ALIKE = 3  # so many differences that are alike share a line


def compare(arguments: Arguments) -> int:
    """What differs between two drawings: added, removed, changed, moved."""
    from deepdxf import encoder, reader
    from deepdxf.compare import compare as compare_drawings
    from deepdxf.files import check_writable

    targets = {name: getattr(arguments, name) for name in WRITERS if getattr(arguments, name)}
    for path in targets.values():
        check_writable(path)
    if "xlsx" in targets:
        from deepdxf.report import need_excel

        need_excel()
    a, b = (reader.read(path, space=arguments.space, xrefs=arguments.xrefs) for path in (arguments.a, arguments.b))
    result = compare_drawings(
        a,
        b,
        tolerance=arguments.tolerance,
        rotation="any" if arguments.rotated else "none",
        mirror=arguments.mirrored,
        scale="any" if arguments.any_size else "units",
        encoder=encoder.load(arguments.encoder),
    )
    names = arguments.a.name, arguments.b.name
    for name, path in targets.items():
        WRITERS[name](path, a, b, result, names)
    if arguments.json:
        document = {"a": str(arguments.a), "b": str(arguments.b), "encoder": arguments.encoder}
        return print_json({**document, **result.to_json()})
    print_summary(result)
    for name, path in targets.items():
        print(shown(f"{name}: {path}"))
    return 0


def print_summary(result: Comparison) -> None:
    """The result in lines: scores, what it is made of, and the dearest differences of each kind."""
    from deepdxf.compare import KINDS

    score = result.similarity
    codes = listed(f"{name} {value:.4f}" for name, value in score.codes.items()) if score else ""
    kinds = []
    for kind in KINDS:
        found = result.of(kind)
        labels = sum(d.label for d in found)
        if found:
            kinds.append(f"{len(found)} {kind}" + (f" ({labels} of them labels)" if labels else ""))
    worst = sorted(result.regions, key=lambda region: -region.share * (1 - region.agreement))[:2]
    print_pairs(
        {
            "similarity": f"{score.overall:.4f} ({codes})" if score else "",
            "agreement": f"{result.agreement:.2%}, with a tolerance of {result.tolerance:.4g} drawing units",
            "notes": "; ".join(result.notes),
            "same": f"{len(result.same)} entities",
            "differences": ", ".join(kinds) or "none",
            "costs": listed(f"{kind} {cost:.2%}" for kind, cost in result.costs.items() if cost > 0),
            "classes": listed(f"{name} {score.agreement:.1%}" for name, score in result.classes.items()),
            "regions": listed(
                f"({region.box[0]:.6g}, {region.box[1]:.6g}) to ({region.box[2]:.6g}, {region.box[3]:.6g}) "
                f"{region.agreement:.1%}"
                for region in worst
                if region.agreement < 1
            ),
        }
    )
    for kind in KINDS:
        lines = lines_of(result.of(kind))
        for line in lines[:SHOWN]:
            print(shown(f"  {kind:<8} {line}"))
        if len(lines) > SHOWN:
            print(f"  {kind:<8} … and {len(lines) - SHOWN} more such lines; --json, --xlsx and --html have all")


def lines_of(differences: Sequence[Difference]) -> list[str]:
    """Differences in lines, the dearest first; `ALIKE` or more that differ in the same way share one."""
    from deepdxf.overlay import change_texts

    groups: dict[tuple[str, ...], list[Difference]] = {}
    for k, d in enumerate(differences):
        groups.setdefault(tuple(change_texts(d)) or (str(k),), []).append(d)
    lines: list[str] = []
    for texts, alike in groups.items():
        if len(alike) < ALIKE:
            lines += map(line_of, alike)
            continue
        classes = listed(f"{n} {name}" for name, n in Counter(d.cls for d in alike).most_common())
        layers = listed(sorted({d.place.layer for d in alike}))
        lines.append(f"{len(alike)} entities ({classes}) on {layers}: {listed(texts)}")
    return lines


def line_of(difference: Difference) -> str:
    """A difference in one line."""
    from deepdxf.overlay import change_texts

    place = difference.place
    x, y = (place.box[0] + place.box[2]) / 2, (place.box[1] + place.box[3]) / 2
    about = [difference.cls, f"#{place.handle}" if place.handle else "", f"at ({x:.6g}, {y:.6g})"]
    about += [f"on {place.layer}", f"in block {place.block}" if place.block else ""]
    about += [f"“{place.text[:40]}”" if place.text else ""]
    changes = listed(change_texts(difference))
    return " ".join(filter(None, about)) + (f": {changes}" if changes else "")


# --- files -----------------------------------------------------------------------------------------------------------


def write_svg(path: Path, a: Any, b: Any, result: Comparison, names: tuple[str, str]) -> None:
    """The overlay as SVG."""
    from deepdxf.files import replacing
    from deepdxf.overlay import overlay_svg

    with replacing(path) as partial:
        partial.write_text(overlay_svg(a, b, result, names=names), encoding="utf-8", newline="\n")


def write_png(path: Path, a: Any, b: Any, result: Comparison, names: tuple[str, str]) -> None:
    """The overlay as PNG."""
    from deepdxf.files import replacing
    from deepdxf.overlay import overlay_svg
    from deepdxf.render import png

    with replacing(path) as partial:
        partial.write_bytes(png(overlay_svg(a, b, result, names=names)))


def write_html(path: Path, a: Any, b: Any, result: Comparison, names: tuple[str, str]) -> None:
    """The page to step through."""
    from deepdxf.overlay import write_page

    write_page(path, a, b, result, names=names)


def write_dxf(path: Path, a: Any, b: Any, result: Comparison, names: tuple[str, str]) -> None:
    """Both drawings over each other, by layers."""
    from deepdxf import overlay

    overlay.write_dxf(path, a, b, result)


def write_xlsx(path: Path, a: Any, b: Any, result: Comparison, names: tuple[str, str]) -> None:
    """The ledger: a sheet with the figures, one with a line a difference."""
    from deepdxf import report

    report.write_xlsx(path, {"summary": summary_rows(result, names), "differences": result.rows()})


def summary_rows(result: Comparison, names: tuple[str, str]) -> list[dict[str, Any]]:
    """Figures of a comparison by name."""
    from deepdxf.compare import KINDS

    facts: dict[str, Any] = {"A": names[0], "B": names[1]}
    if result.similarity:
        facts |= {"similarity": result.similarity.overall}
        facts |= {f"similarity, {name} code": value for name, value in result.similarity.codes.items()}
    facts |= {"agreement": result.agreement, "tolerance in drawing units": result.tolerance}
    facts |= {kind: len(result.of(kind)) for kind in KINDS} | {"same": len(result.same)}
    facts |= {f"cost of {kind}": cost for kind, cost in result.costs.items()}
    facts |= {f"agreement of {name}": score.agreement for name, score in result.classes.items()}
    facts |= {f"note {k}": note for k, note in enumerate(result.notes, 1)}
    return [{"what": name, "value": value} for name, value in facts.items()]


WRITERS: dict[str, Callable[[Path, Any, Any, Comparison, tuple[str, str]], None]] = {
    "svg": write_svg,
    "png": write_png,
    "html": write_html,
    "dxf": write_dxf,
    "xlsx": write_xlsx,
}
FILES = {
    "svg": "both drawings over each other",
    "png": "the same as a picture",
    "html": "a page with zoom and a list of differences to step through",
    "dxf": "both drawings over each other, layers ADDED, REMOVED, CHANGED, MOVED, UNCHANGED",
    "xlsx": "the differences as an Excel table (extra: report)",
}


def add_command(
    command: Command,
    encoder_option: Callable[[argparse.ArgumentParser], None],
    space_option: Callable[[argparse.ArgumentParser], None],
    positive_number: Callable[[str], float],
) -> None:
    """Add ``compare`` to the parser; the options that other commands have too are given."""
    made = command(
        "compare",
        compare,
        "deepdxf compare old.dxf new.dxf\n"
        "deepdxf compare old.dxf new.dxf --html changes.html --xlsx changes.xlsx\n"
        "deepdxf compare old.dxf new.dxf --png overlay.png --tolerance 0.05\n"
        "deepdxf compare left.dxf right.dxf --mirrored --json",
    )
    made.add_argument("a", type=Path, metavar="A", help="a drawing, the old one")
    made.add_argument("b", type=Path, metavar="B", help="another, the new one")
    for name, about in FILES.items():
        made.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write {about}")
    made.add_argument(
        "--tolerance",
        type=positive_number,
        metavar="T",
        help="coordinates that differ by no more are the same, drawing units of B (default: 0.01 mm, within 1e-5 to 1e-4 "
        "of the drawing's size)",
    )
    made.add_argument("--any-size", action="store_true", help="A may have another scale")
    made.add_argument("--mirrored", action="store_true", help="A may be mirrored")
    made.add_argument("--rotated", action="store_true", help="A may be turned, by any angle")
    encoder_option(made)
    space_option(made)
