# `make` alone explains the targets. Everything happens in .venv; nothing is installed outside it.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Workers for the tests; each fit uses one thread.
JOBS   ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench-install clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /|/' | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## Train on a shipped table for a minute, and show the result
	$(BIN)/modelwright train examples/data/telco_churn.csv --target Churn --budget 60s

test: $(VENV)/.dev ## Install every extra and run all tests
	$(BIN)/python -m pytest -n $(JOBS)

check: $(VENV)/.dev ## Format, lint, types, import order, documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/test_documents.py

format: $(VENV)/.dev ## Rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-install: ## Measure how many packages and megabytes the core brings
	$(PYTHON) benchmarks/install_size.py

clean: ## Remove the environment, caches and runs
	rm -rf $(VENV) .modelwright .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist

# Stamps say what was installed last; they are older than a file that changes it, and then it is installed again.
# A complete environment also serves the demo, so .dev touches .demo.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "modelwright needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[boost]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[all,dev]'
	@touch $@ $(VENV)/.demo
