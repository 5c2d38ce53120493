//! The ledger: builds that have ended, so that a request that comes twice is built once.

use std::path::Path;
use std::time::Duration;

use sqlx::Row as _;

use super::database::Database;
use crate::model::failure::Failure;

/// Builds that have ended, by id.
#[derive(Debug, Clone)]
pub struct Ledger {
    database: Database,
}

/// A build that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The hash of the request's body: the same id with another one is refused.
    pub body_hash: String,
    /// The terminal report, as it was sent.
    pub report_json: String,
    /// The attempt that ended it, from 1.
    pub attempt: u32,
}

impl Ledger {
    /// Opens the ledger of a file, which is made if it is not there.
    ///
    /// # Errors
    /// `internal` where the file cannot be used; `configuration_invalid` where a newer Slipway wrote it.
    pub async fn open(path: &Path) -> Result<Self, Failure> {
        Ok(Self { database: Database::open(path).await? })
    }

    /// How a build ended, if it has.
    ///
    /// # Errors
    /// `internal` where the file cannot be read.
    pub async fn finished(&self, id: &str) -> Result<Option<Finished>, Failure> {
        let found = sqlx::query("SELECT body_hash, report, attempt FROM finished WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.database.pool)
            .await
            .map_err(|error| self.database.failure("be read", &error))?;
        Ok(found.map(|row| Finished { body_hash: row.get(0), report_json: row.get(1), attempt: row.get(2) }))
    }

    /// Notes how a build ended and says whether this was the first time: the first end of an id stays.
    ///
    /// # Errors
    /// `disk_full`, or `internal` where the file cannot be written.
    pub async fn record(&self, id: &str, body_hash: &str, attempt: u32, report_json: &str) -> Result<bool, Failure> {
        let written = sqlx::query(
            "INSERT INTO finished (id, body_hash, attempt, finished_ms, report) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .bind(body_hash)
        .bind(attempt)
        .bind(milliseconds(crate::clock::since_epoch()))
        .bind(report_json)
        .execute(&self.database.pool)
        .await
        .map_err(|error| self.database.failure("be written", &error))?;
        Ok(written.rows_affected() == 1)
    }

    /// Forgets builds that ended longer ago, and says how many there were.
    ///
    /// # Errors
    /// `internal` where the file cannot be written.
    pub async fn forget(&self, older_than: Duration) -> Result<u64, Failure> {
        let before = milliseconds(crate::clock::since_epoch().saturating_sub(older_than));
        let gone = sqlx::query("DELETE FROM finished WHERE finished_ms < ?")
            .bind(before)
            .execute(&self.database.pool)
            .await
            .map_err(|error| self.database.failure("be cleaned up", &error))?;
        Ok(gone.rows_affected())
    }
}

/// As `SQLite` keeps it.
pub(super) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_end_of_a_build_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/worker.db");
        let ledger = Ledger::open(&path).await.unwrap();
        assert_eq!(ledger.finished("b1").await.unwrap(), None);
        assert!(ledger.record("b1", "hash", 2, "{\"first\":true}").await.unwrap());
        let other = Ledger::open(&path).await.unwrap();
        assert!(!other.record("b1", "hash", 3, "{}").await.unwrap());
        let expected = Finished { body_hash: "hash".into(), report_json: "{\"first\":true}".into(), attempt: 2 };
        assert_eq!(other.finished("b1").await.unwrap(), Some(expected));
    }

    #[tokio::test]
    async fn old_builds_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&directory.path().join("worker.db")).await.unwrap();
        ledger.record("b1", "hash", 1, "{}").await.unwrap();
        assert_eq!(ledger.forget(Duration::from_hours(1)).await.unwrap(), 0);
        // Stands as it would after ten days.
        let aged = "UPDATE finished SET finished_ms = finished_ms - 864000000";
        sqlx::query(aged).execute(&ledger.database.pool).await.unwrap();
        assert_eq!(ledger.forget(Duration::from_hours(24)).await.unwrap(), 1);
        assert_eq!(ledger.finished("b1").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_file_of_a_newer_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker.db");
        let ledger = Ledger::open(&path).await.unwrap();
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                     VALUES (999, 'of tomorrow', 1, x'00', 1)";
        sqlx::query(newer).execute(&ledger.database.pool).await.unwrap();
        let failure = Ledger::open(&path).await.unwrap_err();
        assert!(failure.message.ends_with("was written by a newer Slipway"), "{}", failure.message);
    }

    #[tokio::test]
    async fn a_damaged_file_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker.db");
        std::fs::write(&path, "no database, but long enough to be read as one; ".repeat(100)).unwrap();
        let failure = Ledger::open(&path).await.unwrap_err();
        assert!(failure.message.contains("worker.db"), "{}", failure.message);
        assert!(failure.hint.contains("move it away"), "{}", failure.hint);
    }
}
