//! What people do on pages: each form says the login's own word, so that no other site can send it.

use std::sync::Arc;

use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Refused, Viewer, render, see};
use crate::server::Shared;
use crate::server::access::{Role, Who, login};
use crate::server::api::once::Once;
use crate::server::api::{
    application_built, application_restored, application_seen, build_cancelled, build_retried, builds_seen,
};
use crate::server::http::body;
use crate::server::http::problem::Problem;

/// The most bytes of a form, which may hold an application.
const LARGEST: usize = 64 << 10;

/// What every form says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    csrf: String,
    /// Of the login.
    token: String,
    /// Where to go then.
    next: String,
    /// What is built.
    revision: String,
    /// What is brought back, or what is changed.
    pub(super) version: String,
    /// An application.
    pub(super) text: String,
}

/// What a form says, read no longer and no further than any other body.
pub(super) struct Form(pub(super) Said);

impl FromRequest<Arc<Shared>> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, _: &Arc<Shared>) -> Result<Self, Response> {
        let (head, stream) = request.into_parts();
        let said = async {
            let bytes = body::read(stream, LARGEST).await?;
            let read = axum::Form::from_request(Request::from_parts(head, bytes.into()), &()).await;
            read.map_err(|_| Problem::bad_request("the body is no form"))
        };
        said.await.map(|axum::Form(said)| Self(said)).map_err(|problem| Refused(problem).into_response())
    }
}

pub(super) async fn login_page(Query(said): Query<Said>) -> Result<Response, Refused> {
    let values = json!({ "title": "Log in", "who": "", "csrf": "", "next": local(&said.next), "wrong": false });
    let text = render("login.html", &values)?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}

pub(super) async fn log_in(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(said): Form,
) -> Result<Response, Refused> {
    // Nobody is logged in as somebody else without knowing.
    login::must_be_of_this_site(&headers)?;
    match login::log_in(&shared, &said.token).await {
        Ok(cookie) => Ok(([(header::SET_COOKIE, cookie)], see(&local(&said.next))).into_response()),
        Err(problem) if problem.status == 401 => {
            let values = json!({ "title": "Log in", "who": "", "csrf": "", "next": local(&said.next), "wrong": true });
            let text = render("login.html", &values)?;
            let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            Ok((axum::http::StatusCode::UNAUTHORIZED, kind, text).into_response())
        }
        Err(problem) => Err(problem.into()),
    }
}

/// A place of this server; anything else is no place to be sent to.
fn local(next: &str) -> String {
    let fits = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if fits { next.to_owned() } else { "/".to_owned() }
}

pub(super) async fn log_out(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    headers: HeaderMap,
    Form(said): Form,
) -> Result<Response, Refused> {
    login::must_be_ours(&who, &headers, &said.csrf)?;
    let cookie = login::log_out(&shared, &headers).await?;
    Ok(([(header::SET_COOKIE, cookie)], see("/login")).into_response())
}

pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(said): Form,
) -> Result<Response, Refused> {
    let (build, _) = builds_seen(&shared, &who, &id).await?;
    may(&who, &headers, &said, Role::Builder, &build.product_line)?;
    build_cancelled(&shared, &build, &who.name, "on the page").await?;
    Ok(see(&format!("/builds/{}", build.id)))
}

pub(super) async fn retry(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(said): Form,
) -> Result<Response, Refused> {
    let (build, _) = builds_seen(&shared, &who, &id).await?;
    may(&who, &headers, &said, Role::Builder, &build.product_line)?;
    let again = build_retried(&shared, &build, &who.name, &Once::unnamed()).await?;
    Ok(see(&format!("/builds/{}", again.id)))
}

pub(super) async fn build(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    headers: HeaderMap,
    Path((product_line, name)): Path<(String, String)>,
    Form(said): Form,
) -> Result<Response, Refused> {
    let stored = application_seen(&shared, &who, &product_line, &name).await?;
    may(&who, &headers, &said, Role::Builder, &product_line)?;
    let build = application_built(&shared, &stored, &said.revision, ("page", &who.name), &Once::unnamed()).await?;
    Ok(see(&format!("/builds/{}", build.id)))
}

pub(super) async fn restore(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    headers: HeaderMap,
    Path((product_line, name)): Path<(String, String)>,
    Form(said): Form,
) -> Result<Response, Refused> {
    may(&who, &headers, &said, Role::Admin, &product_line)?;
    application_restored(&shared, &who.name, &product_line, &name, &said.version).await?;
    let stored = application_seen(&shared, &who, &product_line, &name).await?;
    Ok(see(&format!("/applications/{}/{}", stored.product_line, stored.name)))
}

pub(super) fn may(who: &Who, headers: &HeaderMap, said: &Said, role: Role, product_line: &str) -> Result<(), Problem> {
    login::must_be_ours(who, headers, &said.csrf)?;
    who.must_in(role, product_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(local("/builds/b1?x=1"), "/builds/b1?x=1");
        for away in ["https://evil.example", "//evil.example", "/\\evil.example", "", "/a\r\nSet-Cookie: x"] {
            assert_eq!(local(away), "/", "{away}");
        }
    }
}
