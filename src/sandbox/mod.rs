//! Toolchain commands in containers of a Docker Engine (API 1.41 and later).
//!
//! A container is created, attached, then started, in this order: attached later, it loses output or hangs. Its
//! output is drained whatever happens, since an attached client that does not read blocks the Engine's every other
//! call about that container; to kill one, the attachment is closed first.

mod container;
mod network;
mod ownership;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, InspectContainerOptions, KillContainerOptionsBuilder,
    StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::leftovers::{containers, sweep_directories};
use crate::model::command::{Command, Exit, Network, Stream};
use crate::model::failure::{Failure, FailureCode};
use crate::output::Output;
use crate::process::Watch;

pub use ownership::{HOME, Identity};

/// How long output may still come after the Engine said that the container has ended.
const DRAIN: Duration = Duration::from_secs(10);

/// What the operator decides about sandboxes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A directory of Slipway's own, at the same path for the Engine: holds the generated `passwd`.
    pub scratch: PathBuf,
    /// The bridge network of commands that need registries; made when it is missing.
    pub network: String,
    /// What its containers must not reach besides link-local addresses: `host:port`, or ranges of addresses.
    pub closed: Vec<String>,
    /// Open files per process. Above the Engine's own hard limit containers do not start.
    pub open_files: i64,
    /// How long the Engine may take to answer one call.
    pub engine_timeout: Duration,
}

impl Settings {
    /// The defaults, with this scratch directory.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        let network = "slipway-build".to_owned();
        let scratch = scratch.into();
        Self { scratch, network, closed: Vec::new(), open_files: 4096, engine_timeout: Duration::from_mins(1) }
    }
}

/// Runs each command in a fresh container without capabilities, on a read-only root.
#[derive(Debug, Clone)]
pub struct Sandbox {
    docker: Docker,
    settings: Settings,
    identity: Identity,
    passwd: PathBuf,
    network: Arc<OnceCell<()>>,
}

impl Sandbox {
    /// A sandbox on this Engine. Writes the `passwd` file that gives the run's user a name and a home.
    ///
    /// # Errors
    /// `configuration_invalid` when the scratch directory cannot be written.
    pub fn new(docker: Docker, settings: Settings) -> Result<Self, Failure> {
        let identity = Identity::of_runs();
        let passwd = ownership::write_passwd(&settings.scratch, identity).map_err(|error| {
            let text = format!("cannot write into `{}`: {error}", settings.scratch.display());
            Failure::new(FailureCode::ConfigurationInvalid, text)
        })?;
        let docker = docker.with_timeout(settings.engine_timeout);
        Ok(Self { docker, settings, identity, passwd, network: Arc::default() })
    }

    /// A sandbox on the same Engine.
    ///
    /// # Errors
    /// As [`Sandbox::new`].
    pub fn again(&self, settings: Settings) -> Result<Self, Failure> {
        Self::new(self.docker.clone(), settings)
    }

    /// Runs a command to its end and hands its lines to `output`. The workspace and the caches then belong to the
    /// run's user, so removing them needs the same user or root.
    ///
    /// A child that was killed for its memory while the command ended with 0 is a note in the output, unless the
    /// command ended in the same moment: the Engine then never hears of it.
    ///
    /// # Errors
    /// `base_image_missing`, `tool_missing`, `engine_unavailable`, and `internal` when the Engine refuses the container.
    pub async fn run(
        &self,
        command: &Command,
        output: &mut Output,
        cancel: &CancellationToken,
    ) -> Result<Exit, Failure> {
        output.begin(command.step, command.limits.output);
        let result = self.run_in_container(command, output, cancel).await;
        output.finish();
        let exit = result.map_err(|failure| failure.in_step(command.step))?;
        match (exit, output.tail().lines().as_slice()) {
            // Init is tini; it says this instead of the program, which then printed nothing.
            (Exit::Code(126 | 127), [only]) if only.starts_with("[FATAL tini") => {
                Err(tool_missing(command, only).in_step(command.step))
            }
            _ => Ok(exit),
        }
    }

    /// Removes what workers that are gone have left: containers, also those past their time, and copies of files.
    ///
    /// # Errors
    /// `engine_unavailable` when the Engine does not answer.
    pub async fn sweep(&self) -> Result<usize, Failure> {
        let scratch = self.settings.scratch.clone();
        let directories = tokio::task::spawn_blocking(move || sweep_directories(&scratch)).await.unwrap_or(0);
        Ok(directories + containers::sweep(&self.docker).await.map_err(|error| engine(&error))?)
    }

