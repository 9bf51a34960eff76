"""Learn the token frequencies that the descriptor ships: inverse document frequencies of hashed tokens.

    python experiments/frequencies.py FOLDER [--out deepdxf/data/token_frequencies.npz]

The table holds one byte for each bucket of hashed, rounded stroke sizes; nothing of a drawing can be read out of it.
How little it matters where it was learned is measured by ``experiments/descriptor.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from deepdxf.descriptor import learn_frequencies, save_frequencies
from deepdxf.errors import ReadError
from deepdxf.reader import read


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("deepdxf/data/token_frequencies.npz"))
    args = parser.parse_args(argv)
    drawings = []
    for path in sorted(path for path in args.folder.rglob("*") if path.is_file()):
        try:
            drawings.append(read(path))
        except ReadError as error:
            print(error)
    save_frequencies(args.out, learn_frequencies(drawings))
    print(f"{len(drawings)} drawings, {args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
