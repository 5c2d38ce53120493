//! Bodies of requests: no larger and no slower than they may be.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};

use super::problem::Problem;

/// How long a body may take.
const TIME: Duration = Duration::from_secs(30);

/// Reads a body.
///
/// # Errors
/// 413 where it is larger, 408 where it takes too long, 400 where it breaks off.
pub(in crate::server) async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(TIME, to_bytes(body, limit)).await {
        Err(_) => Err(Problem::new(408, "too_slow", "the body took too long")),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_large(&error) => {
            Err(Problem::new(413, "too_large", &format!("the body has more than {limit} bytes")))
        }
        Ok(Err(_)) => Err(Problem::bad_request("the body broke off")),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}
