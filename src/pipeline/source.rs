//! Where the files come from: a commit of a repository, or a directory as it is.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::Services;
use crate::checkout::{self, Access, AllowList, Checkout, Meant, SshIdentity, TreeReader, WorkingTree};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::names::CommitSha;
use crate::model::origin::OriginKind;
use crate::model::plan::Plan;
use crate::model::request::{BuildRequest, RequestedSource};
use crate::model::source::{RepositoryUrl, Transport};
use crate::model::source_tree::Revision;
use crate::secrets::SshKey;
use crate::work::blocking;

/// The source, resolved and within reach.
#[derive(Debug, Clone)]
pub enum Fetched {
    /// A commit in the cache's mirror.
    Commit(Box<checkout::Fetched>),
    /// A directory of this machine.
    Directory(WorkingTree),
}

/// The files that a build works on.
#[derive(Debug)]
pub(super) enum Files {
    /// In the workspace, where commands may write beside them.
    Copied(Checkout),
    /// A person's own, where they lie: they are only read.
    InPlace(WorkingTree),
}

impl Files {
    /// What a person should know of them.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        match self {
            Self::Copied(checkout) => checkout.warnings.clone(),
            Self::InPlace(_) => Vec::new(),
        }
    }

    /// Refuses pointers of Git LFS below a directory.
    pub(super) fn refuse_lfs_pointers(&self, below: &str) -> Result<(), Failure> {
        match self {
            Self::Copied(checkout) => checkout.refuse_lfs_pointers(below),
            Self::InPlace(tree) => tree.refuse_lfs_pointers(below),
        }
    }
}

/// Resolves the source and brings it within reach.
///
/// # Errors
/// What Git or the operator's rules say.
pub async fn fetch(services: &Services, request: &BuildRequest) -> Result<Fetched, Failure> {
    match &request.source {
        RequestedSource::Repository(source) => {
            let access = access(services, request, &source.url).await?;
            let fetched = checkout::resolve_and_fetch(source, &access, &services.cache.join("git")).await?;
            Ok(Fetched::Commit(Box::new(fetched)))
        }
        RequestedSource::Directory { path, .. } => look(path).await,
    }
}

/// Looks at a directory, which needs no services.
///
/// # Errors
/// As [`WorkingTree::open`].
pub async fn look(directory: &Path) -> Result<Fetched, Failure> {
    let directory = directory.to_owned();
    blocking(move || WorkingTree::open(&directory)).await.map(Fetched::Directory)
}

/// The commit that a request means now.
///
/// # Errors
/// What Git or the operator's rules say.
pub async fn commit_of(services: &Services, request: &BuildRequest) -> Result<Option<CommitSha>, Failure> {
    if matches!(request.source, RequestedSource::Directory { .. }) {
        return Ok(None);
    }
    meant(services, request).await.map(|meant| Some(meant.commit))
}

/// The commit that a request of a repository means now, and the branch or tag that led to it.
///
/// # Errors
/// What Git or the operator's rules say; `request_invalid` for a directory, which has no commits.
pub async fn meant(services: &Services, request: &BuildRequest) -> Result<Meant, Failure> {
    let RequestedSource::Repository(source) = &request.source else {
        return Err(Failure::new(FailureCode::RequestInvalid, "a directory has no commits"));
    };
    let access = access(services, request, &source.url).await?;
    checkout::meant(source, &access, &services.cache.join("git")).await
}

/// Refuses a request whose source may not be cloned, or not with its credentials; the source is not asked.
///
/// # Errors
/// What the operator's rules say.
pub async fn permitted(services: &Services, request: &BuildRequest) -> Result<(), Failure> {
    let RequestedSource::Repository(source) = &request.source else { return Ok(()) };
    access(services, request, &source.url).await?.allow.check(&source.url, "the repository")
}

