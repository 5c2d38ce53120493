//! Tests of the build context's tar.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use super::*;

fn generated(root: &Path, owned: Vec<OwnedPath>) -> BuildContext {
    BuildContext { root: root.to_owned(), kind: ContextKind::Generated { owned } }
}

fn repository(root: &Path) -> BuildContext {
    BuildContext { root: root.to_owned(), kind: ContextKind::Repository { dockerfile: "Dockerfile".into() } }
}

fn tar_of(context: &BuildContext) -> Vec<u8> {
    let mut out = Vec::new();
    context.write_tar("FROM scratch\n", &mut out).unwrap();
    out
}

fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    archive.entries().unwrap().map(|entry| String::from_utf8_lossy(&entry.unwrap().path_bytes()).into_owned()).collect()
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn entries_are_sorted_and_normalised() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "layer-b/app/data/x", "x");
    write(dir.path(), "layer-a/app/run", "#!");
    fs::set_permissions(dir.path().join("layer-a/app/run"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(dir.path().join("layer-b/app"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("/etc/passwd", dir.path().join("layer-b/app/link")).unwrap();
    let owned = vec![OwnedPath { path: "/app/data".into(), uid: 7, gid: 8 }];
    let tar = tar_of(&generated(dir.path(), owned));
    let expected = [
        ("Dockerfile", 0o644, 0),
        ("layer-a", 0o755, 0),
        ("layer-a/app", 0o755, 0),
        ("layer-a/app/run", 0o755, 0),
        ("layer-b", 0o755, 0),
        ("layer-b/app", 0o755, 0),
        ("layer-b/app/data", 0o755, 7),
        ("layer-b/app/data/x", 0o644, 7),
        ("layer-b/app/link", 0o777, 0),
    ];
    let mut archive = tar::Archive::new(&tar[..]);
    let found: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), ENTRY_TIME);
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            (path, header.mode().unwrap(), header.uid().unwrap())
        })
        .collect();
    let found: Vec<_> = found.iter().map(|(path, mode, uid)| (path.as_str(), *mode, *uid)).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_directory_s_place_and_times_do_not_show() {
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "layer/app/a", "a");
        write(dir.path(), "layer/app/b", "b");
        dir
    };
    let (one, two) = (make(), make());
    let later = fs::File::options().write(true).open(two.path().join("layer/app/a")).unwrap();
    later.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(tar_of(&generated(one.path(), vec![])), tar_of(&generated(two.path(), vec![])));
}

#[test]
fn long_and_strange_names_survive() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("layer/{0}/{0}/file", "n".repeat(200));
    write(dir.path(), &long, "x");
    let strange = OsStr::from_bytes(b"layer/\xff\xfe");
    fs::write(dir.path().join(strange), "y").unwrap();
    symlink("t".repeat(300), dir.path().join("layer/link")).unwrap();
    let tar = tar_of(&generated(dir.path(), vec![]));
    let mut archive = tar::Archive::new(&tar[..]);
    let paths: BTreeMap<Vec<u8>, usize> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.path_bytes().into_owned(), entry.link_name_bytes().map_or(0, |name| name.len()))
        })
        .collect();
    assert!(paths.contains_key(long.as_bytes()));
    assert!(paths.contains_key(strange.as_bytes()));
    assert_eq!(paths[&b"layer/link"[..]], 300);
}

#[test]
fn pipes_sockets_and_whiteouts_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("layer/pipe");
    fs::create_dir(dir.path().join("layer")).unwrap();
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let failure = generated(dir.path(), vec![]).write_tar("", &mut io::sink()).unwrap_err();
    assert_eq!(failure.code, FailureCode::ArtifactInvalid);
    assert!(failure.message.contains("`layer/pipe`") && failure.message.contains("named pipe"), "{failure}");
    fs::remove_file(&pipe).unwrap();

    let socket = UnixListener::bind(&pipe).unwrap();
    let failure = repository(dir.path()).write_tar("", &mut io::sink()).unwrap_err();
    assert_eq!(failure.code, FailureCode::SourceUnusable);
    assert!(failure.message.contains("socket"), "{failure}");
    drop(socket);
    fs::remove_file(&pipe).unwrap();

    write(dir.path(), "layer/.wh.a", "");
    let failure = generated(dir.path(), vec![]).write_tar("", &mut io::sink()).unwrap_err();
    assert!(failure.message.contains(".wh."), "{failure}");
    assert_eq!(names(&tar_of(&repository(dir.path()))), ["Dockerfile", "layer", "layer/.wh.a"]);
}

