"""The real page in a real browser: Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from server_archive import content, make_archive

pytest.importorskip("fastapi")
pytest.importorskip("playwright")
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from deepdxf.server.app import create_app
from deepdxf.server.settings import Settings

CHROMIUM = os.environ.get("DEEPDXF_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 60_000  # with others at work on the same cores
expect.set_options(timeout=PATIENCE_MS)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install it (Debian: apt-get install chromium) or name it in DEEPDXF_CHROMIUM"
)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
ALL = (
    "/",
    "/drawings",
    "/duplicates",
    "/map",
    "/archive",
    "/api",
    "/search?text=plate",
    "/login",
    "/nothing",
    "/parts/none",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server."""
    folder = tmp_path_factory.mktemp("site")
    app = create_app(Settings(str(make_archive(folder)), hosts=frozenset({"127.0.0.1"})))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


class Watched:
    """A user's browser; what goes wrong in its pages is noted."""

    def __init__(self, context: BrowserContext, site: str) -> None:
        self.context, self.site = context, site
        self.complaints: list[str] = []
        context.set_default_timeout(PATIENCE_MS)
        self.page = self.new_page()

    def new_page(self) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.complaints.append("a dialog"), dialog.dismiss()))
        page.on("console", self._console)
        page.on("request", self._request)
        return page

    def _console(self, message: Any) -> None:
        # an answer of 4xx is noted by the browser, too
        if message.type == "error" and "status of 4" not in message.text:
            self.complaints.append(f"console: {message.text}")

    def _request(self, request: Any) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            self.complaints.append(f"asked another server: {request.url}")

    def go(self, path: str) -> Page:
        self.page.goto(self.site + path)
        return self.page


Users = Callable[..., Watched]


@pytest.fixture
def users(browser: Browser, site: str) -> Iterator[Users]:
    """Makes users; none of their pages may have complained in the end."""
    made: list[Watched] = []

    def make(**options: Any) -> Watched:
        made.append(Watched(browser.new_context(**options), site))
        return made[-1]

    yield make
    for user in made:
        user.context.close()
    assert [complaint for user in made for complaint in user.complaints] == []


def drawing(tmp_path: Path, name: str) -> Path:
    """A drawing of the archive as a file on the user's side."""
    path = tmp_path / Path(name).name
    path.write_bytes(content(name))
    return path


def hits(page: Page) -> list[str]:
    return page.locator("#results h3").all_inner_texts()


def search_with(page: Page, path: Path) -> None:
    page.set_input_files("#file", path)
    page.get_by_role("button", name="Find similar drawings").click()
    page.wait_for_selector("#results")
    page.wait_for_load_state()  # scripts have run


def test_upload_and_hits(users: Users, tmp_path: Path) -> None:
    page = users().go("/")
    search_with(page, drawing(tmp_path, "plates/plate-R1.dxf"))
    assert set(hits(page)[:2]) == {"plate-R1.dxf", "copy of plate.dxf"} and hits(page)[2] == "plate-R2.dxf"
    expect(page.locator(".query h3")).to_have_text("plate-R1.dxf")
    first = page.locator("#results .hit").first
    expect(first.locator(".why dt")).to_have_text(["sequence", "geometry", "strokes"])
    expect(first.locator(".score")).to_contain_text("score 1.000")
    expect(first.locator("img")).to_have_js_property("naturalWidth", 256)
    first.get_by_role("link", name="similar ones").click()
    page.wait_for_selector(".query")
    assert "query=u-" not in page.url


