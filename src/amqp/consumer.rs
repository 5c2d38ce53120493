//! Taking messages: a supervisor that makes a session again whenever one breaks.
//!
//! The client library's own recovery forgets the quality of service and can wait for ever, so it is not used. A session
//! is one connection with one channel for each queue; any error, any end and any doubt ends it, and everything that was
//! delivered in it is void.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::select_all;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Acker, Channel};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Broker, Error, Link, timed};

/// The shortest and the longest pause before the next session.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(16));

/// A session that lasted this long was a good one.
const HEALTHY: Duration = Duration::from_secs(30);

/// How often the state of connection and channels is looked at.
const WATCH: Duration = Duration::from_secs(1);

/// A queue to take messages from.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The queue.
    pub queue: String,
    /// How many messages may be held without an acknowledgement.
    pub prefetch: u16,
    /// For a stream: from which Unix time on.
    pub since: Option<u64>,
    /// Whether it stands still while nothing shall be taken.
    pub gated: bool,
}

/// A message that was taken.
#[derive(Debug)]
pub struct Incoming {
    /// The queue.
    pub queue: String,
    /// The body.
    pub body: Vec<u8>,
    /// The routing key that it was sent with.
    pub key: String,
    /// The sender's identity of the message.
    pub message_id: Option<String>,
    /// What the sender wants to find in the answer.
    pub correlation_id: Option<String>,
    /// Where the sender waits for the answer.
    pub reply_to: Option<String>,
    /// Which of several messages it is.
    pub kind: Option<String>,
    /// When it was sent, in Unix time.
    pub sent_at: Option<u64>,
    /// Headers that are texts or numbers.
    pub headers: BTreeMap<String, String>,
    /// Where it was before, and why it is there no longer.
    pub deaths: Vec<Death>,
    /// How it is settled.
    pub receipt: Receipt,
}

/// That a queue has passed a message on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The queue.
    pub queue: String,
    /// `rejected`, `expired`, `maxlen` or `delivery_limit`.
    pub reason: String,
}

/// Settles a message, as long as the session stands in which it was delivered.
#[derive(Debug)]
pub struct Receipt {
    acker: Acker,
    /// A channel closes when nobody holds it any more.
    _channel: Channel,
    session: CancellationToken,
}

impl Receipt {
    /// Whether the session is gone: whoever works for this message works for nobody, it is delivered again.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.session.is_cancelled()
    }

    /// Ends when the session does.
    pub async fn voided(&self) {
        self.session.cancelled().await;
    }

    /// The message is done with.
    ///
    /// # Errors
    /// `Void` when the broker did not take the acknowledgement.
    pub async fn ack(self) -> Result<(), Error> {
        settled(&self.session, self.acker.ack(BasicAckOptions::default())).await
    }

    /// Somebody else shall have it.
    ///
    /// # Errors
    /// As for [`Receipt::ack`].
    pub async fn requeue(self) -> Result<(), Error> {
        settled(&self.session, self.acker.nack(BasicNackOptions { requeue: true, multiple: false })).await
    }

    /// Nobody shall have it: it goes to the dying queue.
    ///
    /// # Errors
    /// As for [`Receipt::ack`].
    pub async fn reject(self) -> Result<(), Error> {
        settled(&self.session, self.acker.reject(BasicRejectOptions { requeue: false })).await
    }
}

/// The answer has to be `true`: on a connection that was lost the client library says `Ok(false)`.
async fn settled(session: &CancellationToken, call: impl Future<Output = lapin::Result<bool>>) -> Result<(), Error> {
    if session.is_cancelled() {
        return Err(Error::Void);
    }
    match timed("settle a message", call).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Void),
        Err(error) => {
            session.cancel();
            Err(error)
        }
    }
}

/// Takes messages until it is told to stop.
pub struct Consumer {
    /// The broker.
    pub broker: Broker,
    /// From which queues.
    pub subscriptions: Vec<Subscription>,
    /// Where the messages go.
    pub sink: mpsc::UnboundedSender<Incoming>,
    /// Whether gated queues are taken from.
    pub taking: watch::Receiver<bool>,
    /// The number of the session that stands; 0 while there is none.
    pub session: watch::Sender<u64>,
}

