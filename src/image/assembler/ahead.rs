//! Blobs go to the registry before the push: layers while they are compressed, all of them while the image is tried.
//! The repository is entered, and its tag looked at, while there is no image yet.
//!
//! Nothing depends on it: what does not arrive, the push sends, which also tells why the registry refuses it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::task::JoinHandle;

use super::pool::lock;
use super::publish::home;
use super::remote::PARALLEL;
use super::store::Store;
use crate::image::registry::Descriptor;
use crate::image::registry::alone::at_once;
use crate::image::registry::refusal::Refusal;
use crate::image::registry::session::Session;
use crate::image::registry::stream::{Growing, Progress};
use crate::image::registry::upload::{Brought, Content};
use crate::image::transfer::Place;
use crate::image::{Destination, RegistryAccess};
use crate::model::image_reference::{Digest, ImageReference};

/// How long it counts what a tag was seen to name. Whoever pushes after us comes after us.
const FRESH: Duration = Duration::from_secs(1);

/// Blobs on their way to a repository, by its name and theirs. They go no further once the last copy is dropped.
#[derive(Clone, Default)]
pub struct Ahead {
    sending: Arc<Mutex<Sending>>,
    look: Arc<Mutex<Option<Look>>>,
    route: Option<Arc<Route>>,
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead").field("sending", &lock(&self.sending).keys()).finish_non_exhaustive()
    }
}

type Sending = BTreeMap<(String, Digest), Task<Option<Brought>>>;

/// Asks what the tag names, and when that was answered.
type Look = Task<Option<(Instant, Seen)>>;

/// How far its blobs are says nothing of an image.
impl PartialEq for Ahead {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Ahead {}

/// A repository that was entered before the push.
pub(super) struct Entered {
    pub(super) place: Place,
    pub(super) session: Arc<Session>,
    /// What the registry said a moment ago of the digest that the tag names.
    pub(super) seen: Option<Seen>,
}

/// What a registry says when it is asked for the digest of a tag.
pub(super) type Seen = Result<Option<Digest>, Refusal>;

impl Ahead {
    /// How a blob came to be in the repository, once it is there; `None` where it is not on its way or did not arrive.
    pub(super) async fn arrived(&self, repository: &str, blob: &Digest) -> Option<Brought> {
        let sending = lock(&self.sending).remove(&(repository.to_owned(), blob.clone()))?;
        sending.ended().await.flatten()
    }

    /// The repository of this image, where it was entered with this access.
    pub(super) async fn entered(&self, reference: &ImageReference, access: &RegistryAccess) -> Option<Entered> {
        let route = self.route.as_ref()?;
        if (reference, access) != (&route.destination.reference, &route.destination.access) {
            return None;
        }
        let look = lock(&self.look).take();
        let seen = match look {
            Some(look) => look.ended().await.flatten(),
            None => None,
        };
        let (place, session) = route.enter().await?;
        let seen = seen.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, seen)| seen);
        Some(Entered { place: place.clone(), session: Arc::clone(session), seen })
    }
}

/// Work beside the build, which ends with whoever waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    async fn ended(mut self) -> Option<T> {
        (&mut self.0).await.ok()
    }
}

impl<T> Drop for Task<T> {
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
    entered: OnceCell<Option<(Place, Arc<Session>)>>,
    /// Whether what this build makes is likely to be new to the repository.
    new: OnceCell<bool>,
    at_once: Semaphore,
}

/// A layer that is sent while it is compressed; says whether that succeeded.
pub(super) struct Streamed(Task<bool>);

/// How a blob came to be in the store.
pub(super) enum Came {
    /// It was there.
    Before,
    /// This build made it.
    Now,
    /// This build made it, and sent it meanwhile.
    Streamed(Streamed),
}

impl Courier {
    /// To this place, whose repository is entered at once; `bases` are the repositories that base images came from. It
    /// needs a runtime.
    pub(super) fn new<'a>(store: &Store, destination: &Destination, bases: impl Iterator<Item = &'a str>) -> Self {
        let route = Route {
            store: store.clone(),
            sources: bases.filter_map(|base| home(Some(base), &destination.reference)).map(str::to_owned).collect(),
            destination: destination.clone(),
            entered: OnceCell::new(),
            new: OnceCell::new(),
            at_once: Semaphore::new(PARALLEL),
        };
        let route = Arc::new(route);
        let looking = Arc::clone(&route);
        let look = Task(tokio::spawn(async move { looking.look().await }));
        let look = Arc::new(Mutex::new(Some(look)));
        Self { ahead: Ahead { sending: Arc::default(), look, route: Some(Arc::clone(&route)) }, route }
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
        (tell, Streamed(Task(tokio::spawn(async move { route.stream(&growing).await }))))
    }

    /// Sends a blob of the store, unless it was streamed. What other repositories have the push mounts in no time.
    pub(super) fn send(&self, blob: &Descriptor, came: Came) {
        let (store, repository) = (&self.route.store, &self.route.destination.reference);
        if store.knows(repository, blob) || !store.holders(repository, blob).is_empty() {
            return;
        }
        let mut all = lock(&self.ahead.sending);
        // Two instructions may write the same.
        let Entry::Vacant(own) = all.entry((repository.name(), blob.digest.clone())) else { return };
        let (route, blob) = (Arc::clone(&self.route), blob.clone());
        let alone = matches!(came, Came::Streamed(_)).then(|| at_once(&repository.name(), &blob.digest)).flatten();
        own.insert(Task(tokio::spawn(async move {
            match came {
                Came::Before => route.bring(&blob, false).await,
                Came::Now => route.bring(&blob, true).await,
                Came::Streamed(streamed) => {
                    let arrived = streamed.0.ended().await.unwrap_or(false);
                    drop(alone);
                    if arrived { Some(Brought::Sent) } else { route.bring(&blob, false).await }
                }
            }
        })));
    }
}

impl Route {
    async fn enter(&self) -> Option<&(Place, Arc<Session>)> {
        let enter = async {
            let place = Place::new(self.destination.reference.clone(), self.destination.access.clone()).await.ok()?;
            let session = place.session(&self.sources).ok()?;
            Some((place, Arc::new(session)))
        };
        self.entered.get_or_init(|| enter).await.as_ref()
    }

    async fn look(&self) -> Option<(Instant, Seen)> {
        let (place, session) = self.enter().await?;
        let seen = session.digest_of(place.tag()).await;
        Some((Instant::now(), seen))
    }

    /// A repository that this cache has pushed to would have a layer in the cache, were it there; a new one has nothing.
    async fn lacks_what_is_made(&self, session: &Session) -> bool {
        let ask = async { self.store.has_pushed_to(&self.destination.reference) || session.is_new().await };
        *self.new.get_or_init(|| ask).await
    }

    async fn stream(&self, growing: &Growing) -> bool {
        let Some((_, session)) = self.enter().await else { return false };
        self.lacks_what_is_made(session).await && session.stream(growing).await.is_ok()
    }

    /// Once: the push tries again what it has to.
    async fn bring(&self, blob: &Descriptor, made: bool) -> Option<Brought> {
        let _turn = self.at_once.acquire().await.ok()?;
        let path = self.store.path(&blob.digest);
        let content = Content::File(&path, 0);
        let (_, session) = self.enter().await?;
        let brought = if made && self.lacks_what_is_made(session).await {
            session.bring_new(blob, content).await
        } else {
            session.bring_once(blob, &self.sources, content).await
        };
        brought.ok()
    }
}
