# A PostgreSQL for the server's history, on loopback. Sourced by `up`.
# Its programs refuse to run as root, so they run as the account that Debian's package makes.

postgresql_bin() { find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1; }

postgresql_as() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid postgres --regid postgres --clear-groups -- "$@"
  else
    "$@"
  fi
}

postgresql_is_ready() {
  PGPASSWORD="$TEST_PASSWORD" "$(postgresql_bin)/psql" -h 127.0.0.1 -p "$(port_of postgresql 5732)" -U "$TEST_USER" -qtAc 'SELECT 1' postgres
}

postgresql_up() {
  # The account that it runs as cannot look into a state directory of root's.
  local dir="$STATE/postgresql" data
  pid_of postgresql >/dev/null && postgresql_is_ready >/dev/null 2>&1 && return 0
  stop postgresql
  mkdir -p "$dir"
  postgresql_remove
  if [ "$(id -u)" = 0 ]; then data=$(mktemp -d /var/tmp/slipway-postgresql.XXXXXX); else data=$(mktemp -d "$dir/data.XXXXXX"); fi
  echo "$data" >"$dir/where"
  [ "$(id -u)" != 0 ] || chown postgres:postgres "$data"
  printf %s "$TEST_PASSWORD" >"$dir/password"
  postgresql_as "$(postgresql_bin)/initdb" --pgdata="$data" --username="$TEST_USER" --pwfile=/dev/stdin \
    --auth=scram-sha-256 --encoding=UTF8 --no-locale --no-sync <"$dir/password" >"$dir/initdb.log" 2>&1 ||
    die "initdb failed: $(cat "$dir/initdb.log")"
  (cd / && start postgresql "$(command -v setpriv)" $([ "$(id -u)" != 0 ] || echo --reuid postgres --regid postgres --clear-groups) \
    "$(postgresql_bin)/postgres" -D "$data" -p "$(port_of postgresql 5732)" -c listen_addresses=127.0.0.1 \
    -c "unix_socket_directories=" -c fsync=off -c max_connections=200)
  wait_ready postgresql 30 postgresql_is_ready
}

postgresql_remove() {
  [ ! -s "$STATE/postgresql/where" ] || rm -rf "$(cat "$STATE/postgresql/where")"
}

postgresql_down() {
  stop postgresql
  postgresql_remove
}
