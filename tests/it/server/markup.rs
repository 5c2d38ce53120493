//! Texts of others stay texts: in branches, commits, logs, Dockerfiles, names of people.

use serde_json::json;

use super::access::log_in;
use super::site::{Answer, Server, Site, push};
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// Markup that runs wherever it is taken for markup; Git takes it as the name of a branch too.
pub(super) const MARKUP: &str = "x\"'><svg/onload=pwned=1></script><script>pwned=2</script>";

/// A build that says it everywhere, and its id.
pub(super) async fn hostile(site: &Site, server: &Server) -> (Repository, String) {
    let repository =
        Repository::new(&[("build.sh", &format!("cat <<'END'\n{MARKUP}\n\u{1b}[31m{MARKUP}\u{1b}[0m\nEND\n"))]);
    site.application(
        server,
        &repository,
        json!({
            "kind": "service", "rules": { "branches": ["*", "**"] },
            "image": { "labels": { "team": MARKUP } }, "runtime": { "env": { "TEAM": MARKUP } },
        }),
    )
    .await;
    let mut payload = push(&repository, MARKUP, MARKUP);
    payload["user_username"] = json!(MARKUP);
    let answer = server.hook(&payload, "hostile").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    site.until(server, &id, "succeeded").await;
    (repository, id)
}

/// What no page may have: an element of somebody else's.
fn harmless(path: &str, page: &Answer) {
    for markup in ["<svg/", "<script>", "pwned=2</script>"] {
        assert!(!page.text.contains(markup), "{path} takes `{markup}` for markup:\n{}", page.text);
    }
    let policy = page.header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]
    {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe") && page.header("x-content-type-options") == "nosniff", "{path}: {page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_is_never_taken_for_markup() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let (repository, id) = hostile(&site, &server).await;
    // It is all there, as it was written.
    let build = site.ask(&server, "GET", &format!("/api/v1/builds/{id}"), None).await;
    assert_eq!((&build.json()["revision"], &build.json()["title"]), (&json!(MARKUP), &json!(MARKUP)));
    assert_eq!((build.header("content-type"), build.header("x-content-type-options")), ("application/json", "nosniff"));
    for what in ["log", "dockerfile"] {
        let text = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/{what}"), None).await;
        assert!(text.text.contains("onload=pwned"), "{text:?}");
        let headers = (text.header("content-type"), text.header("x-content-type-options"));
        assert_eq!(headers, ("text/plain; charset=utf-8", "nosniff"), "{what}");
    }
    let cookie = log_in(&site, &server).await;
    let get = async |path: &str| {
        server.send(server.http.get(format!("{}{path}", server.url)).header("cookie", cookie.clone())).await
    };
    let typed: String = url::form_urlencoded::byte_serialize(MARKUP.as_bytes()).collect();
    for (path, shows) in [
        (format!("/builds/{id}"), 5),
        ("/".to_owned(), 2),
        (format!("/?search={typed}&state={typed}&product_line={typed}&before={typed}"), 1),
        (format!("/applications/{PRODUCT_LINE}/{}", repository.name), 2),
        ("/applications".to_owned(), 0),
        (format!("/login?next={typed}"), 0),
        (format!("/{typed}"), 0),
        (format!("/builds/{typed}"), 0),
        (format!("/applications/{typed}/{typed}"), 0),
    ] {
        let page = get(&path).await;
        harmless(&path, &page);
        let shown = page.text.matches("&lt;svg").count();
        assert!(shown >= shows, "{path} shows it {shown} times:\n{}", page.text);
    }
    // Nor do what is no page: problems of the API, and what follows a log.
    for path in [format!("/api/v1/builds?before={typed}"), format!("/api/v1/builds/{typed}"), format!("/api/{typed}")] {
        let answer = site.ask(&server, "GET", &path, None).await;
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    let events = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/events"), None).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert!(events.text.contains("<svg/onload"), "{}", events.text);
}
