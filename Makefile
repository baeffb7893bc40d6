# make demo   see the product work, from nothing; KEEP=1 keeps its account and database running until Ctrl-C
# make test   every module and promise, on all cores, without network
# make test-all  every test; SEED=... draws the same examples again
# make soak   kill the tap a thousand times (KILLS=1000, SEED=any)
# make lint   style and types
# make generate  every generated page and file anew; CHECK=1 only says which are out of date
# make lock   requirements.lock anew, from what pyproject.toml allows
# make revision  the API's next revision: SPEC=path/to/stable.json, or the vendor's newest; prints what changed
# make docs   the documentation site in site/; SERVE=1 shows it at http://localhost:8000
# make screenshots  the pictures of the README anew; needs chromium
# make dist   wheels and sdists of the plugins and of the sandbox in dist/, checked
# make bench  how fast the tap reads, what arrives in a database, how fast the target pushes; BENCH_ARGS=--quick for a minute of each
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Without compiled files each of the hundred processes that tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all soak lint generate lock revision docs screenshots dist bench format clean

demo: $(VENV)/installed-demo
	$(BIN)/python examples/demo/demo.py $(if $(filter-out 0,$(KEEP)),--keep)

# A part of the suite, as PYTEST_ARGS names it, runs in one process where `-n 0` says so.
PYTEST := $(BIN)/python -m pytest -n logical --dist worksteal

test: $(VENV)/installed-test
	$(PYTEST) -m "not exhaustive" $(PYTEST_ARGS)

test-all: $(VENV)/installed-test $(VENV)/installed-bench
	@seed=$${SEED:-$$(date +%s)}; echo "SEED=$$seed"; \
	  $(PYTEST) --hypothesis-profile=thorough --hypothesis-seed=$$seed $(PYTEST_ARGS)

soak: $(VENV)/installed-test
	@seed=$${SEED:-$$(date +%s)}; echo "SEED=$$seed"; \
	  CHAOS_SEED=$$seed CHAOS_KILLS=$${KILLS:-1000} $(BIN)/python -m pytest -s tests/tap/test_tap_chaos.py $(PYTEST_ARGS)

lint: $(VENV)/installed-lint $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

generate: $(VENV)/installed-test
	$(BIN)/python scripts/generate.py $(if $(filter-out 0,$(CHECK)),--check)

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/extract.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/end_to_end.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/load.py $(BENCH_ARGS)

# The comments say what needs what, from which scripts/locked.py takes the part of an extra.
lock: $(VENV)/installed-release
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --generate-hashes --no-header \
	  --no-emit-package singer-klaviyo --output-file requirements.lock pyproject.toml

revision: $(VENV)/installed-test
	$(BIN)/python scripts/update_revision.py $(if $(SPEC),"$(SPEC)") $(if $(FOLLOW),--follow $(FOLLOW))

docs: $(VENV)/installed-docs
	$(BIN)/python scripts/build_site.py $(if $(SERVE),--serve)

screenshots: $(VENV)/installed-test
	$(BIN)/python scripts/screenshots.py

dist: $(VENV)/installed-test
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m build --no-isolation --outdir dist klaviyo_sandbox
	$(BIN)/twine check --strict dist/*

format: $(VENV)/installed-lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .meltano .demo dist build site

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# One stamp per extra, so that the demo does not wait for what only the tests need.
# LOCK= takes the newest versions that pyproject.toml allows.
LOCK ?= requirements.lock
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What is editable has no hash, and pip wants all or none: so the others come first, what builds the projects among them.
ifneq ($(LOCK),)
$(VENV)/installed-%: pyproject.toml klaviyo_sandbox/pyproject.toml $(LOCK) scripts/locked.py | $(BIN)/python
	@echo "Installing into $(VENV) (the first time takes a minute or two) ..."
	@$(BIN)/python scripts/locked.py build $* > $(VENV)/locked-$*.txt
	$(PIP) --require-hashes --requirement $(VENV)/locked-$*.txt
	$(PIP) --no-deps --no-build-isolation --editable . --editable klaviyo_sandbox
	@touch $@
else
$(VENV)/installed-%: pyproject.toml klaviyo_sandbox/pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) (the first time takes a minute or two) ..."
	$(PIP) --editable '.[$*]' --editable klaviyo_sandbox
	@touch $@
endif
