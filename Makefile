# Ringfence. `make` prints help; every target runs alone from a clean clone. V=1 shows all output.
SHELL := /bin/bash
.DEFAULT_GOAL := help
Q := $(if $(V),,@)
export V
# setup writes where a recent enough Node is; a shell that starts after it sees it.
NODE_PATH_PREFIX = $$(cat .tools/node-bin 2>/dev/null):
WITH_NODE = set -euo pipefail; export PATH="$(NODE_PATH_PREFIX)$$PATH";


.PHONY: help setup doctor gen build check format test bench run demo vm-test clean

help: ## this list
	@echo "Ringfence: label-identity micro-segmentation in the kernel"
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

run: ## the system on this host: visibility mode, live flows; Ctrl-C stops it (KEEP=1 leaves it attached)
	$(Q)tools/setup.sh run
	$(Q)$(WITH_NODE) tools/build.sh
	$(Q)$(WITH_NODE) exec tools/run.sh

test: ## every test this machine allows; kernel and Docker tests as root
	$(Q)tools/setup.sh run test
	$(Q)$(WITH_NODE) tools/build.sh
	$(Q)$(WITH_NODE) tools/test.sh

demo: ## a story in throw-away namespaces: two hosts, containers, a policy, real packets
	$(Q)tools/setup.sh run test
	$(Q)$(WITH_NODE) tools/build.sh
	$(Q)$(WITH_NODE) exec node lab/dist/demo/main.js

bench: ## measurements side by side with their peers, written to bench/RESULTS.md
	$(Q)tools/setup.sh run test
	$(Q)$(WITH_NODE) tools/build.sh
	$(Q)$(WITH_NODE) exec node bench/dist/main.js $(BENCH)

vm-test: ## what works on older and newer kernels, each booted under QEMU (KERNELS="5.10 6.1": only those)
	$(Q)tools/setup.sh run vm
	$(Q)$(WITH_NODE) tools/build.sh
	$(Q)$(WITH_NODE) exec node vm-tests/dist/run.js $(KERNELS)

doctor: ## what this machine lacks, and the fix for each
	@tools/doctor.sh

check: ## lint, format, types, import boundaries, generated-code drift
	$(Q)tools/setup.sh run check
	$(Q)$(WITH_NODE) tools/build.sh
	$(Q)$(WITH_NODE) tools/check.sh

format: ## rewrite sources to the house format
	$(Q)tools/setup.sh run check
	$(Q)$(WITH_NODE) node_modules/.bin/biome check --write .
	$(Q)git ls-files '*.c' '*.h' '*.cc' | xargs -r clang-format-19 -i

gen: ## regenerate what is generated: protocol code, descriptors, schemas
	$(Q)tools/setup.sh run
	$(Q)$(WITH_NODE) tools/gen.sh

build: ## compile BPF objects, native addon and TypeScript
	$(Q)tools/setup.sh run
	$(Q)$(WITH_NODE) tools/build.sh

setup: ## install what is missing: Debian packages (as root), Node, npm packages
	$(Q)tools/setup.sh run test check

clean: ## remove what was built (not what was installed)
	rm -rf */dist */build *.tsbuildinfo */*.tsbuildinfo
