//! Logging, signals, and the services that builds are made with.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::CANCELLED;
use super::args::{Cli, LogFormat, SchemaOf, Verb};
use crate::catalog::{self, Catalog, Operator, OwnDockerfiles};
use crate::config::{BackendKind, Config, MediaTypesKind, RunnerKind};
use crate::environment;
use crate::image::assembler::{AssemblerBackend, MediaTypes};
use crate::image::docker::DockerBackend;
use crate::image::{Backend, RegistryAccess};
use crate::model::failure::{Failure, FailureCode};
use crate::model::request::RequestedSource;
use crate::pipeline::{Services, reach};
use crate::process;
use crate::runner::Runner;
use crate::schema;
use crate::traces::{self, Traces};
use crate::trust::Trust;
use crate::workspace::Workspace;

/// Structured logs to stderr, as loud as the flags say; and traces, as long as what comes back is held.
pub(super) fn logging(cli: &Cli) -> Option<Traces> {
    let worker = match &cli.verb {
        Verb::Worker(flags) => Some(flags.log_format),
        Verb::Server(flags) => Some(flags.common.log_format),
        _ => None,
    };
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "error",
        // What the broker's library calls an error is told by us, where it is one.
        (false, 0) if worker.is_none() => "warn,lapin=off",
        (false, 0 | 1) => "slipway=info,warn,lapin=off",
        (false, 2) => "slipway=debug,info",
        _ => "debug",
    };
    let filter = EnvFilter::new(format!("{level},{}=off", traces::TARGET));
    let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false);
    let lines = match worker {
        Some(LogFormat::Json) => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(filter).boxed()
        }
        _ => lines.with_filter(filter).boxed(),
    };
    // What is wrong with the configuration is said by whoever needs it.
    let config = worker.and_then(|_| config(cli).ok());
    let endpoint = config.as_ref().and_then(|config| config.traces.endpoint.as_deref());
    let bundle = config.as_ref().and_then(ca_bundle).and_then(|path| std::fs::read(path).ok());
    let (layer, traces, trouble) = match endpoint.map(|endpoint| traces::layer(endpoint, bundle.as_deref())) {
        None => (None, None, None),
        Some(Ok((layer, sent))) => (Some(layer), Some(sent), None),
        Some(Err(why)) => (None, None, Some(why)),
    };
    tracing_subscriber::registry().with(layer).with(lines).init();
    if let Some(why) = trouble {
        tracing::warn!(why, "`traces.endpoint` gets no traces");
    }
    traces
}

