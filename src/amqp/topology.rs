//! Exchanges, queues and bindings: declared by the operator, checked by workers.

use std::collections::BTreeSet;

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::names::Names;
use super::{Error, Link, timed};
use crate::config::Amqp;
use crate::message::Lane;
use crate::model::failure::{Failure, FailureCode};

/// Everything that has to be there.
#[derive(Debug, Clone, Serialize)]
pub struct Topology {
    /// Where messages are sent to.
    pub exchanges: Vec<Exchange>,
    /// Where they wait.
    pub queues: Vec<Queue>,
    /// Which goes where.
    pub bindings: Vec<Binding>,
}

/// An exchange.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// `direct`, `topic` or `fanout`.
    pub kind: &'static str,
}

/// A durable queue.
#[derive(Debug, Clone, Serialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its arguments, type included.
    pub arguments: Map<String, Value>,
}

/// A binding of a queue to an exchange.
#[derive(Debug, Clone, Serialize)]
pub struct Binding {
    /// From.
    pub exchange: String,
    /// The routing key.
    pub key: String,
    /// To.
    pub queue: String,
}

impl Topology {
    /// The topology of a configuration.
    #[must_use]
    pub fn new(amqp: &Amqp) -> Self {
        let names = Names::new(&amqp.prefix);
        let mut all = Self { exchanges: Vec::new(), queues: Vec::new(), bindings: Vec::new() };
        all.exchange(names.requests(), "direct");
        for lane in Lane::ALL {
            let mut arguments = at_least_once("", Some(&names.dying()));
            arguments.insert("x-delivery-limit".to_owned(), json!(amqp.delivery_limit));
            all.queue(names.builds(lane), arguments);
            all.bind(names.requests(), lane.name(), names.builds(lane));
        }
        all.exchange(names.events(), "topic");
        all.exchange(names.reports(), "topic");
        all.queue(names.reports(), kept());
        all.bind(names.reports(), "#", names.reports());
        for delay in amqp.retry_delays.iter().collect::<BTreeSet<_>>() {
            // A fan-out exchange keeps the routing key, the lane, for the way back.
            all.exchange(names.retry(*delay), "fanout");
            let mut arguments = at_least_once(&names.requests(), None);
            let time_to_live = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            arguments.insert("x-message-ttl".to_owned(), json!(time_to_live));
            all.queue(names.retry(*delay), arguments);
            all.bind(names.retry(*delay), "", names.retry(*delay));
        }
        let day = json!({ "x-queue-type": "stream", "x-max-age": "24h", "x-stream-max-segment-size-bytes": 1_000_000 });
        all.queue(names.control(), map(&day));
        all.queue(names.dying(), kept());
        all.queue(names.dead(), kept());
        all
    }

    fn exchange(&mut self, name: String, kind: &'static str) {
        self.exchanges.push(Exchange { name, kind });
    }

    fn queue(&mut self, name: String, arguments: Map<String, Value>) {
        self.queues.push(Queue { name, arguments });
    }

    fn bind(&mut self, exchange: String, key: &str, queue: String) {
        self.bindings.push(Binding { exchange, key: key.to_owned(), queue });
    }

    /// Makes what is not there.
    ///
    /// # Errors
    /// `configuration_invalid` where something is there in another shape.
    pub async fn declare(&self, link: &Link) -> Result<(), Failure> {
        for exchange in &self.exchanges {
            exchange.declare(link, false).await.map_err(|error| mismatch("exchange", &exchange.name, error))?;
        }
        for queue in &self.queues {
            queue.declare(link, false).await.map_err(|error| mismatch("queue", &queue.name, error))?;
        }
        let channel = link.channel().await.map_err(Error::failure)?;
        for Binding { exchange, key, queue } in &self.bindings {
            let (queue, exchange, key) = (queue.as_str().into(), exchange.as_str().into(), key.as_str().into());
            let bound = channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default());
            timed("bind a queue", bound).await.map_err(Error::failure)?;
        }
        Ok(())
    }

    /// Says everything that is missing or has another shape; creates nothing.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn check(&self, link: &Link) -> Result<Vec<Failure>, Error> {
        let exchanges = self.exchanges.iter().map(|one| async {
            // Only a second, active declaration sees the shape, and it would make what is not there.
            let seen = match one.declare(link, true).await {
                Ok(()) => one.declare(link, false).await,
                missing => missing,
            };
            finding("exchange", &one.name, seen)
        });
        let queues = self.queues.iter().map(|one| async {
            let seen = match one.declare(link, true).await {
                Ok(()) => one.declare(link, false).await,
                missing => missing,
            };
            finding("queue", &one.name, seen)
        });
        let (exchanges, queues) =
            tokio::join!(futures_util::future::join_all(exchanges), futures_util::future::join_all(queues));
        let found: Result<Vec<_>, Error> = exchanges.into_iter().chain(queues).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// Refuses a broker whose exchanges and queues are not these.
    ///
    /// # Errors
    /// `configuration_invalid` with the first difference and how many there are.
    pub async fn require(&self, link: &Link) -> Result<(), Failure> {
        let mut found = self.check(link).await.map_err(Error::failure)?;
        let count = found.len();
        match (found.is_empty(), count) {
            (true, _) => Ok(()),
            (false, 1) => Err(found.remove(0)),
            _ => {
                let mut first = found.remove(0);
                first.message = format!("{} (and {} more)", first.message, count - 1);
                Err(first)
            }
        }
    }
}

