//! Figures of a server alone, on loopback: `cargo test --release --test it -- --ignored figures --nocapture` prints them.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};

use super::site::{SECRET, Site, push};
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// Builds in a long history.
const HISTORY: u32 = 1_000_000;

/// A server that builds nothing.
async fn site() -> Site {
    Site::new(&[("SERVER__REQUESTS_PER_SECOND", "1000000"), ("WORKER__LANES", "{ interactive = 0, bulk = 0 }")]).await
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: 300 webhooks a second for ten seconds"]
async fn webhooks_are_taken_at_their_pace_and_each_is_kept() {
    let site = site().await;
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
    let mut times: Vec<Duration> = answers.into_iter().map(|(_, time)| time).collect();
    println!(
        "webhooks at {rate}/s: p50 {:?}, p99 {:?}, worst {:?}; idle memory {} KiB",
        percentile(&mut times, 50),
        percentile(&mut times, 99),
        percentile(&mut times, 100),
        idle,
    );
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
    for query in
        ["", "?product_line=slipway-test&application=app7", "?state=failed", "?before=500000.b0500000", "?state=queued"]
    {
        let mut times = Vec::new();
        for _ in 0..100 {
            let began = Instant::now();
            let answer = site.ask(&server, "GET", &format!("/api/v1/builds{query}"), None).await;
            times.push(began.elapsed());
            assert_eq!(answer.status, 200);
        }
        let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
        println!("builds{query} of {HISTORY}: p50 {p50:?}, p99 {p99:?}");
        // Without its index, each of these looks at every row.
        assert!(p50 < Duration::from_millis(200), "{query} takes {p50:?}");
    }
}

fn database(site: &Site) -> String {
    format!("sqlite://{}/server/server.db", site.state.path().display())
}

/// What a process has in memory.
fn resident(child: &tokio::process::Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
