# All images of Aura:
#   docker build --target aura --tag aura .                   every stage: docker run -v "$(pwd)/data:/data" aura prepare dataset.root=/data
#   docker build --target mlflow --tag aura-mlflow .          the tracking server, for PostgreSQL and S3
#   docker build --target edf_databroker --tag edf_databroker .      a node of a Graphene pipeline; the other two likewise
#   docker build --target szcore --build-arg MODEL=model --tag aura-szcore .       one EDF to one events.tsv; the image contains the model
# BASE is any slim image with Python 3.11 to 3.13.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv /opt/aura
COPY deploy/images/aura.lock /tmp/
RUN /opt/aura/bin/pip install --requirement /tmp/aura.lock
WORKDIR /src
COPY LICENSE MLproject README.md pyproject.toml ./
COPY conf conf
COPY experiments experiments
COPY aura aura
COPY deploy/graphene deploy/graphene
RUN /opt/aura/bin/pip install --no-deps --editable .

FROM ${BASE} AS aura
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Aura" \
      org.opencontainers.image.description="From ECG recordings of people with epilepsy to a seizure detector" \
      org.opencontainers.image.licenses="GPL-3.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# --user accepts any user; the stages write only to /workspace and /tmp.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp aura && mkdir -m 1777 /workspace && mkdir /data /output
COPY --from=build /opt/aura /opt/aura
COPY --from=build /src /src
ENV PATH=/opt/aura/bin:$PATH HOME=/tmp USER=aura LOGNAME=aura AURA_WORKSPACE=/workspace AURA_REVISION=${REVISION} \
    MLFLOW_TRACKING_URI=sqlite:////workspace/mlflow.db \
    MLFLOW_DISABLE_TELEMETRY=true GIT_PYTHON_REFRESH=quiet NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /workspace
ENTRYPOINT ["python3", "-m", "aura"]
CMD ["--help"]

FROM ${BASE} AS build-mlflow
RUN python3 -m venv /opt/mlflow
COPY deploy/images/mlflow.lock /tmp/
RUN /opt/mlflow/bin/pip install --no-cache-dir --disable-pip-version-check --requirement /tmp/mlflow.lock

FROM ${BASE} AS mlflow
LABEL org.opencontainers.image.title="MLflow for Aura" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --no-create-home --home-dir /tmp aura && mkdir -m 1777 /mlflow
COPY --from=build-mlflow /opt/mlflow /opt/mlflow
ENV PATH=/opt/mlflow/bin:$PATH HOME=/tmp MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    GIT_PYTHON_REFRESH=quiet PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /mlflow
EXPOSE 5000
ENTRYPOINT ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "1", "--serve-artifacts"]
CMD ["--backend-store-uri", "sqlite:////mlflow/mlflow.db", "--artifacts-destination", "/mlflow/artifacts"]

# The nodes of a Graphene pipeline. The platform reads model.proto and license.json at the root. See docs/graphene.md.
FROM aura AS edf_databroker
COPY deploy/graphene/edf_databroker/model.proto deploy/graphene/edf_databroker/license.json /
ENV SHARED_FOLDER_PATH=/shared MLFLOW_TRACKING_URI=""
EXPOSE 8061
ENTRYPOINT ["python3", "-m", "aura.integrations.graphene.serve", "edf_databroker", "--listen", "[::]:8061"]
CMD []

FROM aura AS aura_data_process
COPY deploy/graphene/aura_data_process/model.proto deploy/graphene/aura_data_process/license.json /
ENV SHARED_FOLDER_PATH=/shared MLFLOW_TRACKING_URI=""
EXPOSE 8061
ENTRYPOINT ["python3", "-m", "aura.integrations.graphene.serve", "aura_data_process", "--listen", "[::]:8061"]
CMD []

FROM aura AS aura_ml_trainer
COPY deploy/graphene/aura_ml_trainer/model.proto deploy/graphene/aura_ml_trainer/license.json /
ENV SHARED_FOLDER_PATH=/shared MLFLOW_TRACKING_URI=""
EXPOSE 8061
ENTRYPOINT ["python3", "-m", "aura.integrations.graphene.serve", "aura_ml_trainer", "--listen", "[::]:8061"]
CMD []

# Last, since a builder without BuildKit builds all stages before the requested one.
FROM aura AS szcore
ARG MODEL=model
COPY ${MODEL} /model
ENV INPUT="" OUTPUT="" MLFLOW_TRACKING_URI=sqlite:////tmp/mlflow.db
VOLUME ["/data", "/output"]
CMD ["szcore", "detect.model=/model"]
