//! What is old goes.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::store::{milliseconds, now};

/// How often.
const EVERY: Duration = Duration::from_mins(10);

/// Answers to repeated requests are remembered this long: longer than anyone repeats one.
const ANSWERS: Duration = Duration::from_hours(7 * 24);

/// What the registry said is shown this long.
const NOTICES: Duration = Duration::from_hours(90 * 24);

/// Tidies now and then, for ever, and looks whether the database answers.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        match shared.store.forget_answers(now() - milliseconds(ANSWERS)).await {
            Ok(_) => {}
            Err(failure) => tracing::warn!(error = %failure, "old answers stay behind"),
        }
        if let Err(failure) = shared.store.forget_registry(now() - milliseconds(NOTICES)).await {
            tracing::warn!(error = %failure, "old notices of the registry stay behind");
        }
        match shared.logs.prune(shared.config.logs.keep).await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "old logs were removed"),
            Err(failure) => tracing::warn!(error = %failure, "old logs stay behind"),
        }
        tokio::time::sleep(EVERY).await;
    }
}
