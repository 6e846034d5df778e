# make demo   code one English and one Chinese record, from nothing
# make test   everything that continuous integration checks
# make help   the rest
#
# PYTHON=python3.12 chooses the interpreter; JOINTCODER_CACHE=/path chooses where models and code books go.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install
BENCHMARKS := program choose codebook check search exchange ocr engine
# The tests train on the CPU; any build of PyTorch will do.
TORCH ?= torch==2.13.0
ENGINE_TEST_MODEL := smollm2-135m-instruct-q4_1

# The engine's image and audio parts are never used here; leaving them out saves a quarter of the build.
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF

.DELETE_ON_ERROR:
.PHONY: help demo test lint bench clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.installed ## install, fetch model and code books, code two example records
	$(BIN)/jointcoder setup
	$(BIN)/jointcoder code examples/discharge_en.txt
	$(BIN)/jointcoder code examples/discharge_zh.txt

test: $(VENV)/.installed-dev lint ## lint, types, import layers, then all tests
	$(BIN)/jointcoder setup
	$(BIN)/jointcoder setup --no-books --model $(ENGINE_TEST_MODEL)
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev ## ruff, mypy, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev ## print the table of every benchmark; the last one builds llama.cpp's server once
	$(PIP) --quiet --editable '.[bench]'
	$(BIN)/jointcoder setup
	@missed=0; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || missed=1; done; exit $$missed

clean: ## remove the environment and caches of this folder; models and code books stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "jointcoder needs Python 3.11 or newer; none was found. Install one (Debian, Ubuntu:" \
	  "apt install python3.11 python3.11-venv) or name one: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "jointcoder needs Python 3.11 or newer;" \
	  "$(PYTHON) is not. Name another: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)
	@touch $@

# A changed pyproject.toml installs again; an unchanged one costs nothing.
$(VENV)/.installed: $(VENV)/.created pyproject.toml
	@for tool in "$${CC:-cc}" "$${CXX:-c++}"; do command -v $${tool%% *} >/dev/null || { \
	  echo "Building the engine needs a C and C++ compiler; '$$tool' was not found (Debian, Ubuntu: apt install build-essential;" \
	  "macOS: xcode-select --install)."; exit 1; } >&2; done
	@echo "Installing. The first time this compiles llama.cpp: about five minutes on two cores. pip keeps the result."
	$(PIP) --editable '.[llamacpp,books,learn]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --quiet $(TORCH)
	$(PIP) --quiet --editable '.[llamacpp,books,learn,finetune,dev]'
	@touch $@
