//! `slipway base-images`.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::args::{BaseImagesVerb, Cli};
use super::setup;
use crate::base_images::{self, Images, Listed, Lock, Maker, Options, State};
use crate::config::{BackendKind, Config};
use crate::environment;
use crate::harbor::Gate;
use crate::image::RegistryAccess;
use crate::image::credentials::Credentials;
use crate::image::docker::DockerBackend;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;
use crate::secrets::Account;
use crate::work::unless_cancelled;

/// Does what the verb says.
pub(super) async fn base_images(
    cli: &Cli,
    verb: &BaseImagesVerb,
    cancel: &CancellationToken,
) -> Result<ExitCode, Failure> {
    unless_cancelled(cancel, Box::pin(act(cli, verb))).await
}

async fn act(cli: &Cli, verb: &BaseImagesVerb) -> Result<ExitCode, Failure> {
    let config = setup::config(cli)?;
    let images = images(cli, &config)?;
    let engine = DockerBackend::new(None).client().await;
    let say = |line: &str| anstream::eprintln!("{line}");
    match verb {
        BaseImagesVerb::List => {
            for image in base_images::list(&images, &maker(&config, None, engine)?).await? {
                let state = match image.state {
                    State::Ready => "ready",
                    State::Outdated => "outdated",
                    State::Missing => "missing",
                };
                let size = image.size.map_or(String::new(), |bytes| format!("{} MB", bytes / 1_000_000));
                anstream::println!("{:<20} {state:<8} {size:>8}  {}", image.name, image.description);
            }
        }
        BaseImagesVerb::Build { names, image_backend } => {
            let maker = maker(&config, *image_backend, engine)?;
            if !maker.is_engine() {
                say("without a Docker Engine: as root, into an OCI image layout of Slipway's own");
            }
            let cache = cache(&config);
            let made = base_images::build(&images, names, &maker, &cache, &Options::default(), say).await?;
            remember(&config, made)?;
        }
        BaseImagesVerb::Check { names } => {
            let checked = base_images::check(&images, names, &engine?, say).await?;
            if checked.iter().any(|image| !image.problems.is_empty()) {
                return Ok(ExitCode::FAILURE);
            }
        }
        BaseImagesVerb::Push { names, image_backend } => {
            let host = config.registry.host.as_deref().ok_or_else(|| {
                Failure::new(FailureCode::ConfigurationInvalid, "there is no registry to push to")
                    .hint("set `registry.host` in the configuration")
            })?;
            let account = match &config.registry.credentials {
                Some(name) => Some(crate::secrets::account(&config, name, host, base_images::REPOSITORY).await?),
                None => None,
            };
            let credentials =
                account.as_ref().map(|account| Credentials::password(&account.username, &account.password));
            let access = RegistryAccess { credentials, ..setup::registry_access(&config) };
            let prefix = format!("{host}/{}", base_images::REPOSITORY);
            let maker = maker(&config, *image_backend, engine)?;
            let pushed = base_images::push(&images, names, &maker, &prefix, &access, say).await?;
            let (accepted, refused) = gated(&config, account, pushed).await?;
            remember(&config, accepted)?;
            if let Some(refused) = refused {
                return Err(refused);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Those pushed images that the operator's gate lets builds start from, and why one is not among them.
async fn gated(
    config: &Config,
    account: Option<Account>,
    mut pushed: Lock,
) -> Result<(Lock, Option<Failure>), Failure> {
    let Some(wanted) = config.registry.scan.as_ref().filter(|scan| scan.base_images) else { return Ok((pushed, None)) };
    let gate = Gate { wanted, product_line: base_images::REPOSITORY };
    let access = setup::registry_access(config);
    let mut refused = None;
    for (name, digest) in
        pushed.images.iter().map(|(name, image)| (name.clone(), image.digest.clone())).collect::<Vec<_>>()
    {
        let image: ImageReference = digest.unwrap_or_default().parse().map_err(|error| {
            Failure::new(
                FailureCode::DigestMismatch,
                format!("the registry did not say what `{name}` is there: {error}"),
            )
        })?;
        let client = access.harbor_as(&image, account.clone())?;
        let scan = gate.scanned(&client, &image).await?;
        match gate.judged(&scan, &image.to_string()) {
            Ok(warning) => warning.iter().for_each(|warning| anstream::eprintln!("{name}: {}", warning.message)),
            Err(failure) => {
                anstream::eprintln!("{name}: {}", failure.message);
                pushed.images.remove(&name);
                refused.get_or_insert(failure);
            }
        }
    }
    Ok((pushed, refused))
}

/// Whoever was chosen; else the Engine where one answers, and Slipway itself where none does.
fn maker(
    config: &Config,
    chosen: Option<BackendKind>,
    engine: Result<bollard::Docker, Failure>,
) -> Result<Maker, Failure> {
    Ok(match (chosen, engine) {
        (Some(BackendKind::Docker), engine) => Maker::engine(&engine?),
        (Some(BackendKind::Assembler), _) | (_, Err(_)) => own(config),
        (_, Ok(engine)) => Maker::engine(&engine),
    })
}

/// The base images, and whether they are kept here.
pub(super) async fn kept(cli: &Cli, config: &Config) -> Result<Vec<Listed>, Failure> {
    let maker = maker(config, None, DockerBackend::new(None).client().await)?;
    base_images::list(&images(cli, config)?, &maker).await
}

/// Slipway itself as the maker of base images.
fn own(config: &Config) -> Maker {
    Maker::own(setup::assembler(config, &cache(config)))
}

fn images(cli: &Cli, config: &Config) -> Result<Images, Failure> {
    let files = setup::files(cli, config)?;
    let own =
        files.into_iter().filter_map(|(path, bytes)| Some((path.strip_prefix("base-images/")?.to_owned(), bytes)));
    Images::parse(own.collect())
}

fn cache(config: &Config) -> PathBuf {
    config.cache.directory.clone().unwrap_or_else(environment::cache_directory)
}

/// The file that pins the base images of this machine.
pub(super) fn lock_file(config: &Config) -> PathBuf {
    cache(config).join("images.lock")
}

/// What `images.lock` pins; nothing where there is none yet.
pub(super) fn lock(config: &Config) -> Result<Lock, Failure> {
    match std::fs::read_to_string(lock_file(config)) {
        Ok(text) => Lock::parse(&text),
        Err(_) => Ok(Lock::new()),
    }
}

fn remember(config: &Config, newer: Lock) -> Result<(), Failure> {
    let mut lock = lock(config)?;
    lock.merge(newer);
    let path = lock_file(config);
    let failed = |error: std::io::Error| {
        Failure::new(FailureCode::Internal, format!("`{}` cannot be written: {error}", path.display()))
    };
    let directory = path.parent().unwrap_or(&path);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    std::io::Write::write_all(&mut file, lock.to_toml().as_bytes()).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}
