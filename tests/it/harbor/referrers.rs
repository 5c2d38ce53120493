//! Signatures, attestations and bills of materials travel with their image.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::carried::{digest_of, pushed, run, site};
use super::cases::at_first;
use crate::support::harbor::{ADMIN, Harbor};
use crate::support::slipway::{Run, Slipway};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Gives Harbor a blob; returns its descriptor.
async fn blob(harbor: &Harbor, repository: &str, kind: &str, bytes: &str) -> Value {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    let http = reqwest::Client::new();
    let login = |request: reqwest::RequestBuilder| request.basic_auth(ADMIN.0, Some(ADMIN.1));
    let begun = login(http.post(harbor.url(&format!("/v2/{repository}/blobs/uploads/")))).send().await.unwrap();
    let place = harbor.url("/").parse::<url::Url>().unwrap().join(begun.headers()["location"].to_str().unwrap());
    let mut place = place.unwrap();
    place.query_pairs_mut().append_pair("digest", &digest);
    assert_eq!(login(http.put(place)).body(bytes.to_owned()).send().await.unwrap().status(), 201);
    json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
}

/// Gives Harbor an artifact with a subject, or under a tag; returns its digest.
async fn artifact(harbor: &Harbor, repository: &str, tag: Option<&str>, subject: Option<&str>, words: &str) -> String {
    let config = blob(harbor, repository, "application/vnd.oci.empty.v1+json", "{}").await;
    let layer = blob(harbor, repository, "application/spdx+json", words).await;
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/spdx+json",
        "config": config, "layers": [layer],
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({ "mediaType": MANIFEST, "digest": subject, "size": 1 });
    }
    let text = manifest.to_string();
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&text)));
    let place = harbor.url(&format!("/v2/{repository}/manifests/{}", tag.unwrap_or(&digest)));
    let put = reqwest::Client::new().put(place).basic_auth(ADMIN.0, Some(ADMIN.1)).header("content-type", MANIFEST);
    assert_eq!(put.body(text).send().await.unwrap().status(), 201);
    digest
}

/// An image with a bill of materials, a signature of cosign's and an attestation; with their digests.
async fn signed(harbor: &Harbor, name: &str) -> (String, [String; 3]) {
    let image = pushed(harbor, 100_000, name).await;
    let repository = name.split(':').next().unwrap();
    let tag = image.replace(':', "-");
    let bill = artifact(harbor, repository, None, Some(&image), "bill").await;
    let signature = artifact(harbor, repository, Some(&format!("{tag}.sig")), None, "signature").await;
    let attestation = artifact(harbor, repository, Some(&format!("{tag}.att")), None, "attestation").await;
    (image, [bill, signature, attestation])
}

/// How long a manifest is.
async fn size_of(harbor: &Harbor, repository: &str, digest: &str) -> usize {
    let place = harbor.url(&format!("/v2/{repository}/manifests/{digest}"));
    let got = reqwest::Client::new().get(place).basic_auth(ADMIN.0, Some(ADMIN.1)).header("accept", MANIFEST);
    got.send().await.unwrap().bytes().await.unwrap().len()
}

fn all_there(harbor: &Harbor, repository: &str, image: &str, referrers: &[String]) -> bool {
    let state = harbor.state();
    let there = state.repository(repository).unwrap();
    let tag = image.replace(':', "-");
    referrers.iter().all(|referrer| there.artifacts.contains_key(referrer))
        && there.tags.get(&format!("{tag}.sig")) == Some(&referrers[1])
        && there.tags.get(&format!("{tag}.att")) == Some(&referrers[2])
}

fn counts(run: &Run, key: &str) -> (u64, u64) {
    let count = |name: &str| run.report[key][name].as_u64().unwrap();
    (count("referrers"), count("referrers_left"))
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_take_referrers_along() {
    let (harbor, slipway) = site(&["trade", "live"]);
    let (image, [bill, signature, attestation]) = signed(&harbor, "trade/order:1").await;
    let line = "images promote trade/order:1 live/order --format json";
    let promoted = run(&slipway, line).await;
    assert_eq!(promoted.code, 0, "{}", promoted.text());
    assert_eq!(counts(&promoted, "image"), (3, 0), "{}", promoted.text());
    let referrers = [bill, signature, attestation];
    assert!(all_there(&harbor, "live/order", &image, &referrers));
    // What was signed since follows, and the rest stays where it is.
    let later = artifact(&harbor, "trade/order", None, Some(&image), "scanned since").await;
    let again = run(&slipway, line).await;
    assert_eq!(counts(&again, "image"), (1, 0), "{}", again.text());
    assert!(harbor.state().repository("live/order").unwrap().artifacts.contains_key(&later));
    assert_eq!(counts(&run(&slipway, line).await, "image"), (0, 0));
}

/// What refers to one platform of an index, and what refers to a referrer, travels too.
#[tokio::test(flavor = "multi_thread")]
async fn referrers_of_platforms_and_of_referrers_are_carried() {
    let (near, here) = site(&["trade"]);
    let (far, there) = site(&[]);
    let (platform, [bill, ..]) = signed(&near, "trade/order:amd64").await;
    let of_bill =
        artifact(&near, "trade/order", Some(&format!("{}.sig", bill.replace(':', "-"))), None, "of bill").await;
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [{
        "mediaType": MANIFEST, "digest": platform, "size": size_of(&near, "trade/order", &platform).await,
        "platform": { "os": "linux", "architecture": "amd64" },
    }] });
    let place = near.url("/v2/trade/order/manifests/1");
    let put = reqwest::Client::new().put(place).basic_auth(ADMIN.0, Some(ADMIN.1)).header("content-type", INDEX);
    assert_eq!(put.body(index.to_string()).send().await.unwrap().status(), 201);

    let line = "images promote trade/order:1 trade/moved --format json";
    let promoted = run(&here, line).await;
    assert_eq!(promoted.code, 0, "{}", promoted.text());
    assert_eq!(counts(&promoted, "image"), (4, 0), "{}", promoted.text());
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("all.tar").display().to_string();
    assert_eq!(run(&here, &format!("bundle export trade/order:1 -o {bundle}")).await.code, 0);
    let line = format!("bundle import {bundle} --format json");
    let import = run(&there, &line).await;
    assert_eq!(counts(&import, "import"), (4, 0), "{}", import.text());
    for (harbor, repository) in [(&near, "trade/moved"), (&far, "trade/order")] {
        let state = harbor.state();
        let artifacts = &state.repository(repository).unwrap().artifacts;
        assert!(artifacts.contains_key(&platform) && artifacts.contains_key(&bill) && artifacts.contains_key(&of_bill));
    }
    assert_eq!(counts(&run(&there, &line).await, "import"), (0, 0));
}

