//! One layer: sorted entries as a tar, compressed, under a key of its content, so that it is made once.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::context::{Content, Context};
use super::store::{BlobWriter, Store, digest_of, unwritable};
use crate::image::registry::Descriptor;
use crate::model::failure::Failure;
use crate::model::image_reference::{DiffId, Digest};

/// The compressor and its settings. Its output is part of every digest: another one is another name.
const COMPRESSOR: &str = "gzip 1, zlib-rs 0.6";

/// Jars and wheels hardly shrink at any level, and the first is twice as fast as the sixth.
const LEVEL: u32 = 1;

/// A layer as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) diff_id: DiffId,
    pub(super) blob: Descriptor,
}

/// One entry of a layer.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) content: Content,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) time: u64,
}

/// The entries of a layer by their path in the image, without a leading `/`.
pub(super) type Items = BTreeMap<Vec<u8>, Item>;

/// Makes a layer, or finds the one that was made of the same content.
///
/// # Errors
/// `disk_full`, or `internal` when the store cannot be written.
pub(super) fn make(store: &Store, items: &Items, context: &Context) -> Result<(Layer, bool), Failure> {
    let key = key(items);
    if let Some(known) = store.recall::<Layer>("layers", &key).filter(|known| store.has(&known.blob)) {
        return Ok((known, true));
    }
    let layer = compress(store, |out| write(items, context, out))?;
    store.note("layers", &key, &layer);
    Ok((layer, false))
}

/// Compresses what `write` writes, hashing both sides on the way.
pub(super) fn compress(store: &Store, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Layer, Failure> {
    let mut out = Hashed { hash: Sha256::new(), inner: GzEncoder::new(store.writer()?, Compression::new(LEVEL)) };
    let finished = write(&mut out).and_then(|()| Ok((out.hash, out.inner.finish()?)));
    let (hash, writer): (Sha256, BlobWriter) = finished.map_err(|error| unwritable(Path::new("a layer"), &error))?;
    Ok(Layer { diff_id: DiffId(digest_of(hash)), blob: store.finish(writer)? })
}

fn write(items: &Items, context: &Context, out: &mut dyn Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(1 << 18, out));
    for (path, item) in items {
        let path = Path::new(OsStr::from_bytes(path));
        let mut header = tar::Header::new_gnu();
        header.set_mode(item.mode);
        header.set_uid(item.uid);
        header.set_gid(item.gid);
        header.set_mtime(item.time);
        header.set_size(0);
        match &item.content {
            Content::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                let mut name = path.as_os_str().to_owned();
                name.push("/");
                archive.append_data(&mut header, name, io::empty())?;
            }
            Content::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, path, Path::new(OsStr::from_bytes(target)))?;
            }
            Content::File { offset, size, .. } => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(*size);
                archive.append_data(&mut header, path, context.open(*offset, *size)?)?;
            }
        }
    }
    archive.into_inner()?.flush()
}

/// Everything that a layer's bytes are made of.
fn key(items: &Items) -> String {
    let mut hash = Sha256::new_with_prefix(COMPRESSOR);
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for (path, item) in items {
        part(path);
        part(&item.mode.to_be_bytes());
        part(&item.uid.to_be_bytes());
        part(&item.gid.to_be_bytes());
        part(&item.time.to_be_bytes());
        match &item.content {
            Content::Directory => part(b"directory"),
            Content::Link(target) => part(&[b"link ", target.as_slice()].concat()),
            Content::File { size, sha256, .. } => part(&[b"file ", &size.to_be_bytes()[..], sha256].concat()),
        }
    }
    hex::encode(hash.finalize())
}

/// Hashes what goes through to a compressor.
struct Hashed {
    hash: Sha256,
    inner: GzEncoder<BlobWriter>,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a layer of either kind, hashing the tar: what a manifest says of it is checked at the end.
pub(super) fn open(store: &Store, digest: &Digest, gzip: bool) -> io::Result<Box<dyn io::Read>> {
    let file = io::BufReader::with_capacity(1 << 18, std::fs::File::open(store.path(digest))?);
    // A layer may consist of several gzip members.
    Ok(if gzip { Box::new(flate2::bufread::MultiGzDecoder::new(file)) } else { Box::new(file) })
}
