//! The dead queue, looked through.

use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions};

use super::consumer::texts;
use super::{Broker, Error, Link, names, timed};

/// The most messages that are looked at.
const MOST: usize = 10_000;

/// A message that was set aside.
#[derive(Debug, Clone)]
pub struct Dead {
    /// Its id, as its sender gave it.
    pub id: String,
    /// Why it was set aside.
    pub reason: String,
    /// The lane that it came by.
    pub lane: String,
    /// When it was sent, in Unix time.
    pub sent_at: Option<u64>,
    /// As it came.
    pub body: Vec<u8>,
    tag: u64,
}

/// The dead queue's messages; those that are not removed go back when this is closed.
pub struct Graveyard {
    link: Link,
    channel: lapin::Channel,
    /// Oldest first.
    pub messages: Vec<Dead>,
}

impl Graveyard {
    /// Looks at all messages.
    ///
    /// # Errors
    /// When the broker does not show them.
    pub async fn open(broker: &Broker) -> Result<Self, Error> {
        let link = broker.connect("dead").await?;
        let channel = link.channel().await?;
        let queue = broker.names().dead();
        let mut messages = Vec::new();
        while messages.len() < MOST {
            let got = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: false });
            match timed("look at a dead message", got).await? {
                Some(message) => messages.push(Dead::from(message)),
                None => break,
            }
        }
        Ok(Self { link, channel, messages })
    }

    /// Removes a message.
    ///
    /// # Errors
    /// When the broker does not say that it did.
    pub async fn remove(&self, dead: &Dead) -> Result<(), Error> {
        timed("remove a dead message", self.channel.basic_ack(dead.tag, BasicAckOptions::default())).await
    }

    /// Puts back what is left.
    pub async fn close(self) {
        self.link.close().await;
    }
}

impl From<BasicGetMessage> for Dead {
    fn from(message: BasicGetMessage) -> Self {
        let delivery = message.delivery;
        let headers = delivery.properties.headers().as_ref().map(texts).unwrap_or_default();
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        Self {
            id: delivery.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default(),
            reason: header(names::REASON),
            lane: header(names::LANE),
            sent_at: *delivery.properties.timestamp(),
            body: delivery.data,
            tag: delivery.delivery_tag,
        }
    }
}
