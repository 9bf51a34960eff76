# Everything below works on a fresh machine with Python 3.11 or newer and `make`; nothing is installed outside of .venv.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

.PHONY: demo chromium test explore check bench lock clean

demo: $(VENV)/.base
	$(BIN)/deepdxf demo --out demo

test: $(VENV)/.dev chromium
	$(BIN)/python -m pytest -n auto

# Property tests with new random inputs each time; what fails becomes an @example and is mended
explore: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m hypothesis --hypothesis-profile explore

# The browser of the page's tests, where it is missing and can be had without asking; without it those tests are skipped
chromium:
	-@command -v chromium >/dev/null 2>&1 || test ! -f /etc/debian_version || test "$$(id -u)" != 0 || \
	  (apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# The base install, then what development adds to it; constraints.txt pins every version.
$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	$(BIN)/python -c "open('$(VENV)/.base', 'w').close()"

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(BIN)/python -c "open('$(VENV)/.dev', 'w').close()"

# Newest versions that pyproject.toml allows, as constraints for the next install
lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet -e ".[train,serve,report,bench,maps,dev]"
	$(VENV)-lock/bin/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools > constraints.txt
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
