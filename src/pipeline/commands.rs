//! The toolchain's commands run, step by step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::context::layer_directory;
use super::record::Record;
use super::secret_files;
use super::services::{self, Services};
use crate::model::command::{CacheMount, Command, Exit};
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::plan::{LayerSource, Plan, PlannedStep};
use crate::model::report::BuildEvent;
use crate::model::request::BuildRequest;
use crate::output::{Line, Redactor, Tail};
use crate::runner::{Runner, failure_of};
use crate::workspace::Workspace;

/// Runs all commands of the plan.
pub(super) async fn run(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    workspace: &Workspace,
    record: &mut Record<'_>,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    if plan.container_only && matches!(services.runner, Runner::Host(_)) {
        let message =
            format!("what `{}` makes holds paths of the image: it cannot be made on this machine", plan.toolchain.name);
        return Err(Failure::new(FailureCode::ToolMissing, message)
            .hint("leave out `--runner host`, and start a Docker Engine"));
    }
    let mut current: Option<(Step, Instant)> = None;
    for planned in &plan.steps {
        match current {
            Some((step, _)) if step == planned.step => {}
            ended => {
                if let Some((step, started)) = ended {
                    record.finished(step, None, started);
                }
                record.event(BuildEvent::StepStarted { step: planned.step });
                current = Some((planned.step, Instant::now()));
            }
        }
        let ended = one(services, request, plan, planned, workspace, record, cancel).await;
        let ended = ended.map_err(|failure| failure.in_step(planned.step));
        if let (Err(failure), Some((step, started))) = (&ended, current) {
            record.finished(step, Some(failure), started);
        }
        ended?;
    }
    if let Some((step, started)) = current {
        record.finished(step, None, started);
    }
    Ok(())
}

/// Runs one command: offline first, where the cache has resolved the same manifests before.
async fn one(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    planned: &PlannedStep,
    workspace: &Workspace,
    record: &Record<'_>,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let secret = secret_files::write(services, plan, planned.step, workspace).await?;
    let hidden = secret.secrets.iter().cloned().chain(services.proxy_passwords());
    let redactor = Arc::new(Redactor::new(hidden));
    let mut command = command(services, request, plan, planned, workspace)?;
    command.files.extend(secret.files);
    let resolved = planned.offline.as_ref().map(|offline| services.resolved(request, &offline.key));
    if let (Some(offline), Some(stamp)) = (&planned.offline, &resolved)
        && stamp.is_file()
    {
        let mut offline_command = command.clone();
        offline_command.argv.splice(1..1, offline.args.iter().cloned());
        if let (Exit::Code(0), _) = stream(services, &offline_command, &redactor, record, cancel).await? {
            return Ok(());
        }
        // The cache lost something, or the project is broken: the run with a network tells which.
        record.event(BuildEvent::Log {
            step: planned.step,
            line: "offline run failed; running once more with the network".to_owned(),
        });
    }
    let (exit, tail) = stream(services, &command, &redactor, record, cancel).await?;
    match exit {
        Exit::Code(0) => {
            if let Some(stamp) = resolved {
                services::mark_resolved(&stamp);
            }
            Ok(())
        }
        Exit::Code(_) if planned.may_fail => Ok(()),
        exit => Err(failure_of(exit, &command, &tail)),
    }
}

/// Runs a command and passes its lines on, redacted.
async fn stream(
    services: &Services,
    command: &Command,
    redactor: &Arc<Redactor>,
    record: &Record<'_>,
    cancel: &CancellationToken,
) -> Result<(Exit, Tail), Failure> {
    let (sender, mut lines) = mpsc::channel::<Line>(1024);
    let run = async {
        let exit = services.runner.run(command, redactor, &sender, cancel).await;
        drop(sender);
        exit
    };
    let pass_on = async {
        let mut tail = Tail::default();
        while let Some(line) = lines.recv().await {
            tail.push(&line.text);
            record.event(BuildEvent::Log { step: line.step, line: line.text });
        }
        tail
    };
    let (exit, tail) = tokio::join!(run, pass_on);
    Ok((exit?, tail))
}

/// The planned command with everything that only this machine knows.
fn command(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    planned: &PlannedStep,
    workspace: &Workspace,
) -> Result<Command, Failure> {
    let mut env = services.network_env();
    env.extend(planned.env.clone().into_iter().filter(|(_, value)| !value.is_empty()));
    if let Runner::Host(_) = services.runner {
        // The tools are where this machine has them; what they keep at home lasts as long as the build.
        env.extend(crate::environment::variable("PATH").map(|path| ("PATH".to_owned(), path)));
        env.insert("HOME".to_owned(), workspace.files().display().to_string());
    }
    let mut caches: Vec<CacheMount> = Vec::new();
    for (name, target) in &planned.caches {
        caches.push(CacheMount { source: services.cache(request, name)?, target: PathBuf::from(target) });
    }
    for (name, target) in &plan.outputs {
        caches.push(CacheMount { source: output(plan, name, workspace)?, target: PathBuf::from(target) });
    }
    Ok(Command {
        step: planned.step,
        argv: planned.command.clone(),
        workdir: PathBuf::from(&planned.workdir),
        env,
        network: planned.network,
        image: plan.toolchain.image.clone().unwrap_or_default(),
        workspace: workspace.source(),
        caches,
        files: services.files(&plan.files),
        limits: services.limits(request),
    })
}

/// The directory that an output fills: its layer's place in the build context.
fn output(plan: &Plan, name: &str, workspace: &Workspace) -> Result<PathBuf, Failure> {
    let layers = plan.image.iter().flat_map(|image| &image.layers);
    let layer = layers.into_iter().find(|layer| layer.from == LayerSource::Output(name.to_owned()));
    let directory = match layer {
        Some(layer) => layer_directory(&workspace.context(), &layer.name, &layer.to),
        None => workspace.files().join(format!("output-{name}")),
    };
    std::fs::create_dir_all(&directory)
        .map_err(|error| Failure::new(FailureCode::Internal, format!("`{}`: {error}", directory.display())))?;
    Ok(directory)
}

/// Environment variables by name; the type that commands carry.
pub(super) type Env = BTreeMap<String, String>;
