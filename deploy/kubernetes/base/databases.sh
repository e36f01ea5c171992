#!/bin/sh
# Run once by the postgres image, on an empty volume: a database and its owner for MLflow, and for the studies of sweeps.
set -eu
psql -v ON_ERROR_STOP=1 -v mlflow="$MLFLOW_PASSWORD" -v sweeps="$SWEEPS_PASSWORD" \
    --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE DATABASE mlflow OWNER mlflow;
CREATE ROLE sweeps LOGIN PASSWORD :'sweeps';
CREATE DATABASE sweeps OWNER sweeps;
REVOKE CONNECT ON DATABASE mlflow, sweeps FROM PUBLIC;
SQL
