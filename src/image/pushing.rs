//! How far the Engine is with a push, of which it tells many times a second.

use std::collections::BTreeMap;
use std::time::Instant;

use bollard::models::CreateImageInfo;

use super::registry::meter::{TOLD, Told};

/// The layers that it sends: what of each it has sent, and what they have. The Engine counts uncompressed bytes.
pub(super) struct Pushing {
    layers: BTreeMap<String, (u64, u64)>,
    told: Told,
    last: Instant,
}

impl Pushing {
    pub(super) fn begin() -> Self {
        Self { layers: BTreeMap::new(), told: Told::default(), last: Instant::now() }
    }

    /// A line for people, where a message is worth one; at most one a second.
    pub(super) fn line(&mut self, message: &CreateImageInfo) -> Option<String> {
        self.note(message)?;
        if self.last.elapsed() < TOLD {
            return None;
        }
        self.last = Instant::now();
        self.told.line(self.sum())
    }

    fn note(&mut self, message: &CreateImageInfo) -> Option<()> {
        let (layer, detail) = (message.id.as_deref()?, message.progress_detail.as_ref()?);
        let current = detail.current.and_then(|bytes| u64::try_from(bytes).ok())?;
        let known = self.layers.entry(layer.to_owned()).or_default();
        // At its end the Engine leaves the size out, and may have sent some bytes more.
        let all = detail.total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(known.1);
        *known = (current, all.max(current));
        Some(())
    }

    fn sum(&self) -> (u64, u64) {
        self.layers.values().fold((0, 0), |(sent, all), (one, size)| (sent + one, all + size))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard::models::ProgressDetail;

    use super::*;

    fn message(id: &str, current: Option<i64>, total: Option<i64>) -> CreateImageInfo {
        let progress_detail = Some(ProgressDetail { current, total });
        CreateImageInfo { id: Some(id.to_owned()), progress_detail, ..CreateImageInfo::default() }
    }

    #[test]
    fn layers_are_told_together_and_once_a_second() {
        let mut pushing = Pushing::begin();
        assert_eq!(pushing.line(&message("a", Some(1 << 20), Some(2 << 20))), None);
        pushing.last = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let line = pushing.line(&message("b", Some(2 << 20), Some(6 << 20)));
        assert_eq!(line.unwrap(), "pushed 3.0 of 8.0 MiB");
        assert_eq!(pushing.line(&message("b", Some(6 << 20), Some(6 << 20))), None);
        pushing.last = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(pushing.line(&message("a", None, None)), None);
        assert_eq!(pushing.line(&message("a", Some(3 << 20), None)).unwrap(), "pushed 9.0 of 9.0 MiB");
    }
}
