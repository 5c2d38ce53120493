# Git over SSH: the repositories of the web server, for whoever holds the test's key. Sourced by `up`.
# It runs as whoever starts it, with a host key and a configuration of its own, and knows no password.
#
#   ssh://USER@127.0.0.1:PORT$STATE/web/repositories/open/NAME.git, .../private/NAME.git

ssh_url() { echo "ssh://$(id -un)@127.0.0.1:$(port_of ssh 8922)$STATE/web/repositories"; }

# With nothing of the account's own: neither its keys nor the hosts that it knows.
ssh_is_ready() {
  GIT_SSH_COMMAND="ssh -F /dev/null -oBatchMode=yes -oIdentitiesOnly=yes -i $STATE/ssh/key -oUserKnownHostsFile=$STATE/ssh/known_hosts" \
    git ls-remote "$(ssh_url)/open/ready.git"
}

ssh_up() {
  local dir="$STATE/ssh" name
  mkdir -p "$dir"
  ssh_configuration >"$dir/sshd_config.new"
  cmp -s "$dir/sshd_config.new" "$dir/sshd_config" && pid_of ssh >/dev/null && ssh_is_ready >/dev/null 2>&1 && return 0
  stop ssh
  for name in host_key key other_key; do
    [ -s "$dir/$name" ] || ssh-keygen -q -t ed25519 -N '' -C "slipway-test-$name" -f "$dir/$name"
  done
  cp "$dir/key.pub" "$dir/authorized_keys"
  echo "[127.0.0.1]:$(port_of ssh 8922) $(cut -d ' ' -f 1,2 "$dir/host_key.pub")" >"$dir/known_hosts"
  # sshd of root wants it, and leaves it empty.
  if [ "$(id -u)" = 0 ] && [ ! -d /run/sshd ]; then
    mkdir -m 0755 /run/sshd
    touch "$dir/made-run-sshd"
  fi
  mv "$dir/sshd_config.new" "$dir/sshd_config"
  start ssh "$(command -v sshd)" -D -e -f "$dir/sshd_config"
  wait_ready ssh 30 ssh_is_ready
}

ssh_configuration() {
  cat <<SSHD
Port $(port_of ssh 8922)
ListenAddress 127.0.0.1
HostKey $STATE/ssh/host_key
PidFile none
UsePAM no
AuthenticationMethods publickey
PermitRootLogin prohibit-password
AuthorizedKeysFile $STATE/ssh/authorized_keys
# The state directory lies where its owner keeps it.
StrictModes no
DisableForwarding yes
PermitTTY no
SetEnv GIT_CONFIG_GLOBAL=$STATE/web/gitconfig GIT_CONFIG_NOSYSTEM=1
ForceCommand exec git-shell -c "\$SSH_ORIGINAL_COMMAND"
SSHD
}

ssh_down() {
  stop ssh
  [ ! -e "$STATE/ssh/made-run-sshd" ] || rmdir /run/sshd 2>/dev/null || true
}
