//! The page behind a reverse proxy, which answers for a server that is away.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::sync::watch;

use super::browser::Browser;
use super::pages::log_in_at;
use super::site::{Site, push};
use crate::support::fleet::Repository;

/// Passes on what it is asked, or says 502 and ends what it passed on.
#[derive(Clone)]
struct Proxy {
    server: String,
    http: reqwest::Client,
    away: watch::Sender<bool>,
    /// How often it said 502 to who follows a log.
    refused: watch::Sender<usize>,
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    if *proxy.away.borrow() {
        if request.uri().path().ends_with("/events") {
            proxy.refused.send_modify(|count| *count += 1);
        }
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let url = format!("{}{}", proxy.server, head.uri.path_and_query().unwrap());
    let Ok(answer) = proxy.http.request(head.method, url).headers(head.headers).body(body).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut away = proxy.away.subscribe();
    let until = async move { away.wait_for(|away| *away).await.map(drop) };
    let mut response = Body::from_stream(answer.bytes_stream().take_until(Box::pin(until))).into_response();
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    // How it is sent is a matter of each connection.
    response.headers_mut().remove("transfer-encoding");
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_on_when_the_server_is_back_behind_its_proxy() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let go = site.state.path().join("go");
    let wait = format!("while ! [ -e {} ]; do sleep 0.1; done", go.display());
    let repository = Repository::script(&format!("echo before\n{wait}\necho behind; sleep 600\n"));
    site.application(&server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", "watched"), "one").await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (away, refused) = (watch::Sender::new(false), watch::Sender::new(0));
    let proxy = Proxy { server: server.url.clone(), http: server.http.clone(), away, refused };
    let routes = Router::new().fallback(pass).with_state(proxy.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });

    let browser = Browser::start().await;
    log_in_at(&browser, &site, &url).await;
    browser.go(&format!("{url}/builds/{id}")).await;
    let lines = |text: &str| {
        format!(
            "[...document.querySelectorAll('#log .line')].filter((one) => one.textContent.endsWith('{text}')).length"
        )
    };
    browser.until(&format!("{} === 1", lines("before"))).await;
    browser.until("document.querySelector('#log-state').textContent === 'The log is followed.'").await;
    proxy.away.send_replace(true);
    // A browser gives up whoever refuses it.
    proxy.refused.subscribe().wait_for(|count| *count > 0).await.unwrap();
    proxy.away.send_replace(false);
    std::fs::write(go, "").unwrap();
    browser.until(&format!("{} === 1", lines("behind"))).await;
    assert_eq!(browser.run(&format!("return {}", lines("before"))).await, json!(1), "nothing is shown twice");
    let cancel = format!("/api/v1/builds/{id}/cancel");
    assert_eq!(site.ask(&server, "POST", &cancel, None).await.status, 200);
    browser.until("document.querySelector('#state')?.textContent === 'cancelled'").await;
}
