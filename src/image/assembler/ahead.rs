//! Blobs go to the registry before the push: layers while they are compressed, all of them while the image is tried.
//!
//! Nothing depends on it: what does not arrive, the push sends, which also tells why the registry refuses it.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::task::JoinHandle;

use super::pool::lock;
use super::publish::home;
use super::remote::PARALLEL;
use super::store::Store;
use crate::image::registry::Descriptor;
use crate::image::registry::session::Session;
use crate::image::registry::stream::{Growing, Progress};
use crate::image::registry::upload::{Brought, Content};
use crate::image::transfer::Place;
use crate::image::{Destination, LogSink};
use crate::model::image_reference::Digest;

/// Blobs on their way to a repository, by its name and theirs. They go no further once the last copy is dropped.
#[derive(Clone, Default)]
pub struct Ahead {
    sending: Arc<Mutex<BTreeMap<(String, Digest), Sending>>>,
    route: Option<Arc<Route>>,
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead").field("sending", &lock(&self.sending).keys()).finish_non_exhaustive()
    }
}

/// How far its blobs are says nothing of an image.
impl PartialEq for Ahead {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Ahead {}

impl Ahead {
    /// How a blob came to be in the repository, once it is there; `None` where it is not on its way or did not arrive.
    pub(super) async fn arrived(&self, repository: &str, blob: &Digest) -> Option<Brought> {
        let mut sending = lock(&self.sending).remove(&(repository.to_owned(), blob.clone()))?;
        (&mut sending.0).await.ok().flatten()
    }

    /// Does work, and tells meanwhile how far its blobs are.
    pub(super) async fn told<T>(&self, log: LogSink<'_>, work: impl Future<Output = T>) -> T {
        match self.route.as_ref().and_then(|route| route.session.get()) {
            Some(Some(session)) => session.told(log, work).await,
            _ => work.await,
        }
    }
}

struct Sending(JoinHandle<Option<Brought>>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the blobs of one build to where it is pushed.
pub(super) struct Courier {
    route: Arc<Route>,
    ahead: Ahead,
}

struct Route {
    store: Store,
    destination: Destination,
    /// Repositories that blobs may be mounted from.
    sources: Vec<String>,
    session: OnceCell<Option<Session>>,
    at_once: Semaphore,
}

/// A layer that is sent while it is compressed; says whether that succeeded.
pub(super) struct Streamed(JoinHandle<bool>);

impl Drop for Streamed {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Courier {
    /// To this place; `base` is the repository that the base image came from.
    pub(super) fn new(store: &Store, destination: &Destination, base: Option<&str>) -> Self {
        let route = Route {
            store: store.clone(),
            sources: home(base, &destination.reference).map(str::to_owned).into_iter().collect(),
            destination: destination.clone(),
            session: OnceCell::new(),
            at_once: Semaphore::new(PARALLEL),
        };
        let route = Arc::new(route);
        Self { ahead: Ahead { sending: Arc::default(), route: Some(Arc::clone(&route)) }, route }
    }

    /// What is on its way.
    pub(super) fn ahead(&self) -> Ahead {
        self.ahead.clone()
    }

    /// Sends a layer from now on, which begins to be written into this file, where it is likely to be new to the
    /// repository: nothing is sent twice for the sake of a head start. It needs a runtime, as `send` does.
    pub(super) fn follow(&self, file: File) -> (watch::Sender<Progress>, Streamed) {
        let (tell, growing) = Growing::new(file);
        let route = Arc::clone(&self.route);
        (tell, Streamed(tokio::spawn(async move { route.stream(&growing).await })))
    }

    /// Sends a blob of the store, unless it was streamed. What other repositories have the push mounts in no time.
    pub(super) fn send(&self, blob: &Descriptor, streamed: Option<Streamed>) {
        let (store, repository) = (&self.route.store, &self.route.destination.reference);
        if store.knows(repository, blob) || !store.holders(repository, blob).is_empty() {
            return;
        }
        let (route, blob, key) = (Arc::clone(&self.route), blob.clone(), (repository.name(), blob.digest.clone()));
        let sending = tokio::spawn(async move {
            if let Some(mut streamed) = streamed
                && (&mut streamed.0).await.unwrap_or(false)
            {
                return Some(Brought::Sent);
            }
            route.bring(&blob).await
        });
        lock(&self.ahead.sending).entry(key).or_insert(Sending(sending));
    }
}

impl Route {
    async fn session(&self) -> Option<&Session> {
        let open = async {
            let place = Place::new(self.destination.reference.clone(), self.destination.access.clone()).await.ok()?;
            place.session(&self.sources).ok()
        };
        self.session.get_or_init(|| open).await.as_ref()
    }

    /// A repository that this cache has pushed to would have the layer in the cache, were it there; a new one has nothing.
    async fn stream(&self, growing: &Growing) -> bool {
        let Some(session) = self.session().await else { return false };
        let likely_new = self.store.has_pushed_to(&self.destination.reference) || session.is_new().await;
        likely_new && session.stream(growing).await.is_ok()
    }

    /// Once: the push tries again what it has to.
    async fn bring(&self, blob: &Descriptor) -> Option<Brought> {
        let _turn = self.at_once.acquire().await.ok()?;
        let path = self.store.path(&blob.digest);
        self.session().await?.bring_once(blob, &self.sources, Content::File(&path, 0)).await.ok()
    }
}
