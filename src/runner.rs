//! Running commands, wherever the operator wants them to run, and saying what their ends mean.

mod ends;

use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::model::command::{Command, Exit};
use crate::model::failure::{Failure, FailureCode};
use crate::output::{Line, Output, Redactor};
use crate::process::HostRunner;
use crate::sandbox::{Sandbox, Settings};

pub use ends::failure_of;
pub(crate) use ends::{is_there_already, spoken};

/// Where commands run.
#[derive(Debug, Clone)]
pub enum Runner {
    /// On this machine, without isolation.
    Host(HostRunner),
    /// Each in a container of its own.
    Container(Box<Sandbox>),
}

impl Runner {
    /// Containers of the Engine that `DOCKER_HOST` names, or of the local one. `scratch` is a directory of Slipway's
    /// own that the Engine sees at the same path; `closed` is what they must not reach, as `host:port` or a range.
    ///
    /// # Errors
    /// `engine_unavailable` when it does not answer, `configuration_invalid` when `scratch` cannot be written.
    pub async fn container(scratch: impl Into<PathBuf>, closed: Vec<String>) -> Result<Self, Failure> {
        let silent = |error: bollard::errors::Error| {
            Failure::new(FailureCode::EngineUnavailable, format!("the Docker Engine does not answer: {error}"))
        };
        let docker = Docker::connect_with_defaults().map_err(silent)?.negotiate_version().await.map_err(silent)?;
        Ok(Self::Container(Box::new(Sandbox::new(docker, Settings { closed, ..Settings::new(scratch) })?)))
    }

    /// The same Engine with another configuration; one that is away just now will be asked when a command runs.
    ///
    /// # Errors
    /// As [`Runner::container`].
    pub async fn container_again(&self, scratch: impl Into<PathBuf>, closed: Vec<String>) -> Result<Self, Failure> {
        match self {
            Self::Container(sandbox) => {
                let settings = Settings { closed, ..Settings::new(scratch) };
                Ok(Self::Container(Box::new(sandbox.again(settings)?)))
            }
            Self::Host(_) => Self::container(scratch, closed).await,
        }
    }

    /// This machine.
    #[must_use]
    pub fn host() -> Self {
        Self::Host(HostRunner::new())
    }

    /// Runs a command to its end; its lines go to `output`, whose tail then explains a failure ([`failure_of`]).
    ///
    /// # Errors
    /// What kept the command from running: `tool_missing`, `base_image_missing`, `engine_unavailable` …
    pub async fn run_into(
        &self,
        command: &Command,
        output: &mut Output,
        cancel: &CancellationToken,
    ) -> Result<Exit, Failure> {
        match self {
            Self::Host(host) => host.run(command, output, cancel).await,
            Self::Container(sandbox) => sandbox.run(command, output, cancel).await,
        }
    }

    /// Like [`Runner::run_into`], sending the lines, redacted, to a channel. However slowly it is read, the command's
    /// output is drained: what waits is bounded by the command's own limit of output.
    ///
    /// # Errors
    /// As [`Runner::run_into`].
    pub async fn run(
        &self,
        command: &Command,
        redactor: &Arc<Redactor>,
        lines: &mpsc::Sender<Line>,
        cancel: &CancellationToken,
    ) -> Result<Exit, Failure> {
        let (sink, mut waiting) = mpsc::unbounded_channel();
        let run = async {
            // A closed channel means that nobody reads any more; the command still runs to its end.
            let mut output = Output::new(Arc::clone(redactor), move |line| drop(sink.send(line)));
            self.run_into(command, &mut output, cancel).await
        };
        let pass_on = async {
            while let Some(line) = waiting.recv().await {
                if lines.send(line).await.is_err() {
                    break;
                }
            }
        };
        tokio::join!(run, pass_on).0
    }
}
