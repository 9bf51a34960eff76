"""Retrieval figures of several encoders on a corpus with groups, side by side.

    python experiments/peers.py CORPUS --encoders histogram raster phash sscd --out experiments/results/peers.json

CORPUS holds drawings/ and groups.csv, and judgements.csv and manifest.csv where there are any. Prints a table with 95 %
bootstrap intervals (over queries, over groups) and writes all figures, with the full report of each encoder, as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepdxf.drawing import Drawing
from deepdxf.encoder import ENCODERS, Encoder, load
from deepdxf.errors import DeepDXFError, ReadError
from deepdxf.evaluate import evaluate, rank
from deepdxf.files import without_path
from deepdxf.groups import load_groups
from deepdxf.reader import read

CHUNK = 32  # drawings in memory at once


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), metavar="NAME")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    try:
        run(args.corpus, args.encoders, args.out)
    except DeepDXFError as error:
        sys.exit(str(error))


def run(corpus: Path, names: Sequence[str], out: Path) -> None:
    """Encode all drawings once per encoder, evaluate, print the table, write the JSON."""
    protocol = load_groups(corpus / "groups.csv")
    encoders = {name: load(name) for name in names}
    root = corpus / "drawings"
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    files, sizes, vectors, seconds, failed = encode_all(root, paths, encoders)
    reports = {}
    print(f"{len(files)} drawings read, {len(failed)} not; 95 % intervals: over queries, over groups")
    print("| encoder | dim | ms a drawing | mAP | P@1 | mean of the sources' mAP |")
    print("|---|---|---|---|---|---|")
    for name, encoder in encoders.items():
        milliseconds = 1000 * seconds[name] / len(files)
        report = evaluate(rank(files, vectors[name], protocol.files), protocol, sizes).to_json()
        reports[name] = {"id": encoder.id, "milliseconds": round(milliseconds, 2), **report}
        mean_ap, first = report["metrics"]["mAP"], report["metrics"]["P@1"]
        cells = [
            figure(mean_ap["mean"], mean_ap["interval"], mean_ap["interval_by_group"]),
            figure(first["mean"], first["interval"], first["interval_by_group"]),
            figure(mean_ap["mean_of_sources"], mean_ap["mean_of_sources_interval"]),
        ]
        print(f"| {name} | {encoder.dim} | {milliseconds:.1f} | {' | '.join(cells)} |")
    result = {"drawings": len(files), "not_read": failed, "encoders": reports}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def figure(mean: float, *intervals: Sequence[float]) -> str:
    """A figure and its intervals, as in "0.652 (0.631–0.672, 0.601–0.700)"."""
    return f"{mean:.3f} ({', '.join(f'{low:.3f}–{high:.3f}' for low, high in intervals)})"


def encode_all(
    root: Path, paths: Sequence[Path], encoders: dict[str, Encoder]
) -> tuple[list[str], dict[str, int], dict[str, np.ndarray], dict[str, float], dict[str, str]]:
    """Names, entity counts, vectors and seconds by encoder, and the reason for each file that was not read."""
    files: list[str] = []
    sizes: dict[str, int] = {}
    failed: dict[str, str] = {}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in encoders}
    seconds = dict.fromkeys(encoders, 0.0)
    for begin in range(0, len(paths), CHUNK):
        drawings: list[Drawing] = []
        for path in paths[begin : begin + CHUNK]:
            file = path.relative_to(root).as_posix()
            try:
                drawing = read(path)
            except ReadError as error:
                failed[file] = without_path(str(error), str(path))
                continue
            files.append(file)
            sizes[file] = len(drawing)
            drawings.append(drawing)
        for name, encoder in encoders.items():
            start = time.perf_counter()
            parts[name].append(encoder.encode(drawings))
            seconds[name] += time.perf_counter() - start
        print(f"\r{begin + CHUNK} of {len(paths)} files", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return files, sizes, {name: np.concatenate(part) for name, part in parts.items()}, seconds, failed


if __name__ == "__main__":
    main()
