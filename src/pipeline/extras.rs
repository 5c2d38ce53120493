//! What commands get of releases beside their image's own: directories, mounted read-only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::blocking;
use super::services::Services;
use crate::leftovers::OwnDirectory;
use crate::machine;
use crate::model::command::{CacheMount, Command, Exit, FileMount, Limits, Network};
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::plan::{Plan, PlannedExtra};
use crate::output::{Output, Redactor};
use crate::process::SYSTEM_PATH;
use crate::runner::{Runner, failure_of};

/// Where the recipe's commands see the copy.
const EXPORT: &str = "/export";

/// What a command gets.
#[derive(Default, Clone)]
pub(super) struct Extras {
    pub(super) mounts: Vec<FileMount>,
    /// Directories of programs, before all others.
    pub(super) path: Vec<PathBuf>,
    pub(super) env: Vec<(String, String)>,
}

impl Extras {
    /// The machine's `PATH` behind what was chosen.
    pub(super) fn search_path(&self) -> String {
        let machine = crate::environment::variable("PATH").unwrap_or_else(|| SYSTEM_PATH.to_owned());
        let chosen = self.path.iter().map(|directory| directory.display().to_string());
        chosen.chain([machine]).collect::<Vec<_>>().join(":")
    }
}

/// Brings what the plan's commands need: on the host what is installed there, else what was taken out of build images.
///
/// # Errors
/// `tool_missing` with what there is, `base_image_missing`, and whatever keeps a copy from being made.
pub(super) async fn bring(services: &Services, plan: &Plan, cancel: &CancellationToken) -> Result<Extras, Failure> {
    if let Runner::Host(_) = services.runner {
        return installed(services, plan).await;
    }
    let mut extras = Extras::default();
    for extra in &plan.toolchain.extras {
        let source = taken(services, extra, cancel).await?;
        extras.mounts.push(FileMount { source, target: PathBuf::from(&extra.home) });
    }
    Ok(extras)
}

async fn installed(services: &Services, plan: &Plan) -> Result<Extras, Failure> {
    let title = |name: &str| services.catalog.toolchains.get(name).map_or(name, |one| &one.definition.title).to_owned();
    let mut extras = Extras::default();
    for extra in &plan.toolchain.extras {
        let Some(host) = &extra.host else {
            let text = format!("`{}` is not looked for on machines", extra.name);
            return Err(Failure::new(FailureCode::ToolMissing, text).hint("leave out `--runner host`"));
        };
        let found = machine::choose(host, &extra.recipe.name, &extra.version, &extra.aliases).await?;
        extras.mounts.push(FileMount { source: found.home, target: PathBuf::from(&extra.home) });
    }
    let Some(own) = &plan.host else { return Ok(extras) };
    let found = machine::choose(&own.host, &title(&plan.toolchain.name), &own.version, &own.aliases).await?;
    let home = found.home.display().to_string();
    extras.path.push(found.programs(&own.host));
    extras.env.extend(own.host.env.iter().map(|(name, value)| (name.clone(), value.replace("{{ home }}", &home))));
    if let Some(target) = &own.home {
        extras.mounts.push(FileMount { source: found.home, target: PathBuf::from(target) });
    }
    Ok(extras)
}

/// The copy of a release, made once per build image.
async fn taken(services: &Services, extra: &PlannedExtra, cancel: &CancellationToken) -> Result<PathBuf, Failure> {
    let Runner::Container(sandbox) = &services.runner else {
        return Err(Failure::new(FailureCode::Internal, "copies are made in containers"));
    };
    let image = sandbox.image_id(&extra.image).await?;
    let parent = services.cache.join("extras");
    let copy = parent.join(format!("{}-{}", extra.name, image.trim_start_matches("sha256:")));
    if copy.is_dir() {
        return Ok(copy);
    }
    let making = blocking(move || OwnDirectory::create(&parent, "new").map_err(|error| unwritable(&parent, &error)));
    let making = making.await?;
    let export = making.path().join("copy");
    std::fs::create_dir(&export).map_err(|error| unwritable(&export, &error))?;
    match run(services, extra, extra.recipe.copy.clone(), making.path(), cancel).await? {
        // Links that lead nowhere are no loss; the check tells.
        (Exit::Code(_), _) => {}
        (_, failure) => return Err(failure),
    }
    let mut check = extra.recipe.check.clone();
    if let Some(program) = check.first_mut() {
        *program = format!("{EXPORT}/{program}");
    }
    match run(services, extra, check, making.path(), cancel).await? {
        (Exit::Code(0), _) => {}
        (_, failure) => {
            let text = format!("`{}` cannot be taken out of `{}`: {}", extra.name, extra.image, failure.message);
            return Err(Failure::new(FailureCode::ConfigurationInvalid, text)
                .hint("correct the toolchain's `[extra]` in the catalogue")
                .log_tail(failure.log_tail));
        }
    }
    // Another worker may have been faster; its copy is as good.
    match std::fs::rename(&export, &copy) {
        Err(error) if !copy.is_dir() => Err(unwritable(&copy, &error)),
        _ => Ok(copy),
    }
}

/// Runs a command of the recipe: how it ended, and the failure that this is unless it is a success.
async fn run(
    services: &Services,
    extra: &PlannedExtra,
    argv: Vec<String>,
    making: &Path,
    cancel: &CancellationToken,
) -> Result<(Exit, Failure), Failure> {
    let command = command(extra, argv, making);
    let mut output = Output::new(Arc::new(Redactor::default()), |line| tracing::debug!(line = %line.text, "copying"));
    let exit = services.runner.run_into(&command, &mut output, cancel).await?;
    Ok((exit, failure_of(exit, &command, output.tail())))
}

fn command(extra: &PlannedExtra, argv: Vec<String>, making: &Path) -> Command {
    Command {
        build: extra.name.clone(),
        step: Step::Compile,
        argv,
        workdir: PathBuf::from("/"),
        env: BTreeMap::new(),
        network: Network::None,
        image: extra.image.clone(),
        workspace: making.join("copy"),
        caches: vec![CacheMount { source: making.join("copy"), target: PathBuf::from(EXPORT) }],
        files: Vec::new(),
        limits: Limits { timeout: Duration::from_mins(5), ..Limits::default() },
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let code =
        if error.kind() == std::io::ErrorKind::StorageFull { FailureCode::DiskFull } else { FailureCode::Internal };
    Failure::new(code, format!("`{}` cannot be written: {error}", path.display()))
}
