//! A commit that lies in the mirror, and the directory that a build gets of it.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::files::Files;
use super::git::Git;
use super::listing::unreadable;
use super::local::WorkingTree;
use super::mirror::Mirror;
use super::oid;
use super::repository;
use super::resolve::resolve;
use super::submodules;
use super::tree::{LFS_START, TreeReader};
use crate::model::failure::{Failure, FailureCode, Step, Warning};
use crate::model::names::CommitSha;
use crate::model::source::{RepositoryUrl, Source};
use crate::model::source_tree::{SourceTree, Wanted};
use crate::work;

/// Files in a directory of a build's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The repository's root; the whole repository is there.
    pub directory: PathBuf,
    /// The commit, if it is one.
    pub commit: Option<CommitSha>,
    /// When it was committed, in Unix seconds.
    pub commit_time: Option<i64>,
    /// The branch or tag by its short name, where one led to the commit.
    pub branch_or_tag: Option<String>,
    /// Whether the files differ from the commit.
    pub dirty: bool,
    /// Where it came from, without credentials.
    pub url: Option<String>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// A commit in the mirror.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The commit.
    pub commit: CommitSha,
    /// When it was committed, in Unix seconds.
    pub commit_time: i64,
    /// The reference that led to it: `refs/heads/main`.
    pub reference: Option<String>,
    /// The repository as it was asked for.
    pub url: RepositoryUrl,
    /// Whether an earlier build had brought it.
    pub cached: bool,
    pub(super) mirror: Mirror,
    pub(super) access: Access,
    pub(super) cache: PathBuf,
}

/// What a source means now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// The commit.
    pub commit: CommitSha,
    /// The reference that led to it: `refs/tags/v1.4.2`.
    pub reference: Option<String>,
}

/// The commit that a source means now; nothing is fetched where the repository itself can say.
///
/// # Errors
/// As for [`resolve_and_fetch`].
pub async fn meant(source: &Source, access: &Access, cache: &Path) -> Result<Meant, Failure> {
    let mirror = Mirror::of(cache, &source.url, access);
    access.allow.check(&source.url, "The source")?;
    let resolved = resolve(source, access, &mirror).await?;
    Ok(Meant { commit: resolved.commit, reference: resolved.reference })
}

/// Resolves a source to one commit and brings it into its mirror, below `cache`.
///
/// The repository is asked each time with the credentials given, so a warm mirror serves
/// nobody who could not fetch.
///
/// # Errors
/// `source_forbidden`, `source_not_found`, `source_unauthorized`, `source_unavailable`,
/// `revision_not_found`, `request_invalid` for an ambiguous revision, `tool_missing`.
pub async fn resolve_and_fetch(source: &Source, access: &Access, cache: &Path) -> Result<Fetched, Failure> {
    fetch(source, access, cache).await.map_err(|failure| failure.in_step(Step::Checkout))
}

async fn fetch(source: &Source, access: &Access, cache: &Path) -> Result<Fetched, Failure> {
    access.allow.check(&source.url, "the source")?;
    let mirror = Mirror::of(cache, &source.url, access);
    let resolved = resolve(source, access, &mirror).await?;
    let cached = mirror.bring(access, &resolved.remote, &resolved.commit, resolved.reference.as_deref()).await?;
    let commit_time = {
        let _lock = mirror.read_lock().await?;
        let repository = mirror.open()?;
        let id = oid::of(&resolved.commit);
        let time = id.and_then(|id| repository.find_commit(id)).map(|commit| commit.time().seconds());
        time.map_err(|_| {
            let message = format!("`{}` is no commit of `{}`", resolved.commit, source.url);
            Failure::new(FailureCode::RevisionNotFound, message)
        })?
    };
    Ok(Fetched {
        commit: resolved.commit,
        commit_time,
        reference: resolved.reference,
        url: source.url.clone(),
        cached,
        mirror,
        access: access.clone(),
        cache: cache.to_owned(),
    })
}

impl Fetched {
    /// The branch or tag by its short name: `main`, `v1.4.2`.
    #[must_use]
    pub fn branch_or_tag(&self) -> Option<&str> {
        let name = self.reference.as_deref()?;
        name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"))
    }

