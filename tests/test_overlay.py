"""Pictures, pages and files of comparisons, read back by other programs' rules: XML, HTML, DXF, Excel."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
import zipfile
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import dxf
import pytest
from drawings import circle, drawing, line

from deepdxf.compare import KINDS, compare
from deepdxf.drawing import Drawing, EntityClass
from deepdxf.errors import DeepDXFError
from deepdxf.overlay import LAYERS, LOOKS, NUMBER, legend_lines, look_of, overlay_svg, write_dxf, write_page
from deepdxf.reader import parse, read
from deepdxf.render import png
from deepdxf.report import write_xlsx

EVIL = "<script>alert('x')</script>"


def sheet(*entities: str) -> Drawing:
    frame = dxf.line(0, 0, 100, 0, "5 10,") + dxf.line(100, 0, 100, 60, "5 11,") + dxf.line(0, 0, 0, 60, "5 12,")
    return parse(dxf.encode(dxf.document(frame + "".join(entities), header="9 $ACADVER, 1 AC1015")))


def hole(handle: str, x: float, radius: float = 4, layer: str = "CUT") -> str:
    return f"0 CIRCLE, 5 {handle}, 8 {layer}, 10 {x}, 20 20, 30 0, 40 {radius},"


def note(handle: str, text: str, layer: str = "0") -> str:
    return f"0 TEXT, 5 {handle}, 8 {layer}, 10 30, 20 50, 30 0, 40 3, 1 {text},"


OLD = sheet(hole("A1", 10), hole("A2", 30), hole("A3", 50), hole("A4", 70), note("A5", "M8"), hole("A6", 90))
NEW = sheet(
    hole("A2", 33), hole("A3", 50, 5), hole("A4", 70, layer=EVIL), note("A5", EVIL), hole("A6", 90), hole("A7", 82, 2)
)
RESULT = compare(OLD, NEW)


def test_the_example_has_every_look() -> None:
    assert {look_of(d) for d in RESULT.differences} == {"removed", "added", "moved", "changed", "properties"}
    assert set(legend_lines(RESULT)) == set(NUMBER)


# --- picture ---------------------------------------------------------------------------------------------------------


def test_svg() -> None:
    svg = overlay_svg(OLD, NEW, RESULT, names=(EVIL, "b.dxf"))
    root = ElementTree.fromstring(svg)
    groups = {g.get("class"): g for g in root.iter("{http://www.w3.org/2000/svg}g") if g.get("class")}
    assert set(groups) == set(NUMBER)
    assert "<script" not in svg and svg == overlay_svg(OLD, NEW, RESULT, names=(EVIL, "b.dxf"))
    shown = " ".join("".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text"))
    assert EVIL in shown and "agreement" in shown
    for title in legend_lines(RESULT).values():
        assert title in shown
    assert png(svg).startswith(b"\x89PNG")


def test_kinds_differ_in_more_than_colour() -> None:
    for one, two in combinations(LOOKS, 2):
        if {one.name, two.name} != {
            "changed-old",
            "moved-old",
        }:  # joined to what is new: by their colour, and by an arrow
            assert (one.dash, one.sign, one.width) != (two.dash, two.sign, two.width)
        assert one.dash != two.dash or one.width != two.width or one.sign == two.sign == ""


def luminance(color: str) -> float:
    channels = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_are_seen_on_paper() -> None:
    """Contrast of at least 4.5 to white (WCAG 2, AA); what is unchanged stays behind with 3."""
    for look in LOOKS:
        contrast = 1.05 / (luminance(look.color) + 0.05)
        assert contrast >= (2.9 if look.name == "unchanged" else 4.5), look.name


def test_nothing_to_draw() -> None:
    for a, b in ((drawing(), drawing()), (drawing(), OLD), (OLD, drawing()), (OLD, OLD)):
        ElementTree.fromstring(overlay_svg(a, b, compare(a, b)))


def test_many_differences_do_not_cover_the_picture() -> None:
    old = drawing(line(0, 0, 500, 0), *(circle(5.0 * k, 10, 1) for k in range(100)))
    new = drawing(line(0, 0, 500, 0), *(circle(5.0 * k, 14, 1) for k in range(100)))
    svg = overlay_svg(old, new, compare(old, new))
    assert svg.count("<circle") < 40


# --- page ------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Tags, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.texts: list[str] = []
        self.code: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] in ("style", "script"):
            self.code[self.inside[-1]] = data
        else:
            self.texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "changes.html"
    write_page(path, OLD, NEW, RESULT, names=(EVIL, '"b".dxf'))
    return path.read_text(encoding="utf-8")


def test_page_lists_every_difference(page: str) -> None:
    parsed = Page(page)
    items = [attrs for tag, attrs in parsed.tags if tag == "li" and "data-look" in attrs]
    assert len(items) == len(RESULT.differences)
    assert sorted(str(item["data-look"]) for item in items) == sorted(map(look_of, RESULT.differences))
    for item in items:
        x0, y0, x1, y1 = map(float, str(item["data-box"]).split())
        assert x0 <= x1 and y0 <= y1
    text = "".join(parsed.texts)
    assert EVIL in text and "layer: “CUT” → “" + EVIL in text and "moved by 3 in x" in text


def test_page_stands_alone_and_is_safe(page: str) -> None:
    parsed = Page(page)
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    for tag, attrs in parsed.tags:
        assert not any(name.startswith("on") or name in ("style", "src", "href") for name in attrs), tag
    policy = next(attrs["content"] or "" for tag, attrs in parsed.tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    for name in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(parsed.code[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?:", page.replace("http://www.w3.org/2000/svg", ""))


def test_page_of_equal_drawings(tmp_path: Path) -> None:
    write_page(tmp_path / "same.html", OLD, OLD, compare(OLD, OLD))
    assert "show the same" in (tmp_path / "same.html").read_text(encoding="utf-8")


# --- DXF -------------------------------------------------------------------------------------------------------------


def test_dxf_layers(tmp_path: Path) -> None:
    write_dxf(tmp_path / "changes.dxf", OLD, NEW, RESULT)
    back = read(tmp_path / "changes.dxf")
    assert back.status == "ok" and set(back.layers) <= set(LAYERS) | {"0"}
    counts = {name: int((back.layer == k).sum()) for k, name in enumerate(back.layers)}
    assert counts["ADDED"] == len(RESULT.of("added")) == 1
    assert counts["REMOVED"] == len(RESULT.of("removed")) == 1
    assert counts["CHANGED"] == counts["CHANGED_OLD"] == 2
    assert counts["MOVED"] == counts["MOVED_OLD"] == 1
    assert counts["UNCHANGED"] == len(RESULT.same) == 4
    removed = back.select(back.layer == back.layers.index("REMOVED"))
    assert removed.points(0)[0, :2].tolist() == [10, 20]


def test_dxf_of_all_classes(tmp_path: Path) -> None:
    from deepdxf.synth import generate

    generate(tmp_path / "drawings", 110, seed=3)
    seen: set[int] = set()
    for path in sorted((tmp_path / "drawings").rglob("*.dxf")):
        old = read(path)
        if set(old.cls.tolist()) <= seen:
            continue
        seen |= set(old.cls.tolist())
        write_dxf(tmp_path / "out.dxf", old, old, compare(old, old))
        back = read(tmp_path / "out.dxf")
        assert back.status == "ok"
        assert abs(back.frame - old.frame).max() <= 0.02 * max(old.size)
    assert {EntityClass.DIMENSION, EntityClass.SPLINE, EntityClass.HATCH, EntityClass.MTEXT} <= seen


# --- Excel -----------------------------------------------------------------------------------------------------------


def test_workbook(tmp_path: Path) -> None:
    path = tmp_path / "changes.xlsx"
    formula = '=HYPERLINK("http://x")'
    rows = [
        {"no": 1, "text": formula, "at": 1.5, "ok": True, "none": None},
        {"no": 2, "text": "x\x00y", "list": ["a", "b"]},
    ]
    write_xlsx(path, {"differences": rows, "empty": []})
    with zipfile.ZipFile(path) as archive:
        strings = archive.read("xl/sharedStrings.xml").decode("utf-8")
        cells = archive.read("xl/worksheets/sheet1.xml").decode("utf-8")
    assert "=HYPERLINK" in strings and "<f>" not in cells and "hyperlink " not in cells
    assert "<v>1.5</v>" in cells and "a; b" in strings and "\ufffdy" in strings
    write_xlsx(path, {"differences": RESULT.rows()})
    assert zipfile.is_zipfile(path) and not list(tmp_path.glob("*.partial"))


def test_a_missing_extra_tells_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(DeepDXFError, match=r"pip install 'deepdxf\[report\]'"):
        write_xlsx(tmp_path / "x.xlsx", {"differences": RESULT.rows()})
    assert not list(tmp_path.iterdir())


def test_kinds_are_all_drawn() -> None:
    assert set(KINDS) < set(NUMBER)