def test_drop(users: Users, tmp_path: Path) -> None:
    page = users().go("/")
    text = content("corners/corner.dxf").decode()
    transfer = page.evaluate_handle(
        "(text) => { const t = new DataTransfer(); t.items.add(new File([text], 'dropped.dxf')); return t; }", text
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    page.wait_for_selector("#results")
    assert hits(page)[0] == "corner.dxf"


def test_switches_and_filters(users: Users, tmp_path: Path) -> None:
    page = users().go("/")
    search_with(page, drawing(tmp_path, "corners/corner.dxf"))
    score = page.locator(".hit", has_text="turned-over.dxf").locator(".score b")
    before = float(score.inner_text())
    page.get_by_label("mirrored").check()
    expect(score).not_to_have_text(f"{before:.3f}")
    assert float(score.inner_text()) > before + 0.05
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Layer").fill("DRILL")
    page.get_by_label("Layer").press("Enter")
    expect(page.locator("#results-heading")).to_have_text("1 hit")
    assert hits(page) == ["small.dxf"]
    expect(page.locator("#announce")).to_have_text("1 hit")
    assert "layer=DRILL" in page.url and "mirrored=true" in page.url
    page.get_by_label("Filter expression").fill("nothing = 1")
    page.get_by_label("Filter expression").press("Enter")
    expect(page.locator("#results .problem")).to_contain_text("is no column")
    page.get_by_label("Filter expression").fill("")
    page.get_by_label("Layer").fill("NOWHERE")
    page.get_by_label("Layer").press("Enter")
    expect(page.locator("#results .empty")).to_contain_text("No drawing passes")
    page.reload()
    expect(page.get_by_label("Layer")).to_have_value("NOWHERE")


def test_compare_step_by_step(users: Users, tmp_path: Path) -> None:
    page = users().go("/")
    search_with(page, drawing(tmp_path, "plates/plate-R1.dxf"))
    page.locator(".hit", has_text="plate-R2.dxf").get_by_role("link", name="compare").click()
    expect(page.locator("#position")).to_have_text("2 differences")
    assert page.locator(".list ol > li").count() == 2
    page.wait_for_load_state()
    page.keyboard.press("n")
    expect(page.locator("#position")).to_have_text("1 of 2 differences")
    expect(page.locator(".list li.current")).to_have_count(1)
    assert float(page.locator("#mark").get_attribute("width") or 0) > 0
    page.get_by_role("button", name="next").click()
    expect(page.locator("#position")).to_have_text("2 of 2 differences")
    page.get_by_role("link", name="swap").click()
    expect(page.locator("h1")).to_contain_text("plate-R2.dxf → B plate-R1.dxf")
    page.get_by_label("tolerance").fill("2")
    page.get_by_role("button", name="Compare again").click()
    expect(page.locator("#position")).to_have_text("1 difference")  # the hole that is 1 larger is the same now


def test_drawing_page(users: Users, tmp_path: Path) -> None:
    page = users().go("/drawings")
    page.get_by_role("link", name="plate-R1.dxf").last.click()
    page.wait_for_selector("#view svg .svg-pan-zoom_viewport")
    expect(page.locator(".facts")).to_contain_text("4 LINE, 2 CIRCLE, 1 TEXT")
    drawn = page.locator(".svg-pan-zoom_viewport")
    before = drawn.get_attribute("transform") or ""
    page.locator("#view").focus()
    page.keyboard.press("+")
    expect(drawn).not_to_have_attribute("transform", before)
    page.set_input_files("#file", drawing(tmp_path, "plates/plate-R2.dxf"))
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("#position")).to_have_text("2 differences")
    page = users().go("/drawings?name=gone")
    page.locator("#results h3 a").click()
    expect(page.locator("#view .problem")).to_contain_text("index the folder again")


def test_review_by_keyboard(users: Users) -> None:
    user = users()
    page = user.go("/duplicates?min_score=0.999")
    expect(page.locator("[data-group]")).to_have_count(1)
    page.keyboard.press("j")
    expect(page.locator("[data-group]").first).to_be_focused()
    page.keyboard.press("n")
    expect(page.locator("#review .empty")).to_be_visible()
    expect(page.locator("#announce")).to_have_text("0 groups")
    page.goto(f"{user.site}/duplicates?min_score=0.999&show=decided")
    expect(page.locator("[data-group]")).to_contain_text("not the same")
    page.keyboard.press("x")
    page.locator(".bulk").get_by_role("button", name="open again").click()
    expect(page.locator("#review .empty")).to_be_visible()
    page.goto(f"{user.site}/duplicates?min_score=0.999")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#position")).to_have_text("no differences")


