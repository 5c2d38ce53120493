//! Logins of the page: a token is shown once, and a cookie stands for it from then on.

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq as _;

use super::super::http::problem::Problem;
use super::super::store::{self, commit, milliseconds, now, tokens};
use super::super::{Shared, hash};
use super::{Who, random};
use crate::model::failure::Failure;

/// The cookie's name; by TLS alone where people come by TLS (RFC 6265bis, "The `__Host-` prefix").
pub(in crate::server) fn cookie_name(shared: &Shared) -> &'static str {
    if is_secure(shared) { "__Host-slipway" } else { "slipway" }
}

fn is_secure(shared: &Shared) -> bool {
    shared.url().starts_with("https://")
}

/// The value of the login's cookie.
fn cookie<'a>(shared: &Shared, headers: &'a HeaderMap) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(shared)).map(|(_, value)| value)
}

/// Who is logged in.
pub(in crate::server) async fn of(shared: &Shared, headers: &HeaderMap) -> Result<Option<Who>, Failure> {
    let Some(cookie) = cookie(shared, headers) else { return Ok(None) };
    let found = shared.store.session(&hash(cookie.as_bytes())).await?;
    Ok(found.map(|(token, csrf)| Who::of(token, Some(csrf))))
}

/// Logs in with a token, and gives the line that sets the cookie.
pub(in crate::server) async fn log_in(shared: &Shared, token: &str) -> Result<String, Problem> {
    let token = shared.store.token(&hash(token.trim().as_bytes())).await?;
    let token = token.ok_or_else(|| Problem::unauthorized("the token is unknown or over"))?;
    let (secret, lasts) = (random(), shared.config.server.session);
    let mut change = shared.store.change().await?;
    let expires = now() + milliseconds(lasts);
    tokens::log_in(&mut change, &hash(secret.as_bytes()), &token.id, &random(), expires).await?;
    store::audit::note(&mut change, &token.name, "login", &token.id, "").await?;
    commit(change).await?;
    Ok(set_cookie(shared, &secret, lasts.as_secs()))
}

/// Ends the login, and gives the line that removes the cookie.
pub(in crate::server) async fn log_out(shared: &Shared, headers: &HeaderMap) -> Result<String, Problem> {
    if let Some(cookie) = cookie(shared, headers) {
        shared.store.log_out(&hash(cookie.as_bytes())).await?;
    }
    Ok(set_cookie(shared, "", 0))
}

fn set_cookie(shared: &Shared, value: &str, seconds: u64) -> String {
    let secure = if is_secure(shared) { "; Secure" } else { "" };
    format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}", cookie_name(shared))
}

/// Refuses a form that a browser sends for a page of another site (Fetch Metadata).
pub(in crate::server) fn must_be_of_this_site(headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(forged());
    }
    Ok(())
}

fn forged() -> Problem {
    Problem::forbidden("the form is not one of this login's; load the page again")
}

/// Refuses a form that does not come from a page of ours: it has to say the login's own word.
pub(in crate::server) fn must_be_ours(who: &Who, headers: &HeaderMap, said: &str) -> Result<(), Problem> {
    must_be_of_this_site(headers)?;
    let word = who.csrf.as_deref().ok_or_else(forged)?;
    if bool::from(word.as_bytes().ct_eq(said.as_bytes())) { Ok(()) } else { Err(forged()) }
}
