# The names that a newcomer would guess. `make install` once, then any of the others.
.PHONY: man install lint types imports test faults stateful mutation bench demo runbook lock image dist single-file site
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
	$(BIN)/pytest -q -n auto --dist worksteal

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

# The manual pages, in build/man. The wheel and the archive of the source have them too.
man:
	$(BIN)/python packaging/man_pages.py build/man

runbook:
	$(BIN)/python -m tests.runbook.regenerate

# The lock files: exact versions with the digests of their files. `make lock` keeps what still fits;
# `make lock UPGRADE=--upgrade` takes the newest versions.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" $(UPGRADE)
lock:
	@command -v $(BIN)/uv >/dev/null || $(BIN)/pip install -q 'uv>=0.9'
	$(LOCK) pyproject.toml --extra otel packaging/image.in --output-file packaging/image.txt
	$(LOCK) pyproject.toml --extra demo --output-file packaging/demo.txt
	$(LOCK) packaging/build.in --output-file packaging/build.txt
	$(LOCK) packaging/release.in --output-file packaging/release.txt

image:
	docker build --target cli --tag fluxbase-cli:$$($(BIN)/python -c 'import fluxbase_cli; print(fluxbase_cli.__version__)') .

# The wheel and the archive of the source; the same source makes the same bytes. See docs/developers/release.md.
dist:
	bash packaging/build dist

# One file with all that it needs, for hosts without a package index: Python of the same version, and nothing else.
# `make single-file LOCKED=demo` has the embedded PostgreSQL too.
LOCKED = image
single-file: dist
	$(BIN)/pip install -q 'pex>=2.30'
	rm -rf build/wheels
	$(BIN)/pip download -q --require-hashes --only-binary :all: -r packaging/$(LOCKED).txt -d build/wheels
	cp dist/*.whl build/wheels
	$(BIN)/pex --venv prepend --no-index --find-links build/wheels 'fluxbase-cli[$(if $(filter demo,$(LOCKED)),demo,otel)]' \
		--script fluxbase-cli --output-file dist/fluxbase-cli.pex