impl Exchange {
    /// On a channel of its own, which a refusal closes.
    async fn declare(&self, link: &Link, passive: bool) -> Result<(), Error> {
        let channel = link.channel().await?;
        let options = ExchangeDeclareOptions { passive, durable: true, ..ExchangeDeclareOptions::default() };
        let kind = match self.kind {
            "direct" => ExchangeKind::Direct,
            "topic" => ExchangeKind::Topic,
            _ => ExchangeKind::Fanout,
        };
        let declared = channel.exchange_declare(self.name.as_str().into(), kind, options, FieldTable::default());
        timed("declare an exchange", declared).await?;
        Ok(())
    }
}

impl Queue {
    async fn declare(&self, link: &Link, passive: bool) -> Result<(), Error> {
        let channel = link.channel().await?;
        let options = QueueDeclareOptions { passive, ..QueueDeclareOptions::durable() };
        let declared = channel.queue_declare(self.name.as_str().into(), options, table(&self.arguments));
        timed("declare a queue", declared).await?;
        Ok(())
    }
}

/// A queue that refuses rather than drops, and whose messages may be looked at often: `RabbitMQ` 4 drops a message that
/// came back twenty times where nothing else is said.
fn kept() -> Map<String, Value> {
    map(&json!({ "x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": 1_000_000 }))
}

/// A queue whose messages move on without being lost on the way.
fn at_least_once(exchange: &str, key: Option<&str>) -> Map<String, Value> {
    let mut arguments = map(&json!({
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-dead-letter-strategy": "at-least-once",
        "x-dead-letter-exchange": exchange,
    }));
    arguments.extend(key.map(|key| ("x-dead-letter-routing-key".to_owned(), json!(key))));
    arguments
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn table(arguments: &Map<String, Value>) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        let value = match value {
            Value::Number(number) => AMQPValue::LongLongInt(number.as_i64().unwrap_or(i64::MAX)),
            other => AMQPValue::LongString(other.as_str().unwrap_or_default().into()),
        };
        table.insert(key.as_str().into(), value);
    }
    table
}

/// What to do about an account that may not do what it has to; workers declare what is there to see its shape.
const RIGHTS: &str = "give it the rights that `docs/operating.md` lists under \"Accounts at the broker\": \
                      `rabbitmqctl set_permissions`";

/// A difference, or why none can be seen.
fn finding(what: &str, name: &str, seen: Result<(), Error>) -> Result<Option<Failure>, Error> {
    match seen {
        Ok(()) => Ok(None),
        Err(Error::Broker(_, error)) if is_refusal(&error) => {
            Ok(Some(mismatch(what, name, Error::Broker("check", error))))
        }
        Err(error) => Err(error),
    }
}

/// Whether the broker answered `ACCESS_REFUSED` (403), `NOT_FOUND` (404) or `PRECONDITION_FAILED` (406).
fn is_refusal(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(error) if matches!(error.get_id(), 403 | 404 | 406))
}

fn mismatch(what: &str, name: &str, error: Error) -> Failure {
    let Error::Broker(_, refused) = &error else { return error.failure() };
    let lapin::ErrorKind::ProtocolError(said) = refused.kind() else { return error.failure() };
    match said.get_id() {
        403 => {
            let message =
                format!("the account at the broker has no right to the {what} `{name}`: {}", said.get_message());
            Failure::new(FailureCode::ConfigurationInvalid, message).hint(RIGHTS)
        }
        404 => Failure::new(FailureCode::ConfigurationInvalid, format!("the broker has no {what} `{name}`"))
            .hint("declare the topology: `slipway queues declare`"),
        406 => {
            let message = format!("the {what} `{name}` has another shape: {}", said.get_message());
            Failure::new(FailureCode::ConfigurationInvalid, message)
                .hint("drain and delete it, then `slipway queues declare`; or choose another `amqp.prefix`")
        }
        _ => error.failure(),
    }
}
