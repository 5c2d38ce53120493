//! The outbox: reports on their way to the broker, kept until it confirms them.

use std::path::Path;
use std::time::Duration;

use sqlx::Row as _;

use super::database::{Database, exists_already};
use super::ledger::milliseconds;
use crate::model::failure::Failure;

/// How long an entry belongs to whoever took it; after that its taker is believed dead.
const LEASE: Duration = Duration::from_secs(30);

/// Reports that wait, oldest first.
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
    limits: OutboxLimits,
}

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Entries.
    pub entries: u64,
    /// Bytes of all bodies together.
    pub bytes: u64,
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The build that it reports on.
    pub build: String,
    /// The exchange; empty for the broker's default one, as for `reply_to`.
    pub exchange: String,
    /// The routing key, or the queue of `reply_to`.
    pub routing_key: String,
    /// The request's, for `reply_to`.
    pub correlation_id: Option<String>,
    /// The message.
    pub body: Vec<u8>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// It waits.
    Stored,
    /// One of this build for this place waits already; that one stays.
    Known,
    /// No more may wait: take no further requests until some have gone out.
    Full,
}

/// An entry that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What [`Outbox::done`] and [`Outbox::later`] want.
    pub id: i64,
    /// The message.
    pub entry: Entry,
}

impl Outbox {
    /// Opens the outbox of a file, which is made if it is not there.
    ///
    /// # Errors
    /// `internal` where the file cannot be used; `configuration_invalid` where a newer Slipway wrote it.
    pub async fn open(path: &Path, limits: OutboxLimits) -> Result<Self, Failure> {
        Ok(Self { database: Database::open(path).await?, limits })
    }

    /// Keeps an entry until it is done.
    ///
    /// # Errors
    /// `disk_full`, or `internal` where the file cannot be written.
    pub async fn put(&self, entry: &Entry) -> Result<Put, Failure> {
        let size = i64::try_from(entry.body.len()).unwrap_or(i64::MAX);
        // One statement, so that no other process comes between the count and the entry. One that waits already fails at
        // the key.
        let written = sqlx::query(
            "INSERT INTO outbox (build, exchange, routing_key, correlation_id, size, body) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 \
             WHERE EXISTS (SELECT 1 FROM outbox WHERE build = ?1 AND exchange = ?2 AND routing_key = ?3) \
             OR (SELECT COUNT(*) < ?7 AND COALESCE(SUM(size), 0) + ?5 <= ?8 FROM outbox)",
        )
        .bind(&entry.build)
        .bind(&entry.exchange)
        .bind(&entry.routing_key)
        .bind(&entry.correlation_id)
        .bind(size)
        .bind(&entry.body)
        .bind(i64::try_from(self.limits.entries).unwrap_or(i64::MAX))
        .bind(i64::try_from(self.limits.bytes).unwrap_or(i64::MAX))
        .execute(&self.database.pool)
        .await;
        match written {
            Ok(written) if written.rows_affected() == 1 => Ok(Put::Stored),
            Ok(_) => Ok(Put::Full),
            Err(error) if exists_already(&error) => Ok(Put::Known),
            Err(error) => Err(self.database.failure("be written", &error)),
        }
    }

    /// Takes the oldest entry that nobody has taken. It comes again after half a minute unless it is done by then.
    ///
    /// # Errors
    /// `internal` where the file cannot be used.
    pub async fn next(&self) -> Result<Option<Waiting>, Failure> {
        let now = milliseconds(crate::clock::since_epoch());
        let lease = milliseconds(LEASE);
        // A lease far ahead was made before the clock was set back.
        let taken = sqlx::query(
            "UPDATE outbox SET leased_ms = ?1 + ?2 WHERE sequence = (SELECT sequence FROM outbox \
             WHERE leased_ms <= ?1 OR leased_ms > ?1 + ?2 ORDER BY sequence LIMIT 1) \
             RETURNING sequence, build, exchange, routing_key, correlation_id, body",
        )
        .bind(now)
        .bind(lease)
        .fetch_optional(&self.database.pool)
        .await
        .map_err(|error| self.database.failure("be read", &error))?;
        Ok(taken.map(|row| Waiting {
            id: row.get(0),
            entry: Entry {
                build: row.get(1),
                exchange: row.get(2),
                routing_key: row.get(3),
                correlation_id: row.get(4),
                body: row.get(5),
            },
        }))
    }

    /// Whether an entry of this build for this place waits still. Another process may have sent it.
    ///
    /// # Errors
    /// `internal` where the file cannot be read.
    pub async fn holds(&self, entry: &Entry) -> Result<bool, Failure> {
        let question = "SELECT EXISTS (SELECT 1 FROM outbox WHERE build = ? AND exchange = ? AND routing_key = ?)";
        sqlx::query_scalar(question)
            .bind(&entry.build)
            .bind(&entry.exchange)
            .bind(&entry.routing_key)
            .fetch_one(&self.database.pool)
            .await
            .map_err(|error| self.database.failure("be read", &error))
    }

