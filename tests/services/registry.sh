# A registry with basic authentication, standing in for Harbor. Sourced by `up`.
# It listens on loopback alone: the Engine itself pushes, and trusts 127.0.0.0/8 without TLS.

registry_url() { echo "http://127.0.0.1:$(port_of registry 5750)/v2/"; }

# Ready means: who has no account is refused, who has one is not.
registry_is_ready() {
  [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$(registry_url)")" = 401 ] &&
    curl -fs -m 5 -o /dev/null -u "$TEST_USER:$TEST_PASSWORD" "$(registry_url)"
}

registry_up() {
  local dir="$STATE/registry"
  pid_of registry >/dev/null && registry_is_ready && return 0
  stop registry
  mkdir -p "$dir/data"
  htpasswd -Bbn "$TEST_USER" "$TEST_PASSWORD" >"$dir/htpasswd"
  cat >"$dir/config.yml" <<YAML
version: 0.1
log: { level: warn }
storage:
  filesystem: { rootdirectory: $dir/data }
  delete: { enabled: true }
http: { addr: "127.0.0.1:$(port_of registry 5750)" }
auth:
  htpasswd: { realm: slipway-test, path: $dir/htpasswd }
YAML
  start registry docker-registry serve "$dir/config.yml"
  wait_ready registry 30 registry_is_ready
}

registry_down() { stop registry; }
