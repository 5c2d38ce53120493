//! Images of either backend, brought into the Engine and read there: entry by entry, setting by setting.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What the Engine and Slipway may differ in, as the configuration names it, and why.
pub(crate) const WANTED: &[(&str, &str)] = &[
    ("Image", "the Engine's note of the image below, gone from newer ones"),
    ("Hostname", "of the container that the classic builder made"),
    ("Domainname", "likewise"),
    ("AttachStdin", "a default of containers, not of images"),
    ("AttachStdout", "likewise"),
    ("AttachStderr", "likewise"),
    ("Tty", "likewise"),
    ("OpenStdin", "likewise"),
    ("StdinOnce", "likewise"),
    ("ArgsEscaped", "only Windows reads it"),
];

/// Removes images when the test ends.
#[derive(Default)]
pub(crate) struct Images(pub(crate) Vec<String>);

impl Drop for Images {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "--force"]).args(&self.0).output();
    }
}

pub(crate) fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Everything in an image's file system: kind, mode, owner, link, content, extended attributes. Times are left out:
/// the Engine keeps those of the build, Slipway has one for all.
pub(crate) fn files(image: &str) -> BTreeMap<String, String> {
    let container = docker(&["create", "--workdir", "/", "--entrypoint", "-", image, "-"]).trim().to_owned();
    let output = Command::new("docker").args(["export", &container]).output().unwrap();
    docker(&["rm", "--volumes", &container]);
    let mut archive = tar::Archive::new(output.stdout.as_slice());
    let described = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path_bytes().escape_ascii().to_string().trim_end_matches('/').to_owned();
        let header = entry.header().clone();
        let link = entry.link_name_bytes().map(|link| link.escape_ascii().to_string());
        let mut xattrs = String::new();
        for record in entry.pax_extensions().unwrap().into_iter().flatten().flatten() {
            if let Some(name) = record.key().unwrap().strip_prefix("SCHILY.xattr.") {
                write!(xattrs, " {name}={}", hex::encode(record.value_bytes())).unwrap();
            }
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let (mode, uid, gid) = (header.mode().unwrap() & 0o7777, header.uid().unwrap(), header.gid().unwrap());
        let hash = hex::encode(Sha256::digest(&content));
        (path, format!("{:?} {mode:o} {uid}:{gid} {link:?} {}{xattrs}", header.entry_type(), &hash[..12]))
    });
    described.collect()
}

/// The configuration without what may differ, and without what is empty.
pub(crate) fn configuration(image: &str) -> BTreeMap<String, Value> {
    let inspected: Value = serde_json::from_str(&docker(&["image", "inspect", image])).unwrap();
    let mut config = inspected[0]["Config"].as_object().unwrap().clone();
    config.insert("author".to_owned(), inspected[0]["Author"].clone());
    let empty = |value: &Value| value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty);
    config.into_iter().filter(|(key, value)| !empty(value) && !WANTED.iter().any(|(wanted, _)| wanted == key)).collect()
}

/// Where two images differ; nothing when they are equal.
pub(crate) fn differences(engine: &str, own: &str) -> Vec<String> {
    let mut different = Vec::new();
    compare(&files(engine), &files(own), &mut different);
    compare(&configuration(engine), &configuration(own), &mut different);
    different
}

fn compare<T: PartialEq + std::fmt::Debug>(
    theirs: &BTreeMap<String, T>,
    ours: &BTreeMap<String, T>,
    different: &mut Vec<String>,
) {
    let keys: std::collections::BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    for key in keys {
        let (their, our) = (theirs.get(key), ours.get(key));
        if their != our {
            different.push(format!("{key}\n    Engine  {their:?}\n    Slipway {our:?}"));
        }
    }
}
