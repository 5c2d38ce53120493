//! Webhooks that were lost: whatever moved since the last look is built, however old it is, and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::site::Site;
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// A branch or tag as GitLab lists it, with a commit of long ago.
fn named(name: &str, commit: &str) -> Value {
    json!({ "name": name, "commit": { "id": commit, "message": "of long ago", "created_at": "2020-01-01T00:00:00Z" } })
}

fn merge_request(number: u64, commit: &str, source: u64, draft: bool) -> Value {
    json!({
        "iid": number, "title": "a change", "sha": commit, "draft": draft, "source_project_id": source,
        "target_project_id": 15, "created_at": "2020-01-01T00:00:00Z",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moved_without_a_webhook_is_built_however_old_it_is() {
    let site = Site::new(&[("SERVER__GITLAB__RECONCILE", "1s")]).await;
    let repository = Repository::script("true\n");
    let commit = repository.commit.as_str();
    let (old, skipped) = ("a".repeat(40), "b".repeat(40));
    // What is built stands on the second page.
    let mut branches: Vec<Value> = (0..120).map(|number| named(&format!("feature/{number}"), &old)).collect();
    branches.push(named("main", &old));
    site.gitlab.shows(json!(branches));
    site.gitlab.shows_more(json!([named("v0", commit)]), json!([merge_request(6, &old, 15, false)]));
    let server = site.start().await;
    site.application(&server, &repository, json!({ "rules": { "forks": "never" } })).await;
    let quiet = json!({
        "product_line": PRODUCT_LINE, "name": "quiet", "repository": repository.url, "kind": "library",
        "rules": { "merge_requests": false, "tags": [] }, "notify": { "commit_status": false, "merge_request": false },
    });
    let path = format!("/api/v1/applications/{PRODUCT_LINE}/quiet");
    assert_eq!(site.ask(&server, "PUT", &path, Some(&quiet)).await.status, 200);
    // Each look asks for both applications; what was seen is written when the next begins.
    site.gitlab.until_looked(5).await;
    let builds = async || site.ask(&server, "GET", "/api/v1/builds", None).await.json()["builds"].take();
    assert_eq!(builds().await, json!([]), "what was there before is nobody's lost webhook");

    branches[120] = named("main", commit);
    branches[7] = named("feature/7", commit);
    site.gitlab.shows(json!(branches));
    let requests = json!([
        merge_request(6, &old, 15, false),
        merge_request(7, commit, 15, false),
        merge_request(8, &skipped, 15, false),
        merge_request(9, commit, 99, false),
        merge_request(10, commit, 15, true),
    ]);
    site.gitlab.shows_more(json!([named("v0", commit), named("v1", commit)]), requests);
    let all: BTreeSet<(String, String)> = [
        (repository.name.as_str(), "main"),
        (repository.name.as_str(), "v1"),
        (repository.name.as_str(), "refs/merge-requests/7/head"),
        ("quiet", "main"),
    ]
    .into_iter()
    .map(|(application, revision)| (application.to_owned(), revision.to_owned()))
    .collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found = async || {
        let builds = builds().await;
        let of = |build: &Value| (text(&build["application"]), text(&build["revision"]));
        (builds.as_array().unwrap().iter().map(of).collect::<BTreeSet<_>>(), builds)
    };
    while found().await.0.len() < all.len() {
        site.gitlab.until_looked(1).await;
    }
    // Each is asked for once, however often GitLab is asked.
    site.gitlab.until_looked(6).await;
    let (built, builds) = found().await;
    assert_eq!((&built, builds.as_array().unwrap().len()), (&all, all.len()), "{builds:#}");
    for build in builds.as_array().unwrap() {
        assert_eq!(build["cause"], "reconciler", "{build:#}");
        site.until(&server, build["id"].as_str().unwrap(), "succeeded").await;
    }
    // Who hears of it is as with a webhook.
    let notes = site.gitlab.until_notes(|notes| notes.len() == 1).await;
    assert!(notes[0]["body"].as_str().unwrap().contains(&repository.name), "{notes:#?}");
    assert_eq!(site.gitlab.names(), BTreeSet::from([format!("slipway/{PRODUCT_LINE}/{}", repository.name)]));
}
