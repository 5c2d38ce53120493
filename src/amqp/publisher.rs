//! Sending, on a connection of its own: under an alarm the broker stops reading from whoever sends.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use serde::Serialize;
use tokio::sync::Mutex;

use super::names::Names;
use super::{Broker, Error, Link, timed};

/// A message to send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The exchange; empty for the default one, whose keys are queues.
    pub exchange: String,
    /// The routing key.
    pub key: String,
    /// JSON.
    pub body: Vec<u8>,
    /// The build.
    pub message_id: String,
    /// What the sender of a request wants to find in the answer.
    pub correlation_id: Option<String>,
    /// Where the sender of a request waits for the answer.
    pub reply_to: Option<String>,
    /// Which of several messages it is.
    pub kind: Option<String>,
    /// When it was first sent, in Unix time; now if absent.
    pub sent_at: Option<u64>,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
}

/// The sending connection, made when it is needed and again when it broke.
pub struct Publisher {
    broker: Broker,
    open: Mutex<Option<Open>>,
}

#[derive(Clone)]
struct Open {
    link: Link,
    /// Channels that answer every message, and that nobody uses now. Each has one message on its way at a time: the client
    /// library gives a message that comes back to whichever confirmation is next on its channel, so that one that nobody
    /// took would be held for sent, and another for lost.
    idle: Arc<std::sync::Mutex<Vec<Channel>>>,
    /// Answers none; for events.
    plain: Channel,
}

impl Publisher {
    /// A publisher that is not connected yet.
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self { broker, open: Mutex::new(None) }
    }

    /// Sends a message and waits until the broker has stored it in a queue.
    ///
    /// # Errors
    /// Whatever keeps it from being stored, a message without a queue and a full queue included.
    pub async fn publish(&self, message: &Outgoing) -> Result<(), Error> {
        let open = self.open().await?;
        let sent = open.publish(message).await;
        let silent = matches!(sent, Err(Error::Silent(_)));
        if silent || (sent.is_err() && !open.is_up()) {
            self.drop_broken(&open).await;
        }
        sent
    }

    /// Sends a message that may be lost.
    ///
    /// # Errors
    /// When the broker is known not to have it.
    pub async fn post(&self, message: &Outgoing) -> Result<(), Error> {
        let open = self.open().await?;
        let sent = timed("send an event", send(&open.plain, message, false)).await;
        if sent.is_err() {
            self.drop_broken(&open).await;
        }
        sent.map(drop)
    }

    /// Closes the connection.
    pub async fn close(&self) {
        if let Some(open) = self.open.lock().await.take() {
            open.link.close().await;
        }
    }

    async fn open(&self) -> Result<Open, Error> {
        let mut held = self.open.lock().await;
        if let Some(open) = held.as_ref().filter(|open| open.is_up()) {
            return Ok(open.clone());
        }
        if let Some(broken) = held.take() {
            tokio::spawn(broken.link.close());
        }
        let link = self.broker.connect("publisher").await?;
        let plain = link.channel().await?;
        let open = Open { link, idle: Arc::default(), plain };
        *held = Some(open.clone());
        Ok(open)
    }

    /// Lets go of a connection that failed, unless somebody already made another.
    async fn drop_broken(&self, broken: &Open) {
        let mut held = self.open.lock().await;
        if held.as_ref().is_some_and(|open| open.link.is(&broken.link)) {
            held.take();
            tokio::spawn(broken.link.clone().close());
        }
    }
}

impl Open {
    fn is_up(&self) -> bool {
        self.link.is_up() && self.plain.status().connected()
    }

    /// Sends on a channel that nobody else uses meanwhile. One that the broker has closed, or whose answer nobody waits
    /// for any more, is not used again.
    async fn publish(&self, message: &Outgoing) -> Result<(), Error> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let left = idle().pop();
        let channel = match left.filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => self.confirming().await?,
        };
        let sent = confirmed(&channel, message).await;
        if matches!(sent, Ok(()) | Err(Error::Unroutable(..) | Error::Refused(_))) {
            idle().push(channel);
        }
        sent
    }

    async fn confirming(&self) -> Result<Channel, Error> {
        let channel = self.link.channel().await?;
        timed("ask for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }
}

/// Sends, and reads what the confirmation really says: an `Ack` may carry the message back.
async fn confirmed(channel: &Channel, message: &Outgoing) -> Result<(), Error> {
    let whole = async {
        let confirm = send(channel, message, true).await?;
        confirm.await
    };
    let confirmation = timed("send a message", whole).await?;
    let to = || format!("{}/{}", message.exchange, message.key);
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
            let why = returned.error().map_or_else(String::new, |error| error.to_string());
            Err(Error::Unroutable(to(), why))
        }
        Confirmation::Nack(None) => Err(Error::Refused(to())),
        Confirmation::NotRequested => Err(Error::Silent("confirm a message")),
    }
}

async fn send(channel: &Channel, message: &Outgoing, mandatory: bool) -> lapin::Result<lapin::PublisherConfirm> {
    let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
    let (exchange, key) = (message.exchange.as_str().into(), message.key.as_str().into());
    channel.basic_publish(exchange, key, options, &message.body, message.properties(mandatory)).await
}

impl Outgoing {
    /// A message to the stream that all workers read.
    #[must_use]
    pub fn control(names: &Names, kind: &str, id: &str, message: &impl Serialize) -> Self {
        Self {
            key: names.control(),
            body: serde_json::to_vec(message).unwrap_or_default(),
            message_id: id.to_owned(),
            kind: Some(kind.to_owned()),
            ..Self::default()
        }
    }

    fn properties(&self, persistent: bool) -> BasicProperties {
        let mut headers = FieldTable::default();
        for (name, value) in &self.headers {
            let value = match value.parse::<i64>() {
                Ok(number) => AMQPValue::LongLongInt(number),
                Err(_) => AMQPValue::LongString(LongString::from(value.as_str())),
            };
            headers.insert(name.as_str().into(), value);
        }
        let short = |text: &str| ShortString::from(text);
        let mut properties = BasicProperties::default()
            .with_content_type(short("application/json"))
            .with_delivery_mode(if persistent { 2 } else { 1 })
            .with_timestamp(self.sent_at.unwrap_or_else(|| crate::clock::since_epoch().as_secs()))
            .with_app_id(short("slipway"))
            .with_message_id(short(&self.message_id))
            .with_headers(headers);
        if let Some(kind) = &self.kind {
            properties = properties.with_type(short(kind));
        }
        if let Some(id) = &self.correlation_id {
            properties = properties.with_correlation_id(short(id));
        }
        if let Some(reply_to) = &self.reply_to {
            properties = properties.with_reply_to(short(reply_to));
        }
        properties
    }
}
