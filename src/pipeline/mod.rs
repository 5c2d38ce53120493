//! The build as prose: a request in, a report out.

mod access;
mod after;
mod bases;
mod commands;
mod context;
mod copies;
mod deadline;
mod disk;
mod extras;
mod image;
mod laid_out;
mod mirror;
mod record;
mod registry;
mod secret_files;
mod services;
pub mod source;
mod strangers;
mod trial;

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use access::reach;
pub use record::worker;
pub use services::Services;
pub use source::Fetched;

use crate::image::{BuiltImage, PublishedImage};
use crate::model::failure::{Failure, Step};
use crate::model::plan::Plan;
use crate::model::report::{BuildEvent, BuildReport};
use crate::model::request::BuildRequest;
use crate::model::settings::Kind;
use crate::work::{blocking, unless_cancelled};
use crate::workspace::Workspace;
use deadline::Deadline;
use record::Record;

/// Takes events as they happen.
pub type EventSink<'a> = &'a (dyn Fn(BuildEvent) + Send + Sync);

/// How the image is built, and what is done with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Whether it is pushed.
    pub push: bool,
    /// The archive that it is written to.
    pub archive: Option<PathBuf>,
    /// Whether every layer is built afresh.
    pub no_cache: bool,
    /// Whether an earlier run of this build may have deployed: a version that is there already is taken for its own.
    pub deployed: bool,
}

/// Builds what the request asks for.
///
/// Never fails: what went wrong stands in the report.
pub async fn run(
    services: &Services,
    request: &BuildRequest,
    delivery: &Delivery,
    events: EventSink<'_>,
    cancel: &CancellationToken,
) -> BuildReport {
    let mut record = Record::begin(request, events);
    let outcome = Box::pin(build(services, request, delivery, &mut record, cancel)).await;
    record.end(outcome.err())
}

/// The report of a request that nothing was done for.
#[must_use]
pub fn refused(request: &BuildRequest, failure: Failure) -> BuildReport {
    Record::begin(request, &|_| {}).end(Some(failure))
}

/// The steps of a build, in order.
async fn build(
    services: &Services,
    request: &BuildRequest,
    delivery: &Delivery,
    record: &mut Record<'_>,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let limits = &services.config.limits;
    strangers::may_run(services, request)?;
    let push = delivery.push && !request.untrusted;
    let delivery = &Delivery { push, ..delivery.clone() };
    let pushed = push && request.kind == Kind::Service;
    if pushed {
        image::may_be_pushed(services)?;
    }
    let deadline = Deadline::start(services.timeout(request), &limits.steps, cancel);
    let begun = begin(services, request, record, &deadline);
    // Needs no plan, and takes as long as a small one.
    let ask = async { Ok(if pushed { registry::ask(services, request).await } else { None }) };
    let ask = deadline.step(Step::Push, async |stop| unless_cancelled(&stop, ask).await);
    let ask = async { Box::pin(ask).await.map_err(|failure| failure.in_step(Step::Push)) };
    let (workspace, (source, plan), asked) = tokio::try_join!(workspace(services, request), Box::pin(begun), ask)?;
    record.planned(&plan);
    services.backend.has_own(&plan.bases).await.map_err(|failure| failure.in_step(Step::Image))?;
    if pushed {
        let look = deadline.step(Step::Push, async |stop| {
            unless_cancelled(&stop, registry::ready(services, request, &plan, asked)).await
        });
        record.warn(Box::pin(look).await.map_err(|failure| failure.in_step(Step::Push))?);
        let scan = deadline
            .step(Step::Image, async |stop| unless_cancelled(&stop, bases::scan(services, request, &plan)).await);
        let bases = Box::pin(scan).await.map_err(|failure| failure.in_step(Step::Image))?;
        record.bases(bases.clone());
        let judged = bases::judged(services, request, &bases);
        record.warn(judged.map_err(|failure| failure.in_step(Step::Image))?);
    }
    let into = workspace.source();
    let checkout = deadline.step(Step::Checkout, async |stop| source.files(&plan, &into, &stop).await);
    let files = Arc::new(Box::pin(record.step(Step::Checkout, checkout)).await?);
    record.warn(files.warnings());
    let (looked, directory) = (Arc::clone(&files), plan.source.directory.clone());
    blocking(move || looked.refuse_lfs_pointers(&directory))
        .await
        .map_err(|failure| failure.in_step(Step::Checkout))?;

    commands::run(services, request, &plan, delivery, &workspace, record, &deadline).await?;
    if request.kind == Kind::Library {
        if !request.untrusted {
            record.deployed(&plan);
        }
        return Ok(());
    }
    let log = record.log(Step::Dockerfile);
    let write = deadline.step(Step::Dockerfile, async |stop| {
        let written = context::write(&plan, &files, &workspace, limits.output).await?;
        commands::run_on_layers(services, request, &plan, &workspace, &log, deadline.left(), &stop).await?;
        Ok(written)
    });
    let (context, warnings) = record.step(Step::Dockerfile, Box::pin(write)).await?;
    record.warn(warnings);
    let log = record.log(Step::Image);
    let image = deadline.step(Step::Image, async |stop| {
        let built = image::build(services, request, &plan, context, delivery, &log, &stop).await?;
        if let Some(archive) = &delivery.archive {
            image::save(services, &plan, &built, archive, &stop).await?;
        }
        Ok(built)
    });
    let built = Box::pin(record.reusing(Step::Image, image, |built| built.cached)).await?;
    record.built(&plan, &built);
    // Nothing of it is needed any more, and removing it takes as long as a push.
    let removal = blocking(move || {
        drop(workspace);
        Ok(())
    });
    let delivery = deliver(services, request, &plan, &built, delivery, record, &deadline);
    let (delivered, removed) = tokio::join!(Box::pin(delivery), removal);
    delivered.and(removed)
}

