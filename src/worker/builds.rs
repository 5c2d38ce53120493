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
    /// By key: the builds that were announced, in the order of the stream, and when they were.
    supersedes: HashMap<String, Vec<(Claim, Instant)>>,
    /// The hash of a body, by id.
    bodies: HashMap<String, (String, Instant)>,
}

/// That a build takes the place of older ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The build.
    pub(crate) id: String,
    /// When it was sent; 0 if nobody knows.
    pub(crate) sent_at: u64,
    /// Who says so.
    pub(crate) word: Word,
}

/// Whose word a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Who sent the request, after it was sent: the order of such claims is that of the requests.
    Sender,
    /// A worker that took it: of requests that were sent at the same time any may be taken first.
    Worker,
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
    deploying: bool,
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

    /// Notes a claim on a key, and stops builds that are older and have not begun to push or to deploy.
    pub(crate) fn supersede(&self, key: &str, claim: Claim) {
        let mut state = self.lock();
        state.note(key, claim, Instant::now());
        let others = state.running.iter().filter(|(_, running)| running.key.as_deref() == Some(key));
        for (other, running) in others {
            if let Some(newer) = state.newer(key, other) {
                running.stop(Stop::Superseded(newer));
            }
        }
    }

    /// Whether the sender of a build has claimed the key for it.
    pub(crate) fn is_claimed(&self, key: &str, id: &str) -> bool {
        let state = self.lock();
        let claims = state.supersedes.get(key).map(Vec::as_slice).unwrap_or_default();
        claims.iter().any(|(claim, _)| claim.id == id && claim.word == Word::Sender)
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
    /// Notes a claim; what others have claimed too long ago is forgotten.
    fn note(&mut self, key: &str, claim: Claim, now: Instant) {
        let claims = self.supersedes.entry(key.to_owned()).or_default();
        claims.retain(|(_, at)| now.saturating_duration_since(*at) < MEMORY);
        let known = claims.iter().position(|(known, _)| known.id == claim.id);
        // A worker may have been faster than the sender, who knows better.
        if let Some(place) = known.filter(|place| claims[*place].0.word == Word::Worker && claim.word == Word::Sender) {
            claims.remove(place);
            claims.push((claim, now));
        } else if known.is_none() {
            claims.push((claim, now));
        }
    }

    /// The build that took the place of this one: of those that came after it, the last.
    fn newer(&self, key: &str, id: &str) -> Option<String> {
        let claims = self.supersedes.get(key)?;
        let claim = |place: usize| (place, &claims[place].0);
        let mine = claims.iter().position(|(claim, _)| claim.id == id)?;
        let after = (0..claims.len()).filter(|other| comes_after(claim(*other), claim(mine)));
        let newest = after.max_by_key(|at| (claims[*at].0.sent_at, *at))?;
        Some(claims[newest].0.id.clone())
    }

    fn forget(&mut self) {
        let fresh = |at: &Instant| at.elapsed() < MEMORY;
        // Looking at all of them each time would cost more than they do.
        if self.cancelled.len() + self.bodies.len() + self.supersedes.len() > 10_000 {
            self.cancelled.retain(|_, (_, at)| fresh(at));
            self.bodies.retain(|_, (_, at)| fresh(at));
            self.supersedes.retain(|_, claims| claims.iter().any(|(_, at)| fresh(at)));
        }
        if self.bodies.len() > 100_000 {
            self.bodies.clear();
        }
    }
}

/// Whether one claim is of a later request than the other, each with its place in the stream. Brokers tell time in whole
/// seconds: of two requests of one second only their senders know which is the later one.
fn comes_after((place, claim): (usize, &Claim), (other_place, other): (usize, &Claim)) -> bool {
    let ordered = claim.sent_at == 0 || (claim.word, other.word) == (Word::Sender, Word::Sender);
    claim.sent_at > other.sent_at || (claim.sent_at == other.sent_at && ordered && place > other_place)
}

