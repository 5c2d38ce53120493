//! Images from registry to registry: nothing is built, nothing is kept on the way, and the digest stays what it is.

pub mod bundle;

mod copy;
mod tree;

use super::RegistryAccess;
use super::credentials::{self, Credentials};
use super::diagnosis::diagnose;
use super::registry::session::{Refusal, Session};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

pub use copy::{Copied, copy};

/// Blobs that travel at a time.
const PARALLEL: usize = 4;

/// An image in a registry, and how it is reached.
#[derive(Debug, Clone)]
pub struct Place {
    reference: ImageReference,
    access: RegistryAccess,
    credentials: Option<Credentials>,
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

    /// Its repository, with further ones of the same registry that are read.
    fn session(&self, sources: &[String]) -> Result<Session, Failure> {
        Session::new(&self.reference, self.credentials.as_ref(), &self.access, sources)
    }

    /// What a refusal to take something means.
    async fn refused(&self, refusal: &Refusal) -> Failure {
        if let Refusal::Own(words) = refusal {
            return Failure::new(FailureCode::RegistryRefused, format!("`{}`: {words}.", self.reference));
        }
        diagnose(&self.reference, self.credentials.as_ref(), &self.access, &refusal.to_string()).await.failure
    }

    /// What a refusal to give something means.
    fn withheld(&self, refusal: &Refusal) -> Failure {
        let words = refusal.to_string();
        let registry = self.reference.registry();
        let code = match refusal {
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

    fn missing(&self) -> Failure {
        let message = format!("There is no image `{}`.", self.reference);
        Failure::new(FailureCode::BaseImageMissing, message).hint("list what there is: `slipway images list`")
    }
}
