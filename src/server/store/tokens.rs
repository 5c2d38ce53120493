//! API tokens and logins: only their hashes are kept.

use sqlx::any::AnyRow;

use super::{Change, Store, failed, now, number, text};
use crate::model::failure::Failure;

/// A token, without what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::server) struct Token {
    pub(in crate::server) id: String,
    pub(in crate::server) name: String,
    pub(in crate::server) role: String,
    /// `*` for all.
    pub(in crate::server) product_line: String,
    pub(in crate::server) created_ms: i64,
    /// 0 for never.
    pub(in crate::server) expires_ms: i64,
}

impl Token {
    fn read(row: &AnyRow) -> Self {
        Self {
            id: text(row, "id"),
            name: text(row, "name"),
            role: text(row, "role"),
            product_line: text(row, "product_line"),
            created_ms: number(row, "created_ms"),
            expires_ms: number(row, "expires_ms"),
        }
    }
}

impl Store {
    /// The token of a hash, while it counts.
    pub(in crate::server) async fn token(&self, hash: &str) -> Result<Option<Token>, Failure> {
        let sql = "SELECT * FROM tokens WHERE hash = $1 AND (expires_ms = 0 OR expires_ms > $2)";
        let row = sqlx::query(sql).bind(hash).bind(now()).fetch_optional(&self.read).await;
        Ok(row.map_err(|error| failed(&error))?.as_ref().map(Token::read))
    }

    /// The token of a login, while both count, with the login's own word against forgeries.
    pub(in crate::server) async fn session(&self, hash: &str) -> Result<Option<(Token, String)>, Failure> {
        let sql = "SELECT tokens.*, sessions.csrf FROM sessions JOIN tokens ON tokens.id = sessions.token \
             WHERE sessions.hash = $1 AND sessions.expires_ms > $2 AND (tokens.expires_ms = 0 OR tokens.expires_ms > $2)";
        let row = sqlx::query(sql).bind(hash).bind(now()).fetch_optional(&self.read).await;
        Ok(row.map_err(|error| failed(&error))?.as_ref().map(|row| (Token::read(row), text(row, "csrf"))))
    }

    /// Every token, newest first.
    pub(in crate::server) async fn tokens(&self) -> Result<Vec<Token>, Failure> {
        let sql = "SELECT * FROM tokens ORDER BY created_ms DESC, id DESC LIMIT 1000";
        let rows = sqlx::query(sql).fetch_all(&self.read).await.map_err(|error| failed(&error))?;
        Ok(rows.iter().map(Token::read).collect())
    }

    /// Ends a login, and those that are over.
    pub(in crate::server) async fn log_out(&self, hash: &str) -> Result<(), Failure> {
        let query = sqlx::query("DELETE FROM sessions WHERE hash = $1 OR expires_ms < $2").bind(hash).bind(now());
        query.execute(&self.write).await.map(drop).map_err(|error| failed(&error))
    }
}

/// Keeps a token.
pub(in crate::server) async fn add(change: &mut Change, token: &Token, hash: &str) -> Result<(), Failure> {
    let sql = "INSERT INTO tokens (id, hash, name, role, product_line, created_ms, expires_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let query = sqlx::query(sql).bind(&token.id).bind(hash).bind(&token.name).bind(&token.role);
    let query = query.bind(&token.product_line).bind(token.created_ms).bind(token.expires_ms);
    query.execute(&mut **change).await.map(drop).map_err(|error| failed(&error))
}

/// Ends a token and its logins, and says whether there was one.
pub(in crate::server) async fn remove(change: &mut Change, id: &str) -> Result<bool, Failure> {
    for sql in ["DELETE FROM sessions WHERE token = $1", "DELETE FROM tokens WHERE id = $1"] {
        let done = sqlx::query(sql).bind(id).execute(&mut **change).await.map_err(|error| failed(&error))?;
        if sql.contains("FROM tokens") {
            return Ok(done.rows_affected() == 1);
        }
    }
    Ok(false)
}

/// Keeps a login.
pub(in crate::server) async fn log_in(
    change: &mut Change,
    hash: &str,
    token: &str,
    csrf: &str,
    expires_ms: i64,
) -> Result<(), Failure> {
    let sql = "INSERT INTO sessions (hash, token, csrf, expires_ms) VALUES ($1, $2, $3, $4)";
    let query = sqlx::query(sql).bind(hash).bind(token).bind(csrf).bind(expires_ms);
    query.execute(&mut **change).await.map(drop).map_err(|error| failed(&error))
}
