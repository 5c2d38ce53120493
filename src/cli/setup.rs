//! The services that builds are made with, from configuration and flags.

mod catalog;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::args::Cli;
use crate::catalog::OwnDockerfiles;
use crate::config::{BackendKind, Config, MediaTypesKind, RunnerKind};
use crate::environment;
use crate::image::assembler::{AssemblerBackend, MediaTypes};
use crate::image::docker::DockerBackend;
use crate::image::{Backend, RegistryAccess};
use crate::model::failure::{Failure, FailureCode};
use crate::model::request::RequestedSource;
use crate::pipeline::{Services, reach};
use crate::runner::Runner;
use crate::trust::Trust;
use crate::workspace::Workspace;

pub(super) use catalog::{catalog, files};
use catalog::{catalog_with, own_dockerfiles};

/// The configuration that the flags name.
pub(super) fn config(cli: &Cli) -> Result<Config, Failure> {
    Config::load(cli.config.as_deref())
}

pub(super) fn ca_bundle(config: &Config) -> Option<PathBuf> {
    config.network.ca_bundle.clone().or_else(environment::ca_bundle)
}

/// What makes the image of a build by hand, where nobody chose: the Engine if it answers, else Slipway itself, which
/// also makes what no Engine writes. A worker's choice never depends on what answers just then.
pub(super) async fn image_backend(
    cli: &Cli,
    chosen: Option<BackendKind>,
    layout: bool,
) -> Result<BackendKind, Failure> {
    match chosen.or(config(cli)?.build.image_backend) {
        // The Engine writes no layout.
        Some(BackendKind::Auto) if layout => return Ok(BackendKind::Assembler),
        Some(kind) => return Ok(kind),
        None => {}
    }
    let engine = !layout && DockerBackend::new(None).client().await.is_ok();
    Ok(if engine { BackendKind::Docker } else { BackendKind::Assembler })
}

/// Where the commands of a build by hand run, where nobody chose: in containers if an Engine answers. Without one, a
/// person's own directory is built by the programs of this machine; a repository may hold anyone's code and is not.
pub(super) async fn runner(
    cli: &Cli,
    chosen: Option<RunnerKind>,
    source: &RequestedSource,
) -> Result<RunnerKind, Failure> {
    if let Some(kind) = chosen.or(config(cli)?.build.runner) {
        return Ok(kind);
    }
    let own = matches!(source, RequestedSource::Directory { .. });
    if !own || DockerBackend::new(None).client().await.is_ok() {
        return Ok(RunnerKind::Container);
    }
    if !cli.quiet {
        anstream::eprintln!("no Docker Engine answers: commands run on this machine itself, as with `--runner host`");
    }
    Ok(RunnerKind::Host)
}

/// Everything that builds of whatever is asked for need, from the configuration.
pub(super) async fn services(
    cli: &Cli,
    runner: Option<RunnerKind>,
    backend: Option<BackendKind>,
) -> Result<Services, Failure> {
    services_with(cli, runner, backend, OwnDockerfiles::default()).await
}

/// Everything that one build by hand needs, from configuration and flags.
pub(super) async fn services_for(
    cli: &Cli,
    source: &RequestedSource,
    runner: Option<RunnerKind>,
    backend: Option<BackendKind>,
) -> Result<Services, Failure> {
    services_with(cli, runner, backend, own_dockerfiles(cli, source)).await
}

async fn services_with(
    cli: &Cli,
    runner: Option<RunnerKind>,
    backend: Option<BackendKind>,
    otherwise: OwnDockerfiles,
) -> Result<Services, Failure> {
    let config = config(cli)?;
    let cache = cache(&config);
    let runner = match runner.or(config.build.runner).unwrap_or(RunnerKind::Container) {
        RunnerKind::Container => container(&cache, config.closed()).await?,
        RunnerKind::Host => Runner::host(),
    };
    let services = around(cli, config, runner, backend, otherwise).await?;
    let workspaces = services.workspaces();
    // Before anybody asks whether the disk has room: what a dead worker left may be what fills it.
    let _ = tokio::task::spawn_blocking(move || Workspace::sweep(&workspaces)).await;
    Ok(services)
}

