//! From what was asked for to one commit.

use std::sync::Arc;

use super::access::Access;
use super::mirror::Mirror;
use super::remote::Remote;
use super::shared;
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::CommitSha;
use crate::model::source::{RepositoryUrl, Revision, Source};

/// A commit, and the reference that led to it.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) remote: Arc<Remote>,
    pub(super) commit: CommitSha,
    /// `refs/heads/main`, `refs/tags/v1`, `refs/merge-requests/7/head`.
    pub(super) reference: Option<String>,
}

/// Asks the repository, which also proves that we may read it, and decides on one commit.
///
/// # Errors
/// `revision_not_found`, `request_invalid` when a branch and a tag of one name differ, and
/// whatever stops the question.
pub(super) async fn resolve(source: &Source, access: &Access, mirror: &Mirror) -> Result<Resolved, Failure> {
    let candidates = source.revision.as_ref().map(references_of).unwrap_or_default();
    let patterns: Vec<String> = candidates.iter().flat_map(|name| [name.clone(), format!("{name}^{{}}")]).collect();
    let remote = shared::list(access, &source.url, &patterns).await?;
    let (commit, reference) = match &source.revision {
        None => of_default_branch(&source.url, &remote).map(|(commit, branch)| (Some(commit), branch)),
        Some(revision) => of_references(&source.url, &remote, revision, &candidates),
    }
    .or_else(|failure| if source.commit.is_some() { Ok((None, None)) } else { Err(failure) })?;
    if let Some(pinned) = &source.commit {
        return Ok(Resolved { remote, commit: pinned.clone(), reference });
    }
    let commit = match (commit, &source.revision) {
        (Some(commit), _) => commit,
        (None, Some(revision)) => match revision.full_commit() {
            Some(commit) => commit,
            None => mirror.find_short(access, &remote, revision.as_str()).await?,
        },
        (None, None) => return Err(empty(&source.url)),
    };
    Ok(Resolved { remote, commit, reference })
}

/// The references that a name may mean.
fn references_of(revision: &Revision) -> Vec<String> {
    let name = revision.as_str();
    if name.starts_with("refs/") {
        return vec![name.to_owned()];
    }
    let mut references = vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")];
    if name.starts_with("merge-requests/") || name.starts_with("pull/") {
        references.push(format!("refs/{name}"));
    }
    references
}

type Found = (Option<CommitSha>, Option<String>);

fn of_default_branch(url: &RepositoryUrl, remote: &Remote) -> Result<(CommitSha, Option<String>), Failure> {
    let commit = remote.references.get("HEAD").and_then(|id| id.parse().ok()).ok_or_else(|| empty(url))?;
    Ok((commit, remote.default_branch.clone()))
}

fn of_references(
    url: &RepositoryUrl,
    remote: &Remote,
    revision: &Revision,
    names: &[String],
) -> Result<Found, Failure> {
    let commit_of = |name: &String| {
        let id = remote.references.get(&format!("{name}^{{}}")).or_else(|| remote.references.get(name))?;
        Some((id.parse::<CommitSha>().ok()?, name.clone()))
    };
    let found: Vec<_> = names.iter().filter_map(commit_of).collect();
    match found.as_slice() {
        [] if revision.as_str() == "HEAD" => of_default_branch(url, remote).map(|(commit, name)| (Some(commit), name)),
        [] if revision.full_commit().is_some() || revision.may_be_short_commit() => Ok((None, None)),
        [] => Err(Failure::new(
            FailureCode::RevisionNotFound,
            format!("`{url}` has no branch, tag or commit `{revision}`"),
        )),
        [(commit, name), rest @ ..] if rest.iter().all(|(other, _)| other == commit) => {
            Ok((Some(commit.clone()), Some(name.clone())))
        }
        _ => Err(Failure::new(
            FailureCode::RequestInvalid,
            format!("`{revision}` is a branch and a tag of `{url}`, and they differ"),
        )
        .hint(format!("ask for `refs/heads/{revision}` or `refs/tags/{revision}`"))
        .candidates(found.into_iter().map(|(_, name)| name))),
    }
}

fn empty(url: &RepositoryUrl) -> Failure {
    Failure::new(FailureCode::RevisionNotFound, format!("`{url}` has no default branch: nothing was pushed yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(references: &[(&str, char)]) -> Remote {
        let full = |digit: char| digit.to_string().repeat(40);
        Remote {
            url: url(),
            references: references.iter().map(|(name, digit)| ((*name).to_owned(), full(*digit))).collect(),
            default_branch: Some("refs/heads/main".into()),
        }
    }

    fn url() -> RepositoryUrl {
        "https://gitlab.example.com/a".parse().unwrap()
    }

    fn find(remote: &Remote, name: &str) -> Result<Found, Failure> {
        let revision: Revision = name.parse().unwrap();
        of_references(&url(), remote, &revision, &references_of(&revision))
    }

    #[test]
    fn a_name_is_a_branch_or_a_tag_and_never_both() {
        let remote = remote(&[
            ("HEAD", '1'),
            ("refs/heads/main", '1'),
            ("refs/tags/v1", '2'),
            ("refs/tags/v1^{}", '3'),
            ("refs/heads/both", '4'),
            ("refs/tags/both", '5'),
        ]);
        let (commit, name) = find(&remote, "v1").unwrap();
        assert!(commit.unwrap().as_str().starts_with('3'), "the commit, not the tag object");
        assert_eq!(name.as_deref(), Some("refs/tags/v1"));
        assert_eq!(find(&remote, "HEAD").unwrap().1.as_deref(), Some("refs/heads/main"));
        assert_eq!(find(&remote, "both").unwrap_err().candidates, ["refs/heads/both", "refs/tags/both"]);
        assert_eq!(find(&remote, "refs/tags/both").unwrap().1.as_deref(), Some("refs/tags/both"));
        assert_eq!(find(&remote, "nothing").unwrap_err().code, FailureCode::RevisionNotFound);
        assert_eq!(find(&remote, "abcdef0").unwrap(), (None, None));
    }
}
