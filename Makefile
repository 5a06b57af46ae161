# The project's one virtual environment and the commands of daily work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Without byte code every nnU-Net process imports twice as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test exhaustive check bench clean
help:
	@echo "make demo        the whole way on made CTs: demo_output/demo_report.html"
	@echo "make test        all tests"
	@echo "make exhaustive  and every trainer through nnU-Net's own commands, in hours"
	@echo "make check       format, lint, types"
	@echo "make bench       the first tables of benchmarks/README.md"

$(INSTALLED): pyproject.toml setup.py constraints.txt nnunet_pancext.pth
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: $(INSTALLED)
	$(BIN)/pancext demo --out demo_output

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

exhaustive: $(INSTALLED)
	$(BIN)/python -m pytest -m exhaustive --numprocesses 2

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
