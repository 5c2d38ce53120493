//! How far the uploads of a push are, in bytes.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Descriptor;
use crate::image::LogSink;
use crate::model::image_reference::Digest;

/// How often people are told, at most.
pub(in crate::image) const TOLD: Duration = Duration::from_secs(1);

/// The bytes of blobs that were sent, and all that they have.
#[derive(Default)]
pub(super) struct Meter {
    blobs: Mutex<BTreeMap<Digest, (Arc<AtomicU64>, u64)>>,
}

impl Meter {
    /// An upload of a blob begins, or begins anew: what is sent of it now is counted from here on.
    pub(super) fn begin(&self, blob: &Descriptor, start: u64) -> Arc<AtomicU64> {
        let sent = Arc::new(AtomicU64::new(start));
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.insert(blob.digest.clone(), (Arc::clone(&sent), blob.size));
        sent
    }

    /// Does work, and tells meanwhile how far its uploads are: where that changed, and at most once a second.
    pub(super) async fn told<T>(&self, log: LogSink<'_>, work: impl Future<Output = T>) -> T {
        self.told_every(TOLD, log, work).await
    }

    async fn told_every<T>(&self, every: Duration, log: LogSink<'_>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut told = Told::default();
        loop {
            if let Ok(done) = tokio::time::timeout(every, &mut work).await {
                return done;
            }
            if let Some(line) = told.line(self.sum()) {
                log(&line);
            }
        }
    }

    fn sum(&self) -> (u64, u64) {
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.values().fold((0, 0), |(sent, all), (one, size)| (sent + one.load(Ordering::Relaxed), all + size))
    }
}

/// What people were told last.
#[derive(Default)]
pub(in crate::image) struct Told {
    sent: u64,
}

impl Told {
    /// The next line. A hundredth more is worth one, so that a push of an hour does not fill the log.
    pub(in crate::image) fn line(&mut self, (sent, all): (u64, u64)) -> Option<String> {
        if sent == 0 || sent < self.sent.saturating_add(all / 100).max(self.sent + 1) {
            // What begins anew counts from there.
            self.sent = self.sent.min(sent);
            return None;
        }
        self.sent = sent;
        Some(format!("pushed {} of {} MiB", mebibytes(sent.min(all)), mebibytes(all)))
    }
}

/// With one decimal.
fn mebibytes(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10) >> 20;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(letter: &str, size: u64) -> Descriptor {
        Descriptor { digest: format!("sha256:{}", letter.repeat(64)).parse().unwrap(), size }
    }

    #[test]
    fn a_line_is_worth_a_hundredth() {
        let mut told = Told::default();
        assert_eq!(told.line((0, 80 << 20)), None);
        assert_eq!(told.line((12_900_000, 80 << 20)).unwrap(), "pushed 12.3 of 80.0 MiB");
        assert_eq!(told.line((12_900_000, 80 << 20)), None);
        assert_eq!(told.line((13_000_000, 80 << 20)), None);
        assert_eq!(told.line((80 << 20, 80 << 20)).unwrap(), "pushed 80.0 of 80.0 MiB");
        // An upload that begins anew is told from where it is.
        assert_eq!(told.line((1 << 20, 80 << 20)), None);
        assert_eq!(told.line((2 << 20, 80 << 20)).unwrap(), "pushed 2.0 of 80.0 MiB");
    }

    #[tokio::test]
    async fn what_is_sent_again_counts_once() {
        let meter = Meter::default();
        let (tell, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let log = |line: &str| tell.send(line.to_owned()).unwrap();
        let work = async {
            let cut = meter.begin(&blob("a", 4 << 20), 0);
            cut.store(3 << 20, Ordering::Relaxed);
            assert_eq!(lines.recv().await.unwrap(), "pushed 3.0 of 4.0 MiB");
            // The rest of the first attempt counts for nothing.
            let again = meter.begin(&blob("a", 4 << 20), 0);
            let other = meter.begin(&blob("b", 4 << 20), 0);
            cut.store(4 << 20, Ordering::Relaxed);
            other.store(1 << 20, Ordering::Relaxed);
            again.store(3 << 20, Ordering::Relaxed);
            assert_eq!(lines.recv().await.unwrap(), "pushed 4.0 of 8.0 MiB");
        };
        meter.told_every(Duration::from_millis(1), &log, work).await;
    }

    #[tokio::test]
    async fn what_is_done_at_once_is_not_told() {
        let meter = Meter::default();
        meter.begin(&blob("a", 1), 1);
        assert_eq!(meter.told(&|line| panic!("{line}"), async { 7 }).await, 7);
    }
}
