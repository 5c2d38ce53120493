//! Checkout against real Git servers: `make services` starts them.

mod ssh;
mod trees;

use std::path::Path;

use slipway::checkout::{Access, Account, AllowList, Credentials, SshIdentity, WorkingTree, resolve_and_fetch};
use slipway::model::failure::{Failure, FailureCode};
use slipway::model::source::Source;
use slipway::model::source_tree::{EntryKind, Text};
use tokio_util::sync::CancellationToken;

use crate::services::{run, service};
use crate::support::repository::{Published, host_of, with_submodule};

fn source(url: &str, revision: Option<&str>) -> Source {
    let revision = revision.map(|revision| revision.parse().unwrap());
    Source { url: url.parse().unwrap(), revision, commit: None, directory: String::new() }
}

fn open_access() -> Access {
    Access {
        allow: AllowList::parse(["http://127.0.0.1:1/", service("SLIPWAY_TEST_GIT")]).unwrap(),
        ..Access::default()
    }
}

fn private_access(password: &str) -> Access {
    let credentials = Credentials {
        name: "test".into(),
        account: Some(Account { username: service("SLIPWAY_TEST_USER").into(), password: password.into() }),
        ssh: None,
        hosts: vec![host_of("SLIPWAY_TEST_GIT_PRIVATE")],
    };
    Access {
        allow: AllowList::parse([service("SLIPWAY_TEST_GIT_PRIVATE")]).unwrap(),
        credentials: Some(credentials),
        ..Access::default()
    }
}

async fn fetch_code(url: &str, revision: Option<&str>, access: &Access, cache: &Path) -> FailureCode {
    resolve_and_fetch(&source(url, revision), access, cache).await.expect_err("refused").code
}

#[tokio::test]
async fn every_kind_of_revision_is_found() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("pom.xml", "<project/>")]);
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "-a", "v1", "-m", "one"]);
    repository.push("v1");
    let second = repository.commit(&[("pom.xml", "<project>2</project>")]);
    repository.git(&["checkout", "-q", "-b", "side"]);
    std::fs::write(repository.path().join("side"), "").unwrap();
    repository.git(&["add", "-A"]);
    repository.git(&["commit", "-q", "-m", "side"]);
    let side = repository.git(&["rev-parse", "HEAD"]);
    repository.push("HEAD:refs/merge-requests/7/head");

    let url = repository.url("SLIPWAY_TEST_GIT");
    let cases: [(Option<&str>, &str, Option<&str>); 8] = [
        (None, &second, Some("main")),
        (Some("main"), &second, Some("main")),
        (Some("v1"), &first, Some("v1")),
        (Some("refs/tags/v1"), &first, Some("v1")),
        (Some(&first), &first, None),
        (Some(&second[..9]), &second, None),
        (Some("refs/merge-requests/7/head"), &side, None),
        (Some("merge-requests/7/head"), &side, None),
    ];
    for (revision, commit, name) in cases {
        let fetched = resolve_and_fetch(&source(&url, revision), &open_access(), cache.path()).await.unwrap();
        assert_eq!((fetched.commit.as_str(), fetched.branch_or_tag()), (commit, name), "{revision:?}");
    }
    let absent = "1234567890123456789012345678901234567890";
    for missing in ["nothing", "abcdef01", absent] {
        let code = fetch_code(&url, Some(missing), &open_access(), cache.path()).await;
        assert_eq!(code, FailureCode::RevisionNotFound, "{missing}");
    }
}

#[tokio::test]
async fn a_server_that_gives_no_commit_by_its_id_is_asked_for_references() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("a", "1")]);
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.commit(&[("a", "2")]);
    run(&repository.bare, &["git", "config", "uploadpack.allowAnySHA1InWant", "false"]);
    let url = repository.url("SLIPWAY_TEST_GIT_OLD");
    let access = Access { allow: AllowList::parse([service("SLIPWAY_TEST_GIT_OLD")]).unwrap(), ..Access::default() };
    let fetched = resolve_and_fetch(&source(&url, Some(&first)), &access, cache.path()).await.unwrap();
    assert_eq!(fetched.commit.as_str(), first);
}

