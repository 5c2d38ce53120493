//! A build's log while it is written, by server-sent events (HTML standard, "Server-sent events").
//!
//! An event's id is the place in the log behind it: its offset and its line. Who comes back with it goes on there.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::Stream;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::watch;

use super::super::access::Who;
use super::super::http::problem::Problem;
use super::super::logs::{Piece, Tail};
use super::super::{Shared, ask};
use super::builds::seen;
use super::{Path, Query};
use crate::model::names::BuildId;

/// Where a reader begins who was not here before.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct From {
    /// The offset and the line before it, as in an event's id: `4096.57`.
    from: String,
}

/// An event that is sent.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what is written by `Event`")]
pub(super) struct Sent {
    /// `log`, `end` when the build has ended, or `leave` when the server goes.
    event: String,
    /// The place behind it in the log, which `Last-Event-ID` takes: `4096.57`.
    id: Option<String>,
    /// Of a `log`: the number of the first line less one, then the lines.
    data: String,
    /// Milliseconds until it is worth to come back.
    retry: Option<u64>,
}

pub(super) async fn follow(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(from): Query<From>,
) -> Result<Response, Problem> {
    let (build, id) = seen(&shared, &who, &id).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).unwrap_or(&from.from);
    let (offset, line) = place(last).unwrap_or_default();
    let running = if build.is_over() { None } else { ask::live(&shared, &id).await? };
    let tail = if let Some((_, log)) = running {
        log.follow()
    } else {
        let end = shared.logs.size(&id).await;
        watch::Sender::new(Tail { start: end, end, text: "".into(), over: true }).subscribe()
    };
    let reader = Reader { shared, id, tail, offset, line, ended: false };
    let events = Sse::new(reader.events()).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    // Proxies shall pass on what comes at once.
    Ok(([(header::CACHE_CONTROL, "no-store"), (header::HeaderName::from_static("x-accel-buffering"), "no")], events)
        .into_response())
}

fn place(text: &str) -> Option<(u64, u64)> {
    let (offset, line) = text.split_once('.')?;
    Some((offset.parse().ok()?, line.parse().ok()?))
}

/// Somebody who reads along.
struct Reader {
    shared: Arc<Shared>,
    id: BuildId,
    tail: watch::Receiver<Tail>,
    offset: u64,
    /// Lines before the offset.
    line: u64,
    ended: bool,
}

impl Reader {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, |mut reader| async move {
            let event = reader.next().await?;
            Some((Ok(event), reader))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.ended {
                return None;
            }
            let tail = self.tail.borrow_and_update().clone();
            if self.offset < tail.end {
                match self.piece(&tail).await {
                    Some(piece) => return Some(self.event(&piece)),
                    // What cannot be read is passed over.
                    None => self.offset = tail.end,
                }
                continue;
            }
            if tail.over {
                self.ended = true;
                return Some(Event::default().event("end").data("the build has ended"));
            }
            let leaving = self.shared.leaving.clone();
            tokio::select! {
                changed = self.tail.changed() => if changed.is_err() {
                    self.ended = true;
                },
                () = leaving.cancelled() => {
                    self.ended = true;
                    return Some(Event::default().event("leave").data("the server goes; come back").retry(Duration::from_secs(3)));
                }
            }
        }
    }

    /// What comes next: what is in memory, or else what the file has.
    async fn piece(&self, tail: &Tail) -> Option<Piece> {
        if tail.start == self.offset {
            return Some(Piece { start: tail.start, text: Arc::clone(&tail.text) });
        }
        self.shared.logs.piece(&self.id, self.offset, tail.end).await.ok().flatten()
    }

    fn event(&mut self, piece: &Piece) -> Event {
        let first = self.line;
        self.offset = piece.end();
        self.line += piece.text.matches('\n').count() as u64;
        // The number of the first line, then the lines.
        let data = format!("{first}\n{}", piece.text.trim_end_matches('\n').replace('\r', " "));
        Event::default().event("log").id(format!("{}.{}", self.offset, self.line)).data(data)
    }
}
