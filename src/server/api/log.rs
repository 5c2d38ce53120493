//! A build's log as text, or a range of its bytes (RFC 9110, 14).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::Stream;

use super::super::Shared;
use super::super::access::Who;
use super::super::http::problem::Problem;
use super::Path;
use super::builds::seen;
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::BuildId;

/// What is in memory of it at a time.
const PIECE: u64 = 256 << 10;

pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    who: Who,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (_, id) = seen(&shared, &who, &id).await?;
    let size = shared.logs.size(&id).await;
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).and_then(|text| range(text, size));
    let (status, from, to) = match asked {
        Some(Ok((from, to))) => (StatusCode::PARTIAL_CONTENT, from, to),
        Some(Err(())) => {
            let problem = Problem::new(416, "range_not_satisfiable", &format!("the log has {size} bytes"));
            return Ok(([(header::CONTENT_RANGE, format!("bytes */{size}"))], problem).into_response());
        }
        None => (StatusCode::OK, 0, size),
    };
    let name = format!("inline; filename=\"{id}.log\"");
    let mut response = (status, Body::from_stream(pieces(shared, id, from, to))).into_response();
    let values = [
        (header::CONTENT_LENGTH, (to - from).to_string()),
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CONTENT_RANGE, format!("bytes {from}-{}/{size}", to.saturating_sub(1))),
    ];
    for (name, value) in values {
        if name != header::CONTENT_RANGE || status == StatusCode::PARTIAL_CONTENT {
            // A type that the bytes brought along goes.
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
    }
    Ok(response)
}

/// A part of a log, piece by piece as they are taken; a log that is removed meanwhile breaks off.
fn pieces(
    shared: Arc<Shared>,
    id: BuildId,
    from: u64,
    to: u64,
) -> impl Stream<Item = Result<Vec<u8>, Failure>> + Send + 'static {
    futures_util::stream::try_unfold(from, move |at| {
        let (shared, id) = (Arc::clone(&shared), id.clone());
        async move {
            if at >= to {
                return Ok(None);
            }
            let piece = shared.logs.bytes(&id, at, to.min(at + PIECE)).await?;
            if piece.is_empty() {
                return Err(Failure::new(FailureCode::Internal, "the log is gone"));
            }
            let next = at + piece.len() as u64;
            Ok(Some((piece, next)))
        }
    })
}

/// The first and one past the last byte of a range; an error where there are none, nothing where it is not understood.
fn range(text: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (from, to) = match (from, to) {
        ("", to) => (size.saturating_sub(number(to)?), size),
        (from, "") => (number(from)?, size),
        (from, to) => (number(from)?, number(to)?.checked_add(1)?.min(size)),
    };
    if from >= size || from >= to {
        return Some(Err(()));
    }
    Some(Ok((from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        assert_eq!(range("bytes=0-9", 100), Some(Ok((0, 10))));
        assert_eq!(range("bytes=90-", 100), Some(Ok((90, 100))));
        assert_eq!(range("bytes=-10", 100), Some(Ok((90, 100))));
        assert_eq!(range("bytes=90-1000", 100), Some(Ok((90, 100))));
        assert_eq!(range("bytes=100-", 100), Some(Err(())));
        assert_eq!(range("bytes=9-1", 100), Some(Err(())));
        for not in ["lines=0-1", "bytes=0-1,3-4", "bytes=a-b", "bytes=--1", "bytes=+1-2"] {
            assert_eq!(range(not, 100), None, "{not}");
        }
    }
}
