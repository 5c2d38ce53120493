//! The bytes of files: of the build context, and of what was taken out of layers and archives.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File as OpenFile;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::layer::{self, Layer};
use super::name::Name;
use super::node::{File, Kind, Place, Source};
use super::store::{Store, unreadable, unwritable};
use super::tree::Tree;
use crate::image::BuildContext;
use crate::image::context::Fault;
use crate::model::failure::{Failure, FailureCode};

/// What a build reads from, and a scratch file for what has no place of its own.
pub(super) struct Contents {
    context: BuildContext,
    store: Store,
    scratch: OpenFile,
    end: u64,
}

impl Contents {
    pub(super) fn new(context: BuildContext, store: Store) -> Result<Self, Failure> {
        let directory = store.directory();
        let made = std::fs::create_dir_all(directory).and_then(|()| tempfile::tempfile_in(directory));
        let scratch = made.map_err(|error| unwritable(directory, &error))?;
        Ok(Self { context, store, scratch, end: 0 })
    }

    /// Where files of this build may be written.
    pub(super) fn directory(&self) -> &std::path::Path {
        self.store.directory()
    }

    /// Gives the bytes of a file to `take`, piece by piece. A file that is not what it was when it was hashed fails.
    pub(super) fn read(&self, file: &File, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Failure> {
        let Place::Ready(sha256, source) = &file.place else {
            return Err(Failure::new(FailureCode::Internal, "a file of a layer was not taken out of it"));
        };
        let failed = |error: io::Error| unwritable(std::path::Path::new("a layer"), &error);
        match source {
            Source::Bytes(bytes) => take(bytes).map_err(failed),
            Source::Scratch(offset) => {
                let mut reader = At { file: &self.scratch, offset: *offset }.take(file.size);
                pieces(&mut reader, file.size, take).map_err(|fault| self.context.fault(self.store.directory(), &fault))
            }
            Source::Context(seen) => {
                let fault = |fault: Fault| self.context.fault(&seen.path.path(), &fault);
                let root = &self.context.root;
                let mut open = seen.open(root).map_err(fault)?;
                // The layer is found by this hash from now on, by other builds too.
                let mut hash = (!seen.is_as_hashed(&open).map_err(fault)?).then(Sha256::new);
                let mut both = |bytes: &[u8]| {
                    if let Some(hash) = &mut hash {
                        hash.update(bytes);
                    }
                    take(bytes)
                };
                pieces(&mut open, file.size, &mut both).map_err(fault)?;
                seen.check(&open).map_err(fault)?;
                let same = match hash {
                    Some(hash) => hash.finalize()[..] == sha256[..],
                    None if seen.is_as_hashed(&open).map_err(fault)? => true,
                    None => seen.hash(root, &mut vec![0; 1 << 17]).map_err(fault)? == *sha256,
                };
                if same { Ok(()) } else { Err(fault(Fault::Changed)) }
            }
        }
    }

    /// Whole small files: an archive that is looked into.
    pub(super) fn reader(&self, file: &File) -> Result<Box<dyn Read + '_>, Failure> {
        let Place::Ready(_, source) = &file.place else {
            return Err(Failure::new(FailureCode::Internal, "a file of a layer was not taken out of it"));
        };
        Ok(match source {
            Source::Bytes(bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
            Source::Scratch(offset) => Box::new(At { file: &self.scratch, offset: *offset }.take(file.size)),
            Source::Context(seen) => {
                let open = seen.open(&self.context.root);
                Box::new(open.map_err(|fault| self.context.fault(&seen.path.path(), &fault))?)
            }
        })
    }

    /// Keeps what can be read once.
    pub(super) fn keep(&mut self, reader: &mut dyn Read) -> io::Result<Place> {
        let start = self.end;
        let mut hash = Sha256::new();
        let mut out = BufWriter::with_capacity(1 << 17, At { file: &self.scratch, offset: start });
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            out.write_all(&buffer[..read])?;
            self.end += read as u64;
        }
        out.flush()?;
        Ok(Place::Ready(hash.finalize().into(), Source::Scratch(start)))
    }

    /// Takes the files at or below these paths out of the base's layers, each layer read once.
    pub(super) fn materialise(&mut self, tree: &mut Tree, layers: &[Layer], roots: &[Name]) -> Result<(), Failure> {
        let mut wanted: BTreeMap<u32, BTreeMap<Name, Vec<Name>>> = BTreeMap::new();
        for root in roots {
            let own = tree.get(root).map(|node| (root, node));
            for (path, node) in own.into_iter().chain(tree.below(root)) {
                if let Kind::File(File { place: Place::Layer(layer, origin), .. }) = &node.kind {
                    let origin = origin.clone().unwrap_or_else(|| path.clone());
                    wanted.entry(*layer).or_default().entry(origin).or_default().push(path.clone());
                }
            }
        }
        for (index, paths) in wanted {
            let Some(layer) = layers.get(index as usize) else { continue };
            let file = self.store.path(&layer.blob.digest);
            let places = self.take_out(layer, &paths).map_err(|error| unreadable(&file, &error))?;
            for (origin, targets) in paths {
                let Some(place) = places.get(&origin) else {
                    return Err(unreadable(&file, &io::Error::other(format!("it lacks `{}`", origin.shown()))));
                };
                for target in targets {
                    tree.set_place(&target, place.clone());
                }
            }
        }
        Ok(())
    }

    fn take_out(&mut self, layer: &Layer, paths: &BTreeMap<Name, Vec<Name>>) -> io::Result<BTreeMap<Name, Place>> {
        let mut archive = tar::Archive::new(layer::open(&self.store, &layer.blob.digest, true)?);
        let mut places = BTreeMap::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let Some(path) = Name::within(&entry.path_bytes()) else { continue };
            let regular = entry.header().entry_type().is_file() || entry.header().entry_type().is_gnu_sparse();
            if regular && paths.contains_key(&path) {
                // Of two entries with one path the later counts.
                places.insert(path, self.keep(&mut entry)?);
            }
        }
        // The checksum comes last.
        io::copy(&mut archive.into_inner(), &mut io::sink())?;
        Ok(places)
    }
}

fn pieces(reader: &mut dyn Read, size: u64, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Fault> {
    thread_local! {
        /// There are thousands of files, most of them small.
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 1 << 17]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            match reader.read(&mut buffer[..most]) {
                Ok(0) => return Err(Fault::Changed),
                Ok(read) => {
                    take(&buffer[..read]).map_err(Fault::Sending)?;
                    left -= read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Unreadable(error)),
            }
        }
        Ok(())
    })
}

/// A file from an offset on, whoever else reads it.
struct At<'a> {
    file: &'a OpenFile,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.offset)?;
        self.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
