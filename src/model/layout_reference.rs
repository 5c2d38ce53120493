//! An image in an OCI image layout on this machine: `oci:/srv/images/jre:17`, as skopeo and podman write it.

use std::fmt;
use std::path::{Component, PathBuf};
use std::str::FromStr;

/// What every reference of this kind begins with.
const TRANSPORT: &str = "oci:";

/// A directory that holds an image layout, and which of its images is meant (`containers-transports(5)`).
///
/// ```
/// use slipway::model::layout_reference::LayoutReference;
/// let reference: LayoutReference = "oci:/srv/images/jre:17".parse().unwrap();
/// assert_eq!(reference.name.as_deref(), Some("17"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutReference {
    /// The directory, absolute.
    pub directory: PathBuf,
    /// The image's `org.opencontainers.image.ref.name`; without one the layout has a single image.
    pub name: Option<String>,
}

impl LayoutReference {
    /// Whether a text is meant as one, well-formed or not. No reference into a registry begins so.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(TRANSPORT)
    }
}

impl fmt::Display for LayoutReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TRANSPORT}{}", self.directory.display())?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

impl FromStr for LayoutReference {
    type Err = String;

    /// The path ends at the first colon, as for skopeo; a name may have more of them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix(TRANSPORT).ok_or_else(|| format!("`{text}` does not begin with `{TRANSPORT}`"))?;
        let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name)));
        let directory = PathBuf::from(path);
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !directory.is_absolute() || !directory.components().all(plain) {
            return Err(format!("`{text}` has no absolute path: write `oci:/DIRECTORY` or `oci:/DIRECTORY:NAME`"));
        }
        match name {
            Some("") => Err(format!("`{text}` ends with a colon: write the image's name behind it, or leave it out")),
            name => Ok(Self { directory, name: name.map(str::to_owned) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::image_reference::ImageReference;

    #[test]
    fn the_path_ends_at_the_first_colon() {
        for (text, directory, name) in [
            ("oci:/srv/images", "/srv/images", None),
            ("oci:/srv/images:jre-17", "/srv/images", Some("jre-17")),
            ("oci:/srv/images:slipway/jre:17", "/srv/images", Some("slipway/jre:17")),
        ] {
            let parsed: LayoutReference = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!((parsed.directory, parsed.name.as_deref()), (directory.into(), name), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_and_none_is_an_image_of_a_registry() {
        for text in ["oci:srv/images", "oci:/srv/../etc", "oci:/srv:", "oci:", "dir:/srv"] {
            assert!(text.parse::<LayoutReference>().is_err(), "{text}");
        }
        for text in ["oci:/srv/images", "oci:/srv/images:17", "oci:/srv"] {
            assert!(ImageReference::familiar(text).is_err(), "{text}");
            assert!(text.parse::<ImageReference>().is_err(), "{text}");
        }
    }
}
