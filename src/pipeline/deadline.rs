//! The time that a build has, as a whole and for each of its steps, by a clock that nobody can set.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::failure::{Blame, Failure, FailureCode, Step};

/// When a build has to end.
pub(super) struct Deadline<'a> {
    asked: &'a CancellationToken,
    started: Instant,
    whole: Duration,
    steps: &'a BTreeMap<Step, Duration>,
}

/// What ends first: the build's time or the step's.
struct Bound {
    end: Instant,
    time: Duration,
    of_step: bool,
}

impl<'a> Deadline<'a> {
    /// Starts the clock of a build.
    pub(super) fn start(whole: Duration, steps: &'a BTreeMap<Step, Duration>, asked: &'a CancellationToken) -> Self {
        Self { asked, started: Instant::now(), whole, steps }
    }

    /// Runs a step's work with a token that fires when somebody cancels the build or the time is over, and waits for
    /// the work to stop: it has to clean up after itself.
    ///
    /// # Errors
    /// The work's own; `timed_out`, naming the limit, in place of its `cancelled` when the time was over.
    pub(super) async fn step<T, F>(&self, step: Step, work: impl FnOnce(CancellationToken) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let bound = self.bound(step, Instant::now());
        if bound.end <= Instant::now() {
            return Err(bound.over(step));
        }
        let token = self.asked.child_token();
        let mut work = std::pin::pin!(work(token.clone()));
        tokio::select! {
            outcome = &mut work => outcome,
            () = tokio::time::sleep_until(bound.end) => {
                token.cancel();
                work.await.map_err(|failure| match failure.code {
                    FailureCode::Cancelled if !self.asked.is_cancelled() => {
                        bound.over_while(step).log_tail(failure.log_tail)
                    }
                    _ => failure,
                })
            }
        }
    }

    fn bound(&self, step: Step, now: Instant) -> Bound {
        let end = |from: Instant, time| from.checked_add(time).unwrap_or_else(|| from + Duration::from_hours(24 * 365));
        let whole = Bound { end: end(self.started, self.whole), time: self.whole, of_step: false };
        let own = self.steps.get(&step).map(|time| Bound { end: end(now, *time), time: *time, of_step: true });
        own.filter(|own| own.end < whole.end).unwrap_or(whole)
    }

    /// What is left for a step that begins now.
    pub(super) fn left_for(&self, step: Step) -> Duration {
        let now = Instant::now();
        self.bound(step, now).end.saturating_duration_since(now)
    }

    /// Fires when somebody cancels the build, and not when its time is over.
    pub(super) fn asked(&self) -> &CancellationToken {
        self.asked
    }

    /// What is left of the build's time: no container has to be kept longer.
    pub(super) fn left(&self) -> Duration {
        self.whole.saturating_sub(self.started.elapsed())
    }
}

impl Bound {
    fn over(&self, step: Step) -> Failure {
        let time = crate::runner::spoken(self.time);
        let (text, hint) = if self.of_step {
            let text = format!("the step `{step}` was stopped after its time of {time}");
            (text, format!("Make the step faster, or ask the operator for a higher `limits.steps.{step}`."))
        } else {
            let text = format!("the build was stopped after its time of {time}, in the step `{step}`");
            (text, FailureCode::TimedOut.hint().to_owned())
        };
        Failure::new(FailureCode::TimedOut, text).hint(hint).in_step(step)
    }

    /// As [`Bound::over`], for a step that was at work. No project can make its push faster.
    fn over_while(&self, step: Step) -> Failure {
        let failure = self.over(step);
        if step == Step::Push { Failure { blame: Blame::Service, ..failure } } else { failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancelled() -> Failure {
        Failure::new(FailureCode::Cancelled, "stopped").log_tail(vec!["last words".to_owned()])
    }

    async fn until_stopped(stop: CancellationToken) -> Result<(), Failure> {
        stop.cancelled().await;
        Err(cancelled())
    }

    #[tokio::test]
    async fn the_time_of_the_whole_build_ends_the_step_that_runs() {
        let (asked, steps) = (CancellationToken::new(), BTreeMap::new());
        let deadline = Deadline::start(Duration::from_millis(200), &steps, &asked);
        assert_eq!(deadline.step(Step::Checkout, |_| async { Ok(()) }).await, Ok(()));
        let failure = deadline.step(Step::Compile, until_stopped).await.unwrap_err();
        assert_eq!((failure.code, failure.step), (FailureCode::TimedOut, Some(Step::Compile)));
        assert_eq!(failure.message, "the build was stopped after its time of 200 ms, in the step `compile`");
        assert_eq!(failure.log_tail, ["last words"]);
        let late = deadline.step(Step::Push, |_| async { panic!("it does not begin") });
        let failure: Failure = late.await.map(|()| unreachable!()).unwrap_err();
        assert_eq!((failure.code, failure.step), (FailureCode::TimedOut, Some(Step::Push)));
    }

    #[tokio::test]
    async fn a_step_has_its_own_time_and_cancelling_is_something_else() {
        let asked = CancellationToken::new();
        let steps = BTreeMap::from([(Step::Push, Duration::from_millis(1))]);
        let deadline = Deadline::start(Duration::from_mins(2), &steps, &asked);
        let failure = deadline.step(Step::Push, until_stopped).await.unwrap_err();
        assert_eq!(failure.message, "the step `push` was stopped after its time of 1 ms");
        assert_eq!(failure.blame, Blame::Service, "the registry took the time");
        assert!(failure.hint.contains("`limits.steps.push`"), "{}", failure.hint);
        assert!(deadline.left() > Duration::from_mins(1));
        assert!(deadline.left_for(Step::Push) <= Duration::from_millis(1));
        assert!(deadline.left_for(Step::Image) > Duration::from_mins(1));
        asked.cancel();
        assert_eq!(deadline.step(Step::Compile, until_stopped).await, Err(cancelled()));
    }
}
