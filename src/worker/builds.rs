//! Which builds run here, which are no longer wanted, and which have taken another's place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Control messages are kept a day; what they said is forgotten a little later.
const MEMORY: Duration = Duration::from_hours(25);

/// Why a build was stopped from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody cancelled it.
    Cancelled(Option<String>),
    /// A newer build took its place.
    Superseded(String),
    /// The worker goes away: the build is given back.
    Drained,
}

/// All that is known of builds.
#[derive(Default)]
pub(crate) struct Builds {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    running: HashMap<String, Arc<Running>>,
    cancelled: HashMap<String, (Option<String>, Instant)>,
    /// By key: the builds that were taken, with the time they were sent.
    supersedes: HashMap<String, (Vec<(String, u64)>, Instant)>,
    /// The hash of a body, by id.
    bodies: HashMap<String, (String, Instant)>,
}

/// A build that runs.
#[derive(Default)]
pub(crate) struct Running {
    /// Ends it.
    pub(crate) cancel: CancellationToken,
    key: Option<String>,
    fate: Mutex<Fate>,
}

#[derive(Default)]
struct Fate {
    stop: Option<Stop>,
    pushing: bool,
}

/// A build's turn; the next delivery of the same id waits for its end.
pub(crate) struct Turn<'a> {
    builds: &'a Builds,
    id: String,
    pub(crate) running: Arc<Running>,
}

impl Builds {
    /// Waits until no build of this id runs here, and takes its place.
    pub(crate) async fn turn(&self, id: &str, key: Option<String>) -> Turn<'_> {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // From here on no end is missed.
            ended.as_mut().enable();
            {
                let mut state = self.lock();
                if !state.running.contains_key(id) {
                    let running = Arc::new(Running { key, ..Running::default() });
                    state.running.insert(id.to_owned(), Arc::clone(&running));
                    return Turn { builds: self, id: id.to_owned(), running };
                }
            }
            ended.await;
        }
    }

    /// Whether another body was seen under this id; otherwise this one is remembered.
    pub(crate) fn is_another_body(&self, id: &str, hash: &str) -> bool {
        let mut state = self.lock();
        state.forget();
        let (known, _) = state.bodies.entry(id.to_owned()).or_insert_with(|| (hash.to_owned(), Instant::now()));
        known != hash
    }

    /// Cancels a build, whether it runs, has ended or is yet to come.
    pub(crate) fn cancel(&self, id: &str, reason: Option<String>) {
        let mut state = self.lock();
        state.forget();
        if let Some(running) = state.running.get(id) {
            running.stop(Stop::Cancelled(reason.clone()));
        }
        state.cancelled.entry(id.to_owned()).or_insert_with(|| (reason, Instant::now()));
    }

    /// Notes that a build of a key was taken somewhere, and stops those that are older and have not begun to push.
    pub(crate) fn supersede(&self, key: &str, id: &str, sent_at: u64) {
        let mut state = self.lock();
        let (taken, at) = state.supersedes.entry(key.to_owned()).or_insert_with(|| (Vec::new(), Instant::now()));
        *at = Instant::now();
        if !taken.iter().any(|(known, _)| known == id) {
            taken.push((id.to_owned(), sent_at));
        }
        let others = state.running.iter().filter(|(_, running)| running.key.as_deref() == Some(key));
        for (other, running) in others {
            if let Some(newer) = state.newer(key, other) {
                running.stop(Stop::Superseded(newer));
            }
        }
    }

    /// Why a build shall not begin.
    pub(crate) fn unwanted(&self, id: &str, key: Option<&str>) -> Option<Stop> {
        let state = self.lock();
        if let Some((reason, _)) = state.cancelled.get(id) {
            return Some(Stop::Cancelled(reason.clone()));
        }
        state.newer(key?, id).map(Stop::Superseded)
    }

    /// Stops everything that runs, to be given back.
    pub(crate) fn drain(&self) {
        for running in self.lock().running.values() {
            running.stop(Stop::Drained);
        }
    }

    /// How many builds run.
    pub(crate) fn count(&self) -> usize {
        self.lock().running.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The build that took the place of this one: the last that was sent, and of those the last that was taken.
    fn newer(&self, key: &str, id: &str) -> Option<String> {
        let (taken, _) = self.supersedes.get(key)?;
        let rank = |at: usize| (taken[at].1, at);
        let mine = taken.iter().position(|(known, _)| known == id)?;
        let newest = (0..taken.len()).max_by_key(|at| rank(*at))?;
        (newest != mine).then(|| taken[newest].0.clone())
    }

    fn forget(&mut self) {
        let fresh = |at: &Instant| at.elapsed() < MEMORY;
        // Looking at all of them each time would cost more than they do.
        if self.cancelled.len() + self.bodies.len() + self.supersedes.len() > 10_000 {
            self.cancelled.retain(|_, (_, at)| fresh(at));
            self.bodies.retain(|_, (_, at)| fresh(at));
            self.supersedes.retain(|_, (_, at)| fresh(at));
        }
        if self.bodies.len() > 100_000 {
            self.bodies.clear();
        }
    }
}