    /// The tag by its short name, if a tag led to the commit.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.reference.as_deref()?.strip_prefix("refs/tags/")
    }

    /// Reads listing and texts from the commit's objects, without a working tree.
    ///
    /// # Errors
    /// `internal` when the cache is damaged.
    pub fn tree(&self) -> Result<TreeReader, Failure> {
        TreeReader::of_commit(self.mirror.open()?, &self.commit)
    }

    /// Writes the whole repository, submodules too, into a new directory, with a `.git` of its
    /// own: the commit, and the history back to the latest tag, copied from the mirror.
    ///
    /// Once it returns, nothing more is written, cancelled or not; drop it and that may not hold.
    ///
    /// # Errors
    /// `cancelled`,
    /// `source_forbidden` for a submodule that may not be cloned, what stops its fetch,
    /// `disk_full`, `internal`.
    pub async fn materialise(&self, into: &Path, cancel: &CancellationToken) -> Result<Checkout, Failure> {
        self.write(into, 0, cancel).await.map_err(|failure| failure.in_step(Step::Checkout))
    }

    pub(super) async fn write(
        &self,
        into: &Path,
        depth: usize,
        cancel: &CancellationToken,
    ) -> Result<Checkout, Failure> {
        std::fs::create_dir_all(into).map_err(|error| unwritable(into, &error))?;
        {
            let _lock = self.mirror.read_lock().await?;
            let (mirror, commit) = (self.mirror.clone(), self.commit.clone());
            let files = work::blocking(move || {
                Files::of(&mirror.open()?, oid::of(&commit).map_err(|error| unreadable(&error))?)
            });
            let files = files.await?;
            let (from, converted) = (self.mirror.repository(), files.converted);
            let branch = self.reference.as_deref().filter(|name| name.starts_with("refs/heads/"));
            let kept = Some(self.mirror.packs());
            let copy = repository::create(&from, &self.commit, branch, Some(&self.url), kept, into);
            let write = async {
                if converted { Ok(()) } else { files.write(from.clone(), into.to_owned(), cancel.clone()).await }
            };
            // Both end before anything is removed.
            let (copied, written) = tokio::join!(work::unless_cancelled(cancel, copy), write);
            copied.and(written)?;
            if converted {
                let files = Git::new(["reset", "--hard", "--quiet"]).within(into);
                work::unless_cancelled(cancel, files.run_or_fail()).await?;
            } else {
                repository::fill_index(into).await?;
            }
        }
        let warnings = submodules::write(self, into, depth, cancel).await?;
        Ok(Checkout {
            directory: into.to_owned(),
            commit: Some(self.commit.clone()),
            commit_time: Some(self.commit_time),
            branch_or_tag: self.branch_or_tag().map(str::to_owned),
            dirty: false,
            url: Some(self.url.as_str().to_owned()),
            warnings,
        })
    }
}

impl Checkout {
    /// Reads listing and texts: of the commit, or of the files where they differ from it.
    ///
    /// # Errors
    /// `internal` when the directory is gone or damaged.
    pub fn reader(&self) -> Result<TreeReader, Failure> {
        match &self.commit {
            Some(commit) if !self.dirty => {
                let repository = git2::Repository::open(&self.directory);
                TreeReader::of_commit(repository.map_err(|error| unwritable(&self.directory, &error))?, commit)
            }
            _ => WorkingTree::open(&self.directory).map(|tree| tree.tree()),
        }
    }

    /// The listing, with no texts yet.
    ///
    /// # Errors
    /// As [`Checkout::reader`] and [`TreeReader::source_tree`].
    pub fn tree(&self) -> Result<SourceTree, Failure> {
        self.reader()?.source_tree()
    }

    /// Gives the tree the texts that it wants. A file that planning wants and that is a pointer
    /// of Git LFS has no text.
    ///
    /// # Errors
    /// As [`Checkout::reader`]; `source_unusable` for a pointer of Git LFS.
    pub fn load(&self, tree: &mut SourceTree, wanted: Wanted) -> Result<(), Failure> {
        self.reader()?.load(tree, &wanted);
        match wanted.texts.into_iter().find(|path| tree.text(path).is_some_and(|text| text.starts_with(LFS_START))) {
            Some(path) => Err(lfs_failure(&[path])),
            None => Ok(()),
        }
    }

    /// Refuses a checkout with pointers of Git LFS below a directory (`""` for all): a build
    /// would take them for the files.
    ///
    /// # Errors
    /// `source_unusable`, naming the files.
    pub fn refuse_lfs_pointers(&self, below: &str) -> Result<(), Failure> {
        self.reader()?.refuse_lfs_pointers(below)
    }
}

impl TreeReader {
    /// As [`Checkout::refuse_lfs_pointers`].
    ///
    /// # Errors
    /// As there.
    pub fn refuse_lfs_pointers(&self, below: &str) -> Result<(), Failure> {
        let found = self.lfs_pointers(&self.source_tree()?, below);
        if found.is_empty() { Ok(()) } else { Err(lfs_failure(&found)) }
    }
}

fn lfs_failure(paths: &[String]) -> Failure {
    let message =
        format!("{} files are pointers of Git LFS, whose contents are not fetched: `{}`", paths.len(), paths[0]);
    let failure = Failure::new(FailureCode::SourceUnusable, message)
        .hint("commit the files themselves, or fetch them from the package repository while building");
    paths.iter().take(20).fold(failure, |failure, path| failure.at(path, None)).in_step(Step::Checkout)
}

pub(super) fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    let text = error.to_string();
    let code = if text.contains("No space left") { FailureCode::DiskFull } else { FailureCode::Internal };
    Failure::new(code, format!("the checkout `{}` cannot be made: {text}", path.display()))
}
