"""What each part of the descriptor gives, and how much it matters where its token frequencies were learned.

    python experiments/descriptor.py CORPUS --out experiments/results/descriptor.json

CORPUS holds drawings/, groups.csv, judgements.csv and manifest.csv. Every row of the first table is a search with one part
alone, and with all but that part; the second table learns the frequencies on one half of the sources and evaluates on the
other half. 95 % intervals: over queries.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepdxf.descriptor import BAGS, PARTS, Descriptor, bags, fold, learn_frequencies, strokes, unit
from deepdxf.drawing import Drawing, FloatArray
from deepdxf.encoder import Vectors
from deepdxf.errors import ReadError
from deepdxf.evaluate import Evaluation, evaluate, rank
from deepdxf.groups import Protocol, load_groups
from deepdxf.reader import read


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, default=Path("experiments/results/descriptor.json"))
    args = parser.parse_args(argv)
    protocol = load_groups(args.corpus / "groups.csv")
    files, drawings = read_all(args.corpus / "drawings")
    parts = part_vectors(drawings, Descriptor().frequencies)

    def measured(chosen: dict[str, Vectors]) -> Evaluation:
        vectors = np.hstack([np.sqrt(part.weight) * chosen[part.name] for part in PARTS if part.name in chosen])
        return evaluate(rank(files, normal(vectors), protocol.files), protocol)

    whole = measured(parts)
    results: dict[str, object] = {"drawings": len(files), "all": figures(whole)}
    print("| part | length | mAP alone | mean of sources alone | mAP without | mean of sources without |")
    print("|---|---:|---:|---:|---:|---:|")
    for part, dim in zip(PARTS, Descriptor().dims, strict=True):
        alone = measured({part.name: parts[part.name]})
        without = measured({name: vectors for name, vectors in parts.items() if name != part.name})
        results[part.name] = {"alone": figures(alone), "without": figures(without)}
        cells = [short(alone, False), short(alone, True), short(without, False), short(without, True)]
        print(f"| {part.name} | {dim} | {' | '.join(cells)} |")
    print(f"| **all** | {sum(Descriptor().dims)} | **{short(whole, False)}** | **{short(whole, True)}** | | |")
    results["frequencies"] = frequencies_table(protocol, files, drawings, parts, measured)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8", newline="\n")


def frequencies_table(
    protocol: Protocol, files: list[str], drawings: list[Drawing], parts, measured
) -> dict[str, object]:
    """mAP over the queries of each half of the sources, with frequencies from elsewhere."""
    sources = sorted({protocol.source(file) for file in files})
    half = set(np.random.default_rng(0).permutation(sources)[: len(sources) // 2].tolist())
    tables = {
        "shipped (all sources)": None,
        "first half of the sources": [d for f, d in zip(files, drawings, strict=True) if protocol.source(f) in half],
        "second half of the sources": [
            d for f, d in zip(files, drawings, strict=True) if protocol.source(f) not in half
        ],
        "none (all tokens weigh the same)": [],
    }
    results = {}
    print("\n| frequencies learned on | mAP | mAP, queries of the first half | mAP, queries of the second half |")
    print("|---|---:|---:|---:|")
    for name, learned_on in tables.items():
        vectors = parts
        if learned_on is not None:
            table = (
                learn_frequencies(learned_on) if learned_on else np.ones((len(BAGS), Descriptor().frequencies.shape[1]))
            )
            vectors = parts | bag_vectors(drawings, table)
        evaluation = measured(vectors)
        by_source = evaluation.parts("source")
        row = [evaluation.mean("mAP")]
        for inside in (True, False):
            chosen = [(n, m["mAP"]) for source, (n, m) in by_source.items() if (source in half) == inside]
            row.append(sum(n * value for n, value in chosen) / sum(n for n, _ in chosen))
        results[name] = row
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in row)} |")
    return results


def read_all(folder: Path) -> tuple[list[str], list[Drawing]]:
    """Names and drawings of all files that can be read, by name."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                found[path.relative_to(folder).as_posix()] = read(path)
            except ReadError as error:
                print(error)
    return sorted(found), [found[file] for file in sorted(found)]


def part_vectors(drawings: list[Drawing], frequencies: FloatArray) -> dict[str, Vectors]:
    """(n, dim) unit vectors by part."""
    encoder = Descriptor(frequencies)
    all_parts = [encoder.parts(drawing) for drawing in drawings]
    return {
        part.name: np.array([unit(p[part.name]) if p else np.zeros(part.dim) for p in all_parts], np.float32)
        for part in PARTS
    }


def bag_vectors(drawings: list[Drawing], frequencies: FloatArray) -> dict[str, Vectors]:
    """The bags alone, with other frequencies."""
    dim = {part.name: part.dim for part in PARTS}
    rows: dict[str, list[FloatArray]] = {name: [] for name in BAGS}
    for drawing in drawings:
        for weight, (name, tokens) in zip(frequencies, bags(drawing, strokes(drawing)).items(), strict=True):
            rows[name].append(unit(fold(tokens, weight, dim[name])))
    return {name: np.array(vectors, np.float32) for name, vectors in rows.items()}


def normal(vectors: Vectors) -> Vectors:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def figures(evaluation: Evaluation) -> object:
    return evaluation.to_json()["metrics"]["mAP"]


def short(evaluation: Evaluation, sources: bool) -> str:
    mean_ap = evaluation.to_json()["metrics"]["mAP"]
    mean, interval = ("mean_of_sources", "mean_of_sources_interval") if sources else ("mean", "interval")
    low, high = mean_ap[interval]
    return f"{mean_ap[mean]:.3f} ({low:.3f}–{high:.3f})"


if __name__ == "__main__":
    main()
