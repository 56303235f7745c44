# Ninewatch. `make demo` shows it, `make test` checks it; each does all its set-up itself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

RUNTIME := target/onnxruntime/libonnxruntime.so
PAHO := target/py/paho-mqtt-2.1.0
BROWSER := target/browser-py/installed

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(RUNTIME) ## Play a community on the real gateway; ARGS="--exit-after 180s --report demo.json"
	cargo build --release --locked -p ninewatch
	target/release/ninewatch demo $(ARGS)

build: $(RUNTIME) ## Build the program for this machine
	cargo build --release --locked -p ninewatch

install: ## Install what `make build` made (as root; DESTDIR is honoured)
	sh deploy/install.sh

test: $(RUNTIME) $(PAHO) $(BROWSER) ## Format, lints, and every test
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo build --locked --workspace
	node --test gateway/app/console/tests/
	sh deploy/tests/install.sh
	bash deploy/tests/deb.sh
	bash deploy/tests/stick.sh
	python3 firmware/wire/check_golden.py
	NINEWATCH_PYTHON=$(abspath target/py/bin/python) cargo test --locked --workspace
	target/browser-py/bin/python -m pytest tests/browser

browser: $(RUNTIME) $(BROWSER) ## Drive the pages in Chromium and the API by its description; ARGS="-k life"
	cargo build --locked -p ninewatch
	target/browser-py/bin/python -m pytest tests/browser $(ARGS)

screenshots: ## Take the pictures in docs/ anew, as the pages are now
	SCREENSHOTS=1 $(MAKE) browser ARGS="-k screenshots"

bench: $(RUNTIME) $(BROWSER) ## Compare with a bare subscriber on mosquitto, plain JSON parsing and Python; writes bench.json
	cargo build --release --locked -p ninewatch -p ninewatch-tests
	cargo run --release --locked -p ninewatch-core --example decoding > target/decoding.json
	models/bench.py --report target/models.json
	target/release/flood --report target/flood.json
	target/release/bench --report bench.json --decoding target/decoding.json --models target/models.json --flood target/flood.json

torture: ## Kill the gateway under load; ARGS="--kills 1000 --journal-gib 1 --report torture.json"
	cargo build --release --locked -p ninewatch -p ninewatch-tests
	target/release/torture $(ARGS)

storm: ## Connect and disconnect as hard as it goes; ARGS="--held 5000 --per-s 500 --seconds 30 --report storm.json"
	cargo build --release --locked -p ninewatch -p ninewatch-tests
	ulimit -n $$(ulimit -Hn) && target/release/storm $(ARGS)

fuzz: ## Fuzz for minutes; TARGET=decode, journal, sensor_port, api, wire or all; MINUTES=10, or SEED=1234 for one case again
	cargo build --locked -p ninewatch
	for target in $(if $(filter-out all,$(TARGET)),$(TARGET),decode journal sensor_port api); do \
	  case $$target in \
	    decode) what="-p ninewatch-core --test types -- mutated";; \
	    journal) what="-p ninewatch --bin ninewatch -- engine::fuzz";; \
	    sensor_port) what="-p ninewatch-tests --test fuzz -- sensor_port";; \
	    wire) export PROPTEST_CASES=$$((100000 * $(or $(MINUTES),10))); what="-p ninewatch-wire --";; \
	    api) what="-p ninewatch-tests --test fuzz -- api";; \
	    *) echo "there is no target $$target" >&2; exit 2;; \
	  esac; \
	  FUZZ_MINUTES=$(or $(MINUTES),10) FUZZ_SEED=$(SEED) cargo test --locked $$what --nocapture; \
	done

sim: ## Simulate worlds on the real core, journal and forwarding; SEEDS=1234 or SEEDS=0..100000, TRACE=1 tells each step
	SEEDS=$(SEEDS) TRACE=$(TRACE) cargo test --locked -p ninewatch --bin ninewatch sim::tests::every -- --nocapture

firmware: ## Build the nodes' firmware for all boards into target/firmware; BOARDS="pico qemu" for some
	firmware/boards/build.sh $(BOARDS)

test-firmware: ## Tie the firmware in QEMU to the real gateway: heat, presses, a cut and a noisy line, kills, a wrong key
	firmware/boards/build.sh qemu
	cargo build --locked -p ninewatch
	cargo test --locked -p ninewatch-tests --test emulated --test firmware -- --ignored --test-threads 2

models: $(RUNTIME) ## Train the models anew from ../shared/data; DATA=folder names another, ALSO=folder adds a site's own
	models/train.sh $(or $(DATA),../shared/data) $(ALSO)

# ONNX Runtime comes out of its Python wheel; without it the gateway runs on rules, and says so.
$(RUNTIME):
	models/fetch_runtime.sh

# A client that we did not write, for the tests.
$(PAHO):
	python3 -m venv --clear target/py
	target/py/bin/python -m pip install --quiet --disable-pip-version-check paho-mqtt==2.1.0
	touch $@

# Drives the system's Chromium; no browser is downloaded.
$(BROWSER): tests/browser/requirements.txt
	python3 -m venv --clear target/browser-py
	target/browser-py/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: help demo build install test browser screenshots bench torture storm fuzz sim firmware test-firmware models

include deploy/package.mk
