"""Filter expressions against an oracle in plain Python: the same rows must pass as in the database."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.archive import SCALAR_TYPES
from deepdxf.errors import FilterError
from deepdxf.where import COLUMNS, LISTS, MAX_DEPTH, Kind, compile_where

ROWS: list[dict[str, Any]] = [
    {"width_mm": 10.0, "circles": 4, "path": "a/cut.dxf", "layer": ["0", "CUT"], "dimension": [12.6, 12.75, 40.0]},
    {"width_mm": None, "circles": 5, "path": "a/Über_1.dxf", "layer": [], "dimension": []},
    {"width_mm": 199.9, "circles": 0, "path": "b/50% [x].dxf", "layer": ["CUTOUT", "EDIT"], "dimension": [-3.5, 0.0]},
    {"width_mm": 1e6, "circles": None, "path": "b/it's.dxf", "layer": ["图层", "it's"], "dimension": [12.8, 1e9]},
    {"width_mm": -1.0, "circles": 12, "path": "C/CUT.dxf", "layer": ["cut"], "dimension": [12.7]},
]
TIMES = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in range(1, 6)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import lancedb
    import pyarrow as pa

    schema = pa.schema([pa.field(name, SCALAR_TYPES[kind]()) for name, (kind, _) in COLUMNS.items()])
    empty = {name: [] if kind in LISTS else None for name, (kind, _) in COLUMNS.items()}
    rows = [empty | {"id": str(i), "modified": TIMES[i]} | row for i, row in enumerate(ROWS)]
    db = lancedb.connect(tmp_path_factory.mktemp("where"))
    return db.create_table("rows", pa.Table.from_pylist(rows, schema=schema))


def passing(table: Any, expression: str) -> list[int]:
    rows = table.search().where(compile_where(expression)).select(["id"]).to_list()
    return sorted(int(row["id"]) for row in rows)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("layer = 'CUT'", [0]),
        ("layer like 'cut%'", [0, 2, 4]),
        ("layer like 'C%T' and not layer = 'cut'", [0, 2]),
        ("layer like '%'", [0, 2, 3, 4]),
        ("layer != 'CUT'", [1, 2, 3, 4]),
        ("LAYER = '图层' OR layer = 'it''s'", [3]),
        ("layer is null", [1]),
        ("width_mm < 200", [0, 2, 4]),
        ("not width_mm < 200", [3]),  # row 1 has no width: it passes neither
        ("width_mm is not null", [0, 2, 3, 4]),
        ("dimension = 12.7", [4]),
        ("dimension = 12.7 ± 0.1", [0, 3, 4]),
        ("has dimension 12.7±0.1", [0, 3, 4]),
        ("has dimension 12.7+-0.05", [0, 4]),
        ("dimension between 12.61 and 12.74", [4]),
        ("dimension not between 12 and 13", [1, 2]),
        ("dimension > 1e8 or dimension < -3", [2, 3]),
        ("circles > 4", [1, 4]),
        ("circles in (4, 5)", [0, 1]),
        ("circles not in (4, 5)", [2, 4]),
        ("path like '%50\\% [x]%'", []),
        ("path like '%50_ [x].dxf'", [2]),
        ("path like '%ÜBER_1%'", [1]),
        ("path = 'b/it''s.dxf'", [3]),
        ("modified >= '2026-01-03T00:00:00Z' and modified < '2026-01-04T00:00:00+00:00'", [2]),
        ("(circles = 0 or circles = 12) and not (path like 'c/%')", [2]),
    ],
)
def test_expressions(table: Any, expression: str, expected: list[int]) -> None:
    assert passing(table, expression) == expected


def test_a_time_without_zone_is_local(table: Any) -> None:
    local = TIMES[2].astimezone().replace(tzinfo=None).isoformat(sep=" ")
    assert passing(table, f"modified = '{local}'") == [2]


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_can_be_compared(table: Any, column: str) -> None:
    value = {Kind.TEXT: "'x'", Kind.TEXTS: "'x'", Kind.TIME: "'2001-01-01'"}.get(COLUMNS[column][0], "77.5")
    assert passing(table, f"{column} = {value}") == []
    assert passing(table, f"{column} in ({value}, {value}) or {column} between {value} and {value}") == []


# --- oracle: random expressions, evaluated twice -------------------------------------------------------------------

Truth = bool | None  # None: unknown


def both(a: Truth, b: Truth) -> Truth:
    return False if a is False or b is False else None if a is None or b is None else True


def negate(a: Truth) -> Truth:
    return None if a is None else not a


def compare(operator: str, a: Any, b: Any) -> bool:
    table = {"=": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
    return bool(table[operator])


def like(text: str, pattern: str) -> bool:
    body = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(body, text, re.IGNORECASE | re.DOTALL) is not None


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


NUMBERS = st.sampled_from([-3.5, 0.0, 4.0, 5.0, 10.0, 12.6, 12.7, 12.75, 12.8, 40.0, 199.9, 1e6])
WORDS = st.sampled_from(["CUT", "cut", "0", "it's", "图层", "a/cut.dxf", "b/50% [x].dxf", "", "x' or '1'='1"])
PATTERNS = st.text(alphabet="cutCUT%_'[].x图", max_size=5)
OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


@st.composite
def predicates(draw: st.DrawFn) -> tuple[str, Any]:
    """An expression's text and its oracle: row -> truth."""
    column = draw(st.sampled_from(["width_mm", "circles", "dimension", "path", "layer"]))
    listed = COLUMNS[column][0] in LISTS
    numeric = column in ("width_mm", "circles", "dimension")
    form = draw(st.sampled_from(["compare", "between", "in", "null"] + ([] if numeric else ["like"])))
    values = draw(st.lists(NUMBERS if numeric else WORDS, min_size=2, max_size=3))
    text = [repr(v) if numeric else quoted(v) for v in values]
    if form == "compare":
        operator = draw(OPERATORS)
        expression, test = f"{column} {operator} {text[0]}", lambda x: compare(operator, x, values[0])
        if listed and operator == "!=":  # none of the members
            return expression, lambda row: values[0] not in row[column]
    elif form == "between":
        expression, test = f"{column} between {text[0]} and {text[1]}", lambda x: values[0] <= x <= values[1]
    elif form == "in":
        expression, test = f"{column} in ({', '.join(text)})", lambda x: x in values
    elif form == "like":
        pattern = draw(PATTERNS)
        expression, test = f"{column} like {quoted(pattern)}", lambda x: like(x, pattern)
    else:
        return f"{column} is null", lambda row: row[column] in (None, [])
    if listed:
        return expression, lambda row: any(test(x) for x in row[column])
    return expression, lambda row: None if row[column] is None else test(row[column])


