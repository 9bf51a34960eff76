"""The command ``split``: the parts of a sheet or a nest as files of their own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepdxf.console import complain, listed, print_json, shown
from deepdxf.errors import DeepDXFError

Arguments = argparse.Namespace
TABLE = "parts.csv"


def split(arguments: Arguments) -> int:
    """Take the parts of a sheet or nest apart: a DXF file each, and a table of where they were."""
    from deepdxf.document import document
    from deepdxf.dxfwrite import dxf_bytes
    from deepdxf.files import replacing
    from deepdxf.reader import read
    from deepdxf.report import write_csv
    from deepdxf.split import split as split_drawing

    drawing = read(arguments.file, space=arguments.space, xrefs=arguments.xrefs)
    pieces = split_drawing(drawing, arguments.gap)
    out: Path = arguments.out
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise DeepDXFError(f"the folder {out} is not empty; name a new one with --out")
    except OSError as error:
        raise DeepDXFError(f"cannot write into {out}: {error.strerror or error}; name another with --out") from error
    rows: list[dict[str, Any]] = []
    stem = arguments.file.name.removesuffix(".gz").rsplit(".", 1)[0]
    digits = len(str(len(pieces)))
    for number, piece in enumerate(pieces, 1):
        part = drawing.select(piece.rows)
        name = f"{stem}_{number:0{digits}}.dxf" if piece.kind == "part" or arguments.all else ""
        if name:
            with replacing(out / name) as partial:
                partial.write_bytes(dxf_bytes(document(part)))
        x0, y0, x1, y1 = (round(float(v), 6) + 0.0 for v in piece.box)
        counts = part.class_counts()
        rows.append(
            {
                "no": number, "kind": piece.kind, "file": name, "x0": x0, "y0": y0, "x1": x1, "y1": y1,
                "width": round(x1 - x0, 6), "height": round(y1 - y0, 6), "entities": len(part),
                "classes": " ".join(f"{n} {cls}" for cls, n in counts.items()),
                "layers": ", ".join(sorted({part.layers[k] for k in set(part.layer.tolist())})),
            }
        )  # fmt: skip
    write_csv(out / TABLE, rows)
    if arguments.json:
        read_as = {"status": drawing.status, "problems": [asdict(problem) for problem in drawing.problems]}
        return print_json({"file": str(arguments.file), **read_as, "out": str(out), "pieces": rows})
    if drawing.status in ("partial", "too large"):  # the parts would be taken for all that the sheet has
        for problem in drawing.problems:
            complain(drawing.status, str(arguments.file), f"{problem.message} ({problem.count})")
    for row in rows:
        where = f"({row['x0']:g}, {row['y0']:g}) to ({row['x1']:g}, {row['y1']:g})"
        print(
            shown(
                f"{row['kind']:<11} {where}, {row['entities']} entities" + (f": {row['file']}" if row["file"] else "")
            )
        )
    kinds = {kind: sum(row["kind"] == kind for row in rows) for kind in dict.fromkeys(row["kind"] for row in rows)}
    found = listed(f"{count} {kind}" + ("s" if count != 1 else "") for kind, count in kinds.items())
    print(shown(f"{found or 'nothing is drawn'}; files and {TABLE} in {out}"))
    return 0


def add_command(
    command: Callable[[str, Callable[[Arguments], int], str], argparse.ArgumentParser],
    space_option: Callable[[argparse.ArgumentParser], None],
    positive_number: Callable[[str], float],
) -> None:
    """Add ``split`` to the parser; the options that other commands have too are given."""
    made = command(
        "split",
        split,
        "deepdxf split sheet.dxf --out parts\ndeepdxf split nest.dxf --out parts --gap 2",
    )
    made.add_argument("file", type=Path, metavar="FILE", help="the sheet or nest; it is only read")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    made.add_argument(
        "--gap",
        type=positive_number,
        metavar="G",
        help="what lies closer together is one part, drawing units (default: 1 %% of the drawing's longer side)",
    )
    made.add_argument("--all", action="store_true", help="write frames, title blocks and notes too")
    space_option(made)
