//! Names of images and of their contents, as the OCI specifications write them.
//!
//! Grammar: OCI distribution specification 1.1, "Pulling manifests", and the `reference`
//! grammar of the distribution project, with one rule more: the registry is always named, so
//! that nothing ever falls back to a hub that nobody chose.

mod digest;
mod grammar;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::Tag;
pub use digest::{DiffId, Digest};
use grammar::{is_registry, is_repository, split_port};

/// Says why a reference or digest was refused; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {what}: {rule}")]
pub struct InvalidReference {
    what: &'static str,
    value: String,
    rule: &'static str,
}

impl InvalidReference {
    fn new(what: &'static str, value: &str, rule: &'static str) -> Self {
        Self { what, value: value.chars().take(300).collect(), rule }
    }
}

/// Where an image is: `registry[:port]/repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ImageReference {
    registry: String,
    repository: String,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl ImageReference {
    /// A reference made of its parts.
    ///
    /// # Errors
    ///
    /// When the registry is not `host[:port]` or the repository breaks the OCI rules.
    pub fn new(
        registry: &str,
        repository: &str,
        tag: Option<Tag>,
        digest: Option<Digest>,
    ) -> Result<Self, InvalidReference> {
        Self::check_registry(registry)?;
        if !is_repository(repository) {
            let rule = "lower-case letters and digits, with `.`, `_`, `__` or dashes between them, parts \
                        separated by `/`, at most 255 characters";
            return Err(InvalidReference::new("repository", repository, rule));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest })
    }

    /// Whether a text names a registry.
    ///
    /// # Errors
    ///
    /// Says what a registry looks like.
    pub fn check_registry(text: &str) -> Result<(), InvalidReference> {
        let rule = "the registry is `host` or `host:port`; a host without a dot or port is `localhost` only";
        if is_registry(text) { Ok(()) } else { Err(InvalidReference::new("registry", text, rule)) }
    }

    /// Reads a name as Docker does: without a registry it means Docker Hub's, where what stands in no directory is in
    /// `library` (the `reference` grammar of the distribution project, "familiar names").
    ///
    /// # Errors
    ///
    /// As for a full reference.
    ///
    /// ```
    /// use slipway::model::image_reference::ImageReference;
    /// assert_eq!(ImageReference::familiar("redis:7").unwrap().to_string(), "docker.io/library/redis:7");
    /// ```
    pub fn familiar(text: &str) -> Result<Self, InvalidReference> {
        match text.split_once('/') {
            Some(("docker.io" | "index.docker.io", path)) if path.contains('/') => format!("docker.io/{path}").parse(),
            Some(("docker.io" | "index.docker.io", path)) => format!("docker.io/library/{path}").parse(),
            Some((first, _)) if is_registry(first) => text.parse(),
            Some(_) => format!("docker.io/{text}").parse(),
            None => format!("docker.io/library/{text}").parse(),
        }
    }

    /// The registry: `harbor.example.com` or `127.0.0.1:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The registry's host, without the port and without the brackets of IPv6.
    #[must_use]
    pub fn registry_host(&self) -> &str {
        let (host, _) = split_port(&self.registry);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The path within the registry: `trade/order`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one is named.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, if one is named.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository, without tag and digest.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository at exactly this digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(value: &str) -> Result<Self, InvalidReference> {
        let refuse = |rule| InvalidReference::new("image reference", value, rule);
        let (rest, digest) = match value.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (value, None),
        };
        let (registry, path) = rest
            .split_once('/')
            .ok_or_else(|| refuse("name the registry: `registry.example.com/team/application:tag`"))?;
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => {
                let tag = tag.parse().map_err(|_| {
                    refuse("a tag is 1 to 128 letters, digits, `_`, `.` or `-`, not starting with `.` or `-`")
                })?;
                (repository, Some(tag))
            }
            None => (path, None),
        };
        Self::new(registry, repository, tag, digest)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidReference;

            fn try_from(value: String) -> Result<Self, InvalidReference> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}

text_conversions!(ImageReference, Digest);
