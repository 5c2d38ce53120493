# Debian packages that the services need, installed only where something is missing. Sourced by `up`.

# command:package
REQUIRED="dockerd:docker.io docker:docker.io iptables:iptables ip:iproute2 docker-registry:docker-registry
debootstrap:debootstrap nginx:nginx fcgiwrap:fcgiwrap git:git htpasswd:apache2-utils curl:curl jq:jq
skopeo:skopeo umoci:umoci go:golang-go
sshd:openssh-server ssh:openssh-client ssh-keygen:openssh-client epmd:erlang-base openssl:openssl setsid:util-linux busybox:busybox-static"

install_packages() {
  local missing="" pair
  for pair in $REQUIRED; do
    # An Engine elsewhere needs no daemon here.
    [ "$pair" = dockerd:docker.io ] && engine_answers && continue
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
  done
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
  [ -n "$(postgresql_bin)" ] || missing="$missing postgresql"
  [ -d /usr/lib/python3/dist-packages/pika ] || missing="$missing python3-pika"
  # Ubuntu's is a snap, for which there is no driver here: tests of pages say that it is missing.
  if grep -qs '^ID=debian$' /etc/os-release; then
    [ -x /usr/bin/chromium ] || missing="$missing chromium"
    [ -x /usr/bin/chromedriver ] || missing="$missing chromium-driver"
  fi
  /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
  [ -x /usr/lib/git-core/git-http-backend ] || missing="$missing git"
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null || die "install first:$missing (only Debian's apt-get is known here)"
  [ "$(id -u)" = 0 ] || die "not root; install first: apt-get install$missing"

  say "installing$missing"
  export DEBIAN_FRONTEND=noninteractive
  # What a package would start by itself is not ours to run: we start our own, elsewhere.
  local policy=/usr/sbin/policy-rc.d wrote=""
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    wrote=yes
  fi
  local status=0
  # shellcheck disable=SC2086
  { apt-get update -qq && apt-get install -o DPkg::Lock::Timeout=120 -qq -y --no-install-recommends $missing; } </dev/null >"$STATE/apt.log" 2>&1 || status=$?
  [ -z "$wrote" ] || rm -f $policy
  if [ $status != 0 ]; then
    tail -n 30 "$STATE/apt.log" >&2
    die "apt-get failed ($status)"
  fi
}
