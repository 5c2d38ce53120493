//! Directories that belong to a living process.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::artifact::remove::remove_tree;

/// Locked by the owner for as long as it lives.
pub(super) const LOCK: &str = ".slipway-lock";

/// How directories are called while they have no lock yet.
const NEW: &str = ".new-";

/// After this time, what has no lock was left half made, or half removed.
const HALF_DONE: Duration = Duration::from_hours(1);

/// A new directory, removed with everything in it when this value is dropped, or by [`sweep_directories`] once its
/// process is dead.
#[derive(Debug)]
pub struct OwnDirectory {
    path: PathBuf,
    _lock: File,
}

impl OwnDirectory {
    /// Makes a directory below `parent`, which is made too; its name begins with `name`. Only this user sees into it.
    ///
    /// # Errors
    /// Whatever the system answers.
    pub fn create(parent: &Path, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        let new = tempfile::Builder::new().prefix(NEW).rand_bytes(10).tempdir_in(parent)?;
        let lock = File::create(new.path().join(LOCK))?;
        lock.lock()?;
        let suffix = new.path().file_name().unwrap_or_default().to_string_lossy().replacen(NEW, "", 1);
        let path = parent.join(format!("{name}-{suffix}"));
        // Seen by others only now that it is locked.
        std::fs::rename(new.path(), &path)?;
        let _ = new.keep();
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        if let Err(failure) = remove_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), error = %failure, "a directory stays behind");
        }
    }
}

/// Removes the [`OwnDirectory`]s below `parent` whose process is dead, and says how many. Blocks.
#[must_use]
pub fn sweep_directories(parent: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(parent) else { return 0 };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.filter(|entry| is_left(&entry.path()) && removed(&entry.path())).count()
}

fn is_left(directory: &Path) -> bool {
    // It may have its lock's file and not the lock, for a moment.
    if directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NEW)) {
        return is_old(directory);
    }
    if directory.join(LOCK).exists() { is_let_go(directory) } else { is_old(directory) }
}

/// Whether a directory has a lock that nobody holds any more. Where there is none, nobody knows.
pub(super) fn is_let_go(directory: &Path) -> bool {
    // Locked and let go at once: nobody comes to lock a directory that was made before.
    File::open(directory.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

fn is_old(directory: &Path) -> bool {
    let modified = std::fs::symlink_metadata(directory).and_then(|metadata| metadata.modified());
    let since = modified.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.is_some_and(|since| crate::clock::since_epoch().saturating_sub(since) > HALF_DONE)
}

fn removed(directory: &Path) -> bool {
    remove_tree(directory)
        .inspect_err(|failure| {
            tracing::warn!(path = %directory.display(), error = %failure, "a dead worker's directory stays behind");
        })
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_ends_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let own = OwnDirectory::create(parent.path(), "b1").unwrap();
        std::fs::write(own.path().join("file"), "x").unwrap();
        assert_eq!(sweep_directories(parent.path()), 0, "its owner lives");
        let path = own.path().to_owned();
        drop(own);
        assert!(!path.exists());
    }

    /// Of eight programs that begin at once, one swept away what another was about to lock.
    #[test]
    fn a_directory_in_the_making_is_nobodys_leftover() {
        let parent = tempfile::tempdir().unwrap();
        let new = parent.path().join(format!("{NEW}x"));
        std::fs::create_dir(&new).unwrap();
        std::fs::write(new.join(LOCK), "").unwrap();
        assert_eq!(sweep_directories(parent.path()), 0);
        assert!(new.join(LOCK).exists());
    }

    #[test]
    fn a_dead_ones_directory_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join("b2-x");
        std::fs::create_dir_all(dead.join("source")).unwrap();
        assert_eq!(sweep_directories(parent.path()), 0, "it may be in the making");
        std::fs::write(dead.join(LOCK), "").unwrap();
        assert_eq!(sweep_directories(parent.path()), 1);
        assert!(!dead.exists());
        assert_eq!(sweep_directories(&parent.path().join("none")), 0);
    }
}
