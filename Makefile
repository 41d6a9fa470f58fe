# The only door: everything that people and CI do here is a target of this file.
# Written for GNU make; `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Read by the scripts and by the tests.
export ROOST_VENV ?= $(CURDIR)/.build/venv
export ROOST_PYTHON ?= $(ROOST_VENV)/bin/python
export ROOST_GUEST_DIR ?= $(CURDIR)/.build/guest

# Arguments for all swift build and swift test calls, as in SWIFT_FLAGS=--disable-sandbox.
SWIFT_FLAGS ?=
# What `make test-one` runs, as in FILTER=QMPTests.
FILTER ?=
# How long each target of `make fuzz` runs.
export FUZZ_SECONDS ?= 20

# The release lies apart from the debug build, so that neither makes the other start again.
RELEASE_FOLDER := .build/static
FORMATTED := Package.swift Sources Tests Fuzz
FORMAT := --parallel --recursive --configuration .swift-format $(FORMATTED)

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; \
	done

# --- Build -------------------------------------------------------------------

.PHONY: setup
setup: ## Install what building and testing needs (idempotent; root or sudo)
	@scripts/setup test

.PHONY: build
build: ## Build roost, roostd and the tests for debugging
	swift build $(SWIFT_FLAGS) --build-tests

.PHONY: release
release: ## Build roost and roostd for use, in .build/static/release, with Swift linked in
	swift build $(SWIFT_FLAGS) --scratch-path $(RELEASE_FOLDER) -c release --static-swift-stdlib --product roostd
	swift build $(SWIFT_FLAGS) --scratch-path $(RELEASE_FOLDER) -c release --static-swift-stdlib --product roost

# --- Demo --------------------------------------------------------------------

.PHONY: demo
demo: ## Build everything and boot a Secure Boot guest, which goes on running
	@scripts/demo

.PHONY: demo-stop
demo-stop: ## Turn the demo's virtual machine off and end its roostd
	@scripts/demo --stop

# --- Test --------------------------------------------------------------------

.PHONY: test
test: setup ## Set up, then run the unit tests and the tests on real QEMU
	@scripts/test all

.PHONY: unit
unit: ## Run the unit tests, which start no QEMU machines
	@scripts/test unit

.PHONY: integration
integration: setup ## Run the tests on real QEMU
	@scripts/test integration

.PHONY: test-one
test-one: ## Run the tests that FILTER=... names
	swift test $(SWIFT_FLAGS) --filter '$(FILTER)'

.PHONY: soak
soak: setup ## Run all tests, the random ones for longer, and boot a full Debian, and the crash matrix; write docs/soak.md
	@$(ROOST_PYTHON) scripts/soak

.PHONY: crash-matrix
crash-matrix: ## Cut the power of a simulated disk in every way, and print a table as in docs/formats/crash-matrix.md
	@scripts/crash-matrix

.PHONY: fuzz
fuzz: ## Feed the parsers with random bytes for FUZZ_SECONDS each
	@scripts/fuzz

.PHONY: bench
bench: ## Measure the release against bare QEMU and libvirt, and write docs/benchmarks.md (root)
	@scripts/setup bench
	@$(MAKE) --no-print-directory release
	swift build $(SWIFT_FLAGS) --scratch-path .build/crash-matrix -c release --static-swift-stdlib --product crash-matrix
	@scripts/guest/build-debian-guest "$(ROOST_GUEST_DIR)"
	@scripts/fetch-qemu "$${ROOST_QEMU_DIR:-.build/qemu-new}"
	@$(ROOST_PYTHON) scripts/bench --bin $(RELEASE_FOLDER)/release

# --- Check -------------------------------------------------------------------

.PHONY: check
check: check-setup lint layers tree scripts-check units ## Check format, layers, house rules, scripts and documents
	@echo 'check: all is well'

.PHONY: check-setup
check-setup:
	@scripts/setup check

.PHONY: lint
lint:
	@echo 'check: format (make fmt repairs it)'
	@swift format lint --strict $(FORMAT)

.PHONY: layers
layers:
	@echo 'check: imports point down only'
	@python3 scripts/check_layers.py

.PHONY: tree
tree:
	@echo 'check: house rules, links, the list of routes'
	@python3 scripts/check_tree.py
	@scripts/accelerator-probe/check

.PHONY: scripts-check
scripts-check:
	@if command -v shellcheck >/dev/null; then \
		echo 'check: shell scripts'; \
		git ls-files -z --cached --others --exclude-standard -- .ci scripts | xargs -0 grep -lZ '^#!/bin/\(ba\)\?sh' | \
			xargs -0 shellcheck --external-sources; \
	else \
		echo 'check: shell scripts: not checked, as there is no shellcheck'; \
	fi

# systemd-analyze wants the programs to exist, so it reads copies that name one that does. For an unknown key it only
# prints a line, so every line about these units is a finding.
.PHONY: units
units:
	@if command -v systemd-analyze >/dev/null; then \
		echo 'check: systemd units'; \
		folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
		for unit in packaging/systemd/*.service; do \
			sed 's|^\(Exec[A-Za-z]*=\)[^ ]*|\1/bin/true|' "$$unit" >"$$folder/$${unit##*/}"; \
		done; \
		! { systemd-analyze verify --man=no "$$folder"/*.service 2>&1 || echo "$$folder: refused"; } | \
			grep -F "$$folder"; \
	else \
		echo 'check: systemd units: not checked, as there is no systemd-analyze'; \
	fi

.PHONY: fmt
fmt: ## Format the Swift sources
	swift format format --in-place $(FORMAT)

.PHONY: docs
docs: ## Check the links between documents and the list of routes
	@python3 scripts/check_tree.py

# --- Clean -------------------------------------------------------------------

.PHONY: clean
clean: ## Delete everything that was built
	rm -rf .build
