//! Workers of the built program on queues of a test's own, and a plain consumer that sees what others would see.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::time::timeout;

use super::slipway::{PRODUCT_LINE, Slipway};
use crate::services::{run, service};

/// Nothing takes longer, unless a test says so.
const PATIENCE: Duration = Duration::from_secs(90);

/// A toolchain of tests: runs the repository's own script where the operator chose the host.
const SCRIPT: &str = r#"
name = "script"
title = "Script"

[detect]
files = ["build.sh"]

[run]
"" = "static"

[[steps]]
step = "compile"
command = ["sh", "build.sh"]

[library]
coordinates = "script"
repository = "nowhere"

[image]
workdir = "/app"
command = ["/app/run"]
layers = [{ name = "application", from = "source", to = "/app" }]
"#;

/// Queues below a prefix of their own, a configuration for workers, and somebody who listens.
pub(crate) struct Fleet {
    pub(crate) slipway: Slipway,
    pub(crate) prefix: String,
    pub(crate) channel: Channel,
    /// How long a message is waited for.
    pub(crate) patience: Duration,
    _connection: Connection,
    events: Consumer,
    reports: Consumer,
    seen_events: Mutex<Vec<Value>>,
    state: tempfile::TempDir,
}

impl Fleet {
    /// With queues declared, and settings of the test's own: `SECTION__KEY` and the value.
    pub(crate) async fn new(settings: &[(&str, &str)]) -> Self {
        let fleet = Self::undeclared(settings).await;
        fleet.declare().await;
        fleet
    }

    /// Declares the queues, and hears of everything from then on.
    pub(crate) async fn declare(&self) {
        let declared = self.slipway.run(&["queues", "declare"].map(str::to_owned)).await;
        assert_eq!(declared.code, 0, "{}", declared.text());
        for (consumer, exchange) in [(&self.events, "events"), (&self.reports, "reports")] {
            let (queue, exchange) = (consumer.queue(), self.name(exchange).into());
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            self.channel.queue_bind(queue, exchange, "#".into(), options, none).await.unwrap();
        }
    }

    /// Without queues.
    pub(crate) async fn undeclared(settings: &[(&str, &str)]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let prefix = format!("test-{}", uuid::Uuid::now_v7().simple());
        let catalog = state.path().join("catalog/toolchains/script");
        std::fs::create_dir_all(&catalog).unwrap();
        std::fs::write(catalog.join("toolchain.toml"), SCRIPT).unwrap();
        let url = url::Url::parse(service("SLIPWAY_TEST_AMQP")).unwrap();
        let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let place = state.path().display();
        let password = service("SLIPWAY_TEST_PASSWORD");
        let config = format!(
            "[sources]\nallow = [\"{git}/\"]\n\
             [credentials.broker]\nusername = {user:?}\npassword = {{ file = \"{place}/broker\" }}\nhosts = [{host:?}]\n\
             [amqp]\nurl = \"amqp://{host}/%2f\"\ncredentials = \"broker\"\nprefix = {prefix:?}\n\
             retry_delays = [\"1s\", \"1s\"]\n\
             [worker]\ndirectory = \"{place}/worker\"\nname = \"tester\"\ngrace = \"20s\"\n\
             [probes]\nlisten = \"\"\n",
            git = service("SLIPWAY_TEST_GIT"),
            user = service("SLIPWAY_TEST_USER"),
        );
        std::fs::write(state.path().join("broker"), password).unwrap();
        let mut slipway = Slipway::new()
            .and(&config)
            .env("SLIPWAY__BUILD__CATALOG", &state.path().join("catalog").display().to_string())
            .env("SLIPWAY__BUILD__RUNNER", "host");
        for (key, value) in settings {
            slipway = slipway.env(&format!("SLIPWAY__{key}"), value);
        }
        let connection = connect().await;
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let (events, reports) = (own_queue(&channel).await, own_queue(&channel).await);
        let seen_events = Mutex::default();
        Self {
            slipway,
            prefix,
            channel,
            patience: PATIENCE,
            _connection: connection,
            events,
            reports,
            seen_events,
            state,
        }
    }

    /// The name of an exchange or a queue.
    pub(crate) fn name(&self, last: &str) -> String {
        format!("{}.{last}", self.prefix)
    }

    /// A queue of the sender's own, for answers.
    pub(crate) async fn answers(&self) -> Consumer {
        own_queue(&self.channel).await
    }

    /// A queue that takes nothing, until somebody reads the message in it.
    pub(crate) async fn full(&self) -> String {
        let name = format!("{}-full", self.prefix);
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(name.as_str().into(), options, arguments).await.unwrap();
        self.publish("", &name, b"first", properties("first")).await;
        name
    }

