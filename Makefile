# `make demo` and `make test` set up .venv when it is not there and do the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SIDE_BY_SIDE := --numprocesses logical --maxprocesses 4 --dist loadfile
PAGES := $(BIN)/pytest -m browser --timeout 120 --timeout-method thread

.PHONY: demo test check docs fix typing unit wheel schemas

demo: $(INSTALLED)
	$(BIN)/vsrc demo

test: check unit

check: $(INSTALLED) typing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(INSTALLED) typing
	-$(MAKE) --silent .stubs  # without them one test skips
	$(BIN)/pytest -m "not browser" $(SIDE_BY_SIDE)
	$(PAGES) || $(PAGES)  # Chromium may hang as it starts; a page that is wrong is so twice

fix: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typing:  # lets mypy and editors see the repository root as the package `vsrc`
	mkdir -p .typing && ln -sfn .. .typing/vsrc

.stubs: | $(INSTALLED)  # signatures of TensorRT; inside .venv they would pass for TensorRT itself
	$(BIN)/pip install --quiet --no-deps --target $@ tensorrt-stubs==10.13.0.35.1

schemas: $(INSTALLED) typing  # of the reports and settings, from their dataclasses; their tables in docs/ too
	$(BIN)/python -m vsrc.benchmarks.report_schemas
	$(BIN)/python -m vsrc.benchmarks.settings_page

docs: $(INSTALLED) typing  # the site of docs/ with the API reference, in build/site; needs no network
	$(BIN)/mkdocs build --strict

wheel:  # and the source distribution, checked, in dist/
	.ci/build

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[cpu,compress,teachers,export,eval,report,cluster,dev]'
	touch $@
