//! A plain sender of requests and reader of reports.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::Value;

use super::setup::service;

/// The broker, and what came from it and nobody asked for yet.
pub(super) struct Broker {
    prefix: String,
    _connection: Connection,
    channel: Channel,
    messages: Consumer,
    reports: HashMap<String, Report>,
    accepted: HashMap<String, Instant>,
}

/// A report that came.
pub(super) struct Report {
    /// When.
    pub(super) at: Instant,
    /// What the pipeline took by itself.
    pub(super) own_time: Duration,
}

impl Broker {
    /// Connects and reads reports and events.
    pub(super) async fn open(prefix: &str) -> Self {
        let connection =
            Connection::connect(service("SLIPWAY_TEST_AMQP").as_str(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
        let name = queue.name().clone();
        for (exchange, key) in [("events", "*.*.accepted"), ("reports", "#")] {
            let (exchange, bind) = (format!("{prefix}.{exchange}"), QueueBindOptions::default());
            channel.queue_bind(name.clone(), exchange.into(), key.into(), bind, FieldTable::default()).await.unwrap();
        }
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let messages = channel.basic_consume(name, "bench".into(), options, FieldTable::default()).await.unwrap();
        let (reports, accepted) = (HashMap::new(), HashMap::new());
        Self { prefix: prefix.to_owned(), _connection: connection, channel, messages, reports, accepted }
    }

    /// Sends a request and does not wait for the confirmation.
    pub(super) async fn send(&self, lane: &str, request: &Value) {
        let properties = BasicProperties::default()
            .with_message_id(request["id"].as_str().unwrap().into())
            .with_content_type("application/json".into())
            .with_delivery_mode(2);
        let exchange = format!("{}.requests", self.prefix);
        let (body, options) = (request.to_string(), BasicPublishOptions::default());
        self.channel.basic_publish(exchange.into(), lane.into(), options, body.as_bytes(), properties).await.unwrap();
    }

    /// Waits for a report.
    pub(super) async fn report(&mut self, id: &str) -> Report {
        loop {
            if let Some(report) = self.reports.remove(id) {
                return report;
            }
            self.next().await;
        }
    }

    /// Waits until a worker has begun with a build.
    pub(super) async fn accepted(&mut self, id: &str) -> Instant {
        loop {
            if let Some(at) = self.accepted.remove(id) {
                return at;
            }
            self.next().await;
        }
    }

    /// Throws away what waits in a lane.
    pub(super) async fn purge(&self, lane: &str) {
        let queue = format!("{}.builds.{lane}", self.prefix);
        self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.unwrap();
    }

    /// Removes everything below the prefix that `slipway queues declare` made.
    pub(super) async fn remove(self) {
        for queue in ["builds.interactive", "builds.bulk", "reports", "control", "dying", "dead"] {
            let name = format!("{}.{queue}", self.prefix);
            let _ = self.channel.queue_delete(name.into(), QueueDeleteOptions::default()).await;
        }
        for delay in ["10s", "1m", "10m"] {
            let name = format!("{}.retry.{delay}", self.prefix);
            let _ = self.channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await;
            let _ = self.channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await;
        }
        for exchange in ["requests", "events", "reports"] {
            let name = format!("{}.{exchange}", self.prefix);
            let _ = self.channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await;
        }
    }

    async fn next(&mut self) {
        let wait = tokio::time::timeout(Duration::from_mins(1), self.messages.next()).await;
        let delivery = wait.expect("an answer within a minute").unwrap().unwrap();
        let at = Instant::now();
        let message: Value = serde_json::from_slice(&delivery.data).unwrap();
        let id = message["id"].as_str().unwrap_or_default().to_owned();
        if message["kind"] == "accepted" {
            self.accepted.insert(id, at);
            return;
        }
        assert_eq!(message["outcome"], "succeeded", "{message:#}");
        self.reports.insert(id, Report { at, own_time: own_time(&message) });
    }
}

/// From the begin of the pipeline to its end.
fn own_time(report: &Value) -> Duration {
    let time = |key: &str| report[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let took = time("finished_at").duration_since(time("started_at"));
    Duration::try_from(took).unwrap_or_default()
}