    /// Removes an entry: the broker has confirmed it.
    ///
    /// # Errors
    /// `internal` where the file cannot be written.
    pub async fn done(&self, id: i64) -> Result<(), Failure> {
        let changed = sqlx::query("DELETE FROM outbox WHERE sequence = ?").bind(id).execute(&self.database.pool).await;
        changed.map(drop).map_err(|error| self.database.failure("be written", &error))
    }

    /// Gives an entry back: the broker did not confirm it. Others come before it, until the pause is over; at most half a
    /// minute.
    ///
    /// # Errors
    /// `internal` where the file cannot be written.
    pub async fn later(&self, id: i64, pause: Duration) -> Result<(), Failure> {
        let until = milliseconds(crate::clock::since_epoch() + pause.min(LEASE));
        let changed = sqlx::query("UPDATE outbox SET leased_ms = ? WHERE sequence = ?").bind(until).bind(id);
        let changed = changed.execute(&self.database.pool).await;
        changed.map(drop).map_err(|error| self.database.failure("be written", &error))
    }

    /// How many entries wait, taken ones included.
    ///
    /// # Errors
    /// `internal` where the file cannot be read.
    pub async fn len(&self) -> Result<u64, Failure> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox")
            .fetch_one(&self.database.pool)
            .await
            .map_err(|error| self.database.failure("be read", &error))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Whether nothing waits.
    ///
    /// # Errors
    /// `internal` where the file cannot be read.
    pub async fn is_empty(&self) -> Result<bool, Failure> {
        Ok(self.len().await? == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits { entries: 3, bytes: 100 };

    fn entry(build: &str, body: &str) -> Entry {
        Entry {
            build: build.to_owned(),
            exchange: "slipway.reports".to_owned(),
            routing_key: "trade.order.failed".to_owned(),
            correlation_id: None,
            body: body.into(),
        }
    }

    async fn outbox(directory: &tempfile::TempDir) -> Outbox {
        Outbox::open(&directory.path().join("worker.db"), LIMITS).await.unwrap()
    }

    #[tokio::test]
    async fn entries_come_in_order_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = outbox(&directory).await;
        for build in ["b1", "b2"] {
            assert_eq!(outbox.put(&entry(build, "{}")).await.unwrap(), Put::Stored);
        }
        assert_eq!(outbox.put(&entry("b1", "{}")).await.unwrap(), Put::Known);
        let first = outbox.next().await.unwrap().unwrap();
        assert_eq!(first.entry, entry("b1", "{}"));
        let second = outbox.next().await.unwrap().unwrap();
        assert_eq!(second.entry.build, "b2");
        assert_eq!(outbox.next().await.unwrap(), None, "both are taken");
        outbox.later(first.id, Duration::ZERO).await.unwrap();
        assert_eq!(outbox.next().await.unwrap().unwrap(), first);
        assert!(outbox.holds(&first.entry).await.unwrap(), "it is taken, and waits all the same");
        outbox.done(first.id).await.unwrap();
        assert!(!outbox.holds(&first.entry).await.unwrap());
        outbox.done(second.id).await.unwrap();
        assert!(outbox.is_empty().await.unwrap());
    }

    #[tokio::test]
    async fn what_is_put_off_lets_others_pass() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = outbox(&directory).await;
        for build in ["b1", "b2"] {
            let _ = outbox.put(&entry(build, "{}")).await.unwrap();
        }
        let first = outbox.next().await.unwrap().unwrap();
        outbox.later(first.id, Duration::from_mins(1)).await.unwrap();
        assert_eq!(outbox.next().await.unwrap().unwrap().entry.build, "b2");
        assert_eq!(outbox.next().await.unwrap(), None);
        // Stands as it would after the pause, which is half a minute at most.
        let shifted = sqlx::query("UPDATE outbox SET leased_ms = leased_ms - 30001");
        shifted.execute(&outbox.database.pool).await.unwrap();
        assert_eq!(outbox.next().await.unwrap().unwrap(), first);
    }

    #[tokio::test]
    async fn what_a_dead_worker_took_comes_again() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = outbox(&directory).await;
        let _ = outbox.put(&entry("b1", "{}")).await.unwrap();
        let taken = outbox.next().await.unwrap().unwrap();
        // Stands as it would after the lease, and after the clock was set back.
        for shift in [-30_001, 60_001] {
            let shifted = sqlx::query("UPDATE outbox SET leased_ms = leased_ms + ?").bind(shift);
            shifted.execute(&outbox.database.pool).await.unwrap();
            assert_eq!(outbox.next().await.unwrap().as_ref(), Some(&taken));
        }
    }

    #[tokio::test]
    async fn no_more_waits_than_may() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = outbox(&directory).await;
        assert_eq!(outbox.put(&entry("big", &"x".repeat(101))).await.unwrap(), Put::Full);
        for build in ["b1", "b2", "b3"] {
            assert_eq!(outbox.put(&entry(build, "{}")).await.unwrap(), Put::Stored);
        }
        assert_eq!(outbox.put(&entry("b4", "{}")).await.unwrap(), Put::Full);
        assert_eq!(outbox.put(&entry("b3", "{}")).await.unwrap(), Put::Known, "it waits, full or not");
        assert_eq!(outbox.len().await.unwrap(), 3);
    }
}
