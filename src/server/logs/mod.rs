//! Logs of builds: a file each, followed by any number of people without the build noticing.
//!
//! A place in a log is its offset in the file, so a reader that comes back goes on where it was. What was written last
//! is also kept in memory, once for all readers; one that lags reads the file.

mod live;

use std::collections::HashMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) use live::{Live, Tail};

use crate::model::failure::{Failure, FailureCode};
use crate::model::names::BuildId;
use crate::work::blocking;

/// What is read of a file at a time.
const CHUNK: u64 = 128 << 10;

/// Every log there is.
#[derive(Debug)]
pub(super) struct Logs {
    directory: PathBuf,
    /// The most bytes of one.
    limit: u64,
    live: Mutex<HashMap<String, Arc<Live>>>,
}

/// A piece of a log: whole lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it begins.
    pub(super) start: u64,
    pub(super) text: Arc<str>,
}

impl Piece {
    /// Where it ends.
    pub(super) fn end(&self) -> u64 {
        self.start + self.text.len() as u64
    }
}

impl Logs {
    /// Logs below a directory, which is made if it is not there.
    pub(super) fn open(directory: PathBuf, limit: u64) -> Result<Self, Failure> {
        std::fs::create_dir_all(&directory).map_err(|error| {
            let message = format!("`{}`, where logs are kept, cannot be made: {error}", directory.display());
            Failure::new(FailureCode::ConfigurationInvalid, message).hint("set `server.directory`")
        })?;
        Ok(Self { directory, limit, live: Mutex::default() })
    }

    fn path(&self, id: &BuildId) -> PathBuf {
        // An id has letters, digits, `_` and `-`: it names no other directory.
        self.directory.join(format!("{id}.log"))
    }

    /// The log of a build that runs or will run, for its writer and its readers.
    pub(super) fn live(&self, id: &BuildId) -> Arc<Live> {
        let mut live = self.lock();
        let new = || Arc::new(Live::open(self.path(id), self.limit));
        Arc::clone(live.entry(id.to_string()).or_insert_with(new))
    }

    /// Whether somebody writes or reads it now.
    pub(super) fn is_live(&self, id: &BuildId) -> bool {
        self.lock().contains_key(id.as_str())
    }

    /// What was written so far is in the file, and with those who follow.
    pub(super) async fn flush(&self, id: &BuildId) {
        let live = self.lock().get(id.as_str()).cloned();
        if let Some(live) = live {
            live.flush(false).await;
        }
    }

    /// The build has ended: everybody has what there is, and goes.
    pub(super) async fn end(&self, id: &BuildId) {
        let live = self.lock().remove(id.as_str());
        if let Some(live) = live {
            live.end().await;
        }
    }

    /// How many bytes a build's log has.
    pub(super) async fn size(&self, id: &BuildId) -> u64 {
        tokio::fs::metadata(self.path(id)).await.map_or(0, |metadata| metadata.len())
    }

    /// The bytes of a log between two offsets.
    pub(super) async fn bytes(&self, id: &BuildId, from: u64, to: u64) -> Result<Vec<u8>, Failure> {
        let path = self.path(id);
        blocking(move || {
            let read = || {
                let mut file = std::fs::File::open(&path)?;
                file.seek(SeekFrom::Start(from))?;
                let mut bytes = Vec::new();
                file.take(to.saturating_sub(from)).read_to_end(&mut bytes).map(|_| bytes)
            };
            match read() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
                read => read
                    .map_err(|error| Failure::new(FailureCode::Internal, format!("the log cannot be read: {error}"))),
            }
        })
        .await
    }

    /// Whole lines from an offset on, as many as are read at a time; the offset need not be the beginning of a line.
    pub(super) async fn piece(&self, id: &BuildId, from: u64, to: u64) -> Result<Option<Piece>, Failure> {
        let mut bytes = self.bytes(id, from, to.min(from + CHUNK)).await?;
        let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Ok(None) };
        bytes.truncate(last + 1);
        // Offsets count bytes of the file; what is no UTF-8 in the middle of it was never written by us.
        let text = String::from_utf8(bytes).unwrap_or_else(|error| "?".repeat(error.as_bytes().len() - 1) + "\n");
        Ok(Some(Piece { start: from, text: text.into() }))
    }

    /// The last lines of a log, and where they begin.
    pub(super) async fn last(&self, id: &BuildId, bytes: u64) -> Result<Piece, Failure> {
        let size = self.size(id).await;
        let from = size.saturating_sub(bytes);
        let mut read = self.bytes(id, from, size).await?;
        let first =
            if from == 0 { 0 } else { read.iter().position(|byte| *byte == b'\n').map_or(read.len(), |at| at + 1) };
        let text = String::from_utf8_lossy(&read.split_off(first)).into_owned();
        Ok(Piece { start: from + first as u64, text: text.into() })
    }

    /// How many lines stand before an offset.
    pub(super) async fn lines_before(&self, id: &BuildId, offset: u64) -> Result<u64, Failure> {
        let (mut lines, mut at) = (0, 0);
        while at < offset {
            let bytes = self.bytes(id, at, offset.min(at + (8 << 20))).await?;
            if bytes.is_empty() {
                break;
            }
            lines += bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
            at += bytes.len() as u64;
        }
        Ok(lines)
    }

    /// Removes logs older than this.
    pub(super) async fn prune(&self, keep: Duration) -> Result<u64, Failure> {
        let directory = self.directory.clone();
        blocking(move || {
            let now = crate::clock::since_epoch();
            let old = |entry: &std::fs::DirEntry| {
                let written = entry.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
                Some(now.saturating_sub(written) > keep)
            };
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let gone = entries
                .filter(|entry| old(entry) == Some(true))
                .filter(|entry| std::fs::remove_file(entry.path()).is_ok());
            Ok(gone.count() as u64)
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_followed_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(directory.path().to_owned(), 1 << 20).unwrap();
        let id: BuildId = "b1".parse().unwrap();
        let live = logs.live(&id);
        let mut tail = live.follow();
        live.line("compile", "hello\nworld");
        tail.wait_for(|tail| tail.end > 0).await.unwrap();
        let first = tail.borrow().clone();
        assert!(first.text.ends_with(" compile hello world\n"), "{}", first.text);
        live.line("compile", "again");
        logs.end(&id).await;
        assert!(tail.borrow().over);
        let size = logs.size(&id).await;
        let piece = logs.piece(&id, first.end, size).await.unwrap().unwrap();
        assert_eq!((piece.start, piece.end()), (first.end, size));
        assert!(piece.text.ends_with(" compile again\n"));
        assert_eq!(logs.last(&id, 20).await.unwrap().text.as_ref(), "");
        assert_eq!(logs.last(&id, 1000).await.unwrap().start, 0);
        // The next attempt goes on where the last one ended.
        let live = logs.live(&id);
        live.line("compile", "more");
        logs.end(&id).await;
        assert!(logs.size(&id).await > size);
    }

    #[tokio::test]
    async fn a_log_has_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::open(directory.path().to_owned(), 500).unwrap();
        let id: BuildId = "b1".parse().unwrap();
        let live = logs.live(&id);
        for number in 0..1000 {
            live.line("compile", &format!("line {number}"));
        }
        logs.end(&id).await;
        assert!(logs.size(&id).await < 1000);
        assert!(logs.last(&id, 1000).await.unwrap().text.contains("no more of the log is kept"));
    }
}
