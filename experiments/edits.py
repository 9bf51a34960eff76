"""How well an encoder finds a drawing after each kind of edit, on generated drawings, under the switches.

    python experiments/edits.py [--encoder NAME] [--drawings 1300] [--seed 11] [--out experiments/results/edits.json]

A query is an edited drawing; right is any other drawing of its design in the same group. P@1 = share of queries whose first
hit is right. An edit that turns, mirrors or scales is expected to be found under the switch that allows it. Vectors alone, and
with the first hits verified, as `deepdxf search` does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deepdxf.embed import embed_files
from deepdxf.encoder import Switches
from deepdxf.evaluate import evaluate, rank
from deepdxf.groups import load_groups
from deepdxf.synth import generate
from deepdxf.verify import ranking_overlaps, verified

P1 = "P@1"
SETTINGS = {
    "plain": Switches(),
    "turned and mirrored allowed": Switches(rotation=True, mirror=True),
    "any size": Switches(size=False),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="descriptor")
    parser.add_argument("--drawings", type=int, default=1300)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path("experiments/results/edits.json"))
    args = parser.parse_args(argv)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        generate(folder, args.drawings, args.seed)
        protocol = load_groups(Path(folder) / "groups.csv")
        for name, switches in SETTINGS.items():
            embedded = embed_files([folder], args.encoder, switches=switches, sketches=True)
            rankings = rank(
                embedded.files, embedded.vectors, protocol.files, embedded.queries, level_vectors=embedded.level
            )
            overlaps = ranking_overlaps(rankings, embedded.sketches, switches, asked=embedded.asked)
            for how, ranked in ((name, rankings), (f"{name}, verified", verified(rankings, overlaps))):
                results[how] = evaluate(ranked, protocol, embedded.entities).parts("edit")
    print(f"| edit | queries | {' | '.join(f'P@1, {name}' for name in results)} |")
    print(f"|---|---:|{'---:|' * len(results)}")
    for edit, (queries, _) in results["plain"].items():
        print(f"| {edit} | {queries} | {' | '.join(f'{results[name][edit][1][P1]:.2f}' for name in results)} |")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