impl Running {
    /// Stops it for a reason; the first one counts. What has begun to push is not superseded any more.
    fn stop(&self, stop: Stop) {
        let mut fate = self.fate();
        if fate.stop.is_some() || (fate.pushing && matches!(stop, Stop::Superseded(_))) {
            return;
        }
        fate.stop = Some(stop);
        self.cancel.cancel();
    }

    /// The push begins.
    pub(crate) fn pushes(&self) {
        self.fate().pushing = true;
    }

    /// Why it was stopped.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.fate().stop.clone()
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.builds.lock().running.remove(&self.id);
        self.builds.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_build_of_an_id_runs_at_a_time() {
        let builds = Builds::default();
        let first = builds.turn("b1", None).await;
        let mut second = Box::pin(builds.turn("b1", None));
        assert!(futures_util::poll!(&mut second).is_pending());
        let _other = builds.turn("b2", None).await;
        drop(first);
        drop(second.await);
        assert_eq!(builds.count(), 1);
    }

    #[tokio::test]
    async fn cancelling_is_idempotent_and_comes_before_or_during_the_build() {
        let builds = Builds::default();
        builds.cancel("b1", Some("first".to_owned()));
        builds.cancel("b1", Some("second".to_owned()));
        assert_eq!(builds.unwanted("b1", None), Some(Stop::Cancelled(Some("first".to_owned()))));
        let turn = builds.turn("b2", None).await;
        builds.cancel("b2", None);
        assert!(turn.running.cancel.is_cancelled());
        assert_eq!(turn.running.stopped(), Some(Stop::Cancelled(None)));
    }

    #[tokio::test]
    async fn the_newest_of_a_key_stays() {
        let builds = Builds::default();
        let old = builds.turn("old", Some("k".to_owned())).await;
        builds.supersede("k", "old", 10);
        assert!(old.running.stopped().is_none());
        builds.supersede("k", "new", 10);
        assert_eq!(old.running.stopped(), Some(Stop::Superseded("new".to_owned())));
        // Sent earlier and taken later: a retry, or a race between workers.
        builds.supersede("k", "older", 9);
        assert_eq!(builds.unwanted("older", Some("k")), Some(Stop::Superseded("new".to_owned())));
        assert_eq!(builds.unwanted("new", Some("k")), None);
        // Reading the stream again changes nothing.
        builds.supersede("k", "old", 10);
        assert_eq!(builds.unwanted("new", Some("k")), None);
    }

    #[tokio::test]
    async fn what_pushes_is_not_superseded() {
        let builds = Builds::default();
        let old = builds.turn("old", Some("k".to_owned())).await;
        old.running.pushes();
        builds.supersede("k", "old", 1);
        builds.supersede("k", "new", 2);
        assert!(old.running.stopped().is_none());
        builds.cancel("old", None);
        assert!(old.running.cancel.is_cancelled());
    }

    #[test]
    fn another_body_under_the_same_id_is_seen() {
        let builds = Builds::default();
        assert!(!builds.is_another_body("b1", "x"));
        assert!(!builds.is_another_body("b1", "x"));
        assert!(builds.is_another_body("b1", "y"));
    }
}
