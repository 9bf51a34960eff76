"""Filter expressions: what people type after ``--where``, compiled to a filter of the archive's database.

    layer = 'CUT' and width_mm < 200
    has dimension 12.7 ± 0.1 and not path like '%old%'
    circles > 4 and (status = 'ok' or modified >= '2026-01-31')

Grammar (key words in any case; text in single quotes, a quote inside doubled):

    expression  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = [ "not" ] negation | "(" expression ")" | predicate
    predicate   = [ "has" ] column test
    test        = [ "=" | "!=" | "<" | "<=" | ">" | ">=" ] value [ "±" number ]   (no operator, and ±: equality only)
                | [ "not" ] ( "between" value "and" value | "in" "(" value { "," value } ")" | "like" text )
                | "is" [ "not" ] "null"

``=`` compares exactly; ``like`` ignores case, ``%`` stands for any characters and ``_`` for one. A column that holds a
list (`layer`, `text`, `dimension` …) passes when any of its members does; ``!=`` and ``not …`` when none does.
Columns of tables that were imported (`metadata`) are named ``meta.MATERIAL``, or ``meta."unit price"`` where the name is more
than a word; in any case of letters. What such a column is compared with says whether as a text or as a number.

An unknown value, such as the width in millimetres of a drawing without units, passes no test, not even a negated
one. Lists are never unknown: that of a file that could not be read is empty.

Nothing of the expression reaches the database as it was typed: columns come from `COLUMNS`, and literals are parsed and
written anew.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import NoReturn

from deepdxf.drawing import N_CLASSES, EntityClass
from deepdxf.errors import FilterError


class Kind(Enum):
    """Type of a column of the archive."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    TIME = "time"
    NUMBERS = "list of numbers"
    TEXTS = "list of texts"


LISTS = {Kind.NUMBERS, Kind.TEXTS}


def count_column(cls: EntityClass) -> str:
    """Name of the column with the number of entities of a class: ``circles``, ``hatches`` …"""
    name = cls.name.lower()
    return name + ("es" if name.endswith("ch") else "s")


# Columns of the archive that an expression may name: name -> (kind, meaning). `archive` builds its table from it.
COLUMNS: dict[str, tuple[Kind, str]] = {
    "id": (Kind.TEXT, "stable id of the drawing"),
    "path": (Kind.TEXT, "path relative to the root, with /"),
    "root": (Kind.TEXT, "absolute folder that was indexed"),
    "hash": (Kind.TEXT, "hash of the file's bytes"),
    "geometry": (Kind.TEXT, "hash of what is drawn"),
    "bytes": (Kind.INTEGER, "size of the file"),
    "modified": (Kind.TIME, "time of the last change of the file"),
    "indexed": (Kind.TIME, "time of the last reading"),
    "status": (Kind.TEXT, "ok, repaired, partial, too large or failed"),
    "message": (Kind.TEXT, "why reading failed, or why nothing is drawn"),
    "format": (Kind.TEXT, "dxf or dwg"),
    "version": (Kind.TEXT, "version of the format, such as AC1032"),
    "reader": (Kind.TEXT, "reader that was used"),
    "space": (Kind.TEXT, "model, or the name of the layout"),
    "unit_mm": (Kind.NUMBER, "millimetres per drawing unit"),
    "width": (Kind.NUMBER, "width in drawing units"),
    "height": (Kind.NUMBER, "height in drawing units"),
    "width_mm": (Kind.NUMBER, "width in millimetres"),
    "height_mm": (Kind.NUMBER, "height in millimetres"),
    "entities": (Kind.INTEGER, "number of entities, content of blocks included"),
    **{count_column(EntityClass(c)): (Kind.INTEGER, f"number of {EntityClass(c).name}") for c in range(N_CLASSES)},
    "layer": (Kind.TEXTS, "layers in use"),
    "block": (Kind.TEXTS, "blocks in use"),
    "text": (Kind.TEXTS, "texts"),
    "field": (Kind.TEXTS, "title-block fields, as TAG=value"),
    "problem": (Kind.TEXTS, "codes of what was repaired or left out"),
    "ignored": (Kind.TEXTS, "types of entities that were ignored"),
    "dimension": (Kind.NUMBERS, "dimension values, drawing units or degrees"),
    "meta": (Kind.TEXT, "imported tables; a column of one is asked for as meta.NAME"),
    "turn": (Kind.NUMBER, "degrees by which its lines are turned out of the level, -45 to 45"),
}