def test_revisions_as_a_timeline(users: Users, tmp_path: Path) -> None:
    page = users().go("/")
    search_with(page, drawing(tmp_path, "plates/plate-R2.dxf"))
    page.locator(".hit", has_text="plate-R2.dxf").first.locator("h3 a").click()
    page.get_by_role("link", name="Revisions").click()
    names = page.locator(".timeline h2").all_inner_texts()
    assert names.index("plate-R1.dxf") < names.index("plate-R2.dxf")
    expect(page.locator(".version.this h2")).to_have_text("plate-R2.dxf")
    step = page.locator(".version.this").locator("xpath=preceding-sibling::li[1]")
    expect(step).to_contain_text("1 added, 1 changed")  # loaded after the page
    step.get_by_role("link").click()
    expect(page.locator("#position")).to_have_text("2 differences")


def test_two_users_at_once(users: Users, tmp_path: Path) -> None:
    one, two = users(), users()
    for user, name in ((one, "plates/small.dxf"), (two, "corners/corner.dxf")):
        user.go("/")
        user.page.set_input_files("#file", drawing(tmp_path, name))
    for user in (one, two):  # both are sent before either is answered
        user.page.evaluate("document.querySelector('form[data-drop]').requestSubmit()")
    for user, name in ((one, "small.dxf"), (two, "corner.dxf")):
        user.page.wait_for_selector("#results")
        assert hits(user.page)[0] == name
    for user in (one, two):
        user.go("/duplicates?min_score=0.999&show=all")
    one.page.locator("[data-verdict=same]").click()
    expect(one.page.locator("[data-group]")).to_contain_text("the same")
    two.page.locator("[data-verdict=ignore]").click()  # on a page that does not know of the first decision
    box = two.page.locator("#review .problem")
    expect(box).to_contain_text("Somebody else has decided meanwhile")
    expect(box).to_contain_text("copy of plate.dxf has become: the same")
    one.page.reload()
    expect(one.page.locator("[data-group]")).to_contain_text("the same")  # nothing was written
    two.page.get_by_role("button", name="Decide “ignored” all the same").click()
    expect(two.page.locator("[data-group]")).to_contain_text("ignored")
    expect(box).to_have_count(0)
    one.page.locator("[data-verdict=open]").click()  # which does not know of the second
    one.page.get_by_role("link", name="Leave it as it is now").click()
    expect(one.page.locator("[data-group]")).to_contain_text("ignored")
    one.page.locator("[data-verdict=open]").click()
    expect(one.page.locator("[data-verdict=open]")).to_have_count(0)


def opened(users: Users, name: str, **options: Any) -> Page:
    """The page of a drawing, when its picture is there."""
    page = users(**options).go(f"/drawings?name={name}")
    page.locator("#results h3 a").first.click()
    page.wait_for_selector("#view svg .svg-pan-zoom_viewport")
    expect(page.get_by_role("button", name="select a detail")).to_be_enabled()
    return page


def corners(page: Page) -> list[float]:
    return [float(page.locator(f"#detail [name={name}]").input_value()) for name in ("x0", "y0", "x1", "y1")]


def at_rest(page: Page, selector: str) -> dict[str, float]:
    """Where an element is, when the page no longer moves it: a hint that appears or a picture that is fitted would."""
    return page.evaluate(
        """async (selector) => {
          const frame = () => new Promise(requestAnimationFrame);
          const place = () => document.querySelector(selector).getBoundingClientRect().toJSON();
          let before = place(), same = 0;
          while (same < 5) {
            await frame();
            const now = place();
            same = JSON.stringify(now) === JSON.stringify(before) ? same + 1 : 0;
            before = now;
          }
          return before;
        }""",
        selector,
    )


