//! 7 and 8: manifests, tags, mounts.

use serde_json::json;
use slipway::model::failure::FailureCode as Code;

use super::super::builds::config;
use super::super::refused::release_rule;
use super::super::ways::{both, build};
use super::{at_first, copy, count, trade};
use crate::support::harbor::state::Instead;
use crate::support::harbor::{ADMIN, Harbor};

/// What the repository had is gone; the manifest's refusal says so, and it is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn case_7_5_blobs_that_were_cleaned_up_are_sent_again() {
    let (harbor, robot) = trade();
    for image in both(64).await {
        let (first, second) = (format!("trade/{}:1", image.way), format!("trade/{}:2", image.way));
        let pushed = image.push(&harbor, &robot, &[&first]).await.unwrap();
        for layer in &pushed.layers {
            let url = harbor.url(&format!("/v2/trade/{}/blobs/{}", image.way, layer.digest));
            let gone = reqwest::Client::new().delete(url).basic_auth(ADMIN.0, Some(ADMIN.1)).send().await.unwrap();
            assert_eq!(gone.status(), 202);
        }
        let again = image.push(&harbor, &robot, &[&second]).await.unwrap();
        assert_eq!(pushed.digest, again.digest, "{}", image.way);
    }
}

/// A blob that eight bring at once is for a moment nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn case_7_5_a_blob_that_is_just_being_stored_is_asked_for_again() {
    let (harbor, robot) = trade();
    for image in both(64).await {
        at_first(&harbor, &["PUT", "/manifests/"], |_| {
            Some(Instead::Error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"))
        });
        image.push(&harbor, &robot, &[&format!("trade/{}:1", image.way)]).await.unwrap();
    }
}

/// Harbor's 500 for a manifest is permanent or for a moment: the second one counts.
#[tokio::test(flavor = "multi_thread")]
async fn case_7_7_a_manifest_that_breaks_harbor_is_put_twice_and_no_more() {
    let (harbor, robot) = trade();
    for image in both(64).await {
        let name = format!("trade/{}:1", image.way);
        at_first(&harbor, &["PUT", "/manifests/"], |_| Some(Instead::Error(500, "UNKNOWN", "internal server error")));
        image.push(&harbor, &robot, &[&name]).await.unwrap();
        harbor.state().when = Some(Box::new(|_, line, _| {
            let manifest = line.starts_with("PUT") && line.contains("/manifests/");
            manifest.then_some(Instead::Error(500, "UNKNOWN", "internal server error"))
        }));
        harbor.requests();
        let failure = image.push(&harbor, &robot, &[&name.replace(":1", ":2")]).await.unwrap_err();
        // The Engine passes on no words, so that nobody can tell it from an outage.
        let (code, most) =
            if image.way == "docker" { (Code::RegistryUnavailable, 3) } else { (Code::RegistryRefused, 2) };
        assert_eq!(failure.code, code, "{}: {failure}", image.way);
        assert_eq!(count(&harbor.requests(), &["PUT", "/manifests/"]), most, "{}", image.way);
        harbor.state().when = None;
    }
}

/// The longest manifest that Harbor takes is read and put as any other.
#[tokio::test(flavor = "multi_thread")]
async fn case_7_8_a_manifest_of_four_mebibytes_is_copied() {
    let (harbor, robot) = trade();
    build("assembler", 64).await.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    let http = reqwest::Client::new();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let url = |tag: &str| harbor.url(&format!("/v2/trade/order/manifests/{tag}"));
    let got = http.get(url("1")).basic_auth(&robot.0, Some(&robot.1)).header("accept", kind).send().await.unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&got.bytes().await.unwrap()).unwrap();
    manifest["annotations"] = json!({ "filling": "" });
    let filling = (4 << 20) - manifest.to_string().len();
    manifest["annotations"]["filling"] = "x".repeat(filling).into();
    let body = manifest.to_string();
    assert_eq!(body.len(), 4 << 20);
    let put = http.put(url("long")).basic_auth(&robot.0, Some(&robot.1)).header("content-type", kind);
    assert_eq!(put.body(body).send().await.unwrap().status(), 201);
    let copied = copy(&harbor, (&robot, "trade/order:long"), (&robot, "trade/other:long")).await.unwrap();
    assert_eq!(harbor.state().repository("trade/other").unwrap().tags["long"], copied.digest);
}

