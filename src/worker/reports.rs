//! Reports on their way: noted in the ledger, sent with a confirmation, kept in the outbox while the broker is away.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use crate::amqp::{Error, Outgoing, Publisher, Receipt};
use crate::model::failure::Failure;
use crate::report::{Entry, Finished, Ledger, Outbox, Put, Waiting};

/// The pause after the broker did not take a report.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause before what a queue has refused is sent again.
const LONGEST: Duration = Duration::from_secs(30);

/// How often the outbox is asked whether a report has left it.
const LOOK: Duration = Duration::from_secs(5);

/// How often a copy for `reply_to` is sent: for about three minutes.
const COPY_TRIES: u32 = 10;

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
    /// by way of the outbox. Comes back earlier when the request was delivered in a session that is gone, and for a copy
    /// that the queue of `reply_to` refuses; the outbox still sends them.
    ///
    /// # Errors
    /// When the outbox cannot keep it; the request has to stay unacknowledged then.
    pub(super) async fn deliver(&self, report: Outgoing, receipt: &Receipt) -> Result<(), Failure> {
        let mut refused = false;
        if self.waiting() == 0 {
            match self.publisher.publish(&report).await {
                Ok(()) => return Ok(()),
                Err(error) if gone(&report, &error) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%error, id = report.message_id, "a report goes to the outbox");
                    refused = is_copy(&report) && is_of_the_queue(&error);
                }
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
        if refused {
            return Ok(());
        }
        let mut look = tokio::time::interval(LOOK);
        let mut over = false;
        while !over {
            over = tokio::select! {
                // So many may go out at once that we miss some.
                done = sent.recv() => done.is_ok_and(|done| done == place),
                // A worker that shares the outbox may have sent it.
                _ = look.tick() => self.outbox.holds(&entry).await.is_ok_and(|holds| !holds),
                () = receipt.voided() => true,
            };
        }
        Ok(())
    }

    /// Sends what waits in the outbox, for ever.
    pub(super) async fn run(&self) {
        let mut refusals = HashMap::new();
        loop {
            match self.outbox.next().await {
                Ok(Some(waiting)) => self.send(&waiting, &mut refusals).await,
                Ok(None) => {
                    self.count().await;
                    // What was put off comes again soon; what another process left half sent, after its lease.
                    let patience = if self.waiting() > 0 { PAUSE } else { Duration::from_secs(31) };
                    let _ = tokio::time::timeout(patience, self.stored.notified()).await;
                }
                Err(failure) => {
                    tracing::error!(error = %failure, "the outbox does not work");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Sends an entry, or puts it off so that others come before it.
    async fn send(&self, waiting: &Waiting, refusals: &mut HashMap<i64, u32>) {
        let (entry, outgoing) = (&waiting.entry, outgoing(&waiting.entry));
        let copy = is_copy(&outgoing);
        let error = self.publisher.publish(&outgoing).await.err().filter(|error| !gone(&outgoing, error));
        let refused = error.as_ref().is_some_and(is_of_the_queue);
        let pause = match &error {
            None => None,
            Some(error) if refused => {
                let times = refusals.entry(waiting.id).or_default();
                *times += 1;
                let pause = put_off(copy, *times);
                let what = pause.map_or("the copy for `reply_to` is given up", |_| "a report waits in the outbox");
                tracing::warn!(%error, id = entry.build, "{what}");
                pause
            }
            Some(error) => {
                tracing::warn!(%error, id = entry.build, "a report waits in the outbox");
                Some(2 * PAUSE)
            }
        };
        let noted = match pause {
            None => {
                refusals.remove(&waiting.id);
                self.outbox.done(waiting.id).await
            }
            Some(pause) => self.outbox.later(waiting.id, pause).await,
        };
        if let Err(failure) = noted {
            tracing::error!(error = %failure, "the outbox does not work");
            tokio::time::sleep(PAUSE).await;
        }
        self.count().await;
        if pause.is_none() || (copy && refused) {
            let _ = self.sent.send(place(entry));
        } else if !refused {
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn count(&self) {
        if let Ok(waiting) = self.outbox.len().await {
            self.waiting.store(waiting, Ordering::Relaxed);
        }
    }
}

fn outgoing(entry: &Entry) -> Outgoing {
    Outgoing {
        exchange: entry.exchange.clone(),
        key: entry.routing_key.clone(),
        body: entry.body.clone(),
        message_id: entry.build.clone(),
        correlation_id: entry.correlation_id.clone(),
        kind: Some("report".to_owned()),
        ..Outgoing::default()
    }
}

/// Whether it goes to who asked, beside the report for everybody.
fn is_copy(report: &Outgoing) -> bool {
    report.exchange.is_empty()
}

/// Whether the broker is there, and one queue is not as it should be: others may take what they are sent.
fn is_of_the_queue(error: &Error) -> bool {
    matches!(error, Error::Refused(_) | Error::Unroutable(..))
}

/// When something comes again that a queue has refused so many times. Reports do for ever; a copy is given up some day.
fn put_off(copy: bool, times: u32) -> Option<Duration> {
    let pause = Duration::from_secs(1 << times.min(5)).min(LONGEST);
    (!copy || times < COPY_TRIES).then_some(pause)
}

/// Whether it was for a queue that whoever asked has given up; the report itself is kept elsewhere.
fn gone(report: &Outgoing, error: &Error) -> bool {
    is_copy(report) && matches!(error, Error::Unroutable(..))
}

fn place(entry: &Entry) -> String {
    format!("{}/{}/{}", entry.build, entry.exchange, entry.routing_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_given_up_and_a_report_never() {
        let seconds = |copy, times| put_off(copy, times).map(|pause| pause.as_secs());
        let pauses: Vec<_> = (1..=7).map(|times| seconds(true, times)).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 30, 30, 30].map(Some));
        assert_eq!((seconds(true, COPY_TRIES), seconds(false, COPY_TRIES)), (None, Some(30)));
        assert_eq!(seconds(false, u32::MAX), Some(30));
    }
}