def test_detail_by_pointer(users: Users) -> None:
    page = opened(users, "plate-R2")
    button = page.get_by_role("button", name="select a detail")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    outline = at_rest(page, ".svg-pan-zoom_viewport > g")  # of the plate, 120 × 60
    page.mouse.move(outline["x"] - 4, outline["y"] - 4)
    page.mouse.down()
    page.mouse.move(outline["x"] + 50, outline["y"] + 50)
    page.mouse.move(outline["x"] + outline["width"] + 4, outline["y"] + outline["height"] + 4)
    page.mouse.up()
    x0, y0, x1, y1 = corners(page)
    assert -8 < x0 <= 0 and -8 < y0 <= 0 and 120 <= x1 < 128 and 60 <= y1 < 68
    expect(page.locator("#view .selection")).to_have_count(1)
    page.locator("#detail").get_by_role("button").click()
    page.wait_for_selector("#results .hit")
    assert {"plate-R1.dxf", "copy of plate.dxf"} <= set(hits(page))
    expect(page.locator("#results .places").first).to_contain_text("at (")
    page.wait_for_function("document.querySelector('#results img').naturalWidth > 0")
    page.get_by_label("Least share").fill("0.999")
    page.get_by_role("button", name="Search again").click()
    expect(page.locator("#results-heading")).to_contain_text("0 drawings contain it")


def test_detail_by_keyboard(users: Users) -> None:
    page = opened(users, "plate-R1")
    page.get_by_role("button", name="select a detail").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#view")).to_be_focused()
    before = corners(page)
    page.keyboard.press("ArrowRight")
    moved = corners(page)
    assert moved[0] > before[0] and moved[2] > before[2] and moved[1] == before[1]
    for key, times in (("Shift+ArrowRight", 45), ("ArrowLeft", 20), ("Shift+ArrowDown", 30), ("ArrowUp", 10)):
        for _ in range(times):
            page.keyboard.press(key)
    expect(page.locator("#announce")).to_contain_text("frame from")
    x0, y0, x1, y1 = corners(page)
    assert x0 < 0 and x1 > 120 and y0 < 0 and y1 > 60
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .hit")
    assert "copy of plate.dxf" in hits(page)


def test_detail_without_scripts_and_by_upload(users: Users, tmp_path: Path) -> None:
    page = users(java_script_enabled=False).go("/")
    page.set_input_files("#file", drawing(tmp_path, "corners/corner.dxf"))
    page.get_by_label("mirrored").check()
    page.get_by_role("button", name="Find drawings that contain it").click()
    page.wait_for_selector("#results .hit")  # the page loads itself anew until it is done
    assert set(hits(page)) == {"corner.dxf", "turned-over.dxf"}
    expect(page.locator(".hit", has_text="turned-over.dxf")).to_contain_text("mirrored")
    page = users().go("/drawings?name=plate-R1")
    page.locator("#results h3 a").first.click()
    for name, value in zip(("x0", "y0", "x1", "y1"), ("300", "300", "310", "310"), strict=True):
        page.locator(f"#detail [name={name}]").fill(value)
    page.locator("#detail").get_by_role("button").click()
    expect(page.locator("h1")).to_have_text("There is too little in the detail")


