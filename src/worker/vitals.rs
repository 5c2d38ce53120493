//! What others see of a worker while it works: probes, figures, and the logs of its builds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use crate::metrics::Metrics;
use crate::model::failure::Failure;
use crate::pipeline::Services;
use crate::probes::{Health, Probes};
use crate::report::LogFiles;

/// How often probes and gauges are brought up to date.
const TICK: Duration = Duration::from_secs(1);

/// How often what is old is removed, and caches are measured.
const TIDY: Duration = Duration::from_mins(10);

/// Ends of builds are remembered this long: longer than any message waits.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);

/// Probes, figures and logs.
pub(super) struct Vitals {
    pub(super) health: Health,
    pub(super) metrics: Arc<Metrics>,
    pub(super) logs: LogFiles,
    pub(super) probes: Probes,
}

impl Vitals {
    /// Begins to answer, before there is a broker.
    pub(super) async fn start(services: &Services) -> Result<Self, Failure> {
        let config = &services.config;
        let (health, metrics) = (Health::default(), Arc::new(Metrics::new()));
        let probes = Probes::start(config.probes.listen, health.clone(), Arc::clone(&metrics)).await?;
        if let Some(address) = probes.address() {
            tracing::info!(%address, "probes answer");
        }
        let directory = config.logs.directory.clone().unwrap_or_else(|| services.cache.join("logs"));
        let logs = LogFiles::open(directory, config.logs.keep, config.logs.size)?;
        Ok(Self { health, metrics, logs, probes })
    }
}

/// Tells what is so, from where builds run: a runtime that is stuck tells nothing.
pub(super) async fn tell(worker: &Worker) {
    loop {
        let vitals = &worker.vitals;
        vitals.health.beat();
        vitals.health.set_ready(worker.unready().map_or(Ok(()), |why| Err(why.to_owned())));
        vitals.metrics.outbox(worker.waiting_reports());
        tokio::time::sleep(TICK).await;
    }
}

/// Removes what is old, and measures what caches take.
pub(super) async fn tidy(worker: &Worker) {
    loop {
        match worker.reports.ledger.forget(REMEMBERED).await {
            Ok(0) => {}
            Ok(builds) => tracing::info!(builds, "ends of builds were forgotten"),
            Err(failure) => tracing::warn!(error = %failure, "the ledger is not cleaned up"),
        }
        let (logs, metrics) = (worker.vitals.logs.clone(), Arc::clone(&worker.vitals.metrics));
        let cache = worker.services.borrow().cache.clone();
        let done = tokio::task::spawn_blocking(move || {
            let pruned = logs.prune();
            if pruned.files > 0 {
                tracing::info!(files = pruned.files, bytes = pruned.bytes, "old logs were removed");
            }
            measure(&cache, &metrics);
        });
        if let Err(error) = done.await {
            tracing::warn!(%error, "the caches are not measured");
        }
        tokio::time::sleep(TIDY).await;
    }
}

fn measure(cache: &Path, metrics: &Metrics) {
    let directories = std::fs::read_dir(cache).into_iter().flatten().flatten();
    for directory in directories.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let name = directory.file_name().to_string_lossy().into_owned();
        metrics.cache(name, crate::workspace::usage(&directory.path()));
    }
}
