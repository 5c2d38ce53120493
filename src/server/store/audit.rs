//! Who changed what, and when.

use serde::Serialize;

use super::{Change, Store, failed, now, text, time};
use crate::model::failure::Failure;

/// A change that somebody made.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(in crate::server) struct Entry {
    /// RFC 3339, UTC.
    pub(in crate::server) at: String,
    /// Who: a token's name, `gitlab`, or Slipway itself.
    pub(in crate::server) who: String,
    /// What was done.
    pub(in crate::server) action: String,
    /// To what.
    pub(in crate::server) object: String,
    /// What people should know of it.
    pub(in crate::server) detail: String,
}

/// Notes a change together with itself.
pub(in crate::server) async fn note(
    change: &mut Change,
    who: &str,
    action: &str,
    object: &str,
    detail: &str,
) -> Result<(), Failure> {
    tracing::info!(who, action, object, detail, "audit");
    let sql = "INSERT INTO audit (id, at_ms, who, action, object, detail) VALUES ($1, $2, $3, $4, $5, $6)";
    let query = sqlx::query(sql).bind(uuid::Uuid::now_v7().to_string()).bind(now()).bind(who);
    let query = query.bind(action).bind(object).bind(detail);
    query.execute(&mut **change).await.map(drop).map_err(|error| failed(&error))
}

impl Store {
    /// The last changes, newest first.
    pub(in crate::server) async fn audit(&self, limit: i64) -> Result<Vec<Entry>, Failure> {
        let sql = "SELECT * FROM audit ORDER BY at_ms DESC, id DESC LIMIT $1";
        let rows = sqlx::query(sql).bind(limit).fetch_all(&self.read).await.map_err(|error| failed(&error))?;
        let entry = |row| Entry {
            at: time(super::number(row, "at_ms")),
            who: text(row, "who"),
            action: text(row, "action"),
            object: text(row, "object"),
            detail: text(row, "detail"),
        };
        Ok(rows.iter().map(entry).collect())
    }
}
