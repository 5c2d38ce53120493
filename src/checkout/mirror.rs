//! The cache's bare mirror of one repository as one account sees it.
//!
//! Writers hold its lock alone, readers together. Each commit that was ever wanted has a
//! reference below `refs/slipway/commits/`: written by Git only after it saw everything
//! that the commit needs, so its presence means completeness.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::access::Access;
use super::diagnosis::classify;
use super::git::{Git, Output};
use super::oid;
use super::remote::Remote;
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::CommitSha;
use crate::model::source::RepositoryUrl;

/// Packs above which a mirror is packed anew.
const PACKS: usize = 40;

/// A mirror in the cache.
#[derive(Debug, Clone)]
pub(super) struct Mirror {
    directory: PathBuf,
}

impl Mirror {
    /// The mirror of a repository, in a directory of mirrors, for whoever has these credentials.
    pub(super) fn of(cache: &Path, url: &RepositoryUrl, access: &Access) -> Self {
        let mut hash = Sha256::new();
        // Whoever is shown the same with other credentials shares nothing with us.
        let account = access.account(url).map_or("", |account| account.username.as_str());
        let credentials = access.bound(url).map_or("", |credentials| credentials.name.as_str());
        for part in [url.as_str(), credentials, account] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let name: String = url.name().chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        Self { directory: cache.join(format!("{name}-{}", &hex::encode(hash.finalize())[..32])) }
    }

    /// The bare repository.
    pub(super) fn repository(&self) -> PathBuf {
        self.directory.join("repository.git")
    }

    /// Where the pack of the last build stays.
    pub(super) fn packs(&self) -> PathBuf {
        self.directory.join("packs")
    }

    /// The reference that keeps a commit.
    pub(super) fn reference(commit: &CommitSha) -> String {
        format!("refs/slipway/commits/{commit}")
    }

    /// Opens it for reading objects.
    ///
    /// # Errors
    /// `internal` when the cache is damaged.
    pub(super) fn open(&self) -> Result<git2::Repository, Failure> {
        git2::Repository::open_bare(self.repository()).map_err(|error| damaged(&self.directory, &error))
    }

    /// Shares the mirror with other readers until the file is dropped.
    pub(super) async fn read_lock(&self) -> Result<File, Failure> {
        self.lock(true).await
    }

