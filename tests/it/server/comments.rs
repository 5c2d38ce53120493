//! Comments on merge requests: what they say, and that there is one of each application.

use serde_json::{Value, json};

use super::site::{Server, Site, push};
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// The merge request's event for a repository's newest commit.
fn opened(repository: &Repository) -> Value {
    let mut payload = push(repository, "main", "");
    payload["object_kind"] = json!("merge_request");
    payload["object_attributes"] = json!({
        "iid": 7, "title": "a change", "action": "open", "source_project_id": 15, "target_project_id": 15,
        "last_commit": { "id": repository.commit, "message": "a change" }, "draft": false
    });
    payload
}

/// Builds a repository's newest commit for the merge request, and gives the report and the comments.
async fn commented(site: &Site, server: &Server, repository: &Repository) -> (Value, Vec<Value>) {
    let answer = server.hook(&opened(repository), &repository.commit).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    site.until(server, &id, "succeeded").await;
    let has = |note: &Value| note["body"].as_str().unwrap().contains(&id);
    let notes = site.gitlab.until_notes(|notes| notes.iter().any(has)).await;
    let report = site.ask(server, "GET", &format!("/api/v1/builds/{id}/report"), None).await.json();
    (report, notes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_shows_the_image_its_digest_and_what_it_grew_by() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let mut repository = Repository::new(&[("build.sh", "true\n")]);
    site.application(&server, &repository, json!({ "kind": "service" })).await;
    let row = |report: &Value, size: &str| {
        let image = &report["image"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        format!(
            "| image | digest | size |\n| --- | --- | --- |\n| `{}` | `{}` | {size} |\n",
            text(&image["references"][0]),
            text(&image["digest"])
        )
    };
    let mebibytes = |report: &Value| report["image"]["size"].as_f64().unwrap() / f64::from(1 << 20);
    let (first, notes) = commented(&site, &server, &repository).await;
    let expected = row(&first, &format!("{:.1} MiB", mebibytes(&first)));
    assert!(notes[0]["body"].as_str().unwrap().contains(&expected), "{expected}\n{notes:#?}");
    // Three MiB that no compression makes smaller.
    let noise: String = (0..(3 << 20) / 32).map(|_| hex::encode(rand::random::<[u8; 16]>())).collect();
    repository.commit(&[("noise.txt", &noise)]);
    let (second, notes) = commented(&site, &server, &repository).await;
    let grown = mebibytes(&second) - mebibytes(&first);
    assert!(grown > 1.0, "{grown}");
    let expected = row(&second, &format!("{:.1} MiB ({grown:+.1} MiB)", mebibytes(&second)));
    assert!(notes[0]["body"].as_str().unwrap().contains(&expected), "{expected}\n{notes:#?}");
    assert_eq!(notes.len(), 1, "{notes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_gitlab_took_without_saying_so_is_no_second_one() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    // Ours is on the second page, behind those of others.
    for number in 0..120 {
        site.gitlab.comment(&format!("I do not like line {number}"));
    }
    site.gitlab.mute(1);
    let (_, notes) = commented(&site, &server, &repository).await;
    assert_eq!(notes.len(), 121);
    // It is told again, and finds what it wrote.
    let notes = site.gitlab.until_notes(|notes| notes.iter().any(|note| note["changes"] == 1)).await;
    assert_eq!(notes.len(), 121, "{:#?}", notes.last());
    let marker = format!("<!-- slipway: {PRODUCT_LINE}/{} -->", repository.name);
    assert!(notes[120]["body"].as_str().unwrap().contains(&marker), "{:#?}", notes[120]);
}

/// Whoever pushes twice wants to read of the second commit, also where the first one's build ends last.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_of_an_older_commit_has_no_say_any_more() {
    let site = Site::new(&[("WORKER__LANES", "{ interactive = 1, bulk = 0 }")]).await;
    let server = site.start().await;
    let mut repository = Repository::script("while :; do sleep 0.1; done\n");
    site.application(&server, &repository, json!({})).await;
    let older = server.hook(&opened(&repository), "older").await.json()["builds"][0].as_str().unwrap().to_owned();
    site.until(&server, &older, "running").await;
    let first = repository.commit.clone();
    repository.commit(&[("build.sh", "true\n")]);
    let (_, notes) = commented(&site, &server, &repository).await;
    site.until(&server, &older, "cancelled").await;
    site.gitlab.until(&first, "canceled").await;
    // It was never spoken of: the comment was written once.
    assert_eq!((notes.len(), notes[0].get("changes")), (1, None), "{notes:#?}");
    assert!(!notes[0]["body"].as_str().unwrap().contains("cancelled"), "{notes:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_builds_of_a_commit_the_newer_one_is_its_status() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let go = site.state.path().join("go");
    let repository = Repository::script(&format!("test -e {}\n", go.display()));
    site.application(&server, &repository, json!({})).await;
    site.gitlab.away(usize::MAX);
    let first = server.hook(&push(&repository, "main", "a change"), "one").await.json()["builds"][0].clone();
    let first = first.as_str().unwrap();
    site.until(&server, first, "failed").await;
    // GitLab is told of it again only much later than of what comes now.
    server.says("pause_ms=4000").await;
    std::fs::write(go, "").unwrap();
    let again = site.ask(&server, "POST", &format!("/api/v1/builds/{first}/retry"), None).await;
    assert_eq!(again.status, 201, "{again:?}");
    site.gitlab.away(0);
    site.gitlab.until(&repository.commit, "success").await;
    let untold = async || server.ask("GET", "/metrics", None, None).await.text;
    while !untold().await.contains("slipway_untold{kind=\"status\"} 0\n") {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let states = site.gitlab.states(&repository.commit);
    assert!(!states.contains(&"failed".to_owned()), "{states:?}");
}
