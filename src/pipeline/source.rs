//! Where the files come from: a commit of a repository, or a directory as it is.

use std::path::Path;

use super::{Services, blocking};
use crate::checkout::{self, Access, AllowList, Checkout, TreeReader, WorkingTree};
use crate::model::failure::{Failure, FailureCode};
use crate::model::request::{BuildRequest, RequestedSource};
use crate::model::source::RepositoryUrl;
use crate::model::source_tree::Revision;

/// The source, resolved and within reach.
#[derive(Debug, Clone)]
pub enum Fetched {
    /// A commit in the cache's mirror.
    Commit(Box<checkout::Fetched>),
    /// A directory of this machine.
    Directory(WorkingTree),
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
        RequestedSource::Directory { path, .. } => {
            let path = path.clone();
            blocking(move || WorkingTree::open(&path)).await.map(Fetched::Directory)
        }
    }
}

impl Fetched {
    /// Reads the listing and the texts.
    pub(super) fn reader(&self) -> Result<TreeReader, Failure> {
        match self {
            Self::Commit(fetched) => fetched.tree(),
            Self::Directory(tree) => Ok(tree.tree()),
        }
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

    /// Writes the files into a directory of the build's own.
    pub(super) async fn materialise(&self, into: &Path) -> Result<Checkout, Failure> {
        match self {
            Self::Commit(fetched) => fetched.materialise(into).await,
            Self::Directory(tree) => tree.materialise(into).await,
        }
    }
}

/// What this machine lets a checkout reach. Without `sources.allow`, a person at the command line may clone anything.
async fn access(services: &Services, request: &BuildRequest, url: &RepositoryUrl) -> Result<Access, Failure> {
    let config = &services.config;
    let authority = url.authority();
    let host = authority.split_once("://").map_or("", |(_, host)| host);
    let credentials = match &request.credentials {
        Some(name) => {
            let account = crate::secrets::account(config, name, host, request.product_line.as_str()).await?;
            let (username, password) = (account.username, account.password);
            Some(checkout::Credentials { name: name.clone(), username, password, hosts: vec![host.to_owned()] })
        }
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
    Ok(Access { allow, credentials, ca_bundle, proxy, ..Access::default() })
}
