"""Own metadata: rows of a table out of an ERP or PDM system (material, price, customer …), joined to drawings.

A table (CSV, or a sheet of Excel or OpenDocument) has a column that says which drawing a row is about. Its rows are kept in
the archive as they were imported, so that drawings that are indexed later get theirs too; what a drawing got stands in the
column ``meta`` of its row, in lines that filters read (`where`, ``meta.MATERIAL = '6061'``).

What a key names, the first that fits:

    path        relative to the folder that was indexed, or absolute; with its ending or without
    name        of the file, with its ending or without
    number      drawing number in the title block (`marks.NUMBER_TAGS`), else the file's name without marks of revision
    a tag       a field of the title block, if the import asks for it by `field:TAG`; then nothing else counts

Case, spaces at the ends and the direction of slashes do not matter. All versions of a drawing share a row by its number. Of
rows with one key the last counts; a later import adds its columns to earlier ones and replaces what has the same name.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepdxf.errors import DeepDXFError
from deepdxf.files import stem_of
from deepdxf.marks import NUMBER_TAGS, marks_of, number_of, tag_of

ANY, FIELD = "any", "field:"  # how keys name drawings
MOST_BYTES, MOST_ROWS, MOST_COLUMNS, MOST_TEXT = 200 * 2**20, 2_000_000, 200, 1_000
SHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
ENCODINGS = ("utf-8-sig", "cp1252")
NUMERIC = "#"  # before the name of a line that holds a value as a number

Values = Mapping[str, str]  # by name of the column


@dataclass(frozen=True)
class Row:
    """A row of a table that was imported."""

    by: str  # ANY, or FIELD and a tag
    key: str  # as it is written in the table
    values: Values


@dataclass(frozen=True)
class Table:
    """A table as it was read."""

    columns: tuple[str, ...]
    rows: tuple[Values, ...]


# --- tables ----------------------------------------------------------------------------------------------------------


def read_table(path: Path, sheet: str | None = None) -> Table:
    """A table with a heading: CSV (comma, semicolon or tab; UTF-8 or Windows' code page), or a sheet.

    Args:
        sheet: name of the sheet; default: the first.

    Raises:
        DeepDXFError: it cannot be read, has no heading, or is too large; the text names the way out.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DeepDXFError(f"{path}: more than {MOST_BYTES >> 20} MiB; leave out columns that are not needed")
        data = path.read_bytes()
    except OSError as error:
        raise DeepDXFError(f"{path}: {error.strerror or error}") from error
    if path.suffix.lower() in SHEETS:
        lines = _sheet(path, data, sheet)
    elif sheet is not None:
        raise DeepDXFError(f"{path}: --sheet is for {', '.join(SHEETS)}")
    else:
        lines = _csv(path, data)
    heading: list[str] = []
    body: list[list[str]] = []
    for cells in lines:
        if not any(cells):
            continue
        if not heading:
            heading = [_name(cell) for cell in cells]
        elif len(body) >= MOST_ROWS:
            raise DeepDXFError(f"{path}: more than {MOST_ROWS} rows")
        else:
            body.append(cells)
    columns = [name for name in heading if name]
    if not columns:
        raise DeepDXFError(f"{path}: no heading; the first row must name the columns")
    if len(columns) > MOST_COLUMNS:
        raise DeepDXFError(f"{path}: {len(columns)} columns; at most {MOST_COLUMNS} are kept: leave some out")
    folded = [name.casefold() for name in columns]
    if twice := next((name for name in columns if folded.count(name.casefold()) > 1), None):
        raise DeepDXFError(f"{path}: two columns are named {twice!r}; rename one")
    rows = ({n: _text(c) for n, c in zip(heading, cells, strict=False) if n and _text(c)} for cells in body)
    return Table(tuple(columns), tuple(rows))


def _csv(path: Path, data: bytes) -> Iterator[list[str]]:
    if b"\0" in data[:4096]:
        encodings: Sequence[str] = ("utf-16",)
    else:
        encodings = ENCODINGS
    for encoding in encodings:
        try:
            text = data.decode(encoding)
            break
        except UnicodeError:
            continue
    else:
        raise DeepDXFError(f"{path}: neither UTF-8 nor Windows text; save it as CSV in UTF-8")
    first = re.sub(r'"[^"]*"', "", text.split("\n", 1)[0])
    delimiter = max(";\t,", key=first.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise DeepDXFError(f"{path}: no CSV ({error}); save it as CSV in UTF-8") from error


def _sheet(path: Path, data: bytes, sheet: str | None) -> Iterator[list[str]]:
    try:
        import python_calamine
    except ImportError:
        raise DeepDXFError("tables of Excel need the extra `report`: pip install 'deepdxf[report]'") from None
    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
        names = book.sheet_names
        if sheet is not None and sheet not in names:
            raise DeepDXFError(f"{path}: no sheet {sheet!r}; it has {', '.join(names)}")
        for cells in book.get_sheet_by_name(sheet if sheet is not None else names[0]).to_python():
            yield [_cell(cell) for cell in cells]
    except DeepDXFError:
        raise
    except Exception as error:  # its exceptions share no base but this
        raise DeepDXFError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); save it anew") from error


def _cell(value: Any) -> str:
    """What a cell of a sheet shows: whole numbers without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _text(cell: str) -> str:
    """A value on one line, of a length that lists can show."""
    return " ".join(cell.replace("\0", " ").encode("utf-8", "replace").decode("utf-8").split())[:MOST_TEXT]


def _name(cell: str) -> str:
    """A column's name: what filters can write."""
    return _text(cell).replace("=", " ").replace('"', "").strip(f"{NUMERIC} ")


# --- joining ---------------------------------------------------------------------------------------------------------


def fold_key(text: str) -> str:
    """A key as keys are compared."""
    return unicodedata.normalize("NFKC", text).replace("\\", "/").strip().casefold()


@dataclass
class Lookup:
    """Rows by what they name; `values` finds those of a drawing."""

    rows: dict[tuple[str, str], Row] = field(default_factory=dict)  # by how, folded key
    _numbers: dict[str, Row] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Lookup:
        """Of rows in the order of their import."""
        made = cls()
        for row in rows:
            made.add(row)
        return made

    def add(self, row: Row) -> None:
        """Add a row: to the values that its key has, or in their place where the names are the same."""
        where = row.by, fold_key(row.key)
        if where in self.rows:
            row = Row(row.by, row.key, merged(self.rows[where].values, row.values))
        self.rows[where] = row
        if row.by == ANY and (number := number_of(row.key)):
            self._numbers[number] = row

    def find(self, record: Mapping[str, Any]) -> list[Row]:
        """The rows about a drawing, by ``path``, ``root`` and ``field`` of the archive; one for each way of naming."""
        if not self.rows:
            return []
        path, fields = str(record["path"]), [text.partition("=") for text in record["field"] or ()]
        found = [
            self.rows[f"{FIELD}{tag_of(tag)}", key]
            for tag, _, value in fields
            if (f"{FIELD}{tag_of(tag)}", key := fold_key(value)) in self.rows
        ]
        name = path.rsplit("/", 1)[-1]
        whole = f"{record['root']}/{path}"
        for key in (path, stem_of(path), whole, stem_of(whole), name, stem_of(name)):
            if row := self.rows.get((ANY, fold_key(key))):
                return [row, *found]
        stated = next((n for tag, _, value in fields if tag_of(tag) in NUMBER_TAGS and (n := number_of(value))), "")
        if row := self._numbers.get(stated) or self._numbers.get(number_of(marks_of(name)[0])):
            return [row, *found]
        return found

    def values(self, record: Mapping[str, Any]) -> Values:
        """What the rows say of a drawing."""
        known: Values = {}
        for row in self.find(record):
            known = merged(known, row.values)
        return known


def merged(old: Values, new: Values) -> Values:
    """Both; of columns whose names differ at most by case, the new value."""
    taken = {name.casefold() for name in new}
    return {**{name: value for name, value in old.items() if name.casefold() not in taken}, **new}


# --- as a column -----------------------------------------------------------------------------------------------------


def pack(values: Values) -> str | None:
    """The values as lines ``name=value``, with a second line where a value is a number; None without values."""
    lines = []
    for name, value in values.items():
        lines.append(f"{name}={value}")
        if (number := number_in(value)) is not None:
            lines.append(f"{NUMERIC}{name}={number!r}")
    return "\n".join(lines) or None


def unpack(text: str | None) -> dict[str, str]:
    """The values of a packed text."""
    lines = (line.partition("=") for line in (text or "").split("\n") if line and not line.startswith(NUMERIC))
    return {name: value for name, _, value in lines}


NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d+)?|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+)(?:[eE][+-]?\d+)?")


