"""The command ``serve`` as users run it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from server_archive import make_archive

pytest.importorskip("fastapi")

from deepdxf.cli import main
from deepdxf.cli_serve import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.5", False), ("server.example", False)],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_other_addresses_need_tokens(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "server.example"):
        assert main(["serve", "--archive", str(tmp_path), "--host", host]) == 1
        error = capsys.readouterr().err
        assert "tokens are needed" in error and "--new-token NAME" in error and error.count("\n") == 1


def test_tokens_are_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    assert main(["serve", "--tokens", str(path), "--new-token", "alice", "--scopes", "read,write", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["name"] == "alice" and made["scopes"] == "read,write" and made["token"] not in path.read_text()
    assert main(["serve", "--tokens", str(path), "--new-token", "bob"]) == 0
    assert len(path.read_text().splitlines()) == 2 and "bob (read)" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--new-token", "carol"])
    assert stop.value.code == 2


def test_what_cannot_be_served_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["serve", "--archive", str(tmp_path / "none")]) == 1
    assert "no archive at" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["serve"])
    assert "--archive DIR" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "--archive", str(tmp_path)]) == 1
    assert "pip install 'deepdxf[serve]'" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="ended by a signal as Ctrl-C sends it")
def test_serving(tmp_path: Path) -> None:
    archive = make_archive(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "deepdxf", "serve", "--archive", str(archive), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert f"http://127.0.0.1:{port}/" in process.stdout.readline()
            for _ in range(200):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health") as answer:
                        assert json.load(answer)["drawings"] == 10
                    break
                except OSError:
                    time.sleep(0.05)
            taken = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert taken.returncode == 1 and "is it taken?" in taken.stderr and "Traceback" not in taken.stderr
        finally:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert "GET /api/v1/health 200" in errors and "Traceback" not in errors