#[tokio::test]
async fn a_warm_mirror_serves_nobody_who_could_not_fetch() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("private", &[("secret", "1")]);
    let url = repository.url("SLIPWAY_TEST_GIT_PRIVATE");
    let right = private_access(service("SLIPWAY_TEST_PASSWORD"));
    resolve_and_fetch(&source(&url, None), &right, cache.path()).await.unwrap();

    let wrong = private_access("wrong-password");
    let failure = resolve_and_fetch(&source(&url, None), &wrong, cache.path()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::SourceUnauthorized);
    assert!(!format!("{failure:?}").contains("wrong-password"));
    let nobody = Access { credentials: None, ..right.clone() };
    assert_eq!(fetch_code(&url, None, &nobody, cache.path()).await, FailureCode::SourceUnauthorized);
    let head = repository.git(&["rev-parse", "HEAD"]);
    assert_eq!(fetch_code(&url, Some(&head), &nobody, cache.path()).await, FailureCode::SourceUnauthorized);
    let mut elsewhere = right;
    elsewhere.credentials.as_mut().unwrap().hosts = vec!["gitlab.example.com".into()];
    assert_eq!(fetch_code(&url, None, &elsewhere, cache.path()).await, FailureCode::SourceUnauthorized);
}

#[tokio::test]
async fn failures_are_told_apart() {
    let cache = tempfile::tempdir().unwrap();
    let missing = format!("{}/nothing.git", service("SLIPWAY_TEST_GIT"));
    assert_eq!(fetch_code(&missing, None, &open_access(), cache.path()).await, FailureCode::SourceNotFound);
    let silent = "http://127.0.0.1:1/a.git";
    assert_eq!(fetch_code(silent, None, &open_access(), cache.path()).await, FailureCode::SourceUnavailable);
    let elsewhere = "https://elsewhere.example.com/a.git";
    assert_eq!(fetch_code(elsewhere, None, &open_access(), cache.path()).await, FailureCode::SourceForbidden);
}

#[tokio::test]
async fn redirects_obey_the_allow_list() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("a", "1")]);
    let (open, moved) = (service("SLIPWAY_TEST_GIT"), service("SLIPWAY_TEST_GIT_MOVED"));
    let access = |prefixes: &[&'static str]| Access {
        allow: AllowList::parse(prefixes.iter().copied()).unwrap(),
        ..Access::default()
    };
    let url = repository.url("SLIPWAY_TEST_GIT_MOVED");
    resolve_and_fetch(&source(&url, None), &access(&[open, moved]), cache.path()).await.unwrap();
    assert_eq!(fetch_code(&url, None, &access(&[moved]), cache.path()).await, FailureCode::SourceForbidden);
    let away = service("SLIPWAY_TEST_GIT_AWAY");
    let url = repository.url("SLIPWAY_TEST_GIT_AWAY");
    assert_eq!(fetch_code(&url, None, &access(&[away, open]), cache.path()).await, FailureCode::SourceForbidden);
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_the_operator_names_it() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("a", "1")]);
    let url = repository.url("SLIPWAY_TEST_GIT_TLS");
    let mut access =
        Access { allow: AllowList::parse([service("SLIPWAY_TEST_GIT_TLS")]).unwrap(), ..Access::default() };
    let failure = resolve_and_fetch(&source(&url, None), &access, cache.path()).await.unwrap_err();
    assert_eq!((failure.code, failure.retryable), (FailureCode::SourceUnavailable, false));
    access.ca_bundle = Some(service("SLIPWAY_TEST_GIT_TLS_CA").into());
    resolve_and_fetch(&source(&url, None), &access, cache.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_builds_share_a_mirror() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("a", "1")]);
    let url = repository.url("SLIPWAY_TEST_GIT");
    let builds = (0..6).map(|index| {
        let (cache, url) = (cache.path().to_owned(), url.clone());
        tokio::spawn(async move {
            let fetched = resolve_and_fetch(&source(&url, None), &open_access(), &cache).await.unwrap();
            fetched.materialise(&cache.join(format!("build-{index}")), &CancellationToken::new()).await.unwrap();
        })
    });
    for build in builds.collect::<Vec<_>>() {
        build.await.unwrap();
    }
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 7);
}

