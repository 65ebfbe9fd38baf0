# maskgate: everything a person or a machine needs, from a fresh clone.
# Prerequisites: Python 3.11+, a Rust toolchain, make.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml -o -path '*/src/*.txt') Cargo.toml Cargo.lock
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_QUIET = 1
export PIP_CONSTRAINT = $(CURDIR)/constraints.txt
export VIRTUAL_ENV = $(CURDIR)/$(VENV)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-rust test-python test-pg15 test-idp test-keycloak test-pkcs11 test-arm check accuracy bench bench-check bench-long model test-kills fuzz format clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/maturin: constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q maturin
	@touch $@

# One stamp for packages and kernel: maturin builds the extension and has pip install what pyproject names.
$(VENV)/.ready: $(BIN)/maturin pyproject.toml constraints.txt $(RUST_SOURCES)
	@echo "setting up: Python packages and the Rust kernel (the first time takes a few minutes)"
	@$(BIN)/maturin develop --release --locked -q -E embedded,test,check
	@touch $@

setup: $(VENV)/.ready ## the virtual environment and the compiled kernel

demo: setup ## the worked example, end to end, on an embedded PostgreSQL
	@$(BIN)/maskgate demo

test: test-rust test-python ## every test that needs no extra server

# The same cases each time: chance finds new ones in `make fuzz`, not in somebody else's build.
test-rust: export PROPTEST_RNG_SEED ?= 20261123
test-rust: $(BIN)/maturin
	cargo test --locked -q --workspace --exclude maskgate-kernel

# Neighbours stay together: each process starts its own servers, once each.
JOBS ?= 2
test-python: setup
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

test-pg15: setup ## the SQL corpus on Debian's PostgreSQL 15 (apt-get install postgresql-15)
	MASKGATE_TEST_PG15=1 $(BIN)/python -m pytest -q -m pg15

# A certified OpenID provider, installed beside the build by the names and hashes of its lock file.
IDP := build/idp
$(IDP)/.ready: tests/idp/package.json tests/idp/package-lock.json
	@command -v npm > /dev/null || { echo "test-idp needs Node 20 or newer with npm"; exit 1; }
	@mkdir -p $(IDP)
	@cp tests/idp/package.json tests/idp/package-lock.json $(IDP)
	@npm ci --prefix $(IDP) --ignore-scripts --no-audit --no-fund --silent || { echo "the OpenID provider cannot be installed: npm reaches no registry"; exit 1; }
	@touch $@

test-idp: setup $(IDP)/.ready ## a certified OpenID provider and a gateway that believes it (needs Node)
	MASKGATE_TEST_IDP=$(CURDIR)/$(IDP) $(BIN)/python -m pytest -q tests/idp/signing_in.py

# Keycloak from Maven Central, by its hash.
KEYCLOAK := 26.4.0
KEYCLOAK_SHA256 := 1b6a11a2726ac8a8dc9c91d5fafe989a75ce4f1622d7f7b45c21d5bc16629c0a
build/keycloak/.ready: Makefile
	@command -v java > /dev/null || { echo "test-keycloak needs Java 17 or newer"; exit 1; }
	@command -v mvn > /dev/null || { echo "test-keycloak needs Maven, which fetches Keycloak"; exit 1; }
	@rm -rf build/keycloak && mkdir -p build/keycloak
	@mvn -q -B dependency:copy -Dartifact=org.keycloak:keycloak-quarkus-dist:$(KEYCLOAK):zip -DoutputDirectory=build/keycloak || { echo "Keycloak cannot be installed: Maven reaches no repository"; exit 1; }
	@echo "$(KEYCLOAK_SHA256)  build/keycloak/keycloak-quarkus-dist-$(KEYCLOAK).zip" | sha256sum -c --quiet
	@cd build/keycloak && $(PYTHON) -m zipfile -e keycloak-quarkus-dist-$(KEYCLOAK).zip . && rm *.zip && chmod +x keycloak-*/bin/kc.sh
	@touch $@

test-keycloak: setup build/keycloak/.ready ## Keycloak and a gateway that believes it, by SAML and OIDC (needs Java 17 and Maven)
	MASKGATE_TEST_KEYCLOAK=$(CURDIR)/build/keycloak $(BIN)/python -m pytest -q tests/idp/keycloak.py

test-pkcs11: setup ## the log's key in a token of SoftHSM (apt-get install softhsm2)
	@command -v softhsm2-util > /dev/null || { echo "test-pkcs11 needs SoftHSM 2.6: apt-get install softhsm2"; exit 1; }
	$(BIN)/python -m pytest -q tests/hsm/token_key.py tests/hsm/gateway_with_token.py

