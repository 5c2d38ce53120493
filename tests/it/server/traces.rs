//! Traces: a collector hears of a request, its build, and the build's steps as parts of what the sender was doing.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use tokio::sync::watch;

use super::grown::{Database, site};
use super::site::{SECRET, Site, push};
use crate::support::fleet::{Fleet, Repository};

/// What whoever asks was doing (W3C Trace Context, section 3.2.2.6).
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector that keeps what it is told.
#[derive(Clone)]
struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
    told: watch::Sender<()>,
}

impl Collector {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { endpoint, spans: Arc::default(), told: watch::Sender::new(()) };
        let routes = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        collector
    }

    /// The span of this name that is a part of the trace, once it was told of.
    async fn span(&self, name: &str) -> Span {
        let mut told = self.told.subscribe();
        let found = async {
            loop {
                told.mark_unchanged();
                let spans = self.spans.lock().unwrap().clone();
                let ours = |span: &&Span| span.name == name && hex::encode(&span.trace_id) == TRACE;
                if let Some(span) = spans.iter().find(ours) {
                    return span.clone();
                }
                told.changed().await.unwrap();
            }
        };
        let patience = std::time::Duration::from_mins(1);
        let names = || self.spans.lock().unwrap().iter().map(|span| span.name.clone()).collect::<Vec<_>>();
        tokio::time::timeout(patience, found).await.unwrap_or_else(|_| panic!("no span `{name}` among {:?}", names()))
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).expect("spans as the protocol has them");
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    collector.spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
    collector.told.send_replace(());
    StatusCode::OK
}

/// A push, by whoever says what it belongs to.
async fn pushed(site: &Site, settings: &[(&str, &str)], collector: &Collector) {
    let server = site.start_with(settings).await;
    let (good, bad) = (Repository::script("true\n"), Repository::script("exit 3\n"));
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    for (repository, state) in [(&good, "succeeded"), (&bad, "failed")] {
        site.application(&server, repository, json!({})).await;
        let headers = [
            ("x-gitlab-token", SECRET),
            ("idempotency-key", repository.commit.as_str()),
            ("traceparent", traceparent.as_str()),
        ];
        let answer = server.hook_with(&push(repository, "main", "traced"), &headers).await;
        let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
        site.until(&server, &id, state).await;
    }
    let request = collector.span("POST /webhooks/gitlab").await;
    assert_eq!(hex::encode(&request.parent_span_id), CALLER);
    let build = collector.span("build").await;
    let spans = collector.spans.lock().unwrap().clone();
    let parent = |of: &Span| spans.iter().find(|span| span.span_id == of.parent_span_id).map(|span| span.name.clone());
    assert_eq!(parent(&build).as_deref(), Some("POST /webhooks/gitlab"));
    let step = collector.span("compile").await;
    let spans = collector.spans.lock().unwrap().clone();
    assert!(spans.iter().any(|span| span.span_id == step.parent_span_id && span.name == "build"), "{step:?}");
    assert!(step.end_time_unix_nano > step.start_time_unix_nano);
    // The log still says of each line which build it is about.
    assert!(!server.log().contains("otel"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_a_part_of_what_asked_for_it() {
    let collector = Collector::start().await;
    let site = Site::new(&[("TRACES__ENDPOINT", &collector.endpoint)]).await;
    pushed(&site, &[], &collector).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_go_through_the_queue_to_the_worker() {
    let collector = Collector::start().await;
    let (fleet, database) = (Fleet::new(&[("TRACES__ENDPOINT", &collector.endpoint)]).await, Database::new().await);
    let (site, _broker, _database) = site(&fleet, &database).await;
    let _worker = fleet.worker().await;
    pushed(&site, &[("TRACES__ENDPOINT", &collector.endpoint)], &collector).await;
}