    /// Reads a queue.
    pub(crate) async fn read(&self, queue: &str) -> Consumer {
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        self.channel.basic_consume(queue.into(), "".into(), options, none).await.unwrap()
    }

    /// A directory of the test's own.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    /// Starts a worker, and waits until it takes builds.
    pub(crate) async fn worker(&self) -> Worker {
        let worker = self.start();
        worker.says("takes builds").await;
        worker
    }

    /// Starts a worker with another configuration and further settings, and waits until it takes builds.
    pub(crate) async fn worker_as(&self, slipway: &Slipway, settings: &[(&str, &str)]) -> Worker {
        let worker = self.start_as(slipway, settings);
        worker.says("takes builds").await;
        worker
    }

    /// Starts a worker.
    pub(crate) fn start(&self) -> Worker {
        self.start_as(&self.slipway, &[])
    }

    /// Starts a worker with another configuration and further settings.
    pub(crate) fn start_as(&self, slipway: &Slipway, settings: &[(&str, &str)]) -> Worker {
        let mut command = slipway.command(&["worker".to_owned()]);
        command.envs(settings.iter().map(|(key, value)| (format!("SLIPWAY__{key}"), value)));
        self.follow(command)
    }

    /// Starts a worker by a command of the test's own.
    pub(crate) fn follow(&self, mut command: tokio::process::Command) -> Worker {
        let log = self.state.path().join(format!("worker-{}.log", uuid::Uuid::now_v7().simple()));
        let file = std::fs::File::create(&log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).kill_on_drop(true).spawn().unwrap();
        Worker { child, log }
    }

    /// Sends a message as a publish service would, and gives its id.
    pub(crate) async fn send(&self, message: &Value) -> String {
        let id = message["id"].as_str().unwrap_or_default().to_owned();
        self.send_raw(message.to_string().as_bytes(), properties(&id)).await;
        id
    }

    /// Sends any bytes to the interactive lane.
    pub(crate) async fn send_raw(&self, body: &[u8], properties: BasicProperties) {
        self.publish(&self.name("requests"), "interactive", body, properties).await;
    }

    /// Sends any bytes anywhere.
    pub(crate) async fn publish(&self, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await;
        let confirmed = sent.unwrap().await.unwrap();
        assert!(confirmed.is_ack() && confirmed.take_message().is_none(), "the broker has no queue for it");
    }

    /// The next report, whichever build it is of.
    pub(crate) async fn next_report(&mut self) -> Value {
        json_of(&next(&mut self.reports, self.patience).await)
    }

    /// The report of a build, which has to be the next one.
    pub(crate) async fn report(&mut self, id: &str) -> Value {
        let report = self.next_report().await;
        assert_eq!(report["id"], id, "{report:#}");
        report
    }

    /// Nobody has sent a report that was not read yet.
    pub(crate) async fn no_more_reports(&mut self) {
        let more = timeout(Duration::from_millis(300), self.reports.next()).await;
        assert!(more.is_err(), "{}", json_of(&more.unwrap().unwrap().unwrap()));
    }

    /// Reads events of a build until one is as wanted; gives that one.
    pub(crate) async fn event(&mut self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = json_of(&next(&mut self.events, self.patience).await);
            self.seen_events.lock().unwrap().push(event.clone());
            if event["id"] == id && wanted(&event) {
                return event;
            }
        }
    }

    /// Events of a build that were read so far.
    pub(crate) fn seen(&self, id: &str) -> Vec<Value> {
        self.seen_events.lock().unwrap().iter().filter(|event| event["id"] == id).cloned().collect()
    }

    /// Waits until a queue has as many messages that wait.
    pub(crate) async fn until_waiting(&self, queue: &str, count: u32) {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let reached = async {
            loop {
                let state = self.channel.queue_declare(self.name(queue).into(), passive, FieldTable::default()).await;
                if state.unwrap().message_count() == count {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("`{queue}` never has {count} messages"));
    }

    /// Takes a message out of a queue.
    pub(crate) async fn get(&self, queue: &str) -> Option<Delivery> {
        let got = self.channel.basic_get(self.name(queue).into(), BasicGetOptions { no_ack: true }).await;
        got.unwrap().map(|message| message.delivery)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let prefix = self.prefix.clone();
        // A test may end in the middle of anything; its queues go all the same.
        let removed = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(remove(&prefix));
        });
        let _ = removed.join();
    }
}