impl Running {
    /// Stops it for a reason; the first one counts. What has begun to push or to deploy is not superseded any more: half a
    /// release would stay in the package repository.
    fn stop(&self, stop: Stop) {
        let mut fate = self.fate();
        let stays = fate.pushing || fate.deploying;
        if fate.stop.is_some() || (stays && matches!(stop, Stop::Superseded(_))) {
            return;
        }
        fate.stop = Some(stop);
        self.cancel.cancel();
    }

    /// The push begins.
    pub(crate) fn pushes(&self) {
        self.fate().pushing = true;
    }

    /// The deployment begins.
    pub(crate) fn deploys(&self) {
        self.fate().deploying = true;
    }

    /// Whether something may have been deployed.
    pub(crate) fn may_have_deployed(&self) -> bool {
        self.fate().deploying
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

    fn claim(id: &str, sent_at: u64, word: Word) -> Claim {
        Claim { id: id.to_owned(), sent_at, word }
    }

    #[tokio::test]
    async fn the_newest_of_a_key_stays() {
        let builds = Builds::default();
        let old = builds.turn("old", Some("k".to_owned())).await;
        let supersede = |id, sent_at| builds.supersede("k", claim(id, sent_at, Word::Sender));
        supersede("old", 10);
        assert!(old.running.stopped().is_none());
        supersede("new", 10);
        assert_eq!(old.running.stopped(), Some(Stop::Superseded("new".to_owned())));
        // Sent earlier and taken later: a retry, or a race between workers.
        supersede("older", 9);
        assert_eq!(builds.unwanted("older", Some("k")), Some(Stop::Superseded("new".to_owned())));
        assert_eq!(builds.unwanted("new", Some("k")), None);
        // Reading the stream again changes nothing.
        supersede("old", 10);
        assert_eq!(builds.unwanted("new", Some("k")), None);
    }

    #[test]
    fn workers_take_requests_of_one_second_in_any_order() {
        let builds = Builds::default();
        let unwanted = |id| builds.unwanted(id, Some("k"));
        for id in ["new", "old"] {
            builds.supersede("k", claim(id, 10, Word::Worker));
        }
        assert_eq!((unwanted("new"), unwanted("old")), (None, None));
        // Only who sent them can tell, though a worker was faster.
        for id in ["old", "new"] {
            builds.supersede("k", claim(id, 10, Word::Sender));
        }
        assert_eq!((unwanted("new"), unwanted("old")), (None, Some(Stop::Superseded("new".to_owned()))));
        // One of a later second is newer, whoever says so.
        builds.supersede("k", claim("newest", 11, Word::Worker));
        assert_eq!(unwanted("new"), Some(Stop::Superseded("newest".to_owned())));
        // Without any time the order in which they were taken is all there is.
        for id in ["first", "second"] {
            builds.supersede("l", claim(id, 0, Word::Worker));
        }
        assert_eq!(builds.unwanted("first", Some("l")), Some(Stop::Superseded("second".to_owned())));
    }

    #[tokio::test]
    async fn what_pushes_or_deploys_is_not_superseded() {
        for begin in [Running::pushes, Running::deploys] {
            let builds = Builds::default();
            let old = builds.turn("old", Some("k".to_owned())).await;
            begin(&old.running);
            builds.supersede("k", claim("old", 1, Word::Sender));
            builds.supersede("k", claim("new", 2, Word::Sender));
            assert!(old.running.stopped().is_none());
            builds.cancel("old", None);
            assert!(old.running.cancel.is_cancelled());
        }
    }

    #[test]
    fn claims_are_kept_as_long_as_the_stream_keeps_them() {
        let (mut state, now) = (State::default(), Instant::now());
        for (id, hours) in [("first", 0), ("second", 24), ("third", 26)] {
            state.note("k", claim(id, 0, Word::Sender), now + Duration::from_hours(hours));
        }
        let left: Vec<_> = state.supersedes["k"].iter().map(|(claim, _)| claim.id.as_str()).collect();
        assert_eq!(left, ["second", "third"]);
    }

    #[test]
    fn another_body_under_the_same_id_is_seen() {
        let builds = Builds::default();
        assert!(!builds.is_another_body("b1", "x"));
        assert!(!builds.is_another_body("b1", "x"));
        assert!(builds.is_another_body("b1", "y"));
    }
}
