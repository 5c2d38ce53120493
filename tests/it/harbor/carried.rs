//! Images that travel: from tag to tag, from registry to registry, and in bundles.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::builds::config;
use super::refused::release_rule;
use super::ways::{build, build_with};
use crate::support::harbor::Harbor;
use crate::support::slipway::{Run, Slipway};

const ALL: &[&str] = &["repository:push", "project:read", "quota:read", "artifact:list", "artifact:read"];

/// A Harbor with these projects, and a configuration for it.
pub(super) fn site(projects: &[&str]) -> (Harbor, Slipway) {
    let harbor = Harbor::start();
    for project in projects {
        harbor.project(project);
    }
    let robot = harbor.system_robot("slipway", ALL, &["project:create"]);
    let slipway = config(&harbor, &robot, "[registry.projects]\ncredentials = \"robot\"\n");
    (harbor, slipway)
}

/// Pushes an image of so many bytes; gives its digest.
pub(super) async fn pushed(harbor: &Harbor, bytes: usize, name: &str) -> String {
    let robot = harbor.system_robot(&format!("r{}", uuid::Uuid::now_v7().simple()), ALL, &[]);
    build("assembler", bytes).await.push(harbor, &robot, &[name]).await.unwrap().digest.to_string()
}

pub(super) async fn run(slipway: &Slipway, line: &str) -> Run {
    slipway.run(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).await
}

