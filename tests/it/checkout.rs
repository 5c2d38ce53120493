//! Checkout against real Git servers: `make services` starts them.

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

#[tokio::test]
async fn a_tree_is_read_without_a_working_tree() {
    let cache = tempfile::tempdir().unwrap();
    let big = "x".repeat((1 << 20) + 1);
    let repository = Published::new("open", &[("app/pom.xml", "<project/>"), ("big", &big), ("uv.lock", &big)]);
    std::os::unix::fs::symlink("app/pom.xml", repository.path().join("pom.xml")).unwrap();
    std::os::unix::fs::symlink("../../etc/passwd", repository.path().join("passwd")).unwrap();
    repository.commit(&[("run.sh", "#!/bin/sh\n")]);
    let url = repository.url("SLIPWAY_TEST_GIT");
    let fetched = resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await.unwrap();
    let reader = fetched.tree().unwrap();
    let mut tree = reader.source_tree().unwrap();
    assert_eq!(tree.entry("pom.xml").unwrap().kind, EntryKind::Symlink("app/pom.xml".into()));
    assert_eq!(tree.entry("app/pom.xml").unwrap().kind, EntryKind::File);
    for path in ["pom.xml", "passwd", "big", "uv.lock"] {
        assert_eq!(tree.raw_text(path), None);
    }
    let wanted = tree.take_wanted();
    reader.load(&mut tree, &wanted);
    assert_eq!(tree.text("pom.xml"), Some("<project/>"));
    assert_eq!(tree.raw_text("passwd"), Some(&Text::Outside));
    assert_eq!(tree.raw_text("big"), Some(&Text::TooLarge((1 << 20) + 1)));
    assert_eq!(tree.text("uv.lock"), Some(big.as_str()), "tools write locks, and write much");
}

#[tokio::test]
async fn a_builds_directory_has_a_usable_git_of_its_own() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("a", "1"), ("sub/b", "2")]);
    repository.git(&["tag", "--annotate", "--message", "one", "v1.0"]);
    repository.push("v1.0");
    repository.commit(&[("a", "2")]);
    let head = repository.commit(&[("a", "3")]);
    let url = repository.url("SLIPWAY_TEST_GIT");
    let fetched = resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let into = parent.path().join("workspace");
    let checkout = fetched.materialise(&into, &CancellationToken::new()).await.unwrap();
    let again = parent.path().join("again");
    fetched.materialise(&again, &CancellationToken::new()).await.unwrap();
    // Nothing in them may depend on the mirror.
    std::fs::remove_dir_all(cache.path()).unwrap();
    assert_eq!(run(&again, &["git", "describe"]), run(&into, &["git", "describe"]));
    run(&again, &["git", "fsck", "--strict"]);
    assert_eq!(run(&into, &["git", "rev-parse", "HEAD"]), head);
    assert_eq!(run(&into, &["git", "status", "--porcelain"]), "");
    assert_eq!(run(&into, &["git", "describe", "--tags"]), format!("v1.0-2-g{}", &head[..7]));
    assert_eq!(run(&into, &["git", "branch", "--show-current"]), "main");
    assert_eq!(run(&into, &["git", "remote", "get-url", "origin"]), url);
    run(&into, &["git", "fsck", "--strict"]);
    assert_eq!(std::fs::read_to_string(into.join("sub/b")).unwrap(), "2");
    assert_eq!((checkout.dirty, checkout.branch_or_tag.as_deref()), (false, Some("main")));
}

async fn materialise(repository: &Published, into: &Path) -> Result<(), Failure> {
    let cache = tempfile::tempdir().unwrap();
    let url = repository.url("SLIPWAY_TEST_GIT");
    let fetched = resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await?;
    fetched.materialise(&into.join("workspace"), &CancellationToken::new()).await.map(drop)
}

#[tokio::test]
async fn submodules_obey_the_allow_list() {
    let into = tempfile::tempdir().unwrap();
    let library = Published::new("open", &[("lib.c", "int x;")]);
    let commit = library.git(&["rev-parse", "HEAD"]);
    let repository = Published::new("open", &[("a", "1")]);
    with_submodule(&repository, &format!("../{}", library.name), &commit);
    materialise(&repository, into.path()).await.unwrap();
    let written = std::fs::read_to_string(into.path().join("workspace/vendor/lib/lib.c")).unwrap();
    assert_eq!(written, "int x;");

    let local = format!("file://{}", library.bare.display());
    let private = format!("{}/x.git", service("SLIPWAY_TEST_GIT_PRIVATE"));
    for url in [local.as_str(), private.as_str(), "ext::sh -c true", "/etc", "../../../../x"] {
        let into = tempfile::tempdir().unwrap();
        let repository = Published::new("open", &[("a", "1")]);
        with_submodule(&repository, url, &commit);
        let failure = materialise(&repository, into.path()).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::SourceForbidden, "{url}");
        assert!(failure.message.contains("vendor/lib"), "{}", failure.message);
    }
}

