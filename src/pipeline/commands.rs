//! The toolchain's commands run, step by step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::context::layer_directory;
use super::deadline::Deadline;
use super::extras::{self, Extras};
use super::record::Record;
use super::secret_files::SecretFiles;
use super::services::{self, Services};
use super::{Delivery, disk, laid_out, mirror, secret_files, strangers};
use crate::image::LogSink;
use crate::model::command::{CacheMount, Command, Exit, FileMount};
use crate::model::failure::{Failure, FailureCode, Step, Warning};
use crate::model::plan::{LayerSource, Plan, PlannedStep};
use crate::model::request::BuildRequest;
use crate::output::{Cause, Line, Redactor, Tail};
use crate::process::Translation;
use crate::runner::{Runner, failure_of, is_there_already};
use crate::sandbox::HOME;
use crate::work::blocking;
use crate::workspace::Workspace;

/// The build that commands belong to.
#[derive(Clone, Copy)]
struct Build<'a> {
    services: &'a Services,
    request: &'a BuildRequest,
    plan: &'a Plan,
    workspace: &'a Workspace,
    extras: &'a Extras,
    /// What finds the line that tells why a command failed.
    cause: &'a Cause,
}

/// Runs the commands of the plan that make what its layers are filled with.
pub(super) async fn run(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    delivery: &Delivery,
    workspace: &Workspace,
    record: &mut Record<'_>,
    deadline: &Deadline<'_>,
) -> Result<(), Failure> {
    let (steps, _) = plan.commands();
    let Some(first) = steps.first() else { return Ok(()) };
    let extras = deadline.step(first.step, |stop| async move { extras::bring(services, plan, &stop).await }).await?;
    let cause = Cause::by(&plan.causes);
    let build = Build { services, request, plan, workspace, extras: &extras, cause: &cause };
    for commands in steps.chunk_by(|one, next| one.step == next.step) {
        let Some(step) = commands.first().map(|planned| planned.step) else { continue };
        let log = record.log(step);
        let work = deadline.step(step, |stop| {
            let log = &log;
            async move {
                let (mut offline, mut warnings) = (true, Vec::new());
                for planned in commands {
                    match one(build, planned, deadline.left(), log, &stop).await {
                        Err(failure) if delivery.deployed && is_there_already(&failure) => {
                            offline = false;
                            warnings.push(deployed_before());
                        }
                        ended => offline &= ended?,
                    }
                }
                Ok((offline, warnings))
            }
        });
        let (_, warnings) = record.reusing(step, work, |(offline, _)| *offline).await?;
        record.warn(warnings);
    }
    Ok(())
}

/// Runs the commands that see the layers where the image has them: what they look at is laid out for them.
pub(super) async fn run_on_layers(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    workspace: &Workspace,
    log: LogSink<'_>,
    left: Duration,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let (_, steps) = plan.commands();
    let Some(image) = plan.image.as_ref().filter(|_| !steps.is_empty()) else { return Ok(()) };
    let (planned, context, into) = (image.clone(), workspace.context(), workspace.files().join("laid-out"));
    blocking(move || laid_out::lay_out(&planned, &context, &into)).await?;
    let (extras, cause) = (Extras::default(), Cause::by(&plan.causes));
    let build = Build { services, request, plan, workspace, extras: &extras, cause: &cause };
    for planned in steps {
        one(build, planned, left, log, cancel).await?;
    }
    disk::bounded(&workspace.context(), services.config.limits.output).await
}

/// The worker may have died, or the registry been away, after the deployment.
fn deployed_before() -> Warning {
    let message =
        "The package repository has this version already: an earlier run of this build is taken to have deployed it.";
    Warning::new("deployed_before", message, "If what it has is not complete, give the project a new version.")
}

