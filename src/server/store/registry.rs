//! What the registry said of images.

use super::{Store, failed, number, text};
use crate::model::failure::Failure;

/// A notification of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Notice {
    /// What tells it from its repetition.
    pub(in crate::server) id: String,
    pub(in crate::server) at_ms: i64,
    pub(in crate::server) product_line: String,
    /// The application; empty for what concerns all of the product line.
    pub(in crate::server) application: String,
    /// `PUSH_ARTIFACT`, `SCANNING_COMPLETED` …
    pub(in crate::server) kind: String,
    /// The image's tag or digest.
    pub(in crate::server) image: String,
    /// What there is to say of it.
    pub(in crate::server) words: String,
}

impl Store {
    /// Keeps notices; those that came before are kept once.
    pub(in crate::server) async fn note_registry(&self, notices: &[Notice]) -> Result<(), Failure> {
        let sql = "INSERT INTO registry_events (id, at_ms, product_line, application, kind, image, words) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
        let mut change = self.change().await?;
        for notice in notices {
            let query = sqlx::query(sql).bind(&notice.id).bind(notice.at_ms).bind(&notice.product_line);
            let query = query.bind(&notice.application).bind(&notice.kind).bind(&notice.image).bind(&notice.words);
            query.execute(&mut *change).await.map_err(|error| failed(&error))?;
        }
        super::commit(change).await
    }

    /// What the registry last said of an application and its product line, newest first.
    pub(in crate::server) async fn registry_notices(
        &self,
        product_line: &str,
        application: &str,
        limit: i64,
    ) -> Result<Vec<Notice>, Failure> {
        let sql = "SELECT id, at_ms, product_line, application, kind, image, words FROM registry_events \
             WHERE product_line = $1 AND (application = $2 OR application = '') ORDER BY at_ms DESC, id LIMIT $3";
        let query = sqlx::query(sql).bind(product_line).bind(application).bind(limit);
        let rows = query.fetch_all(&self.read).await.map_err(|error| failed(&error))?;
        let notice = |row| Notice {
            id: text(row, "id"),
            at_ms: number(row, "at_ms"),
            product_line: text(row, "product_line"),
            application: text(row, "application"),
            kind: text(row, "kind"),
            image: text(row, "image"),
            words: text(row, "words"),
        };
        Ok(rows.iter().map(notice).collect())
    }

    /// Forgets notices of long ago.
    pub(in crate::server) async fn forget_registry(&self, before_ms: i64) -> Result<u64, Failure> {
        let done =
            sqlx::query("DELETE FROM registry_events WHERE at_ms < $1").bind(before_ms).execute(&self.write).await;
        Ok(done.map_err(|error| failed(&error))?.rows_affected())
    }
}
