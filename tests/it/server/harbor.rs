//! Harbor's notifications: taken from whom the operator knows, kept once, shown on the application's page.

use serde_json::{Value, json};

use super::access::log_in;
use super::site::{Answer, SECRET, Server, Site};
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

async fn notify(server: &Server, header: Option<&str>, body: String) -> Answer {
    let mut request = server.http.post(format!("{}/webhooks/harbor", server.url));
    if let Some(header) = header {
        request = request.header("authorization", header);
    }
    server.send(request.header("content-type", "application/json").body(body)).await
}

/// What was recorded, of this test's application.
fn recorded(application: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/harbor/webhooks.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let of_test = |line: &str| {
        let mut body = serde_json::from_str::<Value>(line).unwrap()["body"].take();
        body["event_data"]["repository"]["namespace"] = json!(PRODUCT_LINE);
        body["event_data"]["repository"]["name"] = json!(application);
        body
    };
    lines.lines().map(of_test).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_shown_on_the_applications_page() {
    let site = Site::new(&[("SERVER__HARBOR__WEBHOOK_SECRETS", "[\"hook\", \"hook-next\"]")]).await;
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let all = recorded(&repository.name);
    for header in [None, Some(""), Some("wrong")] {
        assert_eq!(notify(&server, header, all[0].to_string()).await.status, 401, "{header:?}");
    }
    for header in [SECRET, "hook-of-tomorrow"] {
        for body in &all {
            let answer = notify(&server, Some(header), body.to_string()).await;
            assert_eq!((answer.status, answer.json()["noted"].as_u64()), (200, Some(1)), "{answer:?}");
        }
    }
    for (body, status) in [("no JSON".to_owned(), 400), ("{}".to_owned(), 400), ("x".repeat(2 << 20), 413)] {
        assert_eq!(notify(&server, Some(SECRET), body).await.status, status);
    }
    let mut hostile = all[0].clone();
    hostile["event_data"]["resources"][0]["tag"] = json!("<script>alert(1)</script>");
    assert_eq!(notify(&server, Some(SECRET), hostile.to_string()).await.status, 200);
    let cookie = log_in(&site, &server).await;
    let path = format!("{}/applications/{PRODUCT_LINE}/{}", server.url, repository.name);
    let page = server.send(server.http.get(path).header("cookie", &cookie)).await;
    assert_eq!(page.status, 200, "{page:?}");
    for words in ["<h2>Registry</h2>", "scanned", "nothing found", "scan failed", "pushed"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    // Sent twice, with either header, and shown once.
    assert_eq!(page.text.matches("nothing found").count(), 1, "{}", page.text);
}

/// Room, retention and replication are a project's: they are shown with each application that they concern.
#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_a_project_is_shown_with_its_applications() {
    let site = Site::new(&[("SERVER__HARBOR__WEBHOOK_SECRETS", "[\"hook\", \"hook-next\"]")]).await;
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let name = &repository.name;
    let quota = |data: Value| json!({ "type": "QUOTA_WARNING", "occur_at": 1_795_229_572, "event_data": data });
    for body in [
        quota(json!({
            "repository": { "name": "another", "namespace": PRODUCT_LINE },
            "custom_attributes": { "Details": "85 percent are used" },
        })),
        quota(json!({
            "resources": [{ "tag": "7", "resource_url": format!("harbor.example.com/{PRODUCT_LINE}/another:7") }],
            "custom_attributes": { "Details": "90 percent are used" },
        })),
        quota(json!({ "custom_attributes": { "Details": "nobody knows of what" } })),
        json!({ "type": "TAG_RETENTION", "occur_at": 1_795_229_573, "event_data": { "retention": {
            "project_name": PRODUCT_LINE, "total": 5, "retained": 3,
            "deleted_artifact": [{ "name_tag": format!("{name}:old-tag") }, { "name_tag": "another:other-tag" }],
        } } }),
        json!({ "type": "REPLICATION", "occur_at": 1_795_229_574, "event_data": { "replication": {
            "job_status": "Success", "src_resource": { "namespace": "far" }, "dest_resource": { "namespace": PRODUCT_LINE },
            "successful_artifact": [{ "name_tag": format!("{name}:sent-tag") }],
        } } }),
    ] {
        let answer = notify(&server, Some(SECRET), body.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let cookie = log_in(&site, &server).await;
    let path = format!("{}/applications/{PRODUCT_LINE}/{name}", server.url);
    let page = server.send(server.http.get(path).header("cookie", &cookie)).await;
    let shown =
        ["quota nearly used up", "85 percent are used", "90 percent are used", "old-tag", "3 of 5 stay", "sent-tag"];
    for words in shown {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    for words in ["other-tag", "nobody knows of what"] {
        assert!(!page.text.contains(words), "{words}: {}", page.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nobody_is_believed() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    for header in [None, Some(""), Some(SECRET)] {
        assert_eq!(notify(&server, header, recorded("order")[0].to_string()).await.status, 401);
    }
}
