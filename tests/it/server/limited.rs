//! How much of it one address, one body and one reader may have.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::access::problem;
use super::connections::connect;
use super::site::{Answer, SECRET, Server, Site, push};
use crate::support::fleet::Repository;

/// A reader that takes nothing is cut off long before that.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server that builds nothing.
async fn site(settings: &[(&str, &str)]) -> Site {
    Site::new(&[settings, &[("WORKER__LANES", "{ interactive = 0, bulk = 0 }")]].concat()).await
}

/// Asks for the builds, as somebody whom a proxy speaks for.
async fn list_for(site: &Site, server: &Server, forwarded: &str) -> Answer {
    let request = server.http.get(format!("{}/api/v1/builds", server.url)).header("x-forwarded-for", forwarded);
    server.send(request.bearer_auth(site.token())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_asks_no_more_than_it_may_and_gitlab_always_may() {
    let site = site(&[("SERVER__REQUESTS_PER_SECOND", "1")]).await;
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let mut answers = Vec::new();
    for _ in 0..60 {
        answers.push(site.ask(&server, "GET", "/api/v1/builds", None).await);
    }
    let refused = answers.iter().find(|answer| answer.status != 200).expect("60 requests at once are too many");
    problem(refused, 429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), "1");
    // The same address: what shows the secret token is taken, what does not is refused as anything else.
    for number in 0..30 {
        let answer = server.hook(&push(&repository, "main", "change"), &format!("one-{number}")).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    let forged = async |address: &str| {
        let headers = [("x-gitlab-token", "guessed"), ("x-forwarded-for", address)];
        server.hook_with(&push(&repository, "main", "forged"), &headers).await.status
    };
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(forged("192.0.2.1").await);
    }
    assert_eq!((statuses[0], statuses[59]), (401, 429), "{statuses:?}");
    assert_eq!(forged("192.0.2.2").await, 401, "another address has its own");
    let known = [("x-gitlab-token", SECRET), ("x-forwarded-for", "192.0.2.1"), ("idempotency-key", "last")];
    let answer = server.hook_with(&push(&repository, "main", "change"), &known).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(server.ask("GET", "/livez", None, None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_that_are_named_are_believed_whom_they_speak_for() {
    let site = site(&[("SERVER__REQUESTS_PER_SECOND", "1"), ("SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]")]).await;
    let server = site.start().await;
    for number in 0..60 {
        let answer = list_for(&site, &server, &format!("198.51.100.{number}, 10.1.2.3")).await;
        assert_eq!(answer.status, 200, "each speaks for itself: {answer:?}");
    }
    let mut last = 0;
    for number in 0..60 {
        // Behind the last address that is no proxy stands what its owner claims.
        last = list_for(&site, &server, &format!("198.51.100.{number}, 192.0.2.9, 10.1.2.3")).await.status;
    }
    assert_eq!(last, 429);
}

/// Sends most of a large delivery, and no more.
async fn hold(server: &Server, bytes: usize) -> tokio::net::TcpStream {
    let mut stream = connect(server).await;
    let head = format!(
        "POST /webhooks/gitlab HTTP/1.1\r\nHost: x\r\nX-Gitlab-Token: x\r\nContent-Length: {}\r\n\r\n",
        bytes + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; bytes]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_strangers_have_their_room_and_no_more() {
    let site = site(&[]).await;
    let server = site.start().await;
    let large = || server.http.post(format!("{}/webhooks/gitlab", server.url)).body(" ".repeat(24 << 20));
    // Without a token or a signature, nothing is read.
    problem(&server.hook_with(&json!({}), &[]).await, 401, "unauthorized");
    let (first, second) = (hold(&server, 24 << 20).await, hold(&server, 24 << 20).await);
    let until = async |status: u16| {
        let reached = async {
            loop {
                let answer = server.send(large().header("x-gitlab-token", SECRET)).await;
                if answer.status == status {
                    return answer;
                }
                assert!([400, 503].contains(&answer.status), "{answer:?}");
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{status} is never answered"))
    };
    let refused = until(503).await;
    problem(&refused, 503, "busy");
    assert_eq!(refused.header("retry-after"), "1");
    drop((first, second));
    problem(&until(400).await, 400, "request_invalid");
}

/// A build with a log of this size, that runs never.
async fn logged(site: &Site, server: &Server, bytes: u64) -> String {
    let message = Repository::script("true\n").message(json!({}));
    let asked = site.ask(server, "POST", "/api/v1/builds", Some(&message)).await;
    assert_eq!(asked.status, 201, "{asked:?}");
    let id = message["id"].as_str().unwrap().to_owned();
    let log = std::fs::File::create(site.state.path().join(format!("server/logs/{id}.log"))).unwrap();
    log.set_len(bytes).unwrap();
    id
}

/// The most that a process ever had in memory, in MiB.
fn most_memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_log_is_sent_whole_and_held_piece_by_piece() {
    let site = site(&[]).await;
    let server = site.start().await;
    let bytes = 200 << 20;
    let id = logged(&site, &server, bytes).await;
    let before = most_memory(&server);
    let request = server.http.get(format!("{}/api/v1/builds/{id}/log", server.url)).bearer_auth(site.token());
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-length"], bytes.to_string().as_str());
    let mut read = 0;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        read += chunk.len() as u64;
    }
    assert_eq!(read, bytes);
    let more = most_memory(&server) - before;
    assert!(more < 40, "{more} MiB more for a log of 200 MiB");
}

/// Whether the server's end of a connection is open (`/proc/net/tcp`, state 01).
fn is_open(server: &Server, stream: &tokio::net::TcpStream) -> bool {
    let own = server.url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let other = stream.local_addr().unwrap().port();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let at = |place: &str, port: u16| place.ends_with(&format!(":{port:04X}"));
    lines.any(|columns| at(columns[1], own) && at(columns[2], other) && columns[3] == "01")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_is_cut_off() {
    let site = site(&[]).await;
    let server = site.start().await;
    let id = logged(&site, &server, 200 << 20).await;
    let mut stream = connect(&server).await;
    let head =
        format!("GET /api/v1/builds/{id}/log HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", site.token());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    assert!(is_open(&server, &stream), "it is connected");
    let cut = async {
        while is_open(&server, &stream) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, cut).await.expect("whoever does not read is cut off");
}
