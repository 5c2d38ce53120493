//! What comes of an attempt: purely from how it ended.

use std::time::Duration;

use super::builds::Stop;
use crate::message::event::Event;
use crate::model::failure::Failure;
use crate::model::report::{BuildReport, Outcome};

/// What comes of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// This is the end of the build.
    Final(Box<BuildReport>),
    /// The build ended before, with this report.
    Repeat(String),
    /// There is another attempt after this time, because of this.
    Retry(Duration, Box<Failure>),
    /// Somebody else shall build it.
    GiveBack,
}

/// Only failures that may pass are tried again, and only as often as there are delays.
pub(crate) fn verdict(report: BuildReport, stop: Option<&Stop>, attempt: u32, delays: &[Duration]) -> Verdict {
    if report.outcome == Outcome::Cancelled && stop == Some(&Stop::Drained) {
        return Verdict::GiveBack;
    }
    let failed = report.outcome == Outcome::Failed;
    let passing = report.failure.as_ref().filter(|failure| failed && failure.retryable);
    let delay = usize::try_from(attempt).ok().and_then(|attempt| delays.get(attempt.saturating_sub(1)));
    match delay.zip(passing) {
        Some((delay, failure)) => Verdict::Retry(*delay, Box::new(failure.clone())),
        None => Verdict::end(report),
    }
}

impl Verdict {
    /// The end of the build.
    pub(crate) fn end(report: BuildReport) -> Self {
        Self::Final(Box::new(report))
    }

    /// The attempt's last event.
    pub(crate) fn event(&self) -> Option<Event> {
        match self {
            Self::Final(report) => Some(Event::Finished { outcome: report.outcome, retry_in_ms: None }),
            Self::Retry(delay, _) => Some(Event::Finished {
                outcome: Outcome::Failed,
                retry_in_ms: Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            }),
            Self::Repeat(_) | Self::GiveBack => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failure::FailureCode;
    use crate::model::plan::{PlannedApplication, PlannedSource};
    use crate::model::settings::Kind;

    const DELAYS: [Duration; 2] = [Duration::from_secs(10), Duration::from_mins(1)];

    fn report(code: Option<FailureCode>) -> BuildReport {
        let application = PlannedApplication {
            product_line: "trade".to_owned(),
            name: "order".to_owned(),
            kind: Kind::Service,
            module: None,
            process: None,
        };
        let source = PlannedSource { url: None, revision: None, commit: None, dirty: false, directory: String::new() };
        let begun = BuildReport::begun("b1".to_owned(), application, source, "w".to_owned(), String::new());
        begun.ended(code.map(|code| Failure::new(code, "it failed")), String::new())
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let of = |code, attempt| verdict(report(code), None, attempt, &DELAYS);
        let again =
            |delay| Verdict::Retry(delay, Box::new(Failure::new(FailureCode::RegistryUnavailable, "it failed")));
        assert_eq!(of(Some(FailureCode::RegistryUnavailable), 1), again(DELAYS[0]));
        assert_eq!(of(Some(FailureCode::RegistryUnavailable), 2), again(DELAYS[1]));
        for (code, attempt) in [
            (Some(FailureCode::RegistryUnavailable), 3),
            (Some(FailureCode::CompileFailed), 1),
            (Some(FailureCode::TimedOut), 1),
            (Some(FailureCode::RegistryForbidden), 1),
            (None, 1),
        ] {
            assert!(matches!(of(code, attempt), Verdict::Final(_)), "{code:?} {attempt}");
        }
    }

    #[test]
    fn what_a_leaving_worker_stopped_is_given_back() {
        let stopped = report(Some(FailureCode::Cancelled));
        assert_eq!(verdict(stopped.clone(), Some(&Stop::Drained), 1, &DELAYS), Verdict::GiveBack);
        assert!(matches!(verdict(stopped, Some(&Stop::Cancelled(None)), 1, &DELAYS), Verdict::Final(_)));
        // It had ended before it could be stopped.
        assert!(matches!(verdict(report(None), Some(&Stop::Drained), 1, &DELAYS), Verdict::Final(_)));
    }
}
