//! What the server remembers: one SQL for `SQLite` and `PostgreSQL`, of what both understand alike.
//!
//! Texts and whole numbers only, `$1` for parameters, times in milliseconds since 1970. On `SQLite` one connection
//! writes and others read; a transaction takes the write lock when it begins, so that none waits for itself.

pub(super) mod applications;
pub(super) mod audit;
pub(super) mod builds;
pub(super) mod deliveries;
pub(super) mod heads;
pub(super) mod outbox;
pub(super) mod queue;
pub(super) mod registry;
mod together;
pub(super) mod tokens;
pub(super) mod workers;

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, AnyRow, install_default_drivers};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, Executor as _, Row as _, SqlSafeStr as _, SqlStr, Transaction};

use crate::config::Config;
use crate::model::failure::{Failure, FailureCode};
use together::Together;

/// Forms of the history, oldest first. They are only added to.
const MIGRATIONS: &[(&str, &str)] = &[
    ("history", include_str!("migrations/0001_history.sql")),
    ("registry", include_str!("migrations/0002_registry.sql")),
    ("traces", include_str!("migrations/0003_traces.sql")),
    ("lists", include_str!("migrations/0004_lists.sql")),
    ("heads", include_str!("migrations/0005_heads.sql")),
    ("untold", include_str!("migrations/0006_untold.sql")),
];

/// How long a connection is waited for, and one writer for another.
const PATIENCE: Duration = Duration::from_secs(10);

/// The history.
#[derive(Debug, Clone)]
pub(super) struct Store {
    read: AnyPool,
    write: AnyPool,
    begin: &'static str,
    together: Together,
}

/// A change, all of it or nothing.
pub(super) type Change = Transaction<'static, Any>;

impl Store {
    /// Opens the configured database, and brings it to the newest form.
    ///
    /// # Errors
    /// `configuration_invalid` where it cannot be used or a newer Slipway wrote it.
    pub(super) async fn open(config: &Config, directory: &Path) -> Result<Self, Failure> {
        install_default_drivers();
        let store = match &config.database.url {
            None => Self::file(directory).await?,
            Some(url) => Self::server(&with_password(config, url).await?).await?,
        };
        Migrator::with_migrations(migrations()).run(&store.write).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                unusable("was written by a newer Slipway").hint("run that version, or restore a backup of before")
            }
            error => unusable(&format!("cannot be brought to the newest form: {error}")),
        })?;
        Ok(store)
    }

    async fn file(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join("server.db");
        let url = url::Url::from_file_path(&path)
            .map_err(|()| unusable(&format!("needs an absolute path, not `{}`", path.display())))?;
        let url = format!("sqlite://{}?mode=rwc", url.path());
        let options = |connections| {
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(PATIENCE)
                .idle_timeout(None)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        // FULL: what was answered is on the disk, also when the machine loses its power.
                        let pragmas =
                            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000";
                        connection.execute(pragmas).await.map(drop)
                    })
                })
        };
        let failed = |error: sqlx::Error| unusable(&format!("`{}` cannot be used: {error}", path.display()));
        let write = options(1).connect(&url).await.map_err(failed)?;
        let read = options(4).connect(&url).await.map_err(failed)?;
        Ok(Self::of(read, write, "BEGIN IMMEDIATE"))
    }

    async fn server(url: &str) -> Result<Self, Failure> {
        let options = AnyPoolOptions::new().max_connections(10).acquire_timeout(PATIENCE);
        let pool = options.connect(url).await.map_err(|error| unusable(&format!("cannot be used: {error}")))?;
        Ok(Self::of(pool.clone(), pool, "BEGIN"))
    }

    fn of(read: AnyPool, write: AnyPool, begin: &'static str) -> Self {
        Self { together: Together::start(write.clone(), begin), read, write, begin }
    }

    /// Asks a database server whether it answers; nothing in it is changed.
    pub(super) async fn reach(config: &Config, url: &str) -> Result<(), Failure> {
        install_default_drivers();
        let store = Self::server(&with_password(config, url).await?).await?;
        let alive = store.alive().await;
        store.close().await;
        alive
    }

    /// Begins a change.
    pub(super) async fn change(&self) -> Result<Change, Failure> {
        self.write.begin_with(self.begin).await.map_err(|error| failed(&error))
    }

    /// Whether it answers.
    pub(super) async fn alive(&self) -> Result<(), Failure> {
        sqlx::query("SELECT 1").execute(&self.read).await.map(drop).map_err(|error| failed(&error))
    }

    /// Closes every connection; what was changed stays.
    pub(super) async fn close(&self) {
        self.write.close().await;
        self.read.close().await;
    }
}

/// Ends a change well.
pub(super) async fn commit(change: Change) -> Result<(), Failure> {
    change.commit().await.map_err(|error| failed(&error))
}

/// The failure of a statement; the database may be back later.
pub(super) fn failed(error: &sqlx::Error) -> Failure {
    tracing::error!(%error, "the database does not do what it should");
    silent()
}

fn silent() -> Failure {
    Failure::new(FailureCode::Internal, "the database did not answer")
        .hint("try again; if it stays, look at the server's log")
}

/// Now, as it is stored.
pub(super) fn now() -> i64 {
    milliseconds(crate::clock::since_epoch())
}

/// A time, as it is stored.
pub(super) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A stored time as RFC 3339; empty for none.
pub(super) fn time(milliseconds: i64) -> String {
    match jiff::Timestamp::from_millisecond(milliseconds) {
        Ok(time) if milliseconds > 0 => time.to_string(),
        _ => String::new(),
    }
}

/// For `LIKE … ESCAPE '!'`, whose signs mean themselves then.
fn escaped(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

fn text(row: &AnyRow, column: &str) -> String {
    row.try_get(column).unwrap_or_default()
}

fn number(row: &AnyRow, column: &str) -> i64 {
    row.try_get(column).unwrap_or_default()
}

async fn with_password(config: &Config, url: &str) -> Result<String, Failure> {
    let mut parsed = url::Url::parse(url).map_err(|error| unusable(&format!("`database.url` is no URL: {error}")))?;
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        return Err(unusable("`database.url` begins with `postgres://`"));
    }
    if let Some(name) = &config.database.credentials {
        let host = parsed.host_str().unwrap_or_default();
        let host = parsed.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let account = crate::secrets::account(config, name, &host, "*").await?;
        let _ = parsed.set_username(&account.username);
        let _ = parsed.set_password(Some(&account.password));
    }
    Ok(parsed.into())
}

fn unusable(why: &str) -> Failure {
    Failure::new(FailureCode::ConfigurationInvalid, format!("the server's database {why}"))
}

fn migrations() -> Vec<Migration> {
    let of = |(version, (name, sql)): (i64, &(&'static str, &'static str))| {
        let sql: SqlStr = sql.into_sql_str();
        Migration::new(version, Cow::Borrowed(*name), MigrationType::Simple, sql, false)
    };
    (1..).zip(MIGRATIONS).map(of).collect()
}

/// A store of a test's own.
#[cfg(test)]
pub(super) async fn for_test() -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Store::open(&Config::default(), directory.path()).await.unwrap(), directory)
}
