//! What all workers are told: cancelled builds, builds that take the place of others, and marks of our own.

use super::Worker;
use super::builds::{Claim, Word};
use super::intake::settled;
use crate::amqp::names::TAKEN;
use crate::amqp::{Incoming, Outgoing};
use crate::message::{CancelMessage, SupersedeMessage};

/// When a mark that did not come back is left again: a stream's reader that missed one append is woken by the next.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Reads a control message; one that says nothing is passed over.
pub(super) async fn read(worker: &Worker, incoming: Incoming) {
    match incoming.kind.as_deref() {
        Some("mark") => {
            if incoming.message_id.as_deref() == Some(&mark(worker, *worker.session.borrow())) {
                worker.gate.informed(true);
            }
        }
        Some("supersede") => match SupersedeMessage::parse(&incoming.body) {
            Ok(message) => {
                let word = if incoming.headers.contains_key(TAKEN) { Word::Worker } else { Word::Sender };
                let claim = Claim { id: message.id.to_string(), sent_at: message.sent_at, word };
                worker.builds.supersede(&message.key, claim);
            }
            Err(failure) => tracing::warn!(error = %failure, "a control message is passed over"),
        },
        _ => match CancelMessage::parse(&incoming.body) {
            Ok(message) => worker.builds.cancel(message.id.as_str(), message.reason),
            Err(failure) => tracing::warn!(error = %failure, "a control message is passed over"),
        },
    }
    // A stream counts acknowledgements only to know how much it may send.
    settled(incoming.receipt.ack().await);
}

/// For every session: leaves a mark at the end of the stream. When it comes back, everything before it was read, and
/// builds that were cancelled while nobody listened are known.
pub(super) async fn keep_informed(worker: &Worker) {
    let mut session = worker.session.clone();
    let mut due = true;
    loop {
        let number = *session.borrow_and_update();
        if number == 0 {
            worker.gate.informed(false);
        } else if due {
            let outgoing = Outgoing {
                key: worker.names.control(),
                body: b"{}".to_vec(),
                message_id: mark(worker, number),
                kind: Some("mark".to_owned()),
                ..Outgoing::default()
            };
            if let Err(error) = worker.publisher.publish(&outgoing).await {
                tracing::warn!(%error, "no build is taken: the control stream takes no messages");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            }
        }
        tokio::select! {
            changed = session.changed() => {
                if changed.is_err() {
                    return;
                }
                due = true;
            }
            () = tokio::time::sleep(AGAIN), if number > 0 && !worker.gate.is_informed() => {
                due = !worker.gate.is_informed();
            }
        }
    }
}

fn mark(worker: &Worker, session: u64) -> String {
    format!("{}-{session}", worker.instance)
}
