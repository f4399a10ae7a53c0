# All targets use .venv and .demo only; nothing else on the machine is changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCHABLE := $(VENV)/.bench
# The benchmarks: all by default, or for example BENCH="pace peers"; QUICK=1 runs small ones and leaves the docs unchanged.
BENCH ?=
QUICK ?=
# The Pythons and cells of the matrix; Helm and the chart.
MATRIX := $(basename $(wildcard requirements/matrix/*.in))
PYTHONS ?= python3.11 python3.12 python3.13 python3.14
CELLS ?=
FINAL ?=
CHART ?= apache-airflow/airflow
HELM ?= helm
KUBERNETES_VALIDATE := 1.37.0
# Empty to keep the locked versions and only add new packages.
UPGRADE ?= --upgrade
# The ports of the demo's UI and of its sandbox; where they are empty, the usual ones, or free ones if these are taken.
PORT ?=
SANDBOX_PORT ?=
PORTS = $(if $(PORT),--port $(PORT)) $(if $(SANDBOX_PORT),--sandbox-port $(SANDBOX_PORT))
# A test that fails runs once more, because on a busy machine Airflow can miss a heartbeat, and a response can come
# after a time-out; the summary names it.
ONCE_MORE := --reruns 1 -r aR --rerun-show-tracebacks
CRASHES := tests/system/test_crashes.py tests/system/test_bundles.py
ALERTS := $(addprefix tests/system/test_,alerts.py connections.py privacy.py watching.py)
EDITOR := .demo/editor/node_modules/.bin/yaml-language-server

# Where it is set, every process of the tests' Airflow would compile this package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo up test test-fast test-system test-alerts test-crashes test-browser test-distributed test-compose \
	test-matrix test-editor check-kubernetes check-release docs screenshots lint bench lock compose-env clean

demo: $(READY)            ## runs the syncs of dags/ in a real Airflow with the sandbox, and prints the reports
	@$(BIN)/python -m dev.demo $(PORTS)

up: $(READY)              ## the same, and keeps the UI running until Ctrl-C: make up PORT=8081 SANDBOX_PORT=9800
	@$(BIN)/python -m dev.demo --stay $(PORTS)

# Those in a real Airflow wait more than they work; the others take what is left of the processors.
test: $(READY)            ## static checks and all tests, in parallel
	@$(MAKE) --no-print-directory --jobs=4 --keep-going --output-sync=target LATER="nice -n 5" \
		test-fast test-system test-browser test-alerts test-crashes test-distributed lint

# Half of their time, these wait: two processes of them do not make use of two processors.
test-fast: $(READY)       ## the tests that need no running Airflow
	$(LATER) $(BIN)/python -m pytest $(ONCE_MORE) -n 3 --dist loadfile \
		tests/docs tests/editor tests/fuzz tests/integration tests/model tests/unit

test-system: $(READY)     ## the tests in a running Airflow, except those of the next targets
	$(BIN)/python -m pytest $(ONCE_MORE) tests/system --ignore=tests/system/distributed \
		--ignore=tests/system/browser $(addprefix --ignore=,$(CRASHES) $(ALERTS))

test-alerts: $(READY)     ## the system tests of alerts, of connections, and of what others see and may not see
	$(BIN)/python -m pytest $(ONCE_MORE) $(ALERTS)

test-crashes: $(READY)    ## the system tests that kill parts of Airflow, and those of DAG bundles
	$(BIN)/python -m pytest $(ONCE_MORE) $(CRASHES)

test-browser: $(READY)    ## the tests of the UI in a browser
	$(BIN)/python -m pytest $(ONCE_MORE) tests/system/browser

test-distributed: $(READY) ## the system tests on PostgreSQL, Redis and Celery workers, as processes
	$(BIN)/python -m pytest $(ONCE_MORE) tests/system/distributed

test-compose: $(READY)    ## docker-compose.yaml for real, in containers; not part of test, because it requires Docker or root
	$(BIN)/python -m pytest -m compose

test-matrix: $(READY)     ## each supported Airflow with each Python; CELLS="3.1/3.11 …" for some; writes docs/versions.md
	$(BIN)/python -m dev.matrix --pythons $(PYTHONS) --cells $(CELLS)

test-editor: $(READY) $(EDITOR) ## tests the JSON Schema in the language server of editors; requires npm, and is part of test only with it
	$(BIN)/python -m pytest tests/editor

check-kubernetes: $(READY) ## renders deploy/kubernetes with the official chart: make check-kubernetes CHART=airflow-1.22.0.tgz
	$(BIN)/python -m uv run --quiet --no-project --python $(BIN)/python --with kubernetes-validate==$(KUBERNETES_VALIDATE) \
		python -m dev.kubernetes --chart $(CHART) --helm $(HELM)

check-release: $(READY)   ## builds the files for an upload, checks and installs them; FINAL=1 fails for open points
	$(BIN)/python -m dev.release $(if $(FINAL),--final)

$(EDITOR):
	npm install --silent --no-audit --no-fund --prefix .demo/editor yaml-language-server@1.15.0

docs: $(READY)           ## docs/yaml.md and the JSON Schema of dags/, from the models
	$(BIN)/python -m dev.yaml_reference
	$(BIN)/python -m dev.operator_reference

screenshots: $(READY)     ## the images in the docs: by the browser tests, of a month of syncs, of the doctor's terminal
	SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/system/browser
	$(BIN)/python -m tests.system.browser.month
	$(BIN)/python -m dev.terminal_picture

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

bench: $(READY) $(BENCHABLE) ## measures time, memory and requests, compared with peers; writes docs/performance.md
	$(BIN)/python -m tests.benchmarks $(BENCH) $(if $(QUICK),--quick)

$(BENCHABLE): requirements/bench.txt $(READY)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/bench.txt
	@touch $@

lock: $(READY)            ## resolves the dependencies again; UPGRADE= keeps the locked versions
	$(BIN)/uv pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes --no-header \
		--group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--group dev --group bench -c requirements/dev.txt pyproject.toml -o requirements/bench.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--group stack -c requirements/dev.txt pyproject.toml -o requirements/stack.txt
	for each in $(MATRIX); do $(BIN)/uv pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
		--no-header --group matrix -c $$each.in pyproject.toml -o $$each.txt || exit 1; done

compose-env:              ## writes .env for docker-compose.yaml with new secrets; requires only Python
	@$(PYTHON) -m dev.compose_env

clean:
	rm -rf $(VENV) .demo

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@echo "1 of 3: creating $(VENV) with $(PYTHON) …"
	@$(PYTHON) -m venv $(VENV)
	@echo "2 of 3: installing Airflow and the tools, $$(grep -c '^[a-z].*==' requirements/dev.txt) packages; a few minutes …"
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	@echo "3 of 3: installing this package …"
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
