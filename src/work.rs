//! Work that is given up when nobody wants it any more, and work that blocks.

use tokio_util::sync::CancellationToken;

use crate::model::failure::{Failure, FailureCode};

/// Runs work until it ends or nobody wants it. It is dropped then: only work that leaves nothing behind may run so.
///
/// # Errors
/// What the work says; `cancelled`.
pub async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(cancelled()),
        outcome = work => outcome,
    }
}

/// The failure of what nobody wants any more.
#[must_use]
pub fn cancelled() -> Failure {
    Failure::new(FailureCode::Cancelled, "it was cancelled")
}

/// Runs blocking work off the asynchronous threads.
///
/// # Errors
/// What the work says; `internal` where it panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    // What it logs belongs to the same build.
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work)).await.unwrap_or_else(|error| {
        Err(Failure::new(FailureCode::Internal, format!("a task of Slipway ended early: {error}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_wants_ends() {
        let cancel = CancellationToken::new();
        assert_eq!(unless_cancelled(&cancel, async { Ok(1) }).await.unwrap(), 1);
        cancel.cancel();
        let failure = unless_cancelled(&cancel, std::future::pending::<Result<(), Failure>>()).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::Cancelled);
        let failure = blocking(|| -> Result<(), Failure> { panic!("on purpose") }).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::Internal);
    }
}
