"""Write docs/cli.md out of the parser of the command line.

python docs/make_cli.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from deepdxf.cli import parser

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# Commands

<!-- Written by docs/make_cli.py; change deepdxf/cli.py instead. -->

Every command takes `--json` (one JSON document on standard output, nothing else there), `--quiet` (no progress bar) and
`--debug` (the traceback of an error). Messages and progress go to standard error.

Exit codes: 0 done (also when some files of many failed: they are listed), 1 the command as a whole failed, 2 the command
line is wrong, 130 interrupted by Ctrl-C.
"""
EVERYWHERE = {"help", "json", "quiet", "debug"}


def page() -> str:
    """The text of docs/cli.md."""
    return HEAD + "".join(section(name, command) for name, command in kinds(parser()).items())


def kinds(command: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The sub-commands of a command by name."""
    found = [action.choices for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0]) if found else {}


def section(name: str, command: argparse.ArgumentParser) -> str:
    """One command: what it does, its arguments, examples."""
    rows = [row(action) for action in command._actions if action.dest not in EVERYWHERE]
    table = "\n".join(["| argument | meaning |", "|---|---|", *rows, ""]) + "\n" if rows else ""
    examples = [line.strip() for line in str(command.epilog).splitlines()[1:]]
    text = f"\n{'###' if ' ' in name else '##'} {name}\n\n{command.description}\n\n{table}"
    parts = [section(f"{name} {kind}", part) for kind, part in kinds(command).items()]
    return text + "\n".join(["```", *examples, "```", ""]) + "".join(parts)


def row(action: argparse.Action) -> str:
    """One argument as a line of a table."""
    value = "" if action.nargs == 0 else "/".join(action.choices) if action.choices else str(action.metavar)
    name = " ".join(filter(None, [", ".join(action.option_strings), value, "…" if action.nargs == "+" else ""]))
    needed = " (required)" if action.option_strings and action.required else ""
    return f"| `{name}` | {str(action.help) % vars(action)}{needed} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
