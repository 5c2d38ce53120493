//! What a worker and the server count, for Prometheus.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::model::failure::Blame;
use crate::model::report::BuildReport;

/// Names and values of one series' labels.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Buckets from a tenth of a second to an hour.
const SECONDS: [f64; 14] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// Everything that is counted; `docs/operating.md` says what to alarm on.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    builds: Family<Labels<3>, Counter>,
    steps: Family<Labels<2>, Histogram>,
    cached_steps: Family<Labels<1>, Counter>,
    wait: Histogram,
    retries: Counter,
    repeated: Counter,
    running: Gauge,
    outbox: Gauge<u64, AtomicU64>,
    cache: Family<[(&'static str, String); 1], Gauge<u64, AtomicU64>>,
    pushed: Counter,
    reused: Counter,
    webhooks: Family<[(&'static str, String); 2], Counter>,
    queued: Gauge,
    untold: Family<Labels<1>, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let histogram = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::with_prefix("slipway"),
            builds: Family::default(),
            steps: Family::new_with_constructor(histogram),
            cached_steps: Family::default(),
            wait: histogram(),
            retries: Counter::default(),
            repeated: Counter::default(),
            running: Gauge::default(),
            outbox: Gauge::default(),
            cache: Family::default(),
            pushed: Counter::default(),
            reused: Counter::default(),
            webhooks: Family::default(),
            queued: Gauge::default(),
            untold: Family::default(),
        };
        metrics.register();
        metrics
    }

    /// With what only the server knows.
    #[must_use]
    pub fn of_server() -> Self {
        let mut metrics = Self::new();
        let registry = &mut metrics.registry;
        registry.register("webhooks", "Webhooks, by sender and the answer's status", metrics.webhooks.clone());
        registry.register("queued_builds", "Builds that wait for a worker", metrics.queued.clone());
        registry.register("untold", "What GitLab has not heard yet, by what it is", metrics.untold.clone());
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("builds", "Builds that ended, by outcome, blame and failure code", self.builds.clone());
        let seconds = Unit::Seconds;
        registry.register_with_unit("step_duration", "How long steps took", seconds.clone(), self.steps.clone());
        registry.register("cached_steps", "Steps that earlier work made needless", self.cached_steps.clone());
        registry.register_with_unit(
            "queue_wait",
            "Time from sending a request to its build",
            seconds,
            self.wait.clone(),
        );
        registry.register("retries", "Builds that are tried again later", self.retries.clone());
        registry.register(
            "repeated_reports",
            "Requests that came again after their build had ended",
            self.repeated.clone(),
        );
        registry.register("running_builds", "Builds that run now", self.running.clone());
        registry.register("outbox_reports", "Reports that wait for the broker", self.outbox.clone());
        let bytes = Unit::Bytes;
        registry.register_with_unit("cache_size", "What caches take of the disk", bytes.clone(), self.cache.clone());
        registry.register_with_unit("pushed", "Layers that were pushed", bytes.clone(), self.pushed.clone());
        registry.register_with_unit("reused", "Layers that the registry had", bytes, self.reused.clone());
    }

    /// A build runs, as long as this value lives.
    #[must_use]
    pub fn running(&self) -> Running<'_> {
        self.running.inc();
        Running(&self.running)
    }

    /// A build has its terminal report.
    pub fn reported(&self, report: &BuildReport) {
        let failure = report.failure.as_ref();
        let labels = [
            ("outcome", report.outcome.name()),
            ("blame", failure.map_or("", |failure| blame(failure.blame))),
            ("code", failure.map_or("", |failure| failure.code.name())),
        ];
        self.builds.get_or_create(&labels).inc();
        for step in &report.steps {
            let labels = [("step", step.step.name()), ("outcome", step.outcome.name())];
            self.steps.get_or_create(&labels).observe(Duration::from_millis(step.duration_ms).as_secs_f64());
            if step.cached {
                self.cached_steps.get_or_create(&[("step", step.step.name())]).inc();
            }
        }
        for layer in report.image.iter().filter(|image| image.pushed).flat_map(|image| &image.layers) {
            let counter = if layer.reused { &self.reused } else { &self.pushed };
            counter.inc_by(layer.size);
        }
    }

    /// A request was taken so long after it was sent.
    pub fn waited(&self, time: Duration) {
        self.wait.observe(time.as_secs_f64());
    }

    /// A build is tried again later.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// A request came again after its build had ended: its report was repeated.
    pub fn repeated(&self) {
        self.repeated.inc();
    }

    /// So many reports wait for the broker.
    pub fn outbox(&self, waiting: u64) {
        self.outbox.set(waiting);
    }

    /// A cache takes so much of the disk.
    pub fn cache(&self, name: String, bytes: u64) {
        self.cache.get_or_create(&[("cache", name)]).set(bytes);
    }

    /// A webhook was answered.
    pub fn webhook(&self, sender: &'static str, status: u16) {
        self.webhooks.get_or_create(&[("sender", sender.to_owned()), ("status", status.to_string())]).inc();
    }

    /// So many builds wait for a worker.
    pub fn queued(&self, builds: i64) {
        self.queued.set(builds);
    }

    /// GitLab has not heard so many words of this kind yet.
    pub fn untold(&self, kind: &'static str, words: i64) {
        self.untold.get_or_create(&[("kind", kind)]).set(words);
    }

    /// All of it, as `OpenMetrics` text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// A build that runs.
#[derive(Debug)]
pub struct Running<'a>(&'a Gauge);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Request => "request",
        Blame::Project => "project",
        Blame::Service => "service",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failure::{Failure, FailureCode, Step};
    use crate::model::plan::{PlannedApplication, PlannedSource};
    use crate::model::report::{Outcome, ReportedImage, ReportedLayer, StepReport};
    use crate::model::settings::Kind;

    #[test]
    fn what_was_counted_is_told() {
        let metrics = Metrics::new();
        let _running = metrics.running();
        drop(metrics.running());
        metrics.waited(Duration::from_millis(300));
        metrics.outbox(4);
        metrics.cache("git".to_owned(), 1 << 20);
        let text = metrics.text();
        for line in [
            "slipway_running_builds 1",
            "slipway_queue_wait_seconds_bucket{le=\"0.25\"} 0",
            "slipway_queue_wait_seconds_bucket{le=\"0.5\"} 1",
            "slipway_outbox_reports 4",
            "slipway_cache_size_bytes{cache=\"git\"} 1048576",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_only_the_server_knows_is_told_by_it_alone() {
        let server = Metrics::of_server();
        server.webhook("gitlab", 202);
        server.webhook("gitlab", 202);
        server.queued(3);
        server.untold("status", 1);
        let text = server.text();
        for line in [
            "slipway_webhooks_total{sender=\"gitlab\",status=\"202\"} 2",
            "slipway_queued_builds 3",
            "slipway_untold{kind=\"status\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let worker = Metrics::new().text();
        assert!(!worker.contains("queued") && !worker.contains("untold"), "{worker}");
    }

    fn report() -> BuildReport {
        BuildReport {
            version: 1,
            id: "b1".to_owned(),
            attempt: 1,
            outcome: Outcome::Failed,
            application: PlannedApplication {
                product_line: "trade".to_owned(),
                name: "order".to_owned(),
                kind: Kind::Service,
                module: None,
                process: None,
            },
            source: PlannedSource { url: None, revision: None, commit: None, dirty: false, directory: String::new() },
            started_at: String::new(),
            finished_at: String::new(),
            worker: "worker".to_owned(),
            steps: vec![StepReport {
                step: Step::Compile,
                outcome: Outcome::Succeeded,
                duration_ms: 700,
                cached: true,
            }],
            toolchain: None,
            decisions: Vec::new(),
            warnings: Vec::new(),
            bases: Vec::new(),
            image: Some(ReportedImage {
                references: Vec::new(),
                digest: String::new(),
                pushed: true,
                size: 0,
                layers: [(40, true), (2, false)]
                    .map(|(size, reused)| ReportedLayer { digest: String::new(), size, reused })
                    .into(),
                base: String::new(),
                copies: Vec::new(),
                scan: None,
            }),
            dockerfile: None,
            library: None,
            log: None,
            failure: Some(Failure::new(FailureCode::DigestMismatch, "it differs")),
        }
    }

    #[test]
    fn a_report_is_counted_with_its_failure_steps_and_layers() {
        let metrics = Metrics::new();
        metrics.reported(&report());
        let text = metrics.text();
        for line in [
            "slipway_builds_total{outcome=\"failed\",blame=\"service\",code=\"digest_mismatch\"} 1",
            "slipway_step_duration_seconds_bucket{le=\"0.5\",step=\"compile\",outcome=\"succeeded\"} 0",
            "slipway_step_duration_seconds_bucket{le=\"1.0\",step=\"compile\",outcome=\"succeeded\"} 1",
            "slipway_cached_steps_total{step=\"compile\"} 1",
            "slipway_pushed_bytes_total 2",
            "slipway_reused_bytes_total 40",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_dashboard_shows_what_is_told() {
        let metrics = Metrics::new();
        metrics.reported(&report());
        metrics.cache("git".to_owned(), 1);
        let text = metrics.text();
        let dashboard = include_str!("../deploy/grafana-dashboard.json");
        let names: std::collections::BTreeSet<&str> = dashboard
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("slipway_"))
            .collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            let told = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
            assert!(text.lines().any(told), "the dashboard asks for `{name}`, which is not in\n{text}");
        }
    }
}
