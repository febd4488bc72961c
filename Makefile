# All targets use .venv, which is created automatically and follows requirements/. Tools with
# dependencies of their own have a separate environment, .venv-NAME. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; \
	done; echo python3)
BIN := .venv/bin
# A checkout for development needs no copy of Gatehouse.
INSTALLED := $(if $(wildcard .venv/.dev),.venv/.dev,.venv/.app)
SOURCES := CHANGELOG.md SECURITY.md zensical.toml $(shell find alembic app docs -type f -not -name '*.pyc' -not -name '* *')

.PHONY: help
help:  ## print this list
	@grep -hE '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sort \
		| awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

.PHONY: install
install: $(INSTALLED)  ## install this release in .venv; if that fails, .venv is as before

.PHONY: serve
serve: $(INSTALLED)  ## start the service
	@exec $(BIN)/gatehouse serve

# Two processes more than processors, at most four: many tests wait for a server. The files stay in
# the order of tests/conftest.py, where the slow ones come first.
PROCESSES := $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 2 ? 3 : 4)))
PYTEST = $(BIN)/pytest --numprocesses=$(PROCESSES) --dist=loadfile --no-loadscope-reorder

.PHONY: test
test: .venv/.dev  ## run every test
	@$(PYTEST)

# Folders whose tests start no process and need no service.
QUICK := architecture domain http logs operations rest rpc runtime settings

.PHONY: quick
quick: .venv/.dev  ## run the tests of the domain, the operations and both APIs (a minute)
	@$(PYTEST) -q -k "not postgresql" $(QUICK:%=tests/%)

.PHONY: clients
clients: .venv/.dev  ## run generated clients against a server, and print their steps
	@REQUIRE_SERVICES=1 $(BIN)/pytest -q -s tests/clients

.PHONY: pictures
pictures: .venv/.dev  ## retake the pictures of the README (needs Chromium and pngquant)
	@$(BIN)/python -m tools.pictures

.PHONY: bench
bench: .venv/.dev  ## run the benchmark and rewrite docs/benchmarks.md (15 minutes)
	@$(BIN)/python -m bench --docs

.PHONY: fuzz
fuzz: .venv/.dev .venv-fuzz/.done  ## fuzz both APIs and the parser (FUZZ_SECONDS)
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-300} FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-500} REQUIRE_SERVICES=1 \
		$(BIN)/pytest -q -s tests/hostile tests/corpora
	@mkdir -p build/envelopes
	@.venv-fuzz/bin/python -m tests.hostile.fuzz_envelope build/envelopes tests/hostile/envelopes \
		-max_total_time=$${FUZZ_SECONDS:-300} -artifact_prefix=build/envelopes/

.PHONY: model
model: .venv/.dev  ## compare random sequences of requests on real servers with a model (MODEL_STEPS, MODEL_SEED)
	@MODEL_STEPS=$${MODEL_STEPS:-2000} REQUIRE_SERVICES=1 $(BIN)/pytest -q -s tests/model

.PHONY: release
release: .venv/.dev  ## build the files of the tagged release in dist/, and try each
	@$(BIN)/python -m tools.release

.PHONY: mutants
mutants: .venv/.dev  ## remove each guard in turn, and list those that no test detects (FILE=app/…)
	@REQUIRE_SERVICES=1 $(BIN)/python -m tools.mutants $(FILE)

.PHONY: faults
faults: .venv/.dev  ## kill servers and migrations, and count the losses (FAULT_KILLS, FAULT_CUTS, FAULT_STATEMENTS)
	@FAULT_KILLS=$${FAULT_KILLS:-100} FAULT_CUTS=$${FAULT_CUTS:-3000} \
		FAULT_STATEMENTS=$${FAULT_STATEMENTS:-1} REQUIRE_SERVICES=1 \
		$(BIN)/pytest -q -s tests/faults

.PHONY: format
format: .venv/.dev  ## format the code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

# ------------------------------------------------------------------------------ docs

.PHONY: generate
generate: .venv/.dev  ## write the generated parts of docs/
	@$(BIN)/python -m tools.reference
	@$(BIN)/python -m tools.postman

.PHONY: docs
docs: .venv/.dev .venv-docs/.done  ## build docs/ as a site in site/
	@output=$$(.venv-docs/bin/zensical build --clean --strict 2>&1) || { echo "$$output"; exit 1; }
	@$(BIN)/python -m tools.site site

# ---------------------------------------------------------------------------- checks

.PHONY: check
check: check-lint check-format check-types check-imports check-language check-docs check-docker check-lock  ## run all static checks

.PHONY: check-lint check-format check-types check-imports check-language check-docs check-docker check-lock
check-lint: .venv/.dev
	@echo "== lint"
	@$(BIN)/ruff check .

check-format: .venv/.dev
	@echo "== format"
	@$(BIN)/ruff format --check . || { echo "Run 'make format'." >&2; exit 1; }

check-types: .venv/.dev
	@echo "== types"
	@$(BIN)/mypy

check-imports: .venv/.dev
	@echo "== imports"
	@output=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$output"; exit 1; }

check-language: .venv/.dev
	@echo "== language"
	@$(BIN)/python -m tools.language

