//! The working tree of a person's own machine.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::fetched::{Checkout, unwritable};
use super::git::Git;
use super::repository;
use super::status;
use super::tree::TreeReader;
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::names::CommitSha;
use crate::model::source::RepositoryUrl;
use crate::model::source_tree::{Entry, EntryKind};
use crate::work;

/// A directory as it lies there: what Git tracks, and what it does not track and does not ignore.
///
/// Without a repository around it, all files count that no `.gitignore` names.
#[derive(Debug, Clone)]
pub struct WorkingTree {
    /// The repository's root, or the directory itself.
    pub root: PathBuf,
    /// The directory that was named, relative to the root; `""` for the root.
    pub directory: String,
    /// The commit it stands on, if there is one.
    pub commit: Option<CommitSha>,
    /// When that was committed, in Unix seconds.
    pub commit_time: Option<i64>,
    /// The branch that is checked out.
    pub branch: Option<String>,
    /// Whether files differ from the commit.
    pub dirty: bool,
    /// In the order of their bytes, which names are here; planning sees those that are UTF-8.
    entries: Vec<(PathBuf, Entry)>,
}

impl WorkingTree {
    /// Looks at a directory.
    ///
    /// # Errors
    /// `request_invalid` when it is no directory or cannot be read.
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        Self::look(directory).map_err(|failure| failure.in_step(Step::Checkout))
    }

    fn look(directory: &Path) -> Result<Self, Failure> {
        let directory = directory.canonicalize().map_err(|error| unlookable(directory, &error))?;
        if !directory.is_dir() {
            return Err(unlookable(&directory, &"it is no directory"));
        }
        match git2::Repository::discover(&directory) {
            Ok(repository) => of_repository(&repository, &directory),
            Err(error) if error.code() == git2::ErrorCode::NotFound => {
                let entries = without_git(&directory)?;
                Ok(Self {
                    root: directory,
                    directory: String::new(),
                    commit: None,
                    commit_time: None,
                    branch: None,
                    dirty: false,
                    entries,
                })
            }
            Err(error) => Err(unlookable(&directory, &error.message())),
        }
    }

    /// Reads listing and texts.
    #[must_use]
    pub fn tree(&self) -> TreeReader {
        let spoken = |(path, entry): &(PathBuf, Entry)| Some((path.to_str()?.to_owned(), entry.clone()));
        TreeReader::of_directory(self.root.clone(), self.entries.iter().filter_map(spoken).collect())
    }

    /// Refuses pointers of Git LFS below a directory.
    ///
    /// # Errors
    /// As [`Checkout::refuse_lfs_pointers`].
    pub fn refuse_lfs_pointers(&self, below: &str) -> Result<(), Failure> {
        // Only attributes make pointers, and a tree of its own to look for them takes as long as the rest of this step.
        let attributes = |(path, _): &(PathBuf, Entry)| path.file_name() == Some(OsStr::new(".gitattributes"));
        if self.entries.iter().any(attributes) { self.tree().refuse_lfs_pointers(below) } else { Ok(()) }
    }

    /// The files below a directory of the repository, relative to it and in order, and the bytes of all of them.
    #[must_use]
    pub fn below(&self, directory: &str) -> (Vec<PathBuf>, u64) {
        let inside =
            |(path, entry): &(PathBuf, Entry)| Some((path.strip_prefix(directory).ok()?.to_owned(), entry.size));
        let (files, sizes): (_, Vec<u64>) = self.entries.iter().filter_map(inside).unzip();
        (files, sizes.iter().sum())
    }

    /// Copies the files into a new directory, with a `.git` of its own on the same commit.
    ///
    /// # Errors
    /// `cancelled`; `disk_full` or `internal` when it cannot be written; `request_invalid` when a file
    /// vanished meanwhile.
    pub async fn materialise(&self, into: &Path, cancel: &CancellationToken) -> Result<Checkout, Failure> {
        self.write(into, cancel).await.map_err(|failure| failure.in_step(Step::Checkout))
    }

    async fn write(&self, into: &Path, cancel: &CancellationToken) -> Result<Checkout, Failure> {
        std::fs::create_dir_all(into).map_err(|error| unwritable(into, &error))?;
        let origin = origin_url(&self.root);
        if let Some(commit) = &self.commit {
            let branch = self.branch.as_ref().map(|branch| format!("refs/heads/{branch}"));
            let copy = repository::create(&self.root, commit, branch.as_deref(), origin.as_ref(), None, into);
            work::unless_cancelled(cancel, copy).await?;
        }
        let (tree, target, stop) = (self.clone(), into.to_owned(), cancel.clone());
        work::blocking(move || tree.copy(&target, &stop)).await?;
        if self.commit.is_some() {
            // The index of the commit, so that tools see what is modified.
            let reset = Git::new(["reset", "--mixed", "--quiet"]).within(into).run_or_fail();
            work::unless_cancelled(cancel, reset).await?;
        }
        Ok(Checkout {
            directory: into.to_owned(),
            commit: self.commit.clone(),
            commit_time: self.commit_time,
            branch_or_tag: self.branch.clone(),
            dirty: self.dirty,
            url: origin.map(|url| url.as_str().to_owned()),
            warnings: Vec::new(),
        })
    }

    fn copy(&self, into: &Path, cancel: &CancellationToken) -> Result<(), Failure> {
        let copied = |(path, entry): &(PathBuf, Entry)| {
            if cancel.is_cancelled() {
                return Err(work::cancelled());
            }
            copy(&self.root, into, path, entry).map_err(|error| unwritable(&into.join(path), &error))
        };
        self.entries.iter().try_for_each(copied)
    }
}

