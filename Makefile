# Every target sets up its environment: a fresh clone needs only git, make, and Python 3.11 to 3.13.
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
INSTALLED := $(VENV)/.installed
# The demo's corpus has fewer EEG-like channels than TUH, so that it stays under 500 MB.
DEMO := dataset.synthesis.eeg_channels=6
UI_PORT ?= 5000
DASHBOARD_PORT ?= 8080
# Database of the studies of sweeps.
STORAGE ?= sqlite:///$(or $(AURA_WORKSPACE),workspace)/sweeps.db
# All extras but gp, whose PyTorch is large.
LOCKED := lightgbm onnx postgresql grafana graphene dask docs dev

export PATH := $(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help check quality demo test wheel damage bench dashboards mlproject docs lint ui dashboard lock files test-containers test-airflow

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: $(INSTALLED)  ## make a synthetic corpus, train a detector on it and serve it (about 4 minutes)
	python -m aura synthesize $(DEMO)
	mlflow run . -e main --env-manager local --experiment-name aura -P overrides="$(DEMO)"
	python -m aura.demo

check: quality  ## run linters, type checker and unit tests (under a minute)
	python -m pytest -q -n 2 -m "not slow and not integration and not browser"

test: quality files  ## run check and all other tests (about 15 minutes)
	python -m pytest -n 2 --dist loadfile

quality: $(INSTALLED)
	ruff check .
	ruff format --check .
	mypy
	lint-imports

wheel: $(INSTALLED)  ## build the wheel and the source distribution in dist/
	python -m hatchling build -d dist

test-containers: $(INSTALLED)  ## as root: build the images and run them (about 13 minutes)
	python -m pytest -s tests/containers/check_containers.py

test-airflow: $(INSTALLED) .airflow/.installed  ## run the DAG of deploy/airflow in Airflow (about 8 minutes)
	AURA_AIRFLOW=$(abspath .airflow) python -m pytest tests/airflow/check_dag.py

.airflow/.installed: deploy/airflow/requirements.txt
	$(PYTHON) -m venv .airflow
	.airflow/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

damage: $(INSTALLED)  ## prepare 5000 damaged corpora instead of 300 (about 4 minutes)
	AURA_DAMAGED_CORPORA=5000 python -m pytest tests/processing/test_damage.py

bench: $(INSTALLED)  ## after make demo: measure time and memory of the stages (about two hours, 10 GB of disk)
	python -m benchmarks.commands
	python -m benchmarks.prepare
	python -m benchmarks.features
	python -m benchmarks.sweep
	python -m benchmarks.serving
	python -m benchmarks.database

dashboards: $(INSTALLED)  ## regenerate Grafana's dashboards after a change in deploy/grafana/generate
	python -m deploy.grafana.generate

mlproject: $(INSTALLED)  ## write MLproject again after a stage declared another key
	python -m aura.config.mlproject > MLproject

docs: $(INSTALLED)  ## build the documentation site in site/, strictly and without network
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --clean

lint: $(INSTALLED)  ## format the code, apply automatic fixes, and check it
	ruff check --fix .
	ruff format .
	$(MAKE) --no-print-directory quality files

files: $(INSTALLED)
	hadolint Dockerfile
	check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	python -m aura.integrations.graphene.protolint

ui: $(INSTALLED)  ## serve the MLflow UI, and print the address of the training runs (UI_PORT=...)
	@UI_PORT=$(UI_PORT) python -m aura.tracking.views
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" \
		--host 127.0.0.1 --port $(UI_PORT) --workers 1

dashboard: $(INSTALLED)  ## open optuna-dashboard on the sweeps, on http://127.0.0.1:8080 (DASHBOARD_PORT=..., STORAGE=...)
	@case "$(STORAGE)" in sqlite:///*) test -f "$(STORAGE:sqlite:///%=%)" || \
		{ echo "there is no sweep in $(STORAGE:sqlite:///%=%) yet; run python -m aura sweep, or give STORAGE=..." >&2; exit 1; } ;; esac
	@optuna-dashboard "$(STORAGE)" --host 127.0.0.1 --port $(DASHBOARD_PORT)

lock: $(INSTALLED)  ## resolve the lock files of the project, the images and Airflow
	uv pip compile pyproject.toml $(LOCKED:%=--extra %) --universal --python-version 3.11 --upgrade \
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
