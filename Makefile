# Every target works on a machine that has Python 3.11 or newer and make, nothing else: the first one that
# needs them installs the Python packages, the Java runtime, PostgreSQL and Apache Kafka below this folder.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One target at a time: they share the servers, and the machine.
.NOTPARALLEL:

UV_VERSION := 0.13.9
BOOTSTRAP  := .local/bootstrap
UV         := $(or $(shell command -v uv 2>/dev/null),$(BOOTSTRAP)/bin/uv)
# The first Python on PATH that is new enough; `make PYTHON=/some/python3` names another.
PYTHON     := $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
                "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
RUN        := .venv/bin/python
INSTALLED  := .venv/.installed
STEP       := @printf '\033[1m%s\033[0m\n'

.PHONY: demo up down test check static bench help

demo: $(INSTALLED) ## Run the whole system on this machine and watch orders go through it
	@$(RUN) -m deploy.local demo

up: $(INSTALLED) ## Start Kafka, PostgreSQL, the services and the sandbox; write .local/endpoints.json
	@$(RUN) -m deploy.local up

down: $(INSTALLED) ## Stop everything that `up` started; the data stays
	@$(RUN) -m deploy.local down

test: $(INSTALLED) ## Run every test, on a real Kafka and a real PostgreSQL
	@$(RUN) -m pytest

check: static ## What `static` does, then the tests without servers (fast)
	$(STEP) 'tests without servers'
	@$(RUN) -m pytest -q -m 'not connected'

static: $(INSTALLED) ## Format, lint, types, import contracts, generated files
	$(STEP) 'format'
	@$(RUN) -m ruff format --check .
	$(STEP) 'lint'
	@$(RUN) -m ruff check .
	$(STEP) 'types'
	@$(RUN) -m mypy .
	$(STEP) 'import contracts'
	@.venv/bin/lint-imports
	$(STEP) 'generated files'
	@if [ -e libs/events/generate.py ]; then $(RUN) -m libs.events.generate --check; fi
	@$(RUN) -m services.orders machine --check
	@$(RUN) -m deploy.openapi --check

bench: $(INSTALLED) ## Measure us, a floor and a peer in one run; write .local/bench/latest.json
	@$(RUN) -m benchmarks

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml uv.lock | $(UV)
	@if [ -e $@ ]; then echo 'bringing the Python packages up to date ...'; \
	  else echo 'first time: installing Python packages (about 150 MB) ...'; fi
	@UV_PYTHON_DOWNLOADS=never $(UV) sync --frozen --quiet --python '$(PYTHON)'
	@touch $@

# Only where there is no uv on PATH. Some systems ship Python without what makes environments: there, a plain
# folder serves as well.
$(BOOTSTRAP)/bin/uv:
	@if [ -z '$(PYTHON)' ]; then echo 'Jejak needs Python 3.11 or newer on PATH.' >&2; exit 1; fi
	@echo 'first time: installing uv $(UV_VERSION), which installs the rest (about 25 MB) ...'
	@mkdir -p $(BOOTSTRAP)
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	   $(PYTHON) -m venv --clear $(BOOTSTRAP) && \
	   $(BOOTSTRAP)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); \
	 elif $(PYTHON) -c 'import pip' 2>/dev/null; then \
	   $(PYTHON) -m pip install --quiet --disable-pip-version-check --target $(BOOTSTRAP) uv==$(UV_VERSION); \
	 else echo 'This Python has neither venv nor pip: install the system package python3-venv.' >&2; exit 1; fi
