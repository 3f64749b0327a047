# Every target makes .venv by itself: a fresh machine needs Python, make and a package index.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test django check format bench clean

demo: $(STAMP)  ## A server, a website and an agent that signs in, told step by step
	@$(BIN)/auth-agent demo

test: $(STAMP)  ## All tests
	@$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

django: $(STAMP)  ## The Django adapter on the other Djangos that are promised
	@$(BIN)/python -m tests.djangos

check: $(STAMP)  ## Style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP)  ## Put the code into the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP)  ## Measure, side by side in one run
	@$(BIN)/python -m benchmarks

clean:  ## Remove everything that the other targets made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .bench

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[all]" --group dev
	@touch $(STAMP)
