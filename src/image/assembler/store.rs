//! The blobs of images on disk: content-addressed, appearing whole or not at all.

use std::fs::TryLockError;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::blocks::crc_of;
use super::upkeep::hash_of;
use crate::image::registry::Descriptor;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};
use crate::work;

/// The largest manifest, configuration or note that is read into memory.
const DOCUMENT_LIMIT: u64 = 32 << 20;

/// How often a lease that somebody else has is tried.
const LOOK: Duration = Duration::from_millis(10);

/// Repositories that are remembered to have a blob.
const HOLDERS: usize = 3;

/// No block is longer than this, compressed.
const LONGEST_BLOCK: usize = 2 << 20;

/// A directory of blobs, and of notes about them: what was made from what. Losing a note costs time only.
#[derive(Debug, Clone)]
pub(super) struct Store {
    root: PathBuf,
}

impl Store {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where all of it is.
    pub(super) fn directory(&self) -> &Path {
        &self.root
    }

    /// Where a blob is, or would be.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Whether a blob is there; from now on it counts as used.
    pub(super) fn has(&self, blob: &Descriptor) -> bool {
        let path = self.path(&blob.digest);
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let used = rustix::fs::Timestamps { last_access: now, last_modification: now };
        // Somebody else's cache can be read, too.
        let _ = rustix::fs::utimensat(rustix::fs::CWD, &path, &used, rustix::fs::AtFlags::empty());
        std::fs::metadata(path).is_ok_and(|found| found.len() == blob.size)
    }

    /// A new blob, which gets its name when it is finished.
    pub(super) fn writer(&self) -> Result<BlobWriter, Failure> {
        let directory = self.root.join("blobs/sha256");
        let made = std::fs::create_dir_all(&directory)
            .and_then(|()| tempfile::Builder::new().prefix(".partial-").tempfile_in(&directory));
        let file = made.map_err(|error| unwritable(&directory, &error))?;
        Ok(BlobWriter { file, hash: Sha256::new(), size: 0 })
    }

    /// Waits until nobody else makes what this key names, in this process or another, and keeps them off.
    ///
    /// # Errors
    /// `disk_full`, `internal`; `cancelled` when it is no longer wanted.
    pub(super) fn lease(&self, key: &str, stop: &CancellationToken) -> Result<std::fs::File, Failure> {
        let directory = self.root.join("leases");
        let path = directory.join(key);
        let opened = std::fs::create_dir_all(&directory)
            .and_then(|()| std::fs::File::options().create(true).truncate(false).write(true).open(&path));
        let file = opened.map_err(|error| unwritable(&path, &error))?;
        while !stop.is_cancelled() {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                // Nothing tells of a lock's end and of a cancellation at once.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(error)) => return Err(unwritable(&path, &error)),
            }
        }
        Err(work::cancelled())
    }

    /// A compressed block of some layer, if it is still there and whole.
    pub(super) fn block(&self, key: &str) -> Option<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;
        let known: Remembered = self.recall("blocks", key)?;
        let file = std::fs::File::open(self.path(known.blob.as_ref()?)).ok()?;
        let length = usize::try_from(known.length).ok().filter(|length| *length <= LONGEST_BLOCK)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, known.offset).ok()?;
        (crc_of(&bytes).sum() == known.crc).then_some(bytes)
    }

    /// Whether a repository was seen to have the blob.
    pub(super) fn knows(&self, repository: &ImageReference, blob: &Descriptor) -> bool {
        self.recall::<String>("held", &held(repository, blob)).is_some_and(|name| name == repository.name())
    }

    /// Notes that a repository has the blob.
    pub(super) fn learn(&self, repository: &ImageReference, blob: &Descriptor) {
        self.note("held", &held(repository, blob), &repository.name());
        let mut holders = self.holders(repository, blob);
        // Of two who note at once one is forgotten, which costs no more than a mount.
        if holders.first().is_none_or(|first| first != repository.repository()) {
            holders.retain(|name| name != repository.repository());
            holders.insert(0, repository.repository().to_owned());
            holders.truncate(HOLDERS);
            self.note("holders", &holders_of(repository, blob), &(repository.registry(), holders));
        }
    }

    /// Repositories of the same registry that were seen to have the blob, the latest first.
    pub(super) fn holders(&self, repository: &ImageReference, blob: &Descriptor) -> Vec<String> {
        let known = self.recall::<(String, Vec<String>)>("holders", &holders_of(repository, blob));
        known.filter(|(registry, _)| registry == repository.registry()).map(|(_, holders)| holders).unwrap_or_default()
    }

    /// Whether an image was pushed to the repository from here.
    pub(super) fn has_pushed_to(&self, repository: &ImageReference) -> bool {
        self.recall::<String>("held", &pushed(repository)).is_some_and(|name| name == repository.name())
    }

    /// Notes that an image was pushed to the repository.
    pub(super) fn pushed_to(&self, repository: &ImageReference) {
        if !self.has_pushed_to(repository) {
            self.note("held", &pushed(repository), &repository.name());
        }
    }

    /// Keeps bytes as a blob.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Descriptor, Failure> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|error| unwritable(&self.root, &error))?;
        self.finish(writer)
    }

    /// Gives a blob its name.
    pub(super) fn finish(&self, writer: BlobWriter) -> Result<Descriptor, Failure> {
        let digest = digest_of(writer.hash);
        let path = self.path(&digest);
        // A power cut must not leave a name without its content.
        let kept =
            writer.file.as_file().sync_data().and_then(|()| writer.file.persist(&path).map_err(|error| error.error));
        kept.map_err(|error| unwritable(&path, &error))?;
        Ok(Descriptor { digest, size: writer.size })
    }

    /// Takes a blob away that is not what its name says, so that it is made or fetched anew; says whether it was.
    pub(super) fn drops_damaged(&self, blob: &Descriptor) -> bool {
        let path = self.path(&blob.digest);
        let found = std::fs::File::open(&path).and_then(hash_of);
        let damaged = found.is_ok_and(|hash| hash != blob.digest.hex());
        damaged && std::fs::remove_file(&path).is_ok()
    }

    /// The bytes of a manifest or configuration, checked against its digest.
    pub(super) fn read(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let path = self.path(digest);
        let bytes = read_limited(&path).map_err(|error| unreadable(&path, &error))?;
        if digest_of(Sha256::new_with_prefix(&bytes)) != *digest {
            return Err(unreadable(&path, &io::Error::other("its content is not that of its name")));
        }
        Ok(bytes)
    }

    /// What was noted under a key.
    pub(super) fn recall<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Option<T> {
        serde_json::from_slice(&read_limited(&self.root.join(kind).join(key)).ok()?).ok()
    }

    /// Notes a value under a key, which is a hash and so a file name.
    pub(super) fn note<T: Serialize>(&self, kind: &str, key: &str, value: &T) {
        let directory = self.root.join(kind);
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(&directory)?;
            let mut file = tempfile::NamedTempFile::new_in(&directory)?;
            file.write_all(&serde_json::to_vec(value)?)?;
            file.persist(directory.join(key)).map(drop).map_err(|error| error.error)
        };
        if let Err(error) = write() {
            tracing::debug!(%error, kind, key, "a note cannot be kept");
        }
    }
}

