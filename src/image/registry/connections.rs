//! How much is asked of a registry at a time, by all builds of this process: so a slow one is waited for by those who need
//! it, and a Harbor is not overrun by eight builds with four blobs each.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Requests that a registry has at a time where the operator says nothing.
const USUAL: usize = 8;

/// By registry, for as long as somebody asks it.
static REGISTRIES: LazyLock<Mutex<HashMap<String, Weak<Semaphore>>>> = LazyLock::new(Mutex::default);

/// The requests of one registry.
pub(super) struct Connections(Arc<Semaphore>);

impl Connections {
    /// Those of the registry at this address, shared with everyone who asks it now. Who asks first says how many there are.
    pub(super) fn of(base: &Url, most: Option<NonZeroU16>) -> Self {
        let place = format!("{}:{}", base.host_str().unwrap_or_default(), base.port_or_known_default().unwrap_or(0));
        let mut all = REGISTRIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&place).and_then(Weak::upgrade) {
            return Self(known);
        }
        all.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(most.map_or(USUAL, |most| usize::from(most.get()))));
        all.insert(place, Arc::downgrade(&semaphore));
        Self(semaphore)
    }

    /// Waits for one; it is free again with what is given.
    pub(super) async fn one(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_registry_has_its_own_which_all_share() {
        let url = |text: &str| Url::parse(text).unwrap();
        let two = NonZeroU16::new(2);
        let mine = Connections::of(&url("https://slow.example.com/v2/"), two);
        let yours = Connections::of(&url("https://slow.example.com:443/v2/"), two);
        let held = (mine.one().await, yours.one().await);
        assert_eq!((mine.0.available_permits(), yours.0.available_permits()), (0, 0));
        // Whoever is slow delays nobody else.
        let other = Connections::of(&url("https://other.example.com/v2/"), two);
        assert!(other.one().await.is_some());
        drop(held);
        assert_eq!(mine.0.available_permits(), 2);
        drop((mine, yours));
        let anew = Connections::of(&url("https://slow.example.com/v2/"), None);
        assert_eq!(anew.0.available_permits(), 8);
    }
}