/// A tag that Harbor would refuse is refused before anybody is asked, with the character that is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn case_7_9_a_tag_is_checked_before_harbor_is_asked() {
    let (harbor, robot) = trade();
    let slipway = config(&harbor, &robot, "");
    let long = "x".repeat(129);
    for (tag, wrong) in [(".1", "character 1"), ("1+2", "character 2"), (long.as_str(), "128")] {
        let line = ["doctor", "--product-line", "trade", "--name", "order", "--tag", tag];
        let run = slipway.run(&line.map(str::to_owned)).await;
        assert!(run.code != 0 && run.stderr.contains(wrong), "{tag}: {}", run.text());
    }
    assert_eq!(harbor.requests(), [""; 0]);
}

/// A fixed tag behind a gate: the registry shows nobody what it has, its API does.
#[tokio::test(flavor = "multi_thread")]
async fn case_7_11_a_fixed_tag_behind_a_gate_takes_its_own_image_again() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let reader = harbor.robot("trade", "read", &["repository:push", "artifact:read"]);
    let bare = harbor.robot("trade", "bare", &["repository:push"]);
    let image = build("assembler", 64).await;
    let first = image.push(&harbor, &reader, &["trade/order:rel-1"]).await.unwrap();
    build("assembler", 64).await.push(&harbor, &reader, &["trade/order:other"]).await.unwrap();
    {
        let mut state = harbor.state();
        let project = state.projects.get_mut("trade").unwrap();
        project.immutable = vec![release_rule()];
        project.metadata.insert("prevent_vul".to_owned(), "true".to_owned());
    }
    assert_eq!(image.push(&harbor, &reader, &["trade/order:rel-1"]).await.unwrap().digest, first.digest);
    let failure = image.push(&harbor, &bare, &["trade/order:rel-1"]).await.unwrap_err();
    assert_eq!(failure.code, Code::RegistryTagImmutable, "{failure}");
}

/// What `BuildKit` makes: an index with the image and its attestation, whose platform is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn case_7_15_an_index_travels_whole() {
    let harbor = Harbor::start();
    for project in ["trade", "live"] {
        harbor.project(project);
    }
    let robot = harbor.system_robot("slipway", &["repository:push"], &[]);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let mut children = Vec::new();
    for (tag, os, architecture) in [("1", "linux", "amd64"), ("2", "unknown", "unknown")] {
        let pushed =
            build("assembler", 64).await.push(&harbor, &robot, &[&format!("trade/order:{tag}")]).await.unwrap();
        let size = harbor.state().repository("trade/order").unwrap().artifacts[pushed.digest.as_str()].length;
        children.push(json!({
            "mediaType": kind, "digest": pushed.digest.as_str(), "size": size,
            "platform": { "os": os, "architecture": architecture },
        }));
    }
    let index = "application/vnd.oci.image.index.v1+json";
    let body = json!({ "schemaVersion": 2, "mediaType": index, "manifests": children }).to_string();
    let put =
        reqwest::Client::new().put(harbor.url("/v2/trade/order/manifests/all")).basic_auth(&robot.0, Some(&robot.1));
    assert_eq!(put.header("content-type", index).body(body).send().await.unwrap().status(), 201);
    let copied = copy(&harbor, (&robot, "trade/order:all"), (&robot, "live/order:all")).await.unwrap();
    let state = harbor.state();
    let live = state.repository("live/order").unwrap();
    assert_eq!(live.tags["all"], copied.digest);
    assert_eq!(live.artifacts.len(), 3);
    assert_eq!(copied.sent, 0, "{copied:?}");
}

/// Where one may not read, or where nothing is, nothing can be mounted: 401, and the bytes are sent.
#[tokio::test(flavor = "multi_thread")]
async fn case_8_2_what_cannot_be_mounted_is_sent() {
    let harbor = Harbor::start();
    for project in ["trade", "live"] {
        harbor.project(project);
    }
    let reader = harbor.robot("trade", "read", &["repository:push"]);
    let writer = harbor.robot("live", "write", &["repository:push"]);
    let pushed = build("assembler", 3_000_000).await.push(&harbor, &reader, &["trade/order:1"]).await.unwrap();
    let copied = copy(&harbor, (&reader, "trade/order:1"), (&writer, "live/order:1")).await.unwrap();
    assert_eq!((copied.digest.as_str(), copied.mounted), (pushed.digest.as_str(), 0));
    assert!(copied.sent > 3_000_000, "{copied:?}");
    let both = harbor.system_robot("slipway", &["repository:push"], &[]);
    let copied = copy(&harbor, (&both, "trade/order:1"), (&both, "live/order-b:1")).await.unwrap();
    assert_eq!(copied.sent, 0, "{copied:?}");
}
