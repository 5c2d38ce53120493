//! A plain publish service: it sends requests, reads reports and events, and knows nothing of workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::broker::{OWN_PORT, PASSWORD, USER};

/// What came in, by build.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Terminal reports, in the order in which they came; those that the broker delivered twice count once.
    pub(super) reports: BTreeMap<String, Vec<Value>>,
    /// Events likewise.
    pub(super) events: BTreeMap<String, Vec<Value>>,
}

/// The service.
pub(super) struct Mailbox {
    inbox: Arc<Mutex<Inbox>>,
    changes: watch::Receiver<u64>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Reports,
    Events,
}

impl Mailbox {
    /// Begins to read; what is left in the queue from before is thrown away.
    pub(super) async fn open() -> Self {
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let (sender, changes) = watch::channel(0);
        purge().await;
        let reading = [Kind::Reports, Kind::Events].map(|kind| (kind, Arc::clone(&inbox), sender.clone()));
        let tasks = reading.map(|(kind, inbox, sender)| tokio::spawn(read_for_ever(kind, inbox, sender)));
        Self { inbox, changes, tasks: tasks.into() }
    }

    /// What came in so far.
    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `found` finds something in the inbox.
    pub(super) async fn wait<T>(
        &self,
        what: &str,
        patience: Duration,
        mut found: impl FnMut(&Inbox) -> Option<T>,
    ) -> Result<T, String> {
        let mut changes = self.changes.clone();
        let search = async {
            loop {
                changes.borrow_and_update();
                if let Some(value) = found(&self.inbox()) {
                    return value;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let waited = timeout(patience, search).await;
        waited.map_err(|_| format!("{what}: not within {patience:?}"))
    }

    /// Waits for a terminal report.
    pub(super) async fn report(&self, id: &str, patience: Duration) -> Result<Value, String> {
        let first = |inbox: &Inbox| inbox.reports.get(id).and_then(|reports| reports.first()).cloned();
        self.wait(&format!("the report of {id}"), patience, first).await
    }

    /// Waits for an event of a kind and, if one is given, of a step.
    pub(super) async fn event(
        &self,
        id: &str,
        kind: &str,
        step: Option<&str>,
        patience: Duration,
    ) -> Result<Value, String> {
        let fits = |event: &&Value| event["kind"] == kind && step.is_none_or(|step| event["step"] == step);
        let first = |inbox: &Inbox| inbox.events.get(id).and_then(|events| events.iter().find(fits)).cloned();
        self.wait(&format!("the event {kind} {} of {id}", step.unwrap_or_default()), patience, first).await
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Sends a message, and comes back when the broker has confirmed it.
pub(super) async fn publish(exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
    let connection = connect().await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent = channel.basic_publish(exchange.into(), key.into(), options, body, properties).await.unwrap();
    let confirmed = timeout(Duration::from_secs(30), sent).await.expect("the broker confirms").unwrap();
    assert!(matches!(confirmed, Confirmation::Ack(None)), "{confirmed:?}");
    let _ = connection.close(200, "done".into()).await;
}

async fn connect() -> lapin::Result<Connection> {
    let uri = format!("amqp://{USER}:{PASSWORD}@127.0.0.1:{OWN_PORT}/%2f");
    Connection::connect(&uri, ConnectionProperties::default()).await
}

async fn purge() {
    let connection = connect().await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.queue_purge("slipway.reports".into(), lapin::options::QueuePurgeOptions::default()).await.unwrap();
    let _ = connection.close(200, "done".into()).await;
}

async fn read_for_ever(kind: Kind, inbox: Arc<Mutex<Inbox>>, sender: watch::Sender<u64>) {
    loop {
        // A broker that is away comes back.
        let _ = read(kind, &inbox, &sender).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn read(kind: Kind, inbox: &Mutex<Inbox>, sender: &watch::Sender<u64>) -> lapin::Result<()> {
    let connection = connect().await?;
    let channel = connection.create_channel().await?;
    let queue = match kind {
        Kind::Reports => "slipway.reports".to_owned(),
        Kind::Events => own_queue(&channel).await?,
    };
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(queue.as_str().into(), "faults".into(), options, FieldTable::default()).await?;
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let message: Value = serde_json::from_slice(&delivery.data).expect("reports and events are JSON");
        {
            let id = message["id"].as_str().unwrap_or_default().to_owned();
            let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
            let messages = match kind {
                Kind::Reports => &mut inbox.reports,
                Kind::Events => &mut inbox.events,
            };
            let messages = messages.entry(id).or_default();
            // Delivered twice, sent once.
            if !(delivery.redelivered && messages.contains(&message)) {
                messages.push(message);
            }
        }
        sender.send_modify(|count| *count += 1);
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

async fn own_queue(channel: &Channel) -> lapin::Result<String> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
    let name = queue.name().clone();
    let bind = QueueBindOptions::default();
    channel.queue_bind(name.clone(), "slipway.events".into(), "#".into(), bind, FieldTable::default()).await?;
    Ok(name.to_string())
}

/// Deletes a queue with what is in it.
pub(super) async fn delete_queue(name: &str) {
    let connection = connect().await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.queue_delete(name.into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    let _ = connection.close(200, "done".into()).await;
}

/// Makes a durable classic queue, which Slipway's are not.
pub(super) async fn declare_queue(name: &str) {
    let connection = connect().await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, FieldTable::default()).await.unwrap();
    let _ = connection.close(200, "done".into()).await;
}
