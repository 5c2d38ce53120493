//! The build context as a tar stream: sorted, with fixed times and owners, never held in memory.
//!
//! Equal contents give an equal stream, which is what makes layer digests reproducible. The
//! directory is untrusted and may change while it is read, so everything is opened from its
//! parent's descriptor and no link is followed.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use super::dockerignore::Rules;
use super::{BuildContext, ContextKind, OwnedPath};
use crate::model::failure::{Failure, FailureCode};

/// 1980-01-01T00:00:00Z, the time of every entry. The Engine's cache ignores times, so a time
/// that differed between builds would make equal layers differ; zip cannot hold earlier ones.
pub const ENTRY_TIME: u64 = 315_532_800;

/// The deepest nesting of directories that is read; each level holds a file descriptor.
const DEPTH_LIMIT: usize = 200;

/// The Dockerfile's entry in a generated context.
const GENERATED_DOCKERFILE: &str = "Dockerfile";

impl BuildContext {
    /// The name of the Dockerfile's entry in the stream.
    #[must_use]
    pub fn dockerfile_entry(&self) -> &str {
        match &self.kind {
            ContextKind::Generated { .. } => GENERATED_DOCKERFILE,
            ContextKind::Repository { dockerfile } => dockerfile,
        }
    }

    /// Writes the context as a tar, the Dockerfile's text in its place. Blocks.
    ///
    /// # Errors
    ///
    /// `source_unusable` (a repository) or `artifact_invalid` (a generated context) for what
    /// no image can hold, or a file that changes meanwhile; `disk_full`, `internal` for faults
    /// of the machine or of the writer.
    pub fn write_tar(&self, dockerfile: &str, out: &mut dyn Write) -> Result<(), Failure> {
        let mut writer = ContextWriter {
            context: self,
            rules: match self.kind {
                ContextKind::Generated { .. } => Rules::default(),
                ContextKind::Repository { .. } => self.ignore_rules()?,
            },
            tar: tar::Builder::new(out),
            pending: Vec::new(),
        };
        writer.bytes_entry(self.dockerfile_entry(), dockerfile.as_bytes())?;
        let root = rustix::fs::openat(CWD, &self.root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| writer.unreadable(&self.root, error.into()))?;
        writer.directory(&root, Path::new(""), 0)?;
        let out = writer.tar.into_inner().map_err(writing_failed)?;
        out.flush().map_err(writing_failed)
    }

    /// The patterns of `<Dockerfile>.dockerignore`, else of `.dockerignore`, as Docker looks.
    fn ignore_rules(&self) -> Result<Rules, Failure> {
        for name in [format!("{}.dockerignore", self.dockerfile_entry()), ".dockerignore".to_owned()] {
            let Ok(fd) = open_beneath(&self.root, Path::new(&name)) else { continue };
            let mut text = Vec::new();
            // More than a mebibyte of patterns is no list that a person wrote.
            let read = File::from(fd).take(1 << 20).read_to_end(&mut text);
            if let Err(error) = read {
                let message = format!("`{name}` cannot be read: {error}.");
                return Err(Failure::new(FailureCode::SourceUnusable, message).at(name, None));
            }
            return Ok(Rules::parse(&String::from_utf8_lossy(&text)));
        }
        Ok(Rules::default())
    }
}

/// Opens a regular file below a directory without following links on the way.
fn open_beneath(root: &Path, path: &Path) -> rustix::io::Result<OwnedFd> {
    let mut fd = rustix::fs::openat(CWD, root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let parts: Vec<_> = path.components().collect();
    for (index, part) in parts.iter().enumerate() {
        let std::path::Component::Normal(name) = part else { return Err(rustix::io::Errno::INVAL) };
        let kind = if index + 1 == parts.len() { OFlags::NONBLOCK } else { OFlags::DIRECTORY };
        fd = rustix::fs::openat(&fd, *name, kind | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    }
    match FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) {
        FileType::RegularFile => Ok(fd),
        _ => Err(rustix::io::Errno::INVAL),
    }
}

struct ContextWriter<'a> {
    context: &'a BuildContext,
    rules: Rules,
    tar: tar::Builder<&'a mut dyn Write>,
    /// Ignored directories that are written after all once something in them is not ignored.
    pending: Vec<PathBuf>,
}