/// Runs one command: offline first, where the cache has resolved the same manifests before. Says whether that did.
async fn one(
    build: Build<'_>,
    planned: &PlannedStep,
    left: Duration,
    log: LogSink<'_>,
    cancel: &CancellationToken,
) -> Result<bool, Failure> {
    let Build { services, request, plan, workspace, .. } = build;
    if planned.image.is_some() && matches!(services.runner, Runner::Host(_)) {
        log("left out on this machine: it would look into the image that the application runs in");
        return Ok(true);
    }
    let secret = if request.untrusted {
        SecretFiles::default()
    } else {
        secret_files::write(services, plan, planned.step, workspace).await?
    };
    let hidden = secret.secrets.iter().cloned().chain(services.passwords(plan));
    let redactor = Arc::new(Redactor::new(hidden));
    let mut command = command(build, planned, left)?;
    command.files.extend(secret.files.iter().cloned());
    if let Runner::Host(_) = services.runner {
        linked_at_home(&command)?;
    }
    let resolved = planned.offline.as_ref().map(|offline| services.resolved(request, workspace, &offline.key));
    if let (Some(offline), Some(stamp)) = (&planned.offline, &resolved)
        && stamp.is_file()
    {
        let mut offline_command = command.clone();
        offline_command.argv.splice(1..1, offline.args.iter().cloned());
        match stream(build, &offline_command, &redactor, log, cancel).await? {
            (Exit::Code(0), _) => return Ok(true),
            // A broken project is broken with a network too; only what the cache lost is worth another run.
            (Exit::Code(_), said) if said.lacks(&offline.missing) => {
                log("the cache lacks something; running once more with the network");
            }
            (exit, said) => return failed(exit, &offline_command, &said, planned, plan, log),
        }
    }
    let (exit, said) = stream(build, &command, &redactor, log, cancel).await?;
    if exit != Exit::Code(0) {
        return failed(exit, &command, &said, planned, plan, log);
    }
    if let Some(stamp) = resolved {
        services::mark_resolved(&stamp);
    }
    Ok(false)
}

/// What becomes of a command that did not succeed.
fn failed(
    exit: Exit,
    command: &Command,
    said: &Said,
    planned: &PlannedStep,
    plan: &Plan,
    log: LogSink<'_>,
) -> Result<bool, Failure> {
    match exit {
        exit if is_forgiven(exit, planned) => {
            log("the command may fail: the build goes on without what it would have made");
            Ok(false)
        }
        Exit::Code(_) => {
            let failure = explained(failure_of(exit, command, &said.tail), &said.cause, plan);
            Err(mirror::blamed(failure, &operators(command, plan)))
        }
        exit => Err(failure_of(exit, command, &said.tail)),
    }
}

/// Whether the build goes on. What has a time of its own is a try: it may also take longer, or more memory than there is.
fn is_forgiven(exit: Exit, planned: &PlannedStep) -> bool {
    match exit {
        Exit::Code(_) => planned.may_fail,
        Exit::TimedOut | Exit::Silent | Exit::OutOfMemory => planned.may_fail && planned.seconds.is_some(),
        Exit::Cancelled => false,
    }
}

/// What the operator's files that the command saw say.
fn operators(command: &Command, plan: &Plan) -> String {
    let named = command.files.iter().filter(|file| plan.files.keys().any(|target| file.target == *target));
    named.filter_map(|file| std::fs::read_to_string(&file.source).ok()).collect()
}

/// A failure with the line that tells why, and with what the toolchain's data knows to do about such lines.
fn explained(mut failure: Failure, cause: &Cause, plan: &Plan) -> Failure {
    if let Some(told) = cause.told() {
        failure.message = format!("{}: {told}", failure.message);
    }
    let lines = || failure.log_tail.iter().chain([&failure.message]);
    let says = |texts: &Vec<String>| lines().any(|line| texts.iter().any(|text| line.contains(text)));
    // Of a refused deployment more may be known already.
    let open = match failure.code {
        FailureCode::CompileFailed => true,
        FailureCode::DeployFailed => failure.hint == failure.code.hint(),
        _ => false,
    };
    let hint = plan.hints.iter().find(|(texts, _)| open && says(texts));
    match hint {
        Some((_, hint)) => failure.hint(hint.clone()),
        None => failure,
    }
}

/// What a command printed, as far as failures need it.
struct Said {
    tail: Tail,
    cause: Cause,
}

impl Said {
    /// Whether its last lines have one of the texts, where there are any to look for.
    fn lacks(&self, missing: &[String]) -> bool {
        missing.is_empty() || self.tail.lines().iter().any(|line| missing.iter().any(|text| line.contains(text)))
    }
}

/// Runs a command and passes its lines on, redacted.
async fn stream(
    build: Build<'_>,
    command: &Command,
    redactor: &Arc<Redactor>,
    log: LogSink<'_>,
    cancel: &CancellationToken,
) -> Result<(Exit, Said), Failure> {
    let (sender, mut lines) = mpsc::channel::<Line>(1024);
    let run = async {
        let ended = bounded(build, command, redactor, &sender, cancel).await;
        drop(sender);
        ended
    };
    let pass_on = async {
        let mut said = Said { tail: Tail::default(), cause: build.cause.clone() };
        while let Some(line) = lines.recv().await {
            said.tail.push(&line.text);
            said.cause.see(&line.text);
            log(&line.coloured);
        }
        said
    };
    match tokio::join!(run, pass_on) {
        (Ok(exit), said) => Ok((exit, said)),
        (Err(failure), said) => Err(failure.log_tail(said.tail.lines())),
    }
}

