//! Names of images and of their contents, as the OCI specifications write them.
//!
//! Grammar: OCI distribution specification 1.1, "Pulling manifests", and the `reference`
//! grammar of the distribution project, with one rule more: the registry is always named, so
//! that nothing ever falls back to a hub that nobody chose.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::Tag;

/// The longest repository that registries take, the registry's own name excluded.
const REPOSITORY_LIMIT: usize = 255;

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
        if !is_registry(registry) {
            let rule = "the registry is `host` or `host:port`; a host without a dot or port is `localhost` only";
            return Err(InvalidReference::new("registry", registry, rule));
        }
        if !is_repository(repository) {
            let rule = "lower-case letters and digits, with `.`, `_`, `__` or dashes between them, parts \
                        separated by `/`, at most 255 characters";
            return Err(InvalidReference::new("repository", repository, rule));
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest })
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

/// The SHA-256 of a blob or manifest: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest of what has this SHA-256.
    #[must_use]
    pub fn of_sha256(hash: [u8; 32]) -> Self {
        Self(format!("sha256:{}", hex::encode(hash)))
    }

    /// The digest as text: `sha256:…`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits alone.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl FromStr for Digest {
    type Err = InvalidReference;

    fn from_str(value: &str) -> Result<Self, InvalidReference> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        match value.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.bytes().all(digit) => Ok(Self(value.to_owned())),
            _ => Err(InvalidReference::new("digest", value, "`sha256:` and 64 lower-case hexadecimal digits")),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digest of a layer's uncompressed tar (OCI image specification, "Layer `DiffID`").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl FromStr for DiffId {
    type Err = InvalidReference;

    fn from_str(value: &str) -> Result<Self, InvalidReference> {
        value.parse().map(Self)
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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

/// Splits `host:port`; a bracketed IPv6 address keeps its colons.
fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

/// `host[:port]`. As in Docker's grammar, the first part of a name is only a registry when it
/// has a dot, a port, or is `localhost`; anything else would mean a path on a hub.
fn is_registry(value: &str) -> bool {
    let (host, port) = split_port(value);
    let port_ok = port.is_none_or(|port| !port.starts_with('+') && port.parse::<u16>().is_ok_and(|number| number > 0));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let host_ok = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.len() <= 253 && host.split('.').all(label),
    };
    let named = host == "localhost" || host.contains('.') || host.starts_with('[') || port.is_some();
    port_ok && host_ok && named
}

/// `component(/component)*`, components being `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_repository(value: &str) -> bool {
    !value.is_empty() && value.len() <= REPOSITORY_LIMIT && value.split('/').all(is_component)
}

fn is_component(value: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    value.starts_with(alphanumeric)
        && value.ends_with(alphanumeric)
        && value
            .split(alphanumeric)
            .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_reference_has_its_parts() {
        let text = format!("127.0.0.1:5000/trade/order-web:1.4.2@sha256:{HEX}");
        let reference: ImageReference = text.parse().unwrap();
        assert_eq!(reference.registry(), "127.0.0.1:5000");
        assert_eq!(reference.registry_host(), "127.0.0.1");
        assert_eq!(reference.repository(), "trade/order-web");
        assert_eq!(reference.tag().unwrap().as_str(), "1.4.2");
        assert_eq!(reference.digest().unwrap().hex(), HEX);
        assert_eq!(reference.to_string(), text);
        assert_eq!(serde_json::to_value(&reference).unwrap(), text);
    }

    #[test]
    fn good_references_are_taken() {
        for good in [
            "localhost/a",
            "localhost:5000/a/b/c",
            "harbor.example.com/trade/order",
            "[::1]:5000/a:b",
            "registry:5000/a__b/c--d.e_f:_x",
            "Harbor.Example.com/a",
        ] {
            assert_eq!(good.parse::<ImageReference>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn bad_references_are_refused() {
        for bad in [
            "",
            "a",
            "trade/order",
            "a.b/",
            "a.b//c",
            "a.b/C",
            "a.b/c:",
            "a.b/c:.x",
            "a.b/c:x:y",
            "a.b/c@sha256:12",
            "a.b/../c",
            "a.b:0/c",
            "a.b:99999/c",
            "a.b:+80/c",
            "-a.b/c",
            "a..b/c",
            "user@a.b/c",
            "https://a.b/c",
            "[::x]:1/c",
            "a.b/c d",
            "a.b/a___b",
            "a.b/c\n",
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
        let long = format!("a.b/{}", "c".repeat(256));
        assert!(long.parse::<ImageReference>().is_err());
    }

    #[test]
    fn digests_are_lower_case_sha256() {
        assert!(format!("sha256:{HEX}").parse::<Digest>().is_ok());
        for bad in [HEX.to_owned(), format!("sha256:{}", HEX.to_uppercase()), format!("sha512:{HEX}"), "sha256:".into()]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Digest>("\"sha256:x\"").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_and_what_is_taken_reads_back(text in "[a-zA-Z0-9.:/@_\\[\\]-]{0,60}|\\PC{0,30}") {
            if let Ok(reference) = text.parse::<ImageReference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
