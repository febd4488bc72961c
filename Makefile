# Everything happens in .venv, which is built by itself and kept in step with requirements/; a tool
# that nothing else needs to know has an environment of its own, .venv-NAME.
# `make` alone prints what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two installs into one .venv at once would spoil it.
.NOTPARALLEL:

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; \
	done; echo python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.PHONY: help
help:  ## print this list
	@grep -hE '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sort \
		| awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

.PHONY: install
install: .venv/.app  ## build .venv with what Gatehouse runs on

.PHONY: serve
serve: .venv/.app  ## start the service
	@exec $(BIN)/gatehouse serve

.PHONY: test
test: .venv/.dev  ## run every test
	@$(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

.PHONY: clients
clients: .venv/.dev  ## let generated clients use a server, and show what they do
	@REQUIRE_SERVICES=1 $(BIN)/pytest -q -s tests/clients

.PHONY: pictures
pictures: .venv/.dev  ## take the README's pictures anew (needs Chromium and pngquant)
	@$(BIN)/python -m tools.pictures

.PHONY: bench
bench: .venv/.dev  ## measure what docs/benchmarks.md shows, and write it anew (up to 20 minutes)
	@$(BIN)/python -m bench --docs

.PHONY: fuzz
fuzz: .venv/.dev .venv-fuzz/.done  ## send what nobody thought of, to both doors and the parser (FUZZ_SECONDS)
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-300} FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-500} REQUIRE_SERVICES=1 \
		$(BIN)/pytest -q -s tests/hostile
	@mkdir -p build/envelopes
	@.venv-fuzz/bin/python -m tests.hostile.fuzz_envelope build/envelopes tests/hostile/envelopes \
		-max_total_time=$${FUZZ_SECONDS:-300} -artifact_prefix=build/envelopes/

.PHONY: model
model: .venv/.dev  ## walk at random through real servers, and compare (MODEL_STEPS, MODEL_SEED)
	@MODEL_STEPS=$${MODEL_STEPS:-2000} REQUIRE_SERVICES=1 $(BIN)/pytest -q -s tests/model

.PHONY: faults
faults: .venv/.dev  ## kill servers and migrations, and count what is lost (FAULT_KILLS, FAULT_STATEMENTS)
	@FAULT_KILLS=$${FAULT_KILLS:-100} FAULT_STATEMENTS=$${FAULT_STATEMENTS:-1} REQUIRE_SERVICES=1 \
		$(BIN)/pytest -q -s tests/faults

.PHONY: format
format: .venv/.dev  ## put the code into its one form
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

# ------------------------------------------------------------------------------ docs

.PHONY: generate
generate: .venv/.dev  ## write the parts of docs/ that the code itself knows
	@$(BIN)/python -m tools.reference

.PHONY: docs
docs: .venv/.dev .venv-docs/.done  ## build docs/ as a site in site/
	@said=$$(.venv-docs/bin/zensical build --clean --strict 2>&1) || { echo "$$said"; exit 1; }
	@$(BIN)/python -m tools.site site

# ---------------------------------------------------------------------------- checks

.PHONY: check
check: check-lint check-format check-types check-imports check-docs check-docker check-lock  ## look for faults without running the code

.PHONY: check-lint check-format check-types check-imports check-docs check-docker check-lock
check-lint: .venv/.dev
	@echo "== lint"
	@$(BIN)/ruff check .

check-format: .venv/.dev
	@echo "== format"
	@$(BIN)/ruff format --check . || { echo "'make format' puts this right." >&2; exit 1; }

check-types: .venv/.dev
	@echo "== types"
	@$(BIN)/mypy

check-imports: .venv/.dev
	@echo "== imports"
	@said=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$said"; exit 1; }

check-docs: .venv/.dev
	@echo "== docs"
	@$(BIN)/python -m tools.reference --check
	@$(MAKE) --no-print-directory docs

check-docker: .venv/.dev
	@echo "== docker"
	@$(BIN)/hadolint Dockerfile

# ------------------------------------------------------------------------------ lock

COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --quiet \
	--custom-compile-command "make lock"
# The tools that have an environment of their own, each after its group in pyproject.toml.
TOOLS := docs clients fuzz
LOCKS := runtime dev $(TOOLS)
ASKS_runtime := pyproject.toml --group install
ASKS_dev := pyproject.toml --group dev --constraint requirements/runtime.txt
$(foreach tool,$(TOOLS),$(eval ASKS_$(tool) := --group $(tool)))
ASKS_fuzz += --constraint requirements/runtime.txt

