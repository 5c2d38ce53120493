//! The file: opened, brought to the newest form, and its errors said in words.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::error::ErrorKind;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, SqlStr};

use crate::model::failure::{Failure, FailureCode};

/// How long one process waits for another's write.
const PATIENCE: Duration = Duration::from_secs(10);

/// Forms of the file, oldest first. They are only added to: what is out there stays readable.
const MIGRATIONS: &[(&str, &str)] = &[("ledger and outbox", include_str!("migrations/0001_ledger_and_outbox.sql"))];

/// A database of this machine.
#[derive(Debug, Clone)]
pub(super) struct Database {
    pub(super) pool: SqlitePool,
    path: PathBuf,
}

impl Database {
    /// Opens the file, which is made if it is not there, with its directory.
    pub(super) async fn open(path: &Path) -> Result<Self, Failure> {
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::new(FailureCode::Internal, format!("`{}` cannot be used: {error}", path.display()))
                .hint(hint(path))
        };
        if let Some(directory) = path.parent() {
            tokio::fs::create_dir_all(directory).await.map_err(|error| {
                let message = format!("the directory `{}` cannot be made: {error}", directory.display());
                Failure::new(FailureCode::ConfigurationInvalid, message)
                    .hint("let this account write there, or set `worker.directory`")
            })?;
        }
        // SQLite has no lock around "which forms are applied, apply the rest"; the file's own lock is held while it is used.
        let lock = locked(path.with_extension("lock")).await.map_err(|error| unusable(&error))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(PATIENCE);
        let pool = SqlitePoolOptions::new().max_connections(2).idle_timeout(None).max_lifetime(None);
        let database =
            Self { pool: pool.connect_with(options).await.map_err(|error| unusable(&error))?, path: path.to_owned() };
        database.migrate().await?;
        drop(lock);
        Ok(database)
    }

    async fn migrate(&self) -> Result<(), Failure> {
        Migrator::with_migrations(migrations()).run(&self.pool).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                let message = format!("`{}` was written by a newer Slipway", self.path.display());
                Failure::new(FailureCode::ConfigurationInvalid, message)
                    .hint("run that version, or name another state directory")
            }
            error => self.failed("be brought to the newest form", &error),
        })
    }

    /// The failure of a statement: what could not be done, and why.
    pub(super) fn failure(&self, what: &str, error: &sqlx::Error) -> Failure {
        // Result codes of SQLite: 13 is `SQLITE_FULL`.
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
        if code == "13" {
            let message = format!("`{}` cannot {what}: its disk is full", self.path.display());
            return Failure::new(FailureCode::DiskFull, message);
        }
        self.failed(what, error)
    }

    fn failed(&self, what: &str, error: &dyn std::fmt::Display) -> Failure {
        let message = format!("`{}` cannot {what}: {error}", self.path.display());
        Failure::new(FailureCode::Internal, message).hint(hint(&self.path))
    }
}

/// Whether a statement met a row that is there already.
pub(super) fn exists_already(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.kind() == ErrorKind::UniqueViolation)
}

fn hint(path: &Path) -> String {
    format!(
        "check the disk and the rights; if `{}` is damaged, move it away: requests that are delivered again are then built again",
        path.display()
    )
}

fn migrations() -> Vec<Migration> {
    let of = |(version, (name, sql)): (i64, &(&'static str, &'static str))| {
        let sql: SqlStr = sql.into_sql_str();
        Migration::new(version, Cow::Borrowed(*name), MigrationType::Simple, sql, false)
    };
    (1..).zip(MIGRATIONS).map(of).collect()
}

/// The lock; it ends with the file that is given back.
async fn locked(path: PathBuf) -> std::io::Result<std::fs::File> {
    let lock = move || {
        let file = std::fs::File::options().create(true).append(true).open(path)?;
        file.lock()?;
        Ok(file)
    };
    tokio::task::spawn_blocking(lock).await?
}
