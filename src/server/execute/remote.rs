//! Builds by workers: requests go to the broker, events and reports come back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::super::store::builds::Build;
use super::super::{Shared, ask};
use super::local::{ended_line, last_line};
use crate::amqp::follow::Follower;
use crate::amqp::names::Names;
use crate::amqp::{Broker, Incoming, Outgoing, Publisher};
use crate::message::control::MAX_REASON;
use crate::message::event::Event;
use crate::message::{BuildMessage, CancelMessage, EventMessage, SupersedeMessage, VERSION};
use crate::model::failure::Failure;
use crate::model::report::BuildReport;
use crate::traces;

/// How often the database is asked for what is not sent.
const LOOK: Duration = Duration::from_secs(5);

/// The pause after the broker or the database did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a report waits for the last lines of its log, which come by another queue.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Builds whose last event was heard.
#[derive(Default)]
struct Heard {
    ended: Mutex<HashSet<String>>,
    news: Notify,
}

impl Heard {
    fn note(&self, id: &str) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        self.news.notify_waiters();
    }

    async fn last_event(&self, id: &str) {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // From here on none is missed.
            news.as_mut().enable();
            if self.ended.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
                return;
            }
            news.await;
        }
    }
}

/// Begins to send and to listen.
pub(super) fn start(shared: &Arc<Shared>) -> Result<JoinSet<()>, Failure> {
    let broker = Broker::new(Arc::new(shared.config.clone()))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(send(Arc::clone(shared), broker.clone()));
    let heard = Arc::new(Heard::default());
    for what in ["reports", "events"] {
        tasks.spawn(listen(Arc::clone(shared), broker.clone(), what, Arc::clone(&heard)));
    }
    Ok(tasks)
}

