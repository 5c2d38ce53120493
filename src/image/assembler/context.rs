//! The build context as a list of entries over one file, so that each `COPY` takes what it names.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::store::unwritable;
use crate::image::BuildContext;
use crate::model::failure::{Failure, FailureCode};

/// The context: sorted entries, and the file that holds their contents.
pub(super) struct Context {
    pub(super) entries: Vec<Entry>,
    file: File,
}

/// One entry of the context.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The path without a `/` at its end, as bytes: file names need not be text.
    pub(super) path: Vec<u8>,
    pub(super) content: Content,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Directory,
    Link(Vec<u8>),
    File { offset: u64, size: u64, sha256: [u8; 32] },
}

impl Context {
    /// Reads a context by the same rules as for the Engine, the Dockerfile's text in its place. Blocks.
    pub(super) fn read(context: &BuildContext, dockerfile: &str, directory: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| unwritable(directory, &error);
        let file =
            std::fs::create_dir_all(directory).and_then(|()| tempfile::tempfile_in(directory)).map_err(failed)?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        context.write_tar(dockerfile, &mut out)?;
        out.flush().map_err(failed)?;
        drop(out);
        let mut context = Self { entries: Vec::new(), file };
        context.list().map_err(|error| {
            Failure::new(FailureCode::Internal, format!("the build context cannot be read again: {error}"))
        })?;
        Ok(context)
    }

    fn list(&mut self) -> std::io::Result<()> {
        let mut reader = &self.file;
        reader.seek(SeekFrom::Start(0))?;
        let mut archive = tar::Archive::new(std::io::BufReader::with_capacity(1 << 20, reader));
        let mut buffer = vec![0; 1 << 16];
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path_bytes().into_owned();
            let path = path.strip_suffix(b"/").unwrap_or(&path).to_vec();
            let content = match entry.header().entry_type() {
                tar::EntryType::Directory => Content::Directory,
                tar::EntryType::Symlink => {
                    Content::Link(entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default())
                }
                _ => {
                    let (offset, size) = (entry.raw_file_position(), entry.size());
                    let mut hash = Sha256::new();
                    loop {
                        let read = entry.read(&mut buffer)?;
                        if read == 0 {
                            break;
                        }
                        hash.update(&buffer[..read]);
                    }
                    Content::File { offset, size, sha256: hash.finalize().into() }
                }
            };
            let header = entry.header();
            let (mode, uid, gid) = (header.mode()?, header.uid()?, header.gid()?);
            self.entries.push(Entry { path, content, mode, uid, gid });
        }
        Ok(())
    }

    /// The bytes of a file.
    pub(super) fn open(&self, offset: u64, size: u64) -> std::io::Result<impl Read + '_> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))?;
        Ok(file.take(size))
    }
}
