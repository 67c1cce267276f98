# Two commands: `make up` runs Penstock on this machine, `make test` passes the tests.
# Everything is installed into .venv; nothing else on the machine changes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.installed-run
DEV    := $(VENV)/.installed-dev
# Test files that run at a time, on two cores: each brings its own clusters (2 GiB), and waits a lot.
JOBS   ?= 3
# Compiled once, here: where PYTHONDONTWRITEBYTECODE is set, each process would compile it all anew,
# which is half of what a start costs.
export UV_COMPILE_BYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help install up down test test-unit check static format bench generate requirements clean

help: ## Show the commands
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

install: $(DEV) ## Install Penstock and its development tools into .venv

$(BIN)/uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Penstock needs Python 3.11 or newer; this is {v[0]}.{v[1]}. Try: make PYTHON=python3.12 up")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(RUN): $(BIN)/uv requirements/run.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src
	@touch $@

$(DEV): $(RUN) requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

extra-%: requirements/%.txt $(RUN) ## Install an extra: demo, postgres, snowflake, spark
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $<

up: $(RUN) ## Start two Kafka clusters, the control plane and the quickstart; Ctrl-C stops
	$(BIN)/penstock up

down: $(RUN) ## Stop everything `make up` or `penstock up --detach` started
	$(BIN)/penstock down

test: $(DEV) ## Run every test, on real parts
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-unit: $(DEV) ## Run the tests that need no process
	$(BIN)/python -m pytest -m "unit or arch"

check: static ## Run what is quick: format, lint, types, import contracts and unit tests
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "unit or arch"

static: $(DEV) ## Check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## Format the code and apply safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV) ## Measure side by side with the peers; writes docs/benchmarks.md
	$(BIN)/python -m bench

generate: $(DEV) ## Make the generated files anew: gRPC stubs, JSON Schema, reference pages
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/generate.py

requirements: $(DEV) ## Pin the dependencies anew
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/compile_requirements.sh

clean: ## Remove .venv and caches (not .penstock: that is `penstock reset`)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
