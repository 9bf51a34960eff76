"""A server over an archive whose vectors come from a trained model: alone, and beside the descriptor."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_archive import DRAWINGS, content

pytest.importorskip("fastapi")
pytest.importorskip("onnxruntime")
from fastapi.testclient import TestClient

from deepdxf import encoder, reader, render
from deepdxf.archive import Archive, Ingest
from deepdxf.learned import BASE
from deepdxf.server.app import create_app
from deepdxf.server.settings import Settings

API = "/api/v1"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(BASE, tmp_path_factory.mktemp("trained") / "secret model"))


@pytest.fixture(scope="module", params=["", "descriptor+"])
def client(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("drawings")
    for name in DRAWINGS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content(name))
    name = f"{request.param}{model}"
    made = encoder.load(name)
    archive = Archive.create(tmp_path_factory.mktemp("archive") / "a", made.id, made.dim, name)
    archive.index([folder], Ingest(functools.partial(encoder.load, name), reader.read, render.thumbnail), workers=1)
    with TestClient(create_app(Settings(archive.address, workers=1))) as served:
        yield served


@pytest.fixture
def ids(client: TestClient) -> dict[str, str]:
    return {item["path"]: item["id"] for item in client.get(f"{API}/drawings").json()["items"]}


def test_searching_and_reasons(client: TestClient, ids: dict[str, str]) -> None:
    answer = client.post(f"{API}/search", files={"file": ("new.dxf", content("plates/plate-R1.dxf"))}).json()
    found = {hit["path"]: hit for hit in answer["items"]}
    assert {hit["path"] for hit in answer["items"][:2]} == {"plates/plate-R1.dxf", "plates/copy of plate.dxf"}
    why = found["plates/plate-R1.dxf"]["why"]
    assert why["overall"] == pytest.approx(1.0, abs=1e-4) and {"sequence", "geometry"} <= why["codes"].keys()
    assert found["plates/plate-R1.dxf"]["probability"] > 0.9  # the shipped model's scores are calibrated
    known = client.get(f"{API}/search", params={"query": ids["plates/plate-R1.dxf"], "mirror": True, "size": False})
    assert known.json()["items"][0]["path"] == "plates/copy of plate.dxf"
    assert client.get(f"/search?query={ids['plates/plate-R1.dxf']}").status_code == 200


def test_comparing(client: TestClient, ids: dict[str, str]) -> None:
    pair = {"a": ids["plates/plate-R1.dxf"], "b": ids["plates/plate-R2.dxf"]}
    document = client.get(f"{API}/compare", params=pair).json()
    assert document["counts"]["added"] == 1 and document["counts"]["changed"] == 1
    same = client.get(f"{API}/compare", params={**pair, "b": pair["a"]}).json()
    assert same["similarity"] == pytest.approx(1.0, abs=1e-4)
    assert client.get("/compare", params=pair).status_code == 200


def test_duplicates_decisions_and_revisions(client: TestClient, ids: dict[str, str]) -> None:
    asked: dict[str, Any] = {"min_score": 0.9999, "show": "all"}
    groups = client.get(f"{API}/duplicates", params=asked).json()["items"]
    exact = next(g for g in groups if ids["plates/plate-R1.dxf"] in {m["id"] for m in g["members"]})
    assert ids["plates/copy of plate.dxf"] in {member["id"] for member in exact["members"]}
    wanted = {"groups": [exact["id"]], "verdict": "same", "min_score": 0.9999, "seen": {exact["id"]: exact["mark"]}}
    assert client.post(f"{API}/duplicates/decisions", json=wanted).json()[0]["verdict"] == "same"
    chain = client.get(f"{API}/drawings/{ids['plates/plate-R2.dxf']}/revisions").json()
    assert {"plates/plate-R1.dxf", "plates/plate-R2.dxf"} <= {version["path"] for version in chain["versions"]}
    assert len(client.get(f"{API}/map").json()["points"]) == len(DRAWINGS)


def test_indexing_again_uses_the_model(client: TestClient, model: Path) -> None:
    job = client.post(f"{API}/jobs", json={"kind": "index", "redo": "all"}).json()
    for _ in range(600):
        if (now := client.get(f"{API}/jobs/{job['id']}").json())["state"] in ("done", "failed", "cancelled"):
            break
        time.sleep(0.05)
    assert now["state"] == "done" and now["result"]["statuses"] == {"ok": len(DRAWINGS)}


def test_no_path_of_the_model_in_any_answer(client: TestClient, ids: dict[str, str], model: Path) -> None:
    paths = ["/", "/archive", f"/search?query={next(iter(ids.values()))}", f"{API}/health", f"{API}/metrics"]
    for path in paths:
        assert str(model.parent) not in client.get(path).text, path
    assert client.get(f"{API}/health").json()["encoder"] in ("secret model", "descriptor+secret model")
