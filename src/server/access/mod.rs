//! Who may do what: tokens, roles, logins.

pub(super) mod limits;
pub(super) mod login;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::problem::Problem;
use super::store::tokens::{self, Token};
use super::store::{self, Store, commit, now};
use super::{Shared, hash};
use crate::model::failure::Failure;

/// What a token may be used for; each may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// To look at everything.
    Reader,
    /// To ask for builds, and to cancel them.
    Builder,
    /// To change applications and tokens.
    Admin,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) role: Role,
    /// `*` for all.
    pub(super) product_line: String,
    /// The login's word against forgeries, where it is a login.
    pub(super) csrf: Option<String>,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Builder => "builder",
            Self::Admin => "admin",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "admin" => Self::Admin,
            "builder" => Self::Builder,
            _ => Self::Reader,
        }
    }
}

impl Who {
    fn of(token: Token, csrf: Option<String>) -> Self {
        Self { name: token.name, role: Role::of(&token.role), product_line: token.product_line, csrf }
    }

    /// Refuses whoever may not.
    pub(super) fn must(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        Err(Problem::forbidden(&format!("the token has the role `{}`; this needs `{}`", self.role.name(), role.name())))
    }

    /// Whether a product line is within reach.
    pub(super) fn sees(&self, product_line: &str) -> bool {
        self.product_line == "*" || self.product_line == product_line
    }

    /// Refuses whoever may not do it to this product line.
    pub(super) fn must_in(&self, role: Role, product_line: &str) -> Result<(), Problem> {
        self.must(role)?;
        if self.sees(product_line) {
            return Ok(());
        }
        Err(Problem::forbidden(&format!("the token is for the product line `{}` alone", self.product_line)))
    }
}

impl FromRequestParts<Arc<Shared>> for Who {
    type Rejection = Problem;

    /// By the token of the request; a login counts where nothing is changed.
    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        if let Some(token) = bearer(&parts.headers) {
            let token = shared.store.token(&hash(token.as_bytes())).await?;
            let token = token.ok_or_else(|| Problem::unauthorized("the token is unknown or over"))?;
            return Ok(Self::of(token, None));
        }
        if matches!(parts.method, Method::GET | Method::HEAD)
            && let Some(who) = login::of(shared, &parts.headers).await?
        {
            return Ok(who);
        }
        Err(Problem::unauthorized("send a token: `Authorization: Bearer …`"))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Something that nobody guesses.
pub(super) fn random() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// Makes a token. What it says is shown once and kept nowhere.
pub(super) async fn new_token(
    store: &Store,
    who: &str,
    name: &str,
    role: Role,
    product_line: &str,
    expires_ms: i64,
) -> Result<(Token, String), Failure> {
    let text = format!("slipway_{}", random());
    let token = Token {
        id: uuid::Uuid::now_v7().to_string(),
        name: name.to_owned(),
        role: role.name().to_owned(),
        product_line: product_line.to_owned(),
        created_ms: now(),
        expires_ms,
    };
    let mut change = store.change().await?;
    tokens::add(&mut change, &token, &hash(text.as_bytes())).await?;
    store::audit::note(&mut change, who, "token.create", &token.id, &format!("{name} {} {product_line}", role.name()))
        .await?;
    commit(change).await?;
    Ok((token, text))
}

/// The first start prints a token that may everything.
pub(super) async fn first_token(shared: &Shared) -> Result<(), Failure> {
    if !shared.store.tokens().await?.is_empty() {
        return Ok(());
    }
    let (_, text) = new_token(&shared.store, "slipway", "first", Role::Admin, "*", 0).await?;
    // Not by the log, which is kept elsewhere for long.
    anstream::println!("admin token, shown this once: {text}");
    Ok(())
}
