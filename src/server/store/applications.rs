//! Applications and every version they had.

use sqlx::any::AnyRow;

use super::{Change, Store, escaped, failed, now, number, text};
use crate::model::failure::Failure;

/// An application as it was at some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::server) struct Stored {
    pub(in crate::server) product_line: String,
    pub(in crate::server) name: String,
    /// From 1.
    pub(in crate::server) version: i64,
    /// JSON; empty where it was removed.
    pub(in crate::server) body: String,
    pub(in crate::server) changed_ms: i64,
    pub(in crate::server) who: String,
}

impl Stored {
    fn read(row: &AnyRow) -> Self {
        Self {
            product_line: text(row, "product_line"),
            name: text(row, "name"),
            version: number(row, "version"),
            body: text(row, "body"),
            changed_ms: number(row, "changed_ms"),
            who: text(row, "who"),
        }
    }
}

impl Store {
    /// An application as it is.
    pub(in crate::server) async fn application(
        &self,
        product_line: &str,
        name: &str,
    ) -> Result<Option<Stored>, Failure> {
        let sql = "SELECT * FROM applications WHERE product_line = $1 AND name = $2";
        let row = sqlx::query(sql).bind(product_line).bind(name).fetch_optional(&self.read).await;
        Ok(row.map_err(|error| failed(&error))?.as_ref().map(Stored::read))
    }

    /// Every application, or those of a product line, by name.
    pub(in crate::server) async fn applications(&self, product_line: &str) -> Result<Vec<Stored>, Failure> {
        let sql = "SELECT * FROM applications WHERE $1 = '*' OR product_line = $1 ORDER BY product_line, name";
        let rows = sqlx::query(sql).bind(product_line).fetch_all(&self.read).await.map_err(|error| failed(&error))?;
        Ok(rows.iter().map(Stored::read).collect())
    }

    /// Some applications of a product line (`*` for all) with a text in name or repository, by name, after one of them.
    pub(in crate::server) async fn some_applications(
        &self,
        product_line: &str,
        search: &str,
        (after_line, after_name): (&str, &str),
        limit: i64,
    ) -> Result<Vec<Stored>, Failure> {
        let sql = "SELECT * FROM applications WHERE ($1 = '*' OR product_line = $1) AND (product_line, name) > ($2, $3) \
             AND (product_line || '/' || name LIKE $4 ESCAPE '!' OR repository LIKE $4 ESCAPE '!') \
             ORDER BY product_line, name LIMIT $5";
        // Names and repositories are kept in small letters.
        let search = format!("%{}%", escaped(&search.to_lowercase()));
        let query = sqlx::query(sql).bind(product_line).bind(after_line).bind(after_name).bind(search).bind(limit);
        let rows = query.fetch_all(&self.read).await.map_err(|error| failed(&error))?;
        Ok(rows.iter().map(Stored::read).collect())
    }

    /// The applications of a repository, by its path on its server.
    pub(in crate::server) async fn of_repository(&self, path: &str) -> Result<Vec<Stored>, Failure> {
        let sql = "SELECT * FROM applications WHERE repository = $1 ORDER BY product_line, name";
        let rows = sqlx::query(sql).bind(path).fetch_all(&self.read).await.map_err(|error| failed(&error))?;
        Ok(rows.iter().map(Stored::read).collect())
    }

    /// Every version of an application, newest first.
    pub(in crate::server) async fn versions(&self, product_line: &str, name: &str) -> Result<Vec<Stored>, Failure> {
        let sql =
            "SELECT * FROM application_versions WHERE product_line = $1 AND name = $2 ORDER BY version DESC LIMIT 1000";
        let rows = sqlx::query(sql).bind(product_line).bind(name).fetch_all(&self.read).await;
        Ok(rows.map_err(|error| failed(&error))?.iter().map(Stored::read).collect())
    }
}

/// An application as it is, with nobody else changing it until this change is written.
pub(in crate::server) async fn held(
    change: &mut Change,
    product_line: &str,
    name: &str,
) -> Result<Option<Stored>, Failure> {
    // Both databases give a row that is written to the one who writes, as it was written last.
    let sql = "UPDATE applications SET version = version WHERE product_line = $1 AND name = $2 RETURNING *";
    let row = sqlx::query(sql).bind(product_line).bind(name).fetch_optional(&mut **change).await;
    Ok(row.map_err(|error| failed(&error))?.as_ref().map(Stored::read))
}

/// The newest version's number; 0 where there was none.
pub(in crate::server) async fn newest(change: &mut Change, product_line: &str, name: &str) -> Result<i64, Failure> {
    let sql =
        "SELECT COALESCE(MAX(version), 0) AS version FROM application_versions WHERE product_line = $1 AND name = $2";
    let row = sqlx::query(sql).bind(product_line).bind(name).fetch_one(&mut **change).await;
    Ok(number(&row.map_err(|error| failed(&error))?, "version"))
}

/// Writes an application's next version; an empty body removes it.
pub(in crate::server) async fn put(change: &mut Change, new: &Stored, repository: &str) -> Result<(), Failure> {
    let sql = "INSERT INTO application_versions (product_line, name, version, body, changed_ms, who) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    let query = sqlx::query(sql).bind(&new.product_line).bind(&new.name).bind(new.version).bind(&new.body);
    query.bind(now()).bind(&new.who).execute(&mut **change).await.map_err(|error| failed(&error))?;
    let query = if new.body.is_empty() {
        sqlx::query("DELETE FROM applications WHERE product_line = $1 AND name = $2")
            .bind(&new.product_line)
            .bind(&new.name)
    } else {
        let sql = "INSERT INTO applications (product_line, name, repository, version, body, changed_ms, who) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (product_line, name) DO UPDATE SET repository = $3, \
             version = $4, body = $5, changed_ms = $6, who = $7";
        let query = sqlx::query(sql).bind(&new.product_line).bind(&new.name).bind(repository).bind(new.version);
        query.bind(&new.body).bind(now()).bind(&new.who)
    };
    query.execute(&mut **change).await.map(drop).map_err(|error| failed(&error))
}
