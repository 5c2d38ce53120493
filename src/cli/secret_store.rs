//! Where the secret of a robot goes: into the operator's file, and to standard output only where that was asked for.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, PersistError};

use super::args::Keep;
use crate::config::{Config, SecretSource};
use crate::model::failure::{Failure, FailureCode};

/// A place for a secret.
pub(super) struct Store {
    file: Option<(PathBuf, NamedTempFile)>,
    show: bool,
}

impl Store {
    /// The place that the flags name, known to be writable before a robot is made.
    pub(super) fn open(config: &Config, keep: &Keep) -> Result<Self, Failure> {
        let path = match (&keep.store, &keep.secret_file) {
            (Some(name), _) => Some(file_of(config, name)?),
            (None, path) => path.clone(),
        };
        if path.is_none() && !keep.show_secret {
            let message = "it is not said where the robot's secret goes";
            return Err(Failure::new(FailureCode::RequestInvalid, message).hint(
                "name the credentials whose file gets it (`--store NAME`), a file (`--secret-file FILE`), or have it printed (`--show-secret`)",
            ));
        }
        let file = path.map(|path| prepare(&path).map(|file| (path, file))).transpose()?;
        Ok(Self { file, show: keep.show_secret })
    }

    /// Whether it is printed.
    pub(super) fn shows(&self) -> bool {
        self.show
    }

    /// Writes the secret beside its place, so that it survives whatever comes.
    pub(super) fn write(mut self, secret: &str) -> Result<Self, Failure> {
        if let Some((path, file)) = &mut self.file {
            let written = file.write_all(secret.as_bytes()).and_then(|()| file.as_file().sync_all());
            written.map_err(|error| unwritable(path, &error))?;
        }
        Ok(self)
    }

    /// Puts it in its place; gives the file, where there is one.
    pub(super) fn put(self) -> Result<Option<PathBuf>, Failure> {
        let Some((path, file)) = self.file else { return Ok(None) };
        file.persist(&path).map_err(|error| beside(&path, error))?;
        Ok(Some(path))
    }
}

/// The file of credentials that keep their password in one.
fn file_of(config: &Config, name: &str) -> Result<PathBuf, Failure> {
    let entry = config.credentials.get(name).and_then(|entry| entry.password.as_ref());
    match entry {
        Some(SecretSource::File(path)) => Ok(path.clone()),
        _ => Err(Failure::new(
            FailureCode::ConfigurationInvalid,
            format!("the credentials `{name}` have no file that a secret can be written to"),
        )
        .hint(format!("set `credentials.{name}.password = {{ file = \"…\" }}`, or use `--secret-file FILE`"))
        .candidates(config.credentials.keys().cloned())),
    }
}

/// A file beside the one that is meant: readable by its owner alone, or by those who may read the one that it replaces.
fn prepare(path: &Path) -> Result<NamedTempFile, Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".slipway-secret-").tempfile_in(directory);
    let file = made.map_err(|error| unwritable(path, &error))?;
    let Ok(known) = path.metadata() else { return Ok(file) };
    // The worker that reads it is often somebody else, by the file's group.
    fchown(file.as_file(), Some(known.uid()), Some(known.gid()))
        .and_then(|()| file.as_file().set_permissions(known.permissions()))
        .map_err(|error| {
            let message = format!("`{}` cannot be replaced with its owner and group kept: {error}", path.display());
            Failure::new(FailureCode::ConfigurationInvalid, message)
                .hint("run this as the file's owner or as root, or give the file to whoever runs it")
        })?;
    Ok(file)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::ConfigurationInvalid, format!("`{}` cannot be written: {error}", path.display()))
        .hint("let Slipway write to its directory: the file is replaced as a whole")
}

/// Harbor has the secret, and its place does not take it: it stays where it was written.
fn beside(path: &Path, failed: PersistError) -> Failure {
    let PersistError { error, file } = failed;
    match file.keep() {
        Ok((_, kept)) => {
            let (path, kept) = (path.display(), kept.display());
            let message = format!("`{path}` cannot be replaced: {error}; the robot's secret is in `{kept}`");
            Failure::new(FailureCode::ConfigurationInvalid, message).hint(format!(
                "copy `{kept}` to where `{path}` comes from and remove it; a file that is mounted by itself cannot be replaced, so mount its directory"
            ))
        }
        Err(lost) => unwritable(path, &lost.error),
    }
}
