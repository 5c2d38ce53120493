//! A log that is written: lines wait a moment in memory, go to the file together, and then to whoever follows.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How long a line waits for others.
const PAUSE: Duration = Duration::from_millis(100);

/// What was written last, and how much there is.
#[derive(Debug, Clone)]
pub(in crate::server) struct Tail {
    /// Where the text begins.
    pub(in crate::server) start: u64,
    /// Where the log ends.
    pub(in crate::server) end: u64,
    pub(in crate::server) text: Arc<str>,
    /// Nothing more comes.
    pub(in crate::server) over: bool,
}

/// The log of a build that runs.
#[derive(Debug)]
pub(in crate::server) struct Live {
    path: PathBuf,
    limit: u64,
    pending: Mutex<Pending>,
    tail: watch::Sender<Tail>,
    /// Only one writes at a time.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Pending {
    text: String,
    /// All that was taken, written or not.
    taken: u64,
    scheduled: bool,
}

impl Live {
    pub(super) fn open(path: PathBuf, limit: u64) -> Self {
        let end = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let tail = Tail { start: end, end, text: "".into(), over: false };
        let pending = Mutex::new(Pending { taken: end, ..Pending::default() });
        Self { path, limit, pending, tail: watch::Sender::new(tail), writing: tokio::sync::Mutex::default() }
    }

    /// Follows what is written.
    pub(in crate::server) fn follow(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// Notes a line of a step, of now. Never waits.
    pub(in crate::server) fn line(self: &Arc<Self>, step: &str, text: &str) {
        self.line_at(&crate::clock::now(), step, text);
    }

    /// Notes a line of a step.
    pub(in crate::server) fn line_at(self: &Arc<Self>, at: &str, step: &str, text: &str) {
        let text: String = text.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }).collect();
        let mut pending = self.lock();
        if pending.taken >= self.limit {
            return;
        }
        let mut line = format!("{at} {step} {text}\n");
        if pending.taken + line.len() as u64 >= self.limit {
            line = format!("{at} {step} no more of the log is kept: it has reached its limit\n");
            pending.taken = self.limit;
        }
        pending.taken += line.len() as u64;
        pending.text.push_str(&line);
        if !std::mem::replace(&mut pending.scheduled, true) {
            let this = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(PAUSE).await;
                this.flush(false).await;
            });
        }
    }

    /// Everything is written, and nothing more comes.
    pub(super) async fn end(&self) {
        self.flush(true).await;
    }

    pub(super) async fn flush(&self, over: bool) {
        let _one = self.writing.lock().await;
        let text = {
            let mut pending = self.lock();
            pending.scheduled = false;
            std::mem::take(&mut pending.text)
        };
        let (path, bytes) = (self.path.clone(), text.clone());
        let written = tokio::task::spawn_blocking(move || {
            if bytes.is_empty() {
                return Ok(());
            }
            let mut file = std::fs::File::options().create(true).append(true).open(path)?;
            file.write_all(bytes.as_bytes())
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(path = %self.path.display(), %error, "the build's log is not whole");
        }
        self.tail.send_modify(|tail| {
            if !text.is_empty() {
                *tail = Tail { start: tail.end, end: tail.end + text.len() as u64, text: text.into(), over: tail.over };
            }
            tail.over |= over;
        });
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
