//! Figures of a server alone, on loopback: rows of a table, which `make bench` writes into `docs/benchmarks.md`.
//!
//! They are of `SLIPWAY_TEST_PROGRAM`, a release program. The tests fail where something is lost or wrong, not where a
//! machine is slow.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::browser::Browser;
use super::pages::log_in;
use super::site::{SECRET, Server, Site, push};
use crate::support::figures::{Figure, percentile};
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// Builds in a long history.
const HISTORY: u32 = 1_000_000;

/// Viewers of one build.
const VIEWERS: usize = 1000;

/// A server that builds nothing.
async fn site() -> Site {
    Site::new(&[("SERVER__REQUESTS_PER_SECOND", "1000000"), ("WORKER__LANES", "{ interactive = 0, bulk = 0 }")]).await
}

fn milliseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_secs_f64() * 1e3).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: 300 webhooks a second for ten seconds"]
async fn webhooks_are_taken_at_their_pace_and_each_is_kept() {
    // By the limit of requests that everybody has: all come from one address, as those of a GitLab do.
    let site = Site::new(&[("WORKER__LANES", "{ interactive = 0, bulk = 0 }")]).await;
    let mut server = site.start().await;
    let idle = resident(&server.child);
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let payload = push(&repository, "main", "figures").to_string();
    let (rate, seconds) = (300, 10);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut sent = tokio::task::JoinSet::new();
    for number in 0..rate * seconds {
        pace.tick().await;
        let request = server.http.post(format!("{}/webhooks/gitlab", server.url)).header("x-gitlab-token", SECRET);
        let request = request.header("idempotency-key", number.to_string()).body(payload.clone());
        sent.spawn(async move {
            let began = Instant::now();
            (request.send().await.unwrap().status().as_u16(), began.elapsed())
        });
    }
    let answers = sent.join_all().await;
    assert!(answers.iter().all(|(status, _)| *status == 202));
    let mut times = milliseconds(&answers.into_iter().map(|(_, time)| time).collect::<Vec<_>>());
    let p99 = percentile(&mut times, 0.99);
    println!("{}", Figure::most("webhook at 300 a second to its answer, on the disk, p99", p99, 20.0, "ms"));
    println!("{}", Figure::most("idle server with its embedded worker, resident", idle, 60.0, "MiB"));
    server.signal("KILL");
    server.end().await;
    let mut history = SqliteConnection::connect(&database(&site)).await.unwrap();
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM builds").fetch_one(&mut history).await.unwrap();
    assert_eq!(count, i64::from(rate * seconds), "what was answered was not kept");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: a history of a million builds"]
async fn a_long_history_is_listed_as_fast_as_a_short_one() {
    let site = site().await;
    drop(site.start().await);
    let mut history = SqliteConnection::connect(&database(&site)).await.unwrap();
    let rows = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {HISTORY}) \
         INSERT INTO builds (id, created_ms, product_line, application, state, lane, message, body_hash, revision, commit_id, \
         cause, who, title, gitlab, attempt, deaths, not_before_ms, sent, step, worker, started_ms, finished_ms, size, failure) \
         SELECT printf('b%07d', i), i, '{PRODUCT_LINE}', 'app' || (i % 500), CASE i % 10 WHEN 0 THEN 'failed' ELSE 'succeeded' END, \
         'interactive', '{{}}', '', 'main', printf('%040x', i), 'push', 'jsmith', 'a change', '', 1, 0, 0, 0, '', 'w', i, i + 9, 9, '' FROM n"
    );
    history.execute(AssertSqlSafe(rows)).await.unwrap();
    let server = site.start().await;
    let queries = [
        "",
        "?product_line=slipway-test&application=app7",
        "?product_line=slipway-test",
        "?product_line=slipway-test&state=queued",
        "?product_line=other",
        "?state=failed",
        "?state=queued",
        "?before=500000.b0500000",
        "?commit=00000000000000000000000000000000000007a1",
        "?revision=no-such-branch",
        "?search=00000000000000000000000000000000000007a1",
        "?search=nowhere",
    ];
    let mut slowest: f64 = 0.0;
    for query in queries {
        let mut times = Vec::new();
        for _ in 0..100 {
            let began = Instant::now();
            let answer = site.ask(&server, "GET", &format!("/api/v1/builds{query}"), None).await;
            times.push(began.elapsed());
            assert_eq!(answer.status, 200);
        }
        let mut times = milliseconds(&times);
        let p99 = percentile(&mut times, 0.99);
        if query == "?search=nowhere" {
            println!("{}", Figure::most("search for a text that is nowhere, p99", p99, 200.0, "ms"));
        } else {
            slowest = slowest.max(p99);
        }
        let p50 = percentile(&mut times, 0.5);
        // Without its index, each of these looks at every row.
        assert!(p50 < 200.0, "{query} takes {p50} ms");
    }
    let what = "list of builds with 1 000 000 in the history, p99 of the slowest of eleven filters";
    println!("{}", Figure::most(what, slowest, 20.0, "ms"));
}

