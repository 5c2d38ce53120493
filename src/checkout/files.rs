//! The files of a commit, written from the mirror's objects by several threads.
//!
//! Git writes them one by one; here lies most of a checkout's time. What Git would convert (attributes(5): line
//! ends, `$Id$`, encodings) is left to Git.

use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use git2::{Oid, Repository};
use tokio_util::sync::CancellationToken;

use super::fetched::unwritable;
use super::listing::{Kind, unreadable, walk};
use crate::model::failure::{Failure, FailureCode};
use crate::work;

/// Files that a thread takes at a time.
const SHARE: usize = 64;

/// What a commit's tree holds.
#[derive(Debug, Default)]
pub(super) struct Files {
    directories: Vec<PathBuf>,
    regular: Vec<File>,
    links: Vec<(PathBuf, Oid)>,
    submodules: Vec<PathBuf>,
    /// Whether Git writes some files in another form than they are stored in.
    pub(super) converted: bool,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    executable: bool,
    id: Oid,
}

impl Files {
    /// Reads the tree of a commit.
    ///
    /// # Errors
    /// `source_unusable` for a path that Git would not write either (`git-fsck(1)`: `.git`, `..`); as [`walk`].
    pub(super) fn of(repository: &Repository, commit: Oid) -> Result<Self, Failure> {
        let tree = repository.find_commit(commit).map_err(|error| unreadable(&error))?.tree_id();
        let (mut found, mut hostile) = (Self::default(), None);
        walk(repository, tree, |path, kind, id| {
            if !is_plain(path) {
                hostile.get_or_insert_with(|| String::from_utf8_lossy(path).into_owned());
                return;
            }
            let at = PathBuf::from(OsStr::from_bytes(path));
            match kind {
                Kind::Directory => found.directories.push(at),
                Kind::Link => found.links.push((at, id)),
                Kind::Submodule => found.submodules.push(at),
                Kind::File { executable } => {
                    if path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes") {
                        found.converted |= repository.find_blob(id).is_ok_and(|blob| converts(blob.content()));
                    }
                    found.regular.push(File { path: at, executable, id });
                }
            }
        })?;
        match hostile {
            None => Ok(found),
            Some(path) => {
                let message =
                    format!("the commit holds the path `{}`, which no checkout may write", path.escape_debug());
                Err(Failure::new(FailureCode::SourceUnusable, message))
            }
        }
    }

    /// Writes them into a directory that holds none of them yet.
    ///
    /// Every directory is made new before any file, and links come last: nothing is written through a link.
    ///
    /// # Errors
    /// `disk_full`, `internal`, `cancelled`.
    pub(super) async fn write(self, objects: PathBuf, into: PathBuf, cancel: CancellationToken) -> Result<(), Failure> {
        work::blocking(move || {
            let make = |path: &PathBuf| DirBuilder::new().mode(0o777).create(into.join(path));
            self.directories.iter().chain(&self.submodules).try_for_each(make).map_err(|e| unwritable(&into, &e))?;
            self.write_files(&objects, &into, &cancel)?;
            let repository = Repository::open_bare(&objects).map_err(|error| unreadable(&error))?;
            for (path, id) in &self.links {
                let target = repository.find_blob(*id).map_err(|error| unreadable(&error))?;
                symlink(OsStr::from_bytes(target.content()), into.join(path)).map_err(|e| unwritable(&into, &e))?;
            }
            Ok(())
        })
        .await
    }

    fn write_files(&self, objects: &Path, into: &Path, cancel: &CancellationToken) -> Result<(), Failure> {
        let next = AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
        let work = || {
            let repository = Repository::open_bare(objects).map_err(|error| unreadable(&error))?;
            while let Some(share) = self.regular.chunks(SHARE).nth(next.fetch_add(1, Ordering::Relaxed)) {
                if cancel.is_cancelled() {
                    return Err(work::cancelled());
                }
                for file in share {
                    let blob = repository.find_blob(file.id).map_err(|error| unreadable(&error))?;
                    write(&into.join(&file.path), blob.content(), file.executable).map_err(|e| unwritable(into, &e))?;
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut outcome = work();
            for other in others {
                let ended = other.join().unwrap_or_else(|_| Err(unwritable(into, &"a thread panicked")));
                outcome = outcome.and(ended);
            }
            outcome
        })
    }
}

