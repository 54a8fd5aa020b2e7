# Needs GNU make 3.81 and Python 3.11 or newer; everything but the demo needs Node.js 20 with npm, too.

PYTHON ?= python3
SOURCES = app.py lambdas infra tools tests benchmarks clients

# In the name of each environment's stamp, so that another PYTHON makes it anew.
VERSION := $(shell $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) and print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV = .venv/made-with-$(VERSION)
DEMO_VENV = .venv-demo/made-with-$(VERSION)

# What is deployed. Another file is another stack: its databases have to be others, too, and its stack_name.
GUARD = guard.toml

# The CDK's command line must not be older than aws-cdk-lib in requirements.txt: 2.275 wants 2.1147.
CDK_VERSION = 2.1148.1
CDK = .cache/cdk/made-with-$(CDK_VERSION)

# What the lab's applications use, beside clients/debian-packages.txt.
CLIENTS = .cache/clients/made-with-$(VERSION)

# The CDK works on releases of Node.js that are no longer maintained, under a banner: the variable names the release.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := $(shell node --version 2>/dev/null | tr -dc '0-9.' | cut -d. -f1)

.PHONY: help demo test e2e check bench clients clients-packages bootstrap synth diff deploy destroy examples clean

help:
	@echo "make demo       free an exhausted PostgreSQL, here and now (the first run takes about half a minute)"
	@echo "make bootstrap  prepare the AWS account for the CDK, once a region"
	@echo "make synth      the CloudFormation template of what guard.toml describes, without AWS"
	@echo "make diff       what a deployment would change"
	@echo "make deploy     deploy it"
	@echo "make destroy    remove it; evidence and incidents stay"
	@echo "make test       unit, template and integration tests, on real PostgreSQL 14, 16 and 18"
	@echo "make e2e        deploy it to an AWS emulator and exhaust a database that it guards"
	@echo "make check      format, lint and types"
	@echo "make bench      how fast it is against bare SQL and a bare handler"
	@echo "make clients    real client libraries beside the guard (SHORT=1: four of them; ARGS=--help: what else there is)"
	@echo "make examples   write docs/examples anew"
	@echo "make clean      remove what these commands set up"

demo: $(DEMO_VENV)
	@PYTHONPATH=lambdas:. .venv-demo/bin/python -m tools.demo

test: $(VENV)
	@.venv/bin/python -m tests.postgres_binaries
	@.venv/bin/python -m pytest tests/unit tests/infra tests/integration

e2e: $(VENV) $(CDK)
	@.venv/bin/python -m tests.postgres_binaries
	@PYTHONPATH=lambdas:. .venv/bin/python -m tests.e2e.environments
	@.venv/bin/python -m pytest tests/e2e

bootstrap synth diff deploy destroy: $(VENV) $(CDK)
	@.cache/cdk/node_modules/.bin/cdk $@ --context guard=$(GUARD)

check: $(VENV)
	@.venv/bin/python -m ruff format --check $(SOURCES)
	@.venv/bin/python -m ruff check $(SOURCES)
	@.venv/bin/python -m mypy $(SOURCES)

bench: $(VENV)
	@.venv/bin/python -m tests.postgres_binaries
	@PYTHONPATH=lambdas:. .venv/bin/python -m benchmarks

clients: $(VENV) $(CLIENTS)
	@.venv/bin/python -m tests.postgres_binaries
	@PYTHONPATH=lambdas:. .venv/bin/python -m clients $(if $(SHORT),--short) $(ARGS)

# As root, on Debian: what pip and npm cannot install. What is missing is named by make clients, which goes on without.
clients-packages:
	@apt-get update --quiet=2
	@RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --no-install-recommends $$(cat clients/debian-packages.txt)

examples: $(VENV)
	@.venv/bin/python -m tests.postgres_binaries
	@PYTHONPATH=lambdas:. .venv/bin/python -m tests.examples > /dev/null

clean:
	rm -rf .venv .venv-demo .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(CDK):
	@command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or newer" >&2; exit 1; }
	@echo "Setting up the CDK's command line $(CDK_VERSION), once ..."
	@rm -rf .cache/cdk
	@npm install --silent --no-fund --no-audit --prefix .cache/cdk aws-cdk@$(CDK_VERSION)
	@touch $@

$(CLIENTS): clients/requirements.txt clients/package.json
	@command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or newer" >&2; exit 1; }
	$(call make_environment,.cache/clients/python,clients/requirements.txt)
	@mkdir -p .cache/clients/node
	@cp clients/package.json .cache/clients/node/
	@npm install --silent --no-fund --no-audit --no-package-lock --ignore-scripts --prefix .cache/clients/node
	@touch $@

$(VENV): requirements.txt $(wildcard lambdas/*/requirements.txt) tools/demo-requirements.txt
	$(call make_environment,.venv,requirements.txt)

$(DEMO_VENV): lambdas/reporter/requirements.txt lambdas/responder/requirements.txt tools/demo-requirements.txt
	$(call make_environment,.venv-demo,tools/demo-requirements.txt)

define make_environment
	@test -n "$(VERSION)" || { echo "$(PYTHON) is missing or older than 3.11: install Python 3.11 or newer, or name one with 'make PYTHON=...'" >&2; exit 1; }
	@echo "Setting up $(1) with Python $(VERSION), once; this takes a moment ..."
	@rm -rf $(1)
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --requirement $(2)
	@touch $@
endef
