//! Deeds of people in, the same answer out that Git gives.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;

/// What people do to a working tree.
#[derive(Debug, Clone)]
enum Deed {
    Write(usize, u8),
    Remove(usize),
    Link(usize),
    Executable(usize),
    Ignore(usize),
    Add,
    Commit,
    Repository(usize),
}

const PATHS: [&str; 9] = ["a", "b", "b.c", "d/a", "d/b", "d/e/f", "g/h", "out/x", "out/y/z"];
const IGNORED: [&str; 5] = ["out/\n", "*.c\nd/*\n!d/b\n", "/a\n", "y\n", "d/e\n"];

fn deed() -> impl Strategy<Value = Deed> {
    let path = || 0..PATHS.len();
    prop_oneof![
        6 => (path(), any::<u8>()).prop_map(|(path, byte)| Deed::Write(path, byte % 3)),
        2 => path().prop_map(Deed::Remove),
        1 => path().prop_map(Deed::Link),
        1 => path().prop_map(Deed::Executable),
        2 => (0..IGNORED.len()).prop_map(Deed::Ignore),
        4 => Just(Deed::Add),
        4 => Just(Deed::Commit),
        1 => path().prop_map(Deed::Repository),
    ]
}

fn clear(path: &Path) {
    // A file may stand where the path has a directory.
    for above in path.ancestors().skip(1) {
        if above.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            std::fs::remove_file(above).unwrap();
        }
    }
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path).unwrap(),
        Ok(_) => std::fs::remove_file(path).unwrap(),
        Err(_) => std::fs::create_dir_all(path.parent().unwrap()).unwrap(),
    }
}

fn commit(repository: &Repository) {
    let tree = repository.index().unwrap().write_tree().unwrap();
    let who = git2::Signature::new("Ada", "ada@example.com", &git2::Time::new(0, 0)).unwrap();
    let parent = repository.head().ok().map(|head| head.peel_to_commit().unwrap());
    let parents: Vec<_> = parent.iter().collect();
    repository.commit(Some("HEAD"), &who, &who, "x", &repository.find_tree(tree).unwrap(), &parents).unwrap();
}

/// Adds what is there of these files, links and repositories, and takes out what is gone.
fn add(repository: &Repository, paths: &[&str]) {
    let (root, mut index) = (repository.workdir().unwrap(), repository.index().unwrap());
    let there = |path: &Path| root.join(path).symlink_metadata().is_ok_and(|found| !found.is_dir());
    let entries: Vec<_> = index.iter().map(|entry| PathBuf::from(OsStr::from_bytes(&entry.path))).collect();
    for path in entries.iter().filter(|path| !there(path) && !root.join(path).join(".git").exists()) {
        index.remove_path(path).unwrap();
    }
    for path in paths.iter().map(Path::new).filter(|path| there(path) || root.join(path).join(".git").exists()) {
        index.add_path(path).unwrap();
    }
    index.write().unwrap();
}

fn do_it(repository: &Repository, root: &Path, deed: &Deed) {
    let at = |path: &usize| root.join(PATHS[*path]);
    match deed {
        Deed::Write(path, byte) => {
            clear(&at(path));
            std::fs::write(at(path), [b'0' + byte]).unwrap();
        }
        Deed::Remove(path) => clear(&at(path)),
        Deed::Link(path) => {
            clear(&at(path));
            symlink("a", at(path)).unwrap();
        }
        Deed::Executable(path) => {
            if at(path).symlink_metadata().is_ok_and(|found| found.is_file()) {
                std::fs::set_permissions(at(path), std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        Deed::Ignore(rules) => std::fs::write(root.join(".gitignore"), IGNORED[*rules]).unwrap(),
        Deed::Add => add(repository, &PATHS),
        Deed::Commit => commit(repository),
        Deed::Repository(path) => {
            clear(&at(path));
            let inner = Repository::init(at(path)).unwrap();
            std::fs::write(at(path).join("inner"), "x").unwrap();
            add(&inner, &["inner"]);
            commit(&inner);
        }
    }
}

fn seen(found: Result<Standing, git2::Error>) -> (Vec<String>, bool) {
    let found = found.unwrap();
    let shown = |(name, data): (Vec<u8>, Metadata)| format!("{} {}", String::from_utf8_lossy(&name), data.mode());
    (found.files.into_iter().map(shown).collect(), found.changed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_seen_is_what_git_says(deeds in prop::collection::vec(deed(), 1..24)) {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init(directory.path()).unwrap();
        for deed in &deeds {
            do_it(&repository, directory.path(), deed);
            // As another program, which knows nothing of what was there before.
            let fresh = || Repository::open(directory.path()).unwrap();
            prop_assert_eq!(seen(look(&fresh(), directory.path())), seen(asked(&fresh(), directory.path())));
        }
    }
}

/// The commit has it, the index has it no more, and what stands there is ignored.
#[test]
fn what_was_taken_out_and_is_ignored_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::init(directory.path()).unwrap();
    let file = PATHS.iter().position(|path| *path == "d/e/f").unwrap();
    let taken_out = [Deed::Write(file, 0), Deed::Add, Deed::Commit, Deed::Ignore(1), Deed::Remove(file), Deed::Add];
    for deed in taken_out.iter().chain(&[Deed::Write(file, 0)]) {
        do_it(&repository, directory.path(), deed);
    }
    for found in [look(&repository, directory.path()), asked(&repository, directory.path())] {
        assert_eq!(seen(found), (vec![".gitignore 33188".to_owned()], true));
    }
}

/// A repository with one commit, of which the files were written long before the index.
fn settled(files: &[&str]) -> (tempfile::TempDir, Repository) {
    let directory = tempfile::tempdir().unwrap();
    let repository = Repository::init(directory.path()).unwrap();
    for file in files {
        let path = directory.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "12345").unwrap();
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    }
    add(&repository, files);
    commit(&repository);
    (directory, repository)
}

#[test]
fn of_a_clean_tree_git_is_asked_nothing() {
    let (directory, repository) = settled(&["a", "d/b", "d/e/\u{e9}"]);
    let Walked { files, changed, .. } = Walk::through(&repository, directory.path()).unwrap().unwrap();
    let names: Vec<PathBuf> = files.iter().map(|(name, _)| PathBuf::from(OsStr::from_bytes(name))).collect();
    assert_eq!((names, changed), (["a", "d/b", "d/e/\u{e9}"].map(PathBuf::from).to_vec(), false));
    assert!(!look(&repository, directory.path()).unwrap().changed);
}

#[test]
fn a_time_that_was_put_back_hides_no_change() {
    let (directory, repository) = settled(&["a", "b"]);
    let path = directory.path().join("a");
    let before = path.metadata().unwrap().modified().unwrap();
    std::fs::write(&path, "54321").unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    assert!(look(&repository, directory.path()).unwrap().changed);
}

#[test]
fn what_is_neither_file_nor_link_is_nothing_to_git() {
    let (directory, repository) = settled(&["a"]);
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    assert_eq!(seen(look(&repository, directory.path())).0.len(), 1);
    assert!(!look(&repository, directory.path()).unwrap().changed);
}
