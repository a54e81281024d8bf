# The names that a newcomer would guess. `make install` once, then any of the others.
.PHONY: install lint types imports test faults stateful mutation bench demo runbook
BIN = .venv/bin

install:
	python3 -m venv .venv && $(BIN)/pip install -q -e '.[dev]'

lint:
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

test:
	$(BIN)/pytest -q -n auto

faults:
	FLUXBASE_TEST_FAULT_ROUNDS=30 FLUXBASE_TEST_FAULT_VALUES=50000 $(BIN)/pytest -q -s tests/faults

stateful:
	FLUXBASE_TEST_STATEFUL_MINUTES=60 FLUXBASE_TEST_FUZZ_MINUTES=20 $(BIN)/pytest -q -m stateful tests/stateful

mutation:
	$(BIN)/pip install -q -e '.[mutation]' && $(BIN)/mutmut run

bench:
	$(BIN)/python -m tests.bench

demo:
	$(BIN)/fluxbase-cli demo

runbook:
	$(BIN)/python -m tests.runbook.regenerate
