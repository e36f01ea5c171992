#!/bin/sh
# Run once by the postgres image, on an empty volume: creates the databases of MLflow and of sweeps, each with its owner.
set -eu
psql -v ON_ERROR_STOP=1 -v mlflow="$MLFLOW_PASSWORD" -v sweeps="$SWEEPS_PASSWORD" \
    --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE DATABASE mlflow OWNER mlflow;
CREATE ROLE sweeps LOGIN PASSWORD :'sweeps';
CREATE DATABASE sweeps OWNER sweeps;
REVOKE CONNECT ON DATABASE mlflow, sweeps FROM PUBLIC;
SQL
