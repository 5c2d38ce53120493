//! The build context as a tree of hashed files, by the same rules as for the Engine. Only what changed is read again.
//!
//! Git's object ids are not taken for hashes of content, though an index has them at hand: a project can write its own
//! index, and the layers of all projects are found by these hashes. To be sure, each file would have to be read.

use std::collections::BTreeMap;
use std::fs::File as OpenFile;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::name::Name;
use super::node::{Attributes, File, Kind, Node, Place, Source};
use super::pool;
use super::store::Store;
use super::tree::Tree;
use crate::clock;
use crate::image::BuildContext;
use crate::image::context::{ENTRY_TIME, Fault, Owner, Sink, open_beneath};
use crate::model::failure::Failure;

/// What changed within this time before it was read may change again without a sign: times of change are no finer
/// than the kernel's clock (as Git's "racy" entries).
const FRESH: u64 = 2;

/// A file of the context as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContextFile {
    pub(super) path: Name,
    version: Version,
    /// Whether it had not changed for so long that a further change would show.
    settled: bool,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, u64),
    /// Another name of the file changes it too.
    changed: (i64, u64),
}

impl Version {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    fn same_content(&self, other: &Self) -> bool {
        Self { changed: other.changed, ..*self } == *other
    }
}

impl ContextFile {
    /// Opens the file, if it is still the one that was seen.
    pub(super) fn open(&self, root: &Path) -> Result<OpenFile, Fault> {
        let file = open_beneath(root, &self.path.path()).map(OpenFile::from).map_err(Fault::of)?;
        self.check(&file)?;
        Ok(file)
    }

    /// Whether its bytes must be those that were hashed. Nobody can put back the time that tells it; the time of its
    /// content's change anybody can.
    pub(super) fn is_as_hashed(&self, file: &OpenFile) -> Result<bool, Fault> {
        let stat = rustix::fs::fstat(file).map_err(|error| Fault::Unreadable(error.into()))?;
        Ok(self.settled && self.version == Version::of(&stat))
    }

    /// Sees that the file has not changed since.
    pub(super) fn check(&self, file: &OpenFile) -> Result<(), Fault> {
        let stat = rustix::fs::fstat(file).map_err(|error| Fault::Unreadable(error.into()))?;
        if self.version.same_content(&Version::of(&stat)) { Ok(()) } else { Err(Fault::Changed) }
    }

    /// The hash of its content.
    pub(super) fn hash(&self, root: &Path, buffer: &mut [u8]) -> Result<[u8; 32], Fault> {
        let mut file = self.open(root)?;
        let mut hash = Sha256::new();
        let mut size = 0;
        loop {
            match file.read(buffer).map_err(Fault::Unreadable)? {
                0 => break,
                read => {
                    hash.update(&buffer[..read]);
                    size += read as u64;
                }
            }
        }
        self.check(&file)?;
        if size == self.version.size { Ok(hash.finalize().into()) } else { Err(Fault::Changed) }
    }
}

/// What is known of the files of one directory from the last time.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    files: BTreeMap<Name, (Version, String)>,
}

/// Reads the context. Blocks.
///
/// # Errors
/// As [`BuildContext::write_tar`].
pub(super) fn scan(context: &BuildContext, dockerfile: &str, store: &Store) -> Result<Tree, Failure> {
    let mut seen = Seen::default();
    let now = clock::since_epoch().as_secs();
    let key = hex::encode(Sha256::digest(context.root.as_os_str().as_bytes()));
    // To read what is known of many files takes as long as to look at them.
    let (walked, known) = std::thread::scope(|scope| {
        let known = scope.spawn(|| store.recall::<Known>("files", &key));
        (context.walk(dockerfile, &mut seen), known.join())
    });
    walked?;
    for (_, file) in &mut seen.files {
        let old = |(seconds, _): (i64, u64)| u64::try_from(seconds).is_ok_and(|time| time + FRESH < now);
        file.settled = old(file.version.modified) && old(file.version.changed);
    }
    let mut known = known.ok().flatten().unwrap_or_default();
    let hashes: Vec<Option<[u8; 32]>> = seen.files.iter().map(|(_, file)| known.hash_of(file)).collect();
    let missing: Vec<usize> = (0..hashes.len()).filter(|index| hashes[*index].is_none()).collect();
    let fresh = hash_all(context, &seen.files, &missing)?;
    let mut hashes = hashes;
    for (index, hash) in missing.iter().zip(&fresh) {
        hashes[*index] = Some(*hash);
    }
    let mut tree = seen.tree;
    if !missing.is_empty() || known.files.len() != seen.files.len() {
        known.files.clear();
        for ((_, file), hash) in seen.files.iter().zip(hashes.iter().flatten()) {
            if file.settled {
                known.files.insert(file.path.clone(), (file.version, hex::encode(hash)));
            }
        }
        store.note("files", &key, &known);
    }
    for ((mut node, file), hash) in seen.files.into_iter().zip(hashes.into_iter().flatten()) {
        let path = file.path.clone();
        let inode = tree.inode();
        let size = file.version.size;
        node.kind = Kind::File(File { size, inode, place: Place::Ready(hash, Source::Context(Arc::new(file))) });
        tree.put(path, node);
    }
    Ok(tree)
}

impl Known {
    fn hash_of(&self, file: &ContextFile) -> Option<[u8; 32]> {
        let (version, hash) = self.files.get(&file.path)?;
        if *version != file.version {
            return None;
        }
        hex::decode(hash).ok()?.try_into().ok()
    }
}