ARM := aarch64-unknown-linux-gnu
test-arm: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER = aarch64-linux-gnu-gcc
test-arm: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER = qemu-aarch64 -L /usr/aarch64-linux-gnu
test-arm: ## the masking crate for ARM, emulated (apt-get install qemu-user gcc-aarch64-linux-gnu; rustup target add)
	cargo check --locked -q --target $(ARM) --target-dir target/arm -p mask -p pgcopy -p encode -p pgtree -p verify
	cargo test --locked -q --target $(ARM) --target-dir target/arm -p mask --lib

check: setup ## format, lint, types, stubs, room boundaries, file lengths
	$(BIN)/ruff format --check python tests benchmarks docs
	$(BIN)/ruff check python tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest gateway._kernel
	$(BIN)/lint-imports
	cargo fmt --check
	cargo clippy --locked -q --workspace --all-targets -- -D warnings
	$(BIN)/python -m pytest -q tests/boundary

# The peers live in an environment of their own; one that does not install is said so in the tables.
BENCH_VENV := benchmarks/.venv
BENCH_PYTHON := PYTHONPATH=$(CURDIR)/python:$(CURDIR)/benchmarks:$(CURDIR)/tests $(CURDIR)/$(BENCH_VENV)/bin/python -W ignore::RuntimeWarning

$(BENCH_VENV)/.ready: benchmarks/install.py benchmarks/constraints.txt constraints.txt pyproject.toml | $(VENV)/.ready
	@echo "setting up: the benchmarks' peers"
	@test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	@PIP_CONSTRAINT="$(CURDIR)/constraints.txt $(CURDIR)/benchmarks/constraints.txt" $(BENCH_VENV)/bin/python benchmarks/install.py
	@touch $@

ACCURACY_DATA ?= $(wildcard ../shared/data/deid-dev)
accuracy: setup $(BENCH_VENV)/.ready ## recall and precision by entity beside Presidio (ACCURACY_DATA: labelled sentences)
	@$(BENCH_PYTHON) -m accuracy $(if $(ACCURACY_DATA),--data $(ACCURACY_DATA))

BENCH ?=
bench: setup $(BENCH_VENV)/.ready ## speed beside the peers: one table, plots, a record (BENCH="scan token" for some)
	@$(BENCH_PYTHON) benchmarks/run.py $(BENCH)

bench-long: setup $(BENCH_VENV)/.ready ## memory over a stream of 10 GB, and a thousand sessions (two to five minutes)
	@$(BENCH_PYTHON) benchmarks/run.py --long

bench-check: ## instructions of the kernel and the decoder beside the recorded ones (UPDATE=1 records them anew)
	@$(PYTHON) benchmarks/instructions.py $(if $(UPDATE),--update)

KILLS ?= 200
test-kills: setup ## SIGKILL under load, again and again (KILLS): no row without its record
	PYTHONPATH=tests:tests/endpoints KILLS=$(KILLS) $(BIN)/python -m kills

model: setup ## every state of the release gate's model, and each of its rules left out once
	@$(BIN)/python docs/release_gate.py --broken

FUZZ_CASES ?= 20000
FUZZ_WINDOWS ?= 100000
GRANT_EXAMPLES ?= 500
FUZZ_SEED ?= $(shell date +%s)
NONINTERFERENCE_CASES ?= 200000
AGREEMENT_CASES ?= 1000000
fuzz: setup ## many more cases of the property tests (FUZZ_CASES; Hypothesis with chance), lives of grants (GRANT_EXAMPLES), notes (FUZZ_WINDOWS), statements (NONINTERFERENCE_CASES), forged bundles (AGREEMENT_CASES)
	PROPTEST_CASES=$(FUZZ_CASES) cargo test --locked --release -q -p pgtree -p pgcopy -p encode -p mask -p verify
	MASK_FUZZ_WINDOWS=$(FUZZ_WINDOWS) MASK_FUZZ_SEED=$(FUZZ_SEED) cargo test --locked --release -q -p mask --lib windows_of_damaged -- --nocapture
	$(BIN)/python -m pytest -q --hypothesis-profile=chance tests/unit/masking tests/unit/sql tests/unit/test_stream.py tests/unit/test_stream_row.py tests/unit/test_latest.py tests/saml/test_changed_responses.py tests/unit/sessionlog/test_sessionlog_vectors.py
	GRANT_EXAMPLES=$(GRANT_EXAMPLES) $(BIN)/python -m pytest -q tests/postgres/test_grant_states.py
	PYTHONPATH=tests NONINTERFERENCE_CASES=$(NONINTERFERENCE_CASES) $(BIN)/python -m noninterference
	PYTHONPATH=tests/tampering AGREEMENT_CASES=$(AGREEMENT_CASES) $(BIN)/python -m agreement

format: setup ## rewrite the sources in the one style
	$(BIN)/ruff format python tests benchmarks docs
	$(BIN)/ruff check --fix -q python tests benchmarks docs
	cargo fmt

clean: ## remove what the build made
	rm -rf target $(VENV) $(BENCH_VENV) python/gateway/*.so
