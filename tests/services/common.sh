# Shared by the scripts of this directory: where state lives, how a service is started,
# recognised, waited for and stopped. Sourced, never run.

set -euo pipefail

STATE="${SLIPWAY_SERVICES:-${XDG_STATE_HOME:-$HOME/.local/state}/slipway/services}"
# Debian keeps server programs where an ordinary user's PATH does not look.
PATH="$PATH:/usr/sbin:/sbin"

# Accounts of the test services: public, and good for nothing else.
TEST_USER=slipway
TEST_PASSWORD=launch-it

say() { printf 'services: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# make_state: creates the state directory, marked so that `down` knows it for its own.
make_state() {
  mkdir -p "$STATE"
  touch "$STATE/.slipway-services"
}

# started_at PID: when a live process began, in clock ticks since boot; with the id it names a process for good.
started_at() {
  # The name in parentheses may hold anything. What has ended and only waits to be reaped is not alive.
  sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
}

# pid_of NAME: the process id of a service that we started and that still runs.
# Ids are reused and pid files outlive kills, so the start time has to agree.
pid_of() {
  local pid began
  read -r pid began 2>/dev/null <"$STATE/$1/pid" || return 1
  [ "$(started_at "$pid")" = "$began" ] || return 1
  echo "$pid"
}

# start NAME COMMAND...: runs a command detached, with its log and pid file.
start() {
  local name=$1
  shift
  say "starting $name (log: $STATE/$name/log)"
  mkdir -p "$STATE/$name"
  rm -f "$STATE/$name/pid"
  # `exec` keeps the process that the inner shell described; descriptor 9 is the lock of `up`.
  # shellcheck disable=SC2016
  setsid sh -c 'echo "$$ $(cut -d " " -f 22 "/proc/$$/stat")" >"$0"; exec "$@"' "$STATE/$name/pid" "$@" \
    </dev/null >>"$STATE/$name/log" 2>&1 9>&- &
  disown
}

# wait_ready NAME SECONDS CHECK...: polls a check until it succeeds; shows the log if it never does.
wait_ready() {
  local name=$1 deadline=$((SECONDS + $2)) began=$SECONDS
  shift 2
  # Somebody else's answer does not count.
  until pid_of "$name" >/dev/null && "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ] || { [ $SECONDS -gt $((began + 2)) ] && ! pid_of "$name" >/dev/null; }; then
      say "$name is not ready after $((SECONDS - began)) s (check: $*). The end of $STATE/$name/log:"
      tail -n 40 "$STATE/$name/log" >&2 || true
      exit 1
    fi
    sleep 0.2
  done
}

# stop NAME: asks a service of ours, and its helpers, to end; makes them after ten seconds.
# Helpers that outlived a killed service hold its port, so they are ended too.
stop() {
  local pid began now tries=0
  read -r pid began 2>/dev/null <"$STATE/$1/pid" || return 0
  now=$(started_at "$pid" || true)
  # The id may belong to somebody else by now; while helpers live it cannot.
  [ -z "$now" ] || [ "$now" = "$began" ] || return 0
  [ -z "$now" ] || say "stopping $1"
  # `setsid` gave it a process group of its own.
  kill -TERM -- "-$pid" 2>/dev/null || return 0
  while pid_of "$1" >/dev/null && [ $tries -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  kill -KILL -- "-$pid" 2>/dev/null || true
}

# answers ADDRESS PORT: whether something listens there.
answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# port_of NAME FIRST: the port of a service; chosen once among free ones from FIRST, then kept.
port_of() {
  local file="$STATE/$1.port" port=$2
  if [ ! -s "$file" ]; then
    while answers 127.0.0.1 "$port" || grep -qsxF "$port" "$STATE"/*.port; do
      port=$((port + 1))
    done
    echo "$port" >"$file"
  fi
  cat "$file"
}
