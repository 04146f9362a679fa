# `make demo` and `make test` are all that a newcomer needs. Everything installs into .venv,
# embedded databases live under .channel_server; nothing is created outside this folder.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TEST_RUNNER ?= $(BIN)/python -m pytest
# One more than cores: tests wait for PostgreSQL, browsers and processes.
TEST_PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PEERS  := tests/peers/node_modules/.installed
BROWSER := $(VENV)/.browser
# No cache in the home folder: it would be outside the clone, and an account may have none.
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir

# Tests start many processes of ours: each would compile all modules again without a cache, which is
# kept out of the sources.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache

.PHONY: help install demo test lint types contracts check coverage bench fuzz soak simulation races chaos audit \
	lock clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# Most of what is installed is never imported; the rest is compiled when it is.
	@$(PIP) --no-compile --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(PEERS): tests/peers/package-lock.json
	@cd tests/peers && npm ci --silent --no-audit --no-fund --cache $(CURDIR)/$(VENV)/npm
	@touch $@

# The tests of the dashboard drive Debian's Chromium without its windows; who may not install it sees them skipped.
$(BROWSER): tests/dashboard/package-lock.json tests/dashboard/chromium.py
	@cd tests/dashboard && npm ci --silent --no-audit --no-fund --cache $(CURDIR)/$(VENV)/npm
	@if command -v chromium-headless-shell >/dev/null; then touch $@; \
	elif [ "$$(id -u)" != 0 ]; then echo "no chromium-headless-shell: the tests that need it are skipped"; \
	elif (apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
		--no-install-recommends chromium-headless-shell) >$(VENV)/chromium.log 2>&1; then touch $@; \
	else echo "chromium could not be installed, see $(VENV)/chromium.log"; fi

install: $(STAMP) ## Make the virtual environment with every pinned dependency.

demo: $(STAMP) ## Start a server, a database and a worker, and watch two runs live.
	@$(BIN)/channel-server dev --demo

test: $(STAMP) $(PEERS) $(BROWSER) ## Run every test, in random order and in parallel.
	@$(TEST_RUNNER) -n $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS)

lint: $(STAMP) ## Check style.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## Check types, strictly.
	@PYRIGHT_PYTHON_CACHE_DIR=$(CURDIR)/$(VENV)/pyright $(BIN)/pyright

contracts: $(STAMP) ## Check who may import whom.
	@$(BIN)/lint-imports

# Tracing makes Python a third slower: only the tests of the gateway's own rooms are traced.
coverage: $(STAMP) ## Run every test, refuse less than 95 % branch coverage of the gateway.
	@rm -f .coverage .coverage.*
	@MEASURED_ROOMS=channel_server,schema,handlers \
		$(MAKE) --no-print-directory test TEST_RUNNER="$(BIN)/coverage run -m pytest"
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --include="channel_server/*,schema/*,handlers/*" --fail-under=95

check: lint types contracts coverage ## Everything that must hold before a change lands.

bench: $(STAMP) ## Measure this machine: echo, fan-out, idle connections, whole runs.
	@$(BIN)/python -m benchmarks

soak: $(STAMP) ## Play the lifecycle against its model: HOURS=1, or SECONDS=.
	@$(BIN)/python -m tests.statemachine.play --seconds $(or $(SECONDS),$(shell expr $(or $(HOURS),1) \* 3600))

races: $(STAMP) ## Let two server processes race for claims: COUNT=100000.
	@CLAIM_RACES=$(or $(COUNT),100000) $(BIN)/python -m pytest -q -n0 tests/races

simulation: $(STAMP) ## Play schedules of sessions and lifecycle: COUNT=100000 SEED=0.
	@$(BIN)/python -m tests.simulation --seed $(or $(SEED),0) --count $(or $(COUNT),100000)

fuzz: $(STAMP) ## Feed the decoders with mutants for SECONDS; keep what breaks them in the corpus.
	@$(BIN)/python -m tests.attack.mutants $(or $(SECONDS),60) $(SEED)

chaos: $(STAMP) ## Load and troubles until something is wrong: SECONDS=3600 SEED=1 EACH=30.
	@$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),3600) --seed $(or $(SEED),1) --each $(or $(EACH),30)

audit: $(STAMP) ## Ask the index for known vulnerabilities of what is pinned.
	@$(BIN)/pip-audit -r requirements.lock --disable-pip --no-deps

lock: ## Pin every dependency with its hash (needs uv).
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --quiet --extra dev pyproject.toml -o requirements.lock

clean: ## Remove what the targets above made.
	@rm -rf $(VENV) .channel_server tests/*/node_modules .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
