# Everything that a builder or a curious person runs. `make` alone lists it.
#
# The lab (and so the demo, some tests and the benchmarks) makes network namespaces and needs root:
# as somebody else these targets ask sudo.

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench soak worlds docs lock wheel clean

BIN := .venv/bin
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# Where ruff looks. src/plait/store/etcd_pb is generated (see pyproject.toml).
CODE := src tests bench

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: ## Install what is missing: system packages and .venv (does nothing when all is there)
	@scripts/setup

demo: setup ## Three hosts: what must be reached is, what must not is not; routers, groups and why
	@$(AS_ROOT) $(BIN)/python -m plait.lab.demo

test: setup lint ## Lint, then every test; prints the slowest
	$(AS_ROOT) $(BIN)/python -m pytest -rs --durations=15 $(PYTEST_ARGS)

lint: setup ## ruff, mypy --strict, import layers
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## Measure, for minutes (BENCH="port-up --runs 3": one); the figures are in bench/README.md
	@$(AS_ROOT) bench/run $(BENCH)

soak: setup ## Minutes of random work and trouble on a lab, then an audit of everything (SOAK="--minutes 10")
	@$(AS_ROOT) $(BIN)/python -m tests.soak $(SOAK)

worlds: setup ## Other random worlds than in `make test`: do oracle, why and flows agree? (WORLDS=5000 FIRST=1000)
	@$(AS_ROOT) env PLAIT_WORLDS=$(or $(WORLDS),5000) PLAIT_REAL_WORLDS=$(or $(WORLDS),5000) \
		PLAIT_FIRST_SEED=$(or $(FIRST),1000) $(BIN)/python -m pytest tests/trace/test_worlds.py $(PYTEST_ARGS)

docs: setup ## Regenerate the pages that come out of the code: docs/cli.md, docs/configuration.md
	$(BIN)/python -m plait.cli.document
	$(BIN)/python -m plait.agent.document > docs/configuration.md

lock: setup ## Lock dependencies again after a change in pyproject.toml (LOCK=--upgrade: take the newest)
	scripts/lock $(LOCK)
	@scripts/setup

wheel: setup ## Build dist/plait-*.whl for real hosts
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

clean: ## Remove what was made here (.venv too); labs are removed by `plait lab down --all`
	$(AS_ROOT) rm -rf .venv dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	$(AS_ROOT) find src tests bench -name __pycache__ -type d -exec rm -rf {} +
