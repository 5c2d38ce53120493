//! Which state of a repository is asked for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidSource;
use crate::model::names::CommitSha;

/// What somebody asked for: a branch, a tag, a commit in full or short, or a full reference
/// such as `refs/merge-requests/7/head`. Well formed as git-check-ref-format(1) says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision(String);

impl Revision {
    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The commit, if the whole id was given.
    #[must_use]
    pub fn full_commit(&self) -> Option<CommitSha> {
        self.0.parse().ok()
    }

    /// Whether it may be the beginning of a commit id.
    #[must_use]
    pub fn may_be_short_commit(&self) -> bool {
        (4..64).contains(&self.0.len()) && self.0.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }
}

impl FromStr for Revision {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
        let bad = text.is_empty()
            || text.len() > 255
            || text == "@"
            || text.starts_with('-')
            || text.ends_with('.')
            || text.contains("..")
            || text.contains("@{")
            || text.chars().any(forbidden)
            || text.split('/').any(|part| {
                part.is_empty()
                    || part.starts_with('.')
                    || std::path::Path::new(part).extension().is_some_and(|end| end == "lock")
            });
        if bad {
            let shown: String = text.chars().take(80).filter(|c| !c.is_control()).collect();
            return Err(InvalidSource {
                what: "revision",
                why: format!("`{shown}` is not the name of a branch, a tag, a reference or a commit"),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Revision {
    type Error = InvalidSource;

    fn try_from(text: String) -> Result<Self, InvalidSource> {
        text.parse()
    }
}

impl From<Revision> for String {
    fn from(revision: Revision) -> Self {
        revision.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_names_and_no_expressions() {
        for good in ["main", "feature/x-1", "v1.4.2", "refs/merge-requests/7/head", "0a1b2c3"] {
            assert!(good.parse::<Revision>().is_ok(), "{good}");
        }
        for bad in
            ["", "-x", "--all", "a b", "a..b", "HEAD~1", "a^{}", "a:b", "x*", "@{-1}", "@", "a//b", "a.lock", "a\n"]
        {
            assert!(bad.parse::<Revision>().is_err(), "{bad:?}");
        }
    }
}
