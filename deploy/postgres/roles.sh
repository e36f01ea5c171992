#!/bin/sh
# Run once by the postgres image, on an empty volume: creates the roles and their rights. The importer creates the tables.
set -eu
psql -v ON_ERROR_STOP=1 -v importer="$AURA_WRITER_PASSWORD" -v reader="$AURA_READER_PASSWORD" \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE aura_writer NOLOGIN;
CREATE ROLE aura_reader NOLOGIN;
CREATE ROLE aura_importer LOGIN PASSWORD :'importer' IN ROLE aura_writer;
CREATE ROLE aura_grafana LOGIN PASSWORD :'reader' IN ROLE aura_reader;
GRANT CREATE ON SCHEMA public TO aura_importer;
-- The importer may not revoke these rights, and refuses to create tables while they are granted.
REVOKE TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT TEMPORARY ON DATABASE :"DBNAME" TO aura_writer;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
ALTER ROLE aura_grafana SET default_transaction_read_only = on;
ALTER ROLE aura_grafana SET statement_timeout = '30s';
SQL
