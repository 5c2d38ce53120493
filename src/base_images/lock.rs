//! `images.lock`: which image each name stands for, part of the catalogue.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::failure::{Failure, FailureCode};

/// The pinned base images, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The format; 1.
    pub version: u32,
    /// Image by name.
    #[serde(default)]
    pub images: BTreeMap<String, Locked>,
}

/// One pinned image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The tag that does not move: `slipway/NAME:<first 12 digits of the inputs>`.
    pub reference: String,
    /// The digest of the image's configuration: its id in the Engine.
    pub id: String,
    /// The hash of what it was made of; none for a pulled image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// Bytes: uncompressed in an Engine, compressed in a layout.
    pub size: u64,
    /// `repository@digest` in the registry that it was pushed to or pulled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Lock {
    /// A lock without images.
    #[must_use]
    pub fn new() -> Self {
        Self { version: 1, images: BTreeMap::new() }
    }

    /// Reads `images.lock`.
    ///
    /// # Errors
    ///
    /// [`FailureCode::ConfigurationInvalid`] when the text is malformed or of another version.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let invalid = |what: String| {
            Failure::new(FailureCode::ConfigurationInvalid, format!("`images.lock`: {what}"))
                .hint("Write it anew with `slipway base-images build`.")
        };
        let lock: Self = toml::from_str(text).map_err(|error| invalid(error.message().to_owned()))?;
        if lock.version == 1 { Ok(lock) } else { Err(invalid(format!("version {} is unknown", lock.version))) }
    }

    /// The text of `images.lock`.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let body = toml::to_string(self).unwrap_or_default();
        format!("# Written by `slipway base-images build`; do not edit.\n{body}")
    }

    /// Takes over the images of `newer`, as after a build of some of them. A digest in a registry
    /// stays while the image is the same.
    pub fn merge(&mut self, newer: Self) {
        for (name, mut image) in newer.images {
            if image.digest.is_none()
                && let Some(old) = self.images.get(&name).filter(|old| old.id == image.id)
            {
                image.digest.clone_from(&old.digest);
            }
            self.images.insert(name, image);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(id: &str, digest: Option<&str>) -> Lock {
        let image = Locked {
            reference: "slipway/static:012345678901".into(),
            id: id.into(),
            inputs: Some("01".into()),
            size: 7,
            digest: digest.map(Into::into),
        };
        Lock { version: 1, images: BTreeMap::from([("python-3.11".into(), image)]) }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let lock = lock("sha256:1", Some("h.example/slipway/static@sha256:2"));
        assert_eq!(Lock::parse(&lock.to_toml()).unwrap(), lock);
        assert!(lock.to_toml().contains("[images.\"python-3.11\"]"));
    }

    #[test]
    fn another_format_is_refused() {
        assert!(Lock::parse("version = 2").unwrap_err().message.contains("version 2"));
        assert!(Lock::parse("version = 1\nx = 1").is_err());
    }

    #[test]
    fn a_digest_stays_while_the_image_is_the_same() {
        let mut same = lock("sha256:1", Some("d"));
        same.merge(lock("sha256:1", None));
        assert_eq!(same.images["python-3.11"].digest.as_deref(), Some("d"));
        same.merge(lock("sha256:2", None));
        assert_eq!(same.images["python-3.11"].digest, None);
    }
}
