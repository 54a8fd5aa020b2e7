# Needs GNU make 3.81 and Python 3.11 or newer; the tests and the benchmarks need Node.js 18, too.

PYTHON ?= python3
SOURCES = lambdas infra tools tests benchmarks

# In the name of each environment's stamp, so that another PYTHON makes it anew.
VERSION := $(shell $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) and print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV = .venv/made-with-$(VERSION)
DEMO_VENV = .venv-demo/made-with-$(VERSION)

.PHONY: help demo test check bench examples clean

help:
	@echo "make demo    free an exhausted PostgreSQL, here and now (the first run takes about half a minute)"
	@echo "make test    unit and integration tests on real PostgreSQL 14, 16 and 18"
	@echo "make check   format, lint and types"
	@echo "make bench   how fast it is against bare SQL and a bare handler"
	@echo "make examples  write docs/examples anew"
	@echo "make clean   remove what these commands set up"

demo: $(DEMO_VENV)
	@PYTHONPATH=lambdas:. .venv-demo/bin/python -m tools.demo

test: $(VENV)
	@.venv/bin/python -m tests.postgres_binaries
	@.venv/bin/python -m pytest tests/unit tests/infra tests/integration

check: $(VENV)
	@.venv/bin/python -m ruff format --check $(SOURCES)
	@.venv/bin/python -m ruff check $(SOURCES)
	@.venv/bin/python -m mypy $(SOURCES)

bench: $(VENV)
	@.venv/bin/python -m tests.postgres_binaries
	@PYTHONPATH=lambdas:. .venv/bin/python -m benchmarks

examples: $(VENV)
	@.venv/bin/python -m tests.postgres_binaries
	@PYTHONPATH=lambdas:. .venv/bin/python -m tests.examples > /dev/null

clean:
	rm -rf .venv .venv-demo .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): requirements.txt lambdas/responder/requirements.txt tools/demo-requirements.txt
	$(call make_environment,.venv,requirements.txt)

$(DEMO_VENV): lambdas/responder/requirements.txt tools/demo-requirements.txt
	$(call make_environment,.venv-demo,tools/demo-requirements.txt)

define make_environment
	@test -n "$(VERSION)" || { echo "$(PYTHON) is missing or older than 3.11: install Python 3.11 or newer, or name one with 'make PYTHON=...'" >&2; exit 1; }
	@echo "Setting up $(1) with Python $(VERSION), once; this takes a moment ..."
	@rm -rf $(1)
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --requirement $(2)
	@touch $@
endef
