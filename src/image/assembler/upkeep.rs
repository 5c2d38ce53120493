//! The cache of images: what is in it, whether it is whole, and what may go. Builds run meanwhile.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::store::Store;
use crate::clock;

/// What was used within this time stays, whatever the limits say: a build may be about to push it.
const IN_USE: Duration = Duration::from_hours(2);

/// Files that nobody finished are left alone for this long.
const UNFINISHED: Duration = Duration::from_hours(24);

/// How often a build looks whether something may go.
const INTERVAL: Duration = Duration::from_hours(24);

/// Where the blobs are.
const BLOBS: &str = "blobs/sha256";

/// What may stay.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of blobs.
    pub size: u64,
    /// What was not used for longer goes.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: 20 << 30, age: Duration::from_hours(30 * 24) }
    }
}

/// What a directory of the cache holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Holding {
    /// `blobs`, or a kind of notes.
    pub kind: String,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The cache of assembled images in a directory.
#[derive(Debug, Clone)]
pub struct Cache {
    store: Store,
    /// The layout of the base images that were made here without an Engine.
    own: Option<PathBuf>,
}

impl Cache {
    /// The cache in this directory, which need not be there.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { store: Store::new(directory), own: None }
    }

    /// With the base images of a layout, of which old ones go as well.
    #[must_use]
    pub fn base_images(self, own: PathBuf) -> Self {
        Self { own: Some(own), ..self }
    }

    /// What there is, by kind. Blocks.
    ///
    /// # Errors
    /// Of reading directories.
    pub fn list(&self) -> io::Result<Vec<Holding>> {
        let mut holdings = Vec::new();
        for kind in self.kinds()? {
            let files = files(&self.store.directory().join(&kind))?;
            let bytes = files.iter().map(|file| file.size).sum();
            let kind = if kind == BLOBS { "blobs".to_owned() } else { kind };
            holdings.push(Holding { kind, files: files.len() as u64, bytes });
        }
        Ok(holdings)
    }

    /// Reads every blob, removes those that are not what their name says, and returns them. Notes that no longer hold
    /// are of no harm: builds look whether the blobs are there. Blocks.
    ///
    /// # Errors
    /// Of reading or removing.
    pub fn verify(&self) -> io::Result<Vec<String>> {
        let mut damaged = Vec::new();
        for blob in files(&self.store.directory().join(BLOBS))?.iter().filter(|file| !file.unfinished()) {
            let read = fs::File::open(&blob.path).and_then(hash_of);
            match read {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(hash) if hash == blob.name => {}
                Ok(_) => {
                    fs::remove_file(&blob.path)?;
                    damaged.push(format!("sha256:{}", blob.name));
                }
            }
        }
        Ok(damaged)
    }

    /// Removes what was not used for too long, then the longest unused until the rest is small enough. Returns the
    /// files and bytes that went. Blocks.
    ///
    /// # Errors
    /// Of reading directories.
    pub fn collect(&self, limits: Limits) -> io::Result<(u64, u64)> {
        let now = clock::since_epoch();
        let (mut gone, mut freed) = (0, 0);
        let mut remove = |file: &Held| {
            if remove(file, now) {
                gone += 1;
                freed += file.size;
            }
        };
        for kind in self.kinds()? {
            let mut kept = Vec::new();
            for file in files(&self.store.directory().join(&kind))? {
                let age = now.saturating_sub(file.used);
                if age > limits.age || (file.unfinished() && age > UNFINISHED) {
                    remove(&file);
                } else {
                    kept.push(file);
                }
            }
            if kind == BLOBS {
                kept.sort_by_key(|file| file.used);
                let mut total: u64 = kept.iter().map(|file| file.size).sum();
                for file in kept.iter().filter(|file| !file.unfinished()) {
                    if total <= limits.size || now.saturating_sub(file.used) < IN_USE {
                        break;
                    }
                    remove(file);
                    total -= file.size;
                }
            }
        }
        let (old, bytes) = match &self.own {
            Some(own) => super::outdated::collect(own, limits.age.max(IN_USE))?,
            None => (0, 0),
        };
        Ok((gone + old, freed + bytes))
    }

    /// Collects if nobody did for a day. Blocks.
    pub(super) fn collect_if_due(&self) {
        let mark = self.store.directory().join("collected");
        let now = clock::since_epoch();
        if used(&mark).is_ok_and(|last| now.saturating_sub(last) < INTERVAL) {
            return;
        }
        if let Err(error) = fs::write(&mark, "").and_then(|()| self.collect(Limits::default())) {
            tracing::debug!(%error, "the cache of images cannot be tidied");
        }
    }

    fn kinds(&self) -> io::Result<Vec<String>> {
        let mut kinds: Vec<String> = Vec::new();
        for entry in missing_is_empty(fs::read_dir(self.store.directory()))?.into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Others are root file systems in which a command runs.
            if entry.file_type()?.is_dir() && !name.starts_with('.') {
                kinds.push(if name == "blobs" { BLOBS.to_owned() } else { name });
            }
        }
        kinds.sort();
        Ok(kinds)
    }
}

