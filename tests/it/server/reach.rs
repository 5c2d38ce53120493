//! Places that nobody reaches through the server: other hosts, and files that are no log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::header::LOCATION;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::site::{Server, Site, push};
use crate::services::service;
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// Something inside the network that nobody is to reach; it counts who does.
struct Inside {
    port: u16,
    reached: Arc<AtomicUsize>,
}

impl Inside {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, reached) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&reached);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, reached }
    }

    fn untouched(&self, what: &str) {
        assert_eq!(self.reached.load(Ordering::SeqCst), 0, "{what} was reached");
    }

    /// Everything that might lead there or to another place that is none of ours.
    fn urls(&self) -> Vec<String> {
        let (port, open) = (self.port, service("SLIPWAY_TEST_GIT"));
        let allowed = open.trim_start_matches("http://").split('/').next().unwrap();
        [
            format!("http://127.0.0.1:{port}/open/x.git"),
            format!("http://localhost:{port}/open/x.git"),
            format!("http://2130706433:{port}/open/x.git"),
            format!("http://0x7f000001:{port}/open/x.git"),
            format!("http://127.1:{port}/open/x.git"),
            format!("http://[::1]:{port}/open/x.git"),
            format!("http://[::ffff:127.0.0.1]:{port}/open/x.git"),
            format!("http://{allowed}@127.0.0.1:{port}/open/x.git"),
            format!("http://{allowed}%2f@127.0.0.1:{port}/open/x.git"),
            format!("http://127.0.0.1:{port}#{allowed}/open/x.git"),
            format!("http://127.0.0.1:{port}\\@{allowed}/open/x.git"),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            "http://[fe80::1]/x.git".to_owned(),
            "http://10.0.0.1/x.git".to_owned(),
            "http://192.168.0.1/x.git".to_owned(),
            format!("{open}ing/x.git"),
            format!("{open}/../private/x.git"),
            format!("{open}/%2e%2e/private/x.git"),
            format!("git://127.0.0.1:{port}/x.git"),
            format!("ftp://127.0.0.1:{port}/x.git"),
            format!("gopher://127.0.0.1:{port}/x"),
            format!("ssh://git@127.0.0.1:{port}/x.git"),
            "ssh://-oProxyCommand=id/x.git".to_owned(),
            "file:///etc/passwd".to_owned(),
            "/etc".to_owned(),
            "ext::sh -c id".to_owned(),
        ]
        .into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_repository_url_reaches_what_is_not_allowed() {
    let (site, inside) = (Site::new(&[]).await, Inside::new().await);
    let server = site.start().await;
    for (number, url) in inside.urls().into_iter().enumerate() {
        for commit in [json!(null), json!("95790bf891e76fee5e1747ab589903a6a1f80f22")] {
            let mut message = json!({
                "version": 1, "id": format!("reach-{number}"), "source": { "url": url },
                "application": { "product_line": PRODUCT_LINE, "name": "x" },
            });
            if !commit.is_null() {
                message["source"]["commit"] = commit;
            }
            for path in ["/api/v1/builds", "/api/v1/plans"] {
                let answer = site.ask(&server, "POST", path, Some(&message)).await;
                assert!([400, 403].contains(&answer.status), "{url}: {answer:?}");
            }
        }
        inside.untouched(&url);
    }
    let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
    assert_eq!(list["builds"], json!([]), "{list:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_application_reaches_what_is_not_allowed() {
    let (site, inside) = (Site::new(&[]).await, Inside::new().await);
    let server = site.start().await;
    let mut repository = Repository::script("true\n");
    repository.url = format!("http://127.0.0.1:{}/open/{}.git", inside.port, repository.name);
    // The configuration may change after an application was made: what counts is what may be cloned when it is built.
    site.application(&server, &repository, json!({})).await;
    let path = format!("/api/v1/applications/{PRODUCT_LINE}/{}/builds", repository.name);
    let answer = site.ask(&server, "POST", &path, Some(&json!({ "revision": "main" }))).await;
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("source_forbidden")), "{answer:?}");
    let answer = server.hook(&push(&repository, "main", "reach"), "one").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let build = site.until(&server, answer.json()["builds"][0].as_str().unwrap(), "rejected").await;
    assert_eq!(build["failure"], "source_forbidden", "{build:#}");
    inside.untouched(&repository.url);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_leads_to_what_is_not_allowed() {
    let inside = Inside::new().await;
    // A Git server that is allowed, and sends everybody elsewhere.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let allowed = format!("http://{}", listener.local_addr().unwrap());
    let to = inside.port;
    let away = move |path: axum::extract::Path<String>| async move {
        let place = if path.starts_with("file") {
            "file:///etc/passwd".to_owned()
        } else {
            format!("http://127.0.0.1:{to}/{}", path.0)
        };
        (axum::http::StatusCode::FOUND, [(LOCATION, place)])
    };
    let routes = axum::Router::new().route("/{*path}", axum::routing::any(away));
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let site = Site::new(&[("SOURCES__ALLOW", &format!("[\"{allowed}/\"]"))]).await;
    let server = site.start().await;
    for name in ["order", "file"] {
        let message = json!({
            "version": 1, "id": name, "source": { "url": format!("{allowed}/{name}.git") },
            "application": { "product_line": PRODUCT_LINE, "name": "x" },
        });
        for path in ["/api/v1/builds", "/api/v1/plans"] {
            let answer = site.ask(&server, "POST", path, Some(&message)).await;
            assert!([403, 422, 503].contains(&answer.status), "{name}: {answer:?}");
            assert!(!answer.text.contains("root:"), "{answer:?}");
        }
    }
    inside.untouched("where the redirect leads");
}

/// Sends a path as it is: a client of the test's own would tidy it first.
async fn raw(server: &Server, token: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_logs_and_the_assets() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    // What would be found one directory up, and beside.
    let directory = site.state.path().join("server");
    for place in ["secret.log", "logs/secret.txt", "logs/.log"] {
        std::fs::write(directory.join(place), "nobody is to read this").unwrap();
    }
    let ids = [
        "../secret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "%2e%2e/secret",
        "..%5csecret",
        "....//secret",
        "..%252fsecret",
        "%2e%2e%2f%2e%2e%2fserver.db",
        "secret.txt%00",
        "%00",
        ".",
        "%2e",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "",
    ];
    for id in ids {
        for rest in ["/log", "/events", "/dockerfile", ""] {
            let path = format!("/api/v1/builds/{id}{rest}");
            let answer = raw(&server, &site.token(), &path).await;
            let listed = id.is_empty() && rest.is_empty();
            assert!(listed || answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
            assert!(!answer.contains("nobody is to read") && !answer.contains("SQLite format"), "{path}: {answer}");
        }
    }
    for path in [
        "/assets/../secret.log",
        "/assets/..%2f..%2fsecret.log",
        "/assets/%2e%2e%2fmod.rs",
        "/assets//etc/passwd",
        "//etc/passwd",
    ] {
        let answer = raw(&server, &site.token(), path).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    // Nor does an id get into the history that would be such a path.
    let repository = Repository::script("true\n");
    for id in ["../secret", "..", "a/b", ".", "", "a\u{0}b"] {
        let answer = site.ask(&server, "POST", "/api/v1/builds", Some(&repository.message(json!({ "id": id })))).await;
        assert_eq!(answer.status, 400, "{id}: {answer:?}");
    }
}
