//! The end of a build, for those who look on: when they hear of it, it is written.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::flows::read_until;
use super::shapes::{Place, in_both_shapes};
use super::site::{Server, Site, push};
use crate::support::fleet::Repository;

in_both_shapes!(viewers_who_come_as_a_build_ends_see_its_end);

async fn follow(site: &Site, server: &Server, id: &str) -> reqwest::Response {
    let request = server.http.get(format!("{}/api/v1/builds/{id}/events", server.url)).bearer_auth(site.token());
    request.send().await.unwrap()
}

/// A repository whose build waits for a file, the build, and the file.
async fn waiting(site: &Site, server: &Server) -> (Repository, String, std::path::PathBuf) {
    let go = site.state.path().join("go");
    let script = format!("echo begun\nwhile ! [ -e {} ]; do sleep 0.05; done\n", go.display());
    let repository = Repository::script(&script);
    site.application(server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", "wait"), "one").await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    let mut begins = follow(site, server, &id).await;
    read_until(&mut begins, "compile begun").await;
    (repository, id, go)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_told_when_it_is_written() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let (_repository, id, go) = waiting(&site, &server).await;
    let mut viewer = follow(&site, &server, &id).await;
    // The history takes nothing for a while.
    let path = format!("sqlite://{}/server/server.db", site.state.path().display());
    let mut history = SqliteConnection::connect(&path).await.unwrap();
    history.execute("BEGIN IMMEDIATE").await.unwrap();
    std::fs::write(go, "").unwrap();
    let mut seen = read_until(&mut viewer, " compile done after").await;
    let more = async {
        while let Some(chunk) = viewer.chunk().await.unwrap() {
            seen.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(2), more).await.is_ok();
    assert!(!ended && !seen.contains("event: end"), "the end is told before it is written: {seen}");
    history.execute("ROLLBACK").await.unwrap();
    read_until(&mut viewer, "event: end").await;
    let build = site.ask(&server, "GET", &format!("/api/v1/builds/{id}"), None).await.json();
    assert_eq!(build["state"], "succeeded", "{build:#}");
    // The page loads anew then, and who comes back learns that this was all.
    read_until(&mut follow(&site, &server, &id).await, "event: end").await;
}

async fn viewers_who_come_as_a_build_ends_see_its_end(site: Place) {
    let server = site.start_with(&[("SERVER__REQUESTS_PER_SECOND", "1000")]).await;
    let (_repository, id, go) = waiting(&site, &server).await;
    let mut viewers = tokio::task::JoinSet::new();
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let over = async {
        std::fs::write(go, "").unwrap();
        site.until(&server, &id, "succeeded").await;
    };
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => break,
            _ = pace.tick() => {
                let mut viewer = follow(&site, &server, &id).await;
                viewers.spawn(async move { read_until(&mut viewer, "event: end").await });
            }
        }
    }
    assert!(!viewers.is_empty());
    // None of them waits for ever.
    viewers.join_all().await;
}
