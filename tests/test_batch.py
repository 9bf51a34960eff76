"""Worker processes: whatever happens in one, every item has exactly one outcome."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from deepdxf.batch import Outcome, Standby, read_many
from deepdxf.errors import DeepDXFError, ReadError


def work(item: str) -> str:
    """What the item says: the fake of a reader."""
    match item.split(":"):
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["hang"]:
            time.sleep(1000)
        case ["bad"]:
            raise ReadError("no drawing\nat all")
        case ["defect"]:
            raise KeyError("x")
        case ["exit", code]:
            os._exit(int(code))
        case ["segfault"]:
            ctypes.string_at(0)
        case ["memory"]:
            hog = []
            while True:
                hog.append(bytearray(10_000_000))
        case ["unpicklable"]:
            return lambda: item  # type: ignore[return-value]
        case ["pid"]:
            return str(os.getpid())
    return item.upper()


def outcomes(items: list[str], **limits: float) -> dict[str, Outcome[str, str]]:
    found = list(read_many(items, work, **{"workers": 2, "timeout_s": 30.0, "memory_mb": 500, **limits}))  # type: ignore[arg-type]
    assert Counter(outcome.item for outcome in found) == Counter(items)
    return {outcome.item: outcome for outcome in found}


def test_every_item_once_whatever_happens() -> None:
    good = [f"item{i}" for i in range(40)]
    trouble = ["bad", "defect", "exit:0", "exit:3", "segfault", "memory", "unpicklable"]
    mixed = good[:5] + [x for pair in zip(trouble, good[5:12], strict=True) for x in pair] + good[12:]
    found = outcomes(mixed)
    for item in good:
        assert (found[item].value, found[item].error) == (item.upper(), None)
    errors = {item: found[item].error or "" for item in trouble}
    assert errors["bad"] == "no drawing at all"
    assert "KeyError: 'x' (test_batch.py:" in errors["defect"]
    assert "crashed (exit code 3)" in errors["exit:3"] and "crashed (exit code 0)" in errors["exit:0"]
    assert "crashed" in errors["segfault"]
    assert errors["memory"] == "needs more than 500 MiB of memory"
    assert "cannot be sent" in errors["unpicklable"]
    assert all(found[item].value is None for item in trouble)


def test_a_hanging_item_is_ended_and_the_ones_behind_it_are_done() -> None:
    found = outcomes(["a", "hang", "b", "c", "d", "e", "f"], workers=1, timeout_s=1.0)
    assert found["hang"].error == "took longer than 1 s" and found["hang"].seconds >= 1
    assert [found[x].value for x in "abcdef"] == list("ABCDEF")


def test_a_slow_consumer_is_not_a_timeout() -> None:
    values = []
    for outcome in read_many(["sleep:0.05"] * 3, work, workers=1, timeout_s=0.4):
        time.sleep(0.5)
        values.append(outcome.error)
    assert values == [None] * 3


def test_several_processes_that_are_not_this_one() -> None:
    pids = {outcome.value for outcome in read_many(["pid", "sleep:0.3"] * 4, work, workers=2)} - {"SLEEP:0.3"}
    assert len(pids) == 2 and str(os.getpid()) not in pids


def test_nothing_to_do() -> None:
    assert list(read_many([], work)) == []


def test_work_that_cannot_start_is_an_error_not_a_loop(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeepDXFError, match="before they begin"):
        list(read_many(["a", "b"], Unloadable(), workers=1))


class Unloadable:
    """Pickles here, fails to load in the worker."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__, ("no_such_module_anywhere",))

    def __call__(self, item: str) -> str:
        return item


def test_closing_the_iterator_ends_the_workers() -> None:
    import multiprocessing

    stream = read_many(["a"] + ["hang"] * 5, work, workers=2)
    next(stream)
    assert multiprocessing.active_children()
    stream.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
def test_interrupt_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "from test_batch import work\n"
        "from deepdxf.batch import read_many\n"
        "if __name__ == '__main__':\n"
        "    for outcome in read_many(['pid'] * 2 + ['hang'] * 9, work, workers=2):\n"
        "        print(outcome.value, flush=True)\n",
        encoding="utf-8",
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=env, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    pids = [int(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    process.communicate()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_standby_keeps_its_process() -> None:
    standby = Standby(own_id, timeout_s=60)
    try:
        first, second = standby.ask("a"), standby.ask("b")
        assert first.value == second.value != os.getpid()
    finally:
        standby.close()
    standby.close()  # nothing is left to end


def own_id(_: str) -> int:
    return os.getpid()


def test_standby_outlives_what_ends_its_process() -> None:
    standby = Standby(work, timeout_s=1.5, memory_mb=600)
    try:
        for item, error in (
            ("bad", "no drawing at all"),
            ("exit:7", "exit code 7"),
            ("hang", "took longer than 1.5 s"),
        ):
            assert error in str(standby.ask(item).error)
            assert standby.ask("sleep:0").error is None
    finally:
        standby.close()
