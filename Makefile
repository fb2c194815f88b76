# Everything runs from .venv, which is made from requirements.lock; CI runs these same targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup up test check audit bench soak screenshots lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv from requirements.lock (skipped when nothing changed)

# Hashes guard what is downloaded. The lock is complete, so pip resolves nothing; the project itself
# is linked in without a look at any index.
$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; install Python 3.11, or name it: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || { echo "Creating .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv .venv; }
	@echo "Installing the packages of requirements.lock; the first time this takes some minutes"
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

up: $(STAMP) ## run the loop if there is no champion yet, then Dagster, MLflow, the API and the dashboard until Ctrl-C
	@exec $(BIN)/mlops up

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP) ## lint, formatting, types, import rules, docs, definitions, white space, audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q mlops_assets_tests/architecture
	$(BIN)/dagster definitions validate --workspace workspace.yaml
	git diff --check "$$(git hash-object -t tree /dev/null)"
	$(BIN)/python .ci/audit.py

audit: $(STAMP) ## look every locked package up among known vulnerabilities
	$(BIN)/python .ci/audit.py

bench: $(STAMP) ## run the benchmarks; each prints its ratios
	@for script in benchmarks/*.py benchmarks/serving/{peers,swaps,costs,faults}.py; do echo "== $$script"; $(BIN)/python "$$script"; done

soak: $(STAMP) ## run the long tests, which CI leaves out
	$(BIN)/python -m pytest -m soak --timeout 3600

screenshots: $(STAMP) ## take README's pictures of the pages that `make up` serves
	$(BIN)/python docs/make_screenshots.py

# The interpreter's own settings of pip (extra folders, constraints) are left out of the result.
lock: $(STAMP) ## resolve requirements.lock anew from pyproject.toml
	$(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); print(*p["project"]["dependencies"], *sum(p["project"]["optional-dependencies"].values(), []), *p["dependency-groups"]["dev"], *p["build-system"]["requires"], sep="\n")' \
	  | env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PIP_CONSTRAINT PIP_CONFIG_FILE=/dev/null \
	    CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --upgrade \
	    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
	    --no-strip-extras --allow-unsafe --output-file requirements.lock -

clean: ## delete .venv and caches; data stays (`mlops reset` deletes that)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
