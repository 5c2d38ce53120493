//! Removing what a build left behind, however it is protected and wherever its links lead.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::safe_fs::failure;
use crate::model::failure::{Failure, FailureCode};

/// Removes a directory with everything in it; one that is not there is removed already.
///
/// Read-only directories (Go's module cache has mode 0555) are made writable first, links are removed and never
/// followed, and no depth of nesting exhausts the stack or the open files: one directory is open at a time, and the
/// way back up is `..`, checked to be the directory that was left.
///
/// # Errors
/// `internal` naming the path, for example where a file belongs to another user.
pub fn remove_tree(path: &Path) -> Result<(), Failure> {
    let fail = |error: Errno| failure("remove", path, error.into());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Failure::new(FailureCode::Internal, format!("`{}` cannot be removed", path.display())));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let parent = rustix::fs::open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    match parent {
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(fail(error)),
        Ok(parent) => match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(fail(error)),
            Ok(stat) if is_directory(&stat) => {
                empty(enter(parent.as_fd(), name).map_err(fail)?).map_err(fail)?;
                rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR).map_err(fail)
            }
            Ok(_) => rustix::fs::unlinkat(&parent, name, AtFlags::empty()).map_err(fail),
        },
    }
}

/// A directory on the way down: which it is, its name in the one above, and the sub-directories still to remove.
struct Level {
    identity: (u64, u64),
    name: OsString,
    left: Vec<OsString>,
}

fn empty(top: OwnedFd) -> rustix::io::Result<()> {
    let mut here = top;
    let mut levels = vec![Level { identity: identity(&here)?, name: OsString::new(), left: clear(&here)? }];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.left.pop() {
            here = enter(here.as_fd(), &name)?;
            levels.push(Level { identity: identity(&here)?, name, left: clear(&here)? });
            continue;
        }
        let Some(done) = levels.pop() else { break };
        let Some(above) = levels.last() else { break };
        here = rustix::fs::openat(&here, "..", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        if identity(&here)? != above.identity {
            // Somebody moved the directory while it was emptied: going on would empty another one.
            return Err(Errno::BUSY);
        }
        rustix::fs::unlinkat(&here, &done.name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

/// Removes everything but the sub-directories of a directory, whose names it gives back.
fn clear(dir: &OwnedFd) -> rustix::io::Result<Vec<OsString>> {
    let mut directories = Vec::new();
    let mut others = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let name = std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned();
        if is_directory(&stat) { directories.push(name) } else { others.push(name) }
    }
    for name in others {
        rustix::fs::unlinkat(dir, &name, AtFlags::empty())?;
    }
    Ok(directories)
}

/// Opens a sub-directory after making it readable and writable for its owner.
fn enter(parent: BorrowedFd<'_>, name: &std::ffi::OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // O_PATH needs no permission on the directory itself, and pins it: the mode is changed through the descriptor, so
    // that a directory swapped for a link in between is not touched.
    let pinned = rustix::fs::openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
    let mode = rustix::fs::fstat(&pinned)?.st_mode;
    if mode & 0o700 != 0o700 {
        let itself = format!("/proc/self/fd/{}", pinned.as_raw_fd());
        std::fs::set_permissions(itself, std::fs::Permissions::from_mode(mode & 0o7777 | 0o700))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    }
    rustix::fs::openat(&pinned, ".", flags | OFlags::RDONLY, Mode::empty())
}

fn identity(dir: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(dir)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn is_directory(stat: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn read_only_directories_go_and_links_are_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let keep = temp.path().join("keep");
        fs::create_dir(&keep).unwrap();
        fs::write(keep.join("file"), "kept").unwrap();
        let doomed = temp.path().join("doomed");
        fs::create_dir_all(doomed.join("a/b")).unwrap();
        fs::create_dir_all(doomed.join("a/c/d")).unwrap();
        fs::write(doomed.join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(&keep, doomed.join("a/link")).unwrap();
        for path in ["a/b", "a"] {
            fs::set_permissions(doomed.join(path), fs::Permissions::from_mode(0o555)).unwrap();
        }
        fs::set_permissions(doomed.join("a"), fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&doomed).unwrap();
        assert!(!doomed.exists());
        assert_eq!(fs::read_to_string(keep.join("file")).unwrap(), "kept");
        remove_tree(&doomed).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_the_tree_is_removed_itself() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("keep")).unwrap();
        fs::write(temp.path().join("keep/file"), "kept").unwrap();
        std::os::unix::fs::symlink("keep", temp.path().join("link")).unwrap();
        remove_tree(&temp.path().join("link")).unwrap();
        assert!(!temp.path().join("link").exists());
        assert!(temp.path().join("keep/file").exists());
    }

    #[test]
    fn deep_nesting_exhausts_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let top = temp.path().join("top");
        fs::create_dir(&top).unwrap();
        let mut at = rustix::fs::open(&top, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..5000 {
            rustix::fs::mkdirat(&at, "d", Mode::from_raw_mode(0o700)).unwrap();
            at = rustix::fs::openat(&at, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists());
    }
}