    /// The id of an image that the Engine has.
    ///
    /// # Errors
    /// `base_image_missing`, `engine_unavailable`.
    pub async fn image_id(&self, reference: &str) -> Result<String, Failure> {
        match self.docker.inspect_image(reference).await {
            Ok(image) => Ok(image.id.unwrap_or_default()),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                let text = format!("the Docker Engine has no image `{reference}`");
                Err(Failure::new(FailureCode::BaseImageMissing, text))
            }
            Err(error) => Err(engine(&error)),
        }
    }

    async fn run_in_container(
        &self,
        command: &Command,
        output: &mut Output,
        cancel: &CancellationToken,
    ) -> Result<Exit, Failure> {
        ownership::hand_over(command, self.identity).await?;
        if command.network == Network::Bridge {
            self.network
                .get_or_try_init(|| network::ensure(&self.docker, &self.settings.network, &self.settings.closed))
                .await?;
        }
        let (files, _copies) =
            ownership::readable(command, &self.settings.scratch, self.identity).map_err(|error| {
                let text = format!("a file that `{}` needs cannot be read: {error}", command.argv.join(" "));
                Failure::new(FailureCode::ConfigurationInvalid, text)
            })?;
        let command = &Command { files, ..command.clone() };
        let body = container::body(command, &self.settings, self.identity, &self.passwd)?;
        let created = self.docker.create_container(None::<CreateContainerOptions>, body).await;
        let id = created.map_err(|error| not_created(command, &error))?.id;
        let mut guard = Guard { docker: self.docker.clone(), id: Some(id.clone()) };
        let result = self.drive(&id, command, output, cancel).await;
        guard.remove().await;
        result
    }

    async fn drive(
        &self,
        id: &str,
        command: &Command,
        output: &mut Output,
        cancel: &CancellationToken,
    ) -> Result<Exit, Failure> {
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let mut attached = self.docker.attach_container(id, Some(options)).await.map_err(|e| engine(&e))?;
        let started = self.docker.start_container(id, None::<StartContainerOptions>).await;
        started.map_err(|error| not_started(command, &error))?;

        let mut watch = Watch::start(&command.limits);
        let mut ending = self.docker.wait_container(id, None::<WaitContainerOptions>);
        let (mut ended, mut open) = (false, true);
        while open || !ended {
            tokio::select! {
                frame = attached.output.next(), if open => match frame {
                    Some(Ok(frame)) => {
                        watch.heard();
                        feed(output, frame);
                    }
                    Some(Err(error)) => return Err(engine(&error)),
                    None => open = false,
                },
                // Its code is in the state as well, with why; an error here shows there, too.
                _ = ending.next(), if !ended => ended = true,
                () = tokio::time::sleep(DRAIN), if ended => open = false,
                exit = watch.stop(cancel), if !ended => {
                    drop(attached);
                    let options = KillContainerOptionsBuilder::default().signal("KILL").build();
                    if let Err(error) = self.docker.kill_container(id, Some(options)).await {
                        tracing::warn!(container = id, %error, "cannot kill a container; it is removed by force");
                    }
                    return Ok(exit);
                }
            }
        }
        self.exit_of(id, output).await
    }

    async fn exit_of(&self, id: &str, output: &mut Output) -> Result<Exit, Failure> {
        let inspected = self.docker.inspect_container(id, None::<InspectContainerOptions>).await;
        let state = inspected.map_err(|error| engine(&error))?.state.unwrap_or_default();
        let code = state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1);
        if state.running == Some(true) {
            return Err(Failure::new(FailureCode::EngineUnavailable, "the Docker Engine lost sight of a command"));
        }
        Ok(match (state.oom_killed == Some(true), code) {
            (false, code) => Exit::Code(code),
            (true, 0) => {
                output.note("a process of the command was killed for using too much memory; the command went on");
                Exit::Code(0)
            }
            (true, _) => Exit::OutOfMemory,
        })
    }
}

fn feed(output: &mut Output, frame: LogOutput) {
    match frame {
        LogOutput::StdErr { message } => output.feed(Stream::Stderr, &message),
        LogOutput::StdOut { message } | LogOutput::Console { message } => output.feed(Stream::Stdout, &message),
        LogOutput::StdIn { .. } => {}
    }
}

/// Removes a container, also when the future that owns it is dropped.
struct Guard {
    docker: Docker,
    id: Option<String>,
}

impl Guard {
    async fn remove(&mut self) {
        if let Some(id) = self.id.take() {
            containers::remove(&self.docker, &id).await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) {
            let docker = self.docker.clone();
            runtime.spawn(async move { containers::remove(&docker, &id).await });
        }
    }
}

fn engine(error: &Error) -> Failure {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            Failure::new(FailureCode::Internal, format!("the Docker Engine refused ({status_code}): {message}"))
        }
        _ => Failure::new(FailureCode::EngineUnavailable, format!("the Docker Engine does not answer: {error}")),
    }
}

fn not_created(command: &Command, error: &Error) -> Failure {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => Failure::new(
            FailureCode::BaseImageMissing,
            format!("the Docker Engine has no image `{}` to run `{}` in", command.image, command.argv[0]),
        ),
        _ => engine(error),
    }
}

fn not_started(command: &Command, error: &Error) -> Failure {
    match error {
        Error::DockerResponseServerError { status_code: 400, message } => tool_missing(command, message),
        _ => engine(error),
    }
}

fn tool_missing(command: &Command, said: &str) -> Failure {
    let (program, image) = (&command.argv[0], &command.image);
    Failure::new(FailureCode::ToolMissing, format!("`{program}` cannot be started in the image `{image}`: {said}"))
        .hint("Use a build image that has the program, or correct the toolchain's command.")
}