/// Hashes files on every processor.
fn hash_all(context: &BuildContext, files: &[(Node, ContextFile)], wanted: &[usize]) -> Result<Vec<[u8; 32]>, Failure> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![[0; 32]; wanted.len()]);
    let fault: Mutex<Option<Failure>> = Mutex::new(None);
    let work = || {
        let mut buffer = vec![0; 1 << 17];
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = wanted.get(at).map(|index| &files[*index].1) else { break };
            match file.hash(&context.root, &mut buffer) {
                Ok(hash) => pool::lock(&done)[at] = hash,
                Err(why) => {
                    *pool::lock(&fault) = Some(context.fault(&file.path.path(), &why));
                    next.store(wanted.len(), Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        // A thread costs more than hashing a few files.
        for _ in 1..pool::threads().min(wanted.len() / 8) {
            scope.spawn(work);
        }
        work();
    });
    match pool::lock(&fault).take() {
        Some(failure) => Err(failure),
        None => Ok(done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)),
    }
}

/// The entries, and the files whose content is not yet known.
#[derive(Default)]
struct Seen {
    tree: Tree,
    files: Vec<(Node, ContextFile)>,
}

impl Sink for Seen {
    const NEEDS_DOCKERFILE: bool = false;

    fn directory(&mut self, path: &Path, owner: Owner) -> Result<(), Fault> {
        self.tree.put(name(path), node(0o755, owner, Kind::Directory));
        Ok(())
    }

    fn link(&mut self, path: &Path, target: &Path, owner: Owner) -> Result<(), Fault> {
        let target = Name(target.as_os_str().as_bytes().to_vec());
        self.tree.put(name(path), node(0o777, owner, Kind::Link(target)));
        Ok(())
    }

    fn text(&mut self, path: &Path, text: &str, owner: Owner) -> Result<(), Fault> {
        let file = text_file(text, self.tree.inode());
        let name = name(path);
        for parent in name.parent().ancestry() {
            self.tree.put(parent, node(0o755, owner, Kind::Directory));
        }
        self.tree.put(name, node(0o644, owner, Kind::File(file)));
        Ok(())
    }

    fn file(
        &mut self,
        path: &Path,
        seen: &Stat,
        mode: u32,
        owner: Owner,
        _: &dyn Fn() -> rustix::io::Result<OwnedFd>,
    ) -> Result<(), Fault> {
        let file = ContextFile { path: name(path), version: Version::of(seen), settled: false };
        self.files.push((node(mode, owner, Kind::Directory), file));
        Ok(())
    }
}

/// A file that is in memory.
pub(super) fn text_file(text: &str, inode: u64) -> File {
    let hash = Sha256::digest(text.as_bytes()).into();
    File { size: text.len() as u64, inode, place: Place::Ready(hash, Source::Bytes(text.as_bytes().into())) }
}

fn name(path: &Path) -> Name {
    Name(path.as_os_str().as_bytes().to_vec())
}

fn node(mode: u32, (uid, gid): Owner, kind: Kind) -> Node {
    let attributes = Attributes { mode, uid: uid.into(), gid: gid.into(), time: ENTRY_TIME };
    Node { attributes, xattrs: BTreeMap::new(), kind }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::contents::Contents;
    use super::*;
    use crate::image::ContextKind;

    fn context(root: &Path) -> BuildContext {
        let kind = ContextKind::Repository { dockerfile: "Dockerfile".into() };
        BuildContext { root: root.to_owned(), kind }
    }

    /// The file `file` of a context, which changes after it was hashed, as it is read then.
    fn read_after(change: impl Fn(&Path)) -> Result<Vec<u8>, Failure> {
        let directory = tempfile::tempdir().unwrap();
        let (root, store) = (directory.path().join("context"), Store::new(directory.path().join("store")));
        fs::create_dir(&root).unwrap();
        let path = root.join("file");
        fs::write(&path, "first").unwrap();
        let tree = scan(&context(&root), "", &store).unwrap();
        let Some(Node { kind: Kind::File(file), .. }) = tree.get(&"file".into()) else { panic!("{tree:?}") };
        change(&path);
        let contents = Contents::new(context(&root), store).unwrap();
        let mut read = Vec::new();
        contents.read(file, &mut |bytes| {
            read.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(read)
    }

    #[test]
    fn what_is_not_what_was_hashed_is_refused() {
        let unseen = |path: &Path| {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            fs::write(path, "other").unwrap();
            fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
        };
        let gone = |path: &Path| fs::remove_file(path).unwrap();
        let directory = |path: &Path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        };
        let link = |path: &Path| {
            fs::rename(path, path.with_extension("old")).unwrap();
            std::os::unix::fs::symlink("file.old", path).unwrap();
        };
        let changes: [&dyn Fn(&Path); 4] = [&unseen, &gone, &directory, &link];
        for (number, change) in changes.into_iter().enumerate() {
            let failure = read_after(change).unwrap_err();
            assert!(
                failure.message.contains("`file`") && failure.message.contains("changed while"),
                "{number}: {failure}"
            );
        }
    }

    #[test]
    fn another_name_changes_no_content() {
        let linked = |path: &Path| fs::hard_link(path, path.with_extension("too")).unwrap();
        assert_eq!(read_after(linked).unwrap(), b"first");
    }

    #[test]
    fn a_dockerfile_that_is_ignored_is_not_there_to_be_copied() {
        let directory = tempfile::tempdir().unwrap();
        let (root, store) = (directory.path().join("context"), Store::new(directory.path().join("store")));
        fs::create_dir(&root).unwrap();
        let there = || scan(&context(&root), "FROM x", &store).unwrap().get(&"Dockerfile".into()).is_some();
        assert!(there());
        fs::write(root.join(".dockerignore"), "Dockerfile\n").unwrap();
        assert!(!there());
        fs::write(root.join(".dockerignore"), "*\n!Dockerfile\n").unwrap();
        assert!(there());
    }
}
