# Two commands on a fresh machine with python3 (3.10 to 3.13) and make: `make run` and `make test`. With npm, also `make test-clients`.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 4000

# Installs a lock file; a dot for each package shows that it gets on, and a failure says why.
define install
	@echo "Installing $(2) into $(1) …"
	@{ $(1)/bin/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r $(3); echo $$? > $(1)/.status; } \
	  | awk '/^Collecting/ { printf "."; fflush() } END { print "" }'; exit $$(cat $(1)/.status)
	@touch $@
endef

LOCK = .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url \
  --python-version 3.10 --custom-compile-command 'make lock'

.PHONY: help run test coverage test-fast clients test-clients check audit soak crash siege scale fuzz bench bench-quick format docs docs-site docs-serve dist lock clean
.DEFAULT_GOAL := run

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: .venv/.run ## the proxy, for this machine only (HOST=0.0.0.0 PORT=4000); a simulator where credentials are missing
	@.venv/bin/python -m custom_handler run --host $(HOST) --port $(PORT)

# The files of the tests are shared out among two processes: each starts a proxy of its own, of a third of a gigabyte.
IN_TWO = --numprocesses 2 --dist loadfile

test: .venv/.test .venv-clients/.test ## every test but those of test-clients
	.venv/bin/python -m pytest $(IN_TWO) tests --ignore=tests/e2e --ignore=tests/clients
	.venv-clients/bin/python -m pytest $(IN_TWO) tests/e2e

# Not part of `test`: tracing doubles the time of the tests within one process.
coverage: .venv/.test ## what the tests within one process cover, at least 90 %
	.venv/bin/python -m pytest $(IN_TWO) --cov --cov-report term:skip-covered --cov-fail-under 90 tests --ignore=tests/e2e --ignore=tests/clients

test-fast: .venv/.test ## the tests within one process: nothing end to end, and none marked slow
	.venv/bin/python -m pytest $(IN_TWO) -m 'not slow' tests --ignore=tests/e2e --ignore=tests/clients

clients: .venv-clients/.test ## the client libraries of the examples, in .venv-clients

# Coding agents and clients that pin what others need: each runs a task in an environment of its own. Not part of `test`,
# because they are five gigabytes, from two registries.
CLIENTS = $(patsubst examples/%/,.clients/%/.installed,$(dir $(wildcard examples/*/requirements.txt examples/*/package.json)))

test-clients: .venv/.test .venv-clients/.test $(CLIENTS) ## coding agents and more clients, installed on demand (npm)
	.venv-clients/bin/python -m pytest tests/clients

check: .venv/.test ## format, lint, types and spelling
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/codespell

# Not part of `check`: the advisories come over the network.
audit: .venv/.test ## known vulnerabilities, .pth files and licences of the pinned packages
	.venv/bin/python .ci/audit.py
	.venv/bin/pip-licenses --from=mixed --order=license --format=csv
	.venv/bin/pip-audit --strict --require-hashes --disable-pip -r requirements.lock

soak: .venv/.test ## 200 concurrent calls with 5 % faults, for SOAK_MINUTES
	.venv/bin/python -m benchmarks.soak

crash: .venv/.test ## does the stock proxy survive its own streams? CRASH_MINUTES a side
	.venv/bin/python -m benchmarks.crash

siege: .venv/.test ## attack the proxy while another team is timed: docs/siege.md, some 20 minutes
	.venv/bin/python -m benchmarks.siege --write

# Linux, with Debian's redis-server and haproxy.
scale: .venv/.test ## 1, 2 and 4 proxies with one quota, and what is killed: docs/scaling.md, some 30 minutes
	.venv/bin/python -m benchmarks.scale --write

# The seed is printed: FUZZ_SEED=that make fuzz asks the same again.
fuzz: .venv/.test .venv-clients/.test ## ask the proxy with FUZZ_EXAMPLES wrong bodies for each test and protocol
	@seed=$${FUZZ_SEED:-$$(date +%s)}; echo "FUZZ_SEED=$$seed"; FUZZ_SEED=$$seed FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-3000} \
	  .venv-clients/bin/python -m pytest --verbose tests/e2e/test_fuzz.py tests/e2e/test_fuzz_openapi.py

