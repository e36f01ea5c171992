# All stages in one image: docker run -v $(pwd)/data:/data aura prepare dataset.root=/data
ARG BASE=python:3.12-slim
FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/aura && /opt/aura/bin/pip install --no-cache-dir --requirement requirements.lock
COPY . .
RUN /opt/aura/bin/pip install --no-cache-dir --no-deps --editable .

FROM ${BASE} AS aura
RUN useradd --create-home --uid 10001 aura && mkdir /data /workspace /mlflow && chown aura /data /workspace /mlflow
COPY --from=build /opt/aura /opt/aura
COPY --from=build /src /src
ENV PATH=/opt/aura/bin:$PATH AURA_WORKSPACE=/workspace MLFLOW_DISABLE_TELEMETRY=true PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/numba
USER aura
WORKDIR /workspace
ENTRYPOINT ["python", "-m", "aura"]
CMD ["--help"]