/// About a thousand lines a second for fifteen seconds, each with the time of its hundred in nanoseconds.
const FAST: &str = "echo begun $(date +%s%N)\nn=0\nwhile [ $n -lt 150 ]; do seq -f \"at $(date +%s%N) line %g\" 100; sleep 0.1; n=$((n+1)); done\necho ended $(date +%s%N)\n";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: a thousand viewers of a fast log"]
async fn a_thousand_viewers_see_a_fast_log_at_once() {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }).unwrap();
    let site = Site::new(&[("SERVER__REQUESTS_PER_SECOND", "1000000")]).await;
    let server = site.start().await;
    let alone = built(&site, &server, 0).await;
    let watched = built(&site, &server, VIEWERS).await;
    let p99 = percentile(&mut milliseconds(&watched.lags), 0.99);
    println!("{}", Figure::most("1 000 viewers of 1 000 lines a second: lag, p99", p99, 1000.0, "ms"));
    let longer = (watched.took.as_secs_f64() / alone.took.as_secs_f64() - 1.0) * 100.0;
    println!("{}", Figure::most("the build that they look at takes longer by", longer, 5.0, "%"));
}

/// How a fast build went.
struct Fast {
    /// From its first line to its last.
    took: Duration,
    lags: Vec<Duration>,
}

/// Builds what prints fast, with so many viewers; each has to see its end.
async fn built(site: &Site, server: &Server, viewers: usize) -> Fast {
    let begin = site.state.path().join(format!("begin-{viewers}"));
    let repository = Repository::script(&format!("while ! [ -e {} ]; do sleep 0.1; done\n{FAST}", begin.display()));
    site.application(server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", "fast"), &repository.commit).await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    site.until(server, &id, "running").await;
    let mut watching = tokio::task::JoinSet::new();
    for _ in 0..viewers {
        let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "GET /api/v1/builds/{id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
            site.token()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        watching.spawn(watch(stream));
    }
    std::fs::write(&begin, "").unwrap();
    site.until(server, &id, "succeeded").await;
    let lags = watching.join_all().await.concat();
    let log = site.ask(server, "GET", &format!("/api/v1/builds/{id}/log"), None).await.text;
    let time = |word: &str| {
        let said = log.split(word).nth(1).and_then(|rest| rest.split_whitespace().next());
        Duration::from_nanos(said.unwrap().parse().unwrap())
    };
    Fast { took: time("ended ").checked_sub(time("begun ")).unwrap(), lags }
}

/// Reads events to the last one; how old the oldest line was in what came at once.
async fn watch(mut stream: TcpStream) -> Vec<Duration> {
    let (mut lags, mut buffer, mut end) = (Vec::new(), vec![0; 256 << 10], Vec::new());
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        let now = slipway::clock::since_epoch();
        let new = &buffer[..read];
        assert!(read > 0, "the events end early, with {:?}", String::from_utf8_lossy(&end));
        if let Some(at) = new.windows(3).position(|three| three == b"at ")
            && let Some(text) = new.get(at + 3..at + 22)
            && let Some(printed) = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok())
        {
            lags.push(now.saturating_sub(Duration::from_nanos(printed)));
        }
        end.extend_from_slice(&new[read.saturating_sub(200)..]);
        if end.windows(10).any(|ten| ten == b"event: end") {
            return lags;
        }
        end.drain(..end.len().saturating_sub(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: a browser shows a hundred thousand lines"]
async fn a_long_log_is_painted_soon() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let repository =
        Repository::script("seq -f 'line %g of the log, about as long as those of a compiler are' 100000\n");
    site.application(&server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", "long"), "one").await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    site.until(&server, &id, "succeeded").await;
    let browser = Browser::start().await;
    log_in(&browser, &site, &server).await;
    browser.go(&format!("{}/builds/{id}", server.url)).await;
    browser.until("performance.getEntriesByName('first-contentful-paint').length").await;
    let shown =
        "[...document.querySelectorAll('#log .line')].some((one) => one.textContent.includes('line 100000 of'))";
    browser.until(shown).await;
    let first = "return performance.getEntriesByName('first-contentful-paint')[0].startTime";
    let paint = browser.run(first).await.as_f64().unwrap();
    println!("{}", Figure::most("first paint of a build with 100 000 lines of log, in Chromium", paint, 1000.0, "ms"));
}

fn database(site: &Site) -> String {
    format!("sqlite://{}/server/server.db", site.state.path().display())
}

/// What a process has in memory, in MiB.
fn resident(child: &tokio::process::Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}
