//! What GitLab sends, as its documentation shows it ("Webhook events"), and what each delivery is answered.

use std::path::Path;

use serde_json::{Value, json};

use super::site::Site;
use crate::support::fleet::Repository;

/// A fixture, the answer's status, and what is built (its revision) or why nothing is.
const DELIVERIES: &[(&str, u16, Result<&str, &str>)] = &[
    ("push", 202, Ok("main")),
    ("push_nulls", 202, Ok("main")),
    ("push_deletion", 200, Err("the branch was deleted")),
    ("tag_push", 202, Ok("v1.4.2")),
    // `after` is the tag's own object; the commit is the one that it points to.
    ("tag_push_annotated", 202, Ok("v1.5.0")),
    ("tag_push_deletion", 200, Err("the tag was deleted")),
    ("merge_request", 202, Ok("refs/merge-requests/1/head")),
    ("merge_request_update", 202, Ok("refs/merge-requests/1/head")),
    ("merge_request_labels", 200, Err("the update brought no commits")),
    ("merge_request_fork", 202, Ok("refs/merge-requests/1/head")),
    ("note", 200, Err("events of the kind `note` are not built")),
    ("pipeline", 200, Err("events of the kind `pipeline` are not built")),
    ("job", 200, Err("events of the kind `build` are not built")),
];

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gitlab")
}

fn payload(name: &str, repository: &Repository) -> Value {
    let text = std::fs::read_to_string(fixtures().join(format!("{name}.json"))).unwrap();
    let path = repository.url.strip_suffix(".git").unwrap().splitn(4, '/').nth(3).unwrap();
    serde_json::from_str(&text.replace("COMMIT", &repository.commit).replace("PATH_WITH_NAMESPACE", path)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_payload_has_its_answer() {
    let site = Site::new(&[("WORKER__LANES", "{ interactive = 0, bulk = 0 }")]).await;
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    for (name, status, expected) in DELIVERIES {
        let answer = server.hook(&payload(name, &repository), name).await;
        assert_eq!(answer.status, *status, "{name}: {answer:?}");
        let said = answer.json();
        match expected {
            Ok(revision) => {
                let id = said["builds"][0].as_str().unwrap_or_else(|| panic!("{name}: {said:#}"));
                let build = site.ask(&server, "GET", &format!("/api/v1/builds/{id}"), None).await.json();
                let is = (&build["revision"], &build["commit"]);
                assert_eq!(is, (&json!(revision), &json!(repository.commit)), "{name}: {build:#}");
            }
            Err(reason) => {
                let ignored = said["ignored"][0]["reason"].as_str().unwrap_or_else(|| panic!("{name}: {said:#}"));
                assert!(ignored.starts_with(reason) && said["builds"] == json!([]), "{name}: {said:#}");
            }
        }
    }
    // None is left out.
    let named = |name: &str| DELIVERIES.iter().any(|(one, ..)| *one == name);
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        assert!(named(path.file_stem().unwrap().to_str().unwrap()), "`{}` has no expected answer", path.display());
    }
}
