# Everything runs from .venv, made on first use from constraints.txt (package names and versions).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint soak bench study-routing fast slow clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/fairlead demo

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

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
	$(BIN)/python -m bench

# What learned routing saves: the same simulated days under four rankings. It goes on where it was stopped.
DAYS ?= 200
study-routing: $(VENV)/.installed
	$(BIN)/python -m study.routing --days $(DAYS)

# What runs for each event of a market compiled by mypyc (needs a C compiler): the same to the byte, faster. `make slow`
# undoes it.
fast: $(VENV)/.installed
	FAIRLEAD_COMPILED=1 $(BIN)/python setup.py -q build_ext --inplace

slow:
	rm -rf build *.so $(patsubst %,%/*.so,domain fix simulators venues service)

clean: slow
	rm -rf $(VENV) var *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
