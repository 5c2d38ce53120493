//! What was answered to whom, so that the same request twice is done once.

use super::{Change, Store, failed, now, number, text};
use crate::model::failure::Failure;

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Answered {
    pub(in crate::server) body_hash: String,
    pub(in crate::server) status: u16,
    pub(in crate::server) answer: String,
}

impl Store {
    /// What was answered under this key.
    pub(in crate::server) async fn answered(&self, key: &str) -> Result<Option<Answered>, Failure> {
        let sql = "SELECT body_hash, status, answer FROM deliveries WHERE id = $1";
        let row = sqlx::query(sql).bind(key).fetch_optional(&self.read).await.map_err(|error| failed(&error))?;
        Ok(row.map(|row| Answered {
            body_hash: text(&row, "body_hash"),
            status: u16::try_from(number(&row, "status")).unwrap_or(500),
            answer: text(&row, "answer"),
        }))
    }

    /// Forgets answers that nobody asks for again.
    pub(in crate::server) async fn forget_answers(&self, before_ms: i64) -> Result<u64, Failure> {
        let done = sqlx::query("DELETE FROM deliveries WHERE at_ms < $1").bind(before_ms).execute(&self.write).await;
        Ok(done.map_err(|error| failed(&error))?.rows_affected())
    }
}

/// Notes an answer with the change that it speaks of; says whether the key was free.
pub(in crate::server) async fn answer(change: &mut Change, key: &str, answered: &Answered) -> Result<bool, Failure> {
    let sql = "INSERT INTO deliveries (id, at_ms, body_hash, status, answer) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO NOTHING";
    let query = sqlx::query(sql).bind(key).bind(now()).bind(&answered.body_hash).bind(i64::from(answered.status));
    let done = query.bind(&answered.answer).execute(&mut **change).await.map_err(|error| failed(&error))?;
    Ok(done.rows_affected() == 1)
}
