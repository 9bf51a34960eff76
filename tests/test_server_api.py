"""The API of the server: searching, comparing, deciding, errors, paging, entity tags."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dxf
import numpy as np
import pytest
import server_archive
from server_archive import content, make_archive

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from deepdxf import encoder, reader
from deepdxf.server import library as library_module
from deepdxf.server.app import create_app
from deepdxf.server.library import principal_plane
from deepdxf.server.problems import PROBLEMS, Problem
from deepdxf.server.settings import Settings
from deepdxf.server.work import problem_of

API = "/api/v1"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_archive(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = Settings(str(archive), workers=1, keep=tmp_path_factory.mktemp("kept"), unpacked_mb=4)
    with TestClient(create_app(settings)) as made:
        yield made


@pytest.fixture(scope="module")
def ids(client: TestClient) -> dict[str, str]:
    return {item["path"]: item["id"] for item in client.get(f"{API}/drawings").json()["items"]}


def send(name: str, data: bytes | None = None) -> dict[str, Any]:
    return {"file": (name, content(name) if data is None else data)}


def problem(response: Any, slug: str) -> dict[str, Any]:
    """The response is this problem, in the form of RFC 9457."""
    document: dict[str, Any] = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert document["type"] == f"/problems/{slug}"
    assert document["status"] == response.status_code == PROBLEMS[slug][0]
    assert document["title"] and document["detail"] and document["instance"].startswith("urn:request:")
    return document


# --- searching


def test_upload_finds_what_is_like_it(client: TestClient) -> None:
    answer = client.post(f"{API}/search", files=send("plates/plate-R1.dxf")).json()
    paths = [hit["path"] for hit in answer["items"]]
    assert set(paths[:2]) == {"plates/plate-R1.dxf", "plates/copy of plate.dxf"} and paths[2] == "plates/plate-R2.dxf"
    scores = [hit["score"] for hit in answer["items"]]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0.999
    assert [hit["rank"] for hit in answer["items"]] == list(range(1, len(paths) + 1))
    assert answer["query"]["name"] == "plate-R1.dxf" and answer["query"]["entities"] == 7


def test_reasons_are_those_of_the_encoder(client: TestClient) -> None:
    answer = client.post(f"{API}/search", files=send("plates/plate-R1.dxf")).json()
    hit = next(hit for hit in answer["items"] if hit["path"] == "plates/small.dxf")
    a, b = (reader.parse(content(name)) for name in ("plates/plate-R1.dxf", "plates/small.dxf"))
    expected = encoder.similarity(encoder.load("descriptor"), a, b)
    assert hit["why"]["overall"] == pytest.approx(expected.overall, abs=1e-4)
    assert hit["why"]["codes"] == pytest.approx(dict(expected.codes), abs=1e-4)
    assert 0 <= hit["why"]["strokes"] <= 1


def test_pages_give_what_one_page_gives(client: TestClient, ids: dict[str, str]) -> None:
    whole = client.post(f"{API}/search", files=send("plates/plate-R1.dxf")).json()["items"]
    answer = client.post(f"{API}/search", files=send("plates/plate-R1.dxf"), params={"limit": 3}).json()
    pages = [answer]
    while pages[-1]["next"]:
        pages.append(client.get(pages[-1]["next"]).json())
    assert len(pages) == -(-answer["total"] // 3) and all(page["total"] == answer["total"] for page in pages)
    found = [(hit["id"], hit["rank"], hit["score"]) for page in pages for hit in page["items"]]
    assert found == [(hit["id"], hit["rank"], hit["score"]) for hit in whole]
    by_id = client.get(f"{API}/search", params={"query": ids["plates/plate-R1.dxf"]}).json()
    assert ids["plates/plate-R1.dxf"] not in [hit["id"] for hit in by_id["items"]]


def test_switches(client: TestClient, ids: dict[str, str]) -> None:
    scores = []
    for mirror in (False, True):
        asked = {"query": ids["corners/corner.dxf"], "mirror": mirror}
        hits = client.get(f"{API}/search", params=asked).json()["items"]
        scores.append(next(hit["score"] for hit in hits if hit["path"] == "corners/turned-over.dxf"))
    assert scores[1] > scores[0] + 0.05
    sent = client.post(f"{API}/search", files=send("corners/corner.dxf"), data={"mirror": "true"}).json()
    again = next(hit["score"] for hit in sent["items"] if hit["path"] == "corners/turned-over.dxf")
    assert again == pytest.approx(scores[1], abs=1e-6)


def test_filters_and_words(client: TestClient, ids: dict[str, str]) -> None:
    asked = {"query": ids["plates/plate-R1.dxf"], "where": "layer = 'DRILL'"}
    assert [hit["path"] for hit in client.get(f"{API}/search", params=asked).json()["items"]] == ["plates/small.dxf"]
    found = client.get(f"{API}/search", params={"text": "lead frame"}).json()
    assert {hit["path"] for hit in found["items"]} == {name for name in ids if "plate" in name and "small" not in name}
    assert found["items"][0]["match"] == "lead frame"
    detail = problem(client.get(f"{API}/drawings", params={"where": "nothing = 1"}), "bad-filter")["detail"]
    assert "position 1" in detail
    problem(client.get(f"{API}/search"), "bad-request")
    problem(client.get(f"{API}/search", params={"text": " "}), "bad-request")


def test_more_hits_than_are_counted(client: TestClient, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "MAX_HITS", 2)
    asked = {"query": ids["plates/plate-R1.dxf"], "min_score": -0.5}
    answer = client.get(f"{API}/search", params=asked).json()
    assert answer["total"] == 2 and answer["complete"] is False and answer["next"] is None


@pytest.mark.parametrize(
    ("name", "data", "slug", "words"),
    [
        ("broken.dxf", b"nothing like it", "unreadable", "not a DXF"),
        ("page.dxf", b"<html><body>", "unreadable", "a web page"),
        ("none.dxf", b"", "unreadable", "is empty"),
        ("bomb.dxf.gz", gzip.compress(b"0\n" * 4_000_000, mtime=0), "unreadable", "after decompression"),
        ("cut.dxf.gz", gzip.compress(b"0\nSECTION\n" * 1000, mtime=0)[:50], "unreadable", "damaged gzip"),
        ("blank.dxf", dxf.encode(dxf.document("")), "nothing-drawn", "nothing in it"),
    ],
)
def test_bad_uploads_are_explained(client: TestClient, name: str, data: bytes, slug: str, words: str) -> None:
    assert words in problem(client.post(f"{API}/search", files=send(name, data)), slug)["detail"]


def test_limits_of_a_worker_are_told() -> None:
    for error in ("took longer than 60 s", "needs more than 2000 MiB of memory", "the reader crashed (SIGSEGV)"):
        assert problem_of(error).slug == "too-much-work"
    assert problem_of("no such file").slug == "file-gone" and problem_of("not a drawing").slug == "unreadable"


def test_busy(archive: Path) -> None:
    with TestClient(create_app(Settings(str(archive), waiting=0))) as client:
        response = client.post(f"{API}/search", files=send("plates/small.dxf"))
        problem(response, "busy")
        assert int(response.headers["retry-after"]) > 0


def test_uploads_give_way(archive: Path) -> None:
    with TestClient(create_app(Settings(str(archive), workers=1, held=1))) as client:
        first, second = (
            client.post(f"{API}/search", files=send(name)).json()["query"]["id"]
            for name in ("plates/small.dxf", "corners/corner.dxf")
        )
        assert "send the drawing again" in problem(
            client.get(f"{API}/search", params={"query": first}), "unknown-drawing"
        )["detail"]  # fmt: skip
        assert client.get(f"{API}/search", params={"query": second}).status_code == 200


# --- drawings


def test_drawings_in_pages(client: TestClient) -> None:
    first = client.get(f"{API}/drawings", params={"limit": 4}).json()
    second = client.get(first["next"]).json()
    assert first["total"] == second["total"] == 10
    assert not {item["id"] for item in first["items"]} & {item["id"] for item in second["items"]}
    times = [item["modified"] for item in first["items"] + second["items"]]
    assert times == sorted(times, reverse=True)
    for limit in (0, 201, "x"):
        problem(client.get(f"{API}/drawings", params={"limit": limit}), "invalid")


def test_facts_and_pictures(client: TestClient, ids: dict[str, str]) -> None:
    facts = client.get(f"{API}/drawings/{ids['plates/small.dxf']}").json()
    assert facts["classes"] == {"LINE": 4, "CIRCLE": 1} and facts["width_mm"] == pytest.approx(120)
    assert facts["layer"] == ["0", "DRILL"] and facts["folder"] == "drawings" and "root" not in facts
    picture = client.get(f"{API}/drawings/{ids['plates/small.dxf']}/thumbnail.png")
    assert picture.content.startswith(b"\x89PNG") and picture.headers["content-type"] == "image/png"
    assert client.get(f"{API}/drawings/{ids['broken.dxf']}/thumbnail.png").status_code == 204
    svg = client.get(f"{API}/drawings/{ids['plates/small.dxf']}/drawing.svg", params={"background": "10151d"})
    assert svg.text.startswith("<svg") and "#10151d" in svg.text


def test_entity_tags(client: TestClient, ids: dict[str, str]) -> None:
    id = ids["plates/small.dxf"]
    for path in (
        f"/drawings/{id}",
        f"/drawings/{id}/thumbnail.png",
        f"/drawings/{id}/drawing.svg",
        "/map",
        "/drawings",
    ):
        tag = client.get(API + path).headers["etag"]
        again = client.get(API + path, headers={"if-none-match": f'"other", {tag}'})
        assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == tag
        assert client.get(API + path, headers={"if-none-match": '"other"'}).status_code == 200


def test_what_is_not_there(client: TestClient, ids: dict[str, str]) -> None:
    problem(client.get(f"{API}/drawings/0123456789abcdef"), "unknown-drawing")
    problem(client.get(f"{API}/search", params={"query": "0123456789abcdef"}), "unknown-drawing")
    problem(client.get(f"{API}/nothing"), "not-found")
    problem(client.delete(f"{API}/drawings"), "wrong-method")
    gone = ids["gone.dxf"]
    assert "index the folder again" in problem(client.get(f"{API}/drawings/{gone}/drawing.svg"), "file-gone")["detail"]
    problem(client.get(f"{API}/compare", params={"a": gone, "b": gone}), "file-gone")
    assert client.get(f"{API}/drawings/{gone}").status_code == 200  # what was indexed stays
    assert client.get(f"{API}/search", params={"query": gone}).status_code == 200
    problem(client.get(f"{API}/search", params={"query": ids["broken.dxf"]}), "unreadable")
    problem(client.get(f"{API}/search", params={"query": ids["empty.dxf"]}), "nothing-drawn")


# --- comparing, duplicates, revisions


def test_compare(client: TestClient, ids: dict[str, str]) -> None:
    asked = {"a": ids["plates/plate-R1.dxf"], "b": ids["plates/plate-R2.dxf"]}
    document = client.get(f"{API}/compare", params=asked).json()
    assert document["a"] == "plates/plate-R1.dxf" and document["counts"]["added"] == 1
    assert document["changed"][0]["class"] == "CIRCLE"
    sent = {"a": ("a.dxf", content("plates/plate-R1.dxf")), "b": ("b.dxf", content("plates/plate-R2.dxf"))}
    other = client.post(f"{API}/compare", files=sent).json()
    for name in ("agreement", "counts", "added", "changed"):
        assert other[name] == document[name]
    assert client.get(f"{API}/compare/overlay.svg", params=asked).text.startswith("<svg")
    problem(client.get(f"{API}/compare", params={**asked, "tolerance": 0}), "invalid")
    apart = client.get(f"{API}/compare", params={"a": ids["plates/small.dxf"], "b": ids["empty.dxf"]}).json()
    assert "nothing drawn" in apart["notes"][0]


def test_duplicates_and_decisions(client: TestClient) -> None:
    groups = client.get(f"{API}/duplicates", params={"min_score": 0.999}).json()
    assert groups["total"] == 1
    group = groups["items"][0]
    assert group["kind"] == "exact" and group["verdict"] == "open"
    assert {member["path"] for member in group["members"]} == {"plates/plate-R1.dxf", "plates/copy of plate.dxf"}
    wanted = {"groups": [group["id"]], "verdict": "not", "note": "two customers", "min_score": 0.999}
    decided = client.post(f"{API}/duplicates/decisions", json=wanted).json()
    assert decided[0]["verdict"] == "not" and decided[0]["note"] == "two customers"
    assert client.get(f"{API}/duplicates", params={"min_score": 0.999}).json()["total"] == 0
    assert client.get(f"{API}/duplicates", params={"min_score": 0.999, "show": "decided"}).json()["total"] == 1
    stale = {**wanted, "groups": [group["id"], "0123456789ab"], "verdict": "same"}
    problem(client.post(f"{API}/duplicates/decisions", json=stale), "conflict")
    after = client.get(f"{API}/duplicates", params={"min_score": 0.999, "show": "all"}).json()["items"]
    assert after[0]["verdict"] == "not"  # all or none
    opened = client.post(f"{API}/duplicates/decisions", json={**wanted, "verdict": "open"}).json()
    assert opened[0]["verdict"] == "open"
    problem(client.post(f"{API}/duplicates/decisions", json={**wanted, "verdict": "delete"}), "invalid")
    problem(client.get(f"{API}/duplicates", params={"min_score": 0}), "invalid")


def test_revisions(client: TestClient, ids: dict[str, str]) -> None:
    asked = {"changes": True}
    chain = client.get(f"{API}/drawings/{ids['plates/plate-R2.dxf']}/revisions", params=asked).json()
    versions = [(version["path"], version["position"]) for version in chain["versions"]]
    first, this = versions.index(("plates/plate-R1.dxf", "earlier")), versions.index(("plates/plate-R2.dxf", "this"))
    assert first < this
    step = next(step for step in chain["steps"] if step["b"] == ids["plates/plate-R2.dxf"])
    assert step["counts"]["added"] == 1
    upload = client.post(f"{API}/search", files=send("plates/plate-R2.dxf")).json()["query"]["id"]
    sent = client.get(f"{API}/drawings/{upload}/revisions").json()
    assert "plates/plate-R1.dxf" in [version["path"] for version in sent["versions"]]


# --- the archive as a whole


def test_index_job(client: TestClient) -> None:
    response = client.post(f"{API}/jobs", json={"kind": "index"})
    assert response.status_code == 202
    job = waited(client, response.headers["location"])
    assert job["state"] == "done" and job["result"]["actions"]["unchanged"] >= 9
    assert {"path": "drawings/gone.dxf", "action": "vanished", "status": "ok", "message": ""} in job["result"]["files"]
    assert client.get(f"{API}/jobs").json()["items"][0]["id"] == job["id"]
    problem(client.delete(f"{API}/jobs/{job['id']}"), "conflict")
    problem(client.get(f"{API}/jobs/none"), "not-found")
    problem(client.post(f"{API}/jobs", json={"kind": "delete everything"}), "invalid")


def test_kept_upload_is_found(client: TestClient) -> None:
    data = dxf.encode(dxf.document(server_archive.corner(200, 31) + server_archive.circle(20, 9, 4)))
    kept = client.post(f"{API}/drawings", files={"file": ("kept.dxf", data)}).json()
    assert waited(client, f"{API}/jobs/{kept['job']['id']}")["state"] == "done"
    hits = client.post(f"{API}/search", files={"file": ("again.dxf", data)}).json()["items"]
    assert hits[0]["path"] == "kept.dxf" and hits[0]["score"] > 0.999
    problem(client.post(f"{API}/drawings", files={"file": ("bad.dxf", b"nothing")}), "unreadable")


def waited(client: TestClient, path: str) -> dict[str, Any]:
    for _ in range(400):
        job: dict[str, Any] = client.get(path).json()
        if job["state"] not in ("waiting", "running"):
            return job
        time.sleep(0.05)
    raise AssertionError("the job does not end")


def test_map(client: TestClient) -> None:
    points = {point["path"]: point for point in client.get(f"{API}/map").json()["points"]}
    assert "broken.dxf" not in points and "empty.dxf" not in points
    places = np.array([[point["x"], point["y"]] for point in points.values()])
    assert places.min() == 0 and places.max() == 1
    same = [points[name] for name in ("plates/plate-R1.dxf", "plates/copy of plate.dxf")]
    assert (same[0]["x"], same[0]["y"]) == (same[1]["x"], same[1]["y"])


def test_principal_plane_is_that_of_a_full_decomposition() -> None:
    rng = np.random.default_rng(3)
    data = (rng.standard_normal((300, 6)) * [9, 5, 2, 1, 0.5, 0.2]) @ rng.standard_normal((6, 40))
    data = data.astype(np.float32)
    u, s, _ = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    plane = principal_plane(data)
    for axis in range(2):
        assert abs(np.corrcoef(plane[:, axis], u[:, axis] * s[axis])[0, 1]) > 0.9999
    assert np.array_equal(plane, principal_plane(data.copy()))
    assert principal_plane(data[:2]).shape == (2, 2) and principal_plane(data[:0]).shape == (0, 2)
    assert np.isfinite(principal_plane(np.ones((5, 8), np.float32))).all()


def test_duplicates_as_a_job(client: TestClient) -> None:
    wanted = {"kind": "duplicates", "min_score": 0.8, "mirror": True}  # one of the two has a text besides
    response = client.post(f"{API}/jobs", json=wanted)
    assert response.status_code == 202
    job = waited(client, response.headers["location"])
    assert job["state"] == "done" and job["done"] == job["total"] > 0
    groups = client.get(f"{API}/duplicates", params={"min_score": 0.8, "mirror": True, "show": "all"}).json()
    assert groups["total"] == job["result"]["groups"]
    poses = {m["path"]: m["pose"] for group in groups["items"] for m in group["members"]}
    # a part and its mirror image are duplicates where that is asked for, and said to be mirrored
    assert poses["corners/corner.dxf"] == "" and poses["corners/turned-over.dxf"] == "mirrored"
    plain = client.get(f"{API}/duplicates", params={"min_score": 0.8, "show": "all"}).json()["items"]
    assert "corners/corner.dxf" not in {m["path"] for group in plain for m in group["members"]}
    problem(client.post(f"{API}/jobs", json={**wanted, "where": "nothing = 1"}), "bad-filter")


def test_a_job_is_stopped(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    real = library_module.find_duplicates

    def slow(*args: Any, progress: Any, **options: Any) -> Any:
        progress(1, 9)
        begun.set()
        assert go_on.wait(10)
        progress(2, 9)
        return real(*args, progress=progress, **options)

    monkeypatch.setattr(library_module, "find_duplicates", slow)
    wanted = {"kind": "duplicates", "min_score": 0.123}
    first = client.post(f"{API}/jobs", json=wanted).json()["id"]
    assert begun.wait(10)
    assert client.post(f"{API}/jobs", json=wanted).json()["id"] == first  # nobody begins it twice
    running = client.get(f"{API}/jobs/{first}").json()
    assert (running["state"], running["done"], running["total"]) == ("running", 1, 9)
    assert client.delete(f"{API}/jobs/{first}").status_code == 202
    go_on.set()
    assert waited(client, f"{API}/jobs/{first}")["state"] == "cancelled"
    monkeypatch.undo()
    again = client.post(f"{API}/jobs", json=wanted).json()["id"]
    assert again != first and waited(client, f"{API}/jobs/{again}")["state"] == "done"


def test_decisions_that_cross(client: TestClient) -> None:
    asked = {"min_score": 0.999, "show": "all"}
    seen = client.get(f"{API}/duplicates", params=asked).json()["items"][0]
    wanted = {"groups": [seen["id"]], "min_score": 0.999, "seen": {seen["id"]: seen["mark"]}}
    first = client.post(f"{API}/duplicates/decisions", json={**wanted, "verdict": "same", "note": "first"}).json()[0]
    refused = problem(
        client.post(f"{API}/duplicates/decisions", json={**wanted, "verdict": "not"}), "decided-meanwhile"
    )
    assert [(g["id"], g["verdict"], g["note"], g["mark"]) for g in refused["changed"]] == [
        (seen["id"], "same", "first", first["mark"])
    ]
    assert client.get(f"{API}/duplicates", params=asked).json()["items"][0]["verdict"] == "same"
    way_out = {**wanted, "seen": {seen["id"]: refused["changed"][0]["mark"]}, "verdict": "not"}
    assert client.post(f"{API}/duplicates/decisions", json=way_out).json()[0]["verdict"] == "not"
    assert client.post(f"{API}/duplicates/decisions", json={**wanted, "seen": {}, "verdict": "open"}).is_success


# --- details


def found_parts(client: TestClient, **wanted: Any) -> dict[str, Any]:
    response = client.post(f"{API}/jobs", json={"kind": "parts", **wanted})
    assert response.status_code == 202, response.text
    return waited(client, response.headers["location"])


def test_parts_of_a_box(client: TestClient, ids: dict[str, str]) -> None:
    job = found_parts(client, query=ids["plates/plate-R2.dxf"], box=[-1, -1, 121, 61], min_share=0.7)
    assert job["state"] == "done"
    hits = {hit["path"]: hit for hit in job["result"]["hits"]}
    assert {"plates/plate-R1.dxf", "plates/copy of plate.dxf"} <= hits.keys() and "plates/plate-R2.dxf" not in hits
    assert "corners/corner.dxf" not in hits
    place = hits["plates/plate-R1.dxf"]["places"][0]
    assert np.allclose(place["box"], [0, 0, 120, 60], atol=0.01) and not place["mirrored"]
    picture = client.get(
        f"{API}/drawings/{ids['plates/plate-R1.dxf']}/marked.svg", params={"box": ",".join(map(str, place["box"]))}
    )
    assert picture.status_code == 200 and "stroke-dasharray" in picture.text
    again = {"if-none-match": picture.headers["etag"]}
    assert client.get(picture.request.url, headers=again).status_code == 304


def test_parts_of_an_upload_and_what_may_differ(client: TestClient, ids: dict[str, str]) -> None:
    query = client.post(f"{API}/uploads", files=send("corners/corner.dxf")).json()
    assert query["name"] == "corner.dxf" and query["id"].startswith("u-")
    asked = {"query": query["id"], "min_share": 0.9}
    assert [hit["path"] for hit in found_parts(client, **asked)["result"]["hits"]] == ["corners/corner.dxf"]
    turned_over = found_parts(client, **asked, mirror=True, where="path like 'corners/turned%'")["result"]["hits"]
    assert [(hit["path"], hit["places"][0]["mirrored"]) for hit in turned_over] == [("corners/turned-over.dxf", True)]


def test_details_that_are_none(client: TestClient, ids: dict[str, str]) -> None:
    one = {"kind": "parts", "query": ids["plates/plate-R1.dxf"]}
    assert (
        "3 or more"
        in problem(client.post(f"{API}/jobs", json={**one, "box": [200, 200, 300, 300]}), "no-detail")["detail"]
    )
    problem(client.post(f"{API}/jobs", json={**one, "box": [1, 1, 1, 9]}), "bad-request")
    problem(client.post(f"{API}/jobs", json={**one, "box": [1, 1, 9]}), "invalid")
    problem(client.post(f"{API}/jobs", json={**one, "where": "nothing = 1"}), "bad-filter")
    problem(client.post(f"{API}/jobs", json={**one, "query": "0" * 16}), "unknown-drawing")
    problem(client.post(f"{API}/jobs", json={**one, "query": "u-" + "0" * 32}), "unknown-drawing")
    problem(client.post(f"{API}/jobs", json={**one, "query": ids["gone.dxf"]}), "file-gone")
    problem(client.post(f"{API}/jobs", json={**one, "query": ids["empty.dxf"]}), "no-detail")


def test_health_and_metrics(client: TestClient) -> None:
    assert client.get(f"{API}/health").json()["status"] == "ok"
    client.get(f"{API}/nothing-at-all")
    lines = client.get(f"{API}/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values['deepdxf_requests_total{path="/api/v1/health",status="200"}']) >= 1
    assert float(values['deepdxf_archive_drawings{status="failed"}']) == 1
    assert float(values["deepdxf_request_seconds_count"]) == float(values['deepdxf_request_seconds_bucket{le="+Inf"}'])
    assert not any("nothing-at-all" in line for line in lines)


def test_corrupt_archive(tmp_path: Path) -> None:
    archive = make_archive(tmp_path)
    with TestClient(create_app(Settings(str(archive), workers=1))) as client:
        assert client.get(f"{API}/drawings").status_code == 200
        for path in sorted((archive / "drawings.lance").rglob("*"), reverse=True):
            if path.is_file():
                path.write_bytes(b"damaged")
        for path in ("/health", "/drawings", "/search?text=plate"):
            response = client.get(API + path)
            detail = problem(response, "archive")["detail"]
            assert str(tmp_path) not in response.text and "the archive" in detail


def test_openapi_describes_every_path(client: TestClient) -> None:
    described = client.get(f"{API}/openapi.json").json()
    assert described["openapi"].startswith("3.") and all(path.startswith(f"{API}/") for path in described["paths"])
    page = (Path(__file__).parents[1] / "docs" / "server.md").read_text(encoding="utf-8")
    for path, methods in described["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path.removeprefix(API)}`" in page
    for slug in PROBLEMS:
        assert f"`{slug}`" in page
    json.dumps(described)


def test_problem_texts() -> None:
    assert (
        Problem("busy", "x").headers["retry-after"]
        and "bearer" in Problem("no-token", "x").headers["www-authenticate"].lower()
    )
