# One command per habit; `make help` lists them. CI (.ci/run) calls the same.
# Variables: PORT, GATEWAYS, APIS (cluster), ARGS (run, load, bench, test-schema), N and TEST (soak-test), SEEDS and
# FROM (simulate),
# MINUTES and SEED (soak).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
STARLING := $(TARGET_DIR)/debug/starling
N ?= 20
TEST ?= cluster
SEEDS ?= 20000
FROM ?= 1
MINUTES ?= 30
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
ARGS ?=

.PHONY: help run cluster build test test-rust test-simulation test-web test-guide test-deploy test-schema check check-format check-lints \
	check-dependencies check-generated check-deploy generate generate-guide soak-test soak simulate bench bench-quick bench-micro load

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# A development build: it is there in a third of the time that a release build takes, and chats as well.
run: ## One server with nothing else installed: prints its URL, open it in two browser tabs
	@scripts/install-deps run
	cargo run -p server --bin starling -- serve $(ARGS)

cluster: ## A cluster on this machine: 2 gateways, 1 api, nginx, PostgreSQL, Redis (PORT=8080 GATEWAYS=2 APIS=1)
	@scripts/install-deps cluster
	cargo build -p server --bin starling
	@STARLING_BIN=$(STARLING) exec scripts/cluster

# The tests and the binary they start, in one go: every other choice of packages is another choice of features, and
# builds the whole tree anew.
build:
	@scripts/install-deps test
	cargo test --workspace --no-run

test: test-rust test-simulation test-web test-guide test-deploy test-schema ## All tests, against real PostgreSQL, Redis, nginx and Chromium that they start themselves

# --no-fail-fast: one run tells all that is broken.
test-rust: build
	cargo test --workspace --no-fail-fast

# Many seeds: five times as fast as in a debug build, and with its checks (`profile.seeds` in Cargo.toml).
test-simulation:
	@scripts/install-deps test
	SEEDS=2000 WITHIN=120 cargo test --profile seeds --workspace --test simulation no_seed -- --nocapture

test-web: build
	@STARLING_BIN=$(STARLING) tests/browser/run

# Every step of docs/guide.md again, against a server of its own, every recipe of docs/load-testing.md, and of all other
# pages every command that can run here.
test-guide: build
	@STARLING_BIN=$(STARLING) python3 -B scripts/guide check
	@STARLING_BIN=$(STARLING) python3 -B scripts/recipes check
	@STARLING_BIN=$(STARLING) python3 -B scripts/commands

# What docker-compose.yml and k8s/ start, as processes with exactly their commands and environments.
test-deploy: build
	@STARLING_BIN=$(STARLING) scripts/check-deploy run

# What the OpenAPI document allows, and what it forbids, sent to a running server.
test-schema: build
	@STARLING_BIN=$(STARLING) scripts/schemathesis $(ARGS)

check: check-format check-lints check-dependencies check-generated check-deploy ## Format, lints, licences, generated files, deployment files

check-format:
	cargo fmt --all --check

check-lints:
	@scripts/install-deps run
	cargo clippy --workspace --all-targets -- -D warnings

check-dependencies:
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --all-features check; \
	else \
		echo "cargo-deny is not installed: licences, bans and sources were not checked"; \
	fi

# Documents that are made from the code, and plans that are made from measured constants, are compared with what is
# checked in.
check-generated: build
	cargo test --workspace --tests -- document generated
	@python3 -B scripts/capacity check

check-deploy: build
	@STARLING_BIN=$(STARLING) scripts/check-deploy

generate: ## Writes the generated documents anew
	UPDATE_GENERATED=1 cargo test --workspace --tests -- document generated
	@python3 -B scripts/capacity write

generate-guide: build ## Runs the steps of docs/guide.md and docs/load-testing.md, and writes both anew
	@STARLING_BIN=$(STARLING) python3 -B scripts/guide write
	@STARLING_BIN=$(STARLING) python3 -B scripts/recipes write

soak-test: build ## The cluster tests N times in a row (N=20 TEST=cluster); prints how many passed
	@scripts/soak-test $(N) $(TEST)

soak: build ## A cluster of real processes under faults (MINUTES=30 SEED=1), audited; logs of a failure: target/soak/SEED
	@STARLING_BIN=$(STARLING) MINUTES=$(MINUTES) SEED=$(SEED) \
		cargo test --workspace --test chaos -- --ignored --exact soak --nocapture

# In release: three times as many seeds per second.
simulate: ## The deterministic simulation: make simulate SEEDS=20000 FROM=1 (see docs/RELIABILITY.md)
	@scripts/install-deps test
	SEEDS=$(SEEDS) FROM=$(FROM) cargo test --release --workspace --test simulation -- --nocapture

bench: ## Speed and memory, side by side in one run, printed with the command
	@scripts/install-deps cluster
	@scripts/bench $(ARGS)

bench-quick: ## The same in one short round
	@scripts/install-deps cluster
	@scripts/bench quick

bench-micro: ## Instructions that single parts take, counted by valgrind, beside what was noted (ARGS=--note notes them)
	@scripts/install-deps micro
	cargo run --release -p bench --bin micro -- count $(ARGS)

# As a part of the server's binary, so that `--spawn` has nodes to start.
load: ## The load tester: make load ARGS='room --spawn 1' (see docs/load-testing.md)
	@scripts/install-deps run
	cargo run --release -p server --bin starling -- load $(ARGS)
