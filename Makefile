# `make demo` and `make test` do everything, on a fresh Debian machine with Python 3.11, pip, venv, make and a network.
SHELL := /bin/bash
PYTHON ?= python3.11
UV := .tools/bin/uv
BIN := .venv/bin
OUT ?= out/demo
SYSTEM_PACKAGES := ngspice libngspice0 libngspice0-dev chromium

.PHONY: demo test quick validate-long benchmark benchmark-gradient library lint env system lock clean

demo: env system ## the heart-rate network on a real recording; writes $(OUT)/report.html and result.json
	$(BIN)/analogsnn demo --out $(OUT)

test: env system lint ## everything that must hold
	$(BIN)/python -m pytest -n 2 --dist loadfile

quick: env ## the tests without the long ones
	$(BIN)/python -m pytest -m "not long and not validate_long"

validate-long: env system ## the long forms: both engines on full runs of the neuron, its whole rate table; out/validate.html
	mkdir -p out
	$(BIN)/analogsnn validate --long --html out/validate.html --json out/validate.json
	$(BIN)/python -m pytest tests/spice tests/validation tests/sensitivity tests/models tests/mismatch tests/transient tests/examples tests/systems -m validate_long

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

env: .venv/.installed

# Debian's Python refuses a bare pip, so uv gets a virtual environment of its own. No interpreter is downloaded.
$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing; type: sudo apt-get install python3.11 python3.11-venv"; exit 1; }
	@$(PYTHON) -m venv .tools || { echo "venv is missing; type: sudo apt-get install python3.11-venv"; exit 1; }
	.tools/bin/python -m pip install --quiet uv

.venv/.installed: requirements.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --no-python-downloads --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# ngspice judges the circuits, Chromium opens the pages in the tests.
system:
	@missing=""; for p in $(SYSTEM_PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q "install ok installed" || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; \
	  if [ "$$(id -u)" = 0 ]; then SUDO=""; elif sudo -n true 2>/dev/null; then SUDO="sudo"; \
	  else echo "missing system packages; type: sudo apt-get install$$missing"; exit 1; fi; \
	  $$SUDO apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive $$SUDO apt-get install -y -q $$missing >/dev/null \
	  || { echo "could not install; type: sudo apt-get update && sudo apt-get install$$missing"; exit 1; }; \
	fi

benchmark: env system ## our engine and ngspice side by side: the tables of README.md and docs/figures/growth.png
	$(BIN)/python benchmarks/transient.py --readme

benchmark-gradient: env system ## derivatives of spike times: errors, costs, docs/figures/gradient.png
	mkdir -p out
	$(BIN)/python benchmarks/gradient.py --json out/gradient.json

benchmark-monte-carlo: env system ## mismatched circuits in lanes and in ngspice: a table of README.md, docs/figures/monte_carlo.png
	$(BIN)/python benchmarks/monte_carlo.py --readme

benchmark-network: env ## networks, cost per neuron and step, ROCKPOOL=, BRIAN2= interpreters of peers: a table of README.md, docs/figures/network.png
	$(BIN)/python benchmarks/network.py --readme $(if $(ROCKPOOL),--rockpool $(ROCKPOOL)) $(if $(BRIAN2),--brian2 $(BRIAN2))

library: env system ## the table of the circuit library and its figures, from headers and ngspice runs
	$(BIN)/python docs/make_library.py

lock: $(UV) ## resolve the dependencies anew
	$(UV) pip compile --quiet --python $(PYTHON) --all-extras --no-emit-index-url --no-header --annotation-style=line \
	  --upgrade pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv .tools out .pytest_cache .ruff_cache
