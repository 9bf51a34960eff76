"""Commands about learning: ``train``, ``finetune``, ``objectives``. Nothing heavy is imported before one runs."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdxf.console import print_json, print_pairs
from deepdxf.errors import DeepDXFError

if TYPE_CHECKING:
    from deepdxf.config import TrainConfig

Arguments = argparse.Namespace
Command = Callable[[str, Callable[[Arguments], int], str], argparse.ArgumentParser]

NEEDED = ("torch", "yaml")  # of the extra
DECISIONS = "decisions.csv"  # of a run that learns from them: groups of drawings


def train(arguments: Arguments) -> int:
    """Train encoders as a configuration says."""
    need_extra()
    from deepdxf import config as configuration

    config = configuration.load(arguments.config, arguments.overrides)
    if arguments.print_config:
        if arguments.json:
            return print_json(configuration.to_dict(config))
        print(configuration.to_yaml(config), end="")
        return 0
    if arguments.out is None:
        arguments.fail("name the folder of the run: --out DIR")
    from deepdxf.train import run

    report = run(config, arguments.out, resume=arguments.resume, quiet=arguments.quiet)
    if not report:  # another process than the first
        return 0
    if arguments.json:
        return print_json({"out": str(arguments.out), **report})
    print(f"{arguments.out}: {report['stopped']} after {report['steps']} steps")
    print_pairs({name: line_of(figures["metrics"]) for name, figures in report["encoders"].items()})
    print(f"model: {arguments.out / 'model'}")
    return 0


def line_of(metrics: dict[str, Any]) -> str:
    """The main figures of an evaluation."""
    from deepdxf.evaluate import IN_SHORT

    return "  ".join(f"{name} {metrics[name]['mean']:.3f}" for name in IN_SHORT if metrics[name]["mean"] is not None)


def finetune(arguments: Arguments) -> int:
    """Train a model further on your own drawings; it is kept only if it got better."""
    need_extra()
    if bool(arguments.paths) == bool(arguments.archive):
        arguments.fail("name the drawings: PATHs, or --archive DIR")
    from deepdxf import config as configuration
    from deepdxf.finetune import finetune
    from deepdxf.learned import BASE

    if arguments.decisions and not arguments.archive:
        arguments.fail("--decisions are those of an archive: name it by --archive DIR")
    paths = arguments.paths or files_of(arguments.archive)
    config = configuration.load(arguments.config, arguments.set)
    if arguments.decisions:
        config = with_decisions(config, arguments.archive, paths, arguments.out)
    model = arguments.model or BASE
    report = finetune(paths, model, arguments.out, config, resume=arguments.resume, quiet=arguments.quiet)
    if arguments.json:
        return print_json(report)
    before, after, measure = report["before"], report["after"], report["measure"]
    print_pairs(
        {
            f"{measure} on edits of your drawings": f"{before['own']:.3f} before, {after['own']:.3f} after",
            f"{measure} on generated families": f"{before['sanity']:.3f} before, {after['sanity']:.3f} after",
        }
    )
    if report["better"]:
        print(f"better: the new model is {report['model']}")
    else:
        print(f"no better: go on with the model that you have, {report['model']}")
    return 0


def files_of(archive: str) -> list[Path]:
    """The drawings of an archive that are still there.

    Raises:
        DeepDXFError: none is.
    """
    from deepdxf.archive import Archive

    paths = [Path(row["root"], row["path"]) for row in Archive.open(archive).records(None, ("path", "root"))]
    there = [path for path in paths if path.is_file()]
    if not there:
        raise DeepDXFError(
            f"none of the {len(paths)} files of the archive {archive} is there; is their drive connected?"
        )
    return there


def with_decisions(config: TrainConfig, archive: str, paths: Sequence[Path], folder: Path) -> TrainConfig:
    """A configuration that learns from the decisions of an archive too; they are written into the folder of the run.

    Drawings that people called the same attract each other, those that they called not the same repel each other. The
    check asks for the decided drawings that fell to it, which training does not see.

    Raises:
        DeepDXFError: nothing was decided to be the same.
    """
    import csv
    import dataclasses

    from deepdxf.archive import Archive, drawing_id
    from deepdxf.config import TermConfig
    from deepdxf.decisions import families
    from deepdxf.files import find_files, relative_names, replacing

    names = {drawing_id(path): name for path, name in relative_names(find_files(paths)).items()}
    known = [[names[id] for id in family if id in names] for family in families(Archive.open(archive))]
    groups = [family for family in known if family]
    if all(len(family) < 2 for family in groups):
        raise DeepDXFError(
            f"nothing in {archive} is decided to be the same; decide first: deepdxf duplicates --archive {archive}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / DECISIONS) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = ((name, f"decided-{number}") for number, family in enumerate(groups) for name in family)
        csv.writer(file).writerows([("file", "group_id"), *rows])
    terms = {
        f"decided_{code}": TermConfig(objective="supervised", codes=code) for code in ("sequence", "geometry", "raster")
    }
    data = dataclasses.replace(config.data, groups=str(folder / DECISIONS))
    return dataclasses.replace(config, data=data, terms={**config.terms, **terms})


def objectives(arguments: Arguments) -> int:
    """The objectives that a loss can be made of: paper, what they need, status."""
    from deepdxf.objectives import OBJECTIVES

    if arguments.json:
        return print_json(
            {
                name: {"paper": entry.paper, "level": entry.level, "needs": list(entry.needs), "status": entry.status}
                for name, entry in OBJECTIVES.items()
            }
        )
    print_pairs(
        {
            name: f"{entry.status}, {entry.level} level; {entry.paper}"
            + (f"; needs {', '.join(entry.needs)}" if entry.needs else "")
            for name, entry in OBJECTIVES.items()
        }
    )
    return 0


def need_extra() -> None:
    """Raises DeepDXFError with the line that installs what is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise DeepDXFError(f"this needs {' and '.join(missing)}, which is not installed: pip install 'deepdxf[train]'")