# The database's parser takes time exponential in the depth of brackets (40 levels: minutes) and recurses over long
# chains; within these bounds any expression is parsed in milliseconds.
MAX_LENGTH, MAX_PREDICATES, MAX_DEPTH = 10_000, 100, 8

KEYWORDS = {"and", "or", "not", "has", "between", "in", "like", "is", "null"}
OPERATORS = {"=", "!=", "<", "<=", ">", ">="}
TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<text>'(?:[^']|'')*')
    |(?P<meta>[mM][eE][tT][aA]\.(?:\w+|"[^"\n]{1,200}"))
    |(?P<word>[A-Za-z_]\w*)
    |(?P<sign><=|>=|!=|<>|\+-|[=<>(),±])
    |(?P<end>\Z))""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A piece of an expression; ``kind`` is a group of `TOKEN`, or ``keyword``."""

    kind: str
    text: str
    position: int  # of its first character, from 1


def compile_where(expression: str) -> str:
    """The database filter of an expression.

    Raises:
        FilterError: the expression does not parse, names an unknown column or compares it with another type; the text
            holds the position and the way out.
    """
    if len(expression) > MAX_LENGTH:
        raise FilterError(f"the filter has {len(expression)} characters; at most {MAX_LENGTH} are allowed")
    return _Parser(_tokenize(expression)).parse()


def columns_of(expression: str) -> set[str]:
    """Columns that an expression names. Raises FilterError where it cannot be read."""
    tokens = _tokenize(expression)
    named = {token.text.lower() for token in tokens if token.kind == "word"} & set(COLUMNS)
    return named | ({"meta"} if any(token.kind == "meta" for token in tokens) else set())


def quote(text: str) -> str:
    """A text as a literal of the database."""
    return "'" + text.replace("'", "''") + "'"


def _fail(token: Token, message: str) -> NoReturn:
    raise FilterError(f"filter, position {token.position}: {message}")


def _tokenize(expression: str) -> list[Token]:
    tokens: list[Token] = []
    end = 0
    while not tokens or tokens[-1].kind != "end":
        match = TOKEN.match(expression, end)
        if match is None:
            start = end + len(expression[end:]) - len(expression[end:].lstrip())
            found = expression[start : start + 12]
            hint = "the closing quote is missing" if found[0] == "'" else "texts stand in single quotes"
            _fail(Token("", "", start + 1), f"cannot read {found!r}; {hint}")
        group = kind = str(match.lastgroup)
        text = match[group]
        if kind == "word" and text.lower() in KEYWORDS:
            kind, text = "keyword", text.lower()
        tokens.append(Token(kind, text, match.start(group) + 1))
        end = match.end()
    return tokens


class _Parser:
    """Recursive descent over the tokens; every method returns the database's text of what it consumed."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.predicates = 0

    def parse(self) -> str:
        result = self.expression(0)
        if self.token.kind != "end":
            _fail(self.token, f"expected 'and', 'or' or the end, found {self.token.text!r}")
        return result

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.token
        self.at += token.kind != "end"
        return token

    def accept(self, *texts: str) -> bool:
        """Consume the next token if it is one of these key words or signs."""
        if self.token.kind in ("keyword", "sign") and self.token.text in texts:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            _fail(self.token, f"expected {text!r}, found {self.token.text or 'the end'!r}")

    def expression(self, depth: int) -> str:
        if depth > MAX_DEPTH:
            _fail(self.token, f"more than {MAX_DEPTH} levels of 'not' and brackets")
        parts = [self.conjunction(depth)]
        while self.accept("or"):
            parts.append(self.conjunction(depth))
        return parts[0] if len(parts) == 1 else "(" + " OR ".join(parts) + ")"

    def conjunction(self, depth: int) -> str:
        parts = [self.negation(depth)]
        while self.accept("and"):
            parts.append(self.negation(depth))
        return parts[0] if len(parts) == 1 else "(" + " AND ".join(parts) + ")"

    def negation(self, depth: int) -> str:
        if depth > MAX_DEPTH:
            _fail(self.token, f"more than {MAX_DEPTH} levels of 'not' and brackets")
        if self.accept("not"):
            return f"(NOT {self.negation(depth + 1)})"
        if self.accept("("):
            inner = self.expression(depth + 1)
            self.expect(")")
            return inner
        return self.predicate()

    def predicate(self) -> str:
        self.predicates += 1
        if self.predicates > MAX_PREDICATES:
            _fail(self.token, f"more than {MAX_PREDICATES} comparisons")
        self.accept("has")
        name = self.next()
        if name.kind == "end":
            _fail(name, "a comparison is missing")
        if name.kind == "meta":
            return self.test(name.text.lower(), *self.meta(name))
        column = name.text.lower()
        if name.kind != "word" or column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            _fail(name, f"{name.text!r} is no column{hint} (columns: {', '.join(COLUMNS)})")
        return self.test(column, column, COLUMNS[column][0])

    def meta(self, name: Token) -> tuple[str, Kind]:
        """What the database computes for a column of an imported table, and its kind by what it is compared with."""
        words = (token.kind for token in self.tokens[self.at :] if token.kind not in ("keyword", "sign"))
        kind = Kind.NUMBER if next(words, "end") == "number" else Kind.TEXT
        if self.token.kind == "keyword" and self.token.text == "is":
            kind = Kind.TEXT
        written = name.text.split(".", 1)[1].strip('"')
        pattern = f"(?im)^{'#' if kind is Kind.NUMBER else ''}{_escaped(written)}=(.*)$"
        value = f"array_element(regexp_match(meta, {quote(pattern)}), 1)"
        return (f"TRY_CAST({value} AS DOUBLE)" if kind is Kind.NUMBER else value), kind

    def test(self, name: str, column: str, kind: Kind) -> str:
        """What follows a column: ``name`` as it is written, ``column`` as the database computes it."""
        if self.accept("is"):
            negated = self.accept("not")
            self.expect("null")
            empty = f"coalesce(array_length({column}), 0) = 0" if kind in LISTS else f"{column} IS NULL"
            return f"(NOT {empty})" if negated else f"({empty})"
        negated = self.accept("not")
        token = self.token
        if self.accept("between"):
            low = self.value(kind)
            self.expect("and")
            test = _between(column, kind, low, self.value(kind))
        elif self.accept("in"):
            self.expect("(")
            values = [self.value(kind)]
            while self.accept(","):
                values.append(self.value(kind))
            self.expect(")")
            test = "(" + " OR ".join(_compare(column, kind, "=", value) for value in values) + ")"
        elif self.accept("like"):
            if kind not in (Kind.TEXT, Kind.TEXTS):
                _fail(token, f"'like' needs a text column; {name} is a {kind.value}")
            test = _like(column, kind, self.value(kind))
        elif negated:
            _fail(token, "expected 'between', 'in' or 'like' after 'not'")
        else:
            test = self.comparison(name, column, kind)
        return f"(NOT {test})" if negated else test

    def comparison(self, name: str, column: str, kind: Kind) -> str:
        token = self.token
        operator = "="
        if token.kind == "sign" and token.text.replace("<>", "!=") in OPERATORS:
            operator = self.next().text.replace("<>", "!=")
        elif token.kind not in ("number", "text"):
            _fail(token, f"expected a comparison such as = after {name}, found {token.text or 'the end'!r}")
        value = self.value(kind)
        if self.accept("±", "+-"):
            if operator != "=" or kind not in (Kind.NUMBERS, Kind.NUMBER, Kind.INTEGER):
                _fail(token, "± goes with = and numbers only")
            reach = abs(float(self.value(Kind.NUMBER)))
            # a margin for rounding: 12.7 + 0.1 must reach a stored 12.8
            slack = 1e-9 * max(abs(float(value)), reach, 1e-300)
            return _between(column, kind, str(float(value) - reach - slack), str(float(value) + reach + slack))
        return _compare(column, kind, operator, value)

    def value(self, kind: Kind) -> str:
        """The next literal, checked against the column's kind: a text without quotes, or a number's text."""
        token = self.next()
        numeric = kind in (Kind.INTEGER, Kind.NUMBER, Kind.NUMBERS)
        if token.kind != ("number" if numeric else "text"):
            wanted = "a number" if numeric else "a text in single quotes"
            _fail(token, f"expected {wanted}, found {token.text or 'the end'!r}")
        if numeric:
            if not math.isfinite(float(token.text)):
                _fail(token, f"{token.text} is too large")
            return token.text
        text = token.text[1:-1].replace("''", "'")
        if kind is Kind.TIME:
            try:
                time = datetime.fromisoformat(text).astimezone(UTC)  # without a zone: local time
            except (ValueError, OverflowError, OSError):
                _fail(token, f"{text!r} is no date; write it as '2026-01-31' or '2026-01-31 14:30'")
            return time.isoformat()
        return text


