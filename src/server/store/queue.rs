//! The durable queue: which build is next, where it stands, and its end.

use sqlx::any::AnyRow;

use super::builds::Build;
use super::{Change, Store, commit, failed, now};
use crate::model::failure::Failure;
use crate::model::report::BuildReport;

impl Store {
    /// Takes the oldest build of a lane whose time has come.
    pub(in crate::server) async fn claim(&self, lane: &str, worker: &str) -> Result<Option<Build>, Failure> {
        let mut change = self.change().await?;
        let sql = "UPDATE builds SET state = 'running', worker = $1, started_ms = $2, step = '', steps = '' WHERE id = \
             (SELECT id FROM builds WHERE state = 'queued' AND lane = $3 AND not_before_ms <= $2 \
             ORDER BY created_ms, id LIMIT 1) AND state = 'queued' RETURNING *";
        let row: Option<AnyRow> = sqlx::query(sql)
            .bind(worker)
            .bind(now())
            .bind(lane)
            .fetch_optional(&mut *change)
            .await
            .map_err(|error| failed(&error))?;
        let build = row.as_ref().map(Build::read);
        commit(change).await?;
        Ok(build)
    }

    /// When the next build's time comes, where some wait for it.
    pub(in crate::server) async fn next_time(&self) -> Result<Option<i64>, Failure> {
        let sql = "SELECT not_before_ms FROM builds WHERE state = 'queued' ORDER BY not_before_ms LIMIT 1";
        let row = sqlx::query(sql).fetch_optional(&self.read).await.map_err(|error| failed(&error))?;
        Ok(row.map(|row| super::number(&row, "not_before_ms")))
    }

    /// How many builds wait for a worker.
    pub(in crate::server) async fn count_queued(&self) -> Result<i64, Failure> {
        let sql = "SELECT COUNT(*) AS builds FROM builds WHERE state = 'queued'";
        let row = sqlx::query(sql).fetch_one(&self.read).await;
        row.map(|row| super::number(&row, "builds")).map_err(|error| failed(&error))
    }

    /// Gives back what ran when the server died; it counts that as a death of each.
    pub(in crate::server) async fn revive(&self) -> Result<u64, Failure> {
        let sql = "UPDATE builds SET state = 'queued', deaths = deaths + 1, step = '' WHERE state = 'running'";
        let done = sqlx::query(sql).execute(&self.write).await.map_err(|error| failed(&error))?;
        Ok(done.rows_affected())
    }

    /// A build that was stopped because the server goes: it is next when it comes back.
    pub(in crate::server) async fn give_back(&self, id: &str) -> Result<(), Failure> {
        let sql = "UPDATE builds SET state = 'queued', step = '' WHERE id = $1 AND state = 'running'";
        sqlx::query(sql).bind(id).execute(&self.write).await.map(drop).map_err(|error| failed(&error))
    }

    /// The next attempt of a build, at its time.
    pub(in crate::server) async fn retry(&self, id: &str, attempt: i64, not_before_ms: i64) -> Result<(), Failure> {
        let sql = "UPDATE builds SET state = 'queued', step = '', attempt = $2, not_before_ms = $3 \
             WHERE id = $1 AND state = 'running'";
        let query = sqlx::query(sql).bind(id).bind(attempt).bind(not_before_ms);
        query.execute(&self.write).await.map(drop).map_err(|error| failed(&error))
    }

    /// The step that a build is in, empty where an attempt begins; a worker elsewhere also makes it run.
    pub(in crate::server) async fn step(&self, id: &str, step: &str, worker: &str) -> Result<(), Failure> {
        let sql = "UPDATE builds SET step = $2, state = 'running', worker = CASE WHEN $3 = '' THEN worker ELSE $3 END, \
             started_ms = CASE WHEN started_ms = 0 THEN $4 ELSE started_ms END, \
             steps = CASE WHEN $2 = '' THEN '' ELSE steps || $5 END \
             WHERE id = $1 AND state IN ('queued', 'running')";
        let begun = format!("{step} {}\n", now());
        let query = sqlx::query(sql).bind(id).bind(step).bind(worker).bind(now()).bind(begun);
        query.execute(&self.write).await.map(drop).map_err(|error| failed(&error))
    }

    /// Builds that were asked for and are not with the broker yet, or whose cancellation is not.
    pub(in crate::server) async fn unsent(&self) -> Result<Vec<(Build, bool)>, Failure> {
        let of = async |sql: &'static str, cancellation: bool| {
            let rows = sqlx::query(sql).fetch_all(&self.read).await.map_err(|error| failed(&error))?;
            Ok::<_, Failure>(rows.iter().map(|row| (Build::read(row), cancellation)).collect::<Vec<_>>())
        };
        let requests = "SELECT * FROM builds WHERE state = 'queued' AND sent = 0 ORDER BY created_ms, id LIMIT 100";
        let cancellations =
            "SELECT * FROM builds WHERE state IN ('queued', 'running') AND sent = 1 AND cancel IS NOT NULL LIMIT 100";
        let mut unsent = of(requests, false).await?;
        unsent.extend(of(cancellations, true).await?);
        Ok(unsent)
    }

    /// The broker has it: 1 the request, 2 its cancellation too.
    pub(in crate::server) async fn sent(&self, id: &str, what: i64) -> Result<(), Failure> {
        let query = sqlx::query("UPDATE builds SET sent = $2 WHERE id = $1 AND sent < $2").bind(id).bind(what);
        query.execute(&self.write).await.map(drop).map_err(|error| failed(&error))
    }

    /// Somebody does not want it any more. Says whether that changes anything.
    pub(in crate::server) async fn cancel(&self, change: &mut Change, id: &str, why: &str) -> Result<bool, Failure> {
        let sql = "UPDATE builds SET cancel = $2 WHERE id = $1 AND state IN ('queued', 'running') AND cancel IS NULL";
        let done = sqlx::query(sql).bind(id).bind(why).execute(&mut **change).await.map_err(|error| failed(&error))?;
        Ok(done.rows_affected() == 1)
    }
}