format: .venv/.test ## format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

# What is written from the code: docs/configuration.md.
docs: .venv/.run ## write docs/configuration.md
	.venv/bin/python -m custom_handler settings > docs/configuration.md

# The site: .ci/site.py lays out its pages in build/docs, and a link that leads nowhere fails the build.
docs-site: .venv-docs/.installed ## build the documentation site strictly, in build/site
	$(PYTHON) .ci/site.py
	.venv-docs/bin/zensical build --strict --clean
	@grep -q Pesquisar build/site/pt-BR/index.html # a page in Portuguese has labels in Portuguese
	@grep -q 'custom_handler.errors.StackspotError' build/site/api/index.html # the Python API was read

docs-serve: .venv-docs/.installed ## the documentation site on http://127.0.0.1:8000
	$(PYTHON) .ci/site.py
	.venv-docs/bin/zensical serve

# What a release holds: the packages, and a bill of their materials.
# REPOSITORY_URL makes the links of the page on the package index: the release workflow sets it.
dist: .venv/.test .venv-dist/.installed ## the packages of a release, and a bill of their materials
	rm -rf dist build && mkdir build
	.venv/bin/python -m build
	.venv-dist/bin/twine check --strict dist/*
	.venv/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file build/sbom.cdx.json requirements.lock
	.venv/bin/python .ci/sbom.py build/sbom.cdx.json

# What this provider costs beside the proxy's own `openai` provider: docs/bench.md and docs/bench/.
bench: .venv/.test ## the whole benchmark, written to docs/bench.md
	.venv/bin/python -m benchmarks --write

bench-quick: .venv/.test ## the benchmark as a smoke test
	.venv/bin/python -m benchmarks --quick

# Pins the whole tree with hashes, in one file for all supported versions of Python.
lock: .venv/.run ## pin the whole tree of packages again
	.venv/bin/python -m pip install --quiet 'uv>=0.9,<1'
	$(LOCK) requirements.txt -o requirements.lock
	$(LOCK) requirements.txt requirements-test.txt -o requirements-test.lock
	$(LOCK) requirements-clients.txt -o requirements-clients.lock
	$(LOCK) requirements-docs.txt -o requirements-docs.lock
	$(LOCK) requirements-dist.txt -o requirements-dist.lock

clean: ## remove the environments and caches
	rm -rf .venv .venv-clients .venv-docs .venv-dist .clients .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.10 to 3.13 is needed; name one with make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.run: requirements.lock | .venv/bin/python
	$(call install,.venv,the proxy (a minute or two),requirements.lock)

.venv/.test: requirements-test.lock .venv/.run
	$(call install,.venv,the tools of the tests,requirements-test.lock)

.venv-clients/.test: requirements-clients.lock | .venv/bin/python
	$(PYTHON) -m venv .venv-clients
	$(call install,.venv-clients,the client libraries of the tests,requirements-clients.lock)

.venv-dist/.installed: requirements-dist.lock
	$(PYTHON) -m venv .venv-dist
	$(call install,.venv-dist,the checks of the packages,requirements-dist.lock)

.venv-docs/.installed: requirements-docs.lock
	$(PYTHON) -m venv .venv-docs
	$(call install,.venv-docs,the generator of the documentation site,requirements-docs.lock)

.clients/%/.installed: examples/%/requirements.txt | .venv/bin/python
	@echo "Installing $* into .clients/$* …"
	@$(PYTHON) -m venv .clients/$*
	@.clients/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.clients/%/.installed: examples/%/package.json
	@echo "Installing $* into .clients/$* …"
	@mkdir -p .clients/$* && cp $< .clients/$*
	@npm install --prefix .clients/$* --no-audit --no-fund --loglevel=error
	@touch $@
