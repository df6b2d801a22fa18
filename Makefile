# `make demo` and `make test` set up .venv when it is not there and do the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check fix typing unit wheel

demo: $(INSTALLED)
	$(BIN)/vsrc demo

test: check unit

check: $(INSTALLED) typing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(INSTALLED)
	$(BIN)/pytest

fix: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typing:  # lets mypy and editors see the repository root as the package `vsrc`
	mkdir -p .typing && ln -sfn .. .typing/vsrc

wheel: $(INSTALLED)
	$(BIN)/pip wheel --no-deps --wheel-dir dist .

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[cpu,compress,export,eval,report,dev]'
	touch $@