def _literal(kind: Kind, value: str) -> str:
    if kind is Kind.TIME:
        return f"to_timestamp({quote(value)})"
    if kind in (Kind.TEXT, Kind.TEXTS):
        return quote(value)
    return f"CAST('{float(value)!r}' AS DOUBLE)"


def _compare(column: str, kind: Kind, operator: str, value: str) -> str:
    literal = _literal(kind, value)
    if kind not in LISTS:
        return f"({column} {operator} {literal})"
    if operator in ("=", "!="):
        found = f"array_has({column}, {literal})"
        return f"coalesce({found}, false)" if operator == "=" else f"(NOT coalesce({found}, false))"
    # some member is below a bound exactly when the smallest is
    end = "array_min" if operator.startswith("<") else "array_max"
    return f"coalesce({end}({column}) {operator} {literal}, false)"


def _between(column: str, kind: Kind, low: str, high: str) -> str:
    a, b = _literal(kind, low), _literal(kind, high)
    if kind not in LISTS:
        return f"({column} BETWEEN {a} AND {b})"
    # The database cannot loop over a list. Put the lower bound into the list and sort: the member after the bound's
    # first occurrence is the smallest one that is not below it.
    ordered = f"array_sort(array_append({column}, {a}))"
    return f"coalesce(array_element({ordered}, CAST(array_position({ordered}, {a}) AS BIGINT) + 1) <= {b}, false)"


def _escaped(text: str) -> str:
    """A text as part of a regular expression that matches it alone."""
    return "".join("\\" + c if c in r"\.+*?()|[]{}^$#&-~" else c for c in text)


def _like(column: str, kind: Kind, pattern: str) -> str:
    # Members of lists hold no line breaks (`summary`), so a joined list can be searched line by line.
    one = r"[^\n]" if kind is Kind.TEXTS else "."
    wild = {"%": one + "*", "_": one}
    body = "".join(wild.get(c) or _escaped(c) for c in pattern)
    if kind is Kind.TEXT:
        return f"regexp_like({column}, {quote(f'(?is)^{body}$')})"
    lines = f"array_to_string({column}, '\n')"
    return f"(coalesce(array_length({column}), 0) > 0 AND regexp_like({lines}, {quote(f'(?im)^{body}$')}))"
