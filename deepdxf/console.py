"""What commands print: documents, lines and lists, safe for a terminal."""

from __future__ import annotations

import argparse
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from deepdxf.errors import DeepDXFError

LISTED = 12  # longer lists say how many more there are


def command_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    about: str | None,
    examples: str,
    *,
    below: bool = False,
) -> argparse.ArgumentParser:
    """The parser of a command, with the options that all have.

    Args:
        commands: of the parser that it belongs to.
        about: what it does, a sentence.
        examples: command lines, one a line.
        below: the command above has these options too, and what was given there holds.
    """
    text = (about or "").strip()
    made = commands.add_parser(
        name,
        help=text[0].lower() + text[1:].rstrip("."),
        description=text,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a script that abbreviates would break when an option is added
    )
    made.set_defaults(run=run, fail=made.error)
    for option, words in (
        ("--json", "print a JSON document"),
        ("--quiet", "no progress bar"),
        ("--debug", "show the traceback of an error"),
    ):
        made.add_argument(option, action="store_true", default=argparse.SUPPRESS if below else False, help=words)
    return made


def print_json(document: Any) -> int:
    """A JSON document on standard output; numbers that are not finite become null."""
    from deepdxf.report import plain

    print(json.dumps(plain(document), ensure_ascii=False, indent=1, allow_nan=False))
    return 0


def print_outcome(
    arguments: argparse.Namespace, facts: Mapping[str, Any], failed: Mapping[str, str], done: int, text: str
) -> int:
    """What a batch did and which files failed; exit code 1 when none was done."""
    if arguments.json:
        print_json({**facts, "failed": dict(failed)})
    else:
        for name, reason in failed.items():
            complain("failed", name, reason)
        print(text + (f", {len(failed)} failed" if failed else ""))
    if not done and not failed:
        from deepdxf.files import SUFFIXES

        raise DeepDXFError("no drawings found; files that end in " + ", ".join(SUFFIXES) + " are taken for drawings")
    return 0 if done else 1


def complain(what: str, path: str, reason: str) -> None:
    """A line about one file on standard error."""
    print(shown(f"  {what}: {path}" + (f": {reason}" if reason else "")), file=sys.stderr)


def print_pairs(pairs: Mapping[str, str]) -> None:
    """Names and values in two columns; empty values are left out."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        if value:
            print(shown(f"{name:<{width}}  {value}"))


HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # categories of characters that would move the cursor, or worse


def shown(text: str) -> str:
    """A text on one line of a terminal: what a drawing or a name holds can not end the line or give it commands."""
    return "".join(c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in HIDDEN else c for c in text)


def listed(items: Iterable[str]) -> str:
    """Items with commas, the first `LISTED` of them."""
    items = list(items)
    more = f" … and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more


def counted(items: Sequence[str]) -> str:
    """Items with commas behind their number; empty if there is none."""
    return f"{len(items)}: {listed(items)}" if items else ""


def number(value: float, digits: int = 4) -> str:
    """A number of at least so many digits as people write it: no exponent unless it is astronomic."""
    return f"{value:.0f}" if 10 ** (digits - 1) <= abs(value) < 1e15 else f"{value:.{digits}g}"


def size_text(width: float | None, height: float | None, unit_mm: float | None) -> str:
    """Width and height as people write them; empty where they are not known."""
    if width is None or height is None:
        return ""
    if unit_mm is None:
        return f"{number(width)} × {number(height)} (unit not stated)"
    return f"{number(width * unit_mm)} × {number(height * unit_mm)} mm"
