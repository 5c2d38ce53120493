//! Reports on their way: noted in the ledger, sent with a confirmation, kept in the outbox while the broker is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use crate::amqp::{Error, Outgoing, Publisher, Receipt};
use crate::model::failure::Failure;
use crate::report::{Entry, Finished, Ledger, Outbox, Put};

/// The pause after the broker did not take a report.
const PAUSE: Duration = Duration::from_secs(1);

/// Where reports go.
pub(super) struct Reports {
    pub(super) ledger: Ledger,
    outbox: Outbox,
    publisher: Arc<Publisher>,
    /// How many wait in the outbox.
    waiting: AtomicU64,
    stored: Notify,
    sent: broadcast::Sender<String>,
}

impl Reports {
    /// With what waits from before.
    pub(super) async fn new(ledger: Ledger, outbox: Outbox, publisher: Arc<Publisher>) -> Result<Self, Failure> {
        let waiting = AtomicU64::new(outbox.len().await?);
        Ok(Self { ledger, outbox, publisher, waiting, stored: Notify::new(), sent: broadcast::channel(1024).0 })
    }

    /// How the build ended, if it has and this worker knows.
    pub(super) async fn finished(&self, id: &str) -> Result<Option<Finished>, Failure> {
        self.ledger.finished(id).await
    }

    /// How many reports wait for the broker.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Sends a report, and comes back when the broker has confirmed it: at once where the broker takes it, and otherwise
    /// by way of the outbox. Comes back earlier when the request was delivered in a session that is gone; the outbox
    /// still sends the report.
    ///
    /// # Errors
    /// When the outbox cannot keep it; the request has to stay unacknowledged then.
    pub(super) async fn deliver(&self, report: Outgoing, receipt: &Receipt) -> Result<(), Failure> {
        if self.waiting() == 0 {
            match self.publisher.publish(&report).await {
                Ok(()) => return Ok(()),
                Err(error) if gone(&report, &error) => return Ok(()),
                Err(error) => tracing::warn!(%error, id = report.message_id, "a report goes to the outbox"),
            }
        }
        let mut sent = self.sent.subscribe();
        let entry = Entry {
            build: report.message_id,
            exchange: report.exchange,
            routing_key: report.key,
            correlation_id: report.correlation_id,
            body: report.body,
        };
        let place = place(&entry);
        loop {
            match self.outbox.put(&entry).await? {
                Put::Full if receipt.is_void() => return Ok(()),
                Put::Full => tokio::time::sleep(PAUSE).await,
                Put::Stored | Put::Known => break,
            }
        }
        self.count().await;
        self.stored.notify_one();
        loop {
            tokio::select! {
                done = sent.recv() => match done {
                    Ok(done) if done != place => {}
                    // Ours; or so many went out at once that we missed some: ours is in the outbox and goes out as well.
                    _ => return Ok(()),
                },
                () = receipt.voided() => return Ok(()),
            }
        }
    }

    /// Sends what waits in the outbox, for ever.
    pub(super) async fn run(&self) {
        loop {
            match self.outbox.next().await {
                Ok(Some(waiting)) => {
                    let done = self.send(&waiting.entry).await;
                    let noted =
                        if done { self.outbox.done(waiting.id).await } else { self.outbox.release(waiting.id).await };
                    if let Err(failure) = noted {
                        tracing::error!(error = %failure, "the outbox does not work");
                    }
                    if done {
                        self.count().await;
                        let _ = self.sent.send(place(&waiting.entry));
                        continue;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(None) => {
                    self.count().await;
                    // What another process left half sent comes again after its lease.
                    let _ = tokio::time::timeout(Duration::from_secs(31), self.stored.notified()).await;
                }
                Err(failure) => {
                    tracing::error!(error = %failure, "the outbox does not work");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn count(&self) {
        if let Ok(waiting) = self.outbox.len().await {
            self.waiting.store(waiting, Ordering::Relaxed);
        }
    }

    async fn send(&self, entry: &Entry) -> bool {
        let outgoing = Outgoing {
            exchange: entry.exchange.clone(),
            key: entry.routing_key.clone(),
            body: entry.body.clone(),
            message_id: entry.build.clone(),
            correlation_id: entry.correlation_id.clone(),
            kind: Some("report".to_owned()),
            ..Outgoing::default()
        };
        match self.publisher.publish(&outgoing).await {
            Ok(()) => true,
            Err(error) if gone(&outgoing, &error) => true,
            Err(error) => {
                tracing::warn!(%error, id = entry.build, "a report waits in the outbox");
                false
            }
        }
    }
}

/// Whether it was for a queue that whoever asked has given up; the report itself is kept elsewhere.
fn gone(report: &Outgoing, error: &Error) -> bool {
    report.exchange.is_empty() && matches!(error, Error::Unroutable(..))
}

fn place(entry: &Entry) -> String {
    format!("{}/{}/{}", entry.build, entry.exchange, entry.routing_key)
}
