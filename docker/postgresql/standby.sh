#!/usr/bin/env bash
# At the first start a copy of the primary; then the image's own entry point, which finds a standby to go on with.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # A copy that is not whole is never started.
  rm -rf "$PGDATA" "$PGDATA.new"
  pg_basebackup --host=pg1 --username=replicator --slot=standby1 --checkpoint=fast --write-recovery-conf --pgdata="$PGDATA.new"
  mv "$PGDATA.new" "$PGDATA"
fi
exec docker-entrypoint.sh "$@"
