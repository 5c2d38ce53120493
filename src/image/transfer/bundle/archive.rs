//! The archive itself: entries one after the other, each checked against its digest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::Receiver;

use super::{CONTENTS, Contents, SIGNATURE, SUMS, SigningKey, TrustedKey, unusable};
use crate::model::failure::Failure;
use crate::model::image_reference::Digest;
use crate::work::blocking;

/// The unit of tar.
const BLOCK: u64 = 512;

/// How much is read at a time.
const BUFFER: usize = 1 << 20;

/// The largest document of a bundle that is read into memory.
const DOCUMENT: u64 = 32 << 20;

/// Where an entry's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// The header of a file; all bundles of the same content are the same.
fn header(path: &str, size: u64) -> io::Result<[u8; 512]> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(*header.as_bytes())
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK) - size
}

fn pad(file: &mut File, size: u64) -> io::Result<()> {
    let zeros = [0; 512];
    file.write_all(zeros.get(..usize::try_from(padding(size)).unwrap_or(0)).unwrap_or_default())
}

/// An archive that is being written, and may have been begun before.
pub(super) struct Writer {
    file: File,
    /// Where the next entry begins.
    end: u64,
    /// Whether the entries before this one were all there already.
    resuming: bool,
    sums: BTreeMap<String, String>,
}

impl Writer {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|_| io::Error::other("another export writes it"))?;
        Ok(Self { file, end: 0, resuming: true, sums: BTreeMap::new() })
    }

    /// Whether the entry is there whole from an earlier try; if so it stays.
    pub(super) fn keeps(&mut self, path: &str, size: u64, digest: &str) -> io::Result<bool> {
        if self.resuming && self.is_whole(path, size, digest)? {
            self.end += BLOCK + size + padding(size);
            self.sums.insert(path.to_owned(), digest.to_owned());
            return Ok(true);
        }
        if self.resuming {
            self.resuming = false;
            self.file.set_len(self.end)?;
        }
        Ok(false)
    }

    fn is_whole(&mut self, path: &str, size: u64, digest: &str) -> io::Result<bool> {
        if self.file.metadata()?.len() < self.end + BLOCK + size + padding(size) {
            return Ok(false);
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        let mut found = [0; 512];
        self.file.read_exact(&mut found)?;
        Ok(found == header(path, size)? && sum(&mut (&mut self.file).take(size))? == digest)
    }

    /// Writes an entry of known content.
    pub(super) fn document(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let digest = hex::encode(Sha256::digest(bytes));
        if self.keeps(path, bytes.len() as u64, &digest)? {
            return Ok(());
        }
        self.begin(path, bytes.len() as u64)?;
        self.file.write_all(bytes)?;
        self.finish(path, bytes.len() as u64, digest)
    }

    /// Writes an entry whose content comes piece by piece. `false`: another content came, and it stands nowhere.
    pub(super) fn blob(
        &mut self,
        path: &str,
        size: u64,
        digest: &str,
        mut pieces: Receiver<Bytes>,
    ) -> io::Result<bool> {
        self.begin(path, size)?;
        let (mut hash, mut written) = (Sha256::new(), 0);
        while let Some(piece) = pieces.blocking_recv() {
            written += piece.len() as u64;
            if written > size {
                return Ok(false);
            }
            hash.update(&piece);
            self.file.write_all(&piece)?;
        }
        let got = hex::encode(hash.finalize());
        if written != size || got != digest {
            return Ok(false);
        }
        self.finish(path, size, got).map(|()| true)
    }

    fn begin(&mut self, path: &str, size: u64) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&header(path, size)?)
    }

    fn finish(&mut self, path: &str, size: u64, digest: String) -> io::Result<()> {
        pad(&mut self.file, size)?;
        self.end += BLOCK + size + padding(size);
        self.sums.insert(path.to_owned(), digest);
        Ok(())
    }

    /// Ends the archive with its sums, signed where there is a key; gives its bytes.
    pub(super) fn end(mut self, key: Option<&SigningKey>) -> io::Result<u64> {
        let sums = self.sums.iter().fold(String::new(), |sums, (path, digest)| sums + digest + "  " + path + "\n");
        self.document(SUMS, sums.as_bytes())?;
        if let Some(key) = key {
            self.document(SIGNATURE, &key.sign(sums.as_bytes()))?;
        }
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&[0; 1024])?;
        self.file.sync_all()?;
        Ok(self.end + 1024)
    }
}

fn sum(from: &mut impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..count]);
    }
}

/// A whole archive.
pub(super) struct Reader {
    file: File,
    spans: BTreeMap<String, Span>,
    pub(super) contents: Contents,
}

