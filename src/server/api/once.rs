//! Requests that come again: the same request under the same `Idempotency-Key` is answered as before, and does no more.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::super::access::Who;
use super::super::http::json_text;
use super::super::http::problem::Problem;
use super::super::store::Change;
use super::super::store::deliveries::{self, Answered};
use super::super::{Shared, hash};

/// What the header does, for the description of the API.
pub(super) const HEADER: (&str, &str) = ("Idempotency-Key", "The same key with the same request is answered as before");

/// The longest part of a key that counts.
const LONGEST: usize = 200;

/// A request that may come again.
#[derive(Debug)]
pub(in crate::server) struct Once {
    /// Absent where its sender named none.
    key: Option<String>,
    asked: String,
}

impl Once {
    /// What its sender says of it; `asked` is all that it asks for.
    pub(super) fn of(headers: &HeaderMap, who: &Who, asked: &[u8]) -> Self {
        let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).filter(|key| !key.is_empty());
        let key = key.map(|key| format!("api:{}:{}", who.name, key.chars().take(LONGEST).collect::<String>()));
        Self { key, asked: hash(asked) }
    }

    /// A request that does not come again by itself, as of a page.
    pub(in crate::server) fn unnamed() -> Self {
        Self { key: None, asked: String::new() }
    }

    /// The answer that it had before.
    ///
    /// # Errors
    /// 409 where another request came under its key.
    pub(super) async fn before(&self, shared: &Shared) -> Result<Option<Response>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let Some(answered) = shared.store.answered(key).await? else { return Ok(None) };
        if answered.body_hash != self.asked {
            return Err(Problem::conflict("another request came under the same `Idempotency-Key` before"));
        }
        let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::OK);
        Ok(Some(json_text(status, answered.answer)))
    }

    /// Keeps the answer, of something that was made, with the change that it speaks of.
    ///
    /// # Errors
    /// 409 where the same request is answered at this moment.
    pub(super) async fn keep(&self, change: &mut Change, answer: &str) -> Result<(), Problem> {
        let Some(key) = &self.key else { return Ok(()) };
        let answered =
            Answered { body_hash: self.asked.clone(), status: StatusCode::CREATED.as_u16(), answer: answer.to_owned() };
        if deliveries::answer(change, key, &answered).await? {
            return Ok(());
        }
        Err(Problem::conflict("the same request is answered at this moment"))
    }
}