#[test]
fn a_dockerignore_is_honoured() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ".dockerignore", "*\n!src/**/keep.txt\n!top\n");
    write(dir.path(), "Dockerfile", "FROM other");
    write(dir.path(), "src/a/keep.txt", "");
    write(dir.path(), "src/a/lose.txt", "");
    write(dir.path(), "src/b/lose.txt", "");
    write(dir.path(), "top/any", "");
    let tar = tar_of(&repository(dir.path()));
    assert_eq!(names(&tar), ["Dockerfile", "src", "src/a", "src/a/keep.txt", "top", "top/any"]);
    // A file of the Dockerfile's own takes the place of the general one.
    write(dir.path(), "Dockerfile.dockerignore", "src\n**/*ignore\n");
    assert_eq!(names(&tar_of(&repository(dir.path()))), ["Dockerfile", "top", "top/any"]);
}

#[test]
fn of_a_directory_as_it_lies_only_what_is_listed_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["app/run", "app/.env", "app-old/run", "build/deep/er", "node_modules/x/y", ".dockerignore"] {
        write(dir.path(), path, "");
    }
    symlink("app/run", dir.path().join("run")).unwrap();
    write(dir.path(), ".dockerignore", "build/*\n!build/deep\n");
    let files = ["app/run", "app-old/run", "build/deep/er", "run", "gone"].map(PathBuf::from);
    let kind =
        ContextKind::Listed { dockerfile: "Dockerfile".to_owned(), files: Arc::new(files.into_iter().collect()) };
    let context = BuildContext { root: dir.path().to_owned(), kind };
    assert_eq!(
        names(&tar_of(&context)),
        ["Dockerfile", "app", "app/run", "app-old", "app-old/run", "build", "build/deep", "build/deep/er", "run"]
    );
}

#[test]
fn a_dockerignore_that_is_a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "rules", "a\n");
    symlink(outside.path().join("rules"), dir.path().join(".dockerignore")).unwrap();
    write(dir.path(), "a", "");
    assert_eq!(names(&tar_of(&repository(dir.path()))), ["Dockerfile", ".dockerignore", "a"]);
}

#[test]
fn a_file_that_grows_meanwhile_is_refused() {
    struct Grow(PathBuf, bool);
    impl Write for Grow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The header of the file has arrived, so its size has been decided.
            if !self.1 && bytes.windows(9).any(|window| window == b"layer/big") {
                self.1 = true;
                fs::File::options().append(true).open(&self.0).unwrap().write_all(b"more").unwrap();
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "layer/big", "some");
    let mut out = Grow(dir.path().join("layer/big"), false);
    let failure = generated(dir.path(), vec![]).write_tar("", &mut out).unwrap_err();
    assert!(failure.message.contains("changed while it was read"), "{failure}");
}

/// Another program takes away what was listed before it was looked at.
#[test]
fn what_vanishes_meanwhile_is_told_of_as_a_change() {
    struct Remove(PathBuf);
    impl Write for Remove {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.windows(7).any(|window| window == b"layer/a") {
                let _ = fs::remove_file(&self.0);
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "layer/a", "some");
    write(dir.path(), "layer/b", "more");
    let mut out = Remove(dir.path().join("layer/b"));
    let failure = generated(dir.path(), vec![]).write_tar("", &mut out).unwrap_err();
    assert!(failure.message.contains("`layer/b` in the build context changed while it was read"), "{failure}");
}
