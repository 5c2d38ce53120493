//! What a case does: it sends requests, lets something happen, and in the end everything has to be as it should.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;
use std::time::Duration;

use lapin::BasicProperties;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::invariants;
use super::mailbox::{Inbox, Mailbox, publish};
use super::worker::{PRODUCT_LINE, source};

/// How long a report may take when all is well again.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// A case while it runs. It derefs to the cluster.
pub(super) struct Case {
    pub(super) name: String,
    cluster: MutexGuard<'static, Cluster>,
    pub(super) mailbox: Mailbox,
    pub(super) random: StdRng,
    /// The ids that were sent, and whether more than one report may come for them.
    sent: BTreeMap<String, Extra>,
    /// The requests that were sent.
    requests: BTreeMap<String, Vec<u8>>,
}

/// Whether a build may be reported more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    /// Its worker or broker died near the report: at least once.
    Allowed,
    /// Nothing went wrong between worker and broker.
    Forbidden,
}

/// Runs a case with a worker that is ready, then looks whether everything is as it should be.
pub(super) fn case(name: &str, seed: u64, run: impl AsyncFnOnce(&mut Case) + Send + 'static) {
    let name = name.to_owned();
    // The thread's network, and that of the runtime's threads, is the cluster's.
    let thread = std::thread::spawn(move || {
        let cluster = Cluster::take();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(Box::pin(async move {
            let mut case = Case::begin(name, seed, cluster).await;
            run(&mut case).await;
            case.end().await;
        }));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

impl Case {
    #[allow(clippy::await_holding_lock, reason = "a case has the cluster for itself until it ends")]
    async fn begin(name: String, seed: u64, mut cluster: MutexGuard<'static, Cluster>) -> Self {
        let parts = &mut *cluster;
        // What a case that failed may have left.
        parts.registry_proxy.clear();
        parts.git_proxy.clear();
        parts.relay.release();
        parts.broker.revive(&parts.namespace);
        parts.engine.revive(&parts.namespace);
        parts.registry.revive(&parts.namespace);
        if parts.neighbour.is_running() {
            parts.neighbour.take().kill();
        }
        if !parts.worker.is_running() {
            parts.worker.start(&parts.namespace);
        }
        let mailbox = Mailbox::open().await;
        parts.worker.ready(PATIENCE).await.unwrap();
        let random = StdRng::seed_from_u64(seed);
        Self { name, cluster, mailbox, random, sent: BTreeMap::new(), requests: BTreeMap::new() }
    }

    /// A line of what happens, for people who read the test's output.
    pub(super) fn say(&self, text: &str) {
        println!("{}: {text}", self.name);
    }

    /// A repository of its own with this script, and content that no registry has seen.
    pub(super) fn repository(&mut self, script: &str) -> (String, String) {
        let name = format!("{}-{}", self.name, self.random.random::<u32>());
        let payload: Vec<u8> = (0..1 << 20).map(|_| self.random.random()).collect();
        let commit = self.git.publish(&name, &[("build.sh", script.as_bytes()), ("payload", &payload)]);
        (name, commit)
    }

    /// The request for a build of a repository.
    pub(super) fn request(&mut self, repository: &str, commit: &str) -> Value {
        let id = format!("{}-{}", self.name, self.random.random::<u32>());
        json!({
            "version": 1,
            "id": id,
            "source": { "url": source(repository), "revision": "main", "commit": commit },
            "application": { "product_line": PRODUCT_LINE, "name": "order" },
            "image": { "tags": [id] },
        })
    }

    /// Sends a request that has to be reported.
    pub(super) async fn send(&mut self, request: &Value, extra: Extra) -> String {
        let id = request["id"].as_str().unwrap().to_owned();
        self.sent.insert(id.clone(), extra);
        let body = request.to_string().into_bytes();
        self.requests.insert(id.clone(), body.clone());
        self.send_bytes(&body, &id).await;
        id
    }

    /// Sends a request once more, byte for byte.
    pub(super) async fn send_again(&mut self, id: &str) {
        let body = self.requests[id].clone();
        self.send_bytes(&body, id).await;
    }

    /// Sends what is no request; it has to be reported all the same.
    pub(super) async fn send_poison(&mut self, body: &[u8], id: &str, extra: Extra) {
        self.sent.insert(id.to_owned(), extra);
        self.send_bytes(body, id).await;
    }

    /// Sends any bytes as a request.
    async fn send_bytes(&mut self, body: &[u8], id: &str) {
        let properties = BasicProperties::default()
            .with_message_id(id.into())
            .with_content_type("application/json".into())
            .with_delivery_mode(2);
        publish("slipway.requests", "interactive", body, properties).await;
    }

    /// Sends a build with this script and gives its id.
    pub(super) async fn build(&mut self, script: &str, extra: Extra) -> String {
        let (repository, commit) = self.repository(script);
        let request = self.request(&repository, &commit);
        self.send(&request, extra).await
    }

    /// The terminal report of a build.
    pub(super) async fn report(&self, id: &str) -> Value {
        self.mailbox.report(id, PATIENCE).await.unwrap_or_else(|error| panic!("{error}\n{}", self.worker_log()))
    }

    /// Waits until a step of a build has begun.
    pub(super) async fn step(&self, id: &str, step: &str) {
        let begun = |inbox: &Inbox| {
            let ended = || inbox.reports.get(id).and_then(|reports| reports.first()).map(|report| Err(report.clone()));
            let events = inbox.events.get(id).map(Vec::as_slice).unwrap_or_default();
            let begun = events.iter().any(|event| event["kind"] == "step_started" && event["step"] == step);
            if begun { Some(Ok(())) } else { ended() }
        };
        let begun = self.mailbox.wait(&format!("the step {step} of {id}"), PATIENCE, begun).await;
        let begun = begun.unwrap_or_else(|error| panic!("{error}\n{}", self.worker_log()));
        begun.unwrap_or_else(|report| panic!("{id} ended before {step}: {report:#}\n{}", self.worker_log()));
    }

    /// A seeded time up to so much.
    pub(super) fn moment(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.random_range(0.0..1.0))
    }

    /// In which step the build was when it was last heard of.
    pub(super) fn position(&self, id: &str) -> String {
        let inbox = self.mailbox.inbox();
        let events = inbox.events.get(id).map(Vec::as_slice).unwrap_or_default();
        let last = events.iter().rev().find(|event| event["kind"] != "log");
        last.map_or("before its first event".to_owned(), |event| {
            format!("{} {}", event["kind"].as_str().unwrap_or_default(), event["step"].as_str().unwrap_or_default())
        })
    }

    /// The end of what the worker said.
    pub(super) fn worker_log(&self) -> String {
        let text = std::fs::read_to_string(self.namespace.log("worker")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Starts the worker again and waits until it takes builds.
    pub(super) async fn restart_worker(&mut self) {
        let parts = &mut *self.cluster;
        parts.worker.start(&parts.namespace);
        parts.worker.ready(PATIENCE).await.unwrap();
    }

    async fn end(mut self) {
        self.registry_proxy.clear();
        self.git_proxy.clear();
        self.relay.release();
        let sent = std::mem::take(&mut self.sent);
        let wrong = invariants::check(&mut self, &sent).await;
        self.say(&format!("sent {}, left behind or otherwise wrong {}", sent.len(), wrong.len()));
        assert!(wrong.is_empty(), "{}:\n{}\n\n{}", self.name, wrong.join("\n"), self.worker_log());
    }
}

impl Deref for Case {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl DerefMut for Case {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}
