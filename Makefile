# Everything happens in a virtual environment of the project's own; `make demo` and `make test` need nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-backends lint golden bench fuzz faults wheel-check clean

demo: $(VENV)/.run
	$(BIN)/otelmig demo

# what Python compiled is kept, whatever the caller's environment says: every process of the tests would compile it again
test: $(VENV)/.test
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto

# against the real Collector, Jaeger and Prometheus's engine, built once from the Go module proxy (5 to 20 minutes)
test-backends: $(VENV)/.test
	$(BIN)/python tests/backends/build.py
	$(BIN)/python -m pytest -m backend tests/backends

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

golden: $(VENV)/.test
	PYTHONPATH=tests/support $(BIN)/python tools/golden_text.py
	PYTHONPATH=tests/support $(BIN)/python tools/readme_parts.py
	PYTHONPATH=tests/support $(BIN)/python tools/allow_list.py

bench: $(VENV)/.test
	$(BIN)/python benchmarks/trace.py
	$(BIN)/python benchmarks/clock.py
	$(BIN)/python benchmarks/scan.py
	$(BIN)/python benchmarks/export.py

# the long run: every cut of every recording, all examples and simulations, ten minutes of mutations of the whole command
fuzz: $(VENV)/.test
	OTELMIG_FULL=1 $(BIN)/python -m pytest -q tests/cloud_hypervisor/test_cuts.py tests/cloud_hypervisor/test_damaged_stamps.py \
		tests/clock/test_bounds.py tests/clock/test_conflict.py tests/clock/test_measurement.py tests/clock/test_simulator.py \
		tests/clock/test_simulated_clocks.py
	$(BIN)/python tests/support/fuzz.py --seconds 600

# the long run of the delivery: 200 times kill -9, and connections that break at 150 times as many places
faults: $(VENV)/.test
	OTELMIG_FULL=1 $(BIN)/python -m pytest -q tests/otlp/test_kill.py tests/otlp/test_faults.py

# the package as a user gets it: a wheel, installed into an environment of its own
wheel-check: $(VENV)/.test
	rm -rf build/wheel-check && mkdir -p build/wheel-check
	$(BIN)/python -m pip wheel -q --no-deps -w build/wheel-check .
	$(PYTHON) -m venv build/wheel-check/venv
	build/wheel-check/venv/bin/python -m pip install -q build/wheel-check/*.whl
	cd build/wheel-check && venv/bin/otelmig demo

$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q 'pip>=25.1' # the first to know dependency groups
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install -q --group test
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install -q --group lint
	touch $@

clean:
	rm -rf $(VENV) build dist
