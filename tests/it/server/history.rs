//! The history of servers that were: of every earlier version, and brought back from a backup as `docs/server.md` says.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

use super::grown::Database;
use super::site::{Server, Site, push};
use crate::services::{run, service};
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// A token of the server that was.
const TOKEN: &str = "slipway_of_before";

/// A site with a history in a file, or in a database.
struct History {
    site: Site,
    database: Option<Database>,
}

impl History {
    async fn in_a_file() -> Self {
        Self { site: Site::new(&[]).await, database: None }
    }

    async fn in_a_database() -> Self {
        let database = Database::new().await;
        let host = service("SLIPWAY_TEST_POSTGRESQL");
        let account = format!(
            "{{ username = {:?}, password = {{ command = [\"printf\", \"%s\", {:?}] }}, hosts = [{host:?}] }}",
            service("SLIPWAY_TEST_USER"),
            service("SLIPWAY_TEST_PASSWORD"),
        );
        let url = format!("postgres://{host}/{}", database.name);
        let settings =
            [("DATABASE__URL", &*url), ("DATABASE__CREDENTIALS", "postgresql"), ("CREDENTIALS__POSTGRESQL", &account)];
        Self { site: Site::new(&settings).await, database: Some(database) }
    }

    fn file(&self, name: &str) -> String {
        self.site.state.path().join("server").join(name).display().to_string()
    }

    fn url(&self) -> String {
        match &self.database {
            Some(database) => database.url(),
            None => format!("sqlite://{}?mode=rwc", self.file("server.db")),
        }
    }

    /// Brings a history to these forms, and writes to it.
    async fn migrate(&self, migrations: Vec<Migration>, statements: &[String]) {
        std::fs::create_dir_all(self.site.state.path().join("server")).unwrap();
        install_default_drivers();
        let history = AnyPoolOptions::new().max_connections(1).connect(&self.url()).await.unwrap();
        Migrator::with_migrations(migrations).run(&history).await.unwrap();
        for statement in statements {
            history.execute(AssertSqlSafe(statement.clone())).await.unwrap();
        }
        history.close().await;
    }

    /// As the documentation says, while the server runs.
    fn back_up(&self) {
        if let Some(database) = &self.database {
            run(Path::new("/"), &["pg_dump", "--file", &self.file("copy.sql"), &database.url()]);
        } else {
            let copy = format!(".backup {}", self.file("copy.db"));
            run(Path::new("/"), &["sqlite3", &self.file("server.db"), &copy]);
        }
    }

    /// As the documentation says, while it does not.
    async fn restore(&mut self) {
        let copy = self.file("copy.sql");
        if let Some(database) = &mut self.database {
            database.empty().await;
            let url = database.url();
            run(Path::new("/"), &["psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", &copy, &url]);
        } else {
            std::fs::copy(self.file("copy.db"), self.file("server.db")).unwrap();
            for name in ["server.db-wal", "server.db-shm"] {
                let _ = std::fs::remove_file(self.file(name));
            }
        }
    }
}

/// The forms of the history, oldest first, as they stand in the sources.
fn migrations() -> Vec<Migration> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/store/migrations");
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let of = |(version, path): (i64, &std::path::PathBuf)| {
        let sql = AssertSqlSafe(std::fs::read_to_string(path).unwrap()).into_sql_str();
        let (_, name) = path.file_stem().unwrap().to_str().unwrap().split_once('_').unwrap();
        Migration::new(version, name.to_owned().into(), MigrationType::Simple, sql, false)
    };
    (1..).zip(&paths).map(of).collect()
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// What the first version wrote: a build that ended, one that waits, an application, a token, an answer, and two words that
/// GitLab has not heard.
fn rows(repository: &Repository, waits: &Value, payload: &Value) -> Vec<String> {
    let (name, commit) = (&repository.name, &repository.commit);
    let build = |id: &str, state: &str, message: &str, sent: u8| {
        format!(
            "INSERT INTO builds (id, created_ms, product_line, application, state, lane, message, body_hash, revision, \
             commit_id, cause, who, title, gitlab, attempt, deaths, not_before_ms, sent, step, worker, started_ms, \
             finished_ms, size, failure) VALUES ('{id}', 1, '{PRODUCT_LINE}', '{name}', '{state}', 'interactive', \
             '{message}', '', 'main', '{commit}', 'push', 'ada', 'of before', '', 1, 0, 0, {sent}, '', '', 0, 0, 0, '')"
        )
    };
    let application =
        json!({ "product_line": PRODUCT_LINE, "name": name, "repository": repository.url, "kind": "library" });
    let status = json!({
        "project": 15, "commit": commit, "state": "success", "name": "slipway", "ref": "main",
        "target_url": "http://x", "description": "built",
    });
    vec![
        build("ended", "succeeded", "{}", 0),
        build(waits["id"].as_str().unwrap(), "queued", &waits.to_string(), 0),
        format!(
            "INSERT INTO applications VALUES ('{PRODUCT_LINE}', '{name}', 'open/{name}', 1, '{application}', 1, 'ada')"
        ),
        format!("INSERT INTO application_versions VALUES ('{PRODUCT_LINE}', '{name}', 1, '{application}', 1, 'ada')"),
        format!("INSERT INTO tokens VALUES ('t', '{}', 'before', 'admin', '*', 1, 0)", sha256(TOKEN)),
        format!(
            "INSERT INTO deliveries VALUES ('gitlab:one', {}, '{}', 202, '{{\"builds\":[\"ended\"],\"ignored\":[]}}')",
            jiff::Timestamp::now().as_millisecond(),
            sha256(&payload.to_string())
        ),
        format!("INSERT INTO statuses VALUES ('ended', 1, 0, '{status}', 0, 0)"),
        format!("INSERT INTO notes VALUES ('15/7/{PRODUCT_LINE}/{name}', 0, 1, 0, 'a comment', 0, 0)"),
    ]
}

