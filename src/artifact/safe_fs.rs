//! Directories that a build left behind, read and written without following a symbolic link.
//!
//! A build may leave a link to `/etc/shadow`, a FIFO that blocks its reader, or a directory that is swapped for a link
//! while it is read. So a [`Dir`] is an open directory, and the kernel resolves every path below it with
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS` (openat2(2)).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

use crate::model::failure::{Failure, FailureCode};

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

    /// Makes a directory and those above it, all with mode 0755, and opens it.
    ///
    /// # Errors
    /// `artifact_invalid` if something else has that name; `disk_full`, `internal`.
    pub fn make(&self, relative: impl AsRef<Path>) -> Result<Self, Failure> {
        let mut at = self.below("")?;
        for component in relative.as_ref().components() {
            let Component::Normal(name) = component else { continue };
            match rustix::fs::mkdirat(&at.fd, name, Mode::from_raw_mode(0o755)) {
                Err(error) if error != rustix::io::Errno::EXIST => {
                    return Err(failure("make", &at.shown(Path::new(name)), error.into()));
                }
                made => {
                    let next = at.below(Path::new(name))?;
                    if made.is_ok() {
                        // The worker's umask must not show in an image.
                        rustix::fs::fchmod(&next.fd, Mode::from_raw_mode(0o755))
                            .map_err(|error| failure("make", &next.shown, error.into()))?;
                    }
                    at = next;
                }
            }
        }
        Ok(at)
    }

    /// Makes a file that is not there yet, with mode 0755 or 0644.
    ///
    /// # Errors
    /// `artifact_invalid` if the name is taken; `disk_full`, `internal`.
    pub fn create(&self, name: impl AsRef<Path>, executable: bool) -> Result<File, Failure> {
        let name = name.as_ref();
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        // RDWR, because a zip writer goes back to fill in sizes.
        let fd = self.resolve(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode)?;
        rustix::fs::fchmod(&fd, mode).map_err(|error| failure("write", &self.shown(name), error.into()))?;
        Ok(File::from(fd))
    }

    /// Makes a symbolic link with exactly this text.
    ///
    /// # Errors
    /// `artifact_invalid` if the name is taken; `disk_full`, `internal`.
    pub fn link(&self, name: &OsStr, target: &Path) -> Result<(), Failure> {
        rustix::fs::symlinkat(target, &self.fd, name)
            .map_err(|error| failure("link", &self.shown(Path::new(name)), error.into()))
    }

    /// Copies one regular file, keeping of its mode whether it is executable, and tells its size.
    ///
    /// It is a copy and no hard link: a process that the build left running could still write to a shared file.
    ///
    /// # Errors
    /// As [`Dir::open_file`] and [`Dir::create`].
    pub fn copy_file(&self, name: impl AsRef<Path>, into: &Self, new_name: impl AsRef<Path>) -> Result<u64, Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut from = self.open_file(&name)?;
        let fail = |error| failure("copy", &self.shown(name.as_ref()), error);
        let executable = from.metadata().map_err(fail)?.permissions().mode() & 0o111 != 0;
        let mut to = into.create(new_name, executable)?;
        io::copy(&mut from, &mut to).map_err(fail)
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

/// A path in backticks, with newlines, control characters and bytes that are no UTF-8 made visible.
#[must_use]
pub fn show(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if text.is_empty() { ".".into() } else { text };
    let escaped: String = text
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    format!("`{escaped}`")
}

/// What an error of the file system means for a build.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub fn failure(verb: &str, path: &Path, error: io::Error) -> Failure {
    use rustix::io::Errno;
    let shown = show(path);
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT) => Failure::new(FailureCode::ArtifactMissing, format!("the build left no {shown}")),
        Some(Errno::LOOP) => {
            Failure::new(FailureCode::ArtifactInvalid, format!("{shown} is, or lies behind, a symbolic link"))
                .hint("Make the build write a regular file there; links are not followed.")
        }
        Some(Errno::XDEV) => {
            Failure::new(FailureCode::ArtifactInvalid, format!("{shown} lies outside the build's directory"))
        }
        Some(Errno::NOTDIR) => Failure::new(FailureCode::ArtifactInvalid, format!("{shown} is not a directory")),
        Some(Errno::ISDIR | Errno::NXIO) => not_regular(path),
        Some(Errno::EXIST) => {
            Failure::new(FailureCode::ArtifactInvalid, format!("two files of the artifact want to be {shown}"))
                .hint("Rename one of them: in the image there is one directory for both.")
        }
        Some(Errno::NOSPC | Errno::DQUOT) => {
            Failure::new(FailureCode::DiskFull, format!("cannot {verb} {shown}: {error}"))
        }
        _ => Failure::new(FailureCode::Internal, format!("cannot {verb} {shown}: {error}")),
    }
}

fn not_regular(path: &Path) -> Failure {
    Failure::new(FailureCode::ArtifactInvalid, format!("{} is not a regular file", show(path)))
        .hint("Sockets, FIFOs and devices cannot go into an image; remove it at the end of the build or exclude it.")
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
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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

    #[test]
    fn copies_keep_only_the_executable_bit() {
        let temp = tempfile::tempdir().unwrap();
        for (name, mode) in [("run", 0o4700), ("data", 0o600)] {
            std::fs::write(temp.path().join(name), name).unwrap();
            std::fs::set_permissions(temp.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let dir = Dir::open(temp.path()).unwrap();
        let to = dir.make("out/deep").unwrap();
        dir.copy_file("run", &to, "run").unwrap();
        dir.copy_file("data", &to, "data").unwrap();
        let mode = |name: &str| std::fs::metadata(temp.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode("out/deep/run"), mode("out/deep/data"), mode("out"), mode("out/deep")),
            (0o755, 0o644, 0o755, 0o755)
        );
        assert_eq!(code(dir.copy_file("run", &to, "run")), FailureCode::ArtifactInvalid);
    }

    #[test]
    fn odd_names_are_shown_on_one_line() {
        assert_eq!(show(Path::new("a\nb")), "`a\\nb`");
        assert_eq!(show(Path::new("")), "`.`");
    }
}