impl Consumer {
    /// Keeps a session until `stop`; the broker may be away for as long as it likes.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = PAUSES.0;
        let mut number = 0;
        while !stop.is_cancelled() {
            number += 1;
            let began = Instant::now();
            let ended = self.session(number, &stop).await;
            self.session.send_replace(0);
            let Err(error) = ended else { continue };
            if began.elapsed() > HEALTHY {
                pause = PAUSES.0;
            }
            tracing::warn!(%error, pause_ms = pause.as_millis(), "the session with the broker ended");
            let jittered = pause.mul_f64(rand::random_range(0.5..=1.0));
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                () = stop.cancelled() => {}
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// One session, until it breaks or is no longer wanted.
    async fn session(&self, number: u64, stop: &CancellationToken) -> Result<(), Error> {
        let link = self.broker.connect("consumer").await?;
        let alive = CancellationToken::new();
        let _void = alive.clone().drop_guard();
        let mut queues = Vec::new();
        for subscription in &self.subscriptions {
            let channel = link.channel().await?;
            queues.push(Box::pin(self.follow(channel, subscription, &alive)));
        }
        self.session.send_replace(number);
        tracing::info!("the session with the broker stands");
        let ended = tokio::select! {
            (ended, _, _) = select_all(queues) => ended,
            error = watchdog(&link) => Err(error),
            () = alive.cancelled() => Err(Error::Void),
            () = stop.cancelled() => Ok(()),
        };
        alive.cancel();
        let closing = link.close();
        if ended.is_ok() {
            closing.await;
        } else {
            // A broker that does not answer must not keep the next session waiting.
            tokio::spawn(closing);
        }
        ended
    }

    /// Takes from one queue; never ends well.
    async fn follow(
        &self,
        channel: Channel,
        subscription: &Subscription,
        alive: &CancellationToken,
    ) -> Result<(), Error> {
        let mut taking = self.taking.clone();
        loop {
            if subscription.gated && taking.wait_for(|taking| *taking).await.is_err() {
                return Err(Error::Void);
            }
            let mut deliveries = subscribe(&channel, subscription).await?;
            loop {
                tokio::select! {
                    delivery = deliveries.next() => match delivery {
                        Some(Ok(delivery)) => self.pass_on(delivery, &channel, subscription, alive),
                        Some(Err(error)) => return Err(Error::Broker("take messages", error)),
                        None => return Err(Error::Ended(subscription.queue.clone())),
                    },
                    _ = taking.wait_for(|taking| !*taking), if subscription.gated => break,
                    () = watch_channel(&channel) => return Err(Error::Ended(subscription.queue.clone())),
                }
            }
            let cancel = channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default());
            timed("stop taking messages", cancel).await?;
            // What was on its way when we stopped goes back.
            while let Some(Ok(delivery)) = deliveries.next().await {
                let back = delivery.acker.nack(BasicNackOptions { requeue: true, multiple: false });
                settled(alive, back).await?;
            }
        }
    }

    fn pass_on(&self, delivery: Delivery, channel: &Channel, subscription: &Subscription, alive: &CancellationToken) {
        let receipt = Receipt { acker: delivery.acker, _channel: channel.clone(), session: alive.clone() };
        let text = |text: &Option<ShortString>| text.as_ref().map(ToString::to_string);
        let properties = &delivery.properties;
        let incoming = Incoming {
            queue: subscription.queue.clone(),
            body: delivery.data,
            key: delivery.routing_key.to_string(),
            message_id: text(properties.message_id()),
            correlation_id: text(properties.correlation_id()),
            reply_to: text(properties.reply_to()),
            kind: text(properties.kind()),
            sent_at: *properties.timestamp(),
            headers: properties.headers().as_ref().map(texts).unwrap_or_default(),
            deaths: properties.headers().as_ref().map(deaths).unwrap_or_default(),
            receipt,
        };
        // Nobody reads any more: the program ends, and the broker gives the message to somebody else.
        let _ = self.sink.send(incoming);
    }
}

async fn subscribe(channel: &Channel, subscription: &Subscription) -> Result<lapin::Consumer, Error> {
    // A quorum queue refuses a global limit; and without any the whole queue comes at once.
    timed("limit deliveries", channel.basic_qos(subscription.prefetch, BasicQosOptions { global: false })).await?;
    let mut arguments = FieldTable::default();
    if let Some(since) = subscription.since {
        arguments.insert("x-stream-offset".into(), AMQPValue::Timestamp(since));
    }
    let queue = subscription.queue.as_str().into();
    timed("take messages", channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), arguments)).await
}

/// Ends when the connection is no longer what it was, whatever the streams say.
async fn watchdog(link: &Link) -> Error {
    loop {
        tokio::time::sleep(WATCH).await;
        if !link.is_up() {
            return Error::Void;
        }
    }
}

async fn watch_channel(channel: &Channel) {
    while channel.status().connected() {
        tokio::time::sleep(WATCH).await;
    }
}

/// The headers that are texts or numbers, as texts.
pub(super) fn texts(table: &FieldTable) -> BTreeMap<String, String> {
    let text = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        AMQPValue::LongInt(number) => Some(number.to_string()),
        AMQPValue::ShortInt(number) => Some(number.to_string()),
        AMQPValue::ShortShortInt(number) => Some(number.to_string()),
        AMQPValue::LongUInt(number) => Some(number.to_string()),
        AMQPValue::ShortShortUInt(number) => Some(number.to_string()),
        _ => None,
    };
    table.inner().iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect()
}

/// What the broker notes in `x-death`: an entry for each queue and reason.
fn deaths(table: &FieldTable) -> Vec<Death> {
    let Some(AMQPValue::FieldArray(deaths)) = table.inner().get("x-death") else { return Vec::new() };
    let death = |value: &AMQPValue| {
        let AMQPValue::FieldTable(table) = value else { return None };
        let mut texts = texts(table);
        Some(Death { queue: texts.remove("queue")?, reason: texts.remove("reason")? })
    };
    deaths.as_slice().iter().filter_map(death).collect()
}

impl Incoming {
    /// A header that counts something.
    #[must_use]
    pub fn number(&self, header: &str) -> Option<u64> {
        self.headers.get(header)?.parse().ok()
    }
}