/// Where the compressed form of a block is.
#[derive(Debug, Serialize, serde::Deserialize)]
pub(super) struct Remembered {
    pub(super) blob: Option<Digest>,
    pub(super) offset: u64,
    pub(super) length: u64,
    /// Of the compressed bytes: a disk may have damaged them.
    pub(super) crc: u32,
}

/// A blob that is being written.
pub(super) struct BlobWriter {
    file: tempfile::NamedTempFile,
    hash: Sha256,
    size: u64,
}

impl BlobWriter {
    /// The digest of the bytes so far.
    pub(super) fn digest(&self) -> Digest {
        digest_of(self.hash.clone())
    }

    /// The same file, to be read.
    pub(super) fn reopen(&self) -> io::Result<std::fs::File> {
        self.file.reopen()
    }

    /// Bytes so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn held(repository: &ImageReference, blob: &Descriptor) -> String {
    hex::encode(Sha256::new_with_prefix(repository.name()).chain_update(blob.digest.as_str()).finalize())
}

fn pushed(repository: &ImageReference) -> String {
    hex::encode(Sha256::digest(repository.name()))
}

fn holders_of(repository: &ImageReference, blob: &Descriptor) -> String {
    hex::encode(Sha256::new_with_prefix(repository.registry()).chain_update(blob.digest.as_str()).finalize())
}

/// A finished hash as a digest.
pub(super) fn digest_of(hash: Sha256) -> Digest {
    Digest::of_sha256(hash.finalize().into())
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(DOCUMENT_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureCode::DiskFull,
        _ => FailureCode::Internal,
    };
    Failure::new(code, format!("`{}` cannot be written: {error}", path.display()))
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(FailureCode::Internal, format!("`{}` in the cache of images cannot be read: {error}", path.display()))
        .hint("remove the directory `images` of the cache; it is made anew")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_has_the_name_of_its_content_and_notes_last() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        let blob = store.put(b"abc").unwrap();
        assert_eq!(blob.digest.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(store.has(&blob) && store.read(&blob.digest).unwrap() == b"abc");
        drop(store.writer().unwrap());
        assert_eq!(std::fs::read_dir(directory.path().join("blobs/sha256")).unwrap().count(), 1);
        std::fs::write(store.path(&blob.digest), "abd").unwrap();
        assert!(store.read(&blob.digest).is_err());
        assert_eq!(store.recall::<u32>("layers", "00"), None);
        store.note("layers", "00", &7_u32);
        assert_eq!(store.recall("layers", "00"), Some(7_u32));
    }
}