def test_long_search_shows_progress_and_is_stopped(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepdxf.server import library as library_module

    go_on = threading.Event()
    real = library_module.find_duplicates

    def slow(*args: Any, progress: Any, **options: Any) -> Any:
        for done in range(1000):
            progress(done, 4321)
            if go_on.wait(0.05):
                break
        return real(*args, progress=progress, **options)

    monkeypatch.setattr(library_module, "find_duplicates", slow)
    page = users().go("/duplicates?min_score=0.77")
    expect(page.locator("#review")).to_contain_text("of 4 321 drawings compared")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#review")).to_contain_text("was stopped")
    page.get_by_role("link", name="Begin again").click()
    expect(page.locator("#review progress")).to_have_count(1)
    go_on.set()
    expect(page.locator("#review h2")).to_contain_text("group")


def test_oversized_upload_is_refused(users: Users, tmp_path: Path) -> None:
    large = tmp_path / "large.dxf"
    with large.open("wb") as file:
        file.truncate(50 * 2**20)
    page = users().go("/")
    page.set_input_files("#file", large)
    page.get_by_role("button", name="Find similar drawings").click()
    expect(page.locator("[data-status]")).to_contain_text("larger than the 32 MB")
    plain = users(java_script_enabled=False).go("/")  # so the server has to refuse it
    plain.set_input_files("#file", large)
    plain.get_by_role("button", name="Find similar drawings").click()
    expect(plain.locator("h1")).to_have_text("The file is too large")
    expect(plain.locator(".problem")).to_contain_text("32 MB")


@pytest.mark.parametrize(
    ("data", "words"), [(b"%PDF-1.7", "not a DXF or DWG drawing but a PDF"), (b"x", "not a DXF"), (b"", "is empty")]
)
def test_broken_drawing_is_explained(users: Users, tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "broken.dxf"
    path.write_bytes(data)
    page = users().go("/")
    page.set_input_files("#file", path)
    page.get_by_role("button", name="Find similar drawings").click()
    expect(page.locator("h1")).to_have_text("The drawing cannot be read")
    expect(page.locator(".problem")).to_contain_text(words)


def test_keyboard_only(users: Users) -> None:
    user = users()
    page = user.go("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.goto(user.site + "/")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "find":
            break
    page.keyboard.type("lead frame")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results h3")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#results h3') !== null"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#view svg")
    page.goto(user.site + "/map")
    page.wait_for_selector("canvas[data-ready]")
    page.focus("canvas")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tip")).to_be_visible()
    name = page.locator(".tip span").inner_text()
    expect(page.locator("#announce")).to_have_text(name)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(name)


def test_indexing_shows_its_progress(users: Users) -> None:
    page = users().go("/archive")
    page.get_by_role("button", name="Bring up to date").click()
    expect(page.locator(".job h3").first).to_have_text("index: done")


def test_without_scripts(users: Users, tmp_path: Path) -> None:
    page = users(java_script_enabled=False).go("/")
    search_with(page, drawing(tmp_path, "plates/plate-R1.dxf"))
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Layer").fill("DRILL")
    page.get_by_role("button", name="Search", exact=True).click()
    assert hits(page) == ["small.dxf"]
    page.goto(page.url.split("/search")[0] + "/duplicates?min_score=0.999&show=all&wait=1")
    page.locator("[data-verdict=ignore]").click()
    expect(page.locator("[data-group]")).to_contain_text("ignored")
    page.locator("[data-verdict=open]").click()
    expect(page.locator("[data-verdict=open]")).to_have_count(0)


def test_hostile_drawing(users: Users) -> None:
    page = users().go("/search?text=alert")
    assert hits(page) == ["hostile.dxf"]
    page.locator("#results h3 a").click()
    page.wait_for_selector("#view svg")
    expect(page.locator(".facts")).to_contain_text("<script>alert(1)</script>")
    assert page.locator("#view script").count() == 0  # the fixture sees to it that no dialog opened


UNNAMED = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, img, canvas")].filter((e) => {
  if (e.tagName === "IMG") return !e.hasAttribute("alt");
  const labels = e.labels ? [...e.labels].map((l) => l.textContent).join("") : "";
  return !(e.getAttribute("aria-label") || labels.trim() || e.textContent.trim() || e.querySelector("img[alt]:not([alt=''])"));
}).map((e) => e.outerHTML.slice(0, 100))"""


@pytest.mark.parametrize("path", ALL)
def test_pages_are_fit_for_everybody(users: Users, path: str) -> None:
    page = users(viewport={"width": 360, "height": 740}).go(path)
    if path == "/map":
        page.wait_for_selector("canvas[data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [name for name in page.evaluate(UNNAMED) if "tip card" not in name] == []
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
    assert page.get_attribute("html", "lang") == "en"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_light_and_dark(users: Users) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = (users(color_scheme=scheme).go("/").evaluate(paper) for scheme in ("light", "dark"))
    assert light == "rgb(244, 246, 249)" and dark == "rgb(16, 21, 29)"
