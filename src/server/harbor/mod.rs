//! Harbor's notifications: `POST /webhooks/harbor`, shown on the application's page.

mod payload;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::http::client::Client;
use super::http::problem::Problem;
use super::http::{body, json};
use super::{Shared, hash};
use payload::Payload;

/// The most that a notification has: a push of many tags names them all.
const LARGEST: usize = 1 << 20;

/// Takes a notification. It says what was, and starts nothing.
pub(super) async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (head, stream) = request.into_parts();
    if let Err(refused) = authentic(&shared, &head.headers).await {
        let client = head.extensions.get::<Client>();
        let limited = client.is_some_and(|Client(address)| !shared.limiter.takes(*address));
        return Err(if limited { Problem::too_many() } else { refused });
    }
    let raw = body::read(stream, LARGEST).await?;
    let payload: Payload = serde_json::from_slice(&raw).map_err(|_| {
        Problem::bad_request("the body is not what Harbor sends: JSON of an event, in the default format")
    })?;
    let notices = payload.notices(&hash(&raw));
    shared.store.note_registry(&notices).await?;
    Ok(json(StatusCode::OK, &json!({ "noted": notices.len() })))
}

/// Harbor sends the policy's header as it stands there; it is compared in the same time whatever differs.
async fn authentic(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    let shown = headers.get(header::AUTHORIZATION).map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
    let shown = Sha256::digest(shown);
    let (current, mut known) = (shared.current(), false);
    for name in &current.config.server.harbor.webhook_secrets {
        match crate::secrets::proof(&current.config, name, "*").await {
            Ok(secret) if !secret.is_empty() => known |= bool::from(Sha256::digest(secret).ct_eq(&shown)),
            Ok(_) => tracing::error!(name, "a webhook's secret is empty"),
            Err(failure) => tracing::error!(error = %failure, "a webhook's secret is missing"),
        }
    }
    if known { Ok(()) } else { Err(Problem::unauthorized("the `Authorization` header is not one that is known here")) }
}
