//! The directories of a build context, one per image layer.

use std::path::{Path, PathBuf};

use super::safe_fs::{self, Dir};
use crate::model::failure::Failure;

/// The build context of one image: `<root>/layer-<name>/` is a tree relative to the image's `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDirs {
    root: PathBuf,
}

impl LayerDirs {
    /// The layers of a Java application, in the order of their `COPY` instructions: least changing first.
    pub const JAVA: &'static [&'static str] = &["dependencies", "snapshot-dependencies", "application"];

    /// Makes the context with a directory for each layer.
    ///
    /// Layers that stay empty have their directory too, because the Dockerfile copies each.
    ///
    /// # Errors
    /// `disk_full` or `internal` when a directory cannot be made.
    pub fn create(root: &Path, layers: &[&str]) -> Result<Self, Failure> {
        std::fs::create_dir_all(root).map_err(|error| safe_fs::failure("make", root, error))?;
        let dir = Dir::open(root)?;
        for layer in layers {
            dir.make(directory_name(layer))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// The context's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a layer's tree.
    #[must_use]
    pub fn layer(&self, name: &str) -> PathBuf {
        self.root.join(directory_name(name))
    }

    /// A directory of the image within a layer, made if it is not there: `directory("application", "app")`.
    ///
    /// # Errors
    /// `disk_full` or `internal` when it cannot be made.
    pub fn directory(&self, layer: &str, path: &str) -> Result<Dir, Failure> {
        Dir::open(&self.root)?.make(Path::new(&directory_name(layer)).join(path.trim_start_matches('/')))
    }
}

/// The name of a layer's directory in the build context.
#[must_use]
pub fn directory_name(layer: &str) -> String {
    format!("layer-{layer}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_layers_have_a_directory() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = LayerDirs::create(&temp.path().join("context"), LayerDirs::JAVA).unwrap();
        for layer in LayerDirs::JAVA {
            assert!(dirs.layer(layer).is_dir(), "{layer}");
        }
        dirs.directory("application", "/app/lib").unwrap();
        assert!(dirs.layer("application").join("app/lib").is_dir());
    }
}
