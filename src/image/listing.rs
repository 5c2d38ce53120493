//! Which files of a directory belong to a context.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Files, links and empty directories, relative to a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing(HashSet<OsString>);

impl Listing {
    /// Whether a path is one of them, or a directory above one.
    #[must_use]
    pub fn holds(&self, path: &Path) -> bool {
        self.0.contains(path.as_os_str())
    }
}

impl FromIterator<PathBuf> for Listing {
    fn from_iter<I: IntoIterator<Item = PathBuf>>(paths: I) -> Self {
        let mut held = HashSet::new();
        for path in paths {
            let mut above = path.parent();
            while let Some(directory) = above.filter(|directory| !held.contains(directory.as_os_str())) {
                held.insert(directory.as_os_str().to_owned());
                above = directory.parent();
            }
            held.insert(path.into_os_string());
        }
        Self(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_above_are_held_and_what_only_begins_alike_is_not() {
        let listing: Listing = ["a/b/c", "a/d", "e", "e"].map(PathBuf::from).into_iter().collect();
        for held in ["a", "a/b", "a/b/c", "a/d", "e"] {
            assert!(listing.holds(Path::new(held)), "{held}");
        }
        for other in ["a/b/c/d", "a/bc", "b", "a/e", "ea"] {
            assert!(!listing.holds(Path::new(other)), "{other}");
        }
        assert!(!Listing::default().holds(Path::new("a")));
    }
}
