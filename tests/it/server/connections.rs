//! Clients that are slow on purpose, say too much, or are too many.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::access::problem;
use super::site::{SECRET, Server, Site};

/// A slow client is cut off long before that.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap()
}

/// Sends a beginning, then a byte now and then, until the server ends it; gives its answer and how long that took.
async fn dribble(server: &Server, beginning: &str) -> (String, Duration) {
    let (mut read, mut write) = connect(server).await.into_split();
    let began = Instant::now();
    write.write_all(beginning.as_bytes()).await.unwrap();
    let more = tokio::spawn(async move {
        while write.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer)).await;
    more.abort();
    assert!(ended.is_ok(), "whoever sends `{beginning}` and then byte by byte is never cut off");
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

/// Sends this much and no more, until the server ends it.
async fn stall(server: &Server, beginning: &str) {
    let mut stream = connect(server).await;
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "whoever sends `{beginning}` and nothing more is never cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_slow_on_purpose_is_cut_off() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let head =
        |path: &str, more: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n{more}\r\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (login, hook) = (head("/login", form), head("/webhooks/gitlab", &format!("X-Gitlab-Token: {SECRET}\r\n")));
    let asks = head("/api/v1/builds", &format!("Authorization: Bearer {}\r\n", site.token()));
    let (silent, maybe, half, dribbled, bodies, ()) = tokio::join!(
        stall(&server, ""),
        // It might become HTTP/2.
        stall(&server, "PRI * HT"),
        stall(&server, "GET / HTTP/1.1\r\nHost: x\r\n"),
        dribble(&server, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: "),
        async { tokio::join!(dribble(&server, &login), dribble(&server, &hook), dribble(&server, &asks)) },
        // Nobody else notices.
        async {
            for _ in 0..20 {
                let began = Instant::now();
                assert_eq!(server.ask("GET", "/readyz", None, None).await.status, 200);
                assert!(began.elapsed() < Duration::from_secs(5), "an honest client waited {:?}", began.elapsed());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        },
    );
    let ((), (), ()) = (silent, maybe, half);
    assert!(dribbled.1 < Duration::from_secs(30), "a head took {:?}", dribbled.1);
    for (answer, _) in [bodies.0, bodies.1, bodies.2] {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_too_much_is_refused() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let post = |path: &str| server.http.post(format!("{}{path}", server.url));
    // 26 MiB with their length, and 26 without.
    let request = post("/webhooks/gitlab").header("x-gitlab-token", SECRET).body("x".repeat(26 << 20));
    problem(&server.send(request).await, 413, "too_large");
    let pieces = futures_util::stream::iter((0..26).map(|_| Ok::<_, std::io::Error>("x".repeat(1 << 20))));
    let request = post("/webhooks/gitlab").header("x-gitlab-token", SECRET).body(reqwest::Body::wrap_stream(pieces));
    problem(&server.send(request).await, 413, "too_large");
    // What GitLab may send is read, and then is no event.
    let request = post("/webhooks/gitlab").header("x-gitlab-token", SECRET).body(" ".repeat(24 << 20));
    problem(&server.send(request).await, 400, "request_invalid");
    let sizes = [("builds", 256 << 10), ("plans", 256 << 10), ("tokens", 256 << 10), ("applications/apply", 8 << 20)];
    for (path, size) in sizes {
        let request = post(&format!("/api/v1/{path}")).bearer_auth(site.token()).body(" ".repeat(size + 1));
        let answer = server.send(request).await;
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
    }
    let form = post("/login").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(server.send(form.body("x".repeat(1 << 20))).await.status, 413);
    // Heads: one line that is too long, and too many lines.
    let long = server.http.get(format!("{}/livez", server.url)).header("x-long", "x".repeat(1 << 20));
    let mut many = server.http.get(format!("{}/livez", server.url));
    for number in 0..200 {
        many = many.header(format!("x-{number}"), "x");
    }
    for request in [long, many] {
        assert_eq!(server.send(request).await.status, 431);
    }
    let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
    assert_eq!(list["builds"], json!([]), "{list:#}");
}

/// Lets this process, and those that it starts, have as many files as may be; says how many.
fn files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| usize::try_from(files).unwrap())
}

fn open_files(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.child.id().unwrap())).unwrap().count()
}

/// Opens connections that send half a head each: the rest is waited for.
async fn open(server: &Server, count: usize) -> Vec<TcpStream> {
    let one = async |_| {
        let mut stream = connect(server).await;
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nX: ").await;
        stream
    };
    futures_util::stream::iter(0..count).map(one).buffer_unordered(64).collect().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: ten thousand connections, and waiting for them to be cut off"]
async fn ten_thousand_connections_leave_the_server_responsive() {
    let count = 10_000.min(files().saturating_sub(1000));
    let site = Site::new(&[("SERVER__CONNECTIONS", "20000")]).await;
    let server = site.start().await;
    let before = open_files(&server);
    let began = Instant::now();
    let streams = open(&server, count).await;
    let held = open_files(&server) - before;
    println!("{count} connections were opened in {:?}; {held} of them at a time", began.elapsed());
    // On a slow machine the first are cut off before the last are there.
    assert!(held > count / 4, "only {held} were held");
    let mut times = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        assert_eq!(site.ask(&server, "GET", "/api/v1/builds", None).await.status, 200);
        times.push(began.elapsed());
    }
    times.sort();
    println!("meanwhile a list of builds took {:?} at the median and {:?} at worst", times[25], times[49]);
    assert!(times[49] < Duration::from_secs(2), "an honest client waited {:?}", times[49]);
    let cut = async {
        while open_files(&server) > before + 20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, cut).await.unwrap_or_else(|_| panic!("{} files stay open", open_files(&server)));
    println!("all were cut off after {:?}", began.elapsed());
    drop(streams);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: waits until those who hold every place are cut off"]
async fn who_holds_every_place_loses_them() {
    let site = Site::new(&[("SERVER__CONNECTIONS", "200")]).await;
    let server = site.start().await;
    let streams = open(&server, 500).await;
    let began = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, server.ask("GET", "/livez", None, None)).await;
    assert_eq!(answer.expect("places become free").status, 200);
    println!("with 500 silent connections for 200 places, an honest client waited {:?}", began.elapsed());
    drop(streams);
}
