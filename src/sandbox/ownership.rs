//! Who a command runs as, and whom its files belong to.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};

use crate::leftovers::OwnDirectory;
use crate::model::command::{Command, FileMount};
use crate::model::failure::{Failure, FailureCode};

/// The home of the run's user, in memory.
pub const HOME: &str = "/home/build";

/// Deeper directories are a trap, not a source tree; each level also holds a file descriptor.
const DEEPEST: usize = 200;

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Identity {
    /// The worker's own, so that it can remove what a run leaves; 10001 when the worker is root.
    #[must_use]
    pub fn of_runs() -> Self {
        match rustix::process::geteuid().as_raw() {
            0 => Self { uid: 10001, gid: 10001 },
            uid => Self { uid, gid: rustix::process::getegid().as_raw() },
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// Writes the `passwd` that names the run's user and its home: the JVM looks for a home nowhere else.
pub(super) fn write_passwd(scratch: &Path, identity: Identity) -> io::Result<PathBuf> {
    std::fs::create_dir_all(scratch)?;
    let scratch = scratch.canonicalize()?;
    let text = format!("root:x:0:0:root:/root:/sbin/nologin\nbuild:x:{identity}::{HOME}:/bin/sh\n");
    // Another worker may write the same file: a rename never shows half of it.
    let file = tempfile::NamedTempFile::new_in(&scratch)?;
    std::fs::write(file.path(), text)?;
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))?;
    let path = scratch.join(format!("passwd-{}-{}", identity.uid, identity.gid));
    file.persist(&path)?;
    Ok(path)
}

/// Gives a command's workspace and caches to the run's user, when the worker is root; else they are its own already.
///
/// Of a cache only the top is looked at: below a directory that is the user's, everything was made by runs.
pub(super) async fn hand_over(command: &Command, identity: Identity) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let workspace = command.workspace.clone();
    let caches: Vec<PathBuf> = command.caches.iter().map(|cache| cache.source.clone()).collect();
    let work = move || -> Result<(), (PathBuf, io::Error)> {
        give(&workspace, identity).map_err(|error| (workspace, error))?;
        for cache in caches {
            let owned = std::fs::symlink_metadata(&cache).is_ok_and(|top| top.uid() == identity.uid);
            if !owned {
                give(&cache, identity).map_err(|error| (cache, error))?;
            }
        }
        Ok(())
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?.map_err(|(path, error)| {
        let text = format!("cannot give `{}` to the user of builds ({identity}): {error}", path.display());
        Failure::new(FailureCode::Internal, text)
    })
}

/// The command with files that the run's user may read: what the worker alone may read (a settings file with
/// credentials) is copied for this run, next to its other secrets, and gone with the returned directory.
pub(super) fn readable(
    command: &Command,
    scratch: &Path,
    identity: Identity,
) -> io::Result<(Vec<FileMount>, Option<OwnDirectory>)> {
    let mut files = command.files.clone();
    if !rustix::process::geteuid().is_root() {
        return Ok((files, None));
    }
    let mut copies = None;
    for (number, file) in files.iter_mut().enumerate() {
        let metadata = std::fs::metadata(&file.source)?;
        if metadata.uid() == identity.uid || metadata.mode() & 0o004 != 0 {
            continue;
        }
        let directory = match copies.take() {
            Some(directory) => directory,
            None => OwnDirectory::create(scratch, "files")?,
        };
        let copy = directory.path().canonicalize()?.join(number.to_string());
        std::fs::copy(&file.source, &copy)?;
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o400))?;
        std::os::unix::fs::chown(&copy, Some(identity.uid), Some(identity.gid))?;
        file.source = copy;
        copies = Some(directory);
    }
    Ok((files, copies))
}

/// Changes the owner of everything below a directory, and of the directory last, so that its owner tells whether all
/// is done. Follows no link, and leaves files with several names alone: another name may lie outside.
fn give(root: &Path, identity: Identity) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::open(root, flags, Mode::empty())?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    give_below(&top, identity, 0)?;
    Ok(rustix::fs::fchown(&top, Some(uid), Some(gid))?)
}

fn give_below(directory: &OwnedFd, identity: Identity, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other(format!("directories are nested more than {DEEPEST} deep")));
    }
    for entry in Dir::read_from(directory.as_fd())? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = rustix::fs::openat(directory, name, flags, Mode::empty())?;
            give_below(&below, identity, depth + 1)?;
        } else if stat.st_nlink > 1 {
            continue;
        }
        if (stat.st_uid, stat.st_gid) != (identity.uid, identity.gid) {
            let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
            rustix::fs::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Changing to one's own identity needs no root, and to another's it does; so this tests what it may.
    #[test]
    fn links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("file"), "").unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(inside.path().join("a/b")).unwrap();
        std::fs::write(inside.path().join("a/b/c"), "").unwrap();
        symlink(outside.path(), inside.path().join("a/directory")).unwrap();
        symlink(outside.path().join("file"), inside.path().join("a/file")).unwrap();
        symlink("/nowhere", inside.path().join("dangling")).unwrap();
        std::fs::hard_link(outside.path().join("file"), inside.path().join("hard")).unwrap();

        let identity = Identity::of_runs();
        give(inside.path(), identity).unwrap();
        let owner = |path: PathBuf| std::fs::symlink_metadata(path).unwrap().uid();
        assert_eq!(owner(inside.path().join("a/b/c")), identity.uid);
        assert_eq!(owner(inside.path().join("a/directory")), identity.uid);
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(owner(outside.path().to_owned()), own);
        assert_eq!(owner(outside.path().join("file")), own);
        assert!(give(&inside.path().join("a/directory"), identity).is_err());
    }
}
