//! Paths as bytes, since file names need not be text.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path in an image or a build context: without `/` at its ends, empty for the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(pub(super) Vec<u8>);

impl Name {
    /// The path without `.` and slashes at its ends; none where it leaves the root.
    pub(super) fn clean(path: &[u8]) -> Option<Self> {
        let mut clean = Self::default();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return None,
                part => clean = clean.join(part),
            }
        }
        Some(clean)
    }

    /// The same with `..` worked out; none where it leads out of the root.
    pub(super) fn within(path: &[u8]) -> Option<Self> {
        let mut within = Self::default();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." if within.0.is_empty() => return None,
                b".." => within = within.parent(),
                part => within = within.join(part),
            }
        }
        Some(within)
    }

    /// What stands below this directory under that name.
    pub(super) fn join(&self, name: &[u8]) -> Self {
        let mut joined = self.0.clone();
        if !joined.is_empty() && !name.is_empty() {
            joined.push(b'/');
        }
        joined.extend_from_slice(name);
        Self(joined)
    }

    /// The directory that this stands in; the root stands in itself.
    pub(super) fn parent(&self) -> Self {
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Self(self.0[..end].to_vec())
    }

    /// The last part.
    pub(super) fn last(&self) -> &[u8] {
        let start = self.0.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        &self.0[start..]
    }

    /// This directory and those above it but the root, highest first.
    pub(super) fn ancestry(&self) -> impl Iterator<Item = Self> + '_ {
        let ends = self.0.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        ends.chain([self.0.len()]).filter(|end| *end > 0).map(|end| Self(self.0[..end].to_vec()))
    }

    /// The path inside this directory.
    pub(super) fn strip<'a>(&self, path: &'a Self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return Some(&path.0);
        }
        path.0.strip_prefix(self.0.as_slice())?.strip_prefix(b"/")
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// For the file system.
    pub(super) fn path(&self) -> PathBuf {
        use std::os::unix::ffi::OsStrExt as _;
        Path::new(std::ffi::OsStr::from_bytes(&self.0)).to_owned()
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// As text where it is text, else in hexadecimal digits after a NUL, which no path has.
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.serialize_str(&format!("\0{}", hex::encode(&self.0))),
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.strip_prefix('\0') {
            None => Ok(Self(text.into_bytes())),
            Some(digits) => hex::decode(digits).map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let name = Name::clean(b"/a/./b//c/").unwrap();
        assert_eq!(name, Name::from("a/b/c"));
        assert_eq!((name.parent(), name.last()), (Name::from("a/b"), b"c".as_slice()));
        assert_eq!(name.ancestry().collect::<Vec<_>>(), ["a", "a/b", "a/b/c"].map(Name::from));
        assert_eq!(Name::from("a").strip(&name), Some(b"b/c".as_slice()));
        assert_eq!(Name::from("a/b/c").strip(&name), None);
        assert_eq!(Name::clean(b"a/../b"), None);
        assert_eq!(Name::within(b"/a/./../b/"), Some("b".into()));
        assert_eq!(Name::within(b"a/../../b"), None);
        assert_eq!(Name::default().ancestry().count(), 0);
    }

    #[test]
    fn names_that_are_no_text_survive() {
        for name in [Name(vec![b'a', 0xff]), Name::from("ünïcode")] {
            let text = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<Name>(&text).unwrap(), name);
        }
    }
}
