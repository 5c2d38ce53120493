//! What modules leave in `target/`, one test a shape.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::jar::{Assembled, assemble};
use super::kind::{Expectation, Kind};
use super::manifest::{MANIFEST_PATH, Manifest};
use super::safe_fs::Dir;
use super::tree;
use super::zip::tests::make;
use super::zip::{Archive, Limits};
use crate::model::failure::{Failure, FailureCode};

const CLASS: &str = "com/example/Application.class";
const MAIN: &str = "com.example.Application";

/// A file of `target/`: an archive of entries, or plain bytes.
enum Left<'a> {
    Archive(&'a [(&'a str, &'a str)]),
    Bytes(&'a [u8]),
}

struct Made {
    outcome: Result<Assembled, Failure>,
    /// Paths of the context's files.
    files: Vec<String>,
    /// The manifest of `application.jar`, where there is one.
    manifest: Option<Manifest>,
}

fn made(left: &[(&str, Left<'_>)], expected: &Expectation) -> Made {
    let temp = tempfile::tempdir().unwrap();
    let (target, context) = (temp.path().join("target"), temp.path().join("context"));
    std::fs::create_dir(&target).unwrap();
    for (path, left) in left {
        let path = target.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match left {
            Left::Bytes(bytes) => std::fs::write(&path, bytes).unwrap(),
            Left::Archive(entries) => {
                let entries: Vec<_> = entries.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
                make(&path, &entries);
            }
        }
    }
    let outcome = assemble(&Dir::open(&target).unwrap(), expected, &context);
    let jar = context.join("layer-application/app/application.jar");
    let manifest = std::fs::File::open(jar).ok().map(|file| {
        let mut archive = Archive::open(file, "application.jar", &Limits::default()).unwrap();
        let entry = archive.find(MANIFEST_PATH).unwrap();
        Manifest::parse(&archive.read(&entry, 1 << 20).unwrap(), "application.jar").unwrap()
    });
    let mut files = Vec::new();
    list(&context, &context, &mut files);
    files.sort();
    Made { outcome, files, manifest }
}

fn list(root: &Path, directory: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            list(root, &entry.path(), files);
        } else {
            files.push(entry.path().strip_prefix(root).unwrap().display().to_string());
        }
    }
}

fn expects(shape: &str) -> Expectation {
    Expectation { final_name: Some("order-1.0".into()), kind: Kind::of_shape(shape), ..Expectation::default() }
}

#[test]
fn a_thin_jar_gets_its_class_and_its_class_path() {
    let left = [
        ("order-1.0.jar", Left::Archive(&[(MANIFEST_PATH, "Manifest-Version: 1.0\n"), (CLASS, "x")])),
        ("dependency/b c.jar", Left::Bytes(b"b")),
        ("dependency/a-1-SNAPSHOT.jar", Left::Bytes(b"a")),
    ];
    let made = made(&left, &Expectation { main_class: Some(MAIN.into()), ..expects("thin") });
    assert_eq!(made.outcome.unwrap().kind, Kind::Thin);
    let manifest = made.manifest.unwrap();
    assert_eq!(manifest.get("Main-Class"), Some(MAIN));
    assert_eq!(manifest.class_path(), ["lib/a-1-SNAPSHOT.jar", "lib/b%20c.jar"]);
    assert_eq!(
        made.files,
        [
            "layer-application/app/application.jar",
            "layer-dependencies/app/lib/b c.jar",
            "layer-snapshot-dependencies/app/lib/a-1-SNAPSHOT.jar"
        ]
    );
}

#[test]
fn a_class_that_its_manifest_names_and_nobody_wrote_is_not_started() {
    let entries = [(MANIFEST_PATH, "Manifest-Version: 1.0\nMain-Class: Main\n"), (CLASS, "x")];
    let jar = || ("order-1.0.jar", Left::Archive(&entries));
    let expected = |shape: &str| Expectation { main_class: Some(MAIN.into()), ..expects(shape) };
    let made_thin = made(&[jar(), ("dependency/a.jar", Left::Bytes(b"a"))], &expected("thin"));
    assert_eq!(made_thin.manifest.unwrap().get("Main-Class"), Some(MAIN));
    let failure = made(&[jar()], &expected("shaded")).outcome.unwrap_err();
    assert_eq!(failure.code, FailureCode::ArtifactMismatch);
}

#[test]
fn what_a_thin_jar_leaves_out_is_on_its_class_path() {
    let left = [
        ("order-1.0.jar", Left::Archive(&[(MANIFEST_PATH, "Manifest-Version: 1.0\n"), (CLASS, "x"), ("a.txt", "a")])),
        ("classes/com/example/Application.class", Left::Bytes(b"x")),
        ("classes/com/example/Left.class", Left::Bytes(b"x")),
        ("classes/a.txt", Left::Bytes(b"a")),
        ("classes/order.properties", Left::Bytes(b"a=b")),
        ("classes/keys/order.jks", Left::Bytes(b"k")),
        ("dependency/a.jar", Left::Bytes(b"a")),
    ];
    let made = made(&left, &Expectation { main_class: Some(MAIN.into()), ..expects("thin") });
    assert_eq!(made.manifest.unwrap().class_path(), ["lib/a.jar", "classes/"]);
    assert_eq!(
        made.files,
        [
            "layer-application/app/application.jar",
            "layer-application/app/classes/keys/order.jks",
            "layer-application/app/classes/order.properties",
            "layer-dependencies/app/lib/a.jar",
        ]
    );
}

#[test]
fn a_class_path_that_nothing_copied_comes_from_mavens_resolution() {
    let manifest = format!("Main-Class: {MAIN}\nClass-Path: lib/a.jar b.jar\n");
    let jar = [(MANIFEST_PATH, manifest.as_str()), (CLASS, "x")];
    let both = [
        ("order-1.0.jar", Left::Archive(&jar)),
        ("dependency/a.jar", Left::Bytes(b"a")),
        ("b.jar", Left::Archive(&[("b.class", "x")])),
    ];
    let found = made(&both, &expects("plain-classpath"));
    assert_eq!(found.manifest.unwrap().class_path(), ["lib/a.jar", "lib/b.jar"]);
    let missing = made(&both[..1], &expects("plain-classpath"));
    assert_eq!(missing.outcome.unwrap_err().code, FailureCode::ArtifactMissing);
}

#[test]
fn a_directory_of_the_class_path_has_what_the_build_left_there_or_the_resources() {
    let manifest = format!("Main-Class: {MAIN}\nClass-Path: conf/ resources/ ../x/ .\n");
    let left = [
        ("order-1.0.jar", Left::Archive(&[(MANIFEST_PATH, &manifest), (CLASS, "x")])),
        ("conf/order.properties", Left::Bytes(b"a=b")),
        ("classes/com/example/Application.class", Left::Bytes(b"x")),
        ("classes/templates/index.html", Left::Bytes(b"<p/>")),
    ];
    let made = made(&left, &expects("plain-classpath"));
    assert_eq!(made.manifest.unwrap().class_path(), ["conf/", "resources/", "../x/", "."]);
    assert_eq!(
        made.files,
        [
            "layer-application/app/application.jar",
            "layer-application/app/conf/order.properties",
            "layer-application/app/resources/templates/index.html",
        ]
    );
}

#[test]
fn a_shaded_jar_may_name_what_is_in_it() {
    let manifest = format!("Main-Class: {MAIN}\nClass-Path: a.jar lib/b.jar\n");
    let jar = [(MANIFEST_PATH, manifest.as_str()), (CLASS, "x")];
    let left = [("order-1.0.jar", Left::Archive(&jar)), ("a.jar", Left::Bytes(b"a"))];
    assert_eq!(made(&left[..1], &expects("shaded")).outcome.unwrap().kind, Kind::SelfContained);
    // One that is beside it is wanted, and so are the others.
    assert_eq!(made(&left, &expects("shaded")).outcome.unwrap_err().code, FailureCode::ArtifactMissing);
}

#[test]
fn a_main_class_without_a_class_path_has_what_was_collected_beside_it() {
    let manifest = format!("Main-Class: {MAIN}\n");
    let left = [
        ("order-1.0.jar", Left::Archive(&[(MANIFEST_PATH, &manifest), (CLASS, "x")])),
        ("dependency/a.jar", Left::Bytes(b"a")),
    ];
    assert_eq!(made(&left, &expects("plain-classpath")).manifest.unwrap().class_path(), ["lib/a.jar"]);
    // A shaded jar has everything in it, whatever else the project copies.
    assert!(made(&left, &expects("shaded")).manifest.unwrap().class_path().is_empty());
}

#[test]
fn the_jar_that_the_plugin_made_is_taken_whatever_it_is_called() {
    let thin = format!("Main-Class: {MAIN}\nClass-Path: lib/a.jar\n");
    let fat = format!("Main-Class: org.springframework.boot.loader.JarLauncher\nStart-Class: {MAIN}\n");
    let launcher = "org/springframework/boot/loader/JarLauncher.class";
    let inside = format!("BOOT-INF/classes/{CLASS}");
    let left = [
        ("order-1.0.jar", Left::Archive(&[(MANIFEST_PATH, &thin), (CLASS, "x")])),
        ("order-1.0-exec.jar", Left::Archive(&[(MANIFEST_PATH, &fat), (launcher, "x"), (&inside, "x")])),
        ("order-1.0-sources.jar", Left::Archive(&[(MANIFEST_PATH, &thin), ("com/example/Application.java", "x")])),
        ("original-order-1.0.jar", Left::Archive(&[(MANIFEST_PATH, &thin), (CLASS, "x")])),
    ];
    let made = made(&left, &expects("spring-boot"));
    assert_eq!(made.outcome.unwrap().kind, Kind::SpringBoot);
    assert_eq!(made.manifest.unwrap().get("Main-Class"), Some(MAIN));
}

#[test]
fn of_two_that_the_plugin_made_the_whole_one_is_taken() {
    let fat = format!("Main-Class: org.springframework.boot.loader.JarLauncher\nStart-Class: {MAIN}\n");
    let (launcher, class) = ("org/springframework/boot/loader/JarLauncher.class", format!("BOOT-INF/classes/{CLASS}"));
    let slim = [(MANIFEST_PATH, fat.as_str()), (launcher, "x"), (&class, "x"), ("BOOT-INF/lib/a.jar", "a")];
    let whole: Vec<_> = slim.iter().copied().chain([("BOOT-INF/lib/b.jar", "b")]).collect();
    let left = [("order-1.0-slim.jar", Left::Archive(&slim)), ("order-1.0-exec.jar", Left::Archive(&whole))];
    let made = made(&left, &expects("spring-boot"));
    assert_eq!(made.outcome.unwrap().kind, Kind::SpringBoot);
    assert!(made.files.contains(&"layer-dependencies/app/lib/b.jar".to_owned()), "{:?}", made.files);
}

#[test]
fn a_script_may_stand_before_a_jar() {
    let manifest = format!("Main-Class: {MAIN}\n");
    let temp = tempfile::NamedTempFile::new().unwrap();
    make(temp.path(), &[(MANIFEST_PATH, manifest.as_bytes()), (CLASS, b"x")]);
    let mut bytes = b"#!/bin/sh\nexec java -jar \"$0\" \"$@\"\n".to_vec();
    bytes.extend(std::fs::read(temp.path()).unwrap());
    let made = made(&[("order-1.0.jar", Left::Bytes(&bytes))], &expects("shaded"));
    assert_eq!(made.outcome.unwrap().main_class, MAIN);
    assert_eq!(made.manifest.unwrap().get("Main-Class"), Some(MAIN));
}

#[test]
fn a_class_that_is_not_in_the_jar_is_an_error() {
    let manifest = format!("Main-Class: {MAIN}\n");
    let left = [("order-1.0.jar", Left::Archive(&[(MANIFEST_PATH, &manifest), ("com/example/Other.class", "x")]))];
    let failure = made(&left, &expects("shaded")).outcome.unwrap_err();
    assert_eq!(failure.code, FailureCode::ArtifactMismatch);
    assert!(failure.message.contains("does not contain its `Main-Class`"), "{failure}");
}

#[test]
fn a_war_lies_where_its_container_looks() {
    let war = [
        ("index.jsp", "<p/>"),
        ("WEB-INF/lib/a.jar", "a"),
        ("WEB-INF/classes/com/example/A.class", "x"),
        ("WEB-INF/", ""),
    ];
    let left = [
        ("order-1.0.war", Left::Archive(&war)),
        ("other.war", Left::Archive(&war)),
        ("slipway-container/apache-tomcat-9/bin/bootstrap.jar", Left::Bytes(b"b")),
        ("slipway-container/apache-tomcat-9/bin/tomcat-juli.jar", Left::Bytes(b"j")),
        ("slipway-container/apache-tomcat-9/conf/server.xml", Left::Bytes(b"<Server/>")),
        ("slipway-container/apache-tomcat-9/conf/logging.properties", Left::Bytes(b"to files")),
        ("slipway-container/apache-tomcat-9/lib/catalina.jar", Left::Bytes(b"c")),
        ("slipway-container/apache-tomcat-9/webapps/manager/index.jsp", Left::Bytes(b"m")),
    ];
    let places = BTreeMap::from([("", "ROOT"), ("shop/order", "shop#order")]);
    for (context_root, place) in places {
        let made = made(&left, &Expectation { context_root: Some(context_root.into()), ..expects("war") });
        assert_eq!(made.outcome.unwrap().kind, Kind::War);
        let expected = [
            format!("layer-application/app/webapps/{place}/WEB-INF/classes/com/example/A.class"),
            format!("layer-application/app/webapps/{place}/index.jsp"),
            "layer-dependencies/app/bin/bootstrap.jar".to_owned(),
            "layer-dependencies/app/bin/tomcat-juli.jar".to_owned(),
            // Written anew: the console's.
            "layer-dependencies/app/conf/logging.properties".to_owned(),
            "layer-dependencies/app/conf/server.xml".to_owned(),
            "layer-dependencies/app/lib/catalina.jar".to_owned(),
            format!("layer-dependencies/app/webapps/{place}/WEB-INF/lib/a.jar"),
        ];
        assert_eq!(made.files, expected);
    }
    let two = [("a.war", Left::Archive(&war)), ("b.war", Left::Archive(&war))];
    assert_eq!(made(&two, &expects("war")).outcome.unwrap_err().code, FailureCode::ArtifactMismatch);
    assert_eq!(made(&[], &expects("war")).outcome.unwrap_err().code, FailureCode::ArtifactMissing);
}

#[test]
fn what_is_left_in_is_what_would_not_be_removed() {
    let files = [
        ".git/config",
        ".env",
        ".env.example",
        "a/.env",
        "a/run",
        "a/tls.key",
        "empty/tls.key",
        "ignored.key",
        "keys.pem/inner/file",
        "keys.pem/other",
        "public.pem",
    ];
    let rules = tree::TreeRules::of_a_repository(&["public.pem"]).unwrap();
    let ignored = crate::dockerfile::ignore::Rules::parse("ignored.key\n");
    let (kept, left_out) = tree::left_in(files.iter().map(Path::new), &rules, &ignored);

    let directory = tempfile::tempdir().unwrap();
    for path in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let mut removed = tree::remove_left_out(directory.path(), &rules, &ignored).unwrap();
    removed.secrets.sort();
    assert_eq!(left_out.secrets, removed.secrets);
    // What `.dockerignore` keeps out is not removed, and not seen either.
    let stays = |path: &&str| *path != "ignored.key" && directory.path().join(path).exists();
    let expected: Vec<&str> = ["a", "empty"].into_iter().chain(files).filter(stays).collect();
    let mut kept: Vec<&str> = kept.iter().map(|path| path.to_str().unwrap()).collect();
    kept.sort_by_key(|path| expected.iter().position(|expected| expected == path));
    // A directory stays once for each of what it loses.
    kept.dedup();
    assert_eq!(kept, expected);
}