/// Cancels on Ctrl-C, SIGTERM and a terminal that is closed; a second Ctrl-C ends the program at once, with its commands.
pub(super) async fn cancel_on_signal(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    // Whoever started it by `nohup` wants it to outlive the terminal, and listening would undo that.
    let outlives = environment::ignores_hang_up();
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut hang_up = if outlives { None } else { signal(SignalKind::hangup()).ok() };
    let closed = async {
        match &mut hang_up {
            Some(hang_up) => hang_up.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = closed => {}
    }
    cancel.cancel();
    // Nobody may be there to read it any more, which is no reason to stop stopping.
    let _ = writeln!(anstream::stderr(), "stopping; once more to stop at once");
    interrupt.recv().await;
    // No step is waited for, so nobody else would end what it runs.
    let _ = tokio::task::spawn_blocking(process::kill_all).await;
    std::process::exit(CANCELLED.into());
}

/// The configuration that the flags name.
pub(super) fn config(cli: &Cli) -> Result<Config, Failure> {
    Config::load(cli.config.as_deref())
}

/// The catalogue: what the program brings along, overlaid by the operator's directory; for anyone's builds.
pub(super) fn catalog(cli: &Cli, config: &Config) -> Result<Catalog, Failure> {
    catalog_with(cli, config, OwnDockerfiles::default())
}

/// Whose own Dockerfiles are built where no operator says it: a person's, of their own directory, on their own machine.
/// A repository may hold anyone's.
fn own_dockerfiles(cli: &Cli, source: &RequestedSource) -> OwnDockerfiles {
    let own = matches!(source, RequestedSource::Directory { .. });
    OwnDockerfiles::Switch(own && Config::file(cli.config.as_deref()).is_none())
}

fn catalog_with(cli: &Cli, config: &Config, otherwise: OwnDockerfiles) -> Result<Catalog, Failure> {
    let operator = Operator {
        registry: config.registry.host.clone(),
        defaults: config.defaults.clone(),
        image_mirrors: config.mirrors.images.clone(),
        mirrors: config.mirrors.for_templates(),
        ca_bundle: ca_bundle(config).is_some(),
        own_dockerfiles: config.build.own_dockerfiles.clone().unwrap_or(otherwise),
        own_dockerfile_bases: config.build.own_dockerfile_bases.clone(),
        memory: Some(config.limits.memory),
    };
    let mut catalog = Catalog::from_files(&files(cli, config)?, operator)?;
    for (name, locked) in super::base_images::lock(config)?.images {
        if let Some(image) = catalog.base_images.get_mut(&name) {
            image.digest =
                locked.digest.as_ref().and_then(|digest| digest.rsplit_once('@').map(|(_, digest)| digest.to_owned()));
            // What a registry has, any machine can pull; what was only built is on this one.
            image.reference = locked.digest.unwrap_or(locked.reference);
        }
    }
    Ok(catalog)
}

/// The catalogue's files.
pub(super) fn files(cli: &Cli, config: &Config) -> Result<catalog::Files, Failure> {
    let mut files = catalog::embedded();
    if let Some(directory) = cli.catalog.as_ref().or(config.build.catalog.as_ref()) {
        overlay(&mut files, directory)?;
    }
    Ok(files)
}

fn overlay(files: &mut catalog::Files, directory: &std::path::Path) -> Result<(), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::new(
            FailureCode::ConfigurationInvalid,
            format!("the catalogue `{}` cannot be read: {error}", directory.display()),
        )
        .hint("name a directory that is there: `--catalog DIR`, or `build.catalog` in the configuration")
    };
    if !directory.is_dir() {
        return Err(unreadable(&"it is no directory"));
    }
    for entry in ignore::WalkBuilder::new(directory).standard_filters(false).build() {
        let entry = entry.map_err(|error| unreadable(&error))?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            let bytes = std::fs::read(entry.path()).map_err(|error| unreadable(&error))?;
            if let Some(path) = entry.path().strip_prefix(directory).ok().and_then(std::path::Path::to_str) {
                files.insert(path.to_owned(), bytes);
            }
        }
    }
    Ok(())
}

fn ca_bundle(config: &Config) -> Option<PathBuf> {
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

/// Prints the JSON schema of a format.
pub(super) fn schema(of: SchemaOf) -> Result<ExitCode, Failure> {
    let schema = match of {
        SchemaOf::Plan => schema::plan(),
        SchemaOf::Report => schema::report(),
        SchemaOf::Settings => schema::settings(),
        SchemaOf::Config => schema::config(),
        SchemaOf::Message => schema::message(),
        SchemaOf::Event => schema::event(),
        SchemaOf::Cancel => schema::cancel(),
        SchemaOf::Supersede => schema::supersede(),
        SchemaOf::Api => crate::server::openapi(),
    };
    print_json(&schema)
}

/// Prints a value as JSON to stdout.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<ExitCode, Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
    anstream::println!("{text}");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn without_a_configuration_only_ones_own_directory_builds_its_dockerfile() {
        let cli = Cli::parse_from(["slipway", "plan", "."]);
        let config = Config::default();
        let directory = RequestedSource::Directory { path: ".".into(), url: None, directory: String::new() };
        let url = "https://git.example.com/x.git".parse().unwrap();
        let repository = crate::model::source::Source { url, revision: None, commit: None, directory: String::new() };
        let repository = RequestedSource::Repository(repository);
        let allowed = |otherwise| {
            let catalog = catalog_with(&cli, &config, otherwise).unwrap();
            catalog.operator.own_dockerfiles.allow("local")
        };
        assert!(allowed(own_dockerfiles(&cli, &directory)));
        assert!(!allowed(own_dockerfiles(&cli, &repository)));
        let configured = Cli::parse_from(["slipway", "--config", "config.toml", "plan", "."]);
        assert!(!allowed(own_dockerfiles(&configured, &directory)));
        // What worker and server use.
        assert!(!catalog(&cli, &config).unwrap().operator.own_dockerfiles.allow("local"));
    }
}
