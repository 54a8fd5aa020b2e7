# Needs GNU make 3.81 and Python 3.11 or newer. Everything but the demo and the checks also needs
# Node.js with npm.

PYTHON ?= python3
SOURCES = app.py lambdas infra doubles demo tests benchmarks clients examples

# It is in the name of each environment's stamp, so that another PYTHON makes the environment again.
VERSION := $(shell $(PYTHON) -c 'import sys; \
    sys.version_info >= (3, 11) and print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV = .venv/made-with-$(VERSION)
DEMO_VENV = .venv-demo/made-with-$(VERSION)

# What is deployed. Another file describes another stack, with other databases and another
# stack_name; GUARD='guards/*.toml' is one stack for each file.
GUARD = guard.toml
# Further arguments for the CDK's command, such as ARGS='--require-approval never' in a pipeline,
# where nobody can answer its question.
ARGS =

# The CDK's command line must not be older than aws-cdk-lib in requirements.txt: 2.275 wants 2.1147.
CDK_VERSION = 2.1148.1
CDK = .cache/cdk/made-with-$(CDK_VERSION)

NODE := $(shell node --version 2>/dev/null | tr -dc '0-9.' | cut -d. -f1)
OLDEST_NODE = 20
# What the lab's applications use, in addition to clients/debian-packages.txt.
CLIENTS = .cache/clients/made-with-$(VERSION)

# On releases of Node.js that are no longer maintained the CDK works, but prints a banner, unless
# this variable names the release.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := $(NODE)

# The project's own modules, run in its environment.
RUN = PYTHONPATH=lambdas:infra:. .venv/bin/python -m

.PHONY: environment node help demo test e2e check bench clients clients-packages bootstrap synth cost diff deploy \
    destroy notify-test release-template examples pictures clean

help:
	@echo "make demo       exhaust a PostgreSQL on this machine and watch the guard free it"
	@echo "                (the first run takes about half a minute)"
	@echo "make bootstrap  prepare the AWS account for the CDK, once per region"
	@echo "make synth      check guard.toml and write its CloudFormation template, without AWS"
	@echo "make cost       print what that stack costs per month, item by item"
	@echo "make diff       show what a deployment would change"
	@echo "make deploy     deploy the stack"
	@echo "make destroy    delete the stack; evidence and incidents are kept"
	@echo "make notify-test"
	@echo "                send a test incident through every channel of the deployed stack"
	@echo "make release-template"
	@echo "                write CloudFormation templates with parameters, for use without the CDK"
	@echo "                (POLICY=FILE: another policy than the shipped one; FOLDER=dist/release)"
	@echo "make test       run the unit, template and integration tests, on PostgreSQL 14, 16 and 18"
	@echo "make e2e        deploy the stack to an AWS emulator and exhaust a database that it guards"
	@echo "make check      check format, lint, types and the order of the imports"
	@echo "make bench      measure the guard against plain SQL and an empty handler"
	@echo "                (ARGS=--short: one round, no verdict)"
	@echo "make clients    run real client libraries beside the guard"
	@echo "                (ARGS=--short: four of them; ARGS=--help: more options)"
	@echo "make examples   write the files in docs/examples again"
	@echo "make pictures   make the pictures in docs/commands again (needs libfaketime)"
	@echo "make clean      remove everything that these commands set up"
	@echo
	@echo "GUARD=FILE uses another file than guard.toml, GUARD='guards/*.toml' several."
	@echo "ARGS='...' passes arguments to the CDK:"
	@echo "make deploy ARGS='--require-approval never'"

demo: $(DEMO_VENV)
	@PYTHONPATH=lambdas:infra:. .venv-demo/bin/python -m demo

test: node $(VENV)
	@.venv/bin/python -m doubles.postgresql.postgres_binaries
	@.venv/bin/python -m pytest tests/unit tests/cdk tests/integration

e2e: node $(VENV) $(CDK)
	@.venv/bin/python -m doubles.postgresql.postgres_binaries
	@$(RUN) tests.e2e.account.environments
	@.venv/bin/python -m pytest tests/e2e

synth: node $(VENV) $(CDK)
	@.cache/cdk/node_modules/.bin/cdk synth --quiet --context guard='$(GUARD)' $(ARGS)
	@$(RUN) connection_guard_cdk.synthesized '$(GUARD)'

cost: $(VENV)
	@$(RUN) connection_guard_cdk.cost '$(GUARD)'

# Bootstrapping is of every account and region of the stacks; the other commands are of stacks.
bootstrap diff deploy destroy: node $(VENV) $(CDK)
	@$(RUN) connection_guard.cli.credentials $(ARGS)
	@.cache/cdk/node_modules/.bin/cdk $@ $(if $(filter bootstrap,$@),,--all) \
	    --context guard='$(GUARD)' $(ARGS)

notify-test: $(VENV)
	@$(foreach file,$(or $(wildcard $(GUARD)),$(GUARD)),\
	    $(RUN) connection_guard.cli.command_line notify-test --guard $(file) $(ARGS) &&) true

release-template: node $(VENV)
	@$(RUN) connection_guard_cdk.release.write_release $(if $(POLICY),--policy $(POLICY)) \
	    $(ARGS) $(FOLDER)

# For ./connection-guard
environment: $(VENV)

check: $(VENV)
	@.venv/bin/python -m ruff format --check $(SOURCES)
	@.venv/bin/python -m ruff check $(SOURCES)
	@.venv/bin/python -m mypy $(SOURCES)
	@.venv/bin/python -m pytest --quiet tests/unit/test_architecture.py tests/unit/test_purity.py

bench: node $(VENV)
	@.venv/bin/python -m doubles.postgresql.postgres_binaries
	@$(RUN) benchmarks $(ARGS)

clients: node $(VENV) $(CLIENTS)
	@.venv/bin/python -m doubles.postgresql.postgres_binaries
	@$(RUN) clients $(ARGS)

# Installs, as root on Debian, what pip and npm cannot install. Without it, make clients names what
# is missing and continues.
clients-packages:
	@apt-get update --quiet=2
	@RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 \
	    --no-install-recommends $$(cat clients/debian-packages.txt)

examples: node $(VENV)
	@.venv/bin/python -m doubles.postgresql.postgres_binaries
	@$(RUN) tests.write_examples > /dev/null

pictures: node $(VENV)
	@.venv/bin/python -m doubles.postgresql.postgres_binaries
	@$(RUN) tests.write_pictures $(ARGS)

clean:
	rm -rf .venv .venv-demo .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

node:
	@test -n "$(NODE)" || { echo "Node.js is missing: install version 22, with npm" >&2; exit 1; }
	@test "$(NODE)" -ge $(OLDEST_NODE) || { \
	    echo "Node.js $(NODE) is too old: install version 22" \
	        "($(OLDEST_NODE) is the oldest that works)" >&2; exit 1; }
	@command -v npm > /dev/null || { \
	    echo "npm is missing: install the npm that belongs to Node.js $(NODE)" >&2; exit 1; }

$(CDK): | node
	@echo "Setting up version $(CDK_VERSION) of the CDK's command line, once ..."
	@rm -rf .cache/cdk
	@npm install --silent --no-fund --no-audit --prefix .cache/cdk aws-cdk@$(CDK_VERSION)
	@touch $@

$(CLIENTS): clients/requirements.txt clients/package.json | node
	$(call make_environment,.cache/clients/python,clients/requirements.txt)
	@mkdir -p .cache/clients/node
	@cp clients/package.json .cache/clients/node/
	@npm install --silent --no-fund --no-audit --no-package-lock --ignore-scripts \
	    --prefix .cache/clients/node
	@touch $@

$(VENV): requirements.txt $(wildcard lambdas/*/requirements.txt) demo/requirements.txt
	$(call make_environment,.venv,requirements.txt)

$(DEMO_VENV): $(wildcard lambdas/*/requirements.txt) demo/requirements.txt
	$(call make_environment,.venv-demo,demo/requirements.txt)

define make_environment
	@test -n "$(VERSION)" || { \
	    echo "$(PYTHON) is missing or older than 3.11: install Python 3.11 or newer," \
	        "or name one with 'make PYTHON=...'" >&2; exit 1; }
	@echo "Setting up $(1) with Python $(VERSION), once; this takes a moment ..."
	@rm -rf $(1)
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install --quiet --quiet --disable-pip-version-check \
	    --requirement $(2)
	@touch $@
endef
