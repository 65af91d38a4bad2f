# The database of the mixed load: PostgreSQL with clients over TCP and over a Unix socket, a dump and a
# vacuum, until the time is over.
#
#   database.sh FOLDER SECONDS PORT
set -eu
cd "$1"
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
export PGHOST=127.0.0.1 PGPORT="$3" PGUSER=nobody PGDATABASE=postgres LANG=C.UTF-8
end=$(($(date +%s) + $2))

# PostgreSQL refuses to run as root.
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

mkdir data sockets
chown 65534:65534 data sockets
as_nobody initdb --pgdata data --auth trust --no-sync --locale C.UTF-8 > /dev/null
as_nobody postgres -D data -c listen_addresses=127.0.0.1 -c port="$PGPORT" -c fsync=off \
    -c unix_socket_directories="$PWD/sockets" -c shared_buffers=16MB -c checkpoint_timeout=30s &
tries=0
until pg_isready --quiet; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ]
    sleep 0.1
done

pgbench --initialize --scale 2 --quiet > init.log 2>&1
while [ "$(date +%s)" -lt "$end" ]; do
    pgbench --client 3 --jobs 2 --time 3 > tcp.log 2>&1
    PGHOST="$PWD/sockets" pgbench --client 2 --select-only --connect --time 1 > unix.log 2>&1
    pg_dump --table pgbench_accounts | gzip -1 > dump.gz
    psql --quiet --command 'vacuum full analyze pgbench_accounts' \
        --command '\copy pgbench_branches to branches.csv csv'
done
as_nobody pg_ctl stop --silent --pgdata data --mode fast
wait