fn write(path: &Path, bytes: &[u8], executable: bool) -> io::Result<()> {
    let mode = if executable { 0o777 } else { 0o666 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(bytes)
}

/// No part of it is `.git`, `.` or `..`, in any case.
fn is_plain(path: &[u8]) -> bool {
    !path
        .split(|byte| *byte == b'/')
        .any(|part| matches!(part, b"" | b"." | b"..") || part.eq_ignore_ascii_case(b".git") || part.contains(&0))
}

/// Whether a line of `.gitattributes` asks for another form in the working tree than the stored one.
fn converts(attributes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(attributes);
    let asks = |word: &str| word.starts_with("eol") || word == "ident" || word.starts_with("working-tree-encoding");
    text.lines().any(|line| line.split_whitespace().skip(1).any(asks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_written() {
        for good in [&b"a"[..], b"a/b", b".gitignore", b"a/.github/x", b"\xff\n"] {
            assert!(is_plain(good));
        }
        for bad in [&b".git"[..], b"a/.GIT/config", b"..", b"a/../b", b"a//b", b""] {
            assert!(!is_plain(bad));
        }
    }

    #[test]
    fn conversions_are_seen() {
        for yes in ["*.bat text eol=crlf", "* ident", "*.txt working-tree-encoding=UTF-16"] {
            assert!(converts(yes.as_bytes()), "{yes}");
        }
        for no in ["* text=auto", "*.bin -text filter=lfs", "eol export-ignore", "*.png binary"] {
            assert!(!converts(no.as_bytes()), "{no}");
        }
    }

    /// A repository with one commit whose tree holds these blobs under any names.
    fn commit(entries: &[(&str, i32)]) -> (tempfile::TempDir, Repository, Oid) {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(directory.path()).unwrap();
        let blob = repository.blob(b"/tmp").unwrap();
        // libgit2 would refuse to write such names.
        let mut tree = Vec::new();
        for (name, mode) in entries {
            tree.extend(format!("{mode:o} {name}\0").bytes().chain(blob.as_bytes().iter().copied()));
        }
        let tree = repository.odb().unwrap().write(git2::ObjectType::Tree, &tree).unwrap();
        let text = format!("tree {tree}\nauthor A <a@example.com> 0 +0000\ncommitter A <a@example.com> 0 +0000\n\nx\n");
        let commit = repository.odb().unwrap().write(git2::ObjectType::Commit, text.as_bytes()).unwrap();
        (directory, repository, commit)
    }

    #[tokio::test]
    async fn hostile_trees_write_nothing_outside() {
        for entries in [&[(".git", 0o100_644)][..], &[("..", 0o100_644)], &[("a/../../b", 0o100_644)]] {
            let (_directory, repository, commit) = commit(entries);
            assert_eq!(Files::of(&repository, commit).unwrap_err().code, FailureCode::SourceUnusable, "{entries:?}");
        }
        // A link, and a file that would lie behind it.
        let (directory, repository, commit) = commit(&[("a", 0o120_000), ("a/b", 0o100_644)]);
        let into = tempfile::tempdir().unwrap();
        let files = Files::of(&repository, commit).unwrap();
        let written = files.write(directory.path().to_owned(), into.path().to_owned(), CancellationToken::new()).await;
        assert!(written.is_err() && !into.path().join("a").exists());
    }

    #[tokio::test]
    async fn nothing_more_is_written_once_it_is_cancelled() {
        let (directory, repository, commit) = commit(&[("a", 0o100_755)]);
        let into = tempfile::tempdir().unwrap();
        let cancel = CancellationToken::new();
        let write = |cancel: &CancellationToken| {
            let files = Files::of(&repository, commit).unwrap();
            files.write(directory.path().to_owned(), into.path().to_owned(), cancel.clone())
        };
        cancel.cancel();
        assert_eq!(write(&cancel).await.unwrap_err().code, FailureCode::Cancelled);
        assert!(!into.path().join("a").exists());
        write(&CancellationToken::new()).await.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&into.path().join("a").metadata().unwrap().permissions());
        assert_eq!(mode & 0o100, 0o100);
    }
}
