//! When a command has to be stopped: its time, its silence, a cancellation.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::command::{Exit, Limits};

/// The clock of one running command.
#[derive(Debug)]
pub(crate) struct Watch {
    end: Instant,
    silence: Option<Duration>,
    heard: Instant,
}

impl Watch {
    /// Starts the clock.
    pub(crate) fn start(limits: &Limits) -> Self {
        let now = Instant::now();
        // A time that the clock cannot hold is no limit that anyone would notice.
        let end = now.checked_add(limits.timeout).unwrap_or_else(|| now + Duration::from_hours(24 * 365));
        Self { end, silence: limits.silence, heard: now }
    }

    /// The command printed something.
    pub(crate) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Waits until the command must be stopped, and says why. May be dropped and asked again.
    pub(crate) async fn stop(&self, cancel: &CancellationToken) -> Exit {
        let silent = self.silence.and_then(|silence| self.heard.checked_add(silence)).filter(|at| *at < self.end);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Exit::Cancelled,
            () = tokio::time::sleep_until(silent.unwrap_or(self.end)) => {
                if silent.is_some() { Exit::Silent } else { Exit::TimedOut }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(timeout: u64, silence: Option<u64>) -> Limits {
        let silence = silence.map(Duration::from_millis);
        Limits { timeout: Duration::from_millis(timeout), silence, ..Limits::default() }
    }

    #[tokio::test]
    async fn the_first_reason_counts() {
        let cancel = CancellationToken::new();
        assert_eq!(Watch::start(&limits(1, None)).stop(&cancel).await, Exit::TimedOut);
        assert_eq!(Watch::start(&limits(60_000, Some(1))).stop(&cancel).await, Exit::Silent);
        cancel.cancel();
        assert_eq!(Watch::start(&limits(0, Some(0))).stop(&cancel).await, Exit::Cancelled);
    }
}
