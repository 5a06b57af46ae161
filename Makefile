# The project's one virtual environment and the commands of daily work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Without byte code every nnU-Net process imports twice as long.
unexport PYTHONDONTWRITEBYTECODE

# The tests whose numbers come from PyTorch's and oneDNN's kernels.
NUMERICAL := tests/contracts tests/architectures tests/losses tests/trainers tests/attention tests/inference
# As on the oldest CPU that PyTorch runs on.
WITHOUT_AVX := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

.PHONY: help demo test numerical exhaustive check bench clean
help:
	@echo "make demo        everything on synthetic CTs, 4 minutes: demo_output/demo_report.html"
	@echo "make test        all tests"
	@echo "make numerical   the tests of networks, losses and trainers once more, as on a CPU without AVX"
	@echo "make exhaustive  every trainer through nnU-Net's commands, half an hour"
	@echo "make check       format, lint, types"
	@echo "make bench       the first tables of benchmarks/README.md"

$(INSTALLED): pyproject.toml setup.py constraints.txt nnunet_pancext.pth
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: $(INSTALLED)
	$(BIN)/pancext demo --out demo_output

test: $(INSTALLED)
	$(PYTEST) --numprocesses 3

numerical: $(INSTALLED)
	$(WITHOUT_AVX) $(PYTEST) --numprocesses 3 -m "not slow and not exhaustive" -k "not compiles" $(NUMERICAL)

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
