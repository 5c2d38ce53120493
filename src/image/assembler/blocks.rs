//! Gzip in blocks on all processors, one member however many blocks: the same bytes for any number of threads.
//!
//! A block is deflated by itself and ends on a byte, so blocks can be joined (RFC 1951, a stored block of no length).
//! Blocks of large layers are remembered by their content: what is the same next time is copied, not compressed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};

use flate2::{Compress, Compression, Crc, FlushCompress};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::ahead::{Courier, Streamed};
use super::layer::Layer;
use super::pool;
use super::store::{BlobWriter, Remembered, Store, digest_of};
use crate::image::registry::Descriptor;
use crate::image::registry::stream::Progress;
use crate::model::failure::Failure;
use crate::model::image_reference::DiffId;

/// The compressor and its settings. Its output is part of every digest: another one is another name, and this one
/// stays as it is for as long as a release does.
pub(super) const COMPRESSOR: &str = "gzip 1 in blocks of 1 MiB, stored above 92 %, zlib-rs 0.6";

/// Jars and wheels hardly shrink at any level, and the first is twice as fast as the sixth.
const LEVEL: u32 = 1;

/// Bytes of a block, uncompressed.
const BLOCK: usize = 1 << 20;

/// A block may end at the border of a file from here on.
const SHORTEST: usize = 1 << 18;

/// What shrinks by less than 8 % is stored.
const WORTH: usize = 92;

/// What is tried of a block, in this many pieces of that many bytes.
const SAMPLE: (usize, usize) = (4, 8 << 10);

/// The longest stored block (RFC 1951, 3.2.4).
const STORED: usize = 0xffff;

/// Blocks of a layer that are compressed at a time; with these a build stays below 8 MiB.
const IN_FLIGHT: usize = 3;

/// Writes a layer's tar into a blob.
pub(super) struct Compressor {
    store: Store,
    out: BlobWriter,
    /// The block that fills.
    block: Vec<u8>,
    /// Whose bytes it holds, each from this place of it on.
    runs: Vec<(usize, Run)>,
    /// Whose bytes come next.
    run: Run,
    tar: Sha256,
    crc: Crc,
    in_flight: VecDeque<Receiver<Block>>,
    /// Where each block of content is in the blob; none where that is not to be remembered.
    places: Option<Vec<(String, Remembered)>>,
    /// Who sends the blob while it is written.
    follower: Option<watch::Sender<Progress>>,
}

/// Bytes of a file, by the hash of its content and where in it they begin; none are those between files.
type Run = Option<([u8; 32], u64)>;

struct Block {
    deflated: Vec<u8>,
    crc: Crc,
    /// What it is remembered by, and the checksum of its compressed form; none where remembering does not pay.
    remembered: Option<(String, u32)>,
}

impl Compressor {
    /// `remember`: whether its blocks may be looked up, which pays for large layers.
    pub(super) fn new(store: &Store, remember: bool) -> Result<Self, Failure> {
        let mut out = store.writer()?;
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
        out.write_all(&header).map_err(|error| super::store::unwritable(store.directory(), &error))?;
        Ok(Self {
            store: store.clone(),
            out,
            block: Vec::with_capacity(BLOCK),
            runs: vec![(0, None)],
            run: None,
            tar: Sha256::new(),
            crc: Crc::new(),
            in_flight: VecDeque::new(),
            places: remember.then(Vec::new),
            follower: None,
        })
    }

    /// Lets the blob be sent while it is written.
    pub(super) fn followed(&mut self, courier: &Courier) -> io::Result<Streamed> {
        let (follower, streamed) = courier.follow(self.out.reopen()?);
        self.follower = Some(follower);
        Ok(streamed)
    }

    fn tell(&self, whole: Option<Descriptor>) {
        if let Some(follower) = &self.follower {
            follower.send_replace(Progress { size: self.out.size(), whole });
        }
    }

    /// An entry begins: where blocks end depends on few files, so that what follows a change is found again.
    pub(super) fn border(&mut self, path: &[u8], size: u64) -> io::Result<()> {
        let large = size >= SHORTEST as u64 && !self.block.is_empty();
        let chosen = self.block.len() >= SHORTEST && crc_of(path).sum().is_multiple_of(8);
        if large || chosen { self.send() } else { Ok(()) }
    }

    /// What is written from now on are the bytes of a file with this hash, or what stands between files. So a block is
    /// known by what was hashed before, and is not hashed once more.
    pub(super) fn bytes_of(&mut self, file: Option<[u8; 32]>) {
        self.run = file.map(|hash| (hash, 0));
        self.runs.push((self.block.len(), self.run));
    }

    fn send(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let plain = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let runs = std::mem::replace(&mut self.runs, vec![(0, self.run)]);
        self.tar.update(&plain);
        let (sender, receiver) = sync_channel(1);
        let known = self.places.is_some().then(|| self.store.clone());
        pool::run(move || {
            let _ = sender.send(compressed(&plain, &runs, known.as_ref()));
        });
        self.in_flight.push_back(receiver);
        if self.in_flight.len() >= IN_FLIGHT { self.receive() } else { Ok(()) }
    }

