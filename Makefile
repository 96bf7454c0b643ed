# `make demo` or `make test`, in either order, on a machine with Python 3.11 or newer (venv, pip) and make.
#
# Every tool runs as `.venv/bin/python -m …` from this folder: the scripts that pip writes into .venv/bin name their interpreter
# by an absolute path, which breaks where the folder's name holds a space or the folder is moved.

PYTHON ?= python3
BIN := .venv/bin/python
PIP := $(BIN) -m pip install --quiet --disable-pip-version-check --no-input -c constraints.txt
LINT_IMPORTS := $(BIN) -c "from importlinter.cli import lint_imports_command as check; check()"
PINS := pyproject.toml constraints.txt

.PHONY: help demo gallery test check validate bench notebooks clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       install, run scenarios/sequencer_outage.yaml, print the key figures and the path of the report"
	@echo "make gallery    install, run every scenario a few times, write one page over all of them: results/gallery/index.html"
	@echo "make test       install, run the tests (make validate: the full-size statistical ones)"
	@echo "make check      ruff, mypy, the floors (import-linter), the dependencies (deptry)"
	@echo "make bench      the benchmarks"
	@echo "make notebooks  JupyterLab on notebooks/"
	@echo "make clean      remove .venv, caches and what was built; results stay"

demo: .venv/ready-to-run
	@$(BIN) -m l2sim run scenarios/sequencer_outage.yaml --replications 6

gallery: .venv/ready-to-run
	@$(BIN) -m l2sim gallery

test: .venv/ready-to-test
	$(BIN) -m pytest -n 2 -m "not validate"

validate: .venv/ready-to-test
	$(BIN) -m pytest -n 2 -m validate

check: .venv/ready-to-check
	$(BIN) -m ruff check
	$(BIN) -m ruff format --check
	$(BIN) -m mypy
	$(LINT_IMPORTS)
	$(BIN) -m deptry l2sim

bench: .venv/ready-to-run
	$(BIN) -m benchmarks

notebooks: .venv/ready-to-run
	$(PIP) -e ".[notebooks]"
	$(BIN) -m jupyterlab notebooks

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find l2sim tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# ---- the environment: each stamp says what .venv is ready for, and is made again when a pin changes

.venv/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || { \
		echo "l2sim needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | tail -n 1)." >&2; \
		echo "Install one, or name it: make PYTHON=python3.12 demo" >&2; exit 1; }
	@$(PYTHON) -c "import venv, ensurepip" 2>/dev/null || { \
		echo "'$(PYTHON)' has no venv and pip; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

.venv/ready-to-run: $(PINS) | .venv/bin/python
	@echo "Installing l2sim and the pinned packages it needs into .venv"
	@$(PIP) -e .
	@touch $@

.venv/ready-to-test: .venv/ready-to-run
	@echo "Installing what the tests need into .venv"
	@$(PIP) -e ".[test]"
	@touch $@

.venv/ready-to-check: .venv/ready-to-run
	@echo "Installing what the checks need into .venv"
	@$(PIP) -e ".[dev]"
	@touch $@
