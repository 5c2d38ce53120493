//! Directories that a build left behind, read and written without following a symbolic link.
//!
//! A build may leave a link to `/etc/shadow`, a FIFO that blocks its reader, or a directory that is swapped for a link
//! while it is read. So a [`Dir`] is an open directory, and the kernel resolves every path below it with
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS` (openat2(2)).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

mod words;
mod write;

use crate::model::failure::{Failure, FailureCode};
use words::not_regular;
pub use words::{failure, show};

/// An open directory below which no path is resolved through a link or out of it.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    shown: PathBuf,
}

/// What kind of file an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Link,
    /// A FIFO, a socket or a device.
    Special,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file's name.
    pub name: OsString,
    /// Its kind.
    pub kind: Kind,
    /// Its size in bytes, for a regular file.
    pub size: u64,
}

impl Dir {
    /// Opens a directory of Slipway's own; only its last component is refused if it is a link.
    ///
    /// # Errors
    /// `artifact_missing` if it is not there, `artifact_invalid` if it is a link or no directory.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failure("open", path, error.into()))?;
        Ok(Self { fd, shown: PathBuf::new() })
    }

    /// Opens a directory below this one. `""` and `.` give the directory itself.
    ///
    /// # Errors
    /// As [`Dir::open`], and `artifact_invalid` for any link on the way or a path that leaves this directory.
    pub fn below(&self, relative: impl AsRef<Path>) -> Result<Self, Failure> {
        let relative = relative.as_ref();
        let fd = self.resolve(relative, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self { fd, shown: self.shown(relative) })
    }

    /// Whether there is a directory of that name, which is not a link.
    #[must_use]
    pub fn has_directory(&self, relative: impl AsRef<Path>) -> bool {
        self.below(relative).is_ok()
    }

    /// Opens a regular file below this directory for reading.
    ///
    /// # Errors
    /// `artifact_missing` if it is not there; `artifact_invalid` for a link, a FIFO, a device, a socket or a directory.
    pub fn open_file(&self, relative: impl AsRef<Path>) -> Result<File, Failure> {
        let relative = relative.as_ref();
        // NONBLOCK: opening a FIFO would otherwise wait for a writer for ever.
        let file = File::from(self.resolve(relative, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?);
        let metadata = file.metadata().map_err(|error| failure("read", &self.shown(relative), error))?;
        if metadata.is_file() { Ok(file) } else { Err(not_regular(&self.shown(relative))) }
    }

    /// Reads a regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Dir::open_file`], and `artifact_invalid` if it is larger.
    pub fn read(&self, relative: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, Failure> {
        let relative = relative.as_ref();
        let mut bytes = Vec::new();
        let file = self.open_file(relative)?;
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| failure("read", &self.shown(relative), error))?;
        if bytes.len() as u64 > limit {
            let shown = show(&self.shown(relative));
            return Err(Failure::new(FailureCode::ArtifactInvalid, format!("{shown} is larger than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// The entries, sorted by the bytes of their names, so that what is made from them is reproducible.
    ///
    /// # Errors
    /// `internal` or `disk_full` when the directory cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, Failure> {
        let fail = |error: rustix::io::Errno| failure("read", &self.shown, error.into());
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
            entries.push(Entry {
                name: OsStr::from_bytes(name.to_bytes()).to_owned(),
                kind: kind(FileType::from_raw_mode(stat.st_mode)),
                size: u64::try_from(stat.st_size).unwrap_or(0),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Where a link of this directory points, as it is written in it.
    ///
    /// # Errors
    /// `internal` when it cannot be read.
    pub fn read_link(&self, name: &OsStr) -> Result<PathBuf, Failure> {
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new())
            .map_err(|error| failure("read the link", &self.shown(Path::new(name)), error.into()))?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// The path of something below this directory, relative to the directory first opened, for messages.
    #[must_use]
    pub fn shown(&self, relative: &Path) -> PathBuf {
        if relative.as_os_str().is_empty() { self.shown.clone() } else { self.shown.join(relative) }
    }

    fn resolve(&self, relative: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Failure> {
        let path = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode, resolve)
            .map_err(|error| failure("open", &self.shown(relative), error.into()))
    }
}

fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Link,
        _ => Kind::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn code<T: std::fmt::Debug>(result: Result<T, Failure>) -> FailureCode {
        result.expect_err("a failure").code
    }

    #[test]
    fn links_are_never_followed() {
        let temp = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", temp.path().join("passwd")).unwrap();
        symlink("/etc", temp.path().join("etc")).unwrap();
        std::fs::create_dir(temp.path().join("inner")).unwrap();
        std::fs::write(temp.path().join("secret"), "x").unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        assert_eq!(code(dir.open_file("passwd")), FailureCode::ArtifactInvalid);
        assert_eq!(code(dir.open_file("etc/passwd")), FailureCode::ArtifactInvalid);
        assert_eq!(code(dir.below("etc")), FailureCode::ArtifactInvalid);
        assert_eq!(code(dir.below("inner").unwrap().open_file("../secret")), FailureCode::ArtifactInvalid);
        assert_eq!(code(dir.open_file("/etc/passwd")), FailureCode::ArtifactInvalid);
        assert_eq!(code(dir.make("etc/x")), FailureCode::ArtifactInvalid);
        assert_eq!(code(dir.create("etc/x", false)), FailureCode::ArtifactInvalid);
        assert_eq!(code(dir.create("passwd", false)), FailureCode::ArtifactInvalid);
        assert_eq!(code(Dir::open(&temp.path().join("etc"))), FailureCode::ArtifactInvalid);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let temp = tempfile::tempdir().unwrap();
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, temp.path().join("fifo"), FileType::Fifo, mode, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(temp.path().join("socket")).unwrap();
        std::fs::create_dir(temp.path().join("directory")).unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        for name in ["fifo", "socket", "directory"] {
            assert_eq!(code(dir.open_file(name)), FailureCode::ArtifactInvalid, "{name}");
        }
        assert_eq!(code(dir.open_file("absent")), FailureCode::ArtifactMissing);
    }

    #[test]
    fn sizes_are_bounded_and_entries_sorted() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["b", "a", "B"] {
            std::fs::write(temp.path().join(name), "four").unwrap();
        }
        let dir = Dir::open(temp.path()).unwrap();
        assert_eq!(dir.read("a", 4).unwrap(), b"four");
        assert_eq!(code(dir.read("a", 3)), FailureCode::ArtifactInvalid);
        let names: Vec<_> = dir.entries().unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["B", "a", "b"]);
    }
}
