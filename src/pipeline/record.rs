//! What happened so far: step times, warnings, and in the end the report.

use std::time::Instant;

use tracing::Instrument as _;

use super::EventSink;
use crate::image::{BuiltImage, PublishedImage};
use crate::model::failure::{Failure, Step, Warning};
use crate::model::plan::{Plan, PlannedApplication, PlannedSource};
use crate::model::report::{
    BuildEvent, BuildReport, Outcome, ReportedBase, ReportedCopy, ReportedImage, ReportedLayer, StepReport,
};
use crate::model::request::BuildRequest;
use crate::model::scan::ReportedScan;
use crate::traces;

/// The build's record.
pub(super) struct Record<'a> {
    events: EventSink<'a>,
    report: BuildReport,
}

impl<'a> Record<'a> {
    /// Begins the record of a request.
    pub(super) fn begin(request: &BuildRequest, events: EventSink<'a>) -> Self {
        events(BuildEvent::Accepted { id: request.id.to_string() });
        let application = PlannedApplication {
            product_line: request.product_line.to_string(),
            name: request.name.to_string(),
            kind: request.kind,
            module: request.settings.application.module.clone(),
            process: request.settings.application.process.clone(),
        };
        let source = PlannedSource {
            url: request.source.url().map(ToString::to_string),
            revision: request.source.revision().map(str::to_owned),
            commit: None,
            dirty: false,
            directory: request.source.directory().to_owned(),
        };
        let report = BuildReport::begun(request.id.to_string(), application, source, worker(), crate::clock::now());
        Self { events, report }
    }

    /// Runs a step, with its events and its time.
    pub(super) async fn step<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.reusing(step, work, |_| false).await
    }

    /// Runs a step whose result tells whether all of it was done before.
    pub(super) async fn reusing<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = Result<T, Failure>>,
        cached: impl FnOnce(&T) -> bool,
    ) -> Result<T, Failure> {
        (self.events)(BuildEvent::StepStarted { step });
        let started = Instant::now();
        let span = tracing::info_span!(target: traces::TARGET, "step", otel.name = step.name());
        let result = work.instrument(span.clone()).await.map_err(|failure| failure.in_step(step));
        if let Err(failure) = &result {
            traces::failed(&span, failure.code.name());
        }
        let outcome = result.as_ref().err().map_or(Outcome::Succeeded, Outcome::of);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let report = StepReport { step, outcome, duration_ms, cached: result.as_ref().is_ok_and(cached) };
        (self.events)(BuildEvent::StepFinished(report.clone()));
        self.report.steps.push(report);
        result
    }

    /// A sink for the log lines of a step.
    pub(super) fn log(&self, step: Step) -> impl Fn(&str) + Send + Sync + use<'a> {
        let events = self.events;
        move |line: &str| events(BuildEvent::Log { step, line: line.to_owned() })
    }

    /// Notes what was planned.
    pub(super) fn planned(&mut self, plan: &Plan) {
        self.report.source = plan.source.clone();
        self.report.application = plan.application.clone();
        self.report.toolchain = Some(plan.toolchain.clone());
        self.report.decisions.clone_from(&plan.decisions);
        self.report.warnings.clone_from(&plan.warnings);
        self.report.dockerfile.clone_from(&plan.dockerfile);
    }

    /// Notes warnings.
    pub(super) fn warn(&mut self, warnings: Vec<Warning>) {
        // A build meets what planning has warned of.
        let new = |warning: &Warning, known: &[Warning]| {
            !known.iter().any(|known| (&known.code, &known.message) == (&warning.code, &warning.message))
        };
        for warning in warnings {
            if new(&warning, &self.report.warnings) {
                self.report.warnings.push(warning);
            }
        }
    }

    /// Notes the image before its push.
    pub(super) fn built(&mut self, plan: &Plan, built: &BuiltImage) {
        let Some(image) = &plan.image else { return };
        let layers =
            built.layers.iter().map(|layer| ReportedLayer { digest: layer.to_string(), size: 0, reused: false });
        self.report.image = Some(ReportedImage {
            references: image.references.clone(),
            digest: built.id.to_string(),
            pushed: false,
            size: built.size,
            layers: layers.collect(),
            base: image.base.clone(),
            copies: Vec::new(),
            scan: None,
        });
    }

    /// Notes the image after its push.
    pub(super) fn published(&mut self, plan: &Plan, published: &PublishedImage) {
        let layers = published.layers.iter();
        self.report.image = Some(ReportedImage {
            references: published.references.iter().map(ToString::to_string).collect(),
            digest: published.digest.to_string(),
            pushed: true,
            size: published.size,
            layers: layers
                .map(|layer| ReportedLayer { digest: layer.digest.to_string(), size: layer.size, reused: layer.reused })
                .collect(),
            base: plan.image.as_ref().map(|image| image.base.clone()).unwrap_or_default(),
            copies: Vec::new(),
            scan: None,
        });
    }

    /// Notes where the image was copied to.
    pub(super) fn copied(&mut self, copies: Vec<ReportedCopy>) {
        if let Some(image) = &mut self.report.image {
            image.copies = copies;
        }
    }

    /// Notes what the registry's scanner found in the image.
    pub(super) fn scanned(&mut self, scan: ReportedScan) {
        if let Some(image) = &mut self.report.image {
            image.scan = Some(scan);
        }
    }

    /// Notes what the registry's scanner found in the images that this one is built on.
    pub(super) fn bases(&mut self, bases: Vec<ReportedBase>) {
        self.report.bases = bases;
    }

    /// Notes what a library deployed.
    pub(super) fn deployed(&mut self, plan: &Plan) {
        self.report.library.clone_from(&plan.library);
    }

    /// The report.
    pub(super) fn end(self, failure: Option<Failure>) -> BuildReport {
        if let Some(failure) = &failure {
            traces::failed(&tracing::Span::current(), failure.code.name());
        }
        self.report.ended(failure, crate::clock::now())
    }
}

/// The machine's name.
#[must_use]
pub fn worker() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
