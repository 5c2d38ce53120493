//! What a build may write: its whole workspace while commands run, and what goes into its image.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::failure::{Failure, FailureCode};
use crate::work::blocking;
use crate::workspace::usage;

/// How often a workspace is measured, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// Measuring takes at most this part of the time,
const SHARE: u32 = 20;

/// unless that would leave a build unwatched for longer: on a busy machine even a small workspace may once take seconds.
const LONGEST: Duration = Duration::from_secs(10);

/// Waits until a directory takes more than it may; the failure then says so.
pub(super) async fn exceeded(directory: &Path, limit: u64) -> Failure {
    loop {
        let (began, path) = (Instant::now(), directory.to_owned());
        match blocking(move || Ok(usage(&path))).await {
            Ok(used) if used > limit => return workspace(limit),
            Ok(_) => {}
            Err(failure) => return failure,
        }
        tokio::time::sleep((began.elapsed() * SHARE).clamp(INTERVAL, LONGEST)).await;
    }
}

fn workspace(limit: u64) -> Failure {
    let text = format!("the build was stopped: its files take more than the {} MiB that they may", limit >> 20);
    Failure::new(FailureCode::OutputLimit, text)
        .hint("Write fewer or smaller files, or ask the operator for a higher `limits.disk`.")
}

/// Refuses a build context that is larger than an image's files may be.
pub(super) async fn bounded(context: &Path, limit: u64) -> Result<(), Failure> {
    let path = context.to_owned();
    within(blocking(move || Ok(usage(&path))).await?, limit)
}

/// Refuses a build context of so many bytes.
pub(super) fn within(size: u64, limit: u64) -> Result<(), Failure> {
    if size <= limit {
        return Ok(());
    }
    let (size, limit) = (size >> 20, limit >> 20);
    let text = format!("what goes into the image takes {size} MiB, and may take {limit} MiB");
    Err(Failure::new(FailureCode::OutputLimit, text)
        .hint("Leave out what the application does not need, or ask the operator for a higher `limits.output`."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_over_its_limit_is_named() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(bounded(directory.path(), 100_000).await, Ok(()));
        std::fs::write(directory.path().join("file"), vec![1; 3 << 20]).unwrap();
        let failure = exceeded(directory.path(), 1 << 20).await;
        assert_eq!(failure.code, FailureCode::OutputLimit);
        assert!(failure.hint.contains("`limits.disk`"), "{}", failure.hint);
        let failure = bounded(directory.path(), 1 << 20).await.unwrap_err();
        assert_eq!(failure.message, "what goes into the image takes 3 MiB, and may take 1 MiB");
    }
}
