//! Everything that a case needs, started once and shared by all cases, one at a time.

use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::broker::{self, Broker};
use super::engine::Engine;
use super::git::{self, Git};
use super::namespace::Namespace;
use super::proxy::Proxy;
use super::registry::{self, Registry};
use super::relay::Relay;
use super::worker::{FIRST, SECOND, Worker};

/// Ports of what stands between workers and the others.
pub(super) const REGISTRY_PROXY: u16 = 5001;
pub(super) const GIT_PROXY: u16 = 8081;
pub(super) const RELAY: u16 = 5673;

/// The parts.
pub(super) struct Cluster {
    pub(super) namespace: Namespace,
    pub(super) broker: Broker,
    pub(super) engine: Engine,
    pub(super) registry: Registry,
    pub(super) git: Git,
    pub(super) registry_proxy: Proxy,
    pub(super) git_proxy: Proxy,
    pub(super) relay: Relay,
    pub(super) worker: Worker,
    /// Another on the same machine; a case starts it, and it ends with the case.
    pub(super) neighbour: Worker,
}

static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();

impl Cluster {
    /// The cluster, for one case at a time; this thread is in its network then.
    pub(super) fn take() -> MutexGuard<'static, Self> {
        let cluster = CLUSTER.get_or_init(|| Mutex::new(Self::start()));
        // A case that failed has said why; the next begins anew.
        let cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.namespace.enter_network();
        cluster
    }

    fn start() -> Self {
        let namespace = Namespace::new();
        namespace.enter_network();
        let (broker, engine) = std::thread::scope(|scope| {
            // The two slow ones together.
            let broker = scope.spawn(|| Broker::new(&namespace));
            let engine = Engine::new(&namespace);
            (broker.join().unwrap(), engine)
        });
        let registry = Registry::new(&namespace);
        let git = Git::new(&namespace);
        let (registry_proxy, git_proxy, relay) = proxies();
        let worker = Worker::new(&namespace, FIRST, engine.host());
        let neighbour = Worker::new(&namespace, SECOND, engine.host());
        worker.slipway(&namespace, &["queues", "declare"]).unwrap();
        Self { namespace, broker, engine, registry, git, registry_proxy, git_proxy, relay, worker, neighbour }
    }
}

/// Proxies outlive every case, so they run in a thread of their own.
fn proxies() -> (Proxy, Proxy, Relay) {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let registry = Proxy::start(REGISTRY_PROXY, registry::PORT).await;
            let git = Proxy::start(GIT_PROXY, git::PORT).await;
            sender.send((registry, git, Relay::start(RELAY, broker::PORT).await)).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().unwrap()
}

/// Asks until the answer is good.
pub(super) fn wait_for(what: &str, patience: Duration, mut check: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + patience;
    while let Err(error) = check() {
        assert!(Instant::now() < deadline, "{what} is not ready within {patience:?}: {error}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
