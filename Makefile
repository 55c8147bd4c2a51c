# Every target does its own set-up in .venv, with nothing but Python >= 3.11 on the machine.
# Set-up is done again only when pyproject.toml changed. Plain make: works with GNU make and BSD make.
#
#   make demo        the main job against a server of its own: cut in the middle, resumed, proven
#   make test        the whole quick suite            make test-slow   the sets that take minutes
#   make chaos N=200 seeded fault schedules, as many as you like
#   make lint        ruff, mypy strict, import contracts
#   make bench       side by side with curl, aria2c, rclone, wget, requests
#   make bench-sharing   1 GiB sent and fetched, beside filesender-client
#   make bench-queries   a million rows to a table, beside requests and pandas
#   make docs        the documentation, into docs/_build/html
#   make clean       takes .venv and everything that was built away
#
# PYTHON=/path/to/python3 chooses the interpreter; ARGS=… is handed to pytest or to the benchmarks.

VENV = .venv
PY = $(VENV)/bin/python
PIP = $(PY) -m pip --disable-pip-version-check --quiet
N = 100
ARGS =

.PHONY: demo test test-slow chaos lint bench bench-sharing bench-queries docs clean

demo: $(VENV)/.demo
	$(PY) -m packhorse.cli demo $(ARGS)

test: $(VENV)/.test
	$(PY) -m pytest -n 2 $(ARGS)

test-slow: $(VENV)/.test
	$(PY) -m pytest -m slow $(ARGS)

chaos: $(VENV)/.test
	PACKHORSE_CHAOS=$(N) $(PY) -m pytest -m "slow or not slow" -s tests/faults -k chaos $(ARGS)

lint: $(VENV)/.test $(VENV)/.lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(VENV)/.bench
	$(PY) -m benchmarks $(ARGS)

bench-sharing: $(VENV)/.bench
	$(PY) -m benchmarks.sharing $(ARGS)

bench-queries: $(VENV)/.bench
	$(PIP) install --editable '.[tables]'
	$(PY) -m benchmarks.queries $(ARGS)

docs: $(VENV)/.docs
	$(PY) -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

clean:
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The interpreter: the first one that is new enough. Dependency groups need pip >= 25.1.
$(VENV)/.made: pyproject.toml
	@found=; \
	for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	  if "$$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    found="$$python"; break; \
	  fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Packhorse needs Python 3.11 or newer. Debian, Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python" >&2; \
	  exit 1; \
	fi; \
	if ! "$$found" -m venv $(VENV) >$(VENV).log 2>&1; then \
	  cat $(VENV).log >&2; rm -rf $(VENV) $(VENV).log; \
	  echo "No virtual environment could be made. Debian, Ubuntu: sudo apt install python3-venv" >&2; \
	  exit 1; \
	fi; \
	rm -f $(VENV).log; \
	echo "setting up $(VENV) with $$($(PY) --version), once"
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: $(VENV)/.made
	@$(PIP) install --editable '.[server,tables]'
	@touch $@

$(VENV)/.test: $(VENV)/.made
	@$(PIP) install --editable '.[all]' --group test
	@touch $@

$(VENV)/.lint: $(VENV)/.made
	@$(PIP) install --group lint
	@touch $@

$(VENV)/.bench: $(VENV)/.made
	@$(PIP) install --editable '.[server]' --group bench
	@touch $@

$(VENV)/.docs: $(VENV)/.made
	@$(PIP) install --editable '.[server]' --group docs
	@touch $@
