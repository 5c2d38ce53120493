//! Tokens: listed, made, ended.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Shared;
use super::super::access::{Role, Who, new_token};
use super::super::http::json;
use super::super::http::problem::Problem;
use super::super::store::tokens::{self, Token};
use super::super::store::{self, commit, milliseconds, now, time};
use super::openapi::Endpoint;
use super::{Path, endpoint, json_body};
use crate::config::duration;
use crate::model::names::ProductLine;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint("get", "/api/v1/tokens", "listTokens", "List tokens, without what they say", list)
            .needs(Role::Admin)
            .answers::<Vec<TokenView>>(200),
        endpoint("post", "/api/v1/tokens", "createToken", "Make a token; it is shown this once", create)
            .needs(Role::Admin)
            .body::<Wanted>()
            .answers::<Made>(201),
        endpoint("delete", "/api/v1/tokens/{id}", "removeToken", "End a token and its logins", remove)
            .needs(Role::Admin)
            .says(204, ""),
    ]
}

/// A token, without what it says.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct TokenView {
    /// Its id.
    id: String,
    /// Whose it is, or what for; the audit log shows it.
    name: String,
    /// `reader`, `builder` or `admin`.
    role: String,
    /// The product line that it is for; `*` for all.
    product_line: String,
    /// RFC 3339, UTC.
    created_at: String,
    /// RFC 3339, UTC; empty for never.
    expires_at: String,
}

impl TokenView {
    fn of(token: Token) -> Self {
        Self {
            created_at: time(token.created_ms),
            expires_at: time(token.expires_ms),
            id: token.id,
            name: token.name,
            role: token.role,
            product_line: token.product_line,
        }
    }
}

/// A token that is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Whose it is, or what for.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// What it may be used for.
    role: Role,
    /// The product line that it is for; all if absent.
    product_line: Option<ProductLine>,
    /// How long it counts: `90d`; for ever if absent.
    lasts: Option<String>,
}

/// A token, and what it says.
#[derive(Debug, Serialize, JsonSchema)]
struct Made {
    /// What is sent as `Authorization: Bearer …`.
    token: String,
    /// What is kept of it.
    kept: TokenView,
}

fn everywhere(who: &Who) -> Result<(), Problem> {
    who.must_in(Role::Admin, "*")
}

async fn list(State(shared): State<Arc<Shared>>, who: Who) -> Result<Response, Problem> {
    everywhere(&who)?;
    let tokens = shared.store.tokens().await?;
    Ok(json(StatusCode::OK, &tokens.into_iter().map(TokenView::of).collect::<Vec<_>>()))
}

async fn create(State(shared): State<Arc<Shared>>, who: Who, request: Request) -> Result<Response, Problem> {
    everywhere(&who)?;
    let wanted: Wanted = json_body(request.into_body()).await?;
    if wanted.name.is_empty() || wanted.name.chars().count() > 100 || wanted.name.chars().any(char::is_control) {
        return Err(Problem::bad_request("`name` has 1 to 100 characters"));
    }
    let lasts = wanted.lasts.as_deref().map(duration::parse).transpose();
    let lasts = lasts.map_err(|error| Problem::bad_request(&format!("`lasts`: {error}")))?;
    let expires = match lasts {
        Some(lasts) if lasts <= Duration::from_hours(100 * 365 * 24) => now() + milliseconds(lasts),
        Some(_) => return Err(Problem::bad_request("`lasts` is a hundred years at most")),
        None => 0,
    };
    let product_line = wanted.product_line.map_or_else(|| "*".to_owned(), |name| name.to_string());
    let (token, text) = new_token(&shared.store, &who.name, &wanted.name, wanted.role, &product_line, expires).await?;
    Ok(json(StatusCode::CREATED, &Made { token: text, kept: TokenView::of(token) }))
}

async fn remove(State(shared): State<Arc<Shared>>, who: Who, Path(id): Path<String>) -> Result<Response, Problem> {
    everywhere(&who)?;
    let mut change = shared.store.change().await?;
    if !tokens::remove(&mut change, &id).await? {
        return Err(Problem::not_found("there is no such token"));
    }
    store::audit::note(&mut change, &who.name, "token.remove", &id, "").await?;
    commit(change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
