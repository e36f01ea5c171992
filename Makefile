# Set-up is part of every target: a fresh clone with git, make and Python 3.11 to 3.13 needs nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
INSTALLED := $(VENV)/.installed
# The demo's corpus: fewer EEG-like channels than TUH, to stay under 500 MB.
DEMO := dataset.synthesis.eeg_channels=6
UI_PORT ?= 5000

export PATH := $(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help demo test wheel damage bench dashboards lint ui lock files test-containers test-airflow

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: $(INSTALLED)  ## from nothing to a served detector, on a synthetic corpus (about 4 minutes)
	python -m aura synthesize $(DEMO)
	mlflow run . -e main --env-manager local --experiment-name aura -P overrides="$(DEMO)"
	python -m aura.demo

test: $(INSTALLED)  ## lint and test
	ruff check .
	ruff format --check .
	mypy
	$(MAKE) --no-print-directory files
	python -m pytest -n 2 --dist loadfile

wheel: $(INSTALLED)  ## build dist/aura_ecg-VERSION-py3-none-any.whl and the source distribution
	python -m hatchling build -d dist

test-containers: $(INSTALLED)  ## as root: build the images from nothing and run them (about 13 minutes)
	python -m pytest -s tests/containers/check_containers.py

test-airflow: $(INSTALLED) .airflow/.installed  ## run the DAG of deploy/airflow in an Airflow of its own (about 8 minutes)
	AURA_AIRFLOW=$(abspath .airflow) python -m pytest tests/airflow/check_dag.py

.airflow/.installed: deploy/airflow/requirements.txt
	$(PYTHON) -m venv .airflow
	.airflow/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

damage: $(INSTALLED)  ## prepare 5000 damaged corpora instead of 300 (about 4 minutes)
	AURA_DAMAGED_CORPORA=5000 python -m pytest tests/processing/test_damage.py

bench: $(INSTALLED)  ## after make demo: measure what all of it costs (about two hours, 10 GB of disk)
	python -m benchmarks.prepare
	python -m benchmarks.features
	python -m benchmarks.sweep
	python -m benchmarks.serving
	python -m benchmarks.database

dashboards: $(INSTALLED)  ## write Grafana's dashboards again, after a change in deploy/grafana/generate
	python -m deploy.grafana.generate

lint: $(INSTALLED)  ## put the code in order and check it
	ruff check --fix .
	ruff format .
	mypy
	$(MAKE) --no-print-directory files

files: $(INSTALLED)
	hadolint Dockerfile
	check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	python -m aura.integrations.graphene.protolint

ui: $(INSTALLED)  ## open the MLflow UI on http://127.0.0.1:5000 (UI_PORT=...)
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" \
		--host 127.0.0.1 --port $(UI_PORT) --workers 1

lock: $(INSTALLED)  ## resolve requirements.lock, and those of the images and of Airflow, anew, for Python 3.11 to 3.13
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
		--no-emit-index-url --no-header --output-file requirements.lock
	uv pip compile pyproject.toml --extra onnx --extra postgresql --extra dask --extra graphene --universal \
		--python-version 3.11 --no-emit-index-url --no-header --no-annotate --constraint requirements.lock \
		--output-file deploy/images/aura.lock
	uv pip compile deploy/images/mlflow.in --universal --python-version 3.11 --upgrade --no-emit-index-url --no-header \
		--no-annotate --output-file deploy/images/mlflow.lock
	uv pip compile deploy/airflow/requirements.in --universal --python-version 3.11 --upgrade --no-emit-index-url --no-header \
		--no-annotate --output-file deploy/airflow/requirements.txt

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "aura needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
