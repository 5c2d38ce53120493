//! One directory per build, removed when it ends, and what it takes of the disk.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::leftovers::{OwnDirectory, sweep_directories};
use crate::model::failure::{Failure, FailureCode};

/// A build's directory: the checkout, the build context, and the operator's files for commands.
#[derive(Debug)]
pub struct Workspace {
    root: OwnDirectory,
}

impl Workspace {
    /// Makes a new directory below `parent`, where that many bytes are free; those of dead workers go first.
    ///
    /// # Errors
    /// `disk_full` or `internal` with the path.
    pub fn create(parent: &Path, id: &str, needs: u64) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            let code = if error.kind() == std::io::ErrorKind::StorageFull {
                FailureCode::DiskFull
            } else {
                FailureCode::Internal
            };
            Failure::new(code, format!("no workspace can be made in `{}`: {error}", parent.display()))
        };
        std::fs::create_dir_all(parent).map_err(failed)?;
        Self::sweep(parent);
        admit(parent, needs)?;
        let workspace = Self { root: OwnDirectory::create(parent, id).map_err(failed)? };
        for directory in [workspace.source(), workspace.context(), workspace.files()] {
            std::fs::create_dir(directory).map_err(failed)?;
        }
        Ok(workspace)
    }

    /// Removes those of dead workers. Blocks.
    pub fn sweep(parent: &Path) {
        let swept = sweep_directories(parent);
        if swept > 0 {
            tracing::info!(path = %parent.display(), swept, "removed workspaces of dead workers");
        }
    }

    /// All of it.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The checkout.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.root().join("source")
    }

    /// What the image build sees.
    #[must_use]
    pub fn context(&self) -> PathBuf {
        self.root().join("context")
    }

    /// Caches of a build that shares none with others.
    #[must_use]
    pub fn caches(&self) -> PathBuf {
        self.root().join("caches")
    }

    /// Settings, trust stores and credentials that commands see.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.root().join("files")
    }
}

/// Free bytes of the file system that holds a directory.
#[must_use]
pub fn free(directory: &Path) -> Option<u64> {
    rustix::fs::statvfs(directory).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn admit(parent: &Path, needs: u64) -> Result<(), Failure> {
    let Some(free) = free(parent).filter(|free| *free < needs) else { return Ok(()) };
    let (free, needs) = (free >> 20, needs >> 20);
    let text = format!("`{}` has {free} MiB of free disk, and builds start with {needs} MiB", parent.display());
    Err(Failure::new(FailureCode::DiskFull, text)
        .hint("Free space or wait for other builds; the operator's `limits.free_disk` says when builds start."))
}

/// The bytes that files below a directory take of the disk; a file with several names counts with each. Blocks.
#[must_use]
pub fn usage(directory: &Path) -> u64 {
    let (mut bytes, mut open) = (0_u64, vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        // What vanishes while it is looked at takes nothing.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_behind() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(parent.path(), "b1", 0).unwrap();
        std::fs::write(workspace.source().join("file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", workspace.source().join("link")).unwrap();
        let used = usage(workspace.root());
        assert!((100_000..200_000).contains(&used), "{used}");
        drop(workspace);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_build_that_would_fill_the_disk_does_not_start() {
        let parent = tempfile::tempdir().unwrap();
        let failure = Workspace::create(parent.path(), "b1", u64::MAX).unwrap_err();
        assert_eq!((failure.code, failure.retryable), (FailureCode::DiskFull, true));
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
