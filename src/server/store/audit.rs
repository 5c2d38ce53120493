//! Who changed what, and when.

use serde::Serialize;

use super::{Change, Store, failed, now, text, time};
use crate::model::failure::Failure;

/// A change that somebody made.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(in crate::server) struct Entry {
    /// What `before` takes to get what was changed earlier.
    pub(in crate::server) id: String,
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

/// Which changes are wanted; empty texts are no condition.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Wanted {
    pub(in crate::server) who: String,
    pub(in crate::server) action: String,
    pub(in crate::server) object: String,
    /// Made before this one.
    pub(in crate::server) before: String,
    pub(in crate::server) limit: i64,
}

impl Store {
    /// Whether there is an entry of this id.
    pub(in crate::server) async fn is_noted(&self, id: &str) -> Result<bool, Failure> {
        let row = sqlx::query("SELECT id FROM audit WHERE id = $1").bind(id).fetch_optional(&self.read).await;
        Ok(row.map_err(|error| failed(&error))?.is_some())
    }

    /// Changes, newest first.
    pub(in crate::server) async fn audit(&self, wanted: &Wanted) -> Result<Vec<Entry>, Failure> {
        let sql = "SELECT * FROM audit WHERE ($1 = '' OR who = $1) AND ($2 = '' OR action = $2) AND ($3 = '' OR object = $3) \
             AND ($4 = '' OR (at_ms, id) < (SELECT at_ms, id FROM audit WHERE id = $4)) \
             ORDER BY at_ms DESC, id DESC LIMIT $5";
        let query = sqlx::query(sql).bind(&wanted.who).bind(&wanted.action).bind(&wanted.object);
        let rows = query.bind(&wanted.before).bind(wanted.limit).fetch_all(&self.read).await;
        let rows = rows.map_err(|error| failed(&error))?;
        let entry = |row| Entry {
            id: text(row, "id"),
            at: time(super::number(row, "at_ms")),
            who: text(row, "who"),
            action: text(row, "action"),
            object: text(row, "object"),
            detail: text(row, "detail"),
        };
        Ok(rows.iter().map(entry).collect())
    }
}
