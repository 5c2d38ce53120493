//! What stands in a repository's working tree, and whether it differs from the commit: git-status(1).
//!
//! A file whose size, times and place are those that the index keeps is the one that was added (gitformat-index(5), and
//! Git's "racy-git"): one look at each is enough, and Git is asked about the others alone. Whatever is not ordinary is
//! Git's from the start.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{DirEntry, Metadata};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use git2::{IndexEntry, Oid, Repository, Status, StatusOptions};

use super::listing::{self, Kind};
use crate::model::failure::Failure;

/// Of so many at most Git is asked one by one.
const ASKED: usize = 500;
/// The stage of an unmerged path, and what `git update-index --assume-unchanged` sets ("flags").
const UNUSUAL: u16 = 0xb000;
/// A repository, where a file is expected ("mode").
const SUBMODULE: u32 = 0o160_000;

/// A working tree.
pub(super) struct Standing {
    /// What is tracked and there, and what is neither tracked nor ignored: names below the root in the order of their
    /// bytes. A directory is another repository.
    pub(super) files: Vec<(Vec<u8>, Metadata)>,
    /// Whether anything differs from the commit.
    pub(super) changed: bool,
}

/// Looks at the working tree of a repository that has one.
///
/// # Errors
/// An index that cannot be read, and what else Git cannot make sense of.
pub(super) fn look(repository: &Repository, root: &Path) -> Result<Standing, git2::Error> {
    let place = repository.path();
    std::thread::scope(|scope| {
        let committed = scope.spawn(|| committed(place));
        let Some(walked) = Walk::through(repository, root)? else { return asked(repository, root) };
        let failed = || git2::Error::from_str("the commit cannot be compared with the index");
        let committed = committed.join().map_err(|_| failed())?.map_err(|_| failed())?;
        let same = |(entry, kept): (&IndexEntry, &Committed)| {
            entry.path == kept.0 && listing::kind(entry.mode) == kept.1 && entry.id == kept.2
        };
        let staged = walked.index.len() != committed.len() || !walked.index.iter().zip(&committed).all(same);
        Ok(Standing { files: walked.files, changed: walked.changed || staged })
    })
}

/// A name, what it is, and its object.
type Committed = (Vec<u8>, Kind, Oid);

/// What the commit holds, in the order of the index: by the bytes of names. Nothing where there is no commit yet.
fn committed(repository: &Path) -> Result<Vec<Committed>, Failure> {
    listing::trust_packs();
    let repository = Repository::open(repository).map_err(|error| listing::unreadable(&error))?;
    let mut all = Vec::new();
    if let Ok(tree) = repository.head().and_then(|head| head.peel_to_tree()) {
        listing::walk(&repository, tree.id(), |name, kind, id| {
            if kind != Kind::Directory {
                all.push((name.to_vec(), kind, id));
            }
        })?;
    }
    Ok(all)
}

/// The same by Git, which also knows of unmerged paths, other file systems' names, and all else.
fn asked(repository: &Repository, root: &Path) -> Result<Standing, git2::Error> {
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).include_unmodified(true).no_refresh(true);
    let (mut files, mut changed) = (Vec::new(), false);
    for status in repository.statuses(Some(&mut options))?.iter() {
        changed |= status.status() != Status::CURRENT;
        // What the index has no more is there only where it is neither tracked nor ignored, which is said beside.
        if status.status().contains(Status::INDEX_DELETED) && !status.status().contains(Status::WT_NEW) {
            continue;
        }
        // Another repository's name ends in `/`.
        let name = status.path_bytes();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        if let Ok(found) = root.join(OsStr::from_bytes(name)).symlink_metadata() {
            files.push((name.to_vec(), found));
        }
    }
    files.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    files.dedup_by(|(one, _), (other, _)| one == other);
    Ok(Standing { files, changed })
}

/// A walk through the directories, beside what the index keeps.
struct Walk<'a> {
    repository: &'a Repository,
    tracked: HashMap<&'a [u8], &'a IndexEntry>,
    /// Directories with tracked files.
    directories: HashSet<&'a [u8]>,
    /// When the index was written, in seconds and nanoseconds.
    written: (i64, i64),
    files: Vec<(Vec<u8>, Metadata)>,
    /// How many of them are tracked.
    seen: usize,
    /// Tracked files that may have changed.
    doubtful: Vec<&'a [u8]>,
    /// How often Git was asked whether it ignores something.
    questions: usize,
}

/// What stands in the working tree, and whether it differs from the index.
struct Walked {
    index: Vec<IndexEntry>,
    files: Vec<(Vec<u8>, Metadata)>,
    changed: bool,
}