#[tokio::test]
async fn pointers_of_large_files_are_found() {
    let cache = tempfile::tempdir().unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    let files = [(".gitattributes", "*.bin filter=lfs -text\n"), ("app/model.bin", pointer), ("docs/x.bin", pointer)];
    let repository = Published::new("open", &files);
    let url = repository.url("SLIPWAY_TEST_GIT");
    let fetched = resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await.unwrap();
    let reader = fetched.tree().unwrap();
    let tree = reader.source_tree().unwrap();
    assert_eq!(reader.lfs_pointers(&tree, "app"), ["app/model.bin"]);
    assert_eq!(reader.lfs_pointers(&tree, "").len(), 2);
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
async fn a_working_tree_is_taken_as_it_lies_there() {
    let repository = Published::new("open", &[("app/a", "1"), (".gitignore", "target/\n"), ("gone", "x")]);
    let work = repository.path();
    assert!(!WorkingTree::open(work).unwrap().dirty);
    std::fs::write(work.join("app/a"), "changed").unwrap();
    std::fs::write(work.join("new"), "n").unwrap();
    std::fs::remove_file(work.join("gone")).unwrap();
    std::fs::create_dir(work.join("target")).unwrap();
    std::fs::write(work.join("target/ignored"), "").unwrap();
    let tree = WorkingTree::open(&work.join("app")).unwrap();
    assert_eq!((tree.directory.as_str(), tree.dirty, tree.branch.as_deref()), ("app", true, Some("main")));
    let parent = tempfile::tempdir().unwrap();
    let into = parent.path().join("workspace");
    let checkout = tree.materialise(&into, &CancellationToken::new()).await.unwrap();
    assert!(checkout.dirty);
    assert_eq!(run(&into, &["git", "status", "--porcelain"]), "M app/a\n D gone\n?? new");
    assert_eq!(run(&into, &["git", "rev-parse", "HEAD"]), repository.git(&["rev-parse", "HEAD"]));

    let plain = tempfile::tempdir().unwrap();
    std::fs::write(plain.path().join("main.py"), "").unwrap();
    std::fs::write(plain.path().join(".gitignore"), "*.pyc\n").unwrap();
    std::fs::write(plain.path().join("x.pyc"), "").unwrap();
    let tree = WorkingTree::open(plain.path()).unwrap();
    let listed = tree.tree().source_tree().unwrap();
    assert_eq!(listed.entries().map(|(path, _)| path).collect::<Vec<_>>(), [".gitignore", "main.py"]);
    assert_eq!(tree.materialise(&parent.path().join("plain"), &CancellationToken::new()).await.unwrap().commit, None);
}

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

#[tokio::test]
async fn what_git_would_convert_is_written_as_git_writes_it() {
    let cache = tempfile::tempdir().unwrap();
    let files = [(".gitattributes", "*.bat text eol=crlf\n"), ("run.bat", "a\nb\n"), ("run.sh", "a\nb\n")];
    let repository = Published::new("open", &files);
    let url = repository.url("SLIPWAY_TEST_GIT");
    let fetched = resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let into = parent.path().join("workspace");
    fetched.materialise(&into, &CancellationToken::new()).await.unwrap();
    assert_eq!(std::fs::read_to_string(into.join("run.bat")).unwrap(), "a\r\nb\r\n");
    assert_eq!(std::fs::read_to_string(into.join("run.sh")).unwrap(), "a\nb\n");
    assert_eq!(run(&into, &["git", "status", "--porcelain"]), "");
}

#[tokio::test]
async fn names_may_hold_any_byte_but_nul_and_slash() {
    use std::os::unix::ffi::OsStrExt as _;
    let cache = tempfile::tempdir().unwrap();
    let repository = Published::new("open", &[("a", "1")]);
    let names: [&[u8]; 4] = [b"two\nlines", b"\xff\xfe", b"quote\" and\ttab", b"-x"];
    for name in names {
        let directory = repository.path().join(std::ffi::OsStr::from_bytes(b"d\xe9"));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    repository.commit(&[("b", "2")]);
    let url = repository.url("SLIPWAY_TEST_GIT");
    let fetched = resolve_and_fetch(&source(&url, None), &open_access(), cache.path()).await.unwrap();
    // Planning cannot speak of them, and needs none of them.
    let tree = fetched.tree().unwrap().source_tree().unwrap();
    assert_eq!(tree.entries().map(|(path, _)| path).collect::<Vec<_>>(), ["a", "b"]);
    let parent = tempfile::tempdir().unwrap();
    let into = parent.path().join("workspace");
    fetched.materialise(&into, &CancellationToken::new()).await.unwrap();
    assert_eq!(run(&into, &["git", "status", "--porcelain"]), "");
    for name in names {
        let file = into.join(std::ffi::OsStr::from_bytes(b"d\xe9")).join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(std::fs::read(file).unwrap(), name);
    }
}
