# Everything runs inside .venv beside this file; nothing outside the folder is touched.
PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: demo test lint types check clients clean

demo: .venv/installed ## the main job, on the embedded engine: no key, no network
	$(RUN) -m sybilion_mcp demo

test: lint types check ## what continuous integration runs

lint: .venv/installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: .venv/installed
	$(RUN) -m mypy

check: .venv/installed .venv-client/installed
	$(RUN) -m pytest -n auto --cov --cov-report=term

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[engine,files,dev]'
	touch .venv/installed

clients: .venv-client/installed .clients/installed ## other people's clients, for tests/clients; without npm those of it are skipped

.venv-client/installed: ## an environment with the client of an earlier SDK
	$(PYTHON) -m venv .venv-client
	.venv-client/bin/python -m pip install --quiet --disable-pip-version-check 'mcp==1.30.0'
	touch .venv-client/installed

.clients/installed: tests/clients/package.json
	mkdir -p .clients
	cp tests/clients/package.json .clients/package.json
	cd .clients && npm install --no-audit --no-fund --ignore-scripts --no-package-lock --loglevel=error
	touch .clients/installed

clean:
	rm -rf .venv .venv-client .clients .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
