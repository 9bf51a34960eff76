"""Reports: complete files, nothing escapes from a cell or a page, nothing is fetched from elsewhere."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import math
import os
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf import report
from deepdxf.errors import DeepDXFError

PNG = b"\x89PNG\r\n\x1a\nnot really"


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag  # every element is closed in its turn

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def card(path: str = "parts/bracket.dxf", **more: object) -> report.Card:
    return report.Card(path, PNG, **more)  # type: ignore[arg-type]


def test_a_gallery_shows_query_hits_and_facts(tmp_path: Path) -> None:
    file = tmp_path / "Ø 5" / "a b.dxf"
    hit = card(
        "b/plate.dxf",
        score=0.91234,
        id="d17",
        file=file,
        facts={"size": "20 × 30 mm", "layers": [f"L{i}" for i in range(9)], "entities": 12, "unit": None},
        problems=["3 entities have coordinates that are no numbers"],
    )
    report.gallery(tmp_path / "g.html", card(), [hit, card("c.dxf", score=0.5)], title="Like bracket", note="in 400")
    page = Page((tmp_path / "g.html").read_text(encoding="utf-8"))
    assert page.open == []
    texts = [text.strip() for text in page.texts if text.strip()]
    for wanted in (
        "Like bracket",
        "in 400",
        "2 hits",
        "1",
        "0.912",
        "b/plate.dxf",
        "plate.dxf",
        "d17",
        "20 × 30 mm",
        "12",
    ):
        assert wanted in texts
    assert "3 entities have coordinates that are no numbers" in texts
    assert "L0, L1, L2, L3, L4, L5" in texts and "3 more" in texts and "L6, L7, L8" in texts
    assert "unit" not in texts
    assert [a["href"] for a in page.all("a")] == ["#hits", file.as_uri()]
    assert [float(p["value"] or 9) for p in page.all("progress")] == [0.912, 0.5]
    pictures = page.all("img")
    assert [p["alt"] for p in pictures] == [
        "Drawing bracket.dxf",
        "Hit 1: drawing plate.dxf",
        "Hit 2: drawing c.dxf",
    ]
    for picture in pictures:
        head, data = (picture["src"] or "").split(",")
        assert head == "data:image/png;base64" and base64.b64decode(data) == PNG


def test_a_gallery_runs_nothing_and_fetches_nothing(tmp_path: Path) -> None:
    report.gallery(tmp_path / "g.html", card(), [card(score=1.0)])
    html = (tmp_path / "g.html").read_text(encoding="utf-8")
    page = Page(html)
    policy = next(m["content"] or "" for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?:|url\(|@import|<script|<link|\son\w+=|\sstyle=", html)


def test_no_hits_is_said(tmp_path: Path) -> None:
    report.gallery(tmp_path / "g.html", card(), [])
    assert "No drawing in the archive matches." in Page((tmp_path / "g.html").read_text(encoding="utf-8")).texts


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_nothing_in_a_gallery_becomes_markup(tmp_path_factory: pytest.TempPathFactory, a: str, b: str, c: str) -> None:
    path = tmp_path_factory.getbasetemp() / "markup.html"

    def page(name: str, fact: str, title: str) -> list[str]:
        query = card(f"x/{name}", facts={"f": "v", "l": [fact]}, problems=[fact])
        report.gallery(path, query, [card(name, id="i" + title, score=0.1)], title=title, note="n" + fact)
        return [tag for tag, _ in Page(path.read_text(encoding="utf-8")).tags]

    # the same elements, whatever the names are
    assert page(a.replace("/", "").replace("\\", ""), b, c) == page("x", "x", "x")


def test_markup_in_names_is_shown(tmp_path: Path) -> None:
    name = '"><img src=x onerror=alert(1)>.dxf'
    report.gallery(tmp_path / "g.html", card(name), [])
    page = Page((tmp_path / "g.html").read_text(encoding="utf-8"))
    assert len(page.all("img")) == 1 and name in page.texts


def read_csv(path: Path) -> list[list[str]]:
    data = path.read_bytes()
    assert data[:3] == b"\xef\xbb\xbf"  # so that Excel takes it for UTF-8
    return list(csv.reader(io.StringIO(data[3:].decode("utf-8"), newline="")))


def test_csv_cells(tmp_path: Path) -> None:
    rows = [
        {"path": Path("a b/图.dxf"), "score": 0.5, "ok": True, "layers": ["CUT", "0"]},
        {"path": "x", "score": math.nan, "note": None, "n": np.int64(-3)},
    ]
    report.write_csv(tmp_path / "r.csv", rows)
    assert read_csv(tmp_path / "r.csv") == [
        ["path", "score", "ok", "layers", "note", "n"],
        ["a b/图.dxf", "0.5", "true", "CUT; 0", "", ""],
        ["x", "", "", "", "", "-3"],
    ]
    assert b"\r\n" in (tmp_path / "r.csv").read_bytes()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("x")', "\t=1", " =1", "\r=1", "\n@x"])
def test_formulas_are_texts(tmp_path: Path, text: str) -> None:
    report.write_csv(tmp_path / "r.csv", [{"a": text, "b": [text], text: -1.5}])
    header, row = read_csv(tmp_path / "r.csv")
    assert header == ["a", "b", "'" + text]
    assert row == ["'" + text, "'" + text, "-1.5"]  # a number stays a number


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=6))
def test_csv_round_trip(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "round.csv"
    report.write_csv(path, [{f"c{i}": cell for i, cell in enumerate(cells)}])
    back = read_csv(path)[1]
    for cell, read in zip(cells, back, strict=True):
        assert read in (cell, "'" + cell)
        assert not read.lstrip().startswith(("=", "+", "-", "@"))


@dataclass(frozen=True)
class Row:
    path: Path
    score: float
    sizes: tuple[float, ...]


def test_json_types(tmp_path: Path) -> None:
    value = {"rows": [Row(Path("a/b.dxf"), math.inf, (1.5, math.nan))], "mean": np.float32(0.5), "v": np.arange(3)}
    report.write_json(tmp_path / "r.json", value)
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == {
        "rows": [{"path": "a/b.dxf", "score": None, "sizes": [1.5, None]}],
        "mean": 0.5,
        "v": [0, 1, 2],
    }


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=12,
    )
)
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "round.json"
    report.write_json(path, value)
    assert json.loads(path.read_bytes()) == value


def test_names_that_are_no_text_survive(tmp_path: Path) -> None:
    """On Linux a file name may be any bytes; Python shows the bad ones as lone surrogates."""
    name = b"a\xff.dxf".decode("utf-8", "surrogateescape")
    report.write_json(tmp_path / "r.json", [name])
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == [name]
    report.write_csv(tmp_path / "r.csv", [{"path": name}])
    assert read_csv(tmp_path / "r.csv")[1] == ["a\\udcff.dxf"]
    report.gallery(tmp_path / "g.html", card(name), [])
    assert "a\ufffd.dxf" in (tmp_path / "g.html").read_text(encoding="utf-8")


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.csv"
    report.write_csv(path, [{"a": 1}])
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DeepDXFError, match=r"cannot write .*r\.csv: No space left on device"):
        report.write_csv(path, [{"a": 2}])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeepDXFError, match="nowhere"):
        report.write_json(tmp_path / "nowhere" / "r.json", [])


@pytest.mark.skipif(os.name != "posix", reason="permission bits are a matter of POSIX systems")
def test_reports_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    report.write_json(tmp_path / "r.json", [])
    assert (tmp_path / "r.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
