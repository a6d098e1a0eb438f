# Ringfence. `make` prints help. Every target runs alone from a clean clone.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
Q := $(if $(V),,@)
CLANG ?= $(firstword $(foreach c,clang-19 clang-16 clang-15 clang,$(shell command -v $(c) 2>/dev/null)))
CLANG_FORMAT ?= $(firstword $(foreach c,clang-format-19 clang-format,$(shell command -v $(c) 2>/dev/null)))
NODE_BIN := $(shell cat .tools/node-bin 2>/dev/null)
export PATH := $(if $(NODE_BIN),$(NODE_BIN):)$(PATH)

.PHONY: help setup doctor gen build check test bench run demo vm-test clean format

help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: ## install what is missing: Debian packages (as root), Node, npm packages
	$(Q)tools/setup.sh

gen: setup ## regenerate proto/gen from proto/ringfence/v1
	$(Q)npx --no-install buf generate

build: setup ## compile BPF objects, native addon and TypeScript
	$(Q)tools/build.sh
