//! Whether builds are taken.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::room::Lack;

/// What has to be so before a build is taken.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// The control stream was read up to now.
    informed: bool,
    /// What the machine has too little of.
    lack: Option<Lack>,
    /// The worker goes away.
    draining: bool,
}

/// Opens when everything is as it should be.
pub(super) struct Gate {
    state: Mutex<State>,
    open: watch::Sender<bool>,
}

impl Gate {
    /// Closed.
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), open: watch::Sender::new(false) }
    }

    /// Follows it.
    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }

    /// Why it is closed, if it is.
    pub(super) fn reason(&self) -> Option<&'static str> {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            State { draining: true, .. } => Some("it goes, and takes no more builds"),
            State { lack: Some(lack), .. } => Some(lack.reason()),
            State { informed: false, .. } => Some("it has no connection to its broker"),
            State { .. } => None,
        }
    }

    pub(super) fn informed(&self, informed: bool) {
        self.change(|state| state.informed = informed);
    }

    /// Whether it was read up to now.
    pub(super) fn is_informed(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).informed
    }

    pub(super) fn lacks(&self, lack: Option<Lack>) {
        self.change(|state| state.lack = lack);
    }

    pub(super) fn draining(&self) {
        self.change(|state| state.draining = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let open = state.informed && state.lack.is_none() && !state.draining;
        if self.open.send_if_modified(|now| std::mem::replace(now, open) != open) {
            tracing::info!("{}", if open { "the worker takes builds" } else { "the worker takes no builds" });
        }
    }
}
