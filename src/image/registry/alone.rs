//! One upload of a blob into a repository at a time, by all builds of this process: whoever comes second waits, and finds
//! it there. On a slow line, two branches of an application would else send their common layer side by side.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::model::image_reference::Digest;

/// By repository, with its registry, and blob, for as long as somebody sends it or waits.
type Uploads = HashMap<(String, Digest), Weak<Mutex<()>>>;

static UPLOADS: LazyLock<std::sync::Mutex<Uploads>> = LazyLock::new(std::sync::Mutex::default);

/// The right to send a blob, as long as it is held.
pub(in crate::image) struct Alone(#[expect(dead_code, reason = "it is held, not looked at")] OwnedMutexGuard<()>);

/// Waits until nobody else sends the blob there.
pub(super) async fn alone(repository: &str, blob: &Digest) -> Alone {
    Alone(of(repository, blob).lock_owned().await)
}

/// The same at once; none where somebody sends it.
pub(in crate::image) fn at_once(repository: &str, blob: &Digest) -> Option<Alone> {
    of(repository, blob).try_lock_owned().ok().map(Alone)
}

fn of(repository: &str, blob: &Digest) -> Arc<Mutex<()>> {
    let mut all = UPLOADS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (repository.to_owned(), blob.clone());
    if let Some(known) = all.get(&key).and_then(Weak::upgrade) {
        return known;
    }
    all.retain(|_, upload| upload.strong_count() > 0);
    let upload = Arc::new(Mutex::new(()));
    all.insert(key, Arc::downgrade(&upload));
    upload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blob_is_sent_by_one_at_a_time_and_others_meanwhile() {
        let blob = |byte| Digest::of_sha256([byte; 32]);
        let held = at_once("a/b", &blob(1)).unwrap();
        assert!(at_once("a/b", &blob(1)).is_none());
        assert!(at_once("a/b", &blob(2)).is_some() && at_once("a/c", &blob(1)).is_some());
        let second = tokio::spawn(async move { drop(alone("a/b", &blob(1)).await) });
        drop(held);
        second.await.unwrap();
        assert!(at_once("a/b", &blob(1)).is_some());
    }
}
