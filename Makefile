# Callsim. `make` alone lists the targets.
#   make run ARGS=--exit                    arguments for the command behind a target
#   make setup PYTHON=/opt/bin/python3.13   a Python of your choice

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run test test-some test-stack test-server test-interop test-console screenshots lint audit format bench bench-micro compiled test-compiled \
    fuzz fuzz-atheris soak chaos openapi ladders load load-verdict lock sbom clean tools

ARGS :=
BIN := .venv/bin
COMPILED := .venv-compiled/bin
COMPILED_TESTS := tests/sip tests/simulator/flows
COMPILED_SOURCES := pyproject.toml setup.py $(shell find sip simulator api scenarios -name '*.py')
HAS_HEADERS := -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
INSTALL = $(BIN)/uv pip install --quiet --python
# uv asks the index that pip is told to ask.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-emit-index-url $(ARGS)
# The distribution's own is built with optimisation, a fifth quicker than most that are built by
# hand: it comes first where it is all there.
PYTHON ?= $(shell /usr/bin/python3 -c 'import ensurepip' 2>/dev/null && own=/usr/bin/python3; \
    for p in $$own python3 python3.{11..19}; do $$p $(NEW_ENOUGH) 2>/dev/null && echo $$p && break; done)

# $(call install,PACKAGES): by apt when root, otherwise one line that names them.
# The lock is waited for: a fresh machine is often busy with its own updates.
define install
if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
    echo Missing: $(1). "Install first; as root on Debian or Ubuntu:" apt-get install $(1) >&2; exit 1; \
fi; \
echo Installing $(1) ...; \
apt-get -qq update || true; \
DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends $(1) >/dev/null
endef

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.setup ## make .venv with the callsim command
	@echo "Ready: $(BIN)/callsim --help"

run: .venv/.setup ## set up, then show a whole call: callsim demo
	@$(BIN)/callsim demo $(ARGS)

test: $(if $(ARGS),test-some,test-stack test-server) ## run the tests, or some: make test ARGS='tests/sip -k uri'

test-some: tools .venv/.dev
	@$(BIN)/pytest $(ARGS)

test-stack: tools .venv/.dev ## run the tests of the SIP stack, with its branch coverage
	@$(BIN)/coverage run -m pytest tests/sip -m 'not thousands'
	@$(BIN)/coverage report
	@$(BIN)/pytest tests/sip -m thousands

test-server: tools .venv/.dev ## run all other tests, three files at a time
	@$(BIN)/pytest --numprocesses=3 --dist=loadfile --ignore=tests/sip --ignore=tests/console

test-console: tools .venv/.dev ## run the tests of the console, in headless Chromium
	@command -v chromium >/dev/null || { $(call install,chromium); }
	@$(BIN)/pytest $(or $(ARGS),--numprocesses=2 --dist=loadfile tests/console)

screenshots: tools .venv/.dev ## take a picture of each view of the console: docs/screenshots/
	@command -v chromium >/dev/null || { $(call install,chromium); }
	@$(BIN)/python -m tests.console $(ARGS)

# Needs all of the strangers: nothing is skipped here. Most of the time is waiting: four at a time.
test-interop: tools .venv/.interop ## run the tests against other people's phones and proxies
	@packages=; \
	for pair in baresip:baresip-core kamailio:kamailio linphone-daemon:linphone-cli sipsak:sipsak; do \
	    command -v $${pair%:*} >/dev/null || [ -x /usr/sbin/$${pair%:*} ] || packages+=" $${pair#*:}"; \
	done; \
	if [ -n "$$packages" ]; then $(call install,$$packages); fi
	@INTEROP=1 $(BIN)/pytest -o cache_dir=.pytest_cache/interop \
	    $(or $(ARGS),--numprocesses=4 --dist=worksteal tests/interop)

lint: .venv/.dev ## ruff, mypy in strict mode, bandit; warns of what make audit finds
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml sip simulator api scenarios
	@$(BIN)/python -m tests.supply || echo "WARNING: see pip-audit above. make audit fails by it, make lint does not."

audit: .venv/.dev ## pip-audit: fails when anything is known against the pinned packages, or nobody can be asked
	@$(BIN)/python -m tests.supply

format: .venv/.dev ## mend what ruff can mend
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# The same sources, the hot modules as C: callsim, from .venv-compiled/bin, needs nothing more.
compiled: .venv-compiled/.setup ## make .venv-compiled: callsim compiled by mypyc
	@echo "Ready: $(COMPILED)/callsim --help"

# -p: the installed packages are there before pytest puts this source tree first on the path.
test-compiled: .venv-compiled/.setup ## run the tests of stack and calls, and a whole call, compiled
	@CALLSIM_COMPILED=1 $(COMPILED)/pytest -p sip -p simulator $(or $(ARGS),$(COMPILED_TESTS))
	@$(COMPILED)/callsim demo --exit >/dev/null

bench: tools .venv/.dev ## run the benchmarks
	@$(BIN)/python -m benchmarks $(ARGS)

bench-micro: .venv/.dev ## what each step of a call costs by itself, each form that is there
	@$(BIN)/python -m benchmarks.micro $(ARGS)

fuzz: .venv/.dev ## damaged datagrams: make fuzz ARGS='--datagrams 10000000', or ARGS=--protos
	@$(BIN)/python -m tests.fuzz $(ARGS)

fuzz-atheris: .venv/.fuzz ## octets led by coverage: make fuzz-atheris ARGS='--seconds 3600'
	@$(BIN)/python -m tests.fuzz.guided $(ARGS)

