"""Learn the whitening of the descriptor's grids that the package ships, and measure how little it matters from where.

    python experiments/grid_whitening.py CORPUS [--judgements MORE.csv] --out experiments/results/grid_whitening.json

CORPUS holds drawings/, groups.csv, judgements.csv and manifest.csv. Writes deepdxf/data/grid_whitening.npz: a mean and a
projection of grids of 8 × 8 cells; nothing of a drawing can be read out of it. Table: mAP of the whole descriptor over the
queries of either half of the sources, with the whitening learned on one half, on all sources, and without one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from descriptor import normal, read_all  # the script beside this one

from deepdxf.descriptor import GRID_KEPT, GRIDS, PARTS, Descriptor, save_whitenings, unit
from deepdxf.drawing import BoolArray, FloatArray
from deepdxf.evaluate import evaluate, rank
from deepdxf.groups import load_groups
from deepdxf.whitening import Whitening, fit


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--judgements", type=Path, help="instead of those of the corpus")
    parser.add_argument("--ship", type=Path, default=Path("deepdxf/data/grid_whitening.npz"))
    parser.add_argument("--out", type=Path, default=Path("experiments/results/grid_whitening.json"))
    args = parser.parse_args(argv)
    protocol = load_groups(args.corpus / "groups.csv", args.judgements)
    files, drawings = read_all(args.corpus / "drawings")
    plain = Descriptor(whitenings={})
    parts: dict[str, list[FloatArray]] = {part.name: [] for part in PARTS}
    for drawing, width in ((d, dict(zip(parts, plain.dims, strict=True))) for d in drawings):
        found = plain.parts(drawing)
        for name, rows in parts.items():
            rows.append(unit(found[name]) if found else np.zeros(width[name]))
    vectors = {name: np.array(rows) for name, rows in parts.items()}

    sources = np.array([protocol.source(file) for file in files])
    _, number, count = np.unique(sources, return_inverse=True, return_counts=True)
    weight = 1.0 / np.sqrt(count[number])  # a source with many drawings does not decide alone
    names = sorted(set(sources))
    half = np.isin(sources, np.random.default_rng(0).permutation(names)[: len(names) // 2])

    def learned(rows: BoolArray) -> dict[str, Whitening]:
        return {name: fit(vectors[name][rows], GRID_KEPT, weight[rows]) for name in GRIDS}

    def row(whitenings: Mapping[str, Whitening]) -> list[float]:
        seen = {n: whitenings[n](v) * v.any(axis=1)[:, None] if n in whitenings else v for n, v in vectors.items()}
        whole = normal(np.hstack([np.sqrt(part.weight) * normal(seen[part.name]) for part in PARTS]))
        result = evaluate(rank(files, whole.astype(np.float32), protocol.files), protocol)
        inside = np.isin([query.file for query in result.queries], np.array(files)[half])
        values = result.values[:, 0]
        return [float(values.mean()), float(values[inside].mean()), float(values[~inside].mean())]

    shipped = learned(np.ones(len(files), bool))
    results = {
        "none": row({}),
        "all sources (shipped)": row(shipped),
        "first half of the sources": row(learned(half)),
        "second half of the sources": row(learned(~half)),
    }
    print(
        "| whitening learned on | mAP | queries of the first half | queries of the second half |\n|---|---:|---:|---:|"
    )
    for name, values in results.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")
    save_whitenings(args.ship, shipped)
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8", newline="\n")
    print(f"{args.ship}: {args.ship.stat().st_size} bytes")


if __name__ == "__main__":
    main()
