//! The grown-up shape: history in `PostgreSQL`, builds by workers behind `RabbitMQ`; and what happens when one is away.

use std::time::Duration;

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::door::Door;
use super::site::{Answer, Server, Site, push};
use crate::services::service;
use crate::support::account::Account;
use crate::support::fleet::{Fleet, Repository};

/// A database of a test's own; it goes with the test.
pub(super) struct Database {
    pub(super) name: String,
}

async fn connect() -> PgConnection {
    let (user, password) = (service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD"));
    let url = format!("postgres://{user}:{password}@{}/postgres", service("SLIPWAY_TEST_POSTGRESQL"));
    PgConnection::connect(&url).await.unwrap()
}

impl Database {
    pub(super) async fn new() -> Self {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        connect().await.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        Self { name }
    }

    /// Where it is, with the account.
    pub(super) fn url(&self) -> String {
        let (user, password) = (service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD"));
        format!("postgres://{user}:{password}@{}/{}", service("SLIPWAY_TEST_POSTGRESQL"), self.name)
    }

    /// Makes it anew.
    pub(super) async fn empty(&mut self) {
        let mut connection = connect().await;
        for what in ["DROP", "CREATE"] {
            connection.execute(AssertSqlSafe(format!("{what} DATABASE {}", self.name))).await.unwrap();
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async { drop(connect().await.execute(AssertSqlSafe(sql)).await) });
        });
        let _ = removed.join();
    }
}

