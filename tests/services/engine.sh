# Docker Engine. One that already answers is used as it is. Sourced by `up`.

engine_answers() { command -v docker >/dev/null && docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# The bridge's address on this machine, where containers reach our services. Empty without a bridge.
# Asked of the kernel: older Engines leave `Gateway` of their default bridge empty.
engine_bridge() {
  local name
  name=$(docker network inspect bridge --format '{{index .Options "com.docker.network.bridge.name"}}' 2>/dev/null) || return 0
  ip -4 -o address show dev "$name" 2>/dev/null | awk '{ sub("/.*", "", $4); print $4; exit }'
}

engine_up() {
  engine_answers && return 0
  [ -z "${DOCKER_HOST:-}" ] || die "no Engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset the variable"
  [ "$(id -u)" = 0 ] || die "no Engine answers and starting one needs root: start Docker, or run this as root"
  local dir="$STATE/engine"
  # One that was killed leaves its files behind, and dockerd refuses to start over a foreign pid file.
  rm -f "$dir/docker.pid" "$dir/exec/containerd/containerd.pid"
  start engine dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/docker.pid" \
    --host unix:///var/run/docker.sock
  wait_ready engine 60 engine_answers
}

engine_down() {
  stop engine
  [ -d "$STATE/engine" ] || return 0
  # Whatever is still mounted below must go first: removing through a mount would remove its source.
  awk -v below="$STATE/engine/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
    while read -r mount; do umount "$mount"; done
}
