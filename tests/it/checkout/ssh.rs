//! By SSH: whom a host must prove to be, and what it is shown.

use super::*;

fn ssh_access(key: &str, known_hosts: &str) -> Access {
    let keys = Path::new(service("SLIPWAY_TEST_GIT_SSH_KEYS"));
    let key = std::fs::read_to_string(keys.join(key)).unwrap();
    let known_hosts = (!known_hosts.is_empty()).then(|| keys.join(known_hosts));
    let credentials = Credentials {
        name: "deploy-key".into(),
        account: None,
        ssh: Some(SshIdentity::new(&key, known_hosts).unwrap()),
        hosts: vec![host_of("SLIPWAY_TEST_GIT_SSH")],
    };
    let allow = AllowList::parse([service("SLIPWAY_TEST_GIT_SSH")]).unwrap();
    Access { allow, credentials: Some(credentials), ..Access::default() }
}

#[tokio::test]
async fn ssh_shows_the_credentials_key_to_a_known_host() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("private", &[("a", "1")]);
    let first = repository.git(&["rev-parse", "HEAD"]);
    let second = repository.commit(&[("a", "2")]);
    let url = repository.ssh_url();
    let right = ssh_access("key", "known_hosts");
    for (revision, commit) in [(None, &second), (Some("main"), &second), (Some(&first[..]), &first)] {
        let fetched = resolve_and_fetch(&source(&url, revision), &right, cache.path()).await.unwrap();
        assert_eq!(fetched.commit.as_str(), commit);
        let into = tempfile::tempdir().unwrap();
        fetched.materialise(&into.path().join("workspace"), &CancellationToken::new()).await.unwrap();
    }

    // The mirror is warm, and access is proven all the same.
    let wrong = resolve_and_fetch(&source(&url, None), &ssh_access("other_key", "known_hosts"), cache.path()).await;
    let failure = wrong.unwrap_err();
    assert_eq!(failure.code, FailureCode::SourceUnauthorized);
    assert!(failure.hint.contains("ssh_key"), "{failure:?}");
    let mut elsewhere = right;
    elsewhere.credentials.as_mut().unwrap().hosts = vec!["gitlab.example.com".into()];
    let failure = resolve_and_fetch(&source(&url, None), &elsewhere, cache.path()).await.unwrap_err();
    assert!(!failure.retryable, "{failure:?}");
}

#[tokio::test]
async fn ssh_trusts_no_host_that_is_not_known() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("private", &[("a", "1")]);
    let url = repository.ssh_url();
    let fail = async |access: &Access| resolve_and_fetch(&source(&url, None), access, cache.path()).await.unwrap_err();
    let failure = fail(&ssh_access("key", "")).await;
    assert_eq!((failure.code, failure.retryable), (FailureCode::SourceUnavailable, false));
    assert!(failure.message.contains("not among the known hosts"), "{}", failure.message);

    // The host with another key than the known one.
    let keys = Path::new(service("SLIPWAY_TEST_GIT_SSH_KEYS"));
    let known = std::fs::read_to_string(keys.join("known_hosts")).unwrap();
    let other = std::fs::read_to_string(keys.join("other_key.pub")).unwrap();
    let other: Vec<&str> = other.split(' ').take(2).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let line = format!("{} {}\n", known.split(' ').next().unwrap(), other.join(" "));
    std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
    let failure = fail(&ssh_access("key", file.path().to_str().unwrap())).await;
    assert_eq!((failure.code, failure.retryable), (FailureCode::SourceUnavailable, false));
    assert!(failure.message.contains("another host key"), "{}", failure.message);

    let failure = fail(&ssh_access("authorized_keys", "known_hosts")).await;
    assert_eq!(failure.code, FailureCode::ConfigurationInvalid, "{failure:?}");
}

#[tokio::test]
async fn submodules_over_ssh_obey_the_allow_list() {
    let library = Published::new("private", &[("lib.c", "int y;")]);
    let commit = library.git(&["rev-parse", "HEAD"]);
    let repository = Published::new("open", &[("a", "1")]);
    with_submodule(&repository, &library.ssh_url(), &commit);
    let url = repository.url("SLIPWAY_TEST_GIT");
    let mut access = ssh_access("key", "known_hosts");
    for (allowed, code) in [
        (&["SLIPWAY_TEST_GIT", "SLIPWAY_TEST_GIT_SSH"][..], None),
        (&["SLIPWAY_TEST_GIT"], Some(FailureCode::SourceForbidden)),
    ] {
        access.allow = AllowList::parse(allowed.iter().map(|name| service(name))).unwrap();
        let (cache, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let fetched = resolve_and_fetch(&source(&url, None), &access, cache.path()).await.unwrap();
        let written = fetched.materialise(&into.path().join("workspace"), &CancellationToken::new()).await;
        assert_eq!(written.as_ref().err().map(|failure| failure.code), code, "{written:?}");
        let file = into.path().join("workspace/vendor/lib/lib.c");
        assert_eq!(file.exists(), code.is_none());
    }
}