/// A server that has its history in `PostgreSQL` and its builds made by the fleet's workers, with a door before each.
pub(super) async fn site(fleet: &Fleet, database: &Database) -> (Site, Door, Door) {
    let broker = url::Url::parse(service("SLIPWAY_TEST_AMQP")).unwrap();
    let to_broker = Door::to(format!("{}:{}", broker.host_str().unwrap(), broker.port().unwrap())).await;
    let to_database = Door::to(service("SLIPWAY_TEST_POSTGRESQL").to_owned()).await;
    let password = fleet.state().join("broker").display().to_string();
    let account = |host: &Door| {
        format!(
            "{{ username = {:?}, password = {{ file = {password:?} }}, hosts = [\"{}\"] }}",
            service("SLIPWAY_TEST_USER"),
            host.address
        )
    };
    let site = Site::new(&[
        ("AMQP__URL", &format!("amqp://{}/%2f", to_broker.address)),
        ("AMQP__CREDENTIALS", "broker"),
        ("AMQP__PREFIX", &fleet.prefix),
        ("CREDENTIALS__BROKER", &account(&to_broker)),
        ("DATABASE__URL", &format!("postgres://{}/{}", to_database.address, database.name)),
        ("DATABASE__CREDENTIALS", "postgresql"),
        ("CREDENTIALS__POSTGRESQL", &account(&to_database)),
    ])
    .await;
    (site, to_broker, to_database)
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["builds"][0].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_build_what_the_server_is_asked() {
    let (fleet, database) = (Fleet::new(&[]).await, Database::new().await);
    let (site, _broker, _database) = site(&fleet, &database).await;
    let server = site.start().await;
    let _worker = fleet.worker().await;
    let good = Repository::script("echo building 42\n");
    let bad = Repository::script("exit 3\n");
    let endless = Repository::script("while :; do echo tick; sleep 0.2; done\n");
    for repository in [&good, &bad, &endless] {
        site.application(&server, repository, json!({})).await;
    }
    let id = id_of(&server.hook(&push(&good, "main", "good"), "one").await);
    let build = site.until(&server, &id, "succeeded").await;
    assert_eq!((&build["worker"], &build["title"]), (&json!("tester"), &json!("good")), "{build:#}");
    site.gitlab.until(&good.commit, "success").await;
    let log = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/log"), None).await;
    assert!(log.text.contains(" compile building 42\n"), "{}", log.text);
    let id = id_of(&server.hook(&push(&bad, "main", "bad"), "two").await);
    site.until(&server, &id, "failed").await;
    site.gitlab.until(&bad.commit, "failed").await;
    let id = id_of(&server.hook(&push(&endless, "main", "endless"), "three").await);
    site.gitlab.until(&endless.commit, "running").await;
    let cancelled =
        site.ask(&server, "POST", &format!("/api/v1/builds/{id}/cancel"), Some(&json!({ "reason": "enough" }))).await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    site.until(&server, &id, "cancelled").await;
    assert!(site.gitlab.until(&endless.commit, "canceled").await["description"].as_str().unwrap().contains("enough"));
    let search = site.ask(&server, "GET", "/api/v1/builds?search=GOOD&limit=1", None).await.json();
    assert_eq!(search["builds"].as_array().unwrap().len(), 1, "{search:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_push_ends_the_older_build_of_a_worker_with_one_slot() {
    let fleet = Fleet::new(&[("WORKER__LANES", "{ interactive = 1, bulk = 0 }")]).await;
    let database = Database::new().await;
    let (site, broker, _database) = site(&fleet, &database).await;
    let account = Account::documented("server", &fleet);
    let credentials = account.credentials(&fleet, &broker.address.to_string());
    let server = site.start_with(&[("CREDENTIALS__BROKER", &credentials)]).await;
    let _worker = fleet.worker().await;
    let mut repository = Repository::script("while :; do echo tick; sleep 0.2; done\n");
    site.application(&server, &repository, json!({})).await;
    let old = id_of(&server.hook(&push(&repository, "main", "old"), "one").await);
    site.gitlab.until(&repository.commit, "running").await;
    repository.commit(&[("build.sh", "true\n")]);
    let new = id_of(&server.hook(&push(&repository, "main", "new"), "two").await);
    site.until(&server, &old, "cancelled").await;
    let log = site.ask(&server, "GET", &format!("/api/v1/builds/{old}/log"), None).await;
    assert!(log.text.contains(&format!("the newer build `{new}` took its place")), "{}", log.text);
    site.until(&server, &new, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_sends_reads_its_configuration_without_an_engine() {
    let (fleet, database) = (Fleet::new(&[]).await, Database::new().await);
    let (mut site, _broker, _database) = site(&fleet, &database).await;
    site.slipway.set("DOCKER_HOST", "unix:///no/such/engine");
    let server = site.start_with(&[("BUILD__RUNNER", "container")]).await;
    server.signal("HUP");
    server.says("the configuration was read again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_while_the_broker_or_the_server_is_away_is_built() {
    let (fleet, database) = (Fleet::new(&[]).await, Database::new().await);
    let (site, to_broker, to_database) = site(&fleet, &database).await;
    let mut server = site.start().await;
    let _worker = fleet.worker().await;
    let repositories = [Repository::script("true\n"), Repository::script("sleep 2\n"), Repository::script("true\n")];
    for repository in &repositories {
        site.application(&server, repository, json!({})).await;
    }
    // The broker is away: the hook is answered all the same.
    to_broker.shut();
    let first = id_of(&server.hook(&push(&repositories[0], "main", "first"), "one").await);
    server.says("requests wait for the broker").await;
    to_broker.open();
    site.until(&server, &first, "succeeded").await;
    // The server dies while a worker builds, and the report waits for the next one.
    let second = id_of(&server.hook(&push(&repositories[1], "main", "second"), "two").await);
    site.gitlab.until(&repositories[1].commit, "running").await;
    server.signal("KILL");
    server.end().await;
    fleet.until_waiting("server.reports", 1).await;
    let server = site.start().await;
    site.until(&server, &second, "succeeded").await;
    site.gitlab.until(&repositories[1].commit, "success").await;
    // The database is away: nothing is promised, and GitLab's retry is built.
    to_database.shut();
    let refused = server.hook(&push(&repositories[2], "main", "third"), "three").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(server.ask("GET", "/readyz", None, None).await.status, 503);
    assert_eq!(server.ask("GET", "/livez", None, None).await.status, 200);
    to_database.open();
    let third = until_taken(&server, &push(&repositories[2], "main", "third")).await;
    site.until(&server, &third, "succeeded").await;
    site.gitlab.until(&repositories[2].commit, "success").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_without_a_broker_takes_hooks_and_keeps_them() {
    let (fleet, database) = (Fleet::new(&[]).await, Database::new().await);
    let (site, to_broker, _database) = site(&fleet, &database).await;
    to_broker.shut();
    let mut server = site.start().await;
    let repositories: Vec<_> = (0..5).map(|_| Repository::script("true\n")).collect();
    let mut ids = Vec::new();
    for repository in &repositories {
        site.application(&server, repository, json!({})).await;
        ids.push(id_of(&server.hook(&push(repository, "main", "away"), &repository.name).await));
    }
    server.says("requests wait for the broker").await;
    server.signal("KILL");
    server.end().await;
    let server = site.start().await;
    let _worker = fleet.worker().await;
    server.says("requests wait for the broker").await;
    to_broker.open();
    for (id, repository) in ids.iter().zip(&repositories) {
        site.until(&server, id, "succeeded").await;
        site.gitlab.until(&repository.commit, "success").await;
    }
    let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
    assert_eq!(list["builds"].as_array().unwrap().len(), 5, "{list:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_comes_while_the_database_is_away_is_written_later() {
    let (fleet, database) = (Fleet::new(&[]).await, Database::new().await);
    let (site, _broker, to_database) = site(&fleet, &database).await;
    let server = site.start().await;
    let _worker = fleet.worker().await;
    let go = site.state.path().join("go");
    let repository = Repository::script(&format!("while ! [ -e {} ]; do sleep 0.1; done\n", go.display()));
    site.application(&server, &repository, json!({})).await;
    let id = id_of(&server.hook(&push(&repository, "main", "patient"), "one").await);
    site.gitlab.until(&repository.commit, "running").await;
    to_database.shut();
    std::fs::write(&go, "").unwrap();
    server.says("what a worker says cannot be written").await;
    to_database.open();
    site.until(&server, &id, "succeeded").await;
    site.gitlab.until(&repository.commit, "success").await;
    let report = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/report"), None).await.json();
    assert_eq!((&report["outcome"], &report["attempt"]), (&json!("succeeded"), &json!(1)), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: the database is away for a minute"]
async fn a_database_that_is_away_for_a_minute_loses_nothing() {
    let (fleet, database) = (Fleet::new(&[]).await, Database::new().await);
    let (site, _broker, to_database) = site(&fleet, &database).await;
    let server = site.start().await;
    let _worker = fleet.worker().await;
    let go = site.state.path().join("go");
    let running = Repository::script(&format!("while ! [ -e {} ]; do sleep 0.1; done\n", go.display()));
    let later = Repository::script("true\n");
    for repository in [&running, &later] {
        site.application(&server, repository, json!({})).await;
    }
    let id = id_of(&server.hook(&push(&running, "main", "runs meanwhile"), "one").await);
    site.gitlab.until(&running.commit, "running").await;
    to_database.shut();
    std::fs::write(&go, "").unwrap();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..60 {
        seconds.tick().await;
        // Whatever is not kept is not promised, and the server is alive and says that it is not ready.
        assert_eq!(server.hook(&push(&later, "main", "later"), "three").await.status, 503);
        assert_eq!(server.ask("GET", "/readyz", None, None).await.status, 503);
        assert_eq!(server.ask("GET", "/livez", None, None).await.status, 200);
    }
    to_database.open();
    let taken = until_taken(&server, &push(&later, "main", "later")).await;
    for (id, repository) in [(&id, &running), (&taken, &later)] {
        site.until(&server, id, "succeeded").await;
        site.gitlab.until(&repository.commit, "success").await;
        let report = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/report"), None).await.json();
        assert_eq!(report["attempt"], 1, "{report:#}");
    }
    let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
    assert_eq!(list["builds"].as_array().unwrap().len(), 2, "{list:#}");
}

/// Sends a delivery as often as GitLab would, until it is taken.
async fn until_taken(server: &Server, payload: &serde_json::Value) -> String {
    for _ in 0..100 {
        let answer = server.hook(payload, "three").await;
        if answer.status != 503 {
            return id_of(&answer);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the database is never there again:\n{}", server.log());
}
