//! Connections and what holds for every request: times, sizes, headers.

pub(super) mod body;
pub(super) mod client;
mod patience;
pub(super) mod problem;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::store::outbox::Kind;
use super::{Shared, api, gitlab, harbor, pages};
use crate::model::failure::{Failure, FailureCode};
use crate::traces;
use client::{Client, Peer};
use patience::{PATIENCE, Patient};
use problem::Problem;

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);

/// The most bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;

/// The most header lines.
const HEAD_LINES: usize = 100;

/// Files that connections leave for builds, the history and the registry.
const OTHER_FILES: u64 = 256;

/// How long requests that run may take when the server goes.
const GRACE: Duration = Duration::from_secs(10);

/// Nothing of a page comes from elsewhere, and no script stands in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Begins to listen.
pub(super) async fn listen(shared: &Shared) -> Result<TcpListener, Failure> {
    let listen = shared.config.server.listen;
    let unusable = |error: std::io::Error| {
        Failure::new(FailureCode::ConfigurationInvalid, format!("`{listen}` cannot be listened at: {error}"))
            .hint("set `server.listen` to a free port")
    };
    let listener = TcpListener::bind(listen).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let _ = shared.address.set(address);
    if !address.ip().is_loopback() && !shared.url().starts_with("https://") {
        tracing::warn!(%address, "others than this machine may connect, and `server.url` names no TLS: tokens travel in the clear");
    }
    tracing::info!(%address, "the server answers");
    Ok(listener)
}

/// Answers until it is told to stop; requests that run then are answered still.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener, stop: CancellationToken) {
    let routes = routes(&shared);
    let places = Arc::new(Semaphore::new(places(shared.config.server.connections)));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.cancelled() => break,
        };
        let Some((stream, address, place)) = accepted else { continue };
        let peer = Peer(address.ip());
        // Around all of them at once: a layer on each route would be made anew for each connection.
        let service = Router::new().fallback_service(routes.clone()).layer(axum::Extension(peer));
        // Who may speak either version is waited for without end until the first bytes tell which.
        let mut builder = Builder::new(hyper_util::rt::TokioExecutor::new()).http1_only();
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEAD_LINES);
        let stream = TokioIo::new(Patient::new(stream, PATIENCE));
        let connection = builder.serve_connection(stream, TowerToHyperService::new(service)).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

/// How many connections may be open: no more than there are files for, or builds and the history would run out of them.
fn places(wanted: usize) -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most =
        files.map_or(usize::MAX, |files| usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX));
    if most < wanted {
        tracing::info!(
            wanted,
            most,
            "fewer connections are answered at a time than `server.connections` says: files may not be more"
        );
    }
    wanted.min(most).max(1)
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, address, place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            // Files have run out, perhaps; they come back when connections end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

fn routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(pages::routes())
        .layer(from_fn_with_state(Arc::clone(shared), limit))
        // All that a GitLab sends comes from one address, and it gives up a webhook that is refused often: these count
        // only those that they do not know.
        .merge(
            Router::new()
                .route("/webhooks/gitlab", post(gitlab::hook::receive))
                .route("/webhooks/harbor", post(harbor::receive))
                .route_layer(from_fn_with_state(Arc::clone(shared), count)),
        )
        .layer(from_fn_with_state(Arc::clone(shared), guard))
        // What machines ask is answered however many ask.
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(shared))
}

/// No address asks more than it may.
async fn limit(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    match request.extensions().get::<Client>() {
        Some(Client(address)) if !shared.limiter.takes(*address) => Problem::too_many().into_response(),
        _ => next.run(request).await,
    }
}

/// Counts how webhooks were answered: a sender that is refused again and again gives them up.
async fn count(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let sender = if request.uri().path().ends_with("/harbor") { "harbor" } else { "gitlab" };
    let response = next.run(request).await;
    shared.metrics.webhook(sender, response.status().as_u16());
    response
}

/// What holds for every request.
async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    if let Some(client) = client::of(&request, &shared.config.server.trusted_proxies) {
        request.extensions_mut().insert(client);
    }
    let span = span(&request);
    let mut response = next.run(request).instrument(span).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED && response.headers().get(header::CONTENT_TYPE).is_none() {
        let allow = response.headers().get(header::ALLOW).cloned();
        response = Problem::new(405, "method_not_allowed", "this address is not asked so").into_response();
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// What a trace shows of a request that changes something.
fn span(request: &Request) -> tracing::Span {
    if request.method().is_safe() {
        return tracing::Span::none();
    }
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let name = format!("{} {route}", request.method());
    let span = tracing::info_span!(target: traces::TARGET, "request", otel.name = name, otel.kind = "server");
    traces::follow(&span, request.headers().get(traces::HEADER).and_then(|value| value.to_str().ok()));
    span
}

async fn live(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    answer(shared.health.live())
}

async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    match shared.health.ready() {
        Ok(()) => answer(shared.store.alive().await.map_err(|failure| failure.message)),
        not => answer(not),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if let Err(failure) = waiting(&shared).await {
        // What the process itself counts is told also without the database.
        tracing::warn!(error = %failure, "what waits is not counted");
    }
    ([(header::CONTENT_TYPE, kind)], shared.metrics.text()).into_response()
}

/// Counts what waits, in the history.
async fn waiting(shared: &Shared) -> Result<(), Failure> {
    shared.metrics.queued(shared.store.count_queued().await?);
    for kind in [Kind::Status, Kind::Note] {
        shared.metrics.untold(kind.name(), shared.store.count_untold(kind).await?);
    }
    Ok(())
}

fn answer(state: Result<(), String>) -> (StatusCode, String) {
    match state {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// JSON that is written already.
pub(super) fn json_text(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A value as JSON.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    json_text(status, serde_json::to_string(value).unwrap_or_default())
}