/// The same from the configuration as it is now. What runs commands was there before, and need not answer just now.
pub(super) async fn services_again(cli: &Cli, old: &Services) -> Result<Services, Failure> {
    let config = config(cli)?;
    let runner = match config.build.runner.unwrap_or(RunnerKind::Container) {
        RunnerKind::Container => old.runner.container_again(cache(&config).join("sandbox"), config.closed()).await?,
        RunnerKind::Host => Runner::host(),
    };
    around(cli, config, runner, None, OwnDockerfiles::default()).await
}

fn cache(config: &Config) -> PathBuf {
    config.cache.directory.clone().unwrap_or_else(environment::cache_directory)
}

/// Everything that builds need beside what runs their commands.
async fn around(
    cli: &Cli,
    config: Config,
    runner: Runner,
    backend: Option<BackendKind>,
    otherwise: OwnDockerfiles,
) -> Result<Services, Failure> {
    let catalog = Arc::new(catalog_with(cli, &config, otherwise)?);
    let cache = cache(&config);
    let trust = match ca_bundle(&config) {
        Some(bundle) => {
            let directory = cache.join("trust");
            let prepared = tokio::task::spawn_blocking(move || Trust::prepare(&bundle, &directory)).await;
            Some(prepared.map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))??)
        }
        None => None,
    };
    let engine = || DockerBackend::new(None);
    let backend = match backend.or(config.build.image_backend).unwrap_or(BackendKind::Docker) {
        BackendKind::Docker => Backend::Docker(engine()),
        BackendKind::Assembler => Backend::Assembler(assembler(&config, &cache)),
        BackendKind::Auto => Backend::Automatic(engine(), assembler(&config, &cache)),
    };
    Ok(Services { config, catalog, runner, backend, cache, trust })
}

/// How long a base image's tag keeps its digest, where the operator says nothing: builds of one push start together.
const BASE_TAGS: Duration = Duration::from_secs(10);

/// Slipway itself as what makes images: its blobs are in the cache, and the base images that it made.
pub(super) fn assembler(config: &Config, cache: &std::path::Path) -> AssemblerBackend {
    let bundle = ca_bundle(config).and_then(|path| std::fs::read(path).ok());
    let types = match config.build.media_types {
        Some(MediaTypesKind::Docker) => MediaTypes::Docker,
        Some(MediaTypesKind::Oci) | None => MediaTypes::Oci,
    };
    AssemblerBackend::new(cache.join("images"), bundle)
        .client_certificates(config.registry.client_certificates.clone())
        .reach(reach(config))
        .base_images(cache.join("base-images"))
        .media_types(types)
        .base_tags(config.build.base_tags.unwrap_or(BASE_TAGS))
}

/// Containers, after those of a worker that died were taken away.
async fn container(cache: &std::path::Path, closed: Vec<String>) -> Result<Runner, Failure> {
    let runner = Runner::container(cache.join("sandbox"), closed).await?;
    if let Runner::Container(sandbox) = &runner
        && let Err(failure) = sandbox.sweep().await
    {
        tracing::warn!(error = %failure, "leftovers of an earlier run stay behind");
    }
    Ok(runner)
}

/// Services that can plan whatever is asked for: nothing is connected to, no cache is written.
pub(super) fn planning(cli: &Cli) -> Result<Services, Failure> {
    planning_with(cli, OwnDockerfiles::default())
}

/// Services that can plan one build by hand.
pub(super) fn planning_for(cli: &Cli, source: &RequestedSource) -> Result<Services, Failure> {
    planning_with(cli, own_dockerfiles(cli, source))
}

fn planning_with(cli: &Cli, otherwise: OwnDockerfiles) -> Result<Services, Failure> {
    let config = config(cli)?;
    let catalog = Arc::new(catalog_with(cli, &config, otherwise)?);
    let cache = cache(&config);
    Ok(Services {
        config,
        catalog,
        runner: Runner::host(),
        backend: Backend::Docker(DockerBackend::new(None)),
        cache,
        trust: None,
    })
}

/// How a registry is reached, without an account.
pub(super) fn registry_access(config: &Config) -> RegistryAccess {
    let ca_bundle = config.network.ca_bundle.as_ref().and_then(|path| std::fs::read(path).ok());
    let client_certificates = config.registry.client_certificates.clone();
    RegistryAccess { ca_bundle, client_certificates, reach: reach(config), ..RegistryAccess::default() }
}
