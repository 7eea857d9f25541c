# CacheStorm: everything there is to remember. `make help` prints it.
#
# Each target sets up what it needs, in .venv and build/, on a machine that has only Python
# 3.11 or newer, make, git and a C compiler. Stamps keep repeated runs short.

# for another Python, with .venv-3.12 and build/compiled-3.12: make test PYTHON=python3.12
PYTHON ?= python3
JOBS ?= 2
# for one test or more: make test TESTS=tests/commands/test_strings.py
TESTS ?= tests
# for the benchmarks: make bench BENCH=--quick, make bench BENCH=hit-ratio
BENCH ?=
# for other ports: make run RUN='--port 7000 --http-port 7001'
RUN ?=
# for some of the tests: make test-kube KUBE='-k grows'
KUBE ?=

# for a build sooner done, of code that runs slower: make test-compiled QUICK=1
QUICK ?=

SUFFIX := $(if $(filter-out python3,$(PYTHON)),-$(shell $(PYTHON) -c \
	'import sys; print("%d.%d" % sys.version_info[:2])'))
ifeq ($(SUFFIX),-)
$(error no Python that answers to $(PYTHON))
endif
VENV := .venv$(SUFFIX)
BIN := $(VENV)/bin
COMPILED := build/$(if $(QUICK),quick,compiled)$(SUFFIX)
PACKAGES := cachestorm cachestorm_server cachestorm_cli
# clients and task queues, a folder each: they need different versions of the same packages
ECOSYSTEM := build/ecosystem$(SUFFIX)
CLIENTS := $(patsubst tests/ecosystem/packages/%.txt,$(ECOSYSTEM)/%/.installed,\
	$(wildcard tests/ecosystem/packages/*.txt)) $(ECOSYSTEM)/node/.installed
# Without PYTHONSAFEPATH the directory at hand comes first on sys.path, and a compiled run
# would test the source. The tests themselves are found by the path that is given here.
SOURCE_PATH := PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)
COMPILED_PATH := PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(COMPILED):$(CURDIR)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: run test test-pure test-compiled test-ecosystem test-slow test-kube lint bench docs \
	build compiled dist clean help FORCE

run: $(COMPILED)/.built $(VENV)/.server ## start the compiled server: RESP on 6380, HTTP on 9090
	$(COMPILED_PATH) $(BIN)/cachestorm serve $(RUN)

test: test-pure test-compiled ## run the whole suite twice: as source and compiled

test-pure: $(VENV)/.dev ## run the suite on the source, and the examples in docstrings
	CACHESTORM_EXPECT=pure $(SOURCE_PATH) $(BIN)/pytest -n $(JOBS) $(TESTS)
	$(SOURCE_PATH) $(BIN)/pytest -q --doctest-modules $(PACKAGES) \
		--ignore cachestorm/contrib tests/benchmarks/page.py tests/benchmarks/sample.py

test-compiled: $(COMPILED)/.built $(VENV)/.dev ## run the suite on the compiled packages
	CACHESTORM_EXPECT=compiled $(COMPILED_PATH) $(BIN)/pytest -n $(JOBS) $(TESTS)

# The same tests with each redis-py, then everything else.
test-ecosystem: $(COMPILED)/.built $(VENV)/.ecosystem $(CLIENTS) ## run frameworks and clients on the compiled packages
	for version in 5 8; do \
		CACHESTORM_EXPECT=compiled REDIS_PY=$$version \
			$(COMPILED_PATH):$(CURDIR)/$(ECOSYSTEM)/redis-$$version \
			$(BIN)/pytest -n $(JOBS) tests/ecosystem/redis_py || exit 1; \
	done
	CACHESTORM_EXPECT=compiled ECOSYSTEM_PACKAGES=$(CURDIR)/$(ECOSYSTEM) $(COMPILED_PATH) \
		$(BIN)/pytest -n $(JOBS) --dist loadfile tests/ecosystem \
		--ignore tests/ecosystem/redis_py

# 5: nothing was collected, which is nothing to fail for
test-slow: $(COMPILED)/.built $(VENV)/.dev ## run the tests that take minutes, on the compiled packages
	CACHESTORM_EXPECT=compiled $(COMPILED_PATH) $(BIN)/pytest -n $(JOBS) -m slow $(TESTS) || [ $$? = 5 ]

# Debian's source package alone has what it builds.
test-kube: $(COMPILED)/.built $(VENV)/.dev build/kube/.built $(ECOSYSTEM)/helm/.installed ## run the operator on a real API server, which it builds
	KUBE_API=real CACHESTORM_EXPECT=compiled $(COMPILED_PATH) $(BIN)/pytest -v -m 'slow or not slow' \
		tests/ecosystem/kube $(KUBE)

lint: $(VENV)/.dev ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict $(PACKAGES) compiling
	PYTHONPATH=$(CURDIR) $(BIN)/lint-imports --no-logo
	$(BIN)/python tests/face/type_completeness.py
	$(SOURCE_PATH) $(BIN)/stubtest --concise --ignore-unused-allowlist \
		--allowlist tests/face/stubtest_allowed.txt --mypy-config-file pyproject.toml cachestorm

bench: $(COMPILED)/.built $(VENV)/.bench ## measure against the peers, write docs/benchmarks/
	$(SOURCE_PATH) $(BIN)/python -m tests.benchmarks $(BENCH)

docs: $(VENV)/.dev $(VENV)/.docs ## write docs/commands and the settings, build the documentation in build/site
	$(SOURCE_PATH):$(CURDIR)/tests/docs $(BIN)/python tests/docs/command_pages.py
	$(SOURCE_PATH):$(CURDIR)/tests/docs $(BIN)/python tests/docs/cache_like.py
	$(SOURCE_PATH):$(CURDIR)/tests/docs $(BIN)/python tests/docs/settings_reference.py
	$(SOURCE_PATH) $(BIN)/python tests/docs/third_party.py
	$(BIN)/python -m mkdocs build --strict --quiet --site-dir build/site
	$(SOURCE_PATH) $(BIN)/python tests/docs/reference.py build/site
	@echo "build/site/index.html"

build: compiled ## the same as compiled

compiled: $(COMPILED)/.built ## compile into build/compiled; with QUICK=1, into build/quick

dist: $(VENV)/.dev ## build wheel and sdist into dist/
	$(BIN)/python -m build

clean: ## remove all that was built, and every .venv
	rm -rf .venv .venv-* build dist *.egg-info site .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	find $(PACKAGES) compiling tests -name __pycache__ -type d -prune -exec rm -rf {} +
	find $(PACKAGES) -name '*.so' -delete
	rm -f *.so

help: ## print this
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | \
		while IFS="$$(printf '\t')" read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "CacheStorm needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade 'pip>=24'
	@touch $@

# What compiles, named once, by pyproject.toml for pip; here without an environment a build.
$(VENV)/.tools: $(VENV)/.made pyproject.toml
	@$(BIN)/python -c 'import tomllib; file = open("pyproject.toml", "rb"); \
		print(*tomllib.load(file)["build-system"]["requires"], sep="\n")' > $(VENV)/tools.txt
	$(BIN)/python -m pip install -qq -r $(VENV)/tools.txt
	@touch $@

# $(call install,extra): the source itself, with what an extra needs
install = $(BIN)/python -m pip install -qq --no-build-isolation --editable '.[$(1)]' && touch $@

$(VENV)/.server: $(VENV)/.tools pyproject.toml
	$(call install,server)

$(VENV)/.dev: $(VENV)/.tools pyproject.toml
	$(call install,dev)

$(VENV)/.ecosystem: $(VENV)/.dev pyproject.toml
	$(call install,ecosystem)

$(ECOSYSTEM)/%/.installed: tests/ecosystem/packages/%.txt $(VENV)/.made
	rm -rf $(@D)
	$(BIN)/python -m pip install -qq --target $(@D) -r $<
	@touch $@

# without npm, or where it brings nothing, no stamp is made, and the tests that need it say so
$(ECOSYSTEM)/node/.installed: tests/ecosystem/packages/package.json
	@mkdir -p $(@D) && cp $< $(@D)
	! command -v npm >/dev/null || \
		{ timeout 240 npm install --prefix $(@D) --no-audit --no-fund --fetch-retries 1 --silent && touch $@; } || \
		echo "npm brought no packages: the tests that need them say so"

build/kube/.built: tests/ecosystem/kube/build_api_server.sh
	sh $< $(@D)
	@touch $@

$(VENV)/.bench: $(VENV)/.dev pyproject.toml
	$(call install,bench)

$(VENV)/.docs: $(VENV)/.dev pyproject.toml
	$(call install,docs)

# The list of sources changes when a file comes or goes, which no time stamp of a file tells.
build/sources: FORCE
	@mkdir -p build
	@find $(PACKAGES) -name '*.py' -o -name py.typed | LC_ALL=C sort > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

SOURCES := $(shell find $(PACKAGES) -name '*.py')
BUILDERS := $(VENV)/.tools pyproject.toml setup.py $(wildcard compiling/*.py)

# The tools of the environment build it, not a fresh set of them as for a user. What setuptools
# left of an earlier build goes first: it would bring deleted modules back.
build/compiled$(SUFFIX)/.built: build/sources $(BUILDERS) $(SOURCES)
	rm -rf $(@D) build/lib.* build/bdist.*
	CACHESTORM_COMPILE=1 $(BIN)/python -m pip install -qq --no-deps --no-build-isolation \
		--target $(@D) .
	@touch $@

# Without a wheel between, and upon what an earlier quick build left, unless a module is gone.
build/quick$(SUFFIX)/.built: build/quick$(SUFFIX)/.listed $(BUILDERS) $(SOURCES)
	CACHESTORM_COMPILE=1 CACHESTORM_QUICK=1 $(BIN)/python setup.py -q build \
		--build-lib $(@D) --build-temp build/quick-o$(SUFFIX)
	@touch $@

build/quick$(SUFFIX)/.listed: build/sources
	rm -rf $(@D) && mkdir -p $(@D)
	@touch $@
