//! Whether the worker lives, and whether it takes work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A part that promised signs of life and gave none for so long is stuck: longer than every time-out of a broker call.
const STUCK: Duration = Duration::from_secs(90);

/// What the probes answer; clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    ready: Result<(), String>,
    going: bool,
    heard: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        let state = State { ready: Err("it is starting".to_owned()), going: false, heard: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl Health {
    /// Work is taken, or it is not, and why.
    pub fn set_ready(&self, ready: Result<(), String>) {
        self.with(|state| state.ready = ready);
    }

    /// The worker takes its leave.
    pub fn set_going(&self) {
        self.with(|state| state.going = true);
    }

    /// Whether it does.
    #[must_use]
    pub fn is_going(&self) -> bool {
        self.with(|state| state.going)
    }

    /// A sign of life of the loop that takes work. Once there was one, more have to follow.
    pub fn beat(&self) {
        self.with(|state| state.heard = Some(Instant::now()));
    }

    /// Whether work is taken.
    ///
    /// # Errors
    /// Why not, one sentence.
    pub fn ready(&self) -> Result<(), String> {
        self.with(|state| state.ready.clone()).and(self.live())
    }

    /// Whether the worker lives.
    ///
    /// # Errors
    /// What is stuck.
    pub fn live(&self) -> Result<(), String> {
        match self.with(|state| state.heard).map(|heard| heard.elapsed()) {
            Some(silence) if silence > STUCK => Err(format!("nothing was heard for {} s", silence.as_secs())),
            _ => Ok(()),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_after_a_sign_of_life_is_death() {
        let health = Health::default();
        assert_eq!(health.ready(), Err("it is starting".to_owned()));
        health.set_ready(Ok(()));
        assert_eq!((health.ready(), health.live()), (Ok(()), Ok(())), "nobody promised signs of life");
        health.beat();
        assert_eq!(health.live(), Ok(()));
        health.with(|state| state.heard = Instant::now().checked_sub(STUCK + Duration::from_secs(1)));
        assert_eq!(health.live(), Err("nothing was heard for 91 s".to_owned()));
        assert!(health.ready().is_err());
    }
}
