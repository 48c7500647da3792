# All tasks of this repository; they need only Python 3.11 or newer and make. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
# Most tests wait for servers and processes, so run more at the same time than there are cores.
JOBS ?= 3
BIN := .venv/bin
# pytest writes its version of each test module once, not in every run.
export PYTHONDONTWRITEBYTECODE :=
MEMBERS := $(patsubst %/pyproject.toml,%,$(sort $(wildcard shared/*/pyproject.toml services/*/pyproject.toml))) deploy/cli deploy/doctor deploy/local deploy/simulators deploy/vectors
PYPROJECTS := pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS))
VERSION_FILE := shared/runtime/src/ringfence/version.py
SOURCES := $(addsuffix /src,$(MEMBERS)) deploy/dashboards/src
INSTALLED := .venv/.installed

.PHONY: help install compiled lint format test test-fast coverage test-deploy run demo bench bench-large chaos images dashboards clean lock version

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Build .venv with every package and the `ringfence` command

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ringfence needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.11")'
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.txt

$(INSTALLED): requirements.lock $(PYPROJECTS) $(VERSION_FILE) | $(BIN)/uv
	$(BIN)/uv pip sync -q --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ,$(MEMBERS))
	@$(BIN)/python -m compileall -q $(SOURCES)
	@$(BIN)/uv pip check -q --python $(BIN)/python || { $(BIN)/uv pip check --python $(BIN)/python; exit 1; }
	@touch $@

compiled: install ## Compile the hot modules, if there is a C compiler
	@$(BIN)/python -m ringfence_local.compiled

lint: install ## Check style, types, layout, import rules, plain words and contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/mypy tests/conftest.py tests/support tests/unit tests/contract tests/integration tests/e2e tests/deploy tests/chaos
	MYPYPATH=tests/bench $(BIN)/mypy tests/bench # it runs from its own folder
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m whole_tree tests/contract
	$(BIN)/python -m tests.support.plain_words
	$(BIN)/ringfence contracts check

format: install ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: compiled ## Run all tests that run on one machine, against real servers
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-fast: install ## Run unit and contract tests that need no server, with fewer examples
	@$(BIN)/python -m tests.support.fast $(ARGS)

coverage: install ## Show the coverage of unit and contract tests, by package (make coverage ARGS=tests/e2e: and of these)
	@rm -rf .coverage && mkdir .coverage
	$(BIN)/python -m coverage run -m pytest -n 2 -q tests/unit tests/contract $(ARGS)
	@$(BIN)/python -m coverage combine -q
	@$(BIN)/python -m coverage json -q -o .coverage/report.json
	@$(BIN)/python tests/support/coverage_table.py .coverage/report.json

test-deploy: install ## Test images, compose and Kubernetes manifests with podman or docker
	$(BIN)/python -m pytest -v -s tests/deploy $(ARGS)

run: compiled ## Run the whole product on this machine, until Ctrl-C
	@exec $(BIN)/ringfence run

demo: compiled ## Play one client's story, from the first call to the top-up
	@exec $(BIN)/ringfence demo

bench: compiled ## Measure speed on this machine, and write tests/bench/RESULTS.md
	$(BIN)/python tests/bench $(ARGS)

bench-large: compiled ## Measure verification and disk with 20 million entries (ARGS="--entries 1000000": fewer)
	$(BIN)/python tests/bench/large.py $(ARGS)

chaos: compiled ## Run faults of every kind, check the books after each, and write tests/chaos/RESULTS.md
	$(BIN)/python -m tests.chaos $(ARGS)

IMAGES := cdr-ingest rating balance-watch suspender notifier accounts console tools simulators
ENGINE ?= $(shell command -v podman || command -v docker)
# Podman's own format has no HEALTHCHECK.
IMAGE_FORMAT := $(if $(findstring podman,$(notdir $(ENGINE))),--format docker)
VERSION ?= $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' $(VERSION_FILE))