/// Where the repository around a directory was cloned from; `None` without one, or where the
/// remote `origin` is nothing that others could clone.
#[must_use]
pub fn origin_url(directory: &Path) -> Option<RepositoryUrl> {
    let repository = git2::Repository::discover(directory).ok()?;
    let remote = repository.find_remote("origin").ok()?;
    let text = remote.url().ok()?.to_owned();
    // People's clones may hold a password, or a token where the user's name stands; what is shown must not.
    let mut url = match url::Url::parse(&text) {
        Ok(url) if url.has_host() => url,
        _ => return text.parse().ok(),
    };
    if url.password().is_some() || matches!(url.scheme(), "http" | "https") {
        url.set_password(None).ok()?;
        url.set_username("").ok()?;
    }
    url.as_str().parse().ok()
}

fn of_repository(repository: &git2::Repository, directory: &Path) -> Result<WorkingTree, Failure> {
    let failed = |error: git2::Error| unlookable(directory, &error.message().to_owned());
    let root = repository.workdir().ok_or_else(|| unlookable(directory, &"it is a bare repository"))?;
    let root = root.canonicalize().map_err(|error| unlookable(root, &error))?;
    let inside = directory.strip_prefix(&root).map_err(|_| unlookable(directory, &"it lies inside `.git`"))?;
    let inside = inside.to_str().ok_or_else(|| unlookable(directory, &"its name is not UTF-8"))?.to_owned();
    let head = repository.head().ok();
    let commit = head.as_ref().and_then(|head| head.peel_to_commit().ok());
    let branch = head.as_ref().filter(|head| head.is_branch()).and_then(|head| head.shorthand().ok());
    let mut entries = Vec::new();
    let changed = list(repository, &root, Path::new(""), &mut entries, 0).map_err(failed)?;
    sort(&mut entries);
    Ok(WorkingTree {
        directory: inside,
        commit: commit.as_ref().and_then(|commit| commit.id().to_string().parse().ok()),
        commit_time: commit.as_ref().map(|commit| commit.time().seconds()),
        branch: branch.map(str::to_owned),
        dirty: changed,
        entries,
        root,
    })
}

