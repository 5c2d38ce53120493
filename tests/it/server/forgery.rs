//! Requests that pretend: deliveries that are forged or sent again, forms of other sites.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::access::{log_in, log_in_with, problem, token};
use super::site::{Answer, SECRET, Server, Site, push};
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// Sends a body with these headers as they are.
async fn send(server: &Server, headers: &[(&str, String)], body: &str) -> Answer {
    let mut request = server.http.post(format!("{}/webhooks/gitlab", server.url));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    server.send(request.header("content-type", "application/json").body(body.to_owned())).await
}

/// The headers of a signed delivery (Standard Webhooks, "Signature scheme").
fn signed(secret: &str, id: &str, at: i64, body: &str) -> [(&'static str, String); 3] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    [("webhook-id", id.to_owned()), ("webhook-timestamp", at.to_string()), ("webhook-signature", signature)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_counts_once_and_for_its_own_body_id_and_time() {
    let site = Site::new(&[("WORKER__LANES", "{ interactive = 0, bulk = 0 }")]).await;
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let now = jiff::Timestamp::now().as_second();
    let body = push(&repository, "main", "signed").to_string();
    let good = signed(SECRET, "msg_1", now, &body);
    let first = send(&server, &good, &body).await;
    assert_eq!(first.status, 202, "{first:?}");
    // Sent again, by GitLab or by who overheard it: the same answer, and no other build.
    let again = send(&server, &good, &body).await;
    assert_eq!((again.status, again.json()), (200, first.json()));

    let other = push(&repository, "master", "forged").to_string();
    let with = |at: usize, value: &str| {
        let mut headers = good.clone();
        value.clone_into(&mut headers[at].1);
        headers
    };
    let old = signed(SECRET, "msg_2", now - 600, &body);
    let early = signed(SECRET, "msg_3", now + 600, &body);
    let guessed = signed("not-the-secret", "msg_4", now, &body);
    let empty = signed("", "msg_5", now, &body);
    for (what, headers, body) in [
        ("another body", &good, &other),
        ("another id", &with(0, "msg_9"), &body),
        ("another time", &with(1, &(now - 1).to_string()), &body),
        ("no time", &with(1, ""), &body),
        ("another signature", &with(2, "v1,AAAA"), &body),
        ("another version", &with(2, &good[2].1.replace("v1,", "v2,")), &body),
        ("what was signed long ago", &old, &body),
        ("what was signed for later", &early, &body),
        ("another secret", &guessed, &body),
        ("an empty secret", &empty, &body),
    ] {
        let answer = send(&server, headers, body).await;
        assert_eq!((answer.status, answer.json()["code"].clone()), (401, json!("unauthorized")), "{what}: {answer:?}");
    }
    // Without its signature, the rest of a delivery proves nothing; and a token does not mend a wrong signature.
    problem(&send(&server, &good[..2], &body).await, 401, "unauthorized");
    let mut both = with(2, "v1,AAAA").to_vec();
    both.push(("x-gitlab-token", SECRET.to_owned()));
    problem(&send(&server, &both, &body).await, 401, "unauthorized");
    // An older server sends no key: the body itself tells the repetition.
    let plain = [("x-gitlab-token", SECRET.to_owned())];
    let first = send(&server, &plain, &other).await;
    assert_eq!(first.status, 202, "{first:?}");
    let again = send(&server, &plain, &other).await;
    assert_eq!((again.status, again.json()), (200, first.json()));
    let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
    assert_eq!(list["builds"].as_array().unwrap().len(), 2, "{list:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_another_site_does_anything() {
    let site = Site::new(&[("WORKER__LANES", "{ interactive = 0, bulk = 0 }")]).await;
    let server = site.start().await;
    let repository = Repository::script("true\n");
    for _ in 0..2 {
        site.application(&server, &repository, json!({})).await;
    }
    let message = repository.message(json!({}));
    assert_eq!(site.ask(&server, "POST", "/api/v1/builds", Some(&message)).await.status, 201);
    let id = message["id"].as_str().unwrap();
    let cookie = log_in(&site, &server).await;
    let word = word(&server, &cookie).await;
    let others = word_of_another(&site, &server).await;
    let application = format!("/applications/{PRODUCT_LINE}/{}", repository.name);
    let post = async |path: &str, headers: &[(&str, &str)], body: String| {
        let mut request = server.http.post(format!("{}{path}", server.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        server.send(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    };
    let forms = [
        format!("/builds/{id}/cancel"),
        format!("/builds/{id}/retry"),
        format!("{application}/build"),
        format!("{application}/restore"),
        "/logout".to_owned(),
    ];
    for form in &forms {
        let own = [("cookie", cookie.as_str())];
        let cross = [("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
        let sibling = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-site")];
        for (headers, csrf) in [(&own[..], ""), (&own, "0000"), (&own, &others), (&cross, &word), (&sibling, &word)] {
            let answer = post(form, headers, format!("csrf={csrf}&version=1")).await;
            assert_eq!(answer.status, 403, "{form}: {answer:?}");
        }
        // Without the cookie there is nobody, whatever the form says.
        let answer = post(form, &[], format!("csrf={word}&version=1")).await;
        assert!(answer.status == 303 && answer.header("location").starts_with("/login"), "{form}: {answer:?}");
    }
    // Nor is somebody logged in as the attacker.
    let answer = post("/login", &[("sec-fetch-site", "cross-site")], format!("token={}", site.token())).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (403, ""), "{answer:?}");
    let build = site.ask(&server, "GET", &format!("/api/v1/builds/{id}"), None).await.json();
    assert_eq!((&build["state"], &build["cancelled"]), (&json!("queued"), &json!(false)), "{build:#}");
    let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
    assert_eq!(list["builds"].as_array().unwrap().len(), 1, "{list:#}");
    // The page's own form does it.
    let own = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(post(&forms[0], &own, format!("csrf={word}")).await.status, 303);
    site.until(&server, id, "cancelled").await;
}

/// The word of a login against forgeries, as its pages have it.
async fn word(server: &Server, cookie: &str) -> String {
    let page = server.send(server.http.get(format!("{}/", server.url)).header("cookie", cookie)).await;
    page.text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

async fn word_of_another(site: &Site, server: &Server) -> String {
    let cookie = log_in_with(server, &token(site, server, "admin", None).await).await;
    word(server, &cookie).await
}
