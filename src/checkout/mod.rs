//! Git: from a source to the files of one commit.
//!
//! Repositories are mirrored in a cache, one mirror per repository and credentials; whether a
//! commit may be read is asked of the server each time. Builds get a directory of their own
//! with a small `.git` in it, never the mirror.

mod access;
mod fetched;
mod git;
mod local;
mod mirror;
mod remote;
mod resolve;
mod submodules;
mod tree;

pub use access::{Access, AllowList, Credentials};
pub use fetched::{Checkout, Fetched, resolve_and_fetch};
pub use local::{WorkingTree, origin_url};
pub use tree::TreeReader;

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::source::Source;

/// Fetches a source and writes it, whole and with submodules, into an empty or new directory.
/// `cache` holds the mirrors.
///
/// # Errors
/// As [`resolve_and_fetch`] and [`Fetched::materialise`]; `cancelled`.
pub async fn fetch(
    source: &Source,
    access: &Access,
    cache: &Path,
    into: &Path,
    cancel: &CancellationToken,
) -> Result<Checkout, Failure> {
    unless_cancelled(cancel, async { resolve_and_fetch(source, access, cache).await?.materialise(into).await }).await
}

/// Copies a working tree, as it lies there, into an empty or new directory.
///
/// # Errors
/// As [`WorkingTree::open`] and [`WorkingTree::materialise`]; `cancelled`.
pub async fn copy_working_tree(directory: &Path, into: &Path, cancel: &CancellationToken) -> Result<Checkout, Failure> {
    let named = directory.to_owned();
    let look = tokio::task::spawn_blocking(move || WorkingTree::open(&named));
    unless_cancelled(cancel, async {
        let looked = look.await.map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
        looked?.materialise(into).await
    })
    .await
}

/// Dropping the work ends its processes.
async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => {
            Err(Failure::new(FailureCode::Cancelled, "the build was cancelled").in_step(Step::Checkout))
        }
    }
}
