//! A queue of one's own, to follow events and wait for an answer; it survives a broken connection.

use lapin::options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::consumer::{Consumer, Subscription};
use super::{Broker, Error, Incoming, timed};

/// Milliseconds after which the broker removes a queue that nobody reads.
const EXPIRES: i64 = 600_000;

/// What is read at a time.
const PREFETCH: u16 = 100;

/// Follows one's own queue.
pub struct Follower {
    broker: Broker,
    queue: String,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    consumer: DropGuard,
    reading: JoinHandle<()>,
}

impl Follower {
    /// Makes a queue of this name, with what these exchanges send under these keys, and begins to read it.
    ///
    /// # Errors
    /// When the broker does not make it.
    pub async fn open(broker: Broker, queue: String, bindings: &[(String, String)]) -> Result<Self, Error> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), AMQPValue::LongLongInt(EXPIRES));
        Self::with(broker, queue, bindings, arguments).await
    }

    /// The same with a queue that stays, and keeps what comes, while nobody reads it.
    ///
    /// # Errors
    /// When the broker does not make it.
    pub async fn open_kept(broker: Broker, queue: String, bindings: &[(String, String)]) -> Result<Self, Error> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        // A message comes back as long as it cannot be written down; RabbitMQ 4 would drop it after twenty times.
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000_000));
        Self::with(broker, queue, bindings, arguments).await
    }

    async fn with(
        broker: Broker,
        queue: String,
        bindings: &[(String, String)],
        arguments: FieldTable,
    ) -> Result<Self, Error> {
        let link = broker.connect("follower").await?;
        let channel = link.channel().await?;
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        timed("declare a queue", channel.queue_declare(queue.as_str().into(), options, arguments)).await?;
        for (exchange, key) in bindings {
            let (queue, exchange, key) = (queue.as_str().into(), exchange.as_str().into(), key.as_str().into());
            let bound = channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default());
            timed("bind a queue", bound).await?;
        }
        link.close().await;
        let (sink, incoming) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let consumer = Consumer {
            broker: broker.clone(),
            subscriptions: vec![Subscription { queue: queue.clone(), prefetch: PREFETCH, since: None, gated: false }],
            sink,
            taking: watch::channel(true).1,
            session: watch::channel(0).0,
        };
        let reading = tokio::spawn(consumer.run(stop.clone()));
        Ok(Self { broker, queue, incoming, consumer: stop.drop_guard(), reading })
    }

    /// The next message; the caller acknowledges it.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    /// Removes the queue; the broker does so itself when this fails.
    pub async fn close(self) {
        drop(self.consumer);
        let removed = async {
            let _ = self.reading.await;
            let link = self.broker.connect("follower").await?;
            let channel = link.channel().await?;
            let gone = channel.queue_delete(self.queue.as_str().into(), QueueDeleteOptions::default());
            timed("delete a queue", gone).await?;
            link.close().await;
            Ok::<(), Error>(())
        };
        if let Err(error) = removed.await {
            tracing::debug!(%error, queue = self.queue, "a queue is left to expire");
        }
    }
}
