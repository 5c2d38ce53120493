//! What every trigger becomes: one build, fully described.

use std::path::PathBuf;
use std::time::Duration;

use super::names::{ApplicationName, BuildId, ProductLine, Tag};
use super::origin::OriginKind;
use super::settings::{Kind, Settings};
use super::source::{RepositoryUrl, Source};

/// One build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Its identity.
    pub id: BuildId,
    /// What is built.
    pub source: RequestedSource,
    /// The name of the operator's credentials for the source.
    pub credentials: Option<String>,
    /// The product line that the image belongs to.
    pub product_line: ProductLine,
    /// The application.
    pub name: ApplicationName,
    /// Whether it ends as an image or in the package repository.
    pub kind: Kind,
    /// Tags of the image; without any, the commit's first 12 digits.
    pub tags: Vec<Tag>,
    /// Everything else that was stated.
    pub settings: Settings,
    /// Whether it was stated in a message or by flags.
    pub asked_by: OriginKind,
    /// The most that the build may take; only lowers the operator's.
    pub timeout: Option<Duration>,
    /// Whether nobody vouches for the source, as for a fork's: it sees no secret, leaves nothing in a cache that others
    /// use, and is neither deployed nor pushed.
    pub untrusted: bool,
}

/// What is built: a revision of a repository, or a directory as it is.
#[derive(Debug, Clone)]
pub enum RequestedSource {
    /// A revision of a repository.
    Repository(Source),
    /// A directory of this machine; local builds only.
    Directory {
        /// The repository's root, or the directory itself where it is no repository.
        path: PathBuf,
        /// Where the repository was cloned from.
        url: Option<RepositoryUrl>,
        /// The application's directory below it.
        directory: String,
    },
}

impl RequestedSource {
    /// The repository's URL, where it has one.
    #[must_use]
    pub fn url(&self) -> Option<&RepositoryUrl> {
        match self {
            Self::Repository(source) => Some(&source.url),
            Self::Directory { url, .. } => url.as_ref(),
        }
    }

    /// What was asked for, as text.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        match self {
            Self::Repository(source) => source.revision.as_ref().map(super::source::Revision::as_str),
            Self::Directory { .. } => None,
        }
    }

    /// The same source with another application's directory.
    #[must_use]
    pub fn in_directory(mut self, below: &str) -> Self {
        match &mut self {
            Self::Repository(source) => below.clone_into(&mut source.directory),
            Self::Directory { directory, .. } => below.clone_into(directory),
        }
        self
    }

    /// The application's directory below the root, `""` for the root itself.
    #[must_use]
    pub fn directory(&self) -> &str {
        match self {
            Self::Repository(source) => &source.directory,
            Self::Directory { directory, .. } => directory,
        }
    }
}