/// Notes that a build runs, and says whether it does: one that has ended does not.
pub(in crate::server) async fn begin(change: &mut Change, id: &str) -> Result<bool, Failure> {
    let sql = "UPDATE builds SET state = 'running' WHERE id = $1 AND state IN ('queued', 'running')";
    let done = sqlx::query(sql).bind(id).execute(&mut **change).await.map_err(|error| failed(&error))?;
    Ok(done.rows_affected() == 1)
}

/// Writes a build's end, and says whether it was the first: that one stays.
pub(in crate::server) async fn finish(change: &mut Change, report: &BuildReport) -> Result<bool, Failure> {
    let sql = "UPDATE builds SET state = $2, finished_ms = $3, size = $4, failure = $5, step = $6, worker = $7, attempt = $8, \
         commit_id = CASE WHEN commit_id = '' THEN $9 ELSE commit_id END \
         WHERE id = $1 AND state IN ('queued', 'running')";
    let failure = report.failure.as_ref();
    let commit = report.source.commit.as_ref().map(ToString::to_string).unwrap_or_default();
    let size = report.image.as_ref().map_or(0, |image| i64::try_from(image.size).unwrap_or(i64::MAX));
    let done = sqlx::query(sql)
        .bind(&report.id)
        .bind(report.outcome.name())
        .bind(now())
        .bind(size)
        .bind(failure.map_or("", |failure| failure.code.name()))
        .bind(failure.and_then(|failure| failure.step).map_or("", |step| step.name()))
        .bind(&report.worker)
        .bind(i64::from(report.attempt))
        .bind(commit)
        .execute(&mut **change)
        .await
        .map_err(|error| failed(&error))?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let body = serde_json::to_string(report).unwrap_or_default();
    let sql = "INSERT INTO reports (build, body) VALUES ($1, $2) ON CONFLICT (build) DO NOTHING";
    sqlx::query(sql).bind(&report.id).bind(body).execute(&mut **change).await.map_err(|error| failed(&error))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::for_test;
    use super::*;

    #[tokio::test]
    async fn the_oldest_is_taken_first_and_comes_back_after_a_death() {
        let (store, _directory) = for_test().await;
        let mut change = store.change().await.unwrap();
        for (id, created_ms) in [("late", 2), ("early", 1)] {
            let state = "queued".to_owned();
            let lane = "bulk".to_owned();
            Build { id: id.to_owned(), created_ms, state, lane, ..Build::default() }.insert(&mut change).await.unwrap();
        }
        commit(change).await.unwrap();
        assert_eq!(store.claim("interactive", "w").await.unwrap(), None);
        let taken = store.claim("bulk", "w").await.unwrap().unwrap();
        assert_eq!((taken.id.as_str(), taken.state.as_str(), taken.worker.as_str()), ("early", "running", "w"));
        assert_eq!(store.claim("bulk", "w").await.unwrap().unwrap().id, "late");
        assert_eq!(store.claim("bulk", "w").await.unwrap(), None);
        assert_eq!(store.revive().await.unwrap(), 2);
        let again = store.claim("bulk", "w").await.unwrap().unwrap();
        assert_eq!((again.id.as_str(), again.deaths), ("early", 1));
        for step in ["checkout", "compile"] {
            store.step("early", step, "").await.unwrap();
        }
        let steps = store.build("early").await.unwrap().unwrap().steps;
        let names: Vec<&str> = steps.lines().filter_map(|line| Some(line.split_once(' ')?.0)).collect();
        assert_eq!(names, ["checkout", "compile"]);
        store.step("early", "", "other").await.unwrap();
        assert_eq!(store.build("early").await.unwrap().unwrap().steps, "");
        store.retry("early", 2, now() + 60_000).await.unwrap();
        assert_eq!(store.claim("bulk", "w").await.unwrap().unwrap().id, "late");
        assert!(store.next_time().await.unwrap().is_some_and(|at| at > now()));
    }
    #[tokio::test]
    async fn what_has_ended_does_not_begin() {
        let (store, _directory) = for_test().await;
        for (state, begins) in [("queued", true), ("running", true), ("succeeded", false), ("cancelled", false)] {
            let mut change = store.change().await.unwrap();
            let build = Build { id: state.to_owned(), state: state.to_owned(), ..Build::default() };
            build.insert(&mut change).await.unwrap();
            assert_eq!(begin(&mut change, state).await.unwrap(), begins, "{state}");
            commit(change).await.unwrap();
            let now = store.build(state).await.unwrap().unwrap().state;
            assert_eq!(now, if begins { "running" } else { state });
        }
    }
}
