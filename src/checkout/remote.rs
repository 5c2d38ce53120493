//! What a repository offers: asked each time, which also proves that we may read it.

use std::collections::BTreeMap;

use super::access::Access;
use super::git::{Git, tail};
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

/// What git's words mean. They are the only thing it gives; `LC_ALL=C` keeps them stable.
pub(super) fn classify(url: &RepositoryUrl, stderr: &str) -> Failure {
    let text = stderr.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let tail = tail(stderr);
    let last = tail.iter().rev().find(|line| line.starts_with("fatal: ")).or(tail.last()).cloned().unwrap_or_default();
    let failure = |code, message: String| Failure::new(code, message).log_tail(tail.clone());
    if says(&[
        "could not read username",
        "authentication failed",
        "access denied",
        "permission denied",
        "error: 401",
        "error: 403",
    ]) {
        return failure(
            FailureCode::SourceUnauthorized,
            format!("`{url}` asks for credentials, or refused those given"),
        );
    }
    if says(&["not found", "does not exist", "error: 404", "not appear to be a git repository", "could not be found"]) {
        return failure(
            FailureCode::SourceNotFound,
            format!("there is no repository at `{url}`, or it is not shown to us"),
        );
    }
    if says(&["no space left on device"]) {
        return failure(FailureCode::DiskFull, "the disk filled up while the repository was fetched".to_owned());
    }
    if says(&["' not allowed"]) {
        return failure(FailureCode::SourceForbidden, format!("`{url}` speaks a protocol that is not allowed"));
    }
    if says(&["certificate", "host key verification failed"]) {
        let mut failure = failure(FailureCode::SourceUnavailable, format!("`{url}` cannot prove who it is: {last}"))
            .hint("give Slipway the authority: `network.ca_bundle`, or the host's key in `known_hosts`");
        failure.retryable = false;
        return failure;
    }
    failure(FailureCode::SourceUnavailable, format!("`{url}` did not answer: {last}"))
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

    #[test]
    fn words_become_codes() {
        for (words, code) in [
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled",
                FailureCode::SourceUnauthorized,
            ),
            ("fatal: repository 'https://x/' not found", FailureCode::SourceNotFound),
            ("fatal: unable to access 'x': Could not resolve host: x", FailureCode::SourceUnavailable),
            ("fatal: unable to access 'x': The requested URL returned error: 503", FailureCode::SourceUnavailable),
            ("fatal: transport 'file' not allowed", FailureCode::SourceForbidden),
        ] {
            assert_eq!(classify(&url(), words).code, code, "{words}");
        }
        assert!(!classify(&url(), "SSL certificate problem: unable to get local issuer certificate").retryable);
    }
}
