//! Object ids of either hash (gitformat-hash-function-transition(7)): their length tells them apart.

use git2::{ObjectFormat, Oid};

use crate::model::names::CommitSha;

/// The hash of a repository that has this commit.
pub(super) fn format(commit: &CommitSha) -> ObjectFormat {
    if commit.as_str().len() == 64 { ObjectFormat::Sha256 } else { ObjectFormat::Sha1 }
}

/// The commit's id.
pub(super) fn of(commit: &CommitSha) -> Result<Oid, git2::Error> {
    Oid::from_str_ext(commit.as_str(), format(commit))
}
