"""Fixtures that several test files share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# The suite says the same of the same code each time; `make explore` looks for new failing inputs. No test asserts on time.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=300, print_blob=True)
settings.load_profile("repeatable")

# Tests run in as many processes as there are cores: with several threads in each, they wait for each other most of the
# time. One thread also adds numbers in one order. Read by torch and by the programs that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell starts what it runs in the background with interrupts ignored, and children inherit that: the tests that
# interrupt a command would then wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Folder of the unpacked corpus of real drawings: $DEEPDXF_CORPUS, or ``deepdxf-corpus`` in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("DEEPDXF_CORPUS") or cache / "deepdxf-corpus")
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no corpus in {folder}; unpack it there or name its folder in DEEPDXF_CORPUS")
    return folder
