//! A lock as pip's requirements files.

use super::{Lock, Locked, Source};
use crate::model::origin::Origin;
use crate::toolchain::manifest::python::requirement::Requirement;

/// Where commands see the repository.
const REPOSITORY: &str = "file:///workspace";

/// Two texts: what is checked by hashes, and what has none. pip checks either all of a run or nothing.
pub(super) fn texts(lock: &Lock) -> (String, String) {
    let (mut checked, mut others) = (Vec::new(), Vec::new());
    for one in &lock.distributions {
        let marker = one.releases.marker().map(|marker| format!("; {marker}"));
        let mut words = vec![specified(one)];
        words.extend(marker);
        words.extend(one.hashes.iter().map(|hash| format!("--hash={hash}")));
        let list = if one.hashes.is_empty() { &mut others } else { &mut checked };
        list.push(words.join(" ") + "\n");
    }
    (checked.concat(), others.concat())
}

fn specified(one: &Locked) -> String {
    match &one.from {
        Source::Index => format!("{}=={}", one.name, one.version),
        Source::Url(url) => format!("{} @ {url}", one.name),
        Source::Directory(path) => format!("{} @ {REPOSITORY}/{path}", one.name),
    }
}

/// The distributions as requirements. A URL of the lock is not repeated.
pub(super) fn list(lock: &Lock) -> Vec<Requirement> {
    let named = |one: &Locked| {
        let text = match &one.from {
            Source::Index => specified(one),
            _ => one.name.clone(),
        };
        Requirement::parse(&text, Origin::tree(&lock.path, "locked"))
    };
    lock.distributions.iter().filter_map(named).collect()
}
