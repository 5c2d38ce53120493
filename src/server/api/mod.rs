//! `/api/v1`: what programs ask. Routes and their description are one table.

mod applications;
mod builds;
mod create;
mod events;
mod log;
pub(super) mod once;
pub(super) mod openapi;
mod overview;
mod tokens;
pub(super) mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, any, get, on};
use serde::de::DeserializeOwned;

use super::Shared;
use super::http::problem::Problem;
use super::http::{body, json_text};
use crate::message::MAX_BYTES;
use openapi::Endpoint;

// What pages do is what the API does.
pub(super) use applications::{built as application_built, restored as application_restored, seen as application_seen};
pub(super) use builds::{cancelled as build_cancelled, newer_like, retried as build_retried, seen as builds_seen};

/// Everything that is answered below `/api/v1`.
pub(super) fn routes() -> Router<Arc<Shared>> {
    let mut router = Router::new()
        .route("/api/v1/openapi.json", get(async || json_text(StatusCode::OK, openapi::document().to_string())))
        .route("/api/{*rest}", any(async || Problem::not_found("there is nothing at this address")));
    for endpoint in endpoints() {
        router = router.route(endpoint.path, endpoint.router);
    }
    router
}

/// All endpoints, in the order in which people read of them.
fn endpoints() -> Vec<Endpoint> {
    [builds::endpoints(), create::endpoints(), applications::endpoints(), tokens::endpoints(), overview::endpoints()]
        .into_iter()
        .flatten()
        .collect()
}

/// The query of a request; unknown keys are refused.
struct Query<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|error| Problem::bad_request(&error.body_text()))
    }
}

/// The parts of a request's path.
struct Path<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|_| Problem::not_found("there is nothing at this address"))
    }
}

/// A body of JSON, read strictly.
async fn json_body<T: DeserializeOwned>(stream: axum::body::Body) -> Result<T, Problem> {
    json_of(&body::read(stream, MAX_BYTES).await?)
}

/// A body of JSON, of which nothing need be said.
async fn json_body_or_default<T: DeserializeOwned + Default>(stream: axum::body::Body) -> Result<T, Problem> {
    let bytes = body::read(stream, MAX_BYTES).await?;
    if bytes.trim_ascii().is_empty() { Ok(T::default()) } else { json_of(&bytes) }
}

/// JSON, read strictly.
fn json_of<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        Problem::bad_request(&format!("the body is wrong at `{path}`: {}", error.inner()))
    })?;
    deserializer.end().map_err(|error| Problem::bad_request(&format!("the body is no JSON: {error}")))?;
    Ok(value)
}

/// JSON with a tag by which whoever asks again learns that nothing has changed (RFC 9110, 8.8.3).
fn tagged(headers: &HeaderMap, value: &impl serde::Serialize) -> Response {
    let text = serde_json::to_string(value).unwrap_or_default();
    let tag = etag(&text);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if known.split(',').any(|one| one.trim() == tag || one.trim() == "*") {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    ([(header::ETAG, tag), (header::CACHE_CONTROL, "private, no-cache".to_owned())], json_text(StatusCode::OK, text))
        .into_response()
}

/// The tag of a text.
fn etag(text: &str) -> String {
    format!("\"{}\"", &super::hash(text.as_bytes())[..32])
}

fn method(name: &str) -> MethodFilter {
    match name {
        "post" => MethodFilter::POST,
        "put" => MethodFilter::PUT,
        "delete" => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    }
}

/// An endpoint and its handler.
fn endpoint<H, T>(
    method_name: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: H,
) -> Endpoint
where
    H: axum::handler::Handler<T, Arc<Shared>>,
    T: 'static,
{
    Endpoint::new(method_name, path, id, summary, on(method(method_name), handler))
}
