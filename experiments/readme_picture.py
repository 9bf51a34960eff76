"""The picture of the README: a generated drawing and what a search for it finds, as one SVG or PNG file.

    python experiments/readme_picture.py docs/search.svg

The archive is generated (`deepdxf.synth`), so that the picture may be published; the same arguments give the same file.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from deepdxf import encoder, reader, render, synth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="file to write, .svg or .png")
    parser.add_argument("--drawings", type=int, default=300, help="size of the generated archive (default 300)")
    parser.add_argument("--seed", type=int, default=2, help="seed of the archive (default 2)")
    parser.add_argument(
        "--query", type=int, default=0, help="number of the query among the archive's files (default 0)"
    )
    parser.add_argument("-k", type=int, default=5, help="hits to show (default 5)")
    parser.add_argument("--encoder", default="descriptor", help="encoder (default descriptor)")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        synth.generate(Path(folder) / "archive", arguments.drawings, arguments.seed)
        files = sorted((Path(folder) / "archive").rglob("*.dxf"))
        drawings = [reader.read(file) for file in files]
    search = encoder.load(arguments.encoder)
    query = drawings[arguments.query]
    scores = (search.encode(drawings) @ search.query(query, encoder.Switches()).T).max(axis=1)
    scores[arguments.query] = -np.inf
    best = np.argsort(-scores, kind="stable")[: arguments.k]
    svg = render.hits_picture(
        (files[arguments.query].name, query), [(files[i].name, drawings[i], float(scores[i])) for i in best]
    )
    if arguments.out.suffix.lower() == ".png":
        arguments.out.write_bytes(render.png(svg))
    else:
        arguments.out.write_text(svg, encoding="utf-8", newline="\n")
    print(f"{arguments.out}: {files[arguments.query].name} and {len(best)} hits among {len(files)} drawings")


if __name__ == "__main__":
    main()
