# Everything happens in a virtual environment of the project's own; `make demo` and `make test` need nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# what another environment can break, without what takes long and does not depend on it
QUICK := -q -n auto \
	--ignore=tests/otlp/test_kill.py --ignore=tests/otlp/test_faults.py \
	--ignore=tests/otlp/test_overlap.py --ignore=tests/otlp/test_interrupt.py \
	--ignore=tests/cli/test_fuzz.py --ignore=tests/cli/test_interrupted_run.py \
	--deselect=tests/otlp/test_delivery.py::test_power_failure \
	--deselect=tests/otlp/test_delivery.py::test_power_failure_of_a_resend \
	tests/house tests/inputs tests/pairing tests/trace tests/views tests/cli tests/otlp

# of what these try, `make test` takes a sample
SAMPLED := tests/cli/test_console.py tests/cli/test_fuzz.py tests/clock/test_bounds.py tests/clock/test_conflict.py \
	tests/clock/test_drift.py tests/clock/test_measurement.py tests/clock/test_proof.py tests/clock/test_pruned_bounds.py \
	tests/clock/test_simulated_clocks.py tests/clock/test_simulated_loss.py tests/clock/test_simulator.py \
	tests/cloud_hypervisor/test_cuts.py tests/cloud_hypervisor/test_damage.py \
	tests/cloud_hypervisor/test_damaged_stamps.py tests/cloud_hypervisor/test_fed.py \
	tests/cloud_hypervisor/test_fed_cost.py tests/cloud_hypervisor/test_stamps.py \
	tests/inputs/rebuilding/test_rebuilt_files.py tests/inputs/test_collected.py tests/inputs/test_framing.py \
	tests/live/test_handed_over.py tests/live/test_live_fleet.py tests/live/test_other_names.py \
	tests/live/test_rotated_before.py tests/live/test_same_trace.py tests/live/test_same_trace_of_a_journal.py \
	tests/live/test_tailed.py tests/live/test_watched_journal.py tests/pairing/test_fleet.py tests/views/test_schemas.py

.PHONY: demo demo-live demo-instrument test test-lowest test-pythons test-backends lint golden bench fuzz sweep faults wheel-check clean

demo: $(VENV)/.run
	$(BIN)/otelmig demo

# a recorded migration in real time on two hosts, through `otelmig serve`: half a minute
demo-live: $(VENV)/.test
	PYTHONPATH=tests/support $(BIN)/python tools/demo_live.py

demo-instrument: $(VENV)/.test
	PYTHONPATH=tests/support:examples $(BIN)/python tools/demo_instrument.py

# what Python compiled is kept, whatever the caller's environment says: every process of the tests would compile it again
test: $(VENV)/.test
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto

# with the lowest versions of everything that the package depends on, in an environment of its own
test-lowest: $(VENV)/.test
	$(BIN)/python -m pip install -q --group uv
	rm -rf build/lowest
	$(BIN)/python -m venv build/lowest
	$(BIN)/uv pip install -q --python build/lowest/bin/python --resolution lowest-direct -e . --group test
	build/lowest/bin/python -m pytest $(QUICK)

# with the other Pythons that are supported, as far as they are installed
test-pythons: $(VENV)/.test
	$(BIN)/python tools/other_pythons.py $(QUICK)

# against the real Collector, Jaeger, Tempo and Prometheus's engine, built once from the Go module proxy (10 to 30
# minutes), and Kafka from Maven's
test-backends: $(VENV)/.test
	$(BIN)/python tests/backends/build.py
	PYTHONPATH=tests $(BIN)/python tests/backends/kafka_broker.py
	$(BIN)/python -m pytest -m backend tests/backends

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

golden: $(VENV)/.test
	PYTHONPATH=tests/support $(BIN)/python tools/golden_text.py
	PYTHONPATH=tests/support $(BIN)/python tools/document_parts.py
	PYTHONPATH=tests/support $(BIN)/python tools/allow_list.py
	PYTHONPATH=tests/support $(BIN)/python tools/grafana_dashboards.py
	PYTHONPATH=tests/support $(BIN)/python tools/weaver_registry.py

bench: $(VENV)/.test
	$(BIN)/python benchmarks/trace.py
	$(BIN)/python benchmarks/feed.py
	$(BIN)/python benchmarks/clock.py
	$(BIN)/python benchmarks/pairing.py
	$(BIN)/python benchmarks/scan.py
	$(BIN)/python benchmarks/scan.py --parts
	$(BIN)/python benchmarks/alternatives.py
	$(BIN)/python benchmarks/export.py
	$(BIN)/python benchmarks/serve.py
	PYTHONPATH=tests:tests/support $(BIN)/python benchmarks/live.py
	PYTHONPATH=tests:tests/support $(BIN)/python benchmarks/watch.py
	$(BIN)/python benchmarks/intake.py
	$(BIN)/python benchmarks/instrument.py

# the long run: every cut of every recording, all examples and simulations, the whole of each matrix that `make test` takes
# a sample of, ten minutes of mutations of the whole command (lost lines, control characters, halves of surrogate pairs
# and prefixes among them), a million mutated requests
fuzz: $(VENV)/.test
	OTELMIG_FULL=1 $(BIN)/python -m pytest -q $(SAMPLED)
	$(BIN)/python tests/support/fuzz.py --seconds 600
	$(BIN)/python tests/support/fuzz_intake.py --requests 1000000

# every line of every recording and scenario lost, cut short, doubled or out of place, and many lost at once: ten minutes
sweep: $(VENV)/.test
	$(BIN)/python tests/support/sweep.py --jobs $$(nproc)

# the long run of the delivery: 200 times kill -9, connections that break at 150 times as many
# places, and 200 times kill -9 of `otelmig watch`; and of
# announcements: a hundred migrations at once
faults: $(VENV)/.test
	OTELMIG_FULL=1 $(BIN)/python -m pytest -q tests/otlp/test_kill.py tests/otlp/test_faults.py tests/live/test_watch.py \
		tests/live/test_whose_request.py tests/live/test_live_kill.py

# the package as a user gets it: a wheel, made from the source distribution, in an environment of its own; then the
# tests of the documents out of the source distribution
wheel-check: $(VENV)/.test
	$(BIN)/python -m pip install -q --group build
	rm -rf build/wheel-check && mkdir -p build/wheel-check
	$(BIN)/python -m build -o build/wheel-check .
	$(PYTHON) -m venv build/wheel-check/venv
	build/wheel-check/venv/bin/python -m pip install -q build/wheel-check/*.whl
	cd build/wheel-check && venv/bin/otelmig demo
	cd build/wheel-check && tar -xzf otelmig-*.tar.gz && cd otelmig-*/ && ../../../$(BIN)/python -m pytest -q tests/house

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
