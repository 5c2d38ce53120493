//! `slipway server`: what people and GitLab talk to.
//!
//! It turns webhooks and calls into build messages, keeps the history, shows live logs, and tells GitLab how it went.
//! Alone it also builds: its database is the queue. With `[amqp]`, workers build, and their reports come back.
//!
//! A request is answered when it is on the disk. Everything that leaves the server (a build message, a status, a
//! comment) is read from the database until the other side has it, so that a server that dies loses nothing.

mod access;
mod api;
mod application;
mod apply;
mod ask;
mod execute;
mod gitlab;
mod harbor;
mod http;
mod inspect;
mod logs;
mod pages;
mod store;
mod tag_policy;
mod tidy;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::model::failure::{Failure, FailureCode};
use crate::pipeline::{self, Services};
use crate::probes::Health;
use crate::worker::Going;
use crate::worker::builds::Builds;
use access::limits::Limiter;
use gitlab::GitLab;
use http::body::Room;
use logs::Logs;
use store::Store;

pub use apply::{Applied, Changed, apply, ask};
pub use inspect::inspect;

/// The most bytes of webhooks that are in memory at a time.
const ROOM: usize = 64 << 20;

/// What everything in the server has at hand.
struct Shared {
    /// As it was at the start; [`Shared::current`] is what holds now.
    config: Config,
    services: watch::Receiver<Arc<Services>>,
    store: Store,
    logs: Logs,
    builds: Builds,
    /// Counts what there is to do for whoever builds or sends.
    work: watch::Sender<u64>,
    /// Counts what there is to tell GitLab.
    news: watch::Sender<u64>,
    gitlab: GitLab,
    limiter: Limiter,
    /// For bodies of webhooks, which are read before it is known who sends them.
    room: Room,
    metrics: Arc<Metrics>,
    health: Health,
    /// Its own name as a builder.
    name: String,
    /// The server takes its leave.
    leaving: CancellationToken,
    /// Where it listens.
    address: OnceLock<SocketAddr>,
}

/// Serves until it is told to go.
///
/// # Errors
/// `configuration_invalid` when the configuration is not what a server needs.
pub async fn run(services: watch::Receiver<Arc<Services>>, going: Going) -> Result<(), Failure> {
    let config = services.borrow().config.clone();
    let directory = directory(&config);
    let lock = lock(&directory)?;
    let shared = Arc::new(start(config, services, directory).await?);
    access::first_token(&shared).await?;
    let listener = http::listen(&shared).await?;
    advise(&shared).await;
    let executor = execute::start(&shared).await?;
    let mut background = JoinSet::new();
    background.spawn(gitlab::tell(Arc::clone(&shared)));
    background.spawn(gitlab::reconcile::run(Arc::clone(&shared)));
    background.spawn(tidy::run(Arc::clone(&shared)));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(http::serve(Arc::clone(&shared), listener, stop.clone()));
    shared.health.set_ready(Ok(()));
    going.drain.cancelled().await;
    tracing::info!("the server goes; requests that run are answered, builds that run may end");
    shared.health.set_ready(Err("it goes, and takes no more builds".to_owned()));
    shared.leaving.cancel();
    executor.end(&shared, &going).await;
    stop.cancel();
    let _ = serving.await;
    gitlab::last_words(&shared).await;
    background.shutdown().await;
    shared.store.close().await;
    drop(lock);
    Ok(())
}

/// Says what is no reason not to start, and yet not as anybody wants it.
async fn advise(shared: &Shared) {
    let gitlab = &shared.config.server.gitlab;
    for name in &gitlab.webhook_secrets {
        if let Err(failure) = crate::secrets::proof(&shared.config, name, "*").await {
            tracing::warn!(name, error = %failure, "a webhook's secret is not there; who shows it is refused until it is");
        }
    }
    if shared.config.amqp.url.is_none() && shared.config.registry.host.is_none() {
        tracing::warn!("`registry.host` names no registry: builds of services end at their push");
    }
    if gitlab.url.is_some() && shared.config.server.url.is_none() {
        let url = shared.url();
        tracing::warn!(url, "`server.url` does not say where people reach the server; links in GitLab lead here");
    }
}

