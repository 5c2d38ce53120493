//! What went wrong, as `application/problem+json` (RFC 9457) with a code that stays the same.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::failure::{Blame, Failure, FailureCode, Place};

/// An answer that is none.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(in crate::server) struct Problem {
    /// The status of the answer.
    pub(in crate::server) status: u16,
    /// The stable code.
    pub(in crate::server) code: String,
    /// What happened, one or two sentences.
    pub(in crate::server) title: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(in crate::server) hint: String,
    /// The fields that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::server) places: Vec<Place>,
}

impl Problem {
    pub(in crate::server) fn new(status: u16, code: &str, title: &str) -> Self {
        Self { status, code: code.to_owned(), title: title.to_owned(), hint: String::new(), places: Vec::new() }
    }

    pub(in crate::server) fn bad_request(title: &str) -> Self {
        Self::new(400, "request_invalid", title)
    }

    pub(in crate::server) fn unauthorized(title: &str) -> Self {
        Self::new(401, "unauthorized", title)
    }

    pub(in crate::server) fn forbidden(title: &str) -> Self {
        Self::new(403, "forbidden", title)
    }

    pub(in crate::server) fn not_found(title: &str) -> Self {
        Self::new(404, "not_found", title)
    }

    pub(in crate::server) fn conflict(title: &str) -> Self {
        Self::new(409, "conflict", title)
    }

    pub(in crate::server) fn too_many() -> Self {
        Self::new(429, "too_many_requests", "too many requests; ask again in a second")
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match failure.code {
            FailureCode::IdReused => 409,
            FailureCode::SourceForbidden => 403,
            FailureCode::ConfigurationInvalid => 500,
            _ if failure.retryable => 503,
            _ if failure.blame == Blame::Request => 400,
            FailureCode::Cancelled => 503,
            _ => 422,
        };
        Self {
            status,
            code: failure.code.name().to_owned(),
            title: failure.message,
            hint: failure.hint,
            places: failure.places,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], text).into_response();
        let more = match self.status {
            401 => Some((header::WWW_AUTHENTICATE, "Bearer")),
            429 | 503 => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        response.headers_mut().extend(more.map(|(name, value)| (name, HeaderValue::from_static(value))));
        // What is left of the body is not read.
        if matches!(self.status, 408 | 413) || self.code == "busy" {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
