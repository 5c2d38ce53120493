//! Who builds: this process, or workers behind a broker.

mod local;
mod remote;

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Shared;
use crate::model::failure::Failure;
use crate::worker::Going;

/// Whoever builds.
pub(super) enum Executor {
    /// In this process.
    Local(JoinSet<()>),
    /// Workers; what is sent to them and comes back.
    Remote(JoinSet<()>),
}

/// Begins to build what is asked for.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<Executor, Failure> {
    if shared.config.amqp.url.is_some() {
        return Ok(Executor::Remote(remote::start(shared)?));
    }
    Ok(Executor::Local(local::start(shared).await?))
}

impl Executor {
    /// Ends well: what runs here may end within its grace, and is given back otherwise.
    pub(super) async fn end(self, shared: &Arc<Shared>, going: &Going) {
        match self {
            Self::Local(jobs) => local::end(shared, jobs, going).await,
            Self::Remote(mut tasks) => tasks.shutdown().await,
        }
    }
}
