"""Files for people and spreadsheets: a one-file HTML gallery of a query and its hits; CSV, JSON and Excel tables.

The gallery needs no network, no script and no other file: pictures lie inside it, and a content security policy forbids
everything else. Every file is written beside its place and moved there when it is complete.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path, PurePath
from typing import Any

from deepdxf.errors import DeepDXFError
from deepdxf.files import replacing
from deepdxf.render import legal, xml_text

# What one fact of a card may be; sequences are shown as lists.
Value = str | int | float | bool | None | Sequence[str]

SHORT_LIST = 6  # longer lists show their first items, the others open on demand


@dataclass(frozen=True)
class Card:
    """One drawing in a gallery."""

    path: str  # as shown
    thumbnail: bytes = b""  # PNG; empty = no picture
    facts: Mapping[str, Value] = field(default_factory=dict)  # label -> value, shown in this order; None is left out
    problems: Sequence[str] = ()  # sentences, shown as a warning
    score: float | None = None  # 0 … 1; None for the query
    id: str = ""  # of the drawing in its archive
    file: Path | None = None  # absolute; makes the picture a link that opens the drawing


def gallery(path: Path, query: Card, hits: Sequence[Card], *, title: str = "Similar drawings", note: str = "") -> None:
    """Write a query and its hits (best first) as one HTML file.

    Args:
        path: the file to write; its folder must exist.
        title: heading of the page.
        note: one sentence under the heading, for example how the search was made.

    Raises:
        DeepDXFError: the file cannot be written.
    """
    found = f"{len(hits)} hits" if len(hits) != 1 else "1 hit"
    items = "\n".join(f"<li>{_card(hit, rank)}</li>" for rank, hit in enumerate(hits, 1))
    body = f"""<a class="skip" href="#hits">Skip to the hits</a>
<header>
<h1>{xml_text(title)}</h1>
{f"<p>{xml_text(note)}</p>" if note else ""}
</header>
<main>
<section class="query" aria-labelledby="query-heading">
<h2 id="query-heading">Query</h2>
{_card(query, None)}
</section>
<section id="hits" aria-labelledby="hits-heading" tabindex="-1">
<h2 id="hits-heading">{found}</h2>
{f"<ol>{items}</ol>" if hits else "<p>No drawing in the archive matches.</p>"}
</section>
</main>"""
    write_html(path, title, body, _STYLE)


@dataclass(frozen=True)
class Section:
    """Drawings that belong together on a page, such as a group of duplicates."""

    heading: str
    note: str  # a sentence
    cards: Sequence[Card]


def sections(path: Path, parts: Sequence[Section], *, title: str, note: str = "") -> None:
    """Write sections of drawings as one HTML file, like `gallery`.

    Raises:
        DeepDXFError: the file cannot be written.
    """
    body = [
        f"<header><h1>{xml_text(title)}</h1>{f'<p>{xml_text(note)}</p>' if note else ''}</header>",
        '<main class="all">',
    ]
    for number, part in enumerate(parts, 1):
        items = "\n".join(f"<li>{_card(card, None)}</li>" for card in part.cards)
        body.append(
            f'<section aria-labelledby="s{number}"><h2 id="s{number}">{xml_text(part.heading)}</h2>'
            f"<p>{xml_text(part.note)}</p><ol>{items}</ol></section>"
        )
    body.append("</main>" if parts else "<p>There are none.</p></main>")
    write_html(path, title, "\n".join(body), _STYLE)


def write_html(path: Path, title: str, body: str, style: str, script: str = "") -> None:
    """Write a page that stands alone: its policy forbids everything but this style, this script and pictures in it.

    Args:
        path: the file to write; its folder must exist.
        title: plain text.
        body: HTML, already escaped; it can hold no inline styles and no event handlers, for the policy forbids them.

    Raises:
        DeepDXFError: the file cannot be written.
    """
    policy = f"default-src 'none'; img-src data:; style-src {_source(style)}; "
    policy += f"script-src {_source(script)}; " if script else ""
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{xml_text(title)}</title>
<style>{style}</style>
</head>
<body>
{body}
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""
    _write(path, page.encode("utf-8", "backslashreplace"))


def _source(text: str) -> str:
    """An inline style or script as a content security policy names it."""
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV that spreadsheets open with a double click; columns are the keys in order of first use.

    UTF-8 with byte order mark, comma-separated, CR LF. None and NaN are empty cells, lists are joined by "; ". Text
    that a spreadsheet would run as a formula (starting with = + - @, tab or line end) gets an apostrophe in front.

    Raises:
        DeepDXFError: the file cannot be written.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_cell(column) for column in columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    # names of files that are no valid text keep their bytes as \udcXX
    _write(path, text.getvalue().encode("utf-8-sig", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON (UTF-8, indented); dataclasses, paths and NumPy values are allowed, NaN becomes null.

    Raises:
        DeepDXFError: the file cannot be written.
    """
    text = json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    # a lone surrogate as \udcXX is the escape that JSON itself has for it
    _write(path, text.encode("utf-8", "backslashreplace"))