async fn remove(prefix: &str) {
    let channel = connect().await.create_channel().await.unwrap();
    for queue in [
        "builds.interactive",
        "builds.bulk",
        "reports",
        "retry.1s",
        "control",
        "dying",
        "dead",
        "server.reports",
        "server.events",
    ] {
        let _ = channel.queue_delete(format!("{prefix}.{queue}").into(), QueueDeleteOptions::default()).await;
    }
    for exchange in ["requests", "events", "reports", "retry.1s"] {
        let _ = channel.exchange_delete(format!("{prefix}.{exchange}").into(), ExchangeDeleteOptions::default()).await;
    }
}

/// A worker's process.
pub(crate) struct Worker {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Worker {
    /// Waits until the log has these words.
    pub(crate) async fn says(&self, words: &str) {
        let said = async {
            while !self.log().contains(words) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("the worker never says `{words}`:\n{}", self.log()));
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the worker runs").to_string();
        run(Path::new("/"), &["kill", "-s", name, &pid]);
    }

    /// Waits for its end and gives the exit code.
    pub(crate) async fn end(&mut self) -> Option<i32> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("the worker never ends:\n{}", self.log())).unwrap().code()
    }
}

/// A repository of the test Git server that goes when the test ends.
pub(crate) struct Repository {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) commit: String,
    work: tempfile::TempDir,
    bare: PathBuf,
}

impl Repository {
    /// With these files in one commit.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let name = format!("fleet-{}", uuid::Uuid::now_v7().simple());
        let bare = Path::new(service("SLIPWAY_TEST_GIT_REPOSITORIES")).join("open").join(format!("{name}.git"));
        let work = tempfile::tempdir().unwrap();
        run(work.path(), &["git", "init", "-q", "-b", "main"]);
        run(work.path(), &["git", "init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
        let url = format!("{}/{name}.git", service("SLIPWAY_TEST_GIT"));
        let mut repository = Self { url, name, commit: String::new(), work, bare };
        repository.commit(files);
        repository
    }

    /// Whose build runs this script.
    pub(crate) fn script(text: &str) -> Self {
        Self::new(&[("build.sh", text)])
    }

    /// A message that asks for its build; what differs from the usual is merged in.
    pub(crate) fn message(&self, differs: Value) -> Value {
        let mut message = json!({
            "version": 1,
            "id": uuid::Uuid::now_v7().to_string(),
            "source": { "url": self.url, "commit": self.commit },
            "application": { "product_line": PRODUCT_LINE, "name": self.name, "kind": "library" },
        });
        merge(&mut message, differs);
        message
    }

    /// A commit more.
    pub(crate) fn commit(&mut self, files: &[(&str, &str)]) {
        let work = self.work.path();
        for (path, text) in files {
            let path = work.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        run(work, &["git", "add", "--all"]);
        run(work, &["git", "commit", "-q", "-m", "change"]);
        run(work, &["git", "push", "-q", "-f", self.bare.to_str().unwrap(), "HEAD:refs/heads/main"]);
        self.commit = run(work, &["git", "rev-parse", "HEAD"]);
    }

    /// An annotated tag of the newest commit.
    pub(crate) fn tag(&self, name: &str) {
        let work = self.work.path();
        run(work, &["git", "tag", "-a", "-m", name, name]);
        run(work, &["git", "push", "-q", self.bare.to_str().unwrap(), name]);
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.bare);
    }
}

/// What a publish service sets.
pub(crate) fn properties(id: &str) -> BasicProperties {
    BasicProperties::default()
        .with_message_id(id.into())
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
}

/// The value of a header, as text.
pub(crate) fn header(delivery: &Delivery, name: &str) -> String {
    let headers = delivery.properties.headers().clone().unwrap_or_default();
    match headers.inner().get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        Some(AMQPValue::LongLongInt(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

async fn connect() -> Connection {
    let connected = Connection::connect(service("SLIPWAY_TEST_AMQP"), ConnectionProperties::default()).await;
    connected.unwrap_or_else(|error| panic!("the broker does not answer: {error}; run `make services`"))
}

async fn own_queue(channel: &Channel) -> Consumer {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
    let name = queue.name().clone();
    channel.basic_consume(name, "".into(), BasicConsumeOptions::default(), FieldTable::default()).await.unwrap()
}

/// The next message of a queue.
pub(crate) async fn next(consumer: &mut Consumer, patience: Duration) -> Delivery {
    let delivery = timeout(patience, consumer.next()).await.expect("a message comes in time");
    let delivery = delivery.expect("the queue stays").expect("the connection stays");
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    delivery
}

/// What a message holds.
pub(crate) fn json_of(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.data).unwrap()
}

fn merge(value: &mut Value, differs: Value) {
    match (value, differs) {
        (Value::Object(fields), Value::Object(others)) => {
            for (key, other) in others {
                merge(fields.entry(key).or_insert(Value::Null), other);
            }
        }
        (value, other) => *value = other,
    }
}
