//! 9: pages, names in paths, the id of a request.

use super::super::before::client;
use super::super::builds::{config, push};
use super::super::ways::build;
use super::trade;
use crate::support::harbor::Harbor;
use crate::support::harbor::state::Artifact;
use crate::support::slipway::PRODUCT_LINE;

/// Harbor's own log names the build.
#[tokio::test(flavor = "multi_thread")]
async fn case_9_2_every_request_of_a_build_has_its_id() {
    let harbor = Harbor::start();
    harbor.project(PRODUCT_LINE);
    let robot = harbor.robot(PRODUCT_LINE, "push", &["repository:push"]);
    let run = push(&config(&harbor, &robot, "[build]\nimage_backend = \"assembler\"\n"), "1").await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.text());
    let id = run.report["id"].as_str().unwrap();
    let state = harbor.state();
    assert!(state.requests.iter().any(|(line, _)| line.starts_with("PUT /v2/")));
    let without: Vec<_> = state.requests.iter().filter(|(_, sent)| sent.as_deref() != Some(id)).collect();
    assert!(without.is_empty(), "{without:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_9_3_lists_of_more_than_a_page_are_read_whole() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let rights = [
        "repository:push",
        "artifact:list",
        "artifact:read",
        "project:read",
        "label:list",
        "label:create",
        "artifact-label:create",
    ];
    let robot = harbor.robot("trade", "read", &rights);
    let pushed = build("assembler", 64).await.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    {
        let mut state = harbor.state();
        let repository = state.repository_mut("trade/order").unwrap();
        for number in 0..200 {
            repository.artifacts.insert(format!("sha256:{number:064}"), Artifact::default());
        }
    }
    let client = client(&harbor, &robot);
    assert_eq!(client.artifacts("trade", "order").await.unwrap().len(), 201);
    // Labels are found by a part of their name.
    let digest = pushed.digest.to_string();
    let image = slipway::harbor::ArtifactName { project: "trade", name: "order", reference: &digest };
    for number in 0..101 {
        client.label(image, &format!("branch/main-{number}")).await.unwrap();
    }
    assert_eq!(client.label(image, "branch/main-100").await.unwrap(), slipway::harbor::Done::Already);
}

/// The slashes of a name are encoded twice.
#[tokio::test(flavor = "multi_thread")]
async fn case_9_5_names_with_slashes_are_found() {
    let (harbor, _) = trade();
    let robot = harbor.robot("trade", "read", &["repository:push", "artifact:list", "artifact:read"]);
    build("assembler", 64).await.push(&harbor, &robot, &["trade/web/api:1"]).await.unwrap();
    assert_eq!(client(&harbor, &robot).artifacts("trade", "web/api").await.unwrap().len(), 1);
}
