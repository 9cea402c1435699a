# `make demo` and `make test` do all the rest: the virtual environment, the pinned packages, the Rust extension.
# Run again they only look at time stamps. `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
NATIVE := src/salus/_native.abi3.so
RUST := $(shell find rust -name target -prune -o -type f -print)
# Test processes; the suite is planned for two cores.
JOBS ?= 2
# Further words for the demonstration or for pytest: make demo ARGS="--records DIR", make test ARGS="-k codec"
ARGS ?=

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(NATIVE) ## patients consult doctors and share their records over four replicas; others try to cheat
	$(BIN)/salus demo $(ARGS)

.PHONY: test
test: $(NATIVE) ## every test but the long ones (under 10 minutes on 2 cores)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not long" $(ARGS)

.PHONY: test-long
test-long: $(NATIVE) ## the long ones: many seeds, fuzzing, large sizes
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m long --timeout 7200 $(ARGS)

.PHONY: check
check: lint format-check types imports docs ## everything that needs no test run

.PHONY: lint
lint: $(NATIVE) ## ruff and clippy
	@tools/find-tools clippy >/dev/null
	$(BIN)/ruff check .
	cargo clippy --quiet --locked --release --all-targets --manifest-path rust/Cargo.toml -- -D warnings

.PHONY: format-check
format-check: $(STAMPS)/packages ## is everything formatted?
	@tools/find-tools rustfmt >/dev/null
	$(BIN)/ruff format --check .
	cargo fmt --manifest-path rust/Cargo.toml --check

.PHONY: format
format: $(STAMPS)/packages ## format everything
	@tools/find-tools rustfmt >/dev/null
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	cargo fmt --manifest-path rust/Cargo.toml

.PHONY: types
types: $(NATIVE) ## mypy --strict
	$(BIN)/mypy

.PHONY: imports
imports: $(NATIVE) ## who may import whom
	$(BIN)/lint-imports --no-cache

.PHONY: docs
docs: $(NATIVE) ## build the documentation into site/; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.PHONY: bench
bench: $(NATIVE) ## measure, and write the figures into the documentation; minutes, on an otherwise idle machine
	for what in consultation abpre search records flows; do $(BIN)/salus bench $$what --page docs/bench || exit 1; done

.PHONY: reference
reference: $(NATIVE) ## write the pages under docs/reference that are made from the code
	$(BIN)/python tools/reference.py

.PHONY: setup
setup: $(NATIVE) ## only set up: environment, packages, extension

.PHONY: lock
lock: $(STAMPS)/packages ## renew requirements.lock after a change of the dependencies in pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --generate-hashes --no-header --no-annotate --quiet \
	  --output-file requirements.lock

.PHONY: clean
clean: ## remove everything that a build made, the environment included
	rm -rf $(VENV) site build dist rust/target $(NATIVE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(STAMPS)/packages: requirements.lock
	@python=$$(tools/find-tools) || exit 1; \
	  echo "setting up .venv: the pinned packages, then the extension; a minute or two, once"; \
	  [ -x $(BIN)/python ] || "$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	@mkdir -p $(STAMPS)
	@touch $@

$(NATIVE): $(STAMPS)/packages $(RUST)
	@tools/find-tools >/dev/null
	@echo "building the Rust extension"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) PIP_QUIET=1 PIP_NO_INDEX=1 CARGO_TERM_QUIET=true $(BIN)/maturin develop --release --quiet --locked
	@touch $@
