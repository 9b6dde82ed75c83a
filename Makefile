# Two commands do everything on a fresh machine with Python 3.11: `make demo` and `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 2
# TensorFlow's threads multiply with pytest's workers: two workers on two cores are enough.
WORKERS ?= 2

.PHONY: demo test test-slow soak lint format clean

$(STAMP): constraints.txt setup.py
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" || { echo "Python 3.11 is needed, and $(PYTHON) is not it; set PYTHON"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

demo: $(STAMP)  ## Train on the embedded digits, measure, compare; pictures in runs/demo.
	$(BIN)/python -m runners.demo --log_dir=runs/demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint  ## Lint, types, and all tests but the slow ones.
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not soak"

test-slow: $(STAMP)  ## What takes minutes a test.
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow

soak: $(STAMP)  ## What takes hours: runs killed again and again, hundreds of thousands of damaged files.
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m soak

clean:
	rm -rf $(VENV) .build *.egg-info .pytest_cache .mypy_cache .ruff_cache
