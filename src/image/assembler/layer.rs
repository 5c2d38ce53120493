//! One layer: sorted entries as a tar, compressed, under a key of its content, so that it is made once.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::ahead::{Came, Courier};
use super::blocks::{COMPRESSOR, Compressor};
use super::contents::Contents;
use super::name::Name;
use super::node::{File, Kind, Node, Place};
use super::store::{Store, unwritable};
use super::tar_entry;
use crate::image::registry::Descriptor;
use crate::model::failure::Failure;
use crate::model::image_reference::{DiffId, Digest};
use crate::work;

/// Blocks of layers from this size on are remembered.
const REMEMBERED: u64 = 1 << 20;

/// Layers from this size on are sent while they are compressed.
const LARGE: u64 = 8 << 20;

/// A layer as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) diff_id: DiffId,
    pub(super) blob: Descriptor,
}

/// The entries of a layer by their path in the image.
pub(super) type Items = BTreeMap<Name, Node>;

/// Makes a layer, or finds the one that was made of the same content. Builds that want the same layer at the same
/// time make it once. The courier sends it ahead of the push.
///
/// # Errors
/// `disk_full`, or `internal` when the store cannot be written; what reading the files says; `cancelled`.
pub(super) fn make(
    store: &Store,
    items: &Items,
    contents: &Contents,
    courier: Option<&Courier>,
    stop: &CancellationToken,
) -> Result<(Layer, bool), Failure> {
    let key = key(items.iter());
    let known = || store.recall::<Layer>("layers", &key).filter(|known| store.has(&known.blob));
    let sent = |layer: Layer, came: Came| {
        if let Some(courier) = courier {
            courier.send(&layer.blob, came);
        }
        layer
    };
    if let Some(known) = known() {
        return Ok((sent(known, Came::Before), true));
    }
    // Until the layer is on its way, too: whoever waits here does not send it a second time.
    let _lease = store.lease(&key, stop)?;
    if let Some(known) = known() {
        return Ok((sent(known, Came::Before), true));
    }
    let size: u64 = items.values().map(size_of).sum();
    let mut out = Compressor::new(store, size >= REMEMBERED)?;
    let mut came = Came::Now;
    if let Some(courier) = courier.filter(|_| size >= LARGE) {
        came = Came::Streamed(out.followed(courier).map_err(|error| unwritable(store.directory(), &error))?);
    }
    write(items, contents, &mut out, stop)?;
    let layer = out.finish()?;
    store.note("layers", &key, &layer);
    Ok((sent(layer, came), false))
}

fn size_of(node: &Node) -> u64 {
    match &node.kind {
        Kind::File(file) => file.size,
        _ => 0,
    }
}

fn write(items: &Items, contents: &Contents, out: &mut Compressor, stop: &CancellationToken) -> Result<(), Failure> {
    let failed = |error: io::Error| unwritable(std::path::Path::new("a layer"), &error);
    let mut files: HashMap<u64, &Name> = HashMap::new();
    for (path, node) in items {
        if stop.is_cancelled() {
            return Err(work::cancelled());
        }
        let linked = linked(&mut files, path, node);
        out.border(&path.0, size_of(node)).map_err(failed)?;
        tar_entry::header(out, path, node, linked).map_err(failed)?;
        if let (Kind::File(file), None) = (&node.kind, linked) {
            out.bytes_of(file.hash());
            contents.read(file, &mut |bytes| out.write_all(bytes))?;
            out.bytes_of(None);
            tar_entry::padding(out, file.size).map_err(failed)?;
        }
    }
    tar_entry::end(out).map_err(failed)
}

/// The first name of a file that has several in this layer.
fn linked<'a>(files: &mut HashMap<u64, &'a Name>, path: &'a Name, node: &Node) -> Option<&'a Name> {
    let Kind::File(File { inode, .. }) = &node.kind else { return None };
    let first = files.entry(*inode).or_insert(path);
    (*first != path).then_some(*first)
}

/// Everything that a layer's bytes are made of.
pub(super) fn key<'a>(items: impl Iterator<Item = (&'a Name, &'a Node)>) -> String {
    let mut hash = Sha256::new_with_prefix(COMPRESSOR);
    let mut files = HashMap::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for (path, node) in items {
        let attributes = &node.attributes;
        part(&path.0);
        for number in [u64::from(attributes.mode), attributes.uid, attributes.gid, attributes.time] {
            part(&number.to_be_bytes());
        }
        for (name, value) in &node.xattrs {
            part(b"xattr");
            part(name.as_bytes());
            part(value);
        }
        match (&node.kind, linked(&mut files, path, node)) {
            (_, Some(first)) => part(&[b"hard ", first.0.as_slice()].concat()),
            (Kind::Directory, None) => part(b"directory"),
            (Kind::Link(target), None) => part(&[b"link ", target.0.as_slice()].concat()),
            (Kind::Device(kind, major, minor), None) => {
                part(&[b"device ", &[*kind][..], &major.to_be_bytes(), &minor.to_be_bytes()].concat());
            }
            (Kind::File(File { size, place: Place::Ready(sha256, _), .. }), None) => {
                part(&[b"file ", &size.to_be_bytes()[..], sha256].concat());
            }
            (Kind::File(_), None) => part(b"a file without content"),
        }
    }
    hex::encode(hash.finalize())
}

/// Reads a layer of either kind.
pub(super) fn open(store: &Store, digest: &Digest, gzip: bool) -> io::Result<Box<dyn io::Read>> {
    let file = io::BufReader::with_capacity(1 << 18, std::fs::File::open(store.path(digest))?);
    // A layer may consist of several gzip members.
    Ok(if gzip { Box::new(flate2::bufread::MultiGzDecoder::new(file)) } else { Box::new(file) })
}
