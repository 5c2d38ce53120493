//! What a build finds in its directory.

use super::*;

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
