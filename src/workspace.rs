//! One directory per build, removed when it ends.

use std::path::{Path, PathBuf};

use crate::artifact::remove::remove_tree;
use crate::model::failure::{Failure, FailureCode};

/// A build's directory: the checkout, the build context, and the operator's files for commands.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Makes a new directory below `parent`.
    ///
    /// # Errors
    /// `disk_full` or `internal` with the path.
    pub fn create(parent: &Path, id: &str) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            let code = if error.kind() == std::io::ErrorKind::StorageFull {
                FailureCode::DiskFull
            } else {
                FailureCode::Internal
            };
            Failure::new(code, format!("no workspace can be made in `{}`: {error}", parent.display()))
        };
        std::fs::create_dir_all(parent).map_err(failed)?;
        let root = tempfile::Builder::new().prefix(&format!("{id}-")).tempdir_in(parent).map_err(failed)?.keep();
        let workspace = Self { root };
        for directory in [workspace.source(), workspace.context(), workspace.files()] {
            std::fs::create_dir(directory).map_err(failed)?;
        }
        Ok(workspace)
    }

    /// The checkout.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    /// What the image build sees.
    #[must_use]
    pub fn context(&self) -> PathBuf {
        self.root.join("context")
    }

    /// Settings, trust stores and credentials that commands see.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(failure) = remove_tree(&self.root) {
            tracing::warn!(path = %self.root.display(), error = %failure, "a workspace stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_behind() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(parent.path(), "b1").unwrap();
        std::fs::write(workspace.source().join("file"), "x").unwrap();
        drop(workspace);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
