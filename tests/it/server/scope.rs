//! Every endpoint, asked by everybody who may not.

use std::time::Duration;

use serde_json::{Value, json};

use super::access::{log_in_with, problem, token};
use super::site::{Server, Site};
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// A server that builds nothing, so that what is asked for stays as it is.
async fn idle() -> Site {
    Site::new(&[("WORKER__LANES", "{ interactive = 0, bulk = 0 }")]).await
}

/// A body that the endpoint would take from whoever may.
fn body(operation: &str, repository: &Repository, message: &Value) -> Value {
    let application = json!({ "product_line": PRODUCT_LINE, "name": repository.name, "repository": repository.url });
    match operation {
        "createBuild" | "createPlan" => message.clone(),
        "putApplication" => application,
        "applyApplications" => json!({ "application": [application] }),
        "createToken" => json!({ "name": "more", "role": "admin" }),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_refuses_lower_roles_and_hides_other_product_lines() {
    let site = idle().await;
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let message = repository.message(json!({}));
    let id = message["id"].as_str().unwrap();
    assert_eq!(site.ask(&server, "POST", "/api/v1/builds", Some(&message)).await.status, 201);
    let holders = [
        ("reader", token(&site, &server, "reader", None).await),
        ("builder", token(&site, &server, "builder", None).await),
    ];
    let stranger = token(&site, &server, "admin", Some("trade")).await;
    let document = server.ask("GET", "/api/v1/openapi.json", None, None).await.json();
    let (mut refused, mut hidden) = (0, 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let (method, name) = (method.to_uppercase(), operation["operationId"].as_str().unwrap());
            let needs = operation["description"].as_str().unwrap().split('`').nth(1).unwrap();
            let asked = path.replace("{id}", id).replace("{product_line}", PRODUCT_LINE);
            let asked = asked.replace("{name}", &repository.name).replace("{version}", "1");
            let body = (method != "GET").then(|| body(name, &repository, &message));
            let below =
                holders.iter().take(["reader", "builder", "admin"].iter().position(|one| *one == needs).unwrap());
            for (_, token) in below {
                problem(&server.ask(&method, &asked, Some(token), body.as_ref()).await, 403, "forbidden");
                refused += 1;
            }
            let answer = server.ask(&method, &asked, Some(&stranger), body.as_ref()).await;
            let listed = method == "GET" && answer.status == 200;
            assert!(listed || [403, 404].contains(&answer.status), "{name}: {answer:?}");
            assert!(!answer.text.contains(&repository.name), "{name} shows another's: {answer:?}");
            hidden += 1;
        }
    }
    assert!(refused >= 20 && hidden >= 25, "{refused} and {hidden} were asked");
    // None of it changed anything.
    let build = site.ask(&server, "GET", &format!("/api/v1/builds/{id}"), None).await.json();
    assert_eq!((&build["state"], &build["cancelled"]), (&json!("queued"), &json!(false)), "{build:#}");
    let path = format!("/api/v1/applications/{PRODUCT_LINE}/{}", repository.name);
    assert_eq!(site.ask(&server, "GET", &path, None).await.json()["version"], 1);
    let tokens = site.ask(&server, "GET", "/api/v1/tokens", None).await.json();
    assert_eq!(tokens.as_array().unwrap().len(), 4, "{tokens:#}");
    // The pages hide the same.
    let cookie = log_in_with(&server, &stranger).await;
    for (path, status) in [
        ("/".to_owned(), 200),
        ("/applications".to_owned(), 200),
        (format!("/builds/{id}"), 404),
        (format!("/applications/{PRODUCT_LINE}/{}", repository.name), 404),
    ] {
        let page = server.send(server.http.get(format!("{}{path}", server.url)).header("cookie", &cookie)).await;
        assert_eq!(page.status, status, "{path}: {page:?}");
        assert!(!page.text.contains(&repository.name), "{path} shows another's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_over_or_removed_count_no_more_nor_do_their_logins() {
    let site = idle().await;
    let server = site.start().await;
    let wanted = json!({ "name": "short", "role": "reader", "lasts": "2s" });
    let made = site.ask(&server, "POST", "/api/v1/tokens", Some(&wanted)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let short = made.json()["token"].as_str().unwrap().to_owned();
    let cookie = log_in_with(&server, &short).await;
    assert_eq!(server.ask("GET", "/api/v1/queue", Some(&short), None).await.status, 200);
    until_refused(&server, &short).await;
    assert_eq!(page(&server, &cookie).await, 303);

    let removed = token(&site, &server, "admin", None).await;
    let cookie = log_in_with(&server, &removed).await;
    assert_eq!(page(&server, &cookie).await, 200);
    let tokens = site.ask(&server, "GET", "/api/v1/tokens", None).await.json();
    let kept = tokens.as_array().unwrap().iter().find(|one| one["name"] == "a admin").unwrap();
    let path = format!("/api/v1/tokens/{}", kept["id"].as_str().unwrap());
    assert_eq!(site.ask(&server, "DELETE", &path, None).await.status, 204);
    problem(&server.ask("GET", "/api/v1/queue", Some(&removed), None).await, 401, "unauthorized");
    assert_eq!(page(&server, &cookie).await, 303);
    // What a token says is shown once and stands nowhere.
    assert!(!tokens.to_string().contains(&removed) && !server.log().contains(&removed));
}

async fn page(server: &Server, cookie: &str) -> u16 {
    server.send(server.http.get(format!("{}/", server.url)).header("cookie", cookie)).await.status
}

async fn until_refused(server: &Server, token: &str) {
    let refused = async {
        while server.ask("GET", "/api/v1/queue", Some(token), None).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.expect("the token is over after two seconds");
}