/// A file of the cache.
struct Held {
    path: PathBuf,
    name: String,
    size: u64,
    /// When it was last used, since 1970.
    used: Duration,
}

impl Held {
    fn unfinished(&self) -> bool {
        self.name.starts_with('.')
    }
}

/// Removes a file that nobody has used since it was looked at: a build that uses it now finds it gone, or keeps it.
fn remove(file: &Held, now: Duration) -> bool {
    let aside = file.path.with_file_name(format!(".gone-{}", file.name.trim_start_matches('.')));
    if now.saturating_sub(file.used) < IN_USE || fs::rename(&file.path, &aside).is_err() {
        return false;
    }
    if used(&aside).is_ok_and(|used| used > file.used) {
        let _ = fs::rename(&aside, &file.path);
        return false;
    }
    fs::remove_file(&aside).is_ok()
}

fn files(directory: &Path) -> io::Result<Vec<Held>> {
    let mut files = Vec::new();
    for entry in missing_is_empty(fs::read_dir(directory))?.into_iter().flatten() {
        let entry = entry?;
        // It may go while it is looked at.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let path = entry.path();
            let Ok(used) = used(&path) else { continue };
            files.push(Held {
                name: entry.file_name().to_string_lossy().into_owned(),
                size: metadata.len(),
                used,
                path,
            });
        }
    }
    Ok(files)
}

/// SHA-256 of a file, in digits.
pub(super) fn hash_of(mut file: fs::File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn used(path: &Path) -> io::Result<Duration> {
    let modified = fs::metadata(path)?.modified()?;
    Ok(modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default())
}

fn missing_is_empty<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aged(path: &Path, age: Duration) {
        let time = std::time::UNIX_EPOCH + clock::since_epoch().saturating_sub(age);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn the_oldest_go_first_and_what_is_used_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        let days = |days: u64| Duration::from_hours(24 * days);
        let blobs: Vec<_> = [b"aaaa", b"bbbb", b"cccc"].iter().map(|bytes| store.put(*bytes).unwrap()).collect();
        for (blob, age) in blobs.iter().zip([days(40), days(3), days(2)]) {
            aged(&store.path(&blob.digest), age);
        }
        let fresh = store.put(b"dddd").unwrap();
        let there = |store: &Store| -> Vec<bool> {
            blobs.iter().chain([&fresh]).map(|blob| store.path(&blob.digest).exists()).collect()
        };
        let cache = Cache::new(directory.path().to_owned());
        assert_eq!(cache.collect(Limits::default()).unwrap(), (1, 4));
        assert_eq!(there(&store), [false, true, true, true]);
        assert_eq!(cache.collect(Limits { size: 9, ..Limits::default() }).unwrap(), (1, 4));
        assert_eq!(there(&store), [false, false, true, true]);
        // What a build looks at counts as used.
        assert!(store.has(&blobs[2]));
        assert_eq!(cache.collect(Limits { size: 0, age: days(1) }).unwrap(), (0, 0));
        assert_eq!(cache.list().unwrap()[0], Holding { kind: "blobs".into(), files: 2, bytes: 8 });
    }

    #[test]
    fn what_is_damaged_goes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        let (good, bad) = (store.put(b"good").unwrap(), store.put(b"evil").unwrap());
        fs::write(store.path(&bad.digest), "live").unwrap();
        let cache = Cache::new(directory.path().to_owned());
        assert_eq!(cache.verify().unwrap(), [bad.digest.to_string()]);
        assert!(store.has(&good) && !store.has(&bad));
        assert!(cache.verify().unwrap().is_empty());
        assert!(Cache::new("/nowhere/at/all".into()).verify().unwrap().is_empty());
    }
}