def add_commands(command: Command) -> None:
    """Add the commands by the function that makes a command's parser out of name, function and examples."""
    made = command(
        "train",
        train,
        "deepdxf train tiny --out run\n"
        "deepdxf train base data.drawings=[drawings] data.groups=drawings/groups.csv --out run\n"
        "deepdxf train run.yaml optimiser.lr=1e-3 --print-config\n"
        "torchrun --nproc-per-node 2 -m deepdxf train base --out run",
    )
    made.add_argument("config", metavar="CONFIG", help="a .yaml file, or base, deepdxf, gf, joint, multimodal, tiny")
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings that differ, e.g. optimiser.lr=1e-3")
    run_options(made, required=False)
    made.add_argument("--print-config", action="store_true", help="print all settings and do nothing else")

    made = command(
        "finetune",
        finetune,
        "deepdxf finetune drawings --out tuned\n"
        "deepdxf finetune --archive my-archive --model model --out tuned --set stopping.epochs=5\n"
        "deepdxf finetune --archive my-archive --decisions --model model --out tuned",
    )
    made.add_argument("paths", type=Path, nargs="*", metavar="PATH", help="files and folders")
    made.add_argument("--archive", metavar="DIR", help="the drawings of an archive")
    made.add_argument(
        "--decisions",
        action="store_true",
        help="learn from what people decided about duplicates, too: the same attract, not the same repel each other",
    )
    made.add_argument(
        "--model", type=Path, metavar="DIR", help="folder of the model to begin with (default: the one in the package)"
    )
    made.add_argument(
        "--config", default="finetune", metavar="CONFIG", help="a configuration, see `train` (default: %(default)s)"
    )
    made.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings that differ")
    run_options(made, required=True)

    command("objectives", objectives, "deepdxf objectives")


def run_options(made: argparse.ArgumentParser, required: bool) -> None:
    """Options of commands that leave a run's folder."""
    made.add_argument("--out", type=Path, required=required, metavar="DIR", help="folder of the run")
    made.add_argument("--resume", action="store_true", help="go on with the run that the folder holds")
