//! The build context, entry by entry: sorted, with fixed times and owners, never held in memory.
//!
//! Equal contents give equal entries, which is what makes layer digests reproducible. The
//! directory is untrusted and may change while it is read, so everything is opened from its
//! parent's descriptor and no link is followed.

mod archive;

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

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
            ContextKind::Repository { dockerfile } | ContextKind::Listed { dockerfile, .. } => dockerfile,
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
        let mut archive = archive::Archive::new(out);
        self.walk(dockerfile, &mut archive)?;
        archive.finish()
    }

    /// Gives every entry to the sink, the Dockerfile's text in its place. Blocks.
    pub(super) fn walk<S: Sink>(&self, dockerfile: &str, sink: &mut S) -> Result<(), Failure> {
        let mut walk = Walk {
            context: self,
            rules: match self.kind {
                ContextKind::Generated { .. } => Rules::default(),
                ContextKind::Repository { .. } | ContextKind::Listed { .. } => self.ignore_rules()?,
            },
            sink,
            pending: Vec::new(),
        };
        let entry = Path::new(self.dockerfile_entry());
        let owner = walk.owner(entry);
        // Docker's documentation, ".dockerignore file": one that is ignored can be built by, and not be copied.
        if S::NEEDS_DOCKERFILE || !walk.rules.ignores(entry) {
            walk.sink.text(entry, dockerfile, owner).map_err(|fault| self.fault(entry, &fault))?;
        }
        let root = rustix::fs::openat(CWD, &self.root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| self.fault(&self.root, &Fault::Unreadable(error.into())))?;
        walk.directory(&root, Path::new(""), 0)
    }

    /// Whether a file belongs to it, or something below a directory.
    fn holds(&self, path: &Path) -> bool {
        if let ContextKind::Listed { files, .. } = &self.kind { files.holds(path) } else { true }
    }

    /// Why an entry cannot be part of an image.
    pub(super) fn fault(&self, path: &Path, fault: &Fault) -> Failure {
        let why = match fault {
            Fault::Unusable(why) => why.clone(),
            Fault::Changed => "changed while it was read".to_owned(),
            Fault::Unreadable(error) => format!("cannot be read: {error}"),
            Fault::Sending(error) => {
                return Failure::new(FailureCode::Internal, format!("The build context cannot be sent: {error}."));
            }
        };
        let code = match self.kind {
            ContextKind::Generated { .. } => FailureCode::ArtifactInvalid,
            ContextKind::Repository { .. } | ContextKind::Listed { .. } => FailureCode::SourceUnusable,
        };
        let shown = path.to_string_lossy().into_owned();
        let hint = match fault {
            Fault::Changed => "Something still writes there: see to it that the build leaves no process behind.",
            _ => "Remove it, or list it in `.dockerignore` when the repository's own Dockerfile is built.",
        };
        Failure::new(code, format!("`{shown}` in the build context {why}.")).hint(hint).at(shown, None)
    }

    /// The patterns of `<Dockerfile>.dockerignore`, else of `.dockerignore`, as Docker looks.
    ///
    /// # Errors
    /// `source_unusable` when the file cannot be read.
    pub fn ignore_rules(&self) -> Result<Rules, Failure> {
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
pub(super) fn open_beneath(root: &Path, path: &Path) -> rustix::io::Result<OwnedFd> {
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

/// Takes the entries of a context: a directory before what it holds, names sorted.
pub(super) trait Sink {
    /// Whether the Dockerfile comes even where it is ignored: an Engine looks for it in the context.
    const NEEDS_DOCKERFILE: bool;

    fn directory(&mut self, path: &Path, owner: Owner) -> Result<(), Fault>;
    fn link(&mut self, path: &Path, target: &Path, owner: Owner) -> Result<(), Fault>;
    /// A file that exists only here.
    fn text(&mut self, path: &Path, text: &str, owner: Owner) -> Result<(), Fault>;
    /// A regular file, with what was seen of it and the mode that it has in the context.
    fn file(
        &mut self,
        path: &Path,
        seen: &Stat,
        mode: u32,
        owner: Owner,
        open: &dyn Fn() -> rustix::io::Result<OwnedFd>,
    ) -> Result<(), Fault>;
}

/// User and group.
pub(super) type Owner = (u32, u32);

/// What is wrong with an entry.
#[derive(Debug)]
pub(super) enum Fault {
    /// No image can hold it; for people.
    Unusable(String),
    /// It is another file than it was.
    Changed,
    Unreadable(io::Error),
    /// The sink's own fault.
    Sending(io::Error),
}

impl Fault {
    /// Why what a directory listed a moment ago cannot be looked at. It may be gone, or be another kind of thing.
    pub(super) fn of(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL => Self::Changed,
            other => Self::Unreadable(other.into()),
        }
    }
}

struct Walk<'a, S> {
    context: &'a BuildContext,
    rules: Rules,
    sink: &'a mut S,
    /// Ignored directories that are written after all once something in them is not ignored.
    pending: Vec<PathBuf>,
}