    fn receive(&mut self) -> io::Result<()> {
        let Some(next) = self.in_flight.pop_front() else { return Ok(()) };
        let block = next.recv().map_err(|_| io::Error::other("compressing ended abnormally"))?;
        if let (Some(places), Some((key, crc))) = (&mut self.places, block.remembered) {
            let (offset, length) = (self.out.size(), block.deflated.len() as u64);
            places.push((key, Remembered { blob: None, offset, length, crc }));
        }
        self.out.write_all(&block.deflated)?;
        self.crc.combine(&block.crc);
        self.tell(None);
        Ok(())
    }

    /// Ends the layer.
    pub(super) fn finish(mut self) -> Result<Layer, Failure> {
        let root = self.store.directory().to_owned();
        let ended = self.send().and_then(|()| {
            while !self.in_flight.is_empty() {
                self.receive()?;
            }
            // The last block, empty, then checksum and length (RFC 1952).
            self.out.write_all(&[3, 0])?;
            self.out.write_all(&self.crc.sum().to_le_bytes())?;
            self.out.write_all(&self.crc.amount().to_le_bytes())
        });
        ended.map_err(|error| super::store::unwritable(&root, &error))?;
        // It is on its way to the registry while it comes to the disk.
        self.tell(Some(Descriptor { digest: self.out.digest(), size: self.out.size() }));
        let blob: Descriptor = self.store.finish(self.out)?;
        for (key, mut place) in self.places.into_iter().flatten() {
            place.blob = Some(blob.digest.clone());
            self.store.note("blocks", &key, &place);
        }
        Ok(Layer { diff_id: DiffId(digest_of(self.tar)), blob })
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if let Some((_, at)) = &mut self.run {
            *at += taken as u64;
        }
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compressed(plain: &[u8], runs: &[(usize, Run)], known: Option<&Store>) -> Block {
    let crc = crc_of(plain);
    // To store a block is less work than to look whether it is known.
    if !worth_it(plain) {
        return Block { deflated: stored(plain), crc, remembered: None };
    }
    let Some(store) = known else { return Block { deflated: deflate(plain), crc, remembered: None } };
    let key = key(plain, runs);
    let deflated = store.block(&key).unwrap_or_else(|| deflate(plain));
    let remembered = Some((key, crc_of(&deflated).sum()));
    Block { deflated, crc, remembered }
}

/// Everything that a block's bytes are made of. A file that is not what its hash says fails the layer, and nothing of it is
/// remembered.
fn key(plain: &[u8], runs: &[(usize, Run)]) -> String {
    let mut hash = Sha256::new_with_prefix(COMPRESSOR);
    let ends = runs.iter().skip(1).map(|(start, _)| *start).chain([plain.len()]);
    for ((start, run), end) in runs.iter().zip(ends) {
        hash.update(((end - start) as u64).to_be_bytes());
        match run {
            Some((file, at)) => hash.update([&[1][..], file, &at.to_be_bytes()].concat()),
            None => hash.update([&[0], &plain[*start..end]].concat()),
        }
    }
    hex::encode(hash.finalize())
}

pub(super) fn crc_of(bytes: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc
}

/// Whether a sample of the block shrinks.
fn worth_it(plain: &[u8]) -> bool {
    let (pieces, length) = SAMPLE;
    if plain.len() < 2 * pieces * length {
        return true;
    }
    let step = plain.len() / pieces;
    let mut sample = Vec::with_capacity(pieces * length);
    for piece in 0..pieces {
        sample.extend_from_slice(&plain[piece * step..piece * step + length]);
    }
    deflate(&sample).len() * 100 < sample.len() * WORTH
}

/// Raw deflate up to the border of a byte.
fn deflate(plain: &[u8]) -> Vec<u8> {
    thread_local! {
        /// Its tables take longer to get than to clear.
        static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(LEVEL), false));
    }
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut out = Vec::with_capacity(plain.len() + plain.len() / 8 + 1024);
        loop {
            let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let state = compress.compress_vec(&plain[done.min(plain.len())..], &mut out, FlushCompress::Sync);
            let all = usize::try_from(compress.total_in()).is_ok_and(|read| read == plain.len());
            if state.is_err() || (all && out.len() < out.capacity()) {
                break;
            }
            out.reserve(64 << 10);
        }
        if compress.total_in() == plain.len() as u64 { out } else { stored(plain) }
    })
}

/// Stored blocks, none of them the last.
fn stored(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + (plain.len() / STORED + 1) * 5);
    for piece in plain.chunks(STORED) {
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}

/// For tests and imports: a whole stream.
pub(super) fn copy(store: &Store, reader: &mut dyn io::Read) -> Result<Layer, Failure> {
    let mut out = Compressor::new(store, false)?;
    io::copy(reader, &mut out).map_err(|error| super::store::unwritable(store.directory(), &error))?;
    out.finish()
}

#[cfg(test)]
mod tests;
