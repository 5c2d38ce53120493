//! Who may do what, and what crooked requests get.

use serde_json::json;

use super::site::{Answer, SECRET, Server, Site, push};
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

pub(super) async fn token(site: &Site, server: &Server, role: &str, product_line: Option<&str>) -> String {
    let wanted = json!({ "name": format!("a {role}"), "role": role, "product_line": product_line });
    let made = site.ask(server, "POST", "/api/v1/tokens", Some(&wanted)).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["token"].as_str().unwrap().to_owned()
}

pub(super) fn problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"), "{answer:?}");
    assert_eq!(answer.json()["code"], code, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_does_what_a_token_does_not_allow() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let (reader, builder) =
        (token(&site, &server, "reader", None).await, token(&site, &server, "builder", Some("trade")).await);
    let repository = Repository::script("true\n");
    let message = repository.message(json!({}));
    let document = server.ask("GET", "/api/v1/openapi.json", None, None).await.json();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, _) in operations.as_object().unwrap() {
            let path = path
                .replace("{id}", "b1")
                .replace("{product_line}", "trade")
                .replace("{name}", "order")
                .replace("{version}", "1");
            let answer = server.ask(&method.to_uppercase(), &path, None, Some(&json!({}))).await;
            problem(&answer, 401, "unauthorized");
            problem(
                &server.ask(&method.to_uppercase(), &path, Some("slipway_wrong"), Some(&json!({}))).await,
                401,
                "unauthorized",
            );
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked} endpoints were asked");
    problem(&server.ask("POST", "/api/v1/builds", Some(&reader), Some(&message)).await, 403, "forbidden");
    problem(&server.ask("POST", "/api/v1/builds", Some(&builder), Some(&message)).await, 403, "forbidden");
    problem(&server.ask("GET", "/api/v1/tokens", Some(&builder), None).await, 403, "forbidden");
    problem(&server.ask("GET", "/api/v1/audit", Some(&reader), None).await, 403, "forbidden");
    // A build of another product line is not even there.
    assert_eq!(site.ask(&server, "POST", "/api/v1/builds", Some(&message)).await.status, 201);
    let path = format!("/api/v1/builds/{}", message["id"].as_str().unwrap());
    problem(&server.ask("GET", &path, Some(&builder), None).await, 404, "not_found");
    assert_eq!(server.ask("GET", &path, Some(&reader), None).await.status, 200);
    problem(&server.ask("POST", &format!("{path}/cancel"), Some(&reader), Some(&json!({}))).await, 403, "forbidden");
    let seen = server.ask("GET", "/api/v1/builds", Some(&builder), None).await.json();
    assert_eq!(seen["builds"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_checked_and_their_urls_are_not_followed() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let payload = push(&repository, "main", "change");
    for headers in [vec![], vec![("x-gitlab-token", "wrong")], vec![("x-gitlab-token", ""), ("idempotency-key", "k")]] {
        problem(&server.hook_with(&payload, &headers).await, 401, "unauthorized");
    }
    let forged =
        [("webhook-id", "1"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA"), ("x-gitlab-token", SECRET)];
    problem(&server.hook_with(&payload, &forged).await, 401, "unauthorized");
    problem(&server.hook(&json!("no event"), "k1").await, 400, "request_invalid");
    // The second token of a rotation counts too.
    let next = server.hook_with(&payload, &[("x-gitlab-token", "hook-of-tomorrow"), ("idempotency-key", "k2")]).await;
    assert_eq!(next.status, 202, "{next:?}");
    // Replayed with another body under the same key.
    problem(&server.hook(&push(&repository, "main", "other"), "k2").await, 409, "conflict");
    let id = next.json()["builds"][0].as_str().unwrap().to_owned();
    let build = site.until(&server, &id, "succeeded").await;
    let report = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/report"), None).await.json();
    // The payload names `http://evil.example.com/other.git`.
    assert_eq!(report["source"]["url"], repository.url, "{build:#}");
    let unknown = {
        let mut payload = payload.clone();
        payload["project"]["path_with_namespace"] = json!("no/such");
        payload
    };
    let ignored = server.hook(&unknown, "k3").await;
    assert_eq!(ignored.status, 200);
    assert!(ignored.json()["ignored"][0]["reason"].as_str().unwrap().contains("no application"), "{ignored:?}");
    let mut hostile = payload.clone();
    hostile["ref"] = json!("refs/heads/--upload-pack=touch /tmp/x");
    assert_eq!(server.hook(&hostile, "k4").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn crooked_queries_get_their_answers() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    for query in ["limit=0", "limit=x", "before=x", "nosuch=1", "state=success", "search=%ff"] {
        let answer = site.ask(&server, "GET", &format!("/api/v1/builds?{query}"), None).await;
        assert!([200, 400].contains(&answer.status), "{query}: {answer:?}");
        assert!(query.starts_with("search") || answer.status == 400, "{query}: {answer:?}");
    }
    let answer = server.ask("GET", "/readyz", None, None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Logs in as the admin and gives the cookie.
pub(super) async fn log_in(site: &Site, server: &Server) -> String {
    log_in_with(server, &site.token()).await
}

/// Logs in with a token and gives the cookie.
pub(super) async fn log_in_with(server: &Server, token: &str) -> String {
    let body = format!("token={token}&next=%2Fbuilds%2Fx");
    let request = server.http.post(format!("{}/login", server.url));
    let answer = server.send(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/builds/x"), "{answer:?}");
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_hostile_texts_as_texts_and_forms_are_not_forged() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let hostile = "<script>alert(1)</script>";
    let repository = Repository::script(&format!("echo '{hostile}'\nprintf '\\033[31mred\\033[0m\\n'\nexit 1\n"));
    site.application(&server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", &format!("{hostile} \"quoted\"")), "one").await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    site.until(&server, &id, "failed").await;
    let cookie = log_in(&site, &server).await;
    let get = async |path: &str| {
        server.send(server.http.get(format!("{}{path}", server.url)).header("cookie", cookie.clone())).await
    };
    let application = format!("/applications/{PRODUCT_LINE}/{}", repository.name);
    for path in
        ["/", "/?search=%3Cscript%3Ealert(1)%3C/script%3E", &format!("/builds/{id}"), &application, "/applications"]
    {
        let page = get(path).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}: {page:?}");
        assert!(!page.text.contains(hostile), "{path} shows markup of others");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(page.text.len() < 100_000, "{path} has {} bytes", page.text.len());
        assert!(!page.text.contains(" onclick=") && !page.text.contains("style="), "{path}");
    }
    let page = get(&format!("/builds/{id}")).await.text;
    assert!(page.contains("&lt;script&gt;"), "{page}");
    assert!(page.contains("compile_failed") && page.contains("What to do"), "{page}");
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let post = async |csrf: &str, site_of: &str| {
        let request = server.http.post(format!("{}/builds/{id}/retry", server.url)).header("cookie", cookie.clone());
        let request = request.header("sec-fetch-site", site_of.to_owned());
        server
            .send(request.header("content-type", "application/x-www-form-urlencoded").body(format!("csrf={csrf}")))
            .await
    };
    assert_eq!(post("", "same-origin").await.status, 403);
    assert_eq!(post("0000", "same-origin").await.status, 403);
    assert_eq!(post(&csrf, "cross-site").await.status, 403);
    let done = post(&csrf, "same-origin").await;
    assert_eq!(done.status, 303, "{done:?}");
    // A cookie changes nothing by the API, and a page without one asks to log in.
    let request = server.http.post(format!("{}/api/v1/builds/{id}/retry", server.url)).header("cookie", cookie.clone());
    assert_eq!(server.send(request).await.status, 401);
    let stranger = server.ask("GET", &format!("/builds/{id}"), None, None).await;
    assert_eq!((stranger.status, stranger.header("location")), (303, format!("/login?next=%2Fbuilds%2F{id}").as_str()));
    let out = server.http.post(format!("{}/logout", server.url)).header("cookie", cookie.clone());
    let out =
        server.send(out.header("content-type", "application/x-www-form-urlencoded").body(format!("csrf={csrf}"))).await;
    assert_eq!(out.status, 303, "{out:?}");
    assert_eq!(get("/").await.status, 303, "the login has ended");
}

/// The first token is shown once; who has the database makes another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_admin_token_is_replaced_beside_the_running_server() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let made = site.slipway.command(&["server".to_owned(), "--new-admin-token".to_owned()]).output().await.unwrap();
    assert!(made.status.success(), "{made:?}");
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let answer = server.ask("GET", "/api/v1/tokens", Some(&token), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text.contains("\"recovered\"") && !answer.text.contains(&token), "{answer:?}");
    let audit = server.ask("GET", "/api/v1/audit", Some(&token), None).await;
    assert!(audit.text.contains("recovered admin *"), "{audit:?}");
}

/// The next secret of a rotation is named without stopping the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_secret_that_is_named_later_counts_after_a_signal() {
    let site = Site::new(&[]).await;
    let both = std::fs::read_to_string(site.slipway.config()).unwrap();
    let one = both.replace("\"hook\", \"hook-next\"", "\"hook\"");
    assert_ne!(one, both);
    site.slipway.replace_config(&one);
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let payload = push(&repository, "main", "change");
    let next = [("x-gitlab-token", "hook-of-tomorrow"), ("idempotency-key", "k")];
    problem(&server.hook_with(&payload, &next).await, 401, "unauthorized");
    site.slipway.replace_config(&both);
    server.signal("HUP");
    server.says("the configuration was read again").await;
    assert!(!server.log().contains("only a restart picks up"), "{}", server.log());
    assert_eq!(server.hook_with(&payload, &next).await.status, 202);
}