def need_excel() -> None:
    """Whether Excel files can be written, asked before long work rather than after it.

    Raises:
        DeepDXFError: they cannot, for the extra is not installed.
    """
    if importlib.util.find_spec("xlsxwriter") is None:
        raise DeepDXFError("Excel files need the extra `report`: pip install 'deepdxf[report]'")


def write_xlsx(path: Path, sheets: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write rows as an Excel workbook, one sheet a name: heading fixed, columns filtered and as wide as their content.

    Text is never run as a formula and never made a link. Texts, numbers and truth values stay what they are; None and NaN
    are empty cells, lists are joined by "; ".

    Raises:
        DeepDXFError: the extra ``report`` is not installed, a sheet has too many rows, or the file cannot be written.
    """
    need_excel()
    import xlsxwriter

    for name, rows in sheets.items():
        if len(rows) >= SHEET_ROWS:
            raise DeepDXFError(
                f"sheet {name!r} would have {len(rows)} rows, Excel takes {SHEET_ROWS}; write JSON or CSV"
            )
    options = {
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": True,
    }
    with replacing(path) as partial:
        book = xlsxwriter.Workbook(str(partial), options)
        heading = book.add_format({"bold": True, "bottom": 1, "valign": "top"})
        body = book.add_format({"valign": "top"})
        for name, rows in sheets.items():
            columns = list(dict.fromkeys(key for row in rows for key in row))
            sheet = book.add_worksheet(name)
            widths = [len(column) + 3 for column in columns]
            for k, column in enumerate(columns):
                sheet.write_string(0, k, column, heading)
            for i, row in enumerate(rows, 1):
                for k, column in enumerate(columns):
                    value = plain(row.get(column))
                    if isinstance(value, list):
                        value = "; ".join(map(str, value))
                    if isinstance(value, bool):
                        sheet.write_boolean(i, k, value, body)
                    elif isinstance(value, int | float):
                        sheet.write_number(i, k, value, body)
                    elif value is not None and value != "":
                        text = _legal_cell(str(value))
                        sheet.write_string(i, k, text, body)
                        widths[k] = max(widths[k], min(max(map(len, text.split("\n"))) + 1, CELL_WIDTH))
            for k, width in enumerate(widths):
                sheet.set_column(k, k, max(width, 8))
            sheet.freeze_panes(1, 0)
            if rows and columns:
                sheet.autofilter(0, 0, len(rows), len(columns) - 1)
        book.close()


SHEET_ROWS, CELL_TEXT, CELL_WIDTH = (
    1_048_576,
    32_767,
    48,
)  # rows and characters of a cell that Excel takes; columns wide


def _legal_cell(text: str) -> str:
    """A text that XML and Excel can hold."""
    return legal(text).encode("utf-8", "replace").decode("utf-8")[:CELL_TEXT]


def plain(value: Any) -> Any:
    """A value in the types of JSON: dataclasses as objects, paths as text with slashes, NaN and infinity as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, PurePath):
        return value.as_posix()
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return value


def _cell(value: Any) -> str | int | float:
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return value
    if isinstance(value, dict):
        value = "; ".join(f"{key}: {item}" for key, item in value.items())
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    # spreadsheets skip white space before they look for a formula
    return "'" + text if text.lstrip()[:1] in tuple("=+-@") or text[:1] in tuple("\t\r\n") else text


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as partial:
        partial.write_bytes(content)


def _card(card: Card, rank: int | None) -> str:
    name = card.path.replace("\\", "/").rsplit("/", 1)[-1]
    alt = f"Drawing {name}" if rank is None else f"Hit {rank}: drawing {name}"
    picture = ""
    if card.thumbnail:
        data = base64.b64encode(card.thumbnail).decode("ascii")
        picture = f'<img src="data:image/png;base64,{data}" alt="{_attribute(alt)}" width="256" height="256">'
    if picture and card.file is not None:
        picture = f'<a href="{_attribute(card.file.as_uri())}">{picture}</a>'
    score = ""
    if rank is not None and card.score is not None:
        # the bar repeats the number, so it is hidden from screen readers
        width = min(max(card.score, 0.0), 1.0) if math.isfinite(card.score) else 0.0
        score = (
            f'<p class="score"><span class="rank">{rank}</span> <span>score <b>{card.score:.3f}</b></span>'
            f'<progress value="{width:.3f}" max="1" aria-hidden="true"></progress></p>'
        )
    facts = "".join(
        f"<dt>{xml_text(label)}</dt><dd>{_value(value)}</dd>"
        for label, value in ({"id": card.id or None} | dict(card.facts)).items()
        if value is not None and value != "" and value != () and value != []
    )
    problems = "".join(f"<li>{xml_text(problem)}</li>" for problem in card.problems)
    return (
        f'<article>{picture}<div class="text">{score}'
        f"<h3>{xml_text(name)}</h3>"
        + (f'<p class="path">{xml_text(card.path)}</p>' if card.path != name else "")
        + (f'<ul class="problems" aria-label="Problems">{problems}</ul>' if problems else "")
        + (f"<dl>{facts}</dl>" if facts else "")
        + "</div></article>"
    )


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | int):
        return xml_text(str(value))
    items = [xml_text(str(item)) for item in value or ()]
    first = ", ".join(items[:SHORT_LIST])
    if len(items) <= SHORT_LIST:
        return first
    rest = ", ".join(items[SHORT_LIST:])
    return f"{first}<details><summary>{len(items) - SHORT_LIST} more</summary>{rest}</details>"


