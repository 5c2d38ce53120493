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

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nobody_is_believed() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    for header in [None, Some(""), Some(SECRET)] {
        assert_eq!(notify(&server, header, recorded("order")[0].to_string()).await.status, 401);
    }
}
