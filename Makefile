# CacheStorm: everything there is to remember. `make help` prints it.
#
# Each target sets up what it needs, in .venv and build/, on a machine that has only Python
# 3.11 or newer, make, git and a C compiler. Stamps keep repeated runs short.

PYTHON ?= python3
JOBS ?= 2
# for one test or more: make test TESTS=tests/commands/test_strings.py
TESTS ?= tests
# for the benchmarks: make bench BENCH=--quick, make bench BENCH=hit-ratio
BENCH ?=
# for other ports: make run RUN='--port 7000 --http-port 7001'
RUN ?=

# for a build sooner done, of code that runs slower: make test-compiled QUICK=1
QUICK ?=

BIN := .venv/bin
COMPILED := build/$(if $(QUICK),quick,compiled)
PACKAGES := cachestorm cachestorm_server cachestorm_cli
# Without PYTHONSAFEPATH the directory at hand comes first on sys.path, and a compiled run
# would test the source. The tests themselves are found by the path that is given here.
SOURCE_PATH := PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)
COMPILED_PATH := PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(COMPILED):$(CURDIR)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: run test test-pure test-compiled lint bench docs compiled dist clean help FORCE

run: $(COMPILED)/.built ## start the compiled server: RESP on 6380, HTTP on 9090
	$(COMPILED_PATH) $(BIN)/cachestorm serve $(RUN)

test: test-pure test-compiled ## run the whole suite twice: as source and compiled

test-pure: .venv/.dev ## run the suite on the source, and the examples in docstrings
	CACHESTORM_EXPECT=pure $(SOURCE_PATH) $(BIN)/pytest -n $(JOBS) $(TESTS)
	$(SOURCE_PATH) $(BIN)/pytest -q --doctest-modules $(PACKAGES) \
		tests/benchmarks/page.py tests/benchmarks/sample.py

test-compiled: $(COMPILED)/.built ## run the suite on the compiled packages
	CACHESTORM_EXPECT=compiled $(COMPILED_PATH) $(BIN)/pytest -n $(JOBS) $(TESTS)

lint: .venv/.dev ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict $(PACKAGES)
	PYTHONPATH=$(CURDIR) $(BIN)/lint-imports --no-logo

bench: $(COMPILED)/.built .venv/.bench ## measure against the peers, write docs/benchmarks/
	$(SOURCE_PATH) $(BIN)/python -m tests.benchmarks $(BENCH)

docs: .venv/.dev .venv/.docs ## write docs/commands, build the documentation in build/site
	$(SOURCE_PATH) $(BIN)/python tests/docs/command_pages.py
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site
	@echo "build/site/index.html"

compiled: $(COMPILED)/.built ## compile into build/compiled; with QUICK=1, into build/quick

dist: .venv/.dev ## build wheel and sdist into dist/
	$(BIN)/python -m build

clean: ## remove all that was built, and .venv
	rm -rf .venv build dist *.egg-info site .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
	find $(PACKAGES) -name '*.so' -delete
	rm -f *.so

help: ## print this
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | \
		while IFS="$$(printf '\t')" read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "CacheStorm needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --upgrade 'pip>=24'
	@touch $@

.venv/.dev: .venv/.made pyproject.toml setup.py
	$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $@

.venv/.bench: .venv/.dev
	$(BIN)/python -m pip install -qq --editable '.[bench]'
	@touch $@

.venv/.docs: .venv/.made pyproject.toml
	$(BIN)/python -m pip install -qq --editable '.[docs]'
	@touch $@

# The list of sources changes when a file comes or goes, which no time stamp of a file tells.
build/sources: FORCE
	@mkdir -p build
	@find $(PACKAGES) -name '*.py' -o -name py.typed | LC_ALL=C sort > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

SOURCES := $(shell find $(PACKAGES) -name '*.py')
BUILDERS := pyproject.toml setup.py $(wildcard compiling/*.py)

# The tools of .venv build it, not a fresh set of them as for a user. What setuptools left of an
# earlier build goes first: it would bring deleted modules back.
build/compiled/.built: .venv/.dev build/sources $(BUILDERS) $(SOURCES)
	rm -rf $(COMPILED) build/lib.* build/bdist.*
	CACHESTORM_COMPILE=1 $(BIN)/python -m pip install -qq --no-deps --no-build-isolation \
		--target $(COMPILED) .
	@touch $@

# Without a wheel between, and upon what an earlier quick build left, unless a module is gone.
build/quick/.built: build/quick/.listed $(BUILDERS) $(SOURCES)
	CACHESTORM_COMPILE=1 CACHESTORM_QUICK=1 $(BIN)/python setup.py -q build \
		--build-lib $(COMPILED) --build-temp build/quick-o
	@touch $@

build/quick/.listed: .venv/.dev build/sources
	rm -rf $(COMPILED) && mkdir -p $(COMPILED)
	@touch $@