impl Walk<'_> {
    /// `None` where Git has to say it all.
    fn through(repository: &Repository, root: &Path) -> Result<Option<Walked>, git2::Error> {
        let path = repository.path().join("index");
        // Before it is read: one that is written meanwhile makes more files doubtful, and not fewer.
        let written = path.metadata().map_or((0, 0), |found| (found.mtime(), found.mtime_nsec()));
        let entries: Vec<IndexEntry> = repository.index()?.iter().collect();
        let folded = repository.config()?.get_bool("core.ignorecase").unwrap_or(false);
        if folded || entries.iter().any(|entry| entry.flags & UNUSUAL != 0 || entry.flags_extended != 0) {
            return Ok(None);
        }
        let mut walk = Walk {
            repository,
            tracked: entries.iter().map(|entry| (&entry.path[..], entry)).collect(),
            directories: HashSet::new(),
            written,
            files: Vec::with_capacity(entries.len()),
            seen: 0,
            doubtful: Vec::new(),
            questions: 0,
        };
        for entry in &entries {
            let mut rest = &entry.path[..];
            while let Some(at) = rest.iter().rposition(|byte| *byte == b'/') {
                rest = &rest[..at];
                if !walk.directories.insert(rest) {
                    break;
                }
            }
        }
        if walk.all(root)?.is_none() {
            return Ok(None);
        }
        let new_or_gone = walk.seen < walk.files.len() || walk.seen < entries.len();
        let changed = new_or_gone || walk.doubt()?;
        let mut files = walk.files;
        files.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Some(Walked { index: entries, files, changed }))
    }

    /// Walks through the whole tree. `None` where Git has to be asked.
    fn all(&mut self, root: &Path) -> Result<Option<()>, git2::Error> {
        let mut open = vec![Vec::new()];
        while let Some(directory) = open.pop() {
            let listed = root.join(OsStr::from_bytes(&directory)).read_dir().and_then(Iterator::collect);
            let Ok(listed) = listed else { return Ok(None) };
            let listed: Vec<DirEntry> = listed;
            for entry in listed {
                let name = entry.file_name();
                if name.as_bytes().eq_ignore_ascii_case(b".git") {
                    if directory.is_empty() {
                        continue;
                    }
                    // Another repository.
                    return Ok(None);
                }
                let mut path = directory.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend(name.into_vec());
                if self.enter(path, &entry, &mut open)?.is_none() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    }

    /// Looks at what stands at a path.
    fn enter(&mut self, path: Vec<u8>, entry: &DirEntry, open: &mut Vec<Vec<u8>>) -> Result<Option<()>, git2::Error> {
        let Ok(found) = entry.metadata() else { return Ok(None) };
        match self.tracked.get_key_value(&path[..]) {
            Some((_, kept)) if found.is_dir() != (kept.mode == SUBMODULE) => return Ok(None),
            Some((path, kept)) => self.compare(path, kept, found),
            None if found.is_dir() && self.directories.contains(&path[..]) => open.push(path),
            // Git knows of no sockets, pipes and devices.
            None if !(found.is_dir() || found.is_file() || found.is_symlink()) => {}
            None => match self.is_ignored(&path)? {
                None => return Ok(None),
                Some(true) => {}
                Some(false) if found.is_dir() => open.push(path),
                Some(false) => self.files.push((path, found)),
            },
        }
        Ok(Some(()))
    }

    /// `None` where that was asked too often to be quicker than Git's own walk.
    fn is_ignored(&mut self, path: &[u8]) -> Result<Option<bool>, git2::Error> {
        self.questions += 1;
        if self.questions > ASKED {
            return Ok(None);
        }
        self.repository.is_path_ignored(Path::new(OsStr::from_bytes(path))).map(Some)
    }
}

impl<'a> Walk<'a> {
    fn compare(&mut self, path: &'a [u8], kept: &IndexEntry, found: Metadata) {
        self.seen += 1;
        if !self.is_the_same(kept, &found) {
            self.doubtful.push(path);
        }
        self.files.push((path.to_vec(), found));
    }

    /// Whether a file is the one that was added, as far as its data say.
    fn is_the_same(&self, kept: &IndexEntry, found: &Metadata) -> bool {
        let mode = match (found.is_symlink(), found.mode() & 0o100) {
            (true, _) => 0o120_000,
            (false, 0) => 0o100_644,
            (false, _) => 0o100_755,
        };
        let time = |kept: git2::IndexTime| (i64::from(kept.seconds()), i64::from(kept.nanoseconds()));
        let changed = (found.mtime(), found.mtime_nsec());
        // The index keeps the lower 32 bits.
        #[expect(clippy::cast_possible_truncation)]
        let numbers = [found.size() as u32, found.ino() as u32, found.uid(), found.gid(), mode];
        kept.mode != SUBMODULE
            && numbers == [kept.file_size, kept.ino, kept.uid, kept.gid, kept.mode]
            && (time(kept.mtime), time(kept.ctime)) == (changed, (found.ctime(), found.ctime_nsec()))
            && changed < self.written
    }

    /// Whether a doubtful file has changed.
    fn doubt(&mut self) -> Result<bool, git2::Error> {
        if self.doubtful.is_empty() {
            return Ok(false);
        }
        let mut options = StatusOptions::new();
        options.include_untracked(false).no_refresh(true).disable_pathspec_match(true);
        for path in self.doubtful.iter().filter(|_| self.doubtful.len() <= ASKED) {
            options.pathspec(*path);
        }
        Ok(self.repository.statuses(Some(&mut options))?.iter().any(|found| found.status() != Status::CURRENT))
    }
}
