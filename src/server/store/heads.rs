//! Where GitLab showed an application's references the last time that it was asked.

use std::collections::HashMap;

use super::{Change, Store, failed, number, text};
use crate::model::failure::Failure;

/// Where a reference was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Head {
    pub(in crate::server) commit: String,
    /// Nothing is to be done about it any more.
    pub(in crate::server) settled: bool,
}

impl Store {
    /// The heads of an application, by their reference.
    pub(in crate::server) async fn heads(
        &self,
        product_line: &str,
        application: &str,
    ) -> Result<HashMap<String, Head>, Failure> {
        let sql = "SELECT reference, commit_id, settled FROM heads WHERE product_line = $1 AND application = $2";
        let rows = sqlx::query(sql).bind(product_line).bind(application).fetch_all(&self.read).await;
        let head = |row| Head { commit: text(row, "commit_id"), settled: number(row, "settled") > 0 };
        Ok(rows.map_err(|error| failed(&error))?.iter().map(|row| (text(row, "reference"), head(row))).collect())
    }
}

/// Notes where a reference is.
pub(in crate::server) async fn note(
    change: &mut Change,
    product_line: &str,
    application: &str,
    reference: &str,
    head: &Head,
) -> Result<(), Failure> {
    let sql = "INSERT INTO heads (product_line, application, reference, commit_id, settled) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (product_line, application, reference) DO UPDATE SET commit_id = $4, settled = $5";
    let query = sqlx::query(sql).bind(product_line).bind(application).bind(reference).bind(&head.commit);
    query.bind(i64::from(head.settled)).execute(&mut **change).await.map(drop).map_err(|error| failed(&error))
}
