# Everything a person or a pipeline runs. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := runtime components deployment release bootstrap local policy tests bench __main__.py

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.base: requirements/dev.txt requirements/runtime.txt
	@echo "Setting up $(VENV) from the locks (once)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.infra: requirements/infra.txt $(VENV)/.base
	@echo "Adding the infrastructure's packages to $(VENV) (once)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/infra.txt
	@touch $@

$(VENV)/.docs: requirements/docs.txt $(VENV)/.infra
	@echo "Adding the documentation's packages to $(VENV) (once)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/docs.txt
	@touch $@

.PHONY: haproxy
haproxy:
	@if ! PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v haproxy >/dev/null; then \
	  echo "HAProxy is missing: installing it with the system's package manager (apt-get install haproxy)…"; \
	  sudo=$$( [ "$$(id -u)" = 0 ] || echo sudo ); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends haproxy >/dev/null \
	    || { echo "Could not install HAProxy. Install it yourself (any 2.6 or newer) and run this again."; exit 1; }; \
	fi

.PHONY: setup
setup: $(VENV)/.docs haproxy ## virtual environment and HAProxy

.PHONY: demo
demo: $(VENV)/.base haproxy ## write, kill, start on an empty disk, compare (ENGINE=docker or QDRANT_BIN=… for a real engine)
	@$(BIN)/python -m local.demo --engine "$(or $(ENGINE),auto)"

.PHONY: drill
drill: $(VENV)/.base haproxy ## restore the newest backup elsewhere and compare (BACKUP_URL=… for a bucket of yours)
	@$(BIN)/python -m local.drill

# Every worker imports every test, and they start hundreds of interpreters: none should compile what the last one did.
export PYTHONDONTWRITEBYTECODE :=

# Most tests wait for processes half of their time: one more than there are processors of a small machine.
TEST_WORKERS ?= 3

.PHONY: test
test: setup ## all tests
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

.PHONY: soak
soak: $(VENV)/.base haproxy ## kill and start again CYCLES times (SOAK_SEED=… for another run of chance)
	@SOAK_CYCLES=$(or $(CYCLES),100) $(BIN)/python -m pytest -s tests/instance -k "a_kill_at_any_moment or jumps_by_a_day"

.PHONY: crash-points
crash-points: $(VENV)/.base ## a crash or a fault at every store operation, all of them (some ten minutes)
	@CRASH_POINTS=all $(BIN)/python -m pytest -s tests/crash_points/test_crash_points.py

.PHONY: models
models: $(VENV)/.base ## search the models of the protocol and the journal far (some seven minutes)
	@$(BIN)/python -m pytest -s -m deep tests/protocol tests/journal_protocol

.PHONY: sync-kills
sync-kills: $(VENV)/.base ## kill a sync at many moments and go on (KILLS=…, SYNC_SEED=… for another run of chance)
	@SYNC_KILLS=$(or $(KILLS),20) $(BIN)/python -m pytest --timeout 900 tests/sync -k "kill or large"

.PHONY: check
check: setup ## lint, formatting, types, import contracts, docstrings of tests, spelling, licences
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports
	@$(BIN)/interrogate --quiet tests
	@$(BIN)/codespell
	@$(MAKE) --no-print-directory licences

.PHONY: format
format: $(VENV)/.base ## put the sources into the house's form
	@$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	@$(BIN)/ruff format --quiet $(SOURCES)

.PHONY: mutations
mutations: setup ## plant each known bug of others and show that the tests catch it (about ten minutes)
	@$(BIN)/python -m tests.mutations $(ONLY)

.PHONY: inventory
inventory: setup ## renew what is generated: Pulumi.yaml, tables of variables, options and costs, inventories
	@$(BIN)/python -W ignore -m tests.infra.renew
	@$(BIN)/python -m local.reference

# The theme's notice about MkDocs 2 says nothing of this site.
.PHONY: docs
docs: setup ## build the documentation's site into build/site, strictly
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "build/site/index.html"

.PHONY: screenshots
screenshots: setup ## renew the pictures of the status page in docs/images (needs Chromium)
	@$(BIN)/python -m tests.docs.screenshots

.PHONY: policy
policy: ## the policy pack's own environment, for `pulumi preview --policy-pack policy`
	@test -x policy/.venv/bin/python || $(PYTHON) -m venv policy/.venv
	@policy/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r policy/requirements.txt

.PHONY: verify-deployment
verify-deployment: setup ## check a live deployment: make verify-deployment STACK=dev
	@$(BIN)/python -m deployment verify --stack "$(STACK)" $(AS_ACCOUNT)

.PHONY: bench
bench: $(VENV)/.base haproxy ## measure everything and write docs/benchmarks.md (ONLY="edge stall" or QUICK=1: print only)
	@$(BIN)/python -m bench $(ONLY) $(if $(QUICK),--sizes quick) $(if $(ONLY)$(QUICK),,--page docs/benchmarks.md)

.PHONY: bench-check
bench-check: $(VENV)/.base haproxy ## compare the ratios of a short run with what they were (some minutes)
	@$(BIN)/python -m bench --check

IMAGE ?= qdrant-cloud-run
STACK ?= dev
BUILD_ARGS = $(foreach name,BASE_IMAGE QDRANT_IMAGE PIP_INDEX_URL VERSION REVISION,$(if $($(name)),--build-arg $(name)="$($(name))"))

.PHONY: image
image: $(VENV)/.base ## build the container's image and print its compressed size (BASE_IMAGE=…, QDRANT_IMAGE=…)
	@docker build --file Dockerfile.qdrant --tag $(IMAGE) $(BUILD_ARGS) $(DOCKER_BUILD_FLAGS) .
	@$(BIN)/python -m local.image_size $(IMAGE) --limit-mb 120

# Infrastructure first: its protobuf is the older one, and one environment has to hold all three.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: lock
lock: $(VENV)/.base ## compile pyproject's groups into requirements/, with hashes
	@$(MAKE) --no-print-directory lock-with UV=$(BIN)/uv

.PHONY: lock-with
lock-with:
	@$(COMPILE) --group infra -o requirements/infra.txt
	@$(COMPILE) --group policy -o policy/requirements.txt
	@$(COMPILE) --group runtime -c requirements/infra.txt -o requirements/runtime.txt
	@$(COMPILE) --group dev -c requirements/runtime.txt -c requirements/infra.txt -o requirements/dev.txt
	@$(COMPILE) --group docs -c requirements/dev.txt -c requirements/infra.txt -o requirements/docs.txt

include make/delivery.mk
