# Every target makes .venv by itself: a fresh machine needs Python, make and a package index.
PYTHON ?= python3
BIN := .venv/bin
DEMO := .venv/.demo
STAMP := .venv/.installed
DOCS := .venv/.docs
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test django lowest check format bench docs reference screenshots release build clean

demo: $(DEMO)  ## A server, a website, an agent, its owner and an MCP server, narrated step by step
	@$(BIN)/auth-agent demo

test: $(STAMP)  ## All tests
	@$(BIN)/python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder

django: $(STAMP)  ## The Django adapter on the other Djangos that are promised
	@$(BIN)/python -m tests.djangos

lowest: $(STAMP)  ## A part of the tests on the lowest versions that pyproject.toml allows
	@$(BIN)/python -m tests.lowest

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

docs: $(DOCS)  ## The documentation site, in site/; a warning is an error
	@$(BIN)/zensical build --strict --clean

reference: $(STAMP)  ## Write the pages of docs/ that are generated from the code
	@$(BIN)/python -m handbook

screenshots: $(STAMP)  ## Take the pictures of the documentation anew; needs Chromium
	@$(BIN)/python -m handbook.screenshots

release: $(STAMP)  ## make release VERSION=0.2.0: write the version, check, test, build
	@$(BIN)/python -m handbook.release $(VERSION)
	@$(MAKE) --no-print-directory reference check docs test build
	@echo "$(VERSION) is built in dist/; docs/help/release.md says what comes next."

build: $(STAMP)  ## The wheel and the sdist, in dist/
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . >/dev/null
	@ls dist

clean:  ## Remove everything that the other targets made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .bench .cache dist site

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Auth Agent needs Python 3.10 or newer; this is %d.%d. Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.13" % sys.version_info[:2])'
	@$(PYTHON) -m venv .venv

$(DEMO): pyproject.toml | $(BIN)/python
	@echo "Installing what the demo needs into .venv; this takes about half a minute ..."
	@$(PIP) install --quiet --editable ".[agent,mcp,server,starlette]"
	@touch $(DEMO)

$(STAMP): pyproject.toml | $(BIN)/python
	@echo "Installing everything that the tests need into .venv; this takes a minute or two ..."
	@$(PIP) install --quiet --upgrade "pip>=25.1"
	@$(PIP) install --quiet --editable ".[all]" --group dev
	@touch $(STAMP) $(DEMO)

$(DOCS): pyproject.toml | $(BIN)/python
	@echo "Installing what builds the documentation into .venv ..."
	@$(PIP) install --quiet --upgrade "pip>=25.1"
	@$(PIP) install --quiet --group docs
	@touch $(DOCS)
