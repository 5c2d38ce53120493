//! Asking for builds, saying how they stand, and ending them: each is one change of the history.

use std::sync::Arc;

use super::Shared;
use super::gitlab::status;
use super::logs::Live;
use super::store::builds::Build;
use super::store::{self, Change, commit};
use crate::message::{self, BuildMessage};
use crate::model::failure::Failure;
use crate::model::names::BuildId;
use crate::model::report::BuildReport;
use crate::worker::builds::{Claim, Word};

/// A new id; ids sort by their time.
pub(super) fn new_id() -> BuildId {
    // A UUID is a build id: letters, digits and `-`.
    uuid::Uuid::now_v7().to_string().parse().unwrap_or_else(|_| unreachable!("a UUID is a build id"))
}

/// Writes a build that is asked for; says whether its id was free. [`asked`] follows when the change is written.
pub(super) async fn ask(shared: &Shared, change: &mut Change, build: &Build) -> Result<bool, Failure> {
    if !build.insert(change).await? {
        return Ok(false);
    }
    status::say(shared, change, build, status::State::Pending, "it waits").await?;
    let object = format!("{}/{}", build.product_line, build.application);
    store::audit::note(
        change,
        &build.who,
        "build.create",
        &build.id,
        &format!("{object} {} {}", build.cause, build.revision),
    )
    .await?;
    Ok(true)
}

/// Builds were asked for: whoever builds hears of it, and older builds of the same branch make room.
pub(super) fn asked(shared: &Shared, builds: &[Build]) {
    for build in builds {
        if let Some(key) = supersede_key(build) {
            shared.builds.supersede(&key, claim(build));
        }
    }
    shared.wake();
}

/// What it takes the place of others by.
pub(super) fn supersede_key(build: &Build) -> Option<String> {
    let message = BuildMessage::parse(build.message.as_bytes()).ok()?;
    let application = &message.application;
    message.supersede.map(|key| message::supersede_key(&application.product_line, &application.name, &key))
}

/// That it takes the place of those that were asked for before.
pub(super) fn claim(build: &Build) -> Claim {
    let sent_at = u64::try_from(build.created_ms).unwrap_or_default();
    Claim { id: build.id.clone(), sent_at, word: Word::Sender }
}

/// The build begins. Where its end was heard before, that stays the last word: with workers, the two come by different queues.
pub(super) async fn begins(shared: &Shared, build: &Build) -> Result<(), Failure> {
    let mut change = shared.store.change().await?;
    if !store::queue::begin(&mut change, &build.id).await? {
        return Ok(());
    }
    status::say(shared, &mut change, build, status::State::Running, "it is built").await?;
    commit(change).await?;
    shared.wake();
    Ok(())
}

/// A build that has not ended, and its log for whoever writes or follows it. A log that is taken when the build has ended
/// already would be ended by nobody.
pub(super) async fn live(shared: &Shared, id: &BuildId) -> Result<Option<(Build, Arc<Live>)>, Failure> {
    let live = shared.logs.live(id);
    // An end that is written after this look ends the log; one that was written before it is seen.
    let build = shared.store.build(id.as_str()).await?.filter(|build| !build.is_over());
    if build.is_none() {
        shared.logs.end(id).await;
    }
    Ok(build.map(|build| (build, live)))
}

/// The end of a build: the first one stays. The log is complete before anyone hears of it, and those who follow it hear of
/// it last: whoever looks at the build then finds it over.
pub(super) async fn finish(shared: &Arc<Shared>, build: &Build, report: &BuildReport) -> Result<bool, Failure> {
    let id: Option<BuildId> = build.id.parse().ok();
    if let Some(id) = &id {
        shared.logs.flush(id).await;
    }
    let mut change = shared.store.change().await?;
    let first = store::queue::finish(&mut change, report).await?;
    if first {
        let (state, description) = status::of(report);
        status::say(shared, &mut change, build, state, &description).await?;
        super::gitlab::comment::say(shared, &mut change, build, report).await?;
    }
    commit(change).await?;
    if let Some(id) = &id {
        shared.logs.end(id).await;
    }
    if first {
        tracing::info!(build_id = build.id, outcome = report.outcome.name(), "the build ended");
        shared.metrics.reported(report);
        shared.wake();
    }
    Ok(first)
}
