//! Images from registry to registry: nothing is built, nothing is kept on the way, and the digest stays what it is.

pub mod bundle;

mod copy;
mod referrers;
mod tree;

use reqwest::StatusCode;

use super::RegistryAccess;
use super::credentials::{self, Credentials};
use super::diagnosis::{Diagnosis, diagnose};
use super::registry::refusal::Refusal;
use super::registry::session::Session;
use crate::harbor::ArtifactName;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};

pub use copy::{Copied, copy};

/// Blobs that travel at a time.
const PARALLEL: usize = 4;

/// An image in a registry, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    reference: ImageReference,
    access: RegistryAccess,
    credentials: Option<Credentials>,
}

/// Sees that an image is there.
///
/// # Errors
/// `base_image_missing` where it is not, the `registry_…` codes.
pub async fn there(place: &Place) -> Result<(), Failure> {
    let found = tree::found(place, &place.reading()?, place.name()).await?;
    found.map(drop).ok_or_else(|| place.missing())
}

impl Place {
    /// The place of an image; without an account of the operator's, Docker's own is used.
    ///
    /// # Errors
    /// `registry_unauthorized` where Docker's credentials are broken.
    pub async fn new(reference: ImageReference, access: RegistryAccess) -> Result<Self, Failure> {
        let credentials = match &access.credentials {
            Some(known) => Some(known.clone()),
            None => credentials::of_docker(reference.registry()).await?,
        };
        Ok(Self { reference, access, credentials })
    }

    /// The image.
    #[must_use]
    pub fn reference(&self) -> &ImageReference {
        &self.reference
    }

    /// What it is asked for by: its digest, else its tag.
    fn name(&self) -> &str {
        match (self.reference.digest(), self.reference.tag()) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag.as_str(),
            (None, None) => "latest",
        }
    }

    /// Its tag.
    pub(super) fn tag(&self) -> &str {
        self.reference.tag().map_or("latest", |tag| tag.as_str())
    }

    /// Whether the tag names this manifest, which a fixed tag has to be asked before it is given it again.
    pub(super) async fn names(&self, session: &Session, digest: &Digest) -> Result<bool, Refusal> {
        self.shows(session.digest_of(self.tag()).await, digest).await
    }

    /// Whether it is this manifest, by what the registry said when it was asked for the tag's digest.
    pub(super) async fn shows(&self, seen: Result<Option<Digest>, Refusal>, digest: &Digest) -> Result<bool, Refusal> {
        match seen {
            Ok(found) => Ok(found.as_ref() == Some(digest)),
            Err(refusal) if refusal.status() == Some(StatusCode::NOT_FOUND) => Ok(false),
            // What a gate hides, Harbor's API shows to an account that may read artifacts.
            Err(refusal) if refusal.is_gate() => Ok(self.listed().await.as_deref() == Some(digest.as_str())),
            Err(refusal) => Err(refusal),
        }
    }

    /// The digest that Harbor's API shows for the tag, where this is a Harbor that shows it.
    async fn listed(&self) -> Option<String> {
        let harbor = self.access.harbor(&self.reference, self.credentials.as_ref()).ok()?;
        let (project, name) = self.reference.repository().split_once('/')?;
        harbor.digest(ArtifactName { project, name, reference: self.tag() }).await
    }

    /// Its repository, with further ones of the same registry that are read.
    pub(super) fn session(&self, sources: &[String]) -> Result<Session, Failure> {
        Session::new(&self.reference, self.credentials.as_ref(), &self.access, sources)
    }

    /// Its repository, to read from.
    fn reading(&self) -> Result<Session, Failure> {
        Session::reading(&self.reference, self.credentials.as_ref(), &self.access)
    }

    /// What a refusal to take something means, and whether to try again.
    pub(super) async fn diagnosis(&self, refusal: &Refusal) -> Diagnosis {
        diagnose(&self.reference, self.credentials.as_ref(), &self.access, &refusal.to_string()).await
    }

    /// What a refusal to take something means.
    async fn refused(&self, refusal: &Refusal) -> Failure {
        if let Refusal::Own(words) = refusal {
            return Failure::new(FailureCode::RegistryRefused, format!("`{}`: {words}.", self.reference));
        }
        self.diagnosis(refusal).await.failure
    }

    /// What a refusal to give something means.
    async fn withheld(&self, refusal: &Refusal) -> Failure {
        let words = refusal.to_string();
        let registry = self.reference.registry();
        let code = match refusal {
            // A Harbor whose database is away knows nobody.
            Refusal::Answered { status, .. } if status.as_u16() == 401 && self.is_down().await => {
                FailureCode::RegistryUnavailable
            }
            Refusal::Lost(_) => FailureCode::RegistryUnavailable,
            Refusal::Answered { .. } if refusal.may_pass() => FailureCode::RegistryUnavailable,
            Refusal::Answered { .. } if words.contains("projectpolicyviolation") => FailureCode::RegistryForbidden,
            Refusal::Answered { status, .. } if status.as_u16() == 401 => FailureCode::RegistryUnauthorized,
            Refusal::Answered { status, .. } if status.as_u16() == 403 => FailureCode::RegistryForbidden,
            _ => FailureCode::RegistryRefused,
        };
        let message = format!("The registry `{registry}` does not give `{}`: {words}.", self.reference);
        Failure::new(code, message).hint("let the account pull it, and see that no policy of the project forbids that")
    }

    /// Whether this is a Harbor that says of itself that it is not well.
    async fn is_down(&self) -> bool {
        let Ok(harbor) = self.access.harbor(&self.reference, self.credentials.as_ref()) else { return false };
        harbor.is_down().await
    }

    fn missing(&self) -> Failure {
        let message = format!("There is no image `{}`.", self.reference);
        Failure::new(FailureCode::BaseImageMissing, message).hint("list what there is: `slipway images list`")
    }
}
