"""How much dirt real drawings have, and what cleaning does to retrieval by the descriptor's vectors.

    python experiments/clean.py CORPUS

CORPUS holds drawings/, groups.csv, judgements.csv and manifest.csv. Prints entities and files by kind of dirt, then figures
without and with cleaning; the interval of the difference (95 %) is over queries.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepdxf.clean import find
from deepdxf.descriptor import Descriptor
from deepdxf.embed import for_each_file
from deepdxf.encoder import Vectors
from deepdxf.evaluate import METRICS, bootstrap, evaluate, rank
from deepdxf.groups import load_groups
from deepdxf.reader import read

ENCODER = Descriptor()


def measure(item: tuple[str, str]) -> tuple[dict[str, int], Vectors, Vectors]:
    """Dirt of a file, its vector without and with cleaning."""
    drawing = read(item[0])
    return find(drawing).counts, ENCODER._vector(drawing).astype(np.float32), ENCODER.encode([drawing])[0]


def main(argv: Sequence[str] | None = None) -> None:
    """Read, count, evaluate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    args = parser.parse_args(argv)
    done, _ = for_each_file([args.corpus / "drawings"], measure, "measuring", quiet=False)
    entities: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for counts, _, _ in done.values():
        entities.update(counts)
        files.update(counts.keys())
    print(f"{sum(bool(counts) for counts, _, _ in done.values())} of {len(done)} drawings have dirt")
    for kind, count in entities.most_common():
        print(f"{kind}: {count} in {files[kind]} files")
    protocol = load_groups(args.corpus / "groups.csv")
    found = []
    for k, how in ((1, "without"), (2, "with")):
        vectors = np.array([row[k] for row in done.values()], np.float32)
        found.append(evaluate(rank(list(done), vectors, protocol.files), protocol))
        metrics = found[-1].to_json()["metrics"]
        mean, sources = metrics["mAP"]["mean"], metrics["mAP"]["mean_of_sources"]
        print(
            f"{how} cleaning: mAP {mean:.4f}, P@1 {metrics['P@1']['mean']:.4f}, mean of the sources' mAP {sources:.4f}"
        )
    gains = (found[1].values - found[0].values)[:, [METRICS.index("mAP")]]
    low, high = bootstrap(gains, np.arange(len(gains)))[0].tolist()
    print(f"difference in mAP {gains.mean():.4f} ({low:.4f} to {high:.4f})")


if __name__ == "__main__":
    main()
