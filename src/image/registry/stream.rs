//! A blob that is sent while it is still being written: how long it is and what its digest is, is known at its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Method, StatusCode};
use tokio::sync::watch;

use super::Descriptor;
use super::ready::Ready;
use super::refusal::Refusal;
use super::session::Session;

/// How much is read at a time.
const BUFFER: u64 = 1 << 19;

/// How far a blob is.
#[derive(Debug, Clone, Default)]
pub(in crate::image) struct Progress {
    /// Bytes that are in the file.
    pub(in crate::image) size: u64,
    /// The blob, once the file is whole.
    pub(in crate::image) whole: Option<Descriptor>,
}

/// A file that is being written.
#[derive(Debug, Clone)]
pub(in crate::image) struct Growing {
    file: Arc<File>,
    progress: watch::Receiver<Progress>,
}

impl Growing {
    /// Follows a file; whoever writes tells how far it is.
    pub(in crate::image) fn new(file: File) -> (watch::Sender<Progress>, Self) {
        let (tell, progress) = watch::channel(Progress::default());
        (tell, Self { file: Arc::new(file), progress })
    }

    /// The blob, once it is whole; none where the writer gives up.
    async fn whole(&self) -> Option<Descriptor> {
        let mut progress = self.progress.clone();
        progress.wait_for(|now| now.whole.is_some()).await.ok()?.whole.clone()
    }

    /// Its bytes from the first on, as they come, and are counted. It fails when the writer gives up.
    fn bytes(&self, sent: Arc<AtomicU64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold((self.clone(), sent, 0_u64), |(mut growing, sent, at)| async move {
            loop {
                sent.store(at, Ordering::Relaxed);
                let now = growing.progress.borrow_and_update().clone();
                if at < now.size {
                    let (file, length) = (Arc::clone(&growing.file), BUFFER.min(now.size - at));
                    let piece = tokio::task::spawn_blocking(move || read(&file, at, length));
                    let piece = piece.await.map_err(io::Error::other)??;
                    return Ok(Some((piece, (growing, sent, at + length))));
                }
                if now.whole.is_some() {
                    return Ok(None);
                }
                growing.progress.changed().await.map_err(|_| io::Error::other("it is not wanted any more"))?;
            }
        })
    }
}

fn read(file: &File, at: u64, length: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}

impl Session {
    /// Sends a blob that is being written, by one `PATCH` of unknown length. It is tried once.
    pub(in crate::image) async fn stream(&self, growing: &Growing) -> Result<(), Refusal> {
        let begun = self.begin().await?;
        let sent = Arc::new(AtomicU64::new(0));
        let body = |request: reqwest::RequestBuilder| async {
            let bytes = Body::wrap_stream(growing.bytes(Arc::clone(&sent)));
            let request = request.header(CONTENT_TYPE, "application/octet-stream").body(bytes);
            Ok(Ready::counted(request, Arc::clone(&sent)))
        };
        // Only then can be told how much there is to send.
        let whole = async { growing.whole().await.inspect(|blob| self.meter.count(blob, Arc::clone(&sent))) };
        let (answer, whole) = tokio::join!(self.send(Method::PATCH, &begun, body), whole);
        let blob = whole.ok_or_else(|| Refusal::Own("the blob ended before it was whole".to_owned()))?;
        self.put(&self.named(&answer?, &begun)?, &blob, None).await
    }

    /// Whether the registry says that there is no such repository.
    pub(in crate::image) async fn is_new(&self) -> bool {
        let Ok(place) = self.place("tags/list?n=1") else { return false };
        let asked = self.exchange(Method::GET, &place, |request| async { Ok(request) }).await;
        asked.is_err_and(|refusal| refusal.status() == Some(StatusCode::NOT_FOUND))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn all_of_a_growing_file_is_read_however_it_grows() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let (tell, growing) = Growing::new(file.reopen().unwrap());
        let reading = tokio::spawn(growing.bytes(Arc::default()).try_collect::<Vec<Bytes>>());
        let mut all = Vec::new();
        for length in [1_usize, 700_000, 0, 3] {
            let piece = vec![u8::try_from(length % 251).unwrap(); length];
            file.write_all(&piece).unwrap();
            all.extend(piece);
            tell.send_modify(|progress| progress.size = all.len() as u64);
            tokio::task::yield_now().await;
        }
        let blob = Descriptor { digest: crate::model::image_reference::Digest::of_sha256([0; 32]), size: 700_004 };
        tell.send_modify(|progress| progress.whole = Some(blob));
        assert_eq!(reading.await.unwrap().unwrap().concat(), all);
    }

    #[tokio::test]
    async fn a_blob_that_nobody_finishes_is_an_error() {
        let (tell, growing) = Growing::new(tempfile::tempfile().unwrap());
        drop(tell);
        assert!(growing.bytes(Arc::default()).try_collect::<Vec<Bytes>>().await.is_err());
    }
}