impl<S: Sink> Walk<'_, S> {
    fn directory(&mut self, fd: &OwnedFd, path: &Path, depth: usize) -> Result<(), Failure> {
        let failed = |fault: Fault| self.context.fault(path, &fault);
        if depth > DEPTH_LIMIT {
            return Err(failed(Fault::Unusable("is nested too deeply".to_owned())));
        }
        let unreadable = |error: Errno| failed(Fault::Unreadable(error.into()));
        let mut names: Vec<CString> = Vec::new();
        for entry in Dir::read_from(fd).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
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
        let context = self.context;
        if !context.holds(path) {
            return Ok(());
        }
        let failed = |fault: Fault| context.fault(path, &fault);
        let unreadable = |error: Errno| failed(Fault::of(error));
        let ignored = self.rules.ignores(path);
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if ignored && (kind != FileType::Directory || !self.rules.has_exceptions()) {
            return Ok(());
        }
        if matches!(context.kind, ContextKind::Generated { .. }) && name.to_bytes().starts_with(b".wh.") {
            let why = "begins with `.wh.`, which in an image layer means a deletion (OCI image specification, layers)";
            return Err(failed(Fault::Unusable(why.to_owned())));
        }
        let open =
            |kind: OFlags| rustix::fs::openat(parent, name, kind | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let owner = self.owner(path);
        match kind {
            FileType::Directory => {
                let fd = open(OFlags::DIRECTORY).map_err(unreadable)?;
                if ignored {
                    self.pending.push(path.to_owned());
                } else {
                    self.flush_pending(path)?;
                    self.sink.directory(path, owner).map_err(failed)?;
                }
                self.directory(&fd, path, depth + 1)?;
                self.pending.retain(|pending| pending != path);
                Ok(())
            }
            FileType::Symlink => {
                self.flush_pending(path)?;
                let target = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(unreadable)?;
                self.sink.link(path, Path::new(OsStr::from_bytes(target.as_bytes())), owner).map_err(failed)
            }
            FileType::RegularFile => {
                self.flush_pending(path)?;
                let mode = if stat.st_mode & 0o100 == 0 { 0o644 } else { 0o755 };
                self.sink.file(path, &stat, mode, owner, &|| open(OFlags::NONBLOCK)).map_err(failed)
            }
            other => Err(failed(Fault::Unusable(format!("is a {}, which no image can hold", kind_name(other))))),
        }
    }

    fn flush_pending(&mut self, path: &Path) -> Result<(), Failure> {
        for pending in std::mem::take(&mut self.pending) {
            if path.starts_with(&pending) {
                let owner = self.owner(&pending);
                self.sink.directory(&pending, owner).map_err(|fault| self.context.fault(&pending, &fault))?;
            } else {
                self.pending.push(pending);
            }
        }
        Ok(())
    }

    fn owner(&self, path: &Path) -> Owner {
        match &self.context.kind {
            ContextKind::Generated { owned } => owner(owned, path),
            ContextKind::Repository { .. } | ContextKind::Listed { .. } => (0, 0),
        }
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

pub(super) fn same_version(before: &Stat, after: &Stat) -> bool {
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

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