/// Makes a token that may everything, for whoever has lost theirs but still has the server's database; gives its text.
/// The server may run meanwhile.
///
/// # Errors
/// `configuration_invalid` or `internal` when the database is not there or cannot be written.
pub async fn new_admin_token(config: &Config) -> Result<String, Failure> {
    let store = Store::open(config, &directory(config)).await?;
    let (_, text) = access::new_token(&store, "slipway", "recovered", access::Role::Admin, "*", 0).await?;
    store.close().await;
    Ok(text)
}

/// Where history and logs are.
fn directory(config: &Config) -> PathBuf {
    config.server.directory.clone().unwrap_or_else(|| crate::environment::state_directory().join("server"))
}

/// Two servers with one directory would each take the other's builds for those of a dead one.
fn lock(directory: &std::path::Path) -> Result<std::fs::File, Failure> {
    let unusable = |error: &dyn std::fmt::Display| {
        let message = format!("`{}`, where the server keeps its history, cannot be used: {error}", directory.display());
        Failure::new(FailureCode::ConfigurationInvalid, message).hint("set `server.directory`")
    };
    std::fs::create_dir_all(directory).map_err(|error| unusable(&error))?;
    let file = std::fs::File::options().create(true).append(true).open(directory.join("server.lock"));
    let file = file.map_err(|error| unusable(&error))?;
    file.try_lock().map_err(|_| unusable(&"another server has it"))?;
    Ok(file)
}

/// What the configuration of a server has to say.
///
/// # Errors
/// `configuration_invalid` with what it lacks.
pub fn check(config: &Config) -> Result<(), Failure> {
    if config.sources.allow.is_empty() {
        let why = "a server clones only what `sources.allow` lists, and it lists nothing";
        return Err(Failure::new(FailureCode::ConfigurationInvalid, why)
            .hint("set `sources.allow` to the prefixes of your Git server's URLs"));
    }
    Ok(())
}

async fn start(
    config: Config,
    services: watch::Receiver<Arc<Services>>,
    directory: PathBuf,
) -> Result<Shared, Failure> {
    check(&config)?;
    pages::check()?;
    Ok(Shared {
        store: Store::open(&config, &directory).await?,
        logs: Logs::open(directory.join("logs"), config.limits.log)?,
        builds: Builds::default(),
        work: watch::Sender::new(0),
        news: watch::Sender::new(0),
        gitlab: GitLab::new(&config)?,
        room: Room::new(ROOM),
        limiter: Limiter::new(config.server.requests_per_second),
        metrics: Arc::new(Metrics::of_server()),
        health: Health::default(),
        name: config.worker.name.clone().unwrap_or_else(pipeline::worker),
        leaving: CancellationToken::new(),
        address: OnceLock::new(),
        services,
        config,
    })
}

impl Shared {
    /// What holds now: the configuration may have been read again since the start.
    fn current(&self) -> Arc<Services> {
        Arc::clone(&self.services.borrow())
    }

    /// There is something to build or to send.
    fn wake(&self) {
        self.work.send_modify(|count| *count += 1);
        self.news.send_modify(|count| *count += 1);
    }

    /// Where people reach the server, without a slash at the end.
    fn url(&self) -> String {
        let listen = self.address.get().copied().unwrap_or(self.config.server.listen);
        self.config
            .server
            .url
            .as_deref()
            .map_or_else(|| format!("http://{listen}"), |url| url.trim_end_matches('/').to_owned())
    }
}

/// What tells two texts apart.
fn hash(text: &[u8]) -> String {
    hex::encode(Sha256::digest(text))
}

/// The description of the HTTP API (`OpenAPI` 3.1).
#[must_use]
pub fn openapi() -> serde_json::Value {
    api::openapi::document()
}
