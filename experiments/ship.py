"""Put a trained model into the package: its folder, its card, its settings and the log of its training.

    python -m experiments.ship CORPUS --run RUN [--results experiments/results/base.json]

RUN is the folder of `deepdxf train base` on what base_data.py laid out; the results are those of base.py. What depends on
the machine that trained (folders of drawings) is left out of the settings.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepdxf import config as configuration
from deepdxf import train
from deepdxf.checkpoint import CARD, CONFIG, load_model, read_manifest, save_model
from deepdxf.learned import BASE
from experiments.base_data import GENERATED, MOST_ROWS, SEED

LOG = Path("experiments/results/base_training.csv")
SHOWN = (
    "descriptor", "untrained model", "trained model", "trained sequence", "trained geometry", "trained raster",
    "image network", "descriptor + image network", "fusion, untrained", "fusion", "fusion, first hits verified",
    "descriptor, first hits verified",
)  # fmt: skip

ASKED = {
    "corpus": "Asked for revisions and variants, by the corpus's judgements:",
    "further judgements": "The same by further judgements:",
    "families": "Asked for the same sort of thing, that is for the other members of a family:",
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--results", type=Path, default=Path("experiments/results/base.json"))
    args = parser.parse_args(argv)
    config = configuration.load(args.run / train.CONFIG)
    report = json.loads((args.run / train.EVALUATION).read_text())
    results = json.loads(args.results.read_text())
    save_model(load_model(args.run / train.MODEL_FOLDER), BASE, name="base", half=True)
    (BASE / CARD).write_text(card(config, report, results, licences(args.corpus)), encoding="utf-8", newline="\n")
    data = replace(config.data, drawings=(), groups=None, store=None)
    (BASE / train.CONFIG).write_text(configuration.to_yaml(replace(config, data=data)), encoding="utf-8", newline="\n")
    shutil.copyfile(args.run / "metrics.csv", LOG)
    for path in sorted(BASE.iterdir()):
        print(f"{path.name:22}{path.stat().st_size / 1e6:6.1f} MB")


def licences(corpus: Path) -> dict[str, list[str]]:
    """Repositories that were trained on, by licence."""
    trained_on = json.loads(Path(__file__).with_name("base_sources.json").read_text())["trained_on"]
    with (corpus / "sources.csv").open(encoding="utf-8", newline="") as file:
        licence = {row["repository"]: row["licence"] for row in csv.DictReader(file)}
    found: dict[str, list[str]] = {}
    for source in trained_on:
        found.setdefault(licence.get(source, "not stated"), []).append(source)
    return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))


def card(
    config: configuration.TrainConfig,
    report: Mapping[str, Any],
    results: Mapping[str, Any],
    sources: dict[str, list[str]],
) -> str:
    """The card, for people."""
    manifest = read_manifest(BASE)
    count = Counter({licence: len(names) for licence, names in sources.items()})
    terms = ", ".join(f"{name} ({term.objective}, weight {term.weight:g})" for name, term in config.terms.items())
    lines = [
        "# The model `base` of DeepDXF",
        "",
        f"Id: `{manifest.id}`. Vectors of {manifest.dim} numbers: {', '.join(manifest.codes)}, each whitened and at unit "
        "length; the cosine is their weighted mean. Licence: Apache-2.0, as the rest of the package.",
        "",
        "## What it is for",
        "",
        "Search for similar two-dimensional CAD drawings. Beside the descriptor: `--encoder descriptor+base`; alone: "
        "`--encoder base`. It runs through onnxruntime, without torch; `deepdxf finetune` starts from it.",
        "",
        "## What it was trained on",
        "",
        f"Drawings of at most {MOST_ROWS} rows: those of {count.total()} public repositories (named below), and those of "
        f"{GENERATED} generated drawings of `deepdxf synth` with seed {SEED}. {report['steps']} steps of "
        f"{config.batch.drawings} drawings, each in {config.views.views} views. Terms of the loss: {terms}. The raster "
        "encoder keeps its random weights; its whitening is learned, as that of the others. No drawing is contained in "
        "the model's files; weights and whitening are statistics of them.",
        "",
        *(f"* {licence}: {', '.join(names)}" for licence, names in sources.items()),
        "",
        "## How well it does",
        "",
        "Queries of sources that it was not trained on, among all drawings of the development corpus; mean average "
        "precision (95 % interval), first hit right, mean over sources.",
    ]
    for name, rows in results.items():
        lines += [
            "",
            ASKED[name],
            "",
            "| encoder | mAP | P@1 | mean of the sources' mAP |",
            "|---|---|---|---|",
        ]
        for row in SHOWN:
            if row in rows:
                low, high = rows[row]["mAP"]["interval"]
                lines.append(
                    f"| {row} | {rows[row]['mAP']['mean']:.3f} ({low:.3f}–{high:.3f}) | {rows[row]['P@1']['mean']:.3f} | "
                    f"{rows[row]['mAP']['mean_of_sources']:.3f} |"
                )
    lines += [
        "",
        "## Limits",
        "",
        "* Alone it finds fewer revisions and variants than the hand-made descriptor, and adds little to it there; it "
        "helps where the same sort of thing is asked for, see the tables.",
        "* It reads layers and the order of drawing: on generated drawings with renamed layers or re-ordered handles the first "
        "hit is right in 0.63 and 0.72 of the queries (`experiments/edits.py --encoder base`; the descriptor: 1.00).",
        f"* Long drawings are known by their first {manifest.encoder.limit} rows.",
        "* Trained on mechanical parts, panels, laser cutting, symbols and test files of CAD programs; architecture and "
        "large sheets are rare in them.",
        "* A mirrored or turned drawing is another one to it, unless the search allows for it.",
        "",
        "## How to make it again",
        "",
        "```",
        "python experiments/base_data.py CORPUS OUT",
        'deepdxf train base "data.drawings=[OUT/drawings]" data.groups=OUT/groups.csv data.synthetic=0 data.test=0 '
        "data.validation=0.1 data.by_source=false --out RUN",
        "python experiments/base.py CORPUS --run RUN",
        "python -m experiments.ship CORPUS --run RUN",
        "```",
        "",
        f"All settings: `{train.CONFIG}` beside this card. Every step of the training: `{LOG.as_posix()}`. `{CONFIG}` is "
        "what the program reads.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