/// Lists a repository's files below `prefix`, submodules that are checked out too; says whether
/// anything differs from the commit.
fn list(
    repository: &git2::Repository,
    root: &Path,
    prefix: &Path,
    entries: &mut Vec<(PathBuf, Entry)>,
    depth: usize,
) -> Result<bool, git2::Error> {
    let standing = status::look(repository, &root.join(prefix))?;
    for (name, found) in standing.files {
        let full = prefix.join(OsStr::from_bytes(&name));
        let Some(entry) = entry_of(&root.join(&full), &found) else { continue };
        if entry.kind != EntryKind::Submodule {
            entries.push((full, entry));
            continue;
        }
        // A directory where one entry should be is another repository.
        if let Ok(inner) = git2::Repository::open(root.join(&full))
            && depth < 8
        {
            list(&inner, root, &full, entries, depth + 1)?;
        }
    }
    Ok(standing.changed)
}

fn sort(entries: &mut [(PathBuf, Entry)]) {
    entries.sort_unstable_by(|(one, _), (other, _)| one.as_os_str().cmp(other.as_os_str()));
}

/// What stands at a path; `None` for what is gone meanwhile, and for sockets, pipes and devices.
fn entry_of(path: &Path, found: &Metadata) -> Option<Entry> {
    let kind = if found.is_symlink() {
        EntryKind::Symlink(std::fs::read_link(path).ok()?.to_string_lossy().into_owned())
    } else if found.is_dir() {
        EntryKind::Submodule
    } else if found.is_file() {
        EntryKind::File
    } else {
        return None;
    };
    let executable = kind == EntryKind::File && found.permissions().mode() & 0o100 != 0;
    Some(Entry { size: if kind == EntryKind::File { found.len() } else { 0 }, kind, executable })
}

fn without_git(root: &Path) -> Result<Vec<(PathBuf, Entry)>, Failure> {
    let mut walk = ignore::WalkBuilder::new(root);
    walk.standard_filters(false).parents(false).git_ignore(true).require_git(false);
    let mut entries = Vec::new();
    for found in walk.filter_entry(|entry| entry.file_name() != ".git").build() {
        let found = found.map_err(|error| unlookable(root, &error))?;
        if found.file_type().is_some_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = found.path().strip_prefix(root).ok();
        let entry = found.path().symlink_metadata().ok().and_then(|data| entry_of(found.path(), &data));
        if let (Some(path), Some(entry)) = (path, entry) {
            entries.push((path.to_owned(), entry));
        }
    }
    sort(&mut entries);
    Ok(entries)
}

fn copy(root: &Path, into: &Path, path: &Path, entry: &Entry) -> std::io::Result<()> {
    let target = into.join(path);
    if let Some(directory) = target.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match &entry.kind {
        EntryKind::Symlink(_) => std::os::unix::fs::symlink(std::fs::read_link(root.join(path))?, target),
        EntryKind::File => std::fs::copy(root.join(path), target).map(drop),
        EntryKind::Submodule => std::fs::create_dir_all(target),
    }
}

fn unlookable(directory: &Path, error: &dyn std::fmt::Display) -> Failure {
    let message = format!("the directory `{}` cannot be built: {error}", directory.display());
    Failure::new(FailureCode::RequestInvalid, message).hint("name a directory with the application's files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_shows_no_account() {
        let directory = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(directory.path()).unwrap();
        repository.remote("origin", "https://github.com/trade/order.git").unwrap();
        for account in ["ghp_TOKEN", "ada:hunter2", ":hunter2", "ghp_TOKEN:x-oauth-basic"] {
            repository.remote_set_url("origin", &format!("https://{account}@github.com/trade/order.git")).unwrap();
            let url = origin_url(directory.path()).unwrap();
            assert_eq!(url.as_str(), "https://github.com/trade/order.git", "{account}");
        }
        repository.remote_set_url("origin", "git@github.com:trade/order.git").unwrap();
        assert_eq!(origin_url(directory.path()).unwrap().as_str(), "ssh://git@github.com/trade/order.git");
    }
}