/// Runs a command; stops it when the workspace takes more than it may.
async fn bounded(
    build: Build<'_>,
    command: &Command,
    redactor: &Arc<Redactor>,
    lines: &mpsc::Sender<Line>,
    cancel: &CancellationToken,
) -> Result<Exit, Failure> {
    let stop = cancel.child_token();
    let mut run = std::pin::pin!(build.services.runner.run(command, redactor, lines, &stop));
    tokio::select! {
        exit = &mut run => exit,
        failure = disk::exceeded(build.workspace.root(), build.services.config.limits.disk) => {
            stop.cancel();
            run.await.and(Err(failure))
        }
    }
}

/// The planned command with everything that only this machine knows.
fn command(build: Build<'_>, planned: &PlannedStep, left: Duration) -> Result<Command, Failure> {
    let Build { services, request, plan, workspace, extras, .. } = build;
    let mut env = services.network_env();
    let mut files = services.files(&plan.files);
    if request.untrusted {
        strangers::without_passwords(&mut env);
        strangers::without_secrets(&mut files, &plan.files, workspace)?;
    }
    env.extend(planned.env.clone());
    if let Runner::Host(_) = services.runner {
        // The tools are where this machine has them; what they keep at home lasts as long as the build.
        env.insert("PATH".to_owned(), extras.search_path());
        env.extend(extras.env.iter().cloned());
        env.insert("HOME".to_owned(), HOME.to_owned());
    }
    let mut caches: Vec<CacheMount> = Vec::new();
    if let Runner::Host(_) = services.runner {
        caches.push(CacheMount { source: made(workspace.files().join("home"))?, target: PathBuf::from(HOME) });
    }
    for (name, target) in &planned.caches {
        caches.push(CacheMount { source: services.cache(request, workspace, name)?, target: PathBuf::from(target) });
    }
    for (name, target) in &plan.outputs {
        caches.push(CacheMount { source: output(plan, name, workspace)?, target: PathBuf::from(target) });
    }
    if let Some(image) = plan.image.as_ref().filter(|_| planned.step == Step::Dockerfile) {
        let source = laid_out::place(&workspace.files().join("laid-out"), &image.workdir);
        caches.push(CacheMount { source: made(source)?, target: PathBuf::from(&image.workdir) });
    }
    files.extend(extras.mounts.iter().cloned());
    let mut command = Command {
        build: request.id.to_string(),
        step: planned.step,
        argv: planned.command.clone(),
        workdir: PathBuf::from(&planned.workdir),
        env,
        network: planned.network,
        image: planned.image.clone().or_else(|| plan.toolchain.image.clone()).unwrap_or_default(),
        workspace: workspace.source(),
        caches,
        files,
        limits: services.limits(planned.seconds.map_or(left, |most| left.min(Duration::from_secs(most.into())))),
    };
    let texts = texts(build, &command)?;
    command.files.extend(texts);
    Ok(command)
}

/// Tools look for accounts at home, and a machine has no mounts: a link stands there instead.
fn linked_at_home(command: &Command) -> Result<(), Failure> {
    let translation = Translation::of(&Command { files: Vec::new(), ..command.clone() });
    for file in command.files.iter().filter(|file| file.target.starts_with(HOME)) {
        let link = translation.path(&file.target);
        let made = std::fs::remove_file(&link).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        });
        made.and_then(|()| std::os::unix::fs::symlink(&file.source, &link))
            .map_err(|error| Failure::new(FailureCode::Internal, format!("`{}`: {error}", link.display())))?;
    }
    Ok(())
}

/// Writes the texts that planning made; on the host, paths in them become the host's.
fn texts(build: Build<'_>, command: &Command) -> Result<Vec<FileMount>, Failure> {
    let translation = matches!(build.services.runner, Runner::Host(_)).then(|| Translation::of(command));
    let mut files = Vec::new();
    for (index, (target, text)) in build.plan.texts.iter().enumerate() {
        let source = build.workspace.files().join(format!("text-{index}"));
        let text = translation.as_ref().map_or_else(|| text.clone(), |translation| translation.text(text));
        std::fs::write(&source, text.trim_start())
            .map_err(|error| Failure::new(FailureCode::Internal, format!("`{}`: {error}", source.display())))?;
        files.push(FileMount { source, target: PathBuf::from(target) });
    }
    Ok(files)
}

