# Two commands suffice on a fresh machine with Python 3.11, 3.12 or 3.13: `make demo` and `make test`.

# The first of these that runs, is supported and can create environments; a pyenv shim may exist and not run.
SUPPORTED := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
CANDIDATES := python3.11 python3.12 python3.13 python3 python
PYTHON ?= $(firstword $(foreach name,$(CANDIDATES),$(shell $(name) -c "$(SUPPORTED)" 2> /dev/null && echo $(name))))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Each of pytest's workers uses all threads of TensorFlow: two workers on two cores are enough.
WORKERS ?= 2

.PHONY: demo docs test test-gpu test-slow soak lint format clean

$(BIN)/python:
	@$(or $(PYTHON),false) -c "$(SUPPORTED)" || { echo "PYTHON: expected Python 3.11, 3.12 or 3.13 with venv, got $(or $(PYTHON),none)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# Byte code is compiled on first import: compiling all of it takes a third of the installation.
$(STAMP): constraints.txt setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e ".[docs,test]"
	touch $@

demo: $(STAMP)  ## Train on binarized MNIST, compare, draw; pictures in runs/demo.
	$(BIN)/python -m runners.demo --log_dir=runs/demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint  ## Lint, types, and all tests except the slow ones.
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not soak"

# Tests of numerical code. Processes share the card, each with the memory that it needs.
GPU_TESTS := tests/graphs tests/numbers tests/partition tests/priors tests/rbm tests/samplers tests/smoothing \
	$(addprefix tests/test_,evaluation.py export.py gradients.py kl.py local.py numerics.py objectives.py \
		posterior.py products.py)
# Of resuming and repeating a run one test each, whatever its mark.
GPU_RUNS := tests/reliability/test_determinism.py \
	"tests/reliability/test_kill.py::test_a_killed_run_ends_the_same_to_the_last_bit[pcd-5-True]"
GPU_WORKERS ?= 8
test-gpu: export TF_FORCE_GPU_ALLOW_GROWTH = true
test-gpu: $(STAMP)  ## The tests of numerical code, on a GPU.
	@$(BIN)/python -c "import sys, tensorflow as tf; sys.exit(not tf.config.list_physical_devices('GPU'))" \
		|| { echo "test-gpu: expected a GPU that TensorFlow finds, got none"; exit 2; }
	$(BIN)/python -m pytest -n $(GPU_WORKERS) --dist worksteal -m "not slow and not soak" $(GPU_TESTS)
	$(BIN)/python -m pytest -n $(GPU_WORKERS) $(GPU_RUNS)

# One part after another, because compiled programs stay in memory until a process ends.
MODELS := tests/estimators tests/examples tests/models tests/partition
test-slow: KINDS := slow and not soak
test-slow: $(STAMP)  ## Tests that take minutes each.
soak: KINDS := soak
soak: $(STAMP)  ## Tests that take hours, or that repeat a slow one.
test-slow soak:
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "$(KINDS)" --durations=10 tests/conformance
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "$(KINDS)" --durations=10 $(MODELS)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "$(KINDS)" --durations=10 \
		$(addprefix --ignore=,tests/conformance $(MODELS))

docs: $(STAMP)  ## The documentation, into .build/site; a broken link or a missing reference fails.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) .build *.egg-info .pytest_cache .mypy_cache .ruff_cache