soak: .venv/.dev ## calls over a bad network: make soak ARGS='--calls 10000 --loss 0.3'
	@$(BIN)/python -m tests.soak $(ARGS)

openapi: tools .venv/.dev ## schemathesis beside live calls: make openapi ARGS='--examples 500 --seed 7'
	@$(BIN)/python -m tests.api $(ARGS)

load: .venv/.load ## a load run with SIPp: make load ARGS='--ramp 10:200 --callee'
	@if ! command -v sipp >/dev/null; then $(call install,sip-tester); fi
	@$(BIN)/callsim load $(ARGS)

load-verdict: tools .venv/.dev ## two load runs to saturation: is the verdict right, do the figures agree with SIPp's?
	@$(BIN)/python -m tests.scenarios.load $(ARGS)

chaos: tools .venv/.dev ## kill -9 and restart under load: make chaos ARGS='--kills 20 --rate 200'
	@$(BIN)/python -m tests.chaos $(ARGS)

ladders: .venv/.dev ## write the golden ladders of scenarios/flows anew
	@$(BIN)/python -m tests.scenarios $(ARGS)

lock: .venv/.dev ## pin the dependencies anew, as few as need be; all: make lock ARGS=--upgrade
	@$(LOCK) --output-file requirements.txt
	@$(LOCK) --extra fast --extra otel --extra postgres --constraint requirements.txt --output-file requirements-image.txt
	@$(LOCK) --extra dev --constraint requirements.txt --output-file requirements-dev.txt
	@$(LOCK) --extra compile --extra fast --extra test --constraint requirements-dev.txt \
	    --constraint requirements-image.txt --output-file requirements-compiled.txt

# Of what is really installed, by the lock file and nothing else, in an environment of its own.
sbom: .venv/.dev ## list all that the product installs: dist/callsim.cdx.json (CycloneDX)
	@rm -rf build/sbom && $(PYTHON) -m venv --without-pip build/sbom && mkdir -p dist
	@$(BIN)/pip --python build/sbom/bin/python install -q --require-hashes -r requirements-image.txt
	@$(BIN)/pip --python build/sbom/bin/python install -q --no-deps .
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --validate \
	    --output-file dist/callsim.cdx.json build/sbom/bin/python
	@echo "Written and validated: dist/callsim.cdx.json"

clean: ## remove the environments and what the tools left behind
	rm -rf .venv .venv-compiled build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

# The stamps make a repeated run instant; a changed pyproject.toml or lock file installs again.
.venv/.setup: pyproject.toml requirements.txt
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or later is needed. Name yours: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) $(NEW_ENOUGH) || { echo "$(PYTHON) is not Python 3.11 or later." >&2; exit 1; }
	@if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(call install,$(notdir $(PYTHON))-venv); fi
	@echo "Setting up .venv ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install -q --no-deps -e .
	@touch $@

# uv installs in seconds what takes pip minutes; pip gets it, by the hashes of the lock file.
.venv/.uv: .venv/.setup requirements-dev.txt
	@$(BIN)/python -m pip install -q --require-hashes -r <(sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt)
	@touch $@

.venv/.dev: .venv/.uv
	@echo "Adding the development tools to .venv ..."
	@$(INSTALL) $(BIN)/python --require-hashes -r requirements-dev.txt
	@touch $@

.venv/.load: .venv/.setup
	@echo "Adding what draws the plots to .venv ..."
	@$(BIN)/python -m pip install -q -e '.[load]'
	@touch $@

.venv-compiled/.setup: $(COMPILED_SOURCES) requirements-compiled.txt | .venv/.uv
	@if ! command -v $${CC:-cc} >/dev/null || ! $(PYTHON) $(HAS_HEADERS); then $(call install,gcc libc6-dev $(notdir $(PYTHON))-dev); fi
	@echo "Compiling into .venv-compiled: this takes some minutes ..."
	@rm -rf build
	@$(COMPILED)/python -c '' 2>/dev/null || $(PYTHON) -m venv --without-pip .venv-compiled
	@$(INSTALL) $(COMPILED)/python --require-hashes -r requirements-compiled.txt
	@CALLSIM_COMPILED=1 $(BIN)/pip --python $(COMPILED)/python install -q --no-build-isolation --no-deps --force-reinstall .
	@touch $@

.venv/.fuzz: .venv/.dev
	@echo "Adding atheris to .venv ..."
	@$(BIN)/python -m pip install -q -e '.[fuzz]'
	@touch $@

.venv/.interop: .venv/.dev
	@echo "Adding PJSIP and SIPVicious to .venv ..."
	@$(INSTALL) $(BIN)/python --no-build-isolation -e '.[interop]'
	@touch $@

# SIPp places the calls, tshark reads the wire, curl and jq run the examples of api/README.md,
# PostgreSQL keeps records, in clusters that tests make: while it is installed, none of its own is.
PG_CONF := /etc/postgresql-common/createcluster.d/callsim.conf
tools:
	@packages=; \
	command -v sipp >/dev/null || packages+=" sip-tester"; \
	command -v tshark >/dev/null || packages+=" tshark"; \
	for tool in curl jq; do command -v $$tool >/dev/null || packages+=" $$tool"; done; \
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || packages+=" postgresql"; \
	if [ "$$(id -u)" = 0 ] && [[ $$packages == *postgresql* ]]; then \
	    mkdir -p $(dir $(PG_CONF)); echo create_main_cluster = false > $(PG_CONF); trap 'rm $(PG_CONF)' EXIT; \
	fi; \
	if [ -n "$$packages" ]; then $(call install,$$packages); fi