def joined(children: st.SearchStrategy[tuple[str, Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    def conjunction(pair: tuple[tuple[str, Any], tuple[str, Any]]) -> tuple[str, Any]:
        (a, f), (b, g) = pair
        return f"({a}) AND ({b})", lambda row: both(f(row), g(row))

    def disjunction(pair: tuple[tuple[str, Any], tuple[str, Any]]) -> tuple[str, Any]:
        (a, f), (b, g) = pair
        return f"({a} or {b})", lambda row: negate(both(negate(f(row)), negate(g(row))))

    def negation(child: tuple[str, Any]) -> tuple[str, Any]:
        return f"not ({child[0]})", lambda row: negate(child[1](row))

    pairs = st.tuples(children, children)
    return st.one_of(pairs.map(conjunction), pairs.map(disjunction), children.map(negation))


@settings(max_examples=200, deadline=None)
@given(case=st.recursive(predicates(), joined, max_leaves=6))
def test_agrees_with_python(table: Any, case: tuple[str, Any]) -> None:
    expression, oracle = case
    assert passing(table, expression) == [i for i, row in enumerate(ROWS) if oracle(row) is True]


@settings(max_examples=50, deadline=None)
@given(value=st.floats(allow_nan=False, allow_infinity=False), low=st.floats(-1e9, 1e9), high=st.floats(-1e9, 1e9))
def test_any_number_survives(table: Any, value: float, low: float, high: float) -> None:
    assert passing(table, f"width_mm >= {value!r}") == [
        i for i, row in enumerate(ROWS) if row["width_mm"] is not None and row["width_mm"] >= value
    ]
    assert passing(table, f"dimension between {low!r} and {high!r}") == [
        i for i, row in enumerate(ROWS) if any(low <= x <= high for x in row["dimension"])
    ]


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "position", "hint"),
    [
        ("widht_mm < 3", 1, "did you mean width_mm?"),
        ("layer = CUT", 9, "a text in single quotes"),
        ("layer = 'CUT", 9, "closing quote"),
        ("width_mm < 'x'", 12, "a number"),
        ("width_mm like 'x'", 10, "needs a text column"),
        ("modified > 'soon'", 12, "2026-01-31"),
        ("width_mm < 1e999", 12, "too large"),
        ("width_mm < 3 width_mm", 14, "'and', 'or' or the end"),
        ("(width_mm < 3", 14, "expected ')'"),
        ("width_mm between 3", 19, "expected 'and'"),
        ("width_mm not 3", 14, "after 'not'"),
        ("circles > 4 ± 1", 9, "±"),
        ("", 1, "missing"),
        ("width_mm <", 11, "the end"),
        ("1 = 1", 1, "is no column"),
        ("width_mm = 1; drop table drawings", 13, "cannot read"),
        ("id = '' or 1=1 --", 16, "cannot read"),
        ("vector = 'x'", 1, "is no column"),
        ("_rowid > 3", 1, "is no column"),
        ("lower(path) = 'x'", 1, "is no column"),
        ('path = "x"', 8, "single quotes"),
        ("width_mm < 12abc", 12, "cannot read"),
        ("not " * 60 + "width_mm < 1", 37, "levels"),
        ("(" * 5000 + "width_mm < 1" + ")" * 4000, 10, "levels"),
        (" or ".join(["circles > 1"] * 101), 1501, "comparisons"),
    ],
)
def test_errors_name_position_and_way_out(expression: str, position: int, hint: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_where(expression)
    assert f"position {position}:" in str(caught.value) and hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_long() -> None:
    with pytest.raises(FilterError, match="10000"):
        compile_where("circles > 1 or " * 1000)


def test_the_longest_expressions_run(table: Any) -> None:
    wide = " or ".join(["dimension between 1 and 2 and layer like '%x%'"] * 50)
    assert passing(table, wide) == []
    deep = "not (not circles > 4 or " * 2 + "circles > 4" + ")" * 2
    assert passing(table, deep) == [1, 4]
    assert passing(table, "not (layer like '%x%' and " * 4 + "circles > 4" + ")" * 4) == [0, 1, 2, 3, 4]
    assert passing(table, "not " * MAX_DEPTH + "circles > 4") == [1, 4]


@settings(max_examples=300, deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(["layer", "=", "'x'", "and", "not", "(", ")", "dimension", "3", "±", "in", "like", ","]),
            max_size=12,
        ).map(" ".join),
    )
)
def test_never_anything_but_a_filter_error(text: str) -> None:
    try:
        sql = compile_where(text)
    except FilterError as error:
        assert re.match(r"filter, position \d+: ", str(error))
    else:
        assert sql


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=30))
def test_quoted_texts_cannot_escape(table: Any, text: str) -> None:
    """Whatever is typed between the quotes is compared and never run."""
    expected = [i for i, row in enumerate(ROWS) if row["path"] == text]
    assert passing(table, f"path = {quoted(text)}") == expected
    assert passing(table, f"layer = {quoted(text)}") == [i for i, row in enumerate(ROWS) if text in row["layer"]]


def test_number_is_not_a_special_value() -> None:
    assert math.isinf(float("inf"))  # what float() would accept …
    for word in ("inf", "nan", "-inf", "1_000"):  # … and the grammar does not
        with pytest.raises(FilterError):
            compile_where(f"width_mm < {word}")
