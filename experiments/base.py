"""The shipped model on sources that it never saw, beside everything that it has to beat.

    python experiments/base.py CORPUS --run RUN [--judgements ALL.csv] --out experiments/results/base.json

CORPUS holds drawings/, groups.csv, judgements.csv and manifest.csv; RUN is the folder of the training run, on the sources
"trained_on" of base_sources.json. Searched are all drawings of the corpus, queries are those of the other sources. Rows:
the descriptor, each code of the model alone and all together (trained, and with the weights that training began with), the
image network where its vectors are given, and the fusion of descriptor and model, with and without verification; 95 %
intervals over queries. The second table: shares of the model in the fusion. Both once more with other judgements, where
they are given, and for the question after the same sort of thing: queries are members of families, right is the family.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepdxf import config as configuration
from deepdxf import train
from deepdxf.background import Background
from deepdxf.checkpoint import read_manifest, save_model
from deepdxf.embed import Embedded, embed_files
from deepdxf.encoder import Switches, Vectors
from deepdxf.evaluate import Evaluation, evaluate, rank
from deepdxf.fusion import LEARNED_SHARE
from deepdxf.groups import FAMILY, Protocol, load_groups
from deepdxf.verify import ranking_overlaps, verified

SHARES = (0.1, 0.2, 0.3, 0.5)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--judgements", type=Path, help="to count by as well as by those of the corpus")
    parser.add_argument("--image-network", type=Path, help="its vectors as `deepdxf embed --encoder sscd` writes them")
    parser.add_argument("--out", type=Path, default=Path("experiments/results/base.json"))
    args = parser.parse_args(argv)
    protocols = {"corpus": questions(args.corpus, None)}
    if args.judgements:
        protocols["further judgements"] = questions(args.corpus, args.judgements)
    protocols["families"] = questions(args.corpus, args.judgements, (FAMILY,))
    drawings = [args.corpus / "drawings"]

    found = embed_files(drawings, "descriptor", sketches=True)
    vectors = {"descriptor": found.vectors}
    with tempfile.TemporaryDirectory() as folder:
        untrained = untrained_model(args.run, Path(folder))
        for name, model in (("untrained", untrained), ("trained", args.run / train.MODEL_FOLDER)):
            vectors[f"{name} model"] = embed_files(drawings, str(model)).vectors
            for code, (begin, end) in read_manifest(model).codes.items():
                vectors[f"{name} {code}"] = normal(vectors[f"{name} model"][:, begin:end])
    if args.image_network:
        with np.load(args.image_network) as file:
            at = {str(name): number for number, name in enumerate(file["files"])}
            vectors["image network"] = file["vectors"][[at[name] for name in found.files]]
        vectors["descriptor + image network"] = joined(vectors["descriptor"], vectors["image network"], 0.3)
    vectors["fusion, untrained"] = joined(vectors["descriptor"], vectors["untrained model"], LEARNED_SHARE)
    vectors["fusion"] = joined(vectors["descriptor"], vectors["trained model"], LEARNED_SHARE)

    results = {name: tables(name, protocol, found, vectors) for name, protocol in protocols.items()}
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8", newline="\n")


def questions(corpus: Path, judgements: Path | None, kinds: Sequence[str] | None = None) -> Protocol:
    """The queries of the sources that the model has not seen."""
    everything = load_groups(corpus / "groups.csv", judgements, kinds=kinds)
    test = set(json.loads(Path(__file__).with_name("base_sources.json").read_text())["test"])
    return replace(everything, queries=tuple(q for q in everything.queries if everything.source(q.file) in test))


def tables(title: str, protocol: Protocol, found: Embedded, vectors: dict[str, Vectors]) -> dict[str, object]:
    """Print both tables; their figures."""
    results: dict[str, object] = {}
    print(f"\n{title}: {len(protocol.queries)} queries of sources that the model has not seen")
    print("| encoder | mAP | P@1 | mean of the sources' mAP |\n|---|---:|---:|---:|")
    for name, of in vectors.items():
        ranking = rank(found.files, of, protocol.files)
        results[name] = row(name, evaluate(ranking, protocol))
        if name in ("descriptor", "fusion"):
            overlaps = ranking_overlaps(ranking, found.sketches, Switches())
            verified_row = f"{name}, first hits verified"
            results[verified_row] = row(verified_row, evaluate(verified(ranking, overlaps), protocol))
    print("\n| share of the model | mAP | mean of the sources' mAP |\n|---|---:|---:|")
    for share in SHARES:
        of = joined(vectors["descriptor"], vectors["trained model"], share)
        result = evaluate(rank(found.files, of, protocol.files), protocol)
        results[f"share {share}"] = result.to_json()["metrics"]["mAP"]
        print(f"| {share} | {result.mean('mAP'):.3f} | {result.mean_of_sources('mAP'):.3f} |")
    return results


def untrained_model(run: Path, folder: Path) -> Path:
    """The model that the run began with, whitened like the trained one, as a folder."""
    config = configuration.load(run / train.CONFIG)
    store, protocol = train.prepared(config, run)
    data = train.part(store, protocol, config)
    background = Background.of(store, data.train, config.encoder, config.seed)
    model = train.untrained(config, background)
    background.whiten(model)
    save_model(model, folder / "untrained", name="untrained")
    return folder / "untrained"


def joined(a: Vectors, b: Vectors, share: float) -> Vectors:
    """Vectors side by side; ``share`` of the score is that of ``b``."""
    return np.hstack([np.sqrt(1.0 - share) * a, np.sqrt(share) * b]).astype(np.float32)


def normal(vectors: Vectors) -> Vectors:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def row(name: str, result: Evaluation) -> dict[str, object]:
    """Print a line; the figures of the measures."""
    metrics = result.to_json()["metrics"]
    mean_ap, first = metrics["mAP"], metrics["P@1"]

    def cell(mean: float, interval: Sequence[float]) -> str:
        return f"{mean:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"

    cells = [cell(mean_ap["mean"], mean_ap["interval"]), cell(first["mean"], first["interval"])]
    cells.append(cell(mean_ap["mean_of_sources"], mean_ap["mean_of_sources_interval"]))
    print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return {measure: metrics[measure] for measure in ("mAP", "P@1", "MRR", "Recall@10", "nDCG@10")}


if __name__ == "__main__":
    main()