#[tokio::test]
async fn a_mirror_survives_a_killed_fetch() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("a", "1")]);
    let url = repository.url("SLIPWAY_TEST_GIT");
    resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await.unwrap();
    let mirror = std::fs::read_dir(cache.path()).unwrap().next().unwrap().unwrap().path();
    let head = repository.commit(&[("a", "2")]);
    for stale in ["packed-refs.lock", "shallow.lock", &format!("refs/slipway/commits/{head}.lock")] {
        std::fs::write(mirror.join("repository.git").join(stale), "").unwrap();
    }
    let fetched = resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await.unwrap();
    assert_eq!(fetched.commit.as_str(), head);
    std::fs::write(mirror.join("repository.git/HEAD"), "").unwrap();
    resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await.unwrap();
}

#[tokio::test]
async fn repositories_of_sha_256_are_like_any_other() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::with_hash("sha256", "open", &[("a", "1"), ("sub/b", "2")]);
    repository.git(&["tag", "-a", "v1", "-m", "one"]);
    repository.push("v1");
    let head = repository.commit(&[("a", "2")]);
    assert_eq!(head.len(), 64);
    let url = repository.url("SLIPWAY_TEST_GIT");
    for revision in [None, Some("main"), Some(&head[..]), Some(&head[..9]), Some(&head[..45])] {
        let fetched = resolve_and_fetch(&source(&url, revision), &open_access(), cache.path()).await.unwrap();
        assert_eq!(fetched.commit.as_str(), head, "{revision:?}");
        let reader = fetched.tree().unwrap();
        let mut tree = reader.source_tree().unwrap();
        assert_eq!(tree.raw_text("a"), None);
        let wanted = tree.take_wanted();
        reader.load(&mut tree, &wanted);
        assert_eq!(tree.text("a"), Some("2"));
    }
    let fetched = resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let into = parent.path().join("workspace");
    fetched.materialise(&into, &CancellationToken::new()).await.unwrap();
    assert_eq!(run(&into, &["git", "status", "--porcelain"]), "");
    assert_eq!(run(&into, &["git", "describe", "--tags"]), format!("v1-1-g{}", &head[..7]));

    let work = repository.path();
    std::fs::write(work.join("a"), "3").unwrap();
    let tree = WorkingTree::open(work).unwrap();
    assert_eq!((tree.commit.as_ref().unwrap().as_str(), tree.dirty), (&head[..], true));
    let into = parent.path().join("directory");
    tree.materialise(&into, &CancellationToken::new()).await.unwrap();
    assert_eq!(run(&into, &["git", "status", "--porcelain"]), "M a");
}

#[tokio::test]
async fn a_short_commit_that_could_be_several_names_them() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("a", "1")]);
    // As many commits as make two of the same first four digits all but certain.
    let commit = |number| format!("commit refs/heads/many\ncommitter A <a@example.com> {number} +0000\ndata 1\nx\n");
    let stream: String = (0..1500).map(commit).collect();
    repository.fast_import(stream.as_bytes());
    let listed = run(&repository.bare, &["git", "rev-list", "many"]);
    let mut ids: Vec<&str> = listed.lines().collect();
    ids.sort_unstable();
    let twins = ids.windows(2).find(|pair| pair[0][..4] == pair[1][..4]).expect("two commits begin alike");
    let url = repository.url("SLIPWAY_TEST_GIT");
    let asked = resolve_and_fetch(&source(&url, Some(&twins[0][..4])), &open_access(), cache.path()).await;
    let failure = asked.unwrap_err();
    assert_eq!(failure.code, FailureCode::RequestInvalid, "{failure:?}");
    assert!(twins.iter().all(|twin| failure.candidates.contains(&(*twin).to_owned())), "{failure:?}");
}

#[tokio::test]
async fn an_empty_repository_has_no_revision() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("a", "1")]);
    run(&repository.bare, &["git", "update-ref", "-d", "refs/heads/main"]);
    let url = repository.url("SLIPWAY_TEST_GIT");
    for revision in [None, Some("main"), Some("HEAD")] {
        let code = fetch_code(&url, revision, &open_access(), cache.path()).await;
        assert_eq!(code, FailureCode::RevisionNotFound, "{revision:?}");
    }
}
