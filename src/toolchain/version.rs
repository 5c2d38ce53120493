//! Versions of toolchains, and what manifests demand of them.

use std::fmt;
use std::str::FromStr;

/// A version of numbers and dots: `8`, `3.11`, `1.22.5`. Missing parts count as absent, not 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(Vec<u32>);

/// The text was no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version of numbers and dots")]
pub struct InvalidVersion(pub String);

impl Version {
    /// A version of these numbers.
    #[must_use]
    pub fn new(parts: &[u32]) -> Self {
        Self(parts.to_vec())
    }

    /// The numbers.
    #[must_use]
    pub fn parts(&self) -> &[u32] {
        &self.0
    }

    /// Whether `self` names `other` or a version within it: `3.11.4` lies within `3.11`.
    #[must_use]
    pub fn within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let parts = text.trim().split('.').map(|part| part.parse().ok().filter(|_| !part.starts_with('+')));
        parts.collect::<Option<Vec<u32>>>().map(Self).ok_or_else(|| InvalidVersion(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            write!(f, "{}{part}", if index == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

/// Compared number by number, absent parts as 0 and, when all are equal, the shorter first.
impl Ord for Version {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let length = self.0.len().max(other.0.len());
        let padded = |v: &Self| (0..length).map(|i| v.0.get(i).copied().unwrap_or(0)).collect::<Vec<_>>();
        padded(self).cmp(&padded(other)).then(self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What a manifest demands of the toolchain's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// This release or one within it: `.python-version` says `3.11`.
    Exactly(Version),
    /// This release or a later one: `go 1.22`, `maven.compiler.release` 8.
    AtLeast(Version),
    /// A release before this one: `requires-python <3.12`.
    Below(Version),
    /// Any release but this one.
    Not(Version),
}

impl Demand {
    /// Whether an offered release satisfies the demand. A release stands for every patch of
    /// it, so `3.11` satisfies `AtLeast(3.11.4)` and `Exactly(3.11.4)`.
    #[must_use]
    pub fn allows(&self, release: &Version) -> bool {
        match self {
            Self::Exactly(version) => version.within(release) || release.within(version),
            Self::AtLeast(version) => version.within(release) || release >= version,
            Self::Below(version) => release < version,
            Self::Not(version) => release != version,
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(version) => write!(f, "{version}"),
            Self::AtLeast(version) => write!(f, "{version} or later"),
            Self::Below(version) => write!(f, "below {version}"),
            Self::Not(version) => write!(f, "not {version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_release_stands_for_its_patches() {
        assert!(Demand::Exactly(version("3.11.4")).allows(&version("3.11")));
        assert!(!Demand::Exactly(version("3.1")).allows(&version("3.11")));
        assert!(Demand::AtLeast(version("1.22.5")).allows(&version("1.22")));
        assert!(!Demand::AtLeast(version("1.22.5")).allows(&version("1.21")));
        assert!(Demand::Below(version("3.12")).allows(&version("3.11")));
        assert!(!Demand::Below(version("3.12")).allows(&version("3.12")));
    }

    #[test]
    fn only_numbers_and_dots() {
        for bad in ["", "a", "1.", ".1", "1.x", "+1", "1..2", "99999999999"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert_eq!(version(" 3.11.4 ").to_string(), "3.11.4");
        assert!(version("3.9") < version("3.11"));
    }
}
