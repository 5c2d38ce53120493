//! 9: pages, names in paths, the id of a request.

use super::super::before::client;
use super::super::builds::{config, push};
use super::super::carried::{pushed, run, site};
use super::super::ways::build;
use super::trade;
use crate::support::harbor::Harbor;
use crate::support::harbor::state::{Artifact, Instead};
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

/// So it does where a refusal is looked into, and where the image is copied on.
#[tokio::test(flavor = "multi_thread")]
async fn case_9_2_so_has_what_follows_a_push() {
    let (harbor, site) = (Harbor::start(), Harbor::start());
    let robots = [&harbor, &site].map(|harbor| {
        harbor.project(PRODUCT_LINE);
        harbor.robot(PRODUCT_LINE, "push", &["repository:push"])
    });
    let more = format!(
        "[build]\nimage_backend = \"assembler\"\n[[registry.copies]]\nhost = {host:?}\ncredentials = \"site\"\n\
         [credentials.site]\nusername = {name:?}\npassword = {{ env = \"SITE\" }}\nhosts = [{host:?}]\n",
        host = site.host(),
        name = robots[1].0,
    );
    let slipway = config(&harbor, &robots[0], &more).env("SITE", &robots[1].1);
    for refuses in [false, true] {
        if refuses {
            harbor.state().when = Some(Box::new(|_, line, _| {
                let manifest = line.starts_with("PUT") && line.contains("/manifests/");
                manifest.then_some(Instead::Error(403, "DENIED", "not on a Sunday"))
            }));
        }
        let run = push(&slipway, if refuses { "2" } else { "1" }).await;
        let expected = if refuses { "failed" } else { "succeeded" };
        assert_eq!(run.report["outcome"], expected, "{}", run.text());
        let id = run.report["id"].as_str().unwrap();
        for harbor in [&harbor, &site] {
            let requests = std::mem::take(&mut harbor.state().requests);
            let without: Vec<_> = requests.iter().filter(|(_, sent)| sent.as_deref() != Some(id)).collect();
            assert!(without.is_empty(), "{without:#?}");
            assert!(
                refuses || requests.iter().any(|(line, _)| line.starts_with("PUT") && line.contains("/manifests/"))
            );
        }
    }
}

/// A promotion is no build, and has an id of its own, which people are told.
#[tokio::test(flavor = "multi_thread")]
async fn case_9_2_so_has_a_promotion() {
    let (harbor, slipway) = site(&["trade"]);
    pushed(&harbor, 64, "trade/order:1").await;
    harbor.requests();
    let run = run(&slipway, "images promote trade/order:1 live/order").await;
    assert_eq!(run.code, 0, "{}", run.text());
    let told = run.stderr.lines().find_map(|line| line.strip_prefix("registries log this as ")).unwrap();
    let state = harbor.state();
    assert!(state.requests.iter().any(|(line, _)| line.starts_with("POST /api/v2.0/projects")));
    let without: Vec<_> = state.requests.iter().filter(|(_, sent)| sent.as_deref() != Some(told)).collect();
    assert!(without.is_empty(), "{told}: {without:#?}");
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
