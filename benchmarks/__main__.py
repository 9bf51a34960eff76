"""All measurements, or those that are named: prints tables, stores them as JSON.

    python -m benchmarks [NAME …, see BENCHMARKS] [--corpus DIR] [--out FILE.json]

Without the corpus of real drawings, synthetic ones take its place, and the tables say so.
"""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.common import Goal, find_corpus, goals_table, machine

# modules with `measure(corpus)`
BENCHMARKS = ("reading", "indexing", "searching", "encoding", "embedding", "training", "codes", "views", "scale")


def main() -> None:
    """Run, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="folder of the unpacked corpus of real drawings")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: benchmarks/results/COMMIT.json")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(BENCHMARKS)}")
    corpus = find_corpus(options.corpus)
    about = machine() | {"corpus": corpus is not None}
    print(f"{about['commit']}, {about['cpu']}, {about['cores']} cores, Python {about['python']}")
    if corpus is None:
        print("no corpus of real drawings: synthetic ones instead")
    tables = []
    goals: list[Goal] = []
    for name in options.names or BENCHMARKS:
        result = importlib.import_module(f"benchmarks.{name}").measure(corpus)
        goals += result.goals
        for table in result.tables:
            tables.append(table)
            print(f"\n{table.markdown()}", flush=True)
    if goals:
        print(f"\n{goals_table(goals).markdown()}")
    stem = about["commit"].rstrip("+") + (f"-{'-'.join(options.names)}" if options.names else "")
    out = options.out or Path(__file__).parent / "results" / f"{stem}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    document = about | {
        "goals": [asdict(goal) | {"met": goal.met} for goal in goals],
        "tables": [asdict(table) for table in tables],
    }
    out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n")
    print(f"\nstored in {out}")


if __name__ == "__main__":  # worker processes import this module too
    main()