impl Reader {
    /// Reads where everything is, and what the bundle says of itself. With keys, nothing is believed that none of them has
    /// signed.
    pub(super) fn open(path: &Path, keys: &[TrustedKey]) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unusable(path, error))?;
        let spans = spans(&file).map_err(|error| cut(path, &error.to_string()))?;
        if !spans.contains_key(SUMS) {
            return Err(cut(path, "its end is missing"));
        }
        let mut reader =
            Self { file, spans, contents: Contents { version: 1, images: Vec::new(), left_out: Vec::new() } };
        let contents = reader.document(path, CONTENTS)?;
        reader.check_signature(path, keys, &contents)?;
        reader.contents = serde_json::from_slice(&contents).map_err(|error| unusable(path, error))?;
        if reader.contents.version != 1 {
            return Err(unusable(
                path,
                format!("it is of version {}, and this program reads 1", reader.contents.version),
            ));
        }
        Ok(reader)
    }

    /// Whether one of the keys has signed the sums, and the sums name these contents, which name all that is imported.
    fn check_signature(&mut self, path: &Path, keys: &[TrustedKey], contents: &[u8]) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        if self.span(SIGNATURE).is_none() {
            return Err(unusable(path, "it is not signed, and only signed ones are taken here")
                .hint("have it exported with `--sign KEY`, and carried over whole"));
        }
        let (sums, signature) = (self.document(path, SUMS)?, self.document(path, SIGNATURE)?);
        if !keys.iter().any(|key| key.signed(&sums, &signature)) {
            return Err(unusable(
                path,
                "its signature is by none of the keys that are trusted here, or it was changed",
            )
            .hint("name the public half of the key that it was signed with: `--key`, or `registry.bundle_keys`"));
        }
        let line = format!("{}  {CONTENTS}", hex::encode(Sha256::digest(contents)));
        if String::from_utf8_lossy(&sums).lines().any(|found| found == line) {
            return Ok(());
        }
        Err(unusable(path, format!("`{CONTENTS}` is not what was signed")))
    }

    pub(super) fn span(&self, entry: &str) -> Option<Span> {
        self.spans.get(entry).copied()
    }

    /// A manifest or another small entry.
    pub(super) fn document(&mut self, path: &Path, entry: &str) -> Result<Vec<u8>, Failure> {
        let span = self.span(entry).ok_or_else(|| unusable(path, format!("`{entry}` is missing")))?;
        if span.size > DOCUMENT {
            return Err(unusable(path, format!("`{entry}` is too large")));
        }
        let mut bytes = Vec::new();
        let read = self
            .file
            .seek(SeekFrom::Start(span.offset))
            .and_then(|_| (&mut self.file).take(span.size).read_to_end(&mut bytes));
        read.map_err(|error| unusable(path, error))?;
        Ok(bytes)
    }

    /// A manifest, checked against its digest.
    pub(super) fn manifest(&mut self, path: &Path, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let bytes = self.document(path, &super::blob_path(digest))?;
        if Digest::of_sha256(Sha256::digest(&bytes).into()) != *digest {
            return Err(unusable(path, format!("the manifest `{digest}` is damaged")));
        }
        Ok(bytes)
    }
}

fn cut(path: &Path, why: &str) -> Failure {
    unusable(path, format!("{why}; it was perhaps carried over in part")).hint("carry it over again, whole")
}

/// Where the files of an archive are; nothing is read but their headers.
fn spans(file: &File) -> io::Result<BTreeMap<String, Span>> {
    let length = file.metadata()?.len();
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    let mut spans = BTreeMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let (offset, size) = (entry.raw_file_position(), entry.size());
        if offset.checked_add(size).is_none_or(|end| end > length) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "an entry goes beyond its end"));
        }
        let path = entry.path()?.to_str().unwrap_or_default().to_owned();
        if spans.insert(path, Span { offset, size }).is_some() {
            return Err(io::Error::other("an entry stands in it twice"));
        }
    }
    Ok(spans)
}

/// Reads all of a bundle and compares it with its sums; gives the number of entries. With keys, one of them has to have
/// signed it.
///
/// # Errors
/// `request_invalid` with the entry that is damaged or missing, or where the signature is.
pub async fn verify(path: &Path, keys: &[TrustedKey]) -> Result<usize, Failure> {
    let (path, keys) = (path.to_owned(), keys.to_vec());
    blocking(move || {
        let mut reader = Reader::open(&path, &keys)?;
        let sums = String::from_utf8(reader.document(&path, SUMS)?).map_err(|error| unusable(&path, error))?;
        for line in sums.lines() {
            let Some((digest, entry)) = line.split_once("  ") else {
                return Err(unusable(&path, format!("`{SUMS}` cannot be read")));
            };
            let span = reader.span(entry).ok_or_else(|| unusable(&path, format!("`{entry}` is missing")))?;
            let found = reader
                .file
                .seek(SeekFrom::Start(span.offset))
                .and_then(|_| sum(&mut (&mut reader.file).take(span.size)))
                .map_err(|error| unusable(&path, error))?;
            if found != digest {
                return Err(unusable(&path, format!("`{entry}` is damaged")));
            }
        }
        let own = 1 + usize::from(reader.span(SIGNATURE).is_some());
        if sums.lines().count() + own != reader.spans.len() {
            return Err(unusable(&path, "it holds what its sums do not name"));
        }
        Ok(sums.lines().count())
    })
    .await
}