/// Brings the source within reach and plans.
async fn begin(
    services: &Services,
    request: &BuildRequest,
    record: &mut Record<'_>,
    deadline: &Deadline<'_>,
) -> Result<(Fetched, Plan), Failure> {
    let fetch =
        deadline.step(Step::Checkout, async |stop| unless_cancelled(&stop, source::fetch(services, request)).await);
    let source = record.reusing(Step::Checkout, fetch, Fetched::cached).await?;
    let plan = record.step(Step::Plan, deadline.step(Step::Plan, |_| plan(services, request, &source))).await?;
    Ok((source, plan))
}

/// Tries whether the image starts, and pushes it where that is wanted.
async fn deliver(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    built: &BuiltImage,
    delivery: &Delivery,
    record: &mut Record<'_>,
    deadline: &Deadline<'_>,
) -> Result<(), Failure> {
    let start = deadline.step(Step::Image, async |stop| trial::check(services, request, plan, built, &stop).await);
    record.warn(start.await.map_err(|failure| failure.in_step(Step::Image))?);
    if delivery.push {
        let log = record.log(Step::Push);
        let push =
            deadline.step(Step::Push, async |stop| image::push(services, request, plan, built, &log, &stop).await);
        let published = Box::pin(record.reusing(Step::Push, push, PublishedImage::was_there)).await?;
        record.published(plan, &published);
        Box::pin(after_push(services, request, plan, &published, record, deadline))
            .await
            .map_err(|failure| failure.in_step(Step::Push))?;
    }
    Ok(())
}

/// Marks the image in the registry, and asks what the registry's scanner says of it.
async fn after_push(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    published: &PublishedImage,
    record: &mut Record<'_>,
    deadline: &Deadline<'_>,
) -> Result<(), Failure> {
    let mark = deadline
        .step(Step::Push, async |stop| unless_cancelled(&stop, after::mark(services, request, plan, published)).await);
    record.warn(mark.await?);
    let scan = deadline
        .step(Step::Push, async |stop| unless_cancelled(&stop, after::scan(services, request, plan, published)).await);
    if let Some(scan) = scan.await? {
        record.scanned(scan.clone());
        let image = published.references.first().map(ToString::to_string).unwrap_or_default();
        let judged = after::gate(services, request).map(|gate| gate.judged(&scan, &image)).transpose()?;
        record.warn(judged.flatten().into_iter().collect());
    }
    // What a gate refuses goes nowhere else. The image is pushed: when the time is over, only the copies that are not done
    // have failed.
    let log = record.log(Step::Push);
    let left = deadline.left_for(Step::Push);
    let copy = async { Ok(copies::copy(services, request, published, left, &log).await) };
    let copies = unless_cancelled(deadline.asked(), copy).await?;
    record.copied(copies.clone());
    record.warn(copies::judged(&services.config.registry.copies, &copies)?);
    Ok(())
}

/// A new workspace, where the disk has room for it.
async fn workspace(services: &Services, request: &BuildRequest) -> Result<Workspace, Failure> {
    let (parent, id, needs) = (services.workspaces(), request.id.to_string(), services.config.limits.free_disk);
    blocking(move || Workspace::create(&parent, &id, needs)).await
}

/// Plans from the source's files; nothing is written.
///
/// # Errors
/// What fetching the source or planning says.
pub async fn plan(services: &Services, request: &BuildRequest, source: &Fetched) -> Result<Plan, Failure> {
    let (request, catalog, source) = (request.clone(), services.catalog.clone(), source.clone());
    blocking(move || {
        let reader = source.reader()?;
        let mut tree = reader.source_tree()?;
        tree.revision = source.revision();
        crate::plan::with_texts(&request, &mut tree, &catalog, |tree, wanted| {
            reader.load(tree, &wanted);
            Ok(())
        })
    })
    .await
}