/// Sends what was asked for until the broker has it.
async fn send(shared: Arc<Shared>, broker: Broker) {
    let names = broker.names();
    let publisher = Publisher::new(broker);
    let mut work = shared.work.subscribe();
    loop {
        work.mark_unchanged();
        let pause = match sent(&shared, &publisher, &names).await {
            Ok(()) => LOOK,
            Err(why) => {
                tracing::warn!(why, "requests wait for the broker");
                PAUSE
            }
        };
        tokio::select! {
            _ = work.changed(), if pause == LOOK => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn sent(shared: &Shared, publisher: &Publisher, names: &Names) -> Result<(), String> {
    for (build, cancellation) in shared.store.unsent().await.map_err(|failure| failure.message)? {
        let sent_at = crate::clock::since_epoch().as_secs();
        let outgoing = if cancellation { cancel(&build, names) } else { request(&build, names, sent_at) };
        publisher.publish(&outgoing).await.map_err(|error| error.to_string())?;
        if let Some(claim) = claim(&build, names, sent_at).filter(|_| !cancellation)
            && let Err(error) = publisher.publish(&claim).await
        {
            // The request is on its way: older builds end when a worker takes it, if not now.
            tracing::warn!(%error, build_id = build.id, "older builds go on until this one begins");
        }
        let what = if cancellation { 2 } else { 1 };
        shared.store.sent(&build.id, what).await.map_err(|failure| failure.message)?;
    }
    Ok(())
}

fn request(build: &Build, names: &Names, sent_at: u64) -> Outgoing {
    let trace = Some(build.traceparent.clone()).filter(|value| !value.is_empty()).into_iter();
    Outgoing {
        exchange: names.requests(),
        key: build.lane.clone(),
        body: build.message.clone().into_bytes(),
        message_id: build.id.clone(),
        kind: Some("build".to_owned()),
        sent_at: Some(sent_at),
        headers: trace.map(|value| (traces::HEADER.to_owned(), value)).collect(),
        ..Outgoing::default()
    }
}

/// Says that a request takes the place of older ones, if it does.
fn claim(build: &Build, names: &Names, sent_at: u64) -> Option<Outgoing> {
    let message = BuildMessage::parse(build.message.as_bytes()).ok()?;
    SupersedeMessage::of(&message, sent_at).map(|claim| Outgoing::control(names, "supersede", &build.id, &claim))
}

fn cancel(build: &Build, names: &Names) -> Outgoing {
    let reason = build.cancel.as_deref().filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| reason.chars().take(MAX_REASON).collect());
    let message = build.id.parse().ok().map(|id| CancelMessage { version: VERSION, id, reason });
    Outgoing::control(names, "cancel", &build.id, &message)
}

/// Hears what workers say, for ever. Reports wait for a server that is away; events are for who looks on.
async fn listen(shared: Arc<Shared>, broker: Broker, what: &'static str, heard: Arc<Heard>) {
    let names = broker.names();
    let exchange = if what == "reports" { names.reports() } else { names.events() };
    let bindings = [(exchange, "#".to_owned())];
    loop {
        let (broker, queue) = (broker.clone(), names.server(what));
        let opened = match what {
            "reports" => Follower::open_kept(broker, queue, &bindings).await,
            _ => Follower::open(broker, queue, &bindings).await,
        };
        match opened {
            Ok(mut follower) => {
                while let Some(incoming) = follower.next().await {
                    hear(&shared, &heard, incoming).await;
                }
            }
            Err(error) => tracing::warn!(%error, "the {what} of workers are not heard"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes what a message says before it is acknowledged.
async fn hear(shared: &Arc<Shared>, heard: &Heard, incoming: Incoming) {
    let written = match incoming.kind.as_deref() {
        Some("event") => event(shared, heard, &incoming.body).await,
        Some("report") => report(shared, heard, &incoming.body).await,
        _ => Ok(()),
    };
    let settled = match written {
        Ok(()) => incoming.receipt.ack().await,
        Err(failure) => {
            tracing::error!(error = %failure, "what a worker says cannot be written; it comes again");
            tokio::time::sleep(PAUSE).await;
            incoming.receipt.requeue().await
        }
    };
    if let Err(error) = settled {
        tracing::warn!(%error, "a message could not be settled and comes again");
    }
}

async fn event(shared: &Arc<Shared>, heard: &Heard, body: &[u8]) -> Result<(), Failure> {
    let Ok(message) = serde_json::from_slice::<EventMessage>(body) else { return Ok(()) };
    let Ok(id) = message.id.parse() else { return Ok(()) };
    // Builds that others asked for are none of ours.
    let is_ours =
        async || shared.store.build(&message.id).await.map(|build| build.is_some_and(|build| !build.is_over()));
    if !shared.logs.is_live(&id) && !is_ours().await? {
        return Ok(());
    }
    let Some((build, live)) = ask::live(shared, &id).await? else { return Ok(()) };
    match &message.event {
        Event::Accepted { worker } => {
            shared.store.step(&message.id, "", worker).await?;
            ask::begins(shared, &build).await?;
        }
        Event::StepStarted { step } => {
            live.line_at(&message.at, step.name(), "begins");
            shared.store.step(&message.id, step.name(), "").await?;
        }
        Event::StepFinished(step) => live.line_at(&message.at, step.step.name(), &ended_line(step)),
        Event::Log { step, lines, dropped } => {
            if *dropped > 0 {
                live.line_at(&message.at, step.name(), &format!("({dropped} lines came too fast and are left out)"));
            }
            for line in lines {
                live.line_at(&message.at, step.name(), line);
            }
        }
        Event::Finished { retry_in_ms: None, .. } => heard.note(&message.id),
        Event::Finished { .. } => {}
    }
    Ok(())
}

async fn report(shared: &Arc<Shared>, heard: &Heard, body: &[u8]) -> Result<(), Failure> {
    let Ok(report) = serde_json::from_slice::<BuildReport>(body) else { return Ok(()) };
    let Some(build) = shared.store.build(&report.id).await? else { return Ok(()) };
    // A second request under the same id was refused, and the first goes on.
    if report.failure.as_ref().is_some_and(|failure| failure.code == crate::model::failure::FailureCode::IdReused) {
        return Ok(());
    }
    // Where its events are heard, the last lines are on their way.
    if build.id.parse().is_ok_and(|id| shared.logs.is_live(&id)) {
        let _ = tokio::time::timeout(LAST_LINES, heard.last_event(&build.id)).await;
    }
    if let (Some(failure), Ok(id), false) = (&report.failure, build.id.parse(), build.is_over()) {
        last_line(&shared.logs.live(&id), failure);
    }
    ask::finish(shared, &build, &report).await.map(drop)
}