impl Fetched {
    /// Reads the listing and the texts.
    pub(super) fn reader(&self) -> Result<TreeReader, Failure> {
        match self {
            Self::Commit(fetched) => fetched.tree(),
            Self::Directory(tree) => Ok(tree.tree()),
        }
    }

    /// Whether an earlier build had brought it.
    pub(super) fn cached(&self) -> bool {
        matches!(self, Self::Commit(fetched) if fetched.cached)
    }

    /// What the source resolved to.
    pub(super) fn revision(&self) -> Revision {
        match self {
            Self::Commit(fetched) => Revision {
                commit: Some(fetched.commit.clone()),
                commit_time: Some(fetched.commit_time),
                tag: fetched.tag().map(str::to_owned),
                dirty: false,
            },
            Self::Directory(tree) => {
                Revision { commit: tree.commit.clone(), commit_time: tree.commit_time, tag: None, dirty: tree.dirty }
            }
        }
    }

    /// Writes the files into a directory of the build's own, unless the plan only reads a directory that is there.
    pub(super) async fn files(&self, plan: &Plan, into: &Path, cancel: &CancellationToken) -> Result<Files, Failure> {
        match self {
            Self::Commit(fetched) => fetched.materialise(into, cancel).await.map(Files::Copied),
            Self::Directory(tree) if plan.only_reads() => Ok(Files::InPlace(tree.clone())),
            Self::Directory(tree) => tree.materialise(into, cancel).await.map(Files::Copied),
        }
    }
}

/// What this machine lets a checkout reach. Without `sources.allow`, a person at the command line may clone anything.
async fn access(services: &Services, request: &BuildRequest, url: &RepositoryUrl) -> Result<Access, Failure> {
    let config = &services.config;
    let credentials = match &request.credentials {
        Some(name) => Some(credentials(services, request, name, url).await?),
        None => None,
    };
    let allow = match &config.sources.allow[..] {
        [] => AllowList::Everything,
        entries => AllowList::parse(entries.iter().map(String::as_str))
            .map_err(|failure| Failure { code: FailureCode::ConfigurationInvalid, ..failure })?,
    };
    let proxies = [
        ("http_proxy", &config.network.http_proxy),
        ("https_proxy", &config.network.https_proxy),
        ("no_proxy", &config.network.no_proxy),
    ];
    let proxy = proxies.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
    let ca_bundle = config.network.ca_bundle.clone().or_else(crate::environment::ca_bundle);
    // Who asks by a message has no part in the keys of the account that Slipway runs as.
    let own_ssh = credentials.is_none() && request.asked_by == OriginKind::Flag;
    Ok(Access { allow, credentials, ca_bundle, proxy, own_ssh, no_submodules: request.untrusted })
}

/// The named credentials: what the source asks for has to be there; a submodule may ask for the other.
async fn credentials(
    services: &Services,
    request: &BuildRequest,
    name: &str,
    url: &RepositoryUrl,
) -> Result<checkout::Credentials, Failure> {
    let (config, host, product_line) = (&services.config, url.host_and_port(), request.product_line.as_str());
    let entry = config.credentials.get(name);
    let over_ssh = url.transport() == Transport::Ssh;
    let account = match entry.and_then(|entry| entry.password.as_ref()) {
        None if over_ssh => None,
        _ => Some(crate::secrets::account(config, name, &host, product_line).await?),
    };
    let ssh = match entry.and_then(|entry| entry.ssh_key.as_ref()) {
        None if !over_ssh => None,
        _ => Some(identity(crate::secrets::ssh_key(config, name, &host, product_line).await?)?),
    };
    let hosts = entry.map(|entry| entry.hosts.clone()).unwrap_or_default();
    Ok(checkout::Credentials { name: name.to_owned(), account, ssh, hosts })
}

fn identity(key: SshKey) -> Result<SshIdentity, Failure> {
    SshIdentity::new(&key.key, key.known_hosts)
        .map_err(|error| Failure::new(FailureCode::Internal, format!("the SSH key cannot be written: {error}")))
}
