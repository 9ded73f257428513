# Everything runs from .venv, made on first use from constraints.txt (package names and versions).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint soak bench fast slow clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/fairlead demo

test: lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Runs of the world of faults on all cores: make soak SEEDS=20000 [FROM=1]
SEEDS ?= 300
FROM ?= 1
soak: $(VENV)/.installed
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM)

bench: $(VENV)/.installed fast
