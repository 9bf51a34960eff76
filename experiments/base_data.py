r"""The drawings that the shipped model is trained on: part of the corpus, and generated families.

    python experiments/base_data.py CORPUS OUT
    deepdxf train base "data.drawings=[OUT/drawings]" data.groups=OUT/groups.csv data.synthetic=0 data.test=0 \
        data.validation=0.1 data.by_source=false --out RUN

CORPUS holds drawings/, groups.csv and manifest.csv. OUT gets links to (or copies of) the drawings of the sources
"trained_on" of base_sources.json, generated drawings, and groups.csv and manifest.csv of both. Drawings of more than
`MOST_ROWS` rows are left out: few, and they would cost most of the time.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from deepdxf.errors import DeepDXFError
from deepdxf.groups import load_groups
from deepdxf.reader import read
from deepdxf.sequence import rich
from deepdxf.synth import generate

MOST_ROWS = 500
GENERATED, SEED = 1200, 77
SYNTHETIC = "synthetic__synthetic"  # folder of the generated drawings, a source of its own


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(argv)
    protocol = load_groups(args.corpus / "groups.csv")
    sources = set(json.loads(Path(__file__).with_name("base_sources.json").read_text())["trained_on"])
    real = [args.corpus / "drawings" / name for name in sorted(protocol.sources) if protocol.source(name) in sources]
    generated = args.out / "generated"
    generate(generated, GENERATED, SEED)
    made = sorted(generated.rglob("*.dxf"))
    placed = {}
    with ProcessPoolExecutor() as pool:
        for path, fits in zip([*real, *made], pool.map(short, [*real, *made], chunksize=32), strict=True):
            if fits:
                is_made = path.is_relative_to(generated)
                inside = (
                    SYNTHETIC / path.relative_to(generated) if is_made else path.relative_to(args.corpus / "drawings")
                )
                placed[inside.as_posix()] = path
    for name, path in placed.items():
        target = args.out / "drawings" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:  # another disk, or none of the links
            shutil.copyfile(path, target)
    write(args.out / "groups.csv", members(args.corpus / "groups.csv", generated / "groups.csv"), placed)
    write(args.out / "manifest.csv", rows(args.corpus / "manifest.csv"), placed)
    print(f"{sum(not name.startswith(SYNTHETIC) for name in placed)} real drawings, {len(placed)} in all")


def short(path: Path) -> bool:
    """Has the drawing rows, and no more than are trained on."""
    try:
        return 0 < len(rich(read(path), MOST_ROWS + 1).cls) <= MOST_ROWS
    except DeepDXFError:
        return False


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def members(real: Path, generated: Path) -> list[dict[str, str]]:
    """Rows of both group files, under names that do not meet."""
    return rows(real) + [
        row | {"file": f"{SYNTHETIC}/{row['file']}", "group_id": f"synthetic-{row['group_id']}"}
        for row in rows(generated)
    ]


def write(path: Path, content: Sequence[dict[str, str]], placed: dict[str, Path]) -> None:
    """The rows of files that are there, with the columns of the first row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(content[0]), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in content if row["file"] in placed)


if __name__ == "__main__":
    main()