images: ## Build a container image of each service (ENGINE=podman or docker)
	@test -n "$(ENGINE)" || { echo "make images needs podman or docker: install one of them, or name it: make images ENGINE=/path/to/it"; exit 1; }
	@for name in $(IMAGES); do \
	  echo "building localhost/ringfence/$$name:$(VERSION)"; \
	  $(ENGINE) build -q $(IMAGE_FORMAT) $(BUILD_FLAGS) --build-arg VERSION=$(VERSION) \
	    --build-arg REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) \
	    --target $$name -t localhost/ringfence/$$name:$(VERSION) -f deploy/images/Dockerfile . || exit 1; \
	done

dashboards: install ## Write Grafana's dashboards and docs/metrics.md from their code
	PYTHONPATH=deploy/dashboards/src $(BIN)/python -m ringfence_dashboards

clean: ## Delete the state of `make run` (.ringfence)
	@$(PYTHON) deploy/local/src/ringfence_local/clean.py .ringfence

version: ## Write another version into every file that names it: make version TO=0.2.0 (docs/releases.md)
	@[[ "$(TO)" =~ ^[0-9]+\.[0-9]+\.[0-9]+(\.dev0)?$$ ]] || { echo "make version TO=0.2.0, or TO=0.3.0.dev0"; exit 1; }
	@sed -i 's/^VERSION = ".*"/VERSION = "$(TO)"/' $(VERSION_FILE)
	@sed -i 's/RINGFENCE_VERSION:-[^}]*}/RINGFENCE_VERSION:-$(TO)}/' deploy/compose.yaml
	@sed -i 's/^# RINGFENCE_VERSION=.*/# RINGFENCE_VERSION=$(TO)/' deploy/compose/.env.example
	@sed -i 's/^ARG VERSION=.*/ARG VERSION=$(TO)/' deploy/images/Dockerfile
	@sed -i '/localhost\/ringfence\//s/newTag: .*}/newTag: $(TO)}/' deploy/kubernetes/base/kustomization.yaml deploy/kubernetes/overlays/*/kustomization.yaml
	@echo "$(TO); next: make install, so that installed packages have this version too"

lock: $(BIN)/uv ## Write requirements.lock again (make lock UPGRADE=--upgrade for newer versions)
	$(BIN)/uv pip compile -q $(addsuffix /pyproject.toml,$(MEMBERS)) \
	  --group pyproject.toml:dev --group deploy/local/pyproject.toml:install \
	  --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links \
	  $(addprefix --no-emit-package ,$(shell sed -n 's/^name = "\(.*\)"/\1/p' $(PYPROJECTS))) \
	  $(UPGRADE) --output-file requirements.lock
	@for image in build simulators services requirements console; do $(MAKE) .lock-$$image || exit 1; done

# The dependencies of the images: a part of the above, with the same versions.
IN_IMAGES := $(addsuffix /pyproject.toml,shared/contracts shared/pbx shared/runtime deploy/cli deploy/doctor)
IMAGE_LOCK = $(BIN)/uv pip compile -q -c requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  $(addprefix --no-emit-package ,$(shell sed -n 's/^name = "\(.*\)"/\1/p' $(PYPROJECTS)))
.lock-build:
	$(IMAGE_LOCK) deploy/images/build.in --output-file deploy/images/build.lock
.lock-simulators:
	$(IMAGE_LOCK) deploy/images/simulators.in $(filter shared/%,$(IN_IMAGES)) deploy/simulators/pyproject.toml \
	  --output-file deploy/images/simulators.lock
# What all services need; in addition what mails need, and what the web pages need: see deploy/images/Dockerfile.
OTHERS := $(filter-out services/notifier/% services/console/%,$(wildcard services/*/pyproject.toml))
.lock-services:
	$(IMAGE_LOCK) $(IN_IMAGES) $(OTHERS) --output-file deploy/images/services.lock
.lock-requirements:
	$(IMAGE_LOCK) $(IN_IMAGES) $(OTHERS) services/notifier/pyproject.toml \
	  --output-file deploy/images/requirements.lock
.lock-console:
	$(IMAGE_LOCK) $(IN_IMAGES) $(OTHERS) services/console/pyproject.toml \
	  --output-file deploy/images/console.lock