def number_in(value: str) -> float | None:
    """The value as a number, whichever of point and comma it has for decimals: ``12.5``, ``12,5``, ``1,200.50``.

    Digits with a zero before them (``0012``) are no number but a name.
    """
    text = value.replace("\u00a0", "").replace(" ", "")
    if not NUMBER.fullmatch(text) or re.match(r"[+-]?0\d", text):
        return None
    if "," in text:
        decimals = text.rfind(",") > text.rfind(".") and text.count(",") == 1
        text = text.replace(".", "").replace(",", ".") if decimals else text.replace(",", "")
    number = float(text)
    return number if abs(number) < float("inf") else None


def flat(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a file with a column ``meta.NAME`` for each that any of them has under ``meta``, in place of that."""
    names = dict.fromkeys(name for row in rows for name in row.get("meta") or {})
    made = []
    for row in rows:
        values = row.get("meta") or {}
        rest = {name: value for name, value in row.items() if name != "meta"}
        made.append({**rest, **{f"meta.{name}": values.get(name) for name in names}})
    return made


def value_of(values: Values, name: str) -> str:
    """The value of a column whatever the case of its name, with ``meta.`` before it or not; empty if there is none."""
    wanted = name.casefold().removeprefix("meta.").strip('"')
    return next((value for column, value in values.items() if column.casefold() == wanted), "")


def to_json(values: Values) -> str:
    """As an archive keeps a row's values."""
    return json.dumps(dict(values), ensure_ascii=False)


@dataclass(frozen=True)
class Joined:
    """What an import did."""

    rows: int  # of the table
    columns: tuple[str, ...]
    matched: Mapping[str, tuple[str, ...]]  # key -> paths of its drawings
    unmatched: tuple[str, ...]  # keys of rows that are about no drawing
    without: tuple[str, ...]  # paths of drawings that no row of this table is about
    repeated: tuple[str, ...]  # keys of several rows, of which the last counts
    keyless: int  # rows without a key
    changed: int  # drawings whose values are others than before
