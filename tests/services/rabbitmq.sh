# RabbitMQ: a node of its own, with its own Erlang port mapper, so that a broker that already
# runs on this machine is never joined or stopped. Sourced by `up`.

# The broker is ready when it answers the AMQP 0-9-1 protocol header with a method frame (type 1).
rabbitmq_answers() {
  local type
  exec 3<>"/dev/tcp/127.0.0.1/$RABBITMQ_TEST_PORT" || return 1
  printf 'AMQP\0\0\11\1' >&3
  type=$(head -c 1 <&3 | od -An -tu1 | tr -d ' ')
  exec 3>&-
  [ "$type" = 1 ]
}

# rabbitmq_is_ready: the check, in a process of its own and with an end.
rabbitmq_is_ready() {
  RABBITMQ_TEST_PORT=$(port_of rabbitmq 5772) timeout 5 bash -c "$(declare -f rabbitmq_answers); rabbitmq_answers" 2>/dev/null
}

rabbitmq_up() {
  local dir="$STATE/rabbitmq" port mapper distribution
  port=$(port_of rabbitmq 5772)
  mapper=$(port_of epmd 4469)
  distribution=$(port_of rabbitmq-distribution 25772)
  pid_of epmd >/dev/null || start epmd epmd -port "$mapper" -address 127.0.0.1
  pid_of rabbitmq >/dev/null && rabbitmq_is_ready && return 0
  stop rabbitmq
  wait_ready epmd 10 answers 127.0.0.1 "$mapper"
  mkdir -p "$dir/home"
  cat >"$dir/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$port
default_user = $TEST_USER
default_pass = $TEST_PASSWORD
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = warning
log.file = false
CONF
  echo '[].' >"$dir/enabled_plugins"
  start rabbitmq env HOME="$dir/home" \
    ERL_EPMD_PORT="$mapper" ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_NODENAME=slipway@localhost RABBITMQ_DIST_PORT="$distribution" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
    RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE="$dir/rabbitmq" RABBITMQ_ADVANCED_CONFIG_FILE="$dir/none" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins" RABBITMQ_MNESIA_BASE="$dir/data" \
    RABBITMQ_LOG_BASE="$dir/logs" RABBITMQ_LOGS=- RABBITMQ_PID_FILE="$dir/node.pid" \
    /usr/lib/rabbitmq/bin/rabbitmq-server
  wait_ready rabbitmq 90 rabbitmq_is_ready
}

rabbitmq_down() {
  stop rabbitmq
  stop epmd
}
