# Needs GNU make 3.81 or later, a POSIX shell and Python 3.10 to 3.14; `make help` lists the targets.
# PYTHON=... names the Python that .venv is made with; otherwise tools/make_venv.py finds one.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

NAMES = python3 python3.14 python3.13 python3.12 python3.11 python3.10
FOUND = $(shell for p in $(NAMES); do command -v $$p && break; done 2>/dev/null)
NONE  = $(error streamcli needs Python 3.10 to 3.14, and found no python3 and none of these names)
VENV  = @$(or $(PYTHON),$(FOUND),$(NONE)) -I tools/make_venv.py
BIN  := .venv/bin
UV   ?= uv
WHOLE_CHATS = $(patsubst %,tests/test_%.py,chat send tail outage bad_events local_history remembered leaving \
	history_command doctor secured several_segments)

.PHONY: help chat test test-quick test-java check pythons kills torture fuzz torture-cluster cluster bench soak format docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

chat: ## open the chat as the current user, or with ID=alex as another
	$(VENV)
	@$(BIN)/streamcli $(if $(findstring command,$(origin ID)),--id="$$ID") || [ $$? = 130 ] # left by Ctrl-C

test: ## install what tests need and run them; ARGS="-k name" goes to pytest
	$(VENV) --dev
	@exec $(BIN)/python -m pytest $(ARGS)

test-quick: ## run in a minute the tests that start no server and take no time; ARGS as above
	$(VENV) --dev
	@exec $(BIN)/python -m pytest -m "not real and not slow" $(ARGS)

test-java: ## run the tests of whole chats with Pravega's Java client, some 10 minutes; ARGS names others
	$(VENV) --dev
	@STREAMCLI_CLIENT=java exec $(BIN)/python -m pytest $(or $(ARGS),$(WHOLE_CHATS))

pythons: ## run the tests on each Python from 3.10 to 3.14 that is found, in turn; ARGS as above
	$(VENV) --dev
	@exec $(BIN)/python tools/pythons.py $(ARGS)

check: ## format, lint, types, imports, generated docs: all that can be said without running
	$(VENV) --dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@if [ -f tools/docs.py ]; then set -x; $(BIN)/python tools/docs.py --check; fi

format: ## format every file
	$(VENV) --dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

kills: ## kill a durable server 50 times under load and look for lost events, some minutes
	$(VENV) --dev
	@exec $(BIN)/python -m tests.server.kills $(ARGS)

torture: ## break real parts while two owners and two guests chat, and prove that nothing is lost, 20 minutes; ARGS="--seed 2"
	$(VENV) --dev
	@exec $(BIN)/python -m torture $(ARGS)

fuzz: ## send a million inputs that nobody should send to what reads a guest's and a gate's bytes; ARGS="--seed 2"
	$(VENV) --dev
	@exec $(BIN)/python -m torture.gate_fuzz $(ARGS)

torture-cluster: ## kill parts of a real cluster 30 times while two people chat, some 12 minutes; ARGS="--kills 6"
	$(VENV) --dev
	@exec $(BIN)/python -m torture.on_cluster $(ARGS)

cluster: ## start a real Pravega cluster of 8 processes; ARGS=stop, status, "kill store-1" or "restart store-1"
	$(VENV)
	@exec $(BIN)/python -m cluster $(ARGS)

bench: ## measure, beside the raw client, for eleven minutes; ARGS="--help" says what else
	$(VENV) --dev
	@exec $(BIN)/python -m bench $(ARGS)

soak: ## let two people chat for two hours, and see what grows; ARGS="--client java"
	$(VENV) --dev
	@exec $(BIN)/python -m bench.soak $(ARGS)

docs: ## write the generated parts of the documentation
	$(VENV) --dev
	@if [ -f tools/docs.py ]; then $(BIN)/python tools/docs.py; else echo "nothing is generated yet"; fi

# The build backend is in the lock as well, so that installing a clone fetches nothing without a hash.
COMPILE = sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml | \
	$(UV) pip compile -q pyproject.toml - --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-header

lock: ## pin the dependencies by hash anew (needs uv); UPGRADE=1 takes the newest
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv" >&2; exit 69; }
	$(COMPILE) $(if $(UPGRADE),--upgrade) -o requirements-guest.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) --extra server -c requirements-guest.txt -o requirements.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) --extra dev -c requirements.txt -o requirements-dev.txt
	$(VENV) --dev
	$(COMPILE) --extra dev -c requirements-dev.txt --format pylock.toml | $(BIN)/python tools/wheels.py

clean: ## remove .venv and all that was made in this folder
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find streamcli tests tools bench torture cluster -name __pycache__ -type d -prune -exec rm -rf {} +
