//! One build's log: written by a thread of its own, so that a slow disk stops no build.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::task::JoinHandle;

use crate::model::report::{BuildEvent, Outcome};

/// How often what was said so far is brought to the disk, for people who read along and for workers that die.
const FLUSH: Duration = Duration::from_secs(1);

/// The log of one attempt. What its thread has not written yet waits in memory, which `limits.log` bounds.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    writer: Mutex<Option<Writer>>,
}

#[derive(Debug)]
struct Writer {
    lines: Sender<String>,
    thread: JoinHandle<io::Result<()>>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, writer: Mutex::new(None) }
    }

    /// Where it is, or will be once something was said.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes an event: the begin and end of steps, and every line. Never waits.
    pub fn event(&self, event: &BuildEvent) {
        match event {
            BuildEvent::Log { step, line } => self.line(step.name(), line),
            BuildEvent::StepStarted { step } => self.line(step.name(), "begins"),
            BuildEvent::StepFinished(report) => {
                let ended = match report.outcome {
                    Outcome::Succeeded => "done",
                    Outcome::Failed => "failed",
                    Outcome::TimedOut => "timed out",
                    Outcome::Cancelled => "cancelled",
                    Outcome::Rejected => "rejected",
                };
                self.line(report.step.name(), &format!("{ended} after {} ms", report.duration_ms));
            }
            BuildEvent::Accepted { .. } => {}
        }
    }

    /// Notes a line of a step.
    fn line(&self, step: &str, text: &str) {
        let line = format!("{} {step} {text}\n", crate::clock::now());
        let Ok(mut writer) = self.writer.lock() else { return };
        let writer = writer.get_or_insert_with(|| {
            let ((lines, receiver), path) = (channel(), self.path.clone());
            Writer { lines, thread: tokio::task::spawn_blocking(move || write(&path, &receiver)) }
        });
        // A writer that failed has closed its end; `finish` says why.
        let _ = writer.lines.send(line);
    }

    /// Ends the log and says where it is, if there is one.
    pub async fn finish(self) -> Option<PathBuf> {
        let writer = self.writer.into_inner().ok().flatten()?;
        drop(writer.lines);
        let written = writer.thread.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "the build's log is not whole");
            return self.path.is_file().then_some(self.path);
        }
        Some(self.path)
    }
}

fn write(path: &Path, lines: &Receiver<String>) -> io::Result<()> {
    let mut encoder = GzEncoder::new(File::create(path)?, Compression::fast());
    let mut clean = true;
    loop {
        match lines.recv_timeout(FLUSH) {
            Ok(line) => {
                encoder.write_all(line.as_bytes())?;
                clean = false;
            }
            Err(RecvTimeoutError::Timeout) if clean => {}
            Err(RecvTimeoutError::Timeout) => {
                encoder.flush()?;
                clean = true;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    encoder.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::model::failure::Step;
    use crate::model::report::StepReport;

    fn read(path: &Path) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        text
    }

    #[tokio::test]
    async fn every_line_is_there_with_its_step() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::new(directory.path().join("b1.1.log.gz"));
        log.event(&BuildEvent::StepStarted { step: Step::Compile });
        for number in 0..10_000 {
            log.event(&BuildEvent::Log { step: Step::Compile, line: format!("line {number}") });
        }
        let report = StepReport { step: Step::Compile, outcome: Outcome::Failed, duration_ms: 7, cached: false };
        log.event(&BuildEvent::StepFinished(report));
        let text = read(&log.finish().await.unwrap());
        let said: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(said.len(), 10_002);
        assert_eq!((said[0], said[1], said[10_001]), ("compile begins", "compile line 0", "compile failed after 7 ms"));
    }

    #[tokio::test]
    async fn without_a_line_there_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::new(directory.path().join("b1.1.log.gz"));
        log.event(&BuildEvent::Accepted { id: "b1".to_owned() });
        assert_eq!(log.finish().await, None);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_disk_that_refuses_ends_the_log_and_nothing_else() {
        let log = LogFile::new("/dev/full".into());
        for _ in 0..10_000 {
            log.event(&BuildEvent::Log { step: Step::Compile, line: "x".repeat(100) });
        }
        assert_eq!(log.finish().await, None);
    }
}
