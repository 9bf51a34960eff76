"""What the server refuses, hides and survives."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from server_archive import HOSTILE, content, make_archive

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from deepdxf.archive import Archive
from deepdxf.errors import DeepDXFError
from deepdxf.server import access
from deepdxf.server.access import load_tokens, new_token
from deepdxf.server.app import create_app
from deepdxf.server.library import clean_name
from deepdxf.server.pages import own_path
from deepdxf.server.settings import Settings

API = "/api/v1"
LOCAL = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("guarded"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads") / "kept"


@pytest.fixture(scope="module")
def client(archive: Path, kept: Path) -> Iterator[TestClient]:
    """A server as `deepdxf serve` starts it on loopback, with a small limit for uploads."""
    hosts = frozenset({"localhost", "127.0.0.1"})
    with TestClient(create_app(Settings(str(archive), hosts=hosts, workers=1, keep=kept, upload_mb=1)), LOCAL) as made:
        yield made


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("tokens") / "tokens.txt"
    made = {"reader": new_token(path, "reader", "read"), "writer": new_token(path, "writer", "read,write")}
    return {**made, "file": str(path)}


@pytest.fixture(scope="module")
def guarded(archive: Path, tokens: dict[str, str]) -> Iterator[TestClient]:
    """A server with tokens."""
    with TestClient(create_app(Settings(str(archive), tokens=Path(tokens["file"]), workers=1))) as made:
        yield made


def ids_of(client: TestClient, **headers: str) -> dict[str, str]:
    return {item["path"]: item["id"] for item in client.get(f"{API}/drawings", headers=headers).json()["items"]}


# --- texts of drawings stay texts


def attributes(page: str) -> set[str]:
    """Names of all attributes of a page."""
    found: set[str] = set()

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update(name for name, _ in attrs)

    Parser().feed(page)
    return found


def test_markup_in_a_picture_is_text(client: TestClient) -> None:
    id = ids_of(client)["hostile.dxf"]
    response = client.get(f"{API}/drawings/{id}/drawing.svg")
    root = ElementTree.fromstring(response.text)
    names = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert "script" not in names and names <= {"svg", "rect", "g", "title", "path", "text"}
    assert HOSTILE in {element.text for element in root.iter()}  # it is there, as text
    assert "sandbox" in response.headers["content-security-policy"]


def test_markup_in_pages_is_text(client: TestClient) -> None:
    ids = ids_of(client)
    a, b = ids["plates/plate-R1.dxf"], ids["hostile.dxf"]
    sent = client.post(
        f"{API}/search", files={"file": ("<img src=x onerror=alert(1)>.dxf", content("hostile.dxf"))}
    ).json()["query"]["id"]
    script, image = quote(HOSTILE), quote('"><img src=x onerror=alert(1)>')
    for path in (
        f"/drawings/{b}", f"/drawings/{b}/view", f"/compare?a={a}&b={b}", f"/compare?a={sent}&b={a}",
        f"/search?query={sent}", f"/search?text={script}", f"/search?query={a}&where={script}",
        f"/search?query={a}&layer={image}&min_score={image}", f"/drawings?name={image}", f"/drawings/{sent}",
        f"/duplicates?min_score={image}", f"/duplicates?where={script}", f"/login?next={image}", f"/{script}",
        f"/revisions/{b}", f"/drawings/{image}",
    ):  # fmt: skip
        text = client.get(path).text
        assert "<script>" not in text and "<img src=x" not in text, path
        names = attributes(text)
        assert names and "style" not in names, path  # the policy forbids both
        assert not [name for name in names if name.startswith("on")], path


def test_every_answer_carries_the_policy(client: TestClient) -> None:
    for path in ("/", "/nothing", f"{API}/health", f"{API}/nothing", "/map", "/static/site.js"):
        response = client.get(path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, path
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "same-origin"
    for path in ("/", "/map", "/archive", "/api", "/duplicates", "/drawings", "/login"):
        page = client.get(path).text
        assert re.findall(r"<script(?! src=\"/static/)", page) == []  # scripts are files of the page
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", page)  # nothing of other servers


# --- paths


def test_no_path_of_the_server_in_any_answer(client: TestClient, archive: Path) -> None:
    ids = ids_of(client)
    job = client.post(f"{API}/jobs", json={"kind": "index"}).json()["id"]
    some = [ids[name] for name in ("plates/plate-R1.dxf", "gone.dxf", "broken.dxf", "empty.dxf")]
    paths = ["/", "/drawings", "/archive", "/map", "/duplicates", f"/search?query={some[0]}", f"/nothing{archive}"]
    paths += [f"{API}{path}" for path in ("/drawings", "/jobs", f"/jobs/{job}", "/duplicates", "/health", "/metrics")]
    paths += [f"{API}/drawings?where={quote(where)}" for where in ("root like '/%'", "nothing", "path = ")]
    for id in some:
        tails = ("", "/drawing.svg", "/revisions")
        paths += [f"/drawings/{id}", f"/drawings/{id}/view", *(f"{API}/drawings/{id}{tail}" for tail in tails)]
        paths += [f"{API}/compare?a={some[0]}&b={id}", f"/compare?a={id}&b={some[0]}", f"{API}/search?query={id}"]
        paths += [f"/revisions/{id}", f"/step?a={some[0]}&b={id}"]
    secret = archive.parent.as_posix()
    for path in paths:
        response = client.get(path)
        assert response.status_code != 500, path
        if archive.name not in path.rsplit("/", 1)[-1]:
            assert secret not in response.text and "secret place" not in response.text, path


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../evil.dxf", "evil.dxf"),
        ("..\\..\\evil.dxf", "evil.dxf"),
        ("/etc/passwd.dxf", "passwd.dxf"),
        ("C:\\windows\\x.dxf", "x.dxf"),
        ("a\nb.dxf", "a b.dxf"),
        ("..", "drawing"),
        ("", "drawing"),
    ],
)
def test_names_of_uploads(sent: str, name: str) -> None:
    assert clean_name(sent) == name


def test_kept_uploads_stay_in_their_folder(client: TestClient, kept: Path) -> None:
    outside = kept.parent / "evil.dxf"
    for name in ("../evil.dxf", "..\\evil.dxf", "../evil.dxf", "a:b*c?.dxf"):
        assert client.post(f"{API}/drawings", files={"file": (name, content("plates/small.dxf"))}).status_code == 202
    names = sorted(path.name for path in kept.iterdir())
    assert names == ["a_b_c_.dxf", "evil (2).dxf", "evil (3).dxf", "evil.dxf"] and not outside.exists()
    refused = client.post(f"{API}/drawings", files={"file": ("page.html", content("plates/small.dxf"))})
    assert refused.status_code == 400 and len(list(kept.iterdir())) == 4


def test_names_in_archives_stay_below_their_folders(tmp_path: Path) -> None:
    archive = make_archive(tmp_path)
    outside = tmp_path / "outside.dxf"
    outside.write_bytes(content("plates/small.dxf"))
    table = Archive.open(archive)._table
    row = Archive.open(archive).records("path = 'plates/small.dxf'", ("path",))[0]
    for path in ("../../outside.dxf", outside.as_posix()):
        table.update(where=f"id = '{row['id']}'", values={"path": path})
        with TestClient(create_app(Settings(str(archive), workers=1))) as client:
            response = client.get(f"{API}/drawings/{row['id']}/drawing.svg")
            assert response.status_code == 404 and "<svg" not in response.text


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/vendor/../../app.py", "/static//etc/passwd"]
)
def test_files_of_the_page_are_a_fixed_set(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404 and "import" not in response.text


# --- sizes and times


def test_large_bodies_are_refused(client: TestClient) -> None:
    data = b"0" * (3 * 2**20)
    for path in (f"{API}/search", "/search", f"{API}/compare", "/login"):
        response = client.post(path, files={"file": ("big.dxf", data)})
        assert response.status_code == 413 and "1 MB" in response.text, path

    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.dxf"\r\n\r\n'
        yield from [b"0" * 2**19] * 6
        yield b"\r\n--x--\r\n"

    kind = {"content-type": "multipart/form-data; boundary=x"}
    response = client.post(f"{API}/search", content=chunks(), headers=kind)  # its length is not told
    assert response.status_code == 413 and response.json()["limit_bytes"] == 2**20


def test_uploads_are_never_on_the_disk(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a file was made")

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    data = content("plates/small.dxf") + b"\n" * (3 * 2**20)  # the framework keeps 1 MB in memory by itself
    with TestClient(create_app(Settings(str(archive), workers=1, upload_mb=4))) as client:
        assert client.post(f"{API}/search", files={"file": ("a.dxf", data)}).status_code == 200


Message = dict[str, Any]


def ask(app: Any, messages: list[Message | None], path: str = f"{API}/search") -> list[Message]:
    """What an application sends to a client that sends these parts; None: it says nothing more."""
    sent: list[Message] = []

    async def receive() -> Message:
        message = messages.pop(0) if messages else None
        if message is None:
            await asyncio.sleep(3600)
        assert message is not None
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"x"), (b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": headers, "scheme": "http", "server": ("x", 80), "client": ("127.0.0.1", 1),
             "http_version": "1.1", "root_path": "", "state": {}}  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent


def test_slow_and_vanishing_clients(archive: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Settings(str(archive), body_s=0.2))
    part = {"type": "http.request", "body": b"--x\r\n", "more_body": True}
    sent = ask(app, [dict(part), None])
    assert sent[0]["status"] == 408
    with caplog.at_level(logging.INFO, "deepdxf.server"):
        ask(app, [dict(part), {"type": "http.disconnect"}])
    assert [" 499 " in record.getMessage() for record in caplog.records] == [True]


# --- who may do what


def test_scopes(guarded: TestClient, tokens: dict[str, str]) -> None:
    def code(method: str, path: str, token: str | None, **given: Any) -> int:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return guarded.request(method, path, headers=headers, follow_redirects=False, **given).status_code

    read = [("GET", f"{API}/drawings"), ("GET", f"{API}/metrics"), ("GET", f"{API}/map"), ("GET", f"{API}/duplicates")]
    for method, path in read:
        assert [code(method, path, token) for token in (None, "wrong", tokens["reader"])] == [401, 401, 200]
    job = {"json": {"kind": "index"}}
    assert [code("POST", f"{API}/jobs", t, **job) for t in (None, tokens["reader"], tokens["writer"])] == [
        401,
        403,
        202,
    ]
    wanted = {"json": {"groups": ["none"], "verdict": "same"}}
    asked = [
        code("POST", f"{API}/duplicates/decisions", t, **wanted) for t in (None, tokens["reader"], tokens["writer"])
    ]
    assert asked == [401, 403, 409]
    assert code("GET", f"{API}/health", None) == 200
    described = guarded.get(f"{API}/openapi.json").json()
    for path, methods in described["paths"].items():  # none was forgotten
        for method in methods:
            if not path.endswith("/health"):
                assert code(method.upper(), path.replace("{id}", "x"), None) in (401, 422), path


def test_every_page_needs_a_token(guarded: TestClient, tokens: dict[str, str]) -> None:
    pages = ("/", "/drawings", "/drawings/x", "/drawings/x/view", "/drawings/x/thumbnail.png", "/search?text=a", "/map",
             "/archive", "/api", "/duplicates", "/revisions/x", "/compare?a=x&b=y", "/step?a=x&b=y", "/parts/x")  # fmt: skip
    for path in pages:
        response = guarded.get(path, follow_redirects=False)
        assert response.status_code == 303 and response.headers["location"] == f"/login?next={quote(path)}"
    for path in ("/search", "/compare", "/duplicates", "/archive/index", "/jobs/x/cancel", "/parts"):
        response = guarded.post(path, files={"file": ("a.dxf", b"x")}, follow_redirects=False)
        assert response.status_code in (303, 422), path
        if response.status_code == 303:
            assert response.headers["location"] == "/login"


def test_session(guarded: TestClient, tokens: dict[str, str]) -> None:
    wrong = guarded.post("/login", data={"token": "x"}, follow_redirects=False)
    assert wrong.status_code == 401 and "set-cookie" not in wrong.headers
    right = guarded.post("/login", data={"token": tokens["reader"], "next": "/map"}, follow_redirects=False)
    cookie = right.headers["set-cookie"]
    assert right.headers["location"] == "/map" and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert tokens["reader"] not in cookie
    session = {"cookie": cookie.split(";")[0]}
    guarded.cookies.clear()
    assert guarded.get("/map", headers=session).status_code == 200
    assert guarded.post("/archive/index", headers=session).status_code == 403
    guarded.post("/logout", headers=session, follow_redirects=False)
    assert guarded.get("/map", headers=session, follow_redirects=False).status_code == 303
    guarded.cookies.clear()


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "/a\nb"])
def test_signing_in_leads_nowhere_else(path: str) -> None:
    assert own_path(path) == "/"


def test_tokens_are_compared_in_constant_time(
    guarded: TestClient, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def digest(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(access, "hmac", type("Hmac", (), {"compare_digest": staticmethod(digest)}))
    for token in ("x", tokens["reader"], tokens["writer"]):
        compared.clear()
        guarded.get(f"{API}/map", headers={"authorization": f"Bearer {token}"})
        assert len(compared) == 2 and all(len(a) == len(b) == 32 for a, b in compared)  # each, wherever one matches


def test_token_files(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    token = new_token(path, "alice", "read,write")
    assert token not in path.read_text() and load_tokens(path)[0].scopes == {"read", "write"}
    for text in ("alice read plain-token\n", "alice admin " + "0" * 64, "# none\n"):
        path.write_text(text)
        with pytest.raises(DeepDXFError, match="--new-token NAME"):
            load_tokens(path)
    with pytest.raises(DeepDXFError, match="cannot be read"):
        load_tokens(tmp_path / "none.txt")
    with pytest.raises(DeepDXFError, match="name: letters"):
        new_token(path, "a b", "read")


def test_other_sites_are_refused(client: TestClient) -> None:
    file = {"file": ("a.dxf", content("plates/small.dxf"))}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        for path in (f"{API}/search", "/search", f"{API}/jobs", "/archive/index", "/duplicates"):
            response = client.post(path, files=file, headers={"origin": origin})
            assert response.status_code == 403 and "other site" in response.text.replace("another", "other"), path
    assert client.post(f"{API}/search", files=file, headers={"origin": LOCAL}).status_code == 200
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        assert client.get("/", headers={"host": host}).status_code == 421
    assert client.get("/", headers={"host": "localhost:8000"}).status_code == 200


def test_log_has_no_contents(guarded: TestClient, tokens: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    headers = {"authorization": f"Bearer {tokens['reader']}"}
    with caplog.at_level(logging.DEBUG, "deepdxf"):
        guarded.get(f"{API}/search", params={"text": "lead frame"}, headers=headers)
        guarded.get(f"{API}/drawings", params={"where": "layer = 'SECRET-LAYER'"}, headers=headers)
        guarded.post(f"{API}/search", files={"file": ("secret-name.dxf", content("hostile.dxf"))}, headers=headers)
        guarded.post(f"{API}/search", files={"file": ("secret-name.dxf", b"broken")}, headers=headers)
        guarded.get("/secret-path", headers=headers)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 5 and all("by reader" in line for line in lines[:4])
    for word in ("lead", "SECRET", "secret", "script", tokens["reader"], "plate"):
        assert word not in caplog.text


def test_defects_tell_nothing(archive: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Settings(str(archive)))

    def fail() -> None:
        raise RuntimeError("the secret of /secret place")

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/").status_code == 200
        monkeypatch.setattr(app.state.server.library, "catalogue", fail)
        for path in ("/", f"{API}/drawings"):
            response = client.get(path)
            assert response.status_code == 500 and "secret" not in response.text
            assert response.headers["x-request-id"] in response.text
    assert "RuntimeError at test_server_security.py" in caplog.text and "the secret of" not in caplog.text


def test_scopes_of_jobs_and_names_of_who_decides(guarded: TestClient, tokens: dict[str, str]) -> None:
    reader, writer = ({"authorization": f"Bearer {tokens[name]}"} for name in ("reader", "writer"))
    job = guarded.post(f"{API}/jobs", json={"kind": "duplicates", "min_score": 0.999}, headers=reader)
    assert job.status_code == 202  # it only reads
    assert guarded.post(f"{API}/jobs", json={"kind": "index"}, headers=reader).status_code == 403
    indexing = guarded.post(f"{API}/jobs", json={"kind": "index"}, headers=writer).json()["id"]
    assert guarded.delete(f"{API}/jobs/{indexing}", headers=reader).status_code == 403
    assert guarded.post(f"/jobs/{indexing}/cancel", headers=reader).status_code == 403
    group = guarded.get(f"{API}/duplicates", params={"min_score": 0.999}, headers=reader).json()["items"][0]["id"]
    wanted = {"groups": [group], "verdict": "not", "min_score": 0.999}
    decided = guarded.post(f"{API}/duplicates/decisions", json=wanted, headers=writer).json()
    assert decided[0]["by"] == "writer"
    assert guarded.post(f"{API}/duplicates/decisions", json={**wanted, "verdict": "open"}, headers=writer).is_success


def test_nobody_sees_what_others_look_for(client: TestClient) -> None:
    query = client.post(f"{API}/uploads", files={"file": ("mine.dxf", content("plates/plate-R1.dxf"))}).json()["id"]
    job = client.post(f"{API}/jobs", json={"kind": "parts", "query": query}).json()["id"]
    for text in (client.get(f"{API}/jobs").text, client.get("/archive").text):
        assert job not in text and query not in text
    assert query not in client.get(f"{API}/jobs/{job}").text
    assert client.get(f"{API}/jobs/{job}").json()["kind"] == "parts"


@pytest.mark.parametrize("box", ["1,2,3", "1,1,1,5", "nan,0,1,1", "0,0,inf,1", "<script>"])
def test_boxes_that_are_none(client: TestClient, box: str) -> None:
    id = ids_of(client)["hostile.dxf"]
    answer = client.get(f"{API}/drawings/{id}/marked.svg", params={"box": box})
    assert answer.status_code == 400 and answer.json()["type"] == "/problems/bad-request"
    page = client.post(
        "/parts", data={"query": id, **dict(zip(("x0", "y0", "x1", "y1"), box.split(","), strict=False))}
    )
    assert page.status_code == 400 and "<script>" not in page.text.replace("<script src", "")


def test_markup_in_marked_pictures_is_text(client: TestClient) -> None:
    id = ids_of(client)["hostile.dxf"]
    picture = client.get(f"{API}/drawings/{id}/marked.svg", params={"box": ["0,0,10,10", "20,20,40,40"]})
    assert HOSTILE not in picture.text and picture.headers["content-security-policy"] == "default-src 'none'; sandbox"
    root = ElementTree.fromstring(picture.content)
    assert not [node for node in root.iter() if node.tag.endswith("script")]
    assert picture.text.count("stroke-dasharray") == 2