# uv keeps the pins it finds in its output file; `make lock UPGRADE=1` moves them all.
.PHONY: lock
lock: | $(BIN)/uv  ## pin what pyproject.toml asks for in requirements/ (UPGRADE=1: to the newest)
	@$(foreach name,$(LOCKS),$(COMPILE) $(ASKS_$(name)) $(if $(UPGRADE),--upgrade) \
		--generate-hashes -o requirements/$(name).txt;)
	@if command -v npm >/dev/null; then cd tests/clients && npm install --package-lock-only --loglevel=error >/dev/null; \
		else echo "There is no npm, so tests/clients/package-lock.json stays as it was." >&2; fi

$(BIN)/uv:
	@$(MAKE) --no-print-directory .venv/.dev

# Names and versions must be what uv would pin now. Hashes are left to pip, which refuses a wrong
# one; their list may grow by itself when a release gets another wheel. uv ends with 2 when the
# index cannot be reached: then the environments, which hold exactly the pins, are held against
# pyproject.toml.
check-lock: .venv/.dev $(TOOLS:%=.venv-%/.done)
	@echo "== lock"
	@! grep -Hn '"resolved"' tests/clients/package-lock.json || { \
		echo "A lock names no registry; 'make lock' leaves that out (tests/clients/.npmrc)." >&2; exit 1; }
	@now=$$(mktemp -d); trap 'rm -rf "$$now"' EXIT; \
	bare() { sed -e '/^ *--hash/d' -e 's/ \\$$//' "$$1"; }; \
	cp requirements/*.txt "$$now"; \
	status=0; \
	{ $(foreach name,$(LOCKS),$(COMPILE) $(ASKS_$(name)) -o "$$now/$(name).txt" &&) true; } \
		>/dev/null 2>"$$now/said" || status=$$?; \
	if [ $$status = 2 ]; then \
		echo "The package index cannot be reached, so only this is checked: whether the pins satisfy pyproject.toml."; \
		holds() { $(BIN)/uv pip install --offline --dry-run --python "$$@" 2>&1 \
			| tee "$$now/said" | grep -q 'no changes'; }; \
		holds $(BIN)/python -r pyproject.toml --group dev \
			$(foreach tool,$(TOOLS),&& holds .venv-$(tool)/bin/python --group $(tool)) && exit 0; \
	elif [ $$status = 0 ]; then \
		for name in $(LOCKS); do \
			diff -u --label "requirements/$$name.txt" <(bare "requirements/$$name.txt") \
				--label "make lock" <(bare "$$now/$$name.txt") || status=1; \
		done; \
		[ $$status = 0 ] && exit 0; \
	fi; \
	cat "$$now/said" >&2; \
	echo "requirements/ is not what pyproject.toml asks for: run 'make lock' and commit the outcome." >&2; \
	exit 1

# ----------------------------------------------------------------------------- .venv
#
# A stamp is touched when its step is done, so an interrupted step is done again:
#   .runtime  the packages Gatehouse runs on; this step always begins with an empty .venv
#   .app      Gatehouse itself, editable, and its command
#   .dev      the packages for tests and checks, added to the others, so that a service started
#             from this .venv can go on; into an empty .venv when the last time was interrupted
#             (.adding is left) or dev.txt has changed (something may have to go)

define new_venv
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Gatehouse needs Python 3.11 or newer; '$(PYTHON)' is not that. Name one: make PYTHON=/path/to/python3 …" >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	echo "Building .venv …"; \
	$(PYTHON) -m venv --clear .venv; \
	$(PIP) install --require-hashes -r requirements/runtime.txt; \
	touch .venv/.runtime
endef

define new_app
	$(PIP) install --no-deps --no-build-isolation -e .; \
	touch .venv/.app
endef

.venv/.runtime: requirements/runtime.txt
	@$(new_venv)

.venv/.app: pyproject.toml .venv/.runtime
	@$(new_app)

.venv/.dev: requirements/dev.txt .venv/.runtime | .venv/.app
	@if [ -e .venv/.dev ] || [ -e .venv/.adding ]; then $(new_venv); $(new_app); fi
	@touch .venv/.adding
	@echo "Adding what tests and checks need …"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@rm .venv/.adding
	@touch .venv/.dev

.venv-%/.done: requirements/%.txt | .venv/.runtime
	@echo "Building .venv-$* …"
	@$(BIN)/python -m venv --clear .venv-$*
	@.venv-$*/bin/python -m pip --disable-pip-version-check -qq install --require-hashes -r $<
	@touch $@

# --------------------------------------------------------------------------- clients
#
# What makes clients of the OpenAPI document and lints it, built when tests/clients/ first needs it.

.PHONY: generators
generators: .venv-clients/.done tests/clients/node_modules/.done

tests/clients/node_modules/.done: tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc
	@echo "Building $(@D) …"
	@cd tests/clients && npm ci --loglevel=error >/dev/null
	@touch $@
