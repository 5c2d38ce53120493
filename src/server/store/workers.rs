//! Who builds, by what the history says of them.

use super::{Store, failed, number, text};
use crate::model::failure::Failure;

/// A worker, and what it did since some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Worker {
    pub(in crate::server) name: String,
    /// Builds that it took.
    pub(in crate::server) builds: i64,
    /// Those of them that it runs now.
    pub(in crate::server) running: i64,
    /// Those that succeeded.
    pub(in crate::server) succeeded: i64,
    /// When it last began or ended one, in milliseconds.
    pub(in crate::server) seen_ms: i64,
}

impl Store {
    /// Everybody who built something of a product line (`*` for all) that was asked for since then, by name.
    pub(in crate::server) async fn workers(&self, since_ms: i64, product_line: &str) -> Result<Vec<Worker>, Failure> {
        let sql = "SELECT worker, COUNT(*) AS builds, \
             SUM(CASE WHEN state = 'running' THEN 1 ELSE 0 END) AS running, \
             SUM(CASE WHEN state = 'succeeded' THEN 1 ELSE 0 END) AS succeeded, \
             MAX(CASE WHEN finished_ms > started_ms THEN finished_ms ELSE started_ms END) AS seen \
             FROM builds WHERE created_ms >= $1 AND worker <> '' AND ($2 = '*' OR product_line = $2) \
             GROUP BY worker ORDER BY worker LIMIT 1000";
        let rows = sqlx::query(sql).bind(since_ms).bind(product_line).fetch_all(&self.read).await;
        let worker = |row| Worker {
            name: text(row, "worker"),
            builds: number(row, "builds"),
            running: number(row, "running"),
            succeeded: number(row, "succeeded"),
            seen_ms: number(row, "seen"),
        };
        Ok(rows.map_err(|error| failed(&error))?.iter().map(worker).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::builds::Build;
    use super::super::{commit, for_test};

    #[tokio::test]
    async fn workers_are_known_by_their_builds() {
        let (store, _directory) = for_test().await;
        let mut change = store.change().await.unwrap();
        for (id, created_ms, line) in [("old", 1, "trade"), ("a", 10, "trade"), ("b", 11, "trade"), ("c", 12, "other")]
        {
            let (state, lane, product_line) = ("queued".to_owned(), "bulk".to_owned(), line.to_owned());
            let build = Build { id: id.to_owned(), created_ms, state, lane, product_line, ..Build::default() };
            build.insert(&mut change).await.unwrap();
        }
        commit(change).await.unwrap();
        for worker in ["gone", "w1", "w1", "w2"] {
            store.claim("bulk", worker).await.unwrap().unwrap();
        }
        let names = async |line: &str| {
            let workers = store.workers(10, line).await.unwrap();
            workers.into_iter().map(|one| (one.name, one.builds, one.running, one.succeeded)).collect::<Vec<_>>()
        };
        assert_eq!(names("*").await, [("w1".to_owned(), 2, 2, 0), ("w2".to_owned(), 1, 1, 0)]);
        assert_eq!(names("other").await, [("w2".to_owned(), 1, 1, 0)]);
        assert!(store.workers(10, "*").await.unwrap()[0].seen_ms > 0);
    }
}
