# `make` alone lists the targets. Debian or Ubuntu, with Rust; `services` installs the rest as root.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help services services-down base-images test test-full lint demo demo-full bench bench-image soak corpus

# What the examples and tests run on; `make test-full` builds and checks all there are.
BASE_IMAGES := build-jdk-8 jre-8 build-jdk-17 jre-17 build-python-3.13 python-3.13 build-go static debian

# Tests are of the whole program, with what a release may leave out.
BUILD := --locked --features otlp
RUN := cargo run $(BUILD) --quiet --

STATE := $(or $(SLIPWAY_SERVICES),$(or $(XDG_STATE_HOME),$(HOME)/.local/state)/slipway/services)
# Exports what the services told of themselves to the command that follows.
WITH_SERVICES := set -a && . "$(STATE)/services.env" && set +a &&

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

services: ## install and start the Docker Engine, RabbitMQ, PostgreSQL, registry, Git server, Maven repository and tools that tests use
	@tests/services/up

services-down: ## stop what `services` started and remove every trace of it
	@tests/services/down

base-images: services ## build the base images that tests use; a second time does nothing
	$(RUN) base-images build $(BASE_IMAGES)

lint: ## formatting, clippy and documentation, warnings being errors
	cargo fmt --all --check
	cargo clippy $(BUILD) --all-targets -- -D warnings
	cargo clippy --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc $(BUILD) --no-deps --document-private-items

test: lint services base-images ## lint, then every test against the real parts
	$(WITH_SERVICES) cargo test $(BUILD)

test-full: lint services base-images ## also the long tests, and every base image built and checked
	$(RUN) base-images build
	$(RUN) base-images check
	$(WITH_SERVICES) cargo test $(BUILD) -- --include-ignored

demo: ## the main job on a bare machine: sources become images, without an Engine, a queue or a registry
	@tests/demo

demo-full: services base-images ## the whole system on real parts: push, start, webhook, page
	$(WITH_SERVICES) tests/demo-full

soak: services ## builds with random faults on parts of its own: SOAK=200 builds, SOAK_SEED=4711
	$(WITH_SERVICES) SLIPWAY_SOAK=$(or $(SOAK),200) SLIPWAY_SOAK_SEED=$(or $(SOAK_SEED),4711) \
	  cargo test $(BUILD) --test it -- faults::soak --include-ignored --nocapture

bench: services base-images ## time builds against what a team would run by hand
	$(WITH_SERVICES) tests/bench

bench-image: services ## time the assembly of images against crane, BuildKit, buildah and Jib
	$(WITH_SERVICES) tests/bench-image

corpus: ## build, start and ask public repositories: CORPUS_DIR=clones, CORPUS_ARGS="--only NAME --plan-only --resume"
	@test -n "$(CORPUS_DIR)" || { echo "say where the clones are: make corpus CORPUS_DIR=…, with OWNER/NAME for each row of tests/corpus.toml"; exit 2; }
	$(WITH_SERVICES) cargo test $(BUILD) --quiet --test corpus -- --dir "$(CORPUS_DIR)" $(CORPUS_ARGS)
