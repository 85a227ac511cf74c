# Every target sets itself up. Needed: a Python 3.11 to 3.13, or uv. Works with GNU make 3.81 (macOS) and newer.
#   PYTHON=python3.12   the interpreter to use          VENV=.venv-3.12   another environment beside .venv
#   ONCE=1              `make demo` ends by itself      ARGS='-k scale'   more arguments for pytest or the demo

VENV ?= .venv
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup runtime demo test test-all soak mutants check format catalogue lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: runtime ## three incidents on a simulated cluster, then stay up until Ctrl-C (ONCE=1: end by itself)
	@$(PY) -m remediator demo $(if $(ONCE),--once) $(ARGS)

test: setup ## everything that needs no server, 5,000 simulated schedules included, in about a quarter of an hour
	@$(PY) -m pytest -m "not controlplane and not soak" $(ARGS)
	@echo "make test: passed. Left to make test-all: the tests marked controlplane (deselected above), which need the real API server, Alertmanager and Prometheus; it builds them with Go."

test-all: setup ## the same, and the tests against real servers (built once with Go; without Go they are skipped)
	@$(PY) -m tests.support.controlplane build || { \
	  code=$$?; [ $$code = 3 ] && [ "$$REQUIRE_CONTROL_PLANE" != 1 ] || exit $$code; \
	  echo "make test-all: the tests against the real control plane are SKIPPED (see the line above)"; }
	@$(PY) -m pytest -m "not soak" $(ARGS)

SCHEDULES ?= 200000
soak: setup ## SCHEDULES=200000 simulated schedules on all cores, and what they reached; hours (ARGS='--first N')
	@$(PY) -m tests.sim.soak $(SCHEDULES) $(ARGS)

mutants: setup ## take out each guardrail, precondition and clause in turn; a test or a schedule must notice (ARGS='NAME --jobs 2')
	@$(PY) -m tests.mutants $(ARGS)

check: setup ## formatting, lint, types, and which module may import which
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -c 'import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())'

format: setup ## rewrite the code to the one format, and mend what ruff can
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

catalogue: setup ## the lists of alerts and procedures with their playbooks and tests (ARGS=--strict: fail while one is left)
	@$(PY) scripts/render-alerts
	@$(PY) scripts/render-mixin-alerts
	@$(PY) scripts/catalogue $(ARGS)

lock: ## pin the dependencies of pyproject.toml in requirements/ (UPGRADE=1: take the newest)
	@scripts/lock $(if $(UPGRADE),--upgrade)

clean: ## remove the environments, caches and build results
	rm -rf .venv .venv-* dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: ## make .venv with everything a developer needs
	@scripts/setup-venv "$(VENV)" dev

runtime:
	@scripts/setup-venv "$(VENV)" runtime
