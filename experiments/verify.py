"""What verification gives: figures by depth and weight, and the time of a query.

    deepdxf index CORPUS/drawings --archive ARCHIVE --no-thumbnails
    python experiments/verify.py CORPUS ARCHIVE --out experiments/results/verify.json

CORPUS holds drawings/, groups.csv, judgements.csv and manifest.csv. Every table stands twice: by the corpus's protocol, and
with further judged pairs (experiments/judgements.csv), which take right answers that no group names out of the wrong ones.
95 % intervals: over queries.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepdxf import verify
from deepdxf.archive import Archive
from deepdxf.encoder import Switches
from deepdxf.evaluate import METRICS, Evaluation, Rankings, bootstrap, evaluate, rank
from deepdxf.groups import Protocol, load_groups

DEPTHS = (20, 60, 100)
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5)
TIMED = 40  # queries


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("archive")
    parser.add_argument("--judgements", type=Path, default=Path(__file__).with_name("judgements.csv"))
    parser.add_argument("--out", type=Path, default=Path("experiments/results/verify.json"))
    parser.add_argument("--workers", type=int)
    args = parser.parse_args(argv)
    archive = Archive.open(args.archive)
    name_of = {row["id"]: row["path"] for row in archive.records(columns=["path"])}  # as in the groups
    ids, vectors = archive.vectors()
    ids = ids.tolist()
    files = [name_of[id] for id in ids]
    pens = archive.sketches(ids)
    packed = {file: verify.pack(pen) for file, pen in zip(files, pens, strict=True) if pen is not None}
    protocols = {
        "corpus": load_groups(args.corpus / "groups.csv"),
        "further judgements": further(args.corpus, args.judgements),
    }
    rankings = rank(files, vectors, protocols["corpus"].files)
    overlaps = verify.ranking_overlaps(rankings, packed, Switches(), max(DEPTHS), workers=args.workers, quiet=False)

    results: dict[str, object] = {"drawings": len(files), "encoder": archive.encoder_id}
    for name, protocol in protocols.items():
        print(
            f"\n{name}\n\n| depth | weight | mAP | P@1 | mean of sources | gain in mAP |\n|---:|---:|---|---|---|---|"
        )
        bare = evaluate(rankings, protocol)
        table = {"none": row("–", "–", bare, bare)}
        for depth in DEPTHS:
            known = {query: shares[:depth] for query, shares in overlaps.items()}
            for weight in WEIGHTS:
                verified = weighted(rankings, known, weight)
                table[f"{depth}, {weight}"] = row(str(depth), str(weight), evaluate(verified, protocol), bare)
        results[name] = table
    results["milliseconds a query"] = timed(archive, [i for i in ids if name_of[i] in rankings.hits])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8", newline="\n")


def further(corpus: Path, judgements: Path) -> Protocol:
    """The protocol with the pairs of both files."""
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder, "judgements.csv")
        first, second = (path.read_text(encoding="utf-8-sig") for path in (corpus / "judgements.csv", judgements))
        both.write_text(first.rstrip("\n") + "\n" + second.split("\n", 1)[1], encoding="utf-8")
        return load_groups(corpus / "groups.csv", both)


def weighted(rankings: Rankings, overlaps: dict[str, verify.FloatArray], weight: float) -> Rankings:
    """The rankings verified with another weight."""
    usual, verify.WEIGHT = verify.WEIGHT, weight
    try:
        return verify.verified(rankings, overlaps)
    finally:
        verify.WEIGHT = usual


def row(depth: str, weight: str, evaluation: Evaluation, bare: Evaluation) -> dict[str, object]:
    """Print a line of the table; its figures. The gain is that of each query, so its interval is a narrow one."""
    metrics = evaluation.to_json()["metrics"]
    gains = (evaluation.values - bare.values)[:, [METRICS.index("mAP")]]
    low, high = bootstrap(gains, np.arange(len(gains)))[0].tolist()
    gain = {"mean": float(gains.mean()), "interval": [low, high]}
    shown = [
        figure(metrics["mAP"], "mean", "interval"),
        figure(metrics["P@1"], "mean", "interval"),
        figure(metrics["mAP"], "mean_of_sources", "mean_of_sources_interval"),
        figure(gain, "mean", "interval"),
    ]
    print(f"| {depth} | {weight} | {' | '.join(shown)} |", flush=True)
    return {"mAP": metrics["mAP"], "P@1": metrics["P@1"], "gain in mAP": gain}


def figure(metric: dict[str, object], mean: str, interval: str) -> str:
    low, high = metric[interval]
    return f"{metric[mean]:.3f} ({low:.3f}–{high:.3f})"


def timed(archive: Archive, ids: Sequence[str]) -> dict[str, object]:
    """Median and 90th percentile of searches for the ten best, by switches, in one process."""
    chosen = np.random.default_rng(0).choice(ids, TIMED, replace=False).tolist()
    pens, vectors = archive.sketches(chosen), [archive.vector(id) for id in chosen]
    searches: dict[str, Switches | None] = {
        "not verified": None,
        "verified": Switches(),
        "verified, mirrored and rotated": Switches(mirror=True, rotation=True),
        "verified, any size": Switches(size=False),
        "verified, any size, mirrored and rotated": Switches(False, True, True),
    }
    result: dict[str, object] = {}
    print("\n| search | median ms | 90 % ms |\n|---|---:|---:|")
    for name, switches in searches.items():
        spent = []
        for pen, vector in zip(pens, vectors, strict=True):
            how = None if switches is None else verify.Verification(pen, switches)
            start = time.perf_counter()
            archive.search(vector, verification=how)
            spent.append(1000.0 * (time.perf_counter() - start))
        result[name] = {"median": round(float(np.median(spent)), 2), "p90": round(float(np.percentile(spent, 90)), 2)}
        print(f"| {name} | {np.median(spent):.1f} | {np.percentile(spent, 90):.1f} |", flush=True)
    return result


if __name__ == "__main__":
    main()
