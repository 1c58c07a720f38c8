# Every target says what it does: `make help`. All of them honour CARGO_TARGET_DIR.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET_DIR := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET_DIR)/release
NEXTEST_PROFILE := $(if $(CI),ci,default)

.PHONY: help test lint format-check fuzz-lock clippy doc build-tests unit doctest model e2e demo build bench fmt clean-report redis compose kubernetes fuzz crash-points soak volume limits peers

help: ## Say what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name what; do printf '  make %-14s %s\n' "$$name" "$$what"; done

test: redis format-check fuzz-lock clippy doc unit doctest ## Everything CI runs: format, clippy, docs, all tests, README

# The same targets and features everywhere (--workspace --all-targets), so that nothing is compiled twice.
# Programs first: the end-to-end tests start them.
unit: build-tests ## All tests but those in docs: units, stores, real processes, pages
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) nextest run --workspace --all-targets --locked --profile $(NEXTEST_PROFILE); \
	else \
	  echo "cargo-nextest is not installed; using cargo test"; \
	  $(CARGO) test --workspace --lib --bins --tests --locked --no-fail-fast; \
	fi

build-tests:
	$(CARGO) build --workspace --all-targets --locked

e2e: redis build-tests ## Only the end-to-end tests and the tests of the pages
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  $(CARGO) nextest run --workspace --all-targets --locked -E 'package(testfleet-tests)'; \
	else \
	  $(CARGO) test -p testfleet-tests --locked --no-fail-fast; \
	fi

model: ## The model of the transitions with more of everything than the tests have time for (minutes)
	$(CARGO) test -p testfleet-proof --locked --test larger -- --ignored --nocapture --test-threads=1

crash-points: redis ## Every command of a process struck in every way (minutes); CRASH_POINTS=parallel:7:executed:kill for one
	$(CARGO) build -p testfleet -p testfleet-worker --bins --locked
	@mkdir -p $(TARGET_DIR); status=0; \
	CRASH_POINTS="$${CRASH_POINTS:-all}" $(CARGO) test -p testfleet-tests --locked --test crash_points -- \
	  --nocapture --test-threads=1 2>&1 | tee $(TARGET_DIR)/crash-points.log || status=$$?; \
	grep '^crash points:' $(TARGET_DIR)/crash-points.log | tail -n 1; exit $$status

doctest: ## The examples in the docs
	$(CARGO) test --workspace --doc --locked

lint: format-check fuzz-lock clippy doc ## Format, clippy and docs, without tests

format-check:
	$(CARGO) fmt --all --check

# The fuzz targets are no members of the workspace, so a new dependency of a crate reaches their lock file only by hand.
fuzz-lock:
	@$(CARGO) metadata --manifest-path fuzz/Cargo.toml --locked --format-version 1 > /dev/null || { \
	  echo 'fuzz/Cargo.lock is out of date: cargo metadata --manifest-path fuzz/Cargo.toml > /dev/null'; exit 1; }

clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## The API docs, without warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

# Through `env`: to the shell of a recipe, SECONDS is a clock.
soak: redis build-tests ## Processes, runs and a random fault every 1.5 s for SECONDS=300; SEED=… makes the same faults
	env SEED="$(SEED)" SECONDS="$(or $(SECONDS),300)" \
	  $(CARGO) test --workspace --test soak --locked -- --ignored --exact soak --nocapture

volume: redis build build-tests ## 100,000 tests without a fault: each is called once (TESTS=…)
	env TESTS="$(TESTS)" $(CARGO) test --workspace --test soak --locked -- --ignored volume --nocapture

# One after the other: they compare times.
limits: redis build build-tests ## Limits and fairness with four workers: figures beside what is wanted (8 minutes); LIMITS=rate for some
	$(CARGO) test --workspace --test admission --locked -- --ignored --nocapture --test-threads=1 $(LIMITS)

compose: ## The image, the fleet in containers, and what befalls containers (10 to 15 minutes)
	tests/compose.sh --start-engine

kubernetes: ## The manifests against their schemas
	scripts/validate-kubernetes.sh

FUZZ ?= --seconds 60
fuzz: ## Look for inputs that break a decoder, a minute for each; FUZZ="--seconds 10 job result" for some
	scripts/fuzz.sh $(FUZZ)

fmt: ## Format the code
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

redis: ## Find a Redis or Valkey server, or install one
	@scripts/get-redis.sh

build: ## Optimised programs: testfleet, testfleet-worker, testfleet-stub
	$(CARGO) build --release --locked -p testfleet -p testfleet-worker -p testfleet-stub --bins
	@echo "built in $(RELEASE): testfleet, testfleet-worker, testfleet-stub"

demo: redis build ## A stub, a fleet and a run, on this machine
	$(RELEASE)/testfleet demo

BENCH ?= fan-out
bench: redis build ## Measure the queue; BENCH="--suite" for everything, BENCH="http --repeat 5" for some of it
	$(RELEASE)/testfleet bench $(BENCH)

PEERS ?= bullmq apalis celery
peers: redis build ## testfleet beside other queues on the same work (half an hour on a quiet machine); PEERS="bullmq sidekiq" for some
	benches/peers/install.sh $(PEERS)
	benches/peers/compare.py --programs $(RELEASE) $(PEERS) $(COMPARE)

clean-report: ## Remove reports that runs have written
	rm -rf report