/// A registry without a list of referrers takes those with tags, and people are told of the others.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_has_no_place_for_is_said() {
    let (harbor, slipway) = site(&["trade"]);
    let (image, _) = signed(&harbor, "trade/order:1").await;
    let plain = Harbor::start();
    let line = format!("images promote trade/order:1 {}/trade/order:1 --format json", plain.behind());
    let promoted = run(&slipway, &line).await;
    assert_eq!(promoted.code, 0, "{}", promoted.text());
    assert_eq!(counts(&promoted, "image"), (2, 1), "{}", promoted.text());
    assert!(
        promoted.stderr.contains("1 referrers") && promoted.stderr.contains("were not copied"),
        "{}",
        promoted.text()
    );
    let tag = format!("http://{}/v2/trade/order/manifests/{}.sig", plain.behind(), image.replace(':', "-"));
    assert_eq!(reqwest::Client::new().head(tag).header("accept", MANIFEST).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_carry_referrers() {
    let (near, here) = site(&["trade"]);
    let (far, there) = site(&[]);
    let (image, referrers) = signed(&near, "trade/order:1").await;
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("all.tar").display().to_string();
    let export = run(&here, &format!("bundle export trade/order:1 -o {bundle}")).await;
    assert_eq!(export.code, 0, "{}", export.text());
    assert_eq!(run(&there, &format!("bundle verify {bundle}")).await.code, 0);
    let line = format!("bundle import {bundle} --format json");
    let import = run(&there, &line).await;
    assert_eq!(import.code, 0, "{}", import.text());
    assert_eq!(counts(&import, "import"), (3, 0), "{}", import.text());
    assert!(all_there(&far, "trade/order", &image, &referrers));
    assert_eq!(digest_of(&far, "trade/order:1"), Some(image));
    assert_eq!(counts(&run(&there, &line).await, "import"), (0, 0));
}

/// The robot gets a new secret between two blobs; the operator's file has it, and the transfer goes on with it.
async fn rotated(harbor: &Harbor, slipway: &Slipway, line: &str) {
    let file = slipway.config().with_file_name("robot");
    let old = fs::read_to_string(&file).unwrap();
    at_first(harbor, &["PUT", "/blobs/uploads/"], move |state| {
        for robot in state.robots.iter_mut().filter(|robot| robot.secret == old) {
            "NewSecret2".clone_into(&mut robot.secret);
        }
        state.age_all(61);
        fs::write(&file, "NewSecret2\n").unwrap();
        None
    });
    let done = run(slipway, line).await;
    assert_eq!(done.code, 0, "{}", done.text());
    assert!(harbor.state().refused_logins > 0, "the old secret was never shown again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_on_with_a_secret_that_changed() {
    let (near, here) = site(&["trade"]);
    let (far, there) = site(&[]);
    let digest = pushed(&near, 300_000, "trade/order:1").await;
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("all.tar").display().to_string();
    assert_eq!(run(&here, &format!("bundle export trade/order:1 -o {bundle}")).await.code, 0);
    rotated(&far, &there, &format!("bundle import {bundle}")).await;
    assert_eq!(digest_of(&far, "trade/order:1"), Some(digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_goes_on_with_a_secret_that_changed() {
    let (near, _) = site(&["trade"]);
    let (far, there) = site(&["trade"]);
    let digest = pushed(&near, 300_000, "trade/order:1").await;
    let line = format!("images promote {}/trade/order:1 {}/trade/order:1", near.behind(), far.host());
    rotated(&far, &there, &line).await;
    assert_eq!(digest_of(&far, "trade/order:1"), Some(digest));
}
