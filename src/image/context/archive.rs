//! A build context as a tar stream, as the Engine takes it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Stat};

use super::{ENTRY_TIME, Fault, Owner, Sink, same_version};
use crate::model::failure::{Failure, FailureCode};

/// The tar stream.
pub(super) struct Archive<'a>(tar::Builder<&'a mut dyn Write>);

impl<'a> Archive<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self(tar::Builder::new(out))
    }

    /// Writes the end of the stream.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let finished = self.0.into_inner().and_then(Write::flush);
        finished
            .map_err(|error| Failure::new(FailureCode::Internal, format!("The build context cannot be sent: {error}.")))
    }
}

impl Sink for Archive<'_> {
    const NEEDS_DOCKERFILE: bool = true;

    fn directory(&mut self, path: &Path, owner: Owner) -> Result<(), Fault> {
        let mut header = header(tar::EntryType::Directory, 0o755, 0, owner);
        self.0.append_data(&mut header, path, io::empty()).map_err(Fault::Sending)
    }

    fn link(&mut self, path: &Path, target: &Path, owner: Owner) -> Result<(), Fault> {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0, owner);
        self.0.append_link(&mut header, path, target).map_err(Fault::Sending)
    }

    fn text(&mut self, path: &Path, text: &str, owner: Owner) -> Result<(), Fault> {
        let mut header = header(tar::EntryType::Regular, 0o644, text.len() as u64, owner);
        self.0.append_data(&mut header, path, text.as_bytes()).map_err(Fault::Sending)
    }

    /// Writes a regular file; its size must stay what it was when its header was written.
    fn file(
        &mut self,
        path: &Path,
        _: &Stat,
        mode: u32,
        owner: Owner,
        open: &dyn Fn() -> rustix::io::Result<OwnedFd>,
    ) -> Result<(), Fault> {
        let unreadable = |error: rustix::io::Errno| Fault::Unreadable(error.into());
        let file = File::from(open().map_err(Fault::of)?);
        let stat = rustix::fs::fstat(&file).map_err(unreadable)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Fault::Changed);
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut header = header(tar::EntryType::Regular, mode, size, owner);
        let mut body = Counted { inner: (&file).take(size), count: 0, error: None };
        let written = self.0.append_data(&mut header, path, &mut body);
        let (count, error) = (body.count, body.error);
        if let Some(error) = error {
            return Err(Fault::Unreadable(error));
        }
        written.map_err(Fault::Sending)?;
        let after = rustix::fs::fstat(&file).map_err(unreadable)?;
        if count == size && same_version(&stat, &after) { Ok(()) } else { Err(Fault::Changed) }
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64, (uid, gid): Owner) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(ENTRY_TIME);
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header
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
