//! Events of one attempt on their way to the broker: in order, log lines in batches, lost rather than waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::amqp::{Outgoing, Publisher, names};
use crate::message::EventMessage;
use crate::message::event::Event;

/// How long a log line waits for others.
const BATCH_TIME: Duration = Duration::from_millis(200);

/// The most lines of a batch.
const BATCH_LINES: usize = 200;

/// The most bytes of a batch.
const BATCH_BYTES: usize = 64 << 10;

/// Log lines that may wait; further ones are counted and left out.
const WAITING: usize = 4000;

/// How long the last events may take after the attempt has ended.
const LAST: Duration = Duration::from_secs(2);

/// How long events are left out after the broker did not take one.
const PAUSE: Duration = Duration::from_secs(1);

/// What every event of an attempt says of it.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) id: String,
    pub(super) number: u32,
    pub(super) product_line: String,
    pub(super) application: String,
    /// The exchange of events.
    pub(super) exchange: String,
}

/// Takes events of one attempt.
pub(super) struct Events {
    sender: mpsc::UnboundedSender<(String, Event)>,
    lines: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Events {
    /// Begins to send.
    pub(super) fn start(publisher: Arc<Publisher>, attempt: Attempt) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (lines, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let outlet = Outlet { publisher, attempt, sequence: 0, silent_until: None };
        let task = tokio::spawn(outlet.run(receiver, Arc::clone(&lines), Arc::clone(&dropped)));
        Self { sender, lines, dropped, task }
    }

    /// Sends an event; never waits.
    pub(super) fn send(&self, event: Event) {
        if matches!(event, Event::Log { .. }) {
            if self.lines.load(Ordering::Relaxed) >= WAITING {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.lines.fetch_add(1, Ordering::Relaxed);
        }
        let _ = self.sender.send((crate::clock::now(), event));
    }

    /// Waits for the last events, as long as that may take.
    pub(super) async fn end(self) {
        let Self { sender, mut task, .. } = self;
        drop(sender);
        if timeout(LAST, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// The sending end.
struct Outlet {
    publisher: Arc<Publisher>,
    attempt: Attempt,
    sequence: u64,
    silent_until: Option<Instant>,
}

impl Outlet {
    async fn run(
        mut self,
        mut events: mpsc::UnboundedReceiver<(String, Event)>,
        waiting: Arc<AtomicUsize>,
        left_out: Arc<AtomicU64>,
    ) {
        let mut next = events.recv().await;
        while let Some((at, event)) = next {
            let Event::Log { step, mut lines, .. } = event else {
                self.post(at, event).await;
                next = events.recv().await;
                continue;
            };
            let mut bytes = lines.iter().map(String::len).sum::<usize>();
            let until = Instant::now() + BATCH_TIME;
            next = loop {
                match timeout_at(until, events.recv()).await {
                    Ok(Some((_, Event::Log { step: same, lines: more, .. }))) if same == step => {
                        bytes += more.iter().map(String::len).sum::<usize>();
                        lines.extend(more);
                        if lines.len() >= BATCH_LINES || bytes >= BATCH_BYTES {
                            break None;
                        }
                    }
                    Ok(Some(other)) => break Some(other),
                    Ok(None) | Err(_) => break None,
                }
            };
            waiting.fetch_sub(lines.len(), Ordering::Relaxed);
            let dropped = left_out.swap(0, Ordering::Relaxed);
            self.post(at, Event::Log { step, lines, dropped }).await;
            if next.is_none() {
                next = events.recv().await;
            }
        }
    }

    /// Sends one; while the broker does not take them, their numbers show that they are missing.
    async fn post(&mut self, at: String, event: Event) {
        self.sequence += 1;
        if self.silent_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let Attempt { id, number, product_line, application, exchange } = &self.attempt;
        let key = names::key(product_line, application, event.kind());
        let message = EventMessage { version: 1, id: id.clone(), attempt: *number, sequence: self.sequence, at, event };
        let outgoing = Outgoing {
            exchange: exchange.clone(),
            key,
            body: serde_json::to_vec(&message).unwrap_or_default(),
            message_id: id.clone(),
            kind: Some("event".to_owned()),
            ..Outgoing::default()
        };
        if let Err(error) = self.publisher.post(&outgoing).await {
            tracing::debug!(%error, "an event is lost");
            self.silent_until = Some(Instant::now() + PAUSE);
        }
    }
}