async fn every_earlier_history_is_taken_up(history: impl AsyncFn() -> History) {
    let all = migrations().len();
    for count in 1..=all {
        let history = history().await;
        let repository = Repository::script("true\n");
        let (waits, payload) = (repository.message(json!({})), push(&repository, "main", "of before"));
        let first = |count| migrations().into_iter().take(count).collect();
        history.migrate(first(1), &rows(&repository, &waits, &payload)).await;
        history.migrate(first(count), &[]).await;
        let site = &history.site;
        std::fs::write(site.state.path().join("admin"), TOKEN).unwrap();
        let server = site.start().await;
        let ended = site.ask(&server, "GET", "/api/v1/builds/ended", None).await.json();
        assert_eq!(
            (&ended["state"], &ended["title"]),
            (&json!("succeeded"), &json!("of before")),
            "{count}: {ended:#}"
        );
        site.until(&server, waits["id"].as_str().unwrap(), "succeeded").await;
        let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
        assert_eq!(list["builds"].as_array().unwrap().len(), 2, "{count}: {list:#}");
        let path = format!("/api/v1/applications/{PRODUCT_LINE}/{}", repository.name);
        assert_eq!(site.ask(&server, "GET", &path, None).await.json()["version"], 1, "{count}");
        let again = server.hook(&payload, "one").await;
        assert_eq!((again.status, &again.json()["builds"]), (200, &json!(["ended"])), "{count}: {again:?}");
        site.gitlab.until(&repository.commit, "success").await;
        site.gitlab.until_notes(|notes| notes.len() == 1).await;
        // What is new is written to it as well.
        let answer = server.hook(&payload, "two").await;
        site.until(&server, answer.json()["builds"][0].as_str().unwrap(), "succeeded").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_earlier_file_is_taken_up() {
    every_earlier_history_is_taken_up(History::in_a_file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_earlier_database_is_taken_up() {
    every_earlier_history_is_taken_up(History::in_a_database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_history_is_refused() {
    for history in [History::in_a_file().await, History::in_a_database().await] {
        let mut newer = migrations();
        let sql = AssertSqlSafe("CREATE TABLE tomorrow (id TEXT)".to_owned()).into_sql_str();
        newer.push(Migration::new(9000, "tomorrow".into(), MigrationType::Simple, sql, false));
        history.migrate(newer, &[]).await;
        let ran = history.site.slipway.run(&["server".to_owned()]).await;
        assert!(ran.code != 0 && ran.text().contains("was written by a newer Slipway"), "{}: {}", ran.code, ran.text());
    }
}

async fn a_backup_of_a_running_server_is_brought_back(mut history: History) {
    let mut server = history.site.start().await;
    let go = history.site.state.path().join("go");
    let before = Repository::script("echo before\n");
    let during = Repository::script(&format!("while ! [ -e {} ]; do sleep 0.05; done\n", go.display()));
    let after = Repository::script("echo after\n");
    for repository in [&before, &during, &after] {
        history.site.application(&server, repository, json!({})).await;
    }
    let asked = async |server: &Server, repository: &Repository| {
        let answer = server.hook(&push(repository, "main", "change"), &repository.commit).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["builds"][0].as_str().unwrap().to_owned()
    };
    let first = asked(&server, &before).await;
    history.site.until(&server, &first, "succeeded").await;
    let second = asked(&server, &during).await;
    history.site.until(&server, &second, "running").await;
    history.back_up();
    std::fs::write(go, "").unwrap();
    let third = asked(&server, &after).await;
    for id in [&second, &third] {
        history.site.until(&server, id, "succeeded").await;
    }
    server.signal("TERM");
    assert_eq!(server.end().await, Some(0));
    history.restore().await;
    let server = history.site.start().await;
    let show = async |path: String| history.site.ask(&server, "GET", &path, None).await;
    assert_eq!(show(format!("/api/v1/builds/{first}/report")).await.json()["outcome"], "succeeded");
    assert_eq!(show(format!("/api/v1/builds/{third}")).await.status, 404, "it came after the backup");
    // It ran when the backup was made, and is built again.
    history.site.until(&server, &second, "succeeded").await;
    assert_eq!(asked(&server, &after).await.len(), third.len(), "its webhook is taken again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_file_is_brought_back() {
    a_backup_of_a_running_server_is_brought_back(History::in_a_file().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_database_is_brought_back() {
    a_backup_of_a_running_server_is_brought_back(History::in_a_database().await).await;
}