/// The directory that an output fills: its layer's place in the build context.
fn output(plan: &Plan, name: &str, workspace: &Workspace) -> Result<PathBuf, Failure> {
    let layers = plan.image.iter().flat_map(|image| &image.layers);
    let layer = layers.into_iter().find(|layer| layer.from == LayerSource::Output(name.to_owned()));
    let directory = match layer {
        Some(layer) => layer_directory(&workspace.context(), &layer.name, &layer.to),
        None => workspace.files().join(format!("output-{name}")),
    };
    made(directory)
}

fn made(directory: PathBuf) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(&directory)
        .map_err(|error| Failure::new(FailureCode::Internal, format!("`{}`: {error}", directory.display())))?;
    Ok(directory)
}

/// Environment variables by name; the type that commands carry.
pub(super) type Env = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Operator, embedded};
    use crate::model::command::Network;

    /// What is told of lines of Maven's.
    fn told(lines: &[&str]) -> String {
        let catalog = Catalog::from_files(&embedded(), Operator::default()).unwrap();
        let mut cause = Cause::by(&catalog.toolchains["maven"].definition.causes);
        for line in lines {
            cause.see(line);
        }
        cause.told().unwrap_or_default()
    }

    #[test]
    fn a_command_that_may_fail_may_take_its_own_time_and_not_the_builds() {
        let planned = |may_fail, seconds| PlannedStep {
            step: Step::Dockerfile,
            command: Vec::new(),
            workdir: "/app".to_owned(),
            image: None,
            env: BTreeMap::new(),
            network: Network::None,
            caches: BTreeMap::new(),
            may_fail,
            seconds,
            offline: None,
        };
        for (may_fail, seconds, expected) in [
            (true, Some(1), [true, true, true, true, false]),
            (true, None, [true, false, false, false, false]),
            (false, Some(1), [false; 5]),
        ] {
            let ends = [Exit::Code(1), Exit::TimedOut, Exit::Silent, Exit::OutOfMemory, Exit::Cancelled];
            assert_eq!(ends.map(|exit| is_forgiven(exit, &planned(may_fail, seconds))), expected);
        }
    }

    #[test]
    fn what_maven_lacks_is_told_with_where_it_was_looked_for() {
        let missing = "Could not find artifact a:b:jar:1 in central (https://central.example.org/maven2)";
        let transfer = "Could not transfer artifact a:b:pom:1 from/to public (https://gone.example.org/): gone.example.org: Name or service not known";
        let parent = format!(
            "Non-resolvable parent POM for x:y:1: The following artifacts could not be resolved: a:b:pom:1 (absent): {transfer}"
        );
        let plugin =
            "[ERROR] Unresolveable build extension: Plugin a:b:1 or one of its dependencies could not be resolved:";
        assert_eq!(
            told(&[&format!("[FATAL] {parent} and 'parent.relativePath' points at no local POM @ line 5, column 13")]),
            transfer
        );
        assert_eq!(told(&[&format!("[ERROR] {parent} @ line 5, column 13: Unknown host -> [Help 2]")]), transfer);
        assert_eq!(told(&[plugin, &format!("\t{missing}"), " @ "]), missing);
        assert_eq!(told(&[&format!("[ERROR] Failed to execute goal on project x: {missing} -> [Help 1]")]), missing);
        let cached = "a:b:jar:1 was not found in https://central.example.org/maven2 during a previous attempt.";
        assert_eq!(told(&[&format!("[ERROR] Could not resolve: {cached} -> [Help 1]")]), cached);
        let error = "[ERROR] /workspace/src/main/java/A.java:[3,4] cannot find symbol";
        assert_eq!(told(&[error, missing]), "src/main/java/A.java:[3,4] cannot find symbol");
    }

    #[test]
    fn an_assembly_that_is_not_right_says_why() {
        let goal = "[ERROR] Failed to execute goal a:maven-assembly-plugin:3.7.1:single: Assembly is incorrectly configured: null:";
        let why = "Assembly: null is not configured correctly: Assembly ID must be present and non-empty.";
        assert_eq!(told(&[goal, &format!("[ERROR] {why}")]), why);
    }
}