impl ContextWriter<'_> {
    fn directory(&mut self, fd: &OwnedFd, path: &Path, depth: usize) -> Result<(), Failure> {
        if depth > DEPTH_LIMIT {
            return Err(self.unusable(path, "is nested too deeply"));
        }
        let mut names: Vec<CString> = Vec::new();
        for entry in Dir::read_from(fd).map_err(|error| self.unreadable(path, error.into()))? {
            let entry = entry.map_err(|error| self.unreadable(path, error.into()))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort_unstable();
        for name in names {
            let path = path.join(OsStr::from_bytes(name.as_bytes()));
            self.entry(fd, &name, &path, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, parent: &OwnedFd, name: &CString, path: &Path, depth: usize) -> Result<(), Failure> {
        if path == Path::new(self.context.dockerfile_entry()) {
            return Ok(());
        }
        let ignored = self.rules.ignores(path);
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.unreadable(path, error.into()))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if ignored && (kind != FileType::Directory || !self.rules.has_exceptions()) {
            return Ok(());
        }
        if matches!(self.context.kind, ContextKind::Generated { .. }) && name.to_bytes().starts_with(b".wh.") {
            let why = "begins with `.wh.`, which in an image layer means a deletion (OCI image specification, layers)";
            return Err(self.unusable(path, why));
        }
        match kind {
            FileType::Directory => {
                let fd = self.open(parent, name, path, OFlags::DIRECTORY)?;
                if ignored {
                    self.pending.push(path.to_owned());
                } else {
                    self.flush_pending(path)?;
                    self.header_only(path, tar::EntryType::Directory, 0o755)?;
                }
                self.directory(&fd, path, depth + 1)?;
                self.pending.retain(|pending| pending != path);
                Ok(())
            }
            FileType::Symlink => {
                self.flush_pending(path)?;
                let target = rustix::fs::readlinkat(parent, name, Vec::new())
                    .map_err(|error| self.unreadable(path, error.into()))?;
                let mut header = self.header(path, tar::EntryType::Symlink, 0o777, 0);
                let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                self.tar.append_link(&mut header, path, target).map_err(writing_failed)
            }
            FileType::RegularFile => {
                self.flush_pending(path)?;
                let fd = self.open(parent, name, path, OFlags::NONBLOCK)?;
                self.file(&File::from(fd), path)
            }
            other => Err(self.unusable(path, &format!("is a {}, which no image can hold", kind_name(other)))),
        }
    }

    /// Writes a regular file; its size must stay what it was when its header was written.
    fn file(&mut self, file: &File, path: &Path) -> Result<(), Failure> {
        let stat = rustix::fs::fstat(file).map_err(|error| self.unreadable(path, error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.changed(path));
        }
        let mode = if stat.st_mode & 0o100 == 0 { 0o644 } else { 0o755 };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut header = self.header(path, tar::EntryType::Regular, mode, size);
        let mut body = Counted { inner: file.take(size), count: 0, error: None };
        let written = self.tar.append_data(&mut header, path, &mut body);
        let (count, error) = (body.count, body.error);
        if let Some(error) = error {
            return Err(self.unreadable(path, error));
        }
        written.map_err(writing_failed)?;
        let after = rustix::fs::fstat(file).map_err(|error| self.unreadable(path, error.into()))?;
        if count != size || !same_version(&stat, &after) {
            return Err(self.changed(path));
        }
        Ok(())
    }

    fn flush_pending(&mut self, path: &Path) -> Result<(), Failure> {
        for pending in std::mem::take(&mut self.pending) {
            if path.starts_with(&pending) {
                self.header_only(&pending, tar::EntryType::Directory, 0o755)?;
            } else {
                self.pending.push(pending);
            }
        }
        Ok(())
    }

    fn bytes_entry(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let mut header = self.header(Path::new(path), tar::EntryType::Regular, 0o644, bytes.len() as u64);
        self.tar.append_data(&mut header, path, bytes).map_err(writing_failed)
    }

    fn header_only(&mut self, path: &Path, kind: tar::EntryType, mode: u32) -> Result<(), Failure> {
        let mut header = self.header(path, kind, mode, 0);
        self.tar.append_data(&mut header, path, io::empty()).map_err(writing_failed)
    }

    fn header(&self, path: &Path, kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
        let (uid, gid) = match &self.context.kind {
            ContextKind::Generated { owned } => owner(owned, path),
            ContextKind::Repository { .. } => (0, 0),
        };
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(ENTRY_TIME);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header
    }

    fn open(&self, parent: &OwnedFd, name: &CString, path: &Path, kind: OFlags) -> Result<OwnedFd, Failure> {
        rustix::fs::openat(parent, name, kind | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| self.unreadable(path, error.into()))
    }

    fn unusable(&self, path: &Path, why: &str) -> Failure {
        let code = match self.context.kind {
            ContextKind::Generated { .. } => FailureCode::ArtifactInvalid,
            ContextKind::Repository { .. } => FailureCode::SourceUnusable,
        };
        let shown = path.to_string_lossy().into_owned();
        Failure::new(code, format!("`{shown}` in the build context {why}."))
            .hint("Remove it, or list it in `.dockerignore` when the repository's own Dockerfile is built.")
            .at(shown, None)
    }

    fn changed(&self, path: &Path) -> Failure {
        self.unusable(path, "changed while it was read")
            .hint("Something still writes there: see to it that the build leaves no process behind.")
    }

    #[expect(clippy::needless_pass_by_value, reason = "called with freshly converted errors")]
    fn unreadable(&self, path: &Path, error: io::Error) -> Failure {
        self.unusable(path, &format!("cannot be read: {error}"))
    }
}

/// The owner of a path of a generated context: its first component is the layer, the rest is
/// the path in the image. The longest prefix wins.
fn owner(owned: &[OwnedPath], path: &Path) -> (u32, u32) {
    let inside: PathBuf = path.components().skip(1).collect();
    owned
        .iter()
        .filter(|owned| inside.starts_with(owned.path.trim_matches('/')))
        .max_by_key(|owned| owned.path.len())
        .map_or((0, 0), |owned| (owned.uid, owned.gid))
}

fn same_version(before: &Stat, after: &Stat) -> bool {
    before.st_size == after.st_size && before.st_mtime == after.st_mtime && before.st_mtime_nsec == after.st_mtime_nsec
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "named pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "file of an unknown kind",
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as an argument of map_err")]
fn writing_failed(error: io::Error) -> Failure {
    Failure::new(FailureCode::Internal, format!("The build context cannot be sent: {error}."))
}

/// Tells errors of reading from errors of writing, which `io::copy` mixes up.
struct Counted<R> {
    inner: R,
    count: u64,
    error: Option<io::Error>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(read) => {
                self.count += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let told = io::Error::from(error.kind());
                self.error = Some(error);
                Err(told)
            }
        }
    }
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
