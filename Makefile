# `make demo` and `make test` work on a fresh machine with Python 3.11 or later: they create .venv,
# install into it, and go on.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := dev,io,demo,atoms,bayes,big,explore,flows,search,tensorboard
# One thread per test process, so that processes times threads don't exceed the cores.
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo explore-demo browser test test-oldest lint types tests docs notebooks segmenter format clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)  ## the main job on a real STM image; leaves its results in demo/
	$(BIN)/pyroshift demo --out demo --overwrite
	@ls -1 demo/*

explore-demo: $(STAMP)  ## the demo's maps to hover over, demo/explore.html; runs the demo if need be
	@test -f demo/explore.html || $(BIN)/pyroshift demo --out demo --overwrite
	@echo "open demo/explore.html: hover over the step edge and the adatoms"

test: lint types tests  ## everything that must hold: lint, types, tests

lint: $(STAMP)  ## ruff: mistakes and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)  ## mypy
	$(BIN)/mypy

# The explorer is tested in a browser: those tests say so and are skipped where there is none.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get -qq update && \
	    apt-get -qq install -y --no-install-recommends chromium >/dev/null; } || \
	  echo "no chromium, and it can't be installed here: the explorer's pages go untested"

tests: $(STAMP) browser  ## pytest alone
	$(ONE_THREAD) $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

OLDEST := .venv-oldest
test-oldest:  ## the tests with the lowest versions that setup.cfg allows, in an environment of their own
	$(PYTHON) -m venv $(OLDEST)
	sed -n 's/^ *\([A-Za-z0-9_.-]*\)>=\([0-9.]*\)$$/\1==\2/p' setup.cfg > $(OLDEST)/lowest.txt
	$(OLDEST)/bin/python -m pip install --constraint $(OLDEST)/lowest.txt --editable ".[$(EXTRAS)]"
	$(ONE_THREAD) $(OLDEST)/bin/pytest --numprocesses $(WORKERS) --dist worksteal -W ignore::DeprecationWarning

SITE := docs/_build/html
docs: $(VENV)/.docs-installed  ## the site, in docs/_build/html; warnings are errors, links are checked
	$(ONE_THREAD) $(BIN)/sphinx-build -W --keep-going -n -q -b html docs $(SITE)
	@echo $(SITE)/index.html

notebooks: $(STAMP)  ## execute them in place, with all of their settings
	$(ONE_THREAD) $(BIN)/python notebooks/execute.py notebooks/*.ipynb

segmenter: $(STAMP)  ## train the network for atoms that comes with the package anew
	$(ONE_THREAD) $(BIN)/python -m benchmarks.segmentation.train

format: $(STAMP)  ## rewrite the code in the common format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## remove the environment, caches and the demo's results
	rm -rf $(VENV) $(OLDEST) docs/_build build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find pyroshift tests -name __pycache__ -type d -exec rm -rf {} +

# Beside the rest, as the reference is read off the package itself.
$(VENV)/.docs-installed: $(STAMP)
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[$(EXTRAS),docs]"
	@touch $@

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@