pub(super) fn digest_of(harbor: &Harbor, name: &str) -> Option<String> {
    let (repository, tag) = name.split_once(':').unwrap();
    harbor.state().repository(repository)?.tags.get(tag).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_promoted_by_its_digest_and_nothing_is_sent() {
    let (harbor, slipway) = site(&["trade"]);
    let digest = pushed(&harbor, 50_000, "trade/order:1.4.2").await;
    // The project is made on the way.
    let run_ = run(&slipway, "images promote trade/order:1.4.2 live/order --format json").await;
    assert_eq!(run_.code, 0, "{}", run_.text());
    assert_eq!(run_.report["image"]["digest"], digest.as_str());
    assert_eq!(run_.report["image"]["sent"], 0, "{}", run_.text());
    assert!(run_.report["image"]["mounted"].as_u64().unwrap() > 50_000, "{}", run_.text());
    assert_eq!(digest_of(&harbor, "live/order:1.4.2").as_deref(), Some(digest.as_str()));
    let stable = run(&slipway, "images promote trade/order:1.4.2 trade/order:stable").await;
    assert_eq!(stable.code, 0, "{}", stable.text());
    assert_eq!(digest_of(&harbor, "trade/order:stable").as_deref(), Some(digest.as_str()));
    let listed = run(&slipway, "images list trade/order --format json").await;
    let image = &listed.report["images"][0];
    assert_eq!((&image["digest"], &image["severity"]), (&digest.as_str().into(), &Value::Null), "{}", listed.text());
    assert_eq!(image["tags"].as_array().map(Vec::len), Some(2));
    let none = run(&slipway, "images promote trade/order:nosuch fresh/order").await;
    assert!(none.code != 0 && none.stderr.contains("There is no image"), "{}", none.text());
    assert!(!harbor.state().projects.contains_key("fresh"), "a project was made for nothing");
    let bad = run(&slipway, "images promote trade/order:1.4.2 Live/order").await;
    assert!(bad.code != 0 && bad.stderr.contains("lower-case"), "{}", bad.text());
    harbor.state().faults.core = true;
    let away = run(&slipway, "images list trade/order").await;
    assert!(away.code == 75 && away.stderr.contains("registry_unavailable"), "{}", away.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_tag_takes_its_own_image_again_and_no_other() {
    let (harbor, slipway) = site(&["trade", "live"]);
    harbor.state().projects.get_mut("live").unwrap().immutable.push(release_rule());
    let digest = pushed(&harbor, 64, "trade/order:rel-1").await;
    for _ in 0..2 {
        let done = run(&slipway, "images promote trade/order:rel-1 live/order").await;
        assert_eq!(done.code, 0, "{}", done.text());
    }
    pushed(&harbor, 64, "trade/order:other").await;
    let refused = run(&slipway, "images promote trade/order:other live/order:rel-1").await;
    assert!(refused.code == 1 && refused.stderr.contains("registry_tag_immutable"), "{}", refused.text());
    assert_eq!(digest_of(&harbor, "live/order:rel-1"), Some(digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_streamed_to_another_registry() {
    let (harbor, slipway) = site(&["trade"]);
    let (other, _) = site(&["trade"]);
    let robot = other.robot("trade", "push", ALL);
    let secret = slipway.config().with_file_name("other");
    fs::write(&secret, &robot.1).unwrap();
    let slipway = slipway.and(&format!(
        "[credentials.other]\nusername = {:?}\npassword = {{ file = {:?} }}\nhosts = [{:?}]\n",
        robot.0,
        secret.display().to_string(),
        other.host()
    ));
    let digest = pushed(&harbor, 3_000_000, "trade/order:1").await;
    let line = format!("images promote trade/order@{digest} {}/trade/order:1 --format json", other.host());
    let copied = run(&slipway, &line).await;
    assert_eq!(copied.code, 0, "{}", copied.text());
    assert!(copied.report["image"]["sent"].as_u64().unwrap() > 3_000_000, "{}", copied.text());
    assert_eq!(digest_of(&other, "trade/order:1"), Some(digest));
    other.requests();
    let again = run(&slipway, &line).await;
    assert_eq!(again.report["image"]["sent"], 0, "{}", again.text());
    assert!(!other.requests().iter().any(|line| line.contains("uploads")));
    other.state().projects.get_mut("trade").unwrap().proxy = true;
    let refused = run(&slipway, &line.replace("order:1 ", "order:2 ")).await;
    assert!(refused.stderr.contains("registry_proxy_project"), "{}", refused.text());
}

/// There and back: images in a bundle, the inventory back, the next bundle without what is there.
#[tokio::test(flavor = "multi_thread")]
async fn bundles_carry_what_the_far_side_lacks() {
    let (near, here) = site(&["trade"]);
    let (far, there) = site(&[]);
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let (first, second) = (pushed(&near, 200_000, "trade/order:1").await, pushed(&near, 100_000, "trade/web:2").await);
    let (bundle, inventory) = (at("all.tar"), at("site.json"));
    let export = run(&here, &format!("bundle export trade/order:1 trade/web:2 -o {bundle} --format json")).await;
    assert_eq!(export.code, 0, "{}", export.text());
    assert!(!Path::new(&format!("{bundle}.partial")).exists());
    let verified = run(&there, &format!("bundle verify {bundle}")).await;
    assert_eq!(verified.code, 0, "{}", verified.text());
    let line = format!("bundle import {bundle} --inventory {inventory} --format json");
    let import = run(&there, &line).await;
    assert_eq!(import.code, 0, "{}", import.text());
    assert_eq!(digest_of(&far, "trade/order:1"), Some(first.clone()));
    assert_eq!(digest_of(&far, "trade/web:2"), Some(second));
    far.requests();
    let again = run(&there, &line).await;
    assert_eq!((again.code, &again.report["import"]["sent"]), (0, &0.into()), "{}", again.text());
    assert!(!far.requests().iter().any(|line| line.contains("uploads")));

    // The same layers under another name: nothing but manifests travels.
    let promoted = run(&here, "images promote trade/order:1 trade/order-b:1").await;
    assert_eq!(promoted.code, 0, "{}", promoted.text());
    let update = at("update.tar");
    let line = format!("bundle export trade/order-b:1 -o {update} --inventory {inventory} --format json");
    let export = run(&here, &line).await;
    assert_eq!(export.report["bundle"]["blobs"], 0, "{}", export.text());
    assert!(fs::metadata(&update).unwrap().len() < 20_000);
    let import = run(&there, &format!("bundle import {update} --format json")).await;
    assert_eq!(import.code, 0, "{}", import.text());
    assert_eq!(digest_of(&far, "trade/order-b:1"), Some(first));

    // What was left out and is not there after all.
    let (_empty, elsewhere) = site(&[]);
    let lost = run(&elsewhere, &format!("bundle import {update}")).await;
    assert!(lost.code != 0 && lost.stderr.contains("leaves out"), "{}", lost.text());
}

/// The next version of an image on the same base: its configuration and its one new layer travel, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_version_brings_its_new_blobs_alone() {
    let (near, here) = site(&["trade"]);
    let (far, there) = site(&[]);
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let robot = near.system_robot("pusher", ALL, &[]);
    for tag in ["1", "2"] {
        let image = build_with("assembler", 50_000, Some("the same in both")).await;
        image.push(&near, &robot, &[&format!("trade/order:{tag}")]).await.unwrap();
    }
    let blobs = |tag: &str| -> BTreeMap<String, u64> {
        let state = near.state();
        let repository = state.repository("trade/order").unwrap();
        let manifest = &repository.artifacts[&repository.tags[tag]].manifest;
        let all = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
        all.map(|one| (one["digest"].as_str().unwrap().to_owned(), one["size"].as_u64().unwrap())).collect()
    };
    let (first, second) = (blobs("1"), blobs("2"));
    let new: Vec<u64> =
        second.iter().filter(|(digest, _)| !first.contains_key(*digest)).map(|(_, size)| *size).collect();
    assert_eq!(
        (first.len(), second.len(), new.len()),
        (3, 3, 2),
        "a shared layer, one of its own, and a configuration"
    );

    let (bundle, update, inventory) = (at("all.tar"), at("update.tar"), at("site.json"));
    assert_eq!(run(&here, &format!("bundle export trade/order:1 -o {bundle}")).await.code, 0);
    let import = run(&there, &format!("bundle import {bundle} --inventory {inventory}")).await;
    assert_eq!(import.code, 0, "{}", import.text());
    let line = format!("bundle export trade/order:2 -o {update} --inventory {inventory} --format json");
    let export = run(&here, &line).await;
    let counts = &export.report["bundle"];
    assert_eq!((&counts["blobs"], &counts["left_out"]), (&2.into(), &1.into()), "{}", export.text());
    let import = run(&there, &format!("bundle import {update} --format json")).await;
    assert_eq!(import.report["import"]["sent"], new.iter().sum::<u64>(), "{}", import.text());
    assert_eq!(digest_of(&far, "trade/order:2"), digest_of(&near, "trade/order:2"));
}

/// Broken off at every tenth, an export goes on, and the same archive comes out.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_on_where_it_was() {
    let (near, here) = site(&["trade"]);
    // Two, so that one is whole in what nine tenths hold.
    pushed(&near, 300_000, "trade/order:1").await;
    pushed(&near, 300_000, "trade/web:1").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.tar");
    let export = format!("bundle export trade/order:1 trade/web:1 -o {} --format json", path.display());
    assert_eq!(run(&here, &export).await.code, 0);
    let whole = fs::read(&path).unwrap();
    let partial = directory.path().join("all.tar.partial");
    let mut kept = 0;
    for tenth in 1..10 {
        fs::remove_file(&path).unwrap();
        fs::write(&partial, &whole[..whole.len() * tenth / 10]).unwrap();
        let again = run(&here, &export).await;
        assert_eq!(again.code, 0, "{}", again.text());
        kept += again.report["bundle"]["kept"].as_u64().unwrap();
        assert!(fs::read(&path).unwrap() == whole, "at {tenth} tenths");
    }
    assert!(kept > 0, "nothing was kept");
    // What lies there is checked before it is kept.
    fs::remove_file(&path).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&partial, damaged).unwrap();
    assert_eq!(run(&here, &export).await.code, 0);
    assert!(fs::read(&path).unwrap() == whole);
}

/// An archive that came in part is refused as such; once whole, what an import had brought is not sent again.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_whole_or_goes_on() {
    let (near, here) = site(&["trade"]);
    let (far, there) = site(&[]);
    let digest = pushed(&near, 300_000, "trade/order:1").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.tar");
    assert_eq!(run(&here, &format!("bundle export trade/order:1 -o {}", path.display())).await.code, 0);
    let whole = fs::read(&path).unwrap();
    let import = format!("bundle import {} --format json", path.display());
    for tenth in 0..10 {
        fs::write(&path, &whole[..whole.len() * tenth / 10]).unwrap();
        let cut = run(&there, &import).await;
        assert!(cut.code == 1 && cut.stderr.contains("no usable bundle"), "{tenth}: {}", cut.text());
        assert_eq!(digest_of(&far, "trade/order:1"), None);
    }
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let verified = run(&there, &format!("bundle verify {}", path.display())).await;
    assert!(verified.code == 1 && verified.stderr.contains("is damaged"), "{}", verified.text());
    let refused = run(&there, &import).await;
    assert!(refused.code == 1, "{}", refused.text());
    assert_eq!(digest_of(&far, "trade/order:1"), None);
    fs::write(&path, &whole).unwrap();
    let done = run(&there, &import).await;
    assert_eq!(done.code, 0, "{}", done.text());
    assert_eq!(digest_of(&far, "trade/order:1"), Some(digest));
}

/// Killed after each of its requests, an import leaves no image in part, and the next one brings what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_goes_on() {
    let (near, here) = site(&["trade"]);
    let digest = pushed(&near, 300_000, "trade/order:1").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.tar").display().to_string();
    assert_eq!(run(&here, &format!("bundle export trade/order:1 -o {path}")).await.code, 0);
    let import = format!("bundle import {path} --format json");
    let mut killed = 0;
    for requests in (1..=30).step_by(3) {
        let (far, there) = site(&[]);
        let words: Vec<String> = import.split(' ').map(str::to_owned).collect();
        let mut process = there.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut seen = 0;
        while seen < requests && process.try_wait().unwrap().is_none() {
            seen += far.requests().len();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        killed += usize::from(process.try_wait().unwrap().is_none());
        process.kill().await.unwrap();
        let found = digest_of(&far, "trade/order:1");
        assert!(found.is_none() || found.as_ref() == Some(&digest), "{found:?}");
        let done = run(&there, &import).await;
        assert_eq!(done.code, 0, "{}", done.text());
        assert_eq!(digest_of(&far, "trade/order:1"), Some(digest.clone()));
    }
    assert!(killed > 3, "only {killed} imports were killed on their way");
}
