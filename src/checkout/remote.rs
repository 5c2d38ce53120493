//! What a repository offers: asked each time, which also proves that we may read it.

use std::collections::BTreeMap;

use super::access::Access;
use super::diagnosis::classify;
use super::git::Git;
use super::oid;
use crate::model::failure::{Failure, FailureCode};
use crate::model::source::{RepositoryUrl, Transport};

/// How often a server may send us elsewhere.
const REDIRECTS: usize = 3;

/// The answer of a repository.
#[derive(Debug)]
pub(super) struct Remote {
    /// Where it answered, after redirects.
    pub(super) url: RepositoryUrl,
    /// References and what they point at; `NAME^{}` is what an annotated tag points at.
    pub(super) references: BTreeMap<String, String>,
    /// The default branch, as a full reference.
    pub(super) default_branch: Option<String>,
}

impl Remote {
    /// The hash that its ids are made with; SHA-1 where there is nothing yet.
    pub(super) fn format(&self) -> git2::ObjectFormat {
        let commit = self.references.values().find_map(|id| id.parse().ok());
        commit.map_or(git2::ObjectFormat::Sha1, |commit| oid::format(&commit))
    }
}

/// Asks a repository for `HEAD` and these references.
///
/// # Errors
/// `source_forbidden`, `source_not_found`, `source_unauthorized` or `source_unavailable`.
pub(super) async fn list(access: &Access, url: &RepositoryUrl, references: &[String]) -> Result<Remote, Failure> {
    let mut url = url.clone();
    for _ in 0..=REDIRECTS {
        let arguments = ["ls-remote", "--quiet", "--symref", "--end-of-options", url.as_str(), "HEAD"];
        let arguments = || arguments.into_iter().chain(references.iter().map(String::as_str));
        let output = Git::new(arguments()).speaking_to(access, &url).run().await?;
        if output.success {
            return Ok(parse(url, &String::from_utf8_lossy(&output.stdout)));
        }
        if !is_redirect(&output.stderr) {
            return Err(classify(&url, &output.stderr));
        }
        // Git follows none, because it would follow anywhere. It says where to only in its trace.
        let traced = Git::new(arguments()).speaking_to(access, &url).tracing_headers().run().await?;
        let target = location(&url, &traced.stderr).ok_or_else(|| {
            Failure::new(FailureCode::SourceForbidden, format!("`{url}` redirects to something that is no repository"))
        })?;
        if !target.transport().is_http() || (url.transport(), target.transport()) == (Transport::Https, Transport::Http)
        {
            let message = format!("`{url}` redirects to `{target}`, which is less safe");
            return Err(Failure::new(FailureCode::SourceForbidden, message));
        }
        access.allow.check(&target, &format!("`{url}` redirects, and its target"))?;
        url = target;
    }
    Err(Failure::new(FailureCode::SourceForbidden, format!("the repository redirects more than {REDIRECTS} times")))
}

fn parse(url: RepositoryUrl, text: &str) -> Remote {
    let mut remote = Remote { url, references: BTreeMap::new(), default_branch: None };
    for (value, name) in text.lines().filter_map(|line| line.split_once('\t')) {
        match value.strip_prefix("ref: ") {
            Some(target) if name == "HEAD" => remote.default_branch = Some(target.to_owned()),
            Some(_) => {}
            None => {
                remote.references.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    remote
}

fn is_redirect(stderr: &str) -> bool {
    ["301", "302", "303", "307", "308"].iter().any(|code| stderr.contains(&format!("returned error: {code}")))
}

/// Where the last `Location` header of a trace leads, as the URL of a repository.
fn location(from: &RepositoryUrl, trace: &str) -> Option<RepositoryUrl> {
    let target = trace.lines().rev().find_map(|line| {
        let (name, value) = line.split_once("Recv header: ")?.1.split_once(": ")?;
        name.eq_ignore_ascii_case("location").then(|| value.trim())
    })?;
    let absolute = url::Url::parse(from.as_str()).ok()?.join(target).ok()?;
    let (repository, _) = absolute.as_str().split_once("/info/refs")?;
    repository.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> RepositoryUrl {
        "https://gitlab.example.com/trade/order".parse().unwrap()
    }

    #[test]
    fn an_answer_is_read() {
        let remote = parse(url(), "ref: refs/heads/main\tHEAD\n11\tHEAD\n22\trefs/tags/v1\n33\trefs/tags/v1^{}\n");
        assert_eq!(remote.default_branch.as_deref(), Some("refs/heads/main"));
        assert_eq!(remote.references["refs/tags/v1^{}"], "33");
    }

    #[test]
    fn a_redirect_is_read_from_the_trace() {
        let trace =
            "10:00:00 http.c:1: <= Recv header: Location: ../trade/order.git/info/refs?service=git-upload-pack\n";
        assert_eq!(location(&url(), trace).unwrap().as_str(), "https://gitlab.example.com/trade/order.git");
        assert_eq!(location(&url(), "<= Recv header: location: https://gitlab.example.com/users/sign_in\n"), None);
        assert_eq!(
            location(&url(), "<= Recv header: location: file:///etc/info/refs\n").unwrap().as_str(),
            "file:///etc"
        );
    }
}
