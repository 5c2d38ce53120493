//! The harness's own `RabbitMQ` node.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::cluster::wait_for;
use super::namespace::{Namespace, Program};

/// Where workers would connect without the proxy between.
pub(super) const PORT: u16 = 5672;

/// Where the harness connects: faults of the other port do not reach it.
pub(super) const OWN_PORT: u16 = 5674;

pub(super) const USER: &str = "slipway";
pub(super) const PASSWORD: &str = "launch-it";

const BIN: &str = "/usr/lib/rabbitmq/bin";
const NODE: &str = "faults@localhost";

/// The queues with messages that somebody holds, and those of requests with any, in Erlang.
const UNFINISHED: &str = "[binary_to_list(N) || Q <- rabbit_amqqueue:list(<<\"/\">>), N <- [element(4, amqqueue:get_name(Q))], \
    {K, M} <- rabbit_amqqueue:info(Q, [messages_unacknowledged, messages_ready]), M > 0, \
    K =:= messages_unacknowledged orelse re:run(N, <<\"builds|retry|dying\">>) =/= nomatch].";

/// How long a start may take, on a machine with much else to do.
const START: Duration = Duration::from_mins(5);

/// The node.
pub(super) struct Broker {
    program: Option<Program>,
}

impl Broker {
    /// Starts a node without data.
    pub(super) fn new(namespace: &Namespace) -> Self {
        let home = namespace.directory().join("rabbitmq");
        std::fs::create_dir_all(&home).unwrap();
        let configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{PORT}\nlisteners.tcp.2 = 127.0.0.1:{OWN_PORT}\n\
             default_user = {USER}\ndefault_pass = {PASSWORD}\ndisk_free_limit.absolute = 10MB\n\
             log.console = true\nlog.console.level = warning\nlog.file = false\n"
        );
        std::fs::write(home.join("rabbitmq.conf"), configuration).unwrap();
        std::fs::write(home.join("plugins"), "[].").unwrap();
        let mut broker = Self { program: None };
        broker.start(namespace);
        broker
    }

    /// Starts the node with what it has, and waits until it answers.
    pub(super) fn start(&mut self, namespace: &Namespace) {
        let server = format!("{BIN}/rabbitmq-server");
        self.program = Some(namespace.start("rabbitmq", &[&server], &borrowed(&environment(namespace))));
        wait_for("RabbitMQ", START, answers);
    }

    /// Ends the node in good order.
    pub(super) fn stop(&mut self) {
        self.program.take().unwrap().terminate(Duration::from_mins(1));
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// `rabbitmqctl …`, and what it printed.
    pub(super) fn control(namespace: &Namespace, arguments: &[&str]) -> String {
        let program = format!("{BIN}/rabbitmqctl");
        let line: Vec<&str> = [program.as_str(), "--quiet"].into_iter().chain(arguments.iter().copied()).collect();
        namespace.run(&line, &borrowed(&environment(namespace)))
    }

    /// Queues with messages that somebody holds unacknowledged, or that ask for something yet to be done. Asks the node itself: `rabbitmqctl` starts a machine of
    /// Erlang's for each question, which takes longer than most cases.
    pub(super) fn unfinished(namespace: &Namespace) -> Vec<String> {
        let home = namespace.directory().join("rabbitmq");
        let cookie = std::fs::read_to_string(home.join(".erlang.cookie")).unwrap();
        let question = format!("printf '%s\\n' '{UNFINISHED}' | erl_call -c {} -n {NODE} -e", cookie.trim());
        let answer = namespace.run(&["sh", "-c", &question], &borrowed(&environment(namespace)));
        let held = answer.trim().strip_prefix("{ok, [").and_then(|held| held.strip_suffix("]}"));
        let held = held.unwrap_or_else(|| panic!("the broker does not say what is left: {answer}"));
        held.split(',').filter(|queue| !queue.is_empty()).map(|queue| queue.trim().to_owned()).collect()
    }

    /// Starts the node if a case left it dead or dying.
    pub(super) fn revive(&mut self, namespace: &Namespace) {
        if self.program.as_mut().is_some_and(Program::is_running) && answers().is_ok() {
            return;
        }
        if let Some(program) = self.program.take() {
            program.kill();
        }
        self.start(namespace);
    }
}

/// The broker is up when it answers the protocol's header with a method frame (AMQP 0-9-1, 2.2.4 and 4.2.3).
fn answers() -> Result<(), String> {
    let talk = || {
        let mut stream = TcpStream::connect(("127.0.0.1", OWN_PORT))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut frame = [0];
        stream.read_exact(&mut frame).map(|()| frame[0])
    };
    match talk() {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn environment(namespace: &Namespace) -> Vec<(&'static str, String)> {
    let home = namespace.directory().join("rabbitmq");
    let below = |name: &str| home.join(name).display().to_string();
    vec![
        ("HOME", below("")),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_NODENAME", NODE.to_owned()),
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
        ("RABBITMQ_CONFIG_FILE", below("rabbitmq")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", below("none")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", below("plugins")),
        ("RABBITMQ_MNESIA_BASE", below("data")),
        ("RABBITMQ_LOG_BASE", below("logs")),
        ("RABBITMQ_LOGS", "-".to_owned()),
        ("RABBITMQ_PID_FILE", below("node.pid")),
    ]
}

fn borrowed<'a>(environment: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