    async fn lock(&self, shared: bool) -> Result<File, Failure> {
        let directory = self.directory.clone();
        let taken = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&directory)?;
            let file = File::options().create(true).truncate(false).write(true).open(directory.join("lock"))?;
            match if shared { file.try_lock_shared() } else { file.try_lock() } {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if shared => file.lock_shared()?,
                Err(TryLockError::WouldBlock) => file.lock()?,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            Ok(file)
        });
        let taken = taken.await.map_err(std::io::Error::other).and_then(|taken| taken);
        taken.map_err(|error| {
            let message = format!("the mirror `{}` cannot be locked: {error}", self.directory.display());
            Failure::new(FailureCode::Internal, message).hint("check that `cache.directory` may be written to")
        })
    }

    /// Whether the mirror holds everything that a commit needs.
    pub(super) fn holds(&self, commit: &CommitSha) -> bool {
        git2::Repository::open_bare(self.repository())
            .and_then(|repository| repository.refname_to_id(&Self::reference(commit)))
            .is_ok_and(|id| id.to_string() == commit.as_str())
    }

    /// Brings a commit, and the reference it was asked by, unless the mirror holds them; says whether it did.
    ///
    /// # Errors
    /// `revision_not_found` when the repository has no such commit; whatever stops a fetch.
    pub(super) async fn bring(
        &self,
        access: &Access,
        remote: &Remote,
        commit: &CommitSha,
        reference: Option<&str>,
    ) -> Result<bool, Failure> {
        let tag = reference.filter(|name| name.starts_with("refs/tags/"));
        let tag_missing = || tag.filter(|name| !self.has_tag(name, remote.references.get(*name)));
        let has_all = || self.holds(commit) && tag_missing().is_none();
        {
            // Builds of what is there do not wait for each other.
            let _lock = self.read_lock().await?;
            if has_all() {
                return Ok(true);
            }
        }
        let _lock = self.lock(false).await?;
        if has_all() {
            return Ok(true);
        }
        self.prepare(oid::format(commit))?;
        let mut wanted = vec![format!("+{commit}:{}", Self::reference(commit))];
        wanted.extend(tag_missing().map(|name| format!("+{name}:{name}")));
        let output = self.fetch(access, &remote.url, &wanted).await?;
        if output.success {
            return self.tidy().await.map(|()| false);
        }
        if !is_refused(&output.stderr) {
            return Err(classify(&remote.url, &output.stderr));
        }
        // The server gives no commit by its id: take the references, one of which may lead there.
        self.bring_references(access, &remote.url, reference).await?;
        let repository = self.open()?;
        let found = oid::of(commit).and_then(|id| repository.find_commit(id));
        let id = found.map_err(|_| missing(&remote.url, commit.as_str()))?.id();
        repository
            .reference(&Self::reference(commit), id, true, "fetched")
            .map_err(|error| damaged(&self.directory, &error))?;
        Ok(false)
    }

    /// Brings all branches and tags and finds the one commit whose id begins so.
    ///
    /// # Errors
    /// `revision_not_found` when there is none; `request_invalid` when there are several.
    pub(super) async fn find_short(&self, access: &Access, remote: &Remote, short: &str) -> Result<CommitSha, Failure> {
        let url = &remote.url;
        let _lock = self.lock(false).await?;
        self.prepare(remote.format())?;
        self.bring_references(access, url, None).await?;
        let repository = self.open()?;
        let mut found = Vec::new();
        let odb = repository.odb().map_err(|error| damaged(&self.directory, &error))?;
        let unreadable = odb.foreach(|id| {
            let name = id.to_string();
            if name.starts_with(short) && repository.find_commit(*id).is_ok() && !found.contains(&name) {
                found.push(name);
            }
            true
        });
        unreadable.map_err(|error| damaged(&self.directory, &error))?;
        match found.as_slice() {
            [one] => one.parse().map_err(|_| missing(url, short)),
            [] => Err(missing(url, short)),
            _ => Err(Failure::new(
                FailureCode::RequestInvalid,
                format!("the revision `{short}` could be any of {} commits", found.len()),
            )
            .hint("give more digits of the commit")
            .candidates(found)),
        }
    }

    async fn bring_references(
        &self,
        access: &Access,
        url: &RepositoryUrl,
        reference: Option<&str>,
    ) -> Result<(), Failure> {
        let mut wanted = vec!["+refs/heads/*:refs/slipway/heads/*".to_owned(), "+refs/tags/*:refs/tags/*".to_owned()];
        let other = reference.filter(|name| !name.starts_with("refs/heads/") && !name.starts_with("refs/tags/"));
        wanted.extend(other.map(|name| format!("+{name}:refs/slipway/other/{}", name.trim_start_matches("refs/"))));
        let output = self.fetch(access, url, &wanted).await?;
        if output.success { Ok(()) } else { Err(classify(url, &output.stderr)) }
    }

    async fn fetch(&self, access: &Access, url: &RepositoryUrl, wanted: &[String]) -> Result<Output, Failure> {
        let options = ["fetch", "--quiet", "--no-write-fetch-head", "--end-of-options", url.as_str()];
        let arguments = options.into_iter().chain(wanted.iter().map(String::as_str));
        Git::new(arguments).within(&self.repository()).speaking_to(access, url).run().await
    }

    fn has_tag(&self, name: &str, wanted: Option<&String>) -> bool {
        let found =
            git2::Repository::open_bare(self.repository()).and_then(|repository| repository.refname_to_id(name));
        found.is_ok_and(|id| Some(&id.to_string()) == wanted)
    }

    /// Makes the repository, or frees it from what a killed git left. The lock is held.
    fn prepare(&self, format: git2::ObjectFormat) -> Result<(), Failure> {
        let path = self.repository();
        if git2::Repository::open_bare(&path).is_ok_and(|repository| repository.object_format() == format) {
            remove_stale_locks(&path).map_err(|error| damaged(&self.directory, &error))
        } else {
            if path.exists() {
                std::fs::remove_dir_all(&path).map_err(|error| damaged(&self.directory, &error))?;
            }
            let mut options = git2::RepositoryInitOptions::new();
            options.bare(true).external_template(false).mkpath(true).object_format(format);
            let made = git2::Repository::init_opts(&path, &options);
            made.map(drop).map_err(|error| damaged(&self.directory, &error))
        }
    }

    /// Packs the mirror anew when fetches left many packs. The lock is held.
    async fn tidy(&self) -> Result<(), Failure> {
        let packs = std::fs::read_dir(self.repository().join("objects/pack")).map_or(0, Iterator::count) / 2;
        if packs > PACKS {
            Git::new(["gc", "--quiet", "--prune=now"]).within(&self.repository()).run_or_fail().await?;
        }
        Ok(())
    }
}

/// Lock files and half packs of a git that was killed; nobody else writes while we hold our lock.
fn remove_stale_locks(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            // Loose objects are many, and have no locks.
            if name.len() > 2 {
                remove_stale_locks(&entry.path())?;
            }
        } else if Path::new(&name).extension().is_some_and(|end| end == "lock") || name.starts_with("tmp_") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_refused(stderr: &str) -> bool {
    ["not our ref", "unadvertised object", "does not allow request", "couldn't find remote ref", "bad object"]
        .iter()
        .any(|words| stderr.contains(words))
}

fn missing(url: &RepositoryUrl, revision: &str) -> Failure {
    Failure::new(FailureCode::RevisionNotFound, format!("`{url}` has no commit `{revision}`"))
}

fn damaged(directory: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureCode::Internal, format!("the mirror `{}` cannot be used: {error}", directory.display()))
        .hint("remove the directory; it is a cache")
}
