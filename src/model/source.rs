//! Where an application's files come from.

mod revision;
mod url;

pub use revision::Revision;
pub use url::{RepositoryUrl, Transport};

use super::names::CommitSha;

/// Where from, and which state of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The repository.
    pub url: RepositoryUrl,
    /// What was asked for; the default branch if absent.
    pub revision: Option<Revision>,
    /// Pins the commit, and wins over `revision`.
    pub commit: Option<CommitSha>,
    /// The application's directory below the repository's root; `""` for the root itself.
    pub directory: String,
}

/// Why a URL or a revision was refused; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {what} {why}")]
pub struct InvalidSource {
    what: &'static str,
    why: String,
}