def _attribute(text: str) -> str:
    return xml_text(text).replace('"', "&quot;")


_STYLE = """
:root { color-scheme: light dark; --paper: #f4f6f9; --card: #ffffff; --ink: #17202e; --soft: #4d5a6b;
  --line: #cfd8e3; --accent: #1a56c4; --warn: #8a4b00; --warn-paper: #fff4e0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #10151d; --card: #19212c; --ink: #e6ebf2; --soft: #a5b1c0; --line: #334052; --accent: #7fb0ff;
    --warn: #ffc978; --warn-paper: #33270f; }
  img { filter: invert(1) hue-rotate(180deg); mix-blend-mode: lighten; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1.25rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.45 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "Noto Sans", sans-serif; }
header { margin-bottom: 1rem; }
h1 { margin: 0; font-size: 1.4rem; overflow-wrap: anywhere; }
header p { margin: 0.25rem 0 0; color: var(--soft); overflow-wrap: anywhere; }
h2 { margin: 0 0 0.5rem; font-size: 0.95rem; color: var(--soft); font-weight: 600; }
h3 { margin: 0; font-size: 0.95rem; overflow-wrap: anywhere; }
main { display: grid; gap: 1.25rem; grid-template-columns: minmax(0, 1fr); }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.9rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
article { height: 100%; background: var(--card); border: 1px solid var(--line); border-radius: 0.5rem;
  overflow: hidden; }
.query article { border: 2px solid var(--accent); height: auto; }
img { display: block; width: 100%; height: auto; aspect-ratio: 1; object-fit: contain; }
article > a { display: block; }
a:focus-visible, summary:focus-visible { outline: 3px solid var(--accent); outline-offset: -3px; }
section:focus { outline: none; }
.text { padding: 0.6rem 0.8rem 0.8rem; border-top: 1px solid var(--line); }
.score { display: flex; align-items: center; gap: 0.5rem; margin: 0 0 0.35rem; font-variant-numeric: tabular-nums; }
.rank { min-width: 1.6em; padding: 0 0.4em; border-radius: 1em; background: var(--accent); color: var(--card);
  font-weight: 700; text-align: center; }
progress { flex: 1; min-width: 2rem; height: 0.45rem; appearance: none; border: 0; border-radius: 1rem;
  overflow: hidden; background: var(--line); }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--accent); }
progress::-moz-progress-bar { background: var(--accent); }
.path { margin: 0.1rem 0 0; font-size: 0.8rem; color: var(--soft); overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(4.5em, max-content) minmax(0, 1fr); gap: 0.1rem 0.75rem;
  margin: 0.5rem 0 0; font-size: 0.85rem; }
dt { color: var(--soft); max-width: 9em; overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--accent); }
.problems { margin: 0.5rem 0 0; padding: 0.35rem 0.6rem 0.35rem 1.5rem; border-radius: 0.35rem; font-size: 0.85rem;
  color: var(--warn); background: var(--warn-paper); overflow-wrap: anywhere; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 0.25rem; padding: 0.25rem 0.5rem; background: var(--card); color: var(--accent); }
section > p { margin: 0 0 0.5rem; color: var(--soft); overflow-wrap: anywhere; }
@media (min-width: 60rem) {
  main:not(.all) { grid-template-columns: 18rem minmax(0, 1fr); }
  .query { position: sticky; top: 1rem; align-self: start; max-height: calc(100vh - 2rem); overflow-y: auto; }
}
@media (max-width: 30rem) {
  body { padding: 0.75rem; }
  article { display: grid; grid-template-columns: 8rem minmax(0, 1fr); align-items: start; }
  .text { border-top: 0; border-left: 1px solid var(--line); height: 100%; }
}
@media print { .query { position: static; } article { break-inside: avoid; } }
"""