check-docs: .venv/.dev
	@echo "== docs"
	@$(BIN)/python -m tools.reference --check
	@$(BIN)/python -m tools.postman --check
	@$(MAKE) --no-print-directory docs

check-docker: .venv/.dev
	@echo "== docker"
	@$(BIN)/hadolint Dockerfile .devcontainer/Dockerfile

# ------------------------------------------------------------------------------ lock

COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --quiet \
	--custom-compile-command "make lock"
# Tools with a separate environment, named after their groups in pyproject.toml.
TOOLS := docs clients fuzz
LOCKS := runtime dev $(TOOLS)
INPUTS_runtime := pyproject.toml --group install
INPUTS_dev := pyproject.toml --group dev --constraint requirements/runtime.txt
$(foreach tool,$(TOOLS),$(eval INPUTS_$(tool) := --group $(tool)))
INPUTS_fuzz += --constraint requirements/runtime.txt

# uv keeps the pins in its output file; `make lock UPGRADE=1` updates them all.
.PHONY: lock
lock: | $(BIN)/uv  ## pin the dependencies of pyproject.toml in requirements/ (UPGRADE=1: update them)
	@$(foreach name,$(LOCKS),$(COMPILE) $(INPUTS_$(name)) $(if $(UPGRADE),--upgrade) \
		--generate-hashes -o requirements/$(name).txt;)
	@if command -v npm >/dev/null; then cd tests/clients && npm install --package-lock-only --loglevel=error >/dev/null; \
		else echo "npm is missing: tests/clients/package-lock.json is unchanged." >&2; fi

$(BIN)/uv:
	@$(MAKE) --no-print-directory .venv/.dev

# Names and versions must equal what uv pins now. Hashes are not compared: pip verifies them, and their
# list may grow when a release gets another wheel. uv exits with 2 if the index is unreachable; then
# the environments, which have exactly the pinned versions, are compared with pyproject.toml.
check-lock: .venv/.dev $(TOOLS:%=.venv-%/.done)
	@echo "== lock"
	@! grep -Hn '"resolved"' tests/clients/package-lock.json || { \
		echo "The lock must not name a registry; 'make lock' omits it (tests/clients/.npmrc)." >&2; exit 1; }
	@now=$$(mktemp -d); trap 'rm -rf "$$now"' EXIT; \
	bare() { sed -e '/^ *--hash/d' -e 's/ \\$$//' "$$1"; }; \
	cp requirements/*.txt "$$now"; \
	status=0; \
	{ $(foreach name,$(LOCKS),$(COMPILE) $(INPUTS_$(name)) -o "$$now/$(name).txt" &&) true; } \
		>/dev/null 2>"$$now/output" || status=$$?; \
	if [ $$status = 2 ]; then \
		echo "The package index is unreachable: only checking that the pins satisfy pyproject.toml."; \
		is_satisfied() { $(BIN)/uv pip install --offline --dry-run --python "$$@" 2>&1 \
			| tee "$$now/output" | grep -q 'no changes'; }; \
		is_satisfied $(BIN)/python -r pyproject.toml --group dev \
			$(foreach tool,$(TOOLS),&& is_satisfied .venv-$(tool)/bin/python --group $(tool)) && exit 0; \
	elif [ $$status = 0 ]; then \
		for name in $(LOCKS); do \
			diff -u --label "requirements/$$name.txt" <(bare "requirements/$$name.txt") \
				--label "make lock" <(bare "$$now/$$name.txt") || status=1; \
		done; \
		[ $$status = 0 ] && exit 0; \
	fi; \
	cat "$$now/output" >&2; \
	echo "requirements/ does not match pyproject.toml: run 'make lock' and commit the result." >&2; \
	exit 1

# ----------------------------------------------------------------------------- .venv
#
# .venv is a link to an environment in .venvs/, which tools/environment.py builds and then exchanges for the
# previous one. Its stamp is .app for a release, with a copy of Gatehouse, or .dev for development, with the
# dependencies of tests and checks and Gatehouse in this checkout.

define build_environment
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Gatehouse requires Python 3.11 or newer, but '$(PYTHON)' is older. Use: make PYTHON=/path/to/python3 …" >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot create virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	$(PYTHON) -m tools.environment
endef

.venv/.app: requirements/runtime.txt pyproject.toml $(SOURCES)
	@$(build_environment) app

.venv/.dev: requirements/runtime.txt requirements/dev.txt pyproject.toml
	@if [ "$?" = pyproject.toml ] && [ -e $@ ]; then \
		$(BIN)/python -m pip --disable-pip-version-check -qq install --no-deps --no-build-isolation -e .; touch $@; \
	else $(build_environment) dev; fi

.venv-%/.done: requirements/%.txt | .venv/.dev
	@echo "Building .venv-$* …"
	@$(BIN)/python -m venv --clear .venv-$*
	@.venv-$*/bin/python -m pip --disable-pip-version-check -qq install --require-hashes -r $<
	@touch $@

# --------------------------------------------------------------------------- clients
#
# Generators of clients and linters for the OpenAPI document, installed when tests/clients/ needs them.

.PHONY: generators
generators: .venv-clients/.done tests/clients/node_modules/.done

tests/clients/node_modules/.done: tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc
	@echo "Building $(@D) …"
	@cd tests/clients && npm ci --loglevel=error >/dev/null
	@touch $@
