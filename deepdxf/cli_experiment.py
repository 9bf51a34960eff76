"""The command ``experiment``. Nothing heavy is imported before it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from deepdxf.cli_train import Command, need_extra
from deepdxf.console import print_json

Arguments = argparse.Namespace
NAMES = "objectives, ablations, finetuning, labels, domains, folds"


def experiment(arguments: Arguments) -> int:
    """Run a set of trainings and measurements, or go on with one, and print its table."""
    need_extra()
    from deepdxf.errors import DeepDXFError
    from deepdxf.experiment import run
    from deepdxf.experiment_data import Given
    from deepdxf.experiment_tables import markdown

    if (arguments.drawings is None) != (arguments.groups is None):
        arguments.fail("--drawings and --groups belong together")
    if arguments.test_sources and not arguments.drawings:
        arguments.fail("--test-sources are sources of --drawings")
    given = Given.of(arguments.drawings, arguments.groups, arguments.test_sources) if arguments.drawings else None
    folder = arguments.out or Path("runs") / arguments.name
    only = [name.strip() for name in arguments.only.split(",")] if arguments.only else []
    rows = run(
        arguments.name, arguments.size, folder, seeds=arguments.seeds, only=only, overrides=arguments.overrides,
        given=given, quiet=arguments.quiet,
    )  # fmt: skip
    if arguments.json:
        print_json({"experiment": arguments.name, "out": str(folder), "rows": rows})
    else:
        print(markdown(arguments.name, rows), end="")
    if rows and all(row["error"] for row in rows):
        raise DeepDXFError(f"no cell could be measured; the first: {rows[0]['error']}")
    return 0


def add_command(command: Command, positive: Callable[[str], int]) -> None:
    """Add the command by the function that makes a command's parser out of name, function and examples."""
    made = command(
        "experiment",
        experiment,
        "deepdxf experiment objectives --size small --seeds 3\n"
        'deepdxf experiment ablations --only "base,4 views,class graph" --out runs/ablations\n'
        "deepdxf experiment domains --drawings drawings --groups drawings/groups.csv",
    )
    made.add_argument("name", metavar="NAME", help=NAMES)
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of all learned cells")
    made.add_argument("--size", default="small", metavar="SIZE", help="smoke, small or full (default: %(default)s)")
    made.add_argument("--out", type=Path, metavar="DIR", help="folder of the experiment (default: runs/NAME)")
    made.add_argument("--drawings", type=Path, metavar="DIR", help="your drawings, instead of generated ones")
    made.add_argument("--groups", type=Path, metavar="CSV", help="which of them belong together")
    made.add_argument(
        "--test-sources", type=Path, metavar="JSON", help='sources that are held out, {"test": [source, …]}'
    )
    made.add_argument(
        "--seeds", type=positive, default=1, metavar="N", help="runs of each learned cell (default: %(default)s)"
    )
    made.add_argument("--only", metavar="CELL,…", help="these cells alone")
