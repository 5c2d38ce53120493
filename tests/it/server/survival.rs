//! Servers that die and go: nothing is lost, nothing is done twice.

use std::time::Duration;

use serde_json::json;

use super::site::{Site, push};
use crate::services::service;
use crate::support::fleet::Repository;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_takes_up_what_it_was_at() {
    let site = Site::new(&[("WORKER__LANES", "{ interactive = 1, bulk = 0 }")]).await;
    let mut server = site.start().await;
    let waits = site.state.path().join("go");
    let running = Repository::script(&format!("echo begun; while ! [ -e {} ]; do sleep 0.1; done\n", waits.display()));
    let queued = Repository::script("true\n");
    for repository in [&running, &queued] {
        site.application(&server, repository, json!({})).await;
    }
    let id_of = |answer: &super::site::Answer| answer.json()["builds"][0].as_str().unwrap().to_owned();
    let first = id_of(&server.hook(&push(&running, "main", "runs"), "one").await);
    site.gitlab.until(&running.commit, "running").await;
    let second = id_of(&server.hook(&push(&queued, "main", "waits"), "two").await);
    server.signal("KILL");
    server.end().await;

    let server = site.start().await;
    // The delivery that was answered is known still.
    assert_eq!(id_of(&server.hook(&push(&queued, "main", "waits"), "two").await), second);
    std::fs::write(&waits, "").unwrap();
    for (id, repository) in [(&first, &running), (&second, &queued)] {
        site.until(&server, id, "succeeded").await;
        site.gitlab.until(&repository.commit, "success").await;
    }
    let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
    assert_eq!(list["builds"].as_array().unwrap().len(), 2, "{list:#}");
    // Whoever reads the log sees why everything stands there twice.
    let log = async |id: &str| site.ask(&server, "GET", &format!("/api/v1/builds/{id}/log"), None).await.text;
    let again = " slipway the build begins again\n";
    assert_eq!((log(&first).await.matches(again).count(), log(&second).await.matches(again).count()), (1, 0));
}

/// Whoever looks at the log of the start sees why no webhook is taken and where links lead.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_amiss_is_said_at_the_start() {
    let site = Site::new(&[("SERVER__GITLAB__WEBHOOK_SECRETS", "[\"hook\", \"nowhere\"]")]).await;
    let server = site.start().await;
    server.says("a webhook's secret is not there").await;
    server.says("`server.url` does not say").await;
    let log = server.log();
    assert!(log.contains("name=\"nowhere\"") && !log.contains("name=\"hook\""), "{log}");
    let settings = [("SERVER__GITLAB__WEBHOOK_SECRETS", "[\"hook\"]"), ("SERVER__URL", "https://slipway.example.com")];
    drop(server);
    let server = site.start_with(&settings).await;
    assert_eq!(server.ask("GET", "/readyz", None, None).await.status, 200);
    assert!(!server.log().contains("WARN"), "{}", server.log());
    drop(server);
    let config = std::fs::read_to_string(site.slipway.config()).unwrap();
    let host = format!("host = {:?}\n", service("SLIPWAY_TEST_REGISTRY"));
    assert!(config.contains(&host), "{config}");
    site.slipway.replace_config(&config.replacen(&host, "", 1));
    site.start_with(&settings).await.says("`registry.host` names no registry").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_ends_what_runs_and_tells_who_looks_on() {
    let site = Site::new(&[]).await;
    let mut server = site.start().await;
    let waits = site.state.path().join("go");
    let repository =
        Repository::script(&format!("echo begun; while ! [ -e {} ]; do sleep 0.1; done\n", waits.display()));
    site.application(&server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", "runs"), "one").await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    site.gitlab.until(&repository.commit, "running").await;
    let request = server.http.get(format!("{}/api/v1/builds/{id}/events", server.url)).bearer_auth(site.token());
    let mut stream = request.send().await.unwrap();
    server.signal("TERM");
    let mut seen = String::new();
    while let Some(chunk) = tokio::time::timeout(Duration::from_secs(30), stream.chunk()).await.unwrap().unwrap() {
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(seen.contains("event: leave"), "{seen}");
    std::fs::write(&waits, "").unwrap();
    assert_eq!(server.end().await, Some(0), "{}", server.log());
    assert_eq!(site.gitlab.last(&repository.commit)["state"], "success");
}
