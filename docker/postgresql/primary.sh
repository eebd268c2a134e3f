#!/usr/bin/env bash
# Once, in a database that is new: the roles, and what the standby needs. From the next start on, commits wait for it.
set -euo pipefail

psql --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname="$POSTGRES_DB" <<SQL
CREATE ROLE banquo_app;
CREATE ROLE banquo_auditor;
CREATE ROLE banquo_migrate LOGIN;
CREATE ROLE banquo LOGIN IN ROLE banquo_app;
CREATE ROLE replicator LOGIN REPLICATION;
ALTER DATABASE "$POSTGRES_DB" OWNER TO banquo_migrate;
SELECT pg_create_physical_replication_slot('standby1');
SQL
echo "host replication replicator all trust" >>"$PGDATA/pg_hba.conf"
echo "synchronous_standby_names = 'ANY 1 (standby1)'" >>"$PGDATA/postgresql.conf"
