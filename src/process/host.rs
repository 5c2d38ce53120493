//! Toolchain commands on the host.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio_util::sync::CancellationToken;

use super::tree::{self, MARKER, Tree};
use super::{SYSTEM_PATH, Translation, Watch, code_of, on_path, runs};
use crate::model::command::{Command, Exit, Stream};
use crate::model::failure::{Failure, FailureCode};
use crate::output::Output;

/// How long output may still come once all of a command's processes are dead.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs commands on the host, for laptops and for workers whose operator chose it.
///
/// There is no isolation: `network`, `image`, and the limits of memory, CPUs and processes do not apply. What holds
/// are the environment, the limits of time, silence and output, and that everything a command started ends with it.
/// If Slipway itself is killed with SIGKILL, its commands run on.
#[derive(Debug, Clone, Copy)]
pub struct HostRunner(());

impl HostRunner {
    /// A runner; from now on orphans of this process's descendants come to this process.
    #[must_use]
    pub fn new() -> Self {
        tree::adopt_orphans();
        Self(())
    }

    /// Runs a command to its end and hands its lines to `output`. Mount targets in its arguments, environment and
    /// working directory become their sources ([`Translation`]).
    ///
    /// # Errors
    /// `tool_missing` when the program is not there, `source_unusable` when the working directory is not, `internal`
    /// when the system refuses the start. A command that ends, however it does, is no error.
    pub async fn run(
        &self,
        command: &Command,
        output: &mut Output,
        cancel: &CancellationToken,
    ) -> Result<Exit, Failure> {
        output.begin(command.step, command.limits.output);
        let marker = uuid::Uuid::now_v7().to_string();
        let (mut child, tree) = {
            let _leave = tree::starting();
            let child = start(command, &marker).map_err(|failure| failure.in_step(command.step))?;
            let tree = Tree::of(&child, marker, &command.workspace);
            (child, tree)
        };
        let mut pipes = Pipes { stdout: child.stdout.take(), stderr: child.stderr.take(), chunks: Chunks::default() };

        let mut watch = Watch::start(&command.limits);
        let ended = loop {
            tokio::select! {
                read = pipes.read(output) => if read { watch.heard() } else { break wait(&mut child, &watch, cancel).await },
                status = child.wait() => break status.map(|status| Exit::Code(code_of(status))),
                exit = watch.stop(cancel) => break Ok(exit),
            }
        };
        let killer = Arc::clone(&tree);
        // A thread of its own, since it reads /proc and sleeps; its only failure would be a panic.
        let _ = tokio::task::spawn_blocking(move || killer.kill()).await;
        let _ = child.wait().await;
        let drained = async { while pipes.read(output).await {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            output.note("a process that could not be killed holds the command's output open");
        }
        output.finish();
        ended.map_err(|error| {
            Failure::new(FailureCode::Internal, format!("cannot wait for `{}`: {error}", command.argv[0]))
                .in_step(command.step)
        })
    }
}

impl Default for HostRunner {
    fn default() -> Self {
        Self::new()
    }
}

fn start(command: &Command, marker: &str) -> Result<Child, Failure> {
    let translation = Translation::of(command);
    let Some((program, args)) = command.argv.split_first() else {
        return Err(Failure::new(FailureCode::Internal, "a command without a program"));
    };
    let directory = translation.path(&command.workdir);
    if !directory.is_dir() {
        let shown = command.workdir.display();
        return Err(Failure::new(FailureCode::SourceUnusable, format!("there is no directory `{shown}` to work in")));
    }
    let missing = |error: std::io::Error| {
        let text = format!("`{program}` cannot be started on this machine: {error}");
        Failure::new(FailureCode::ToolMissing, text)
    };
    let path = command.env.get("PATH").map_or_else(|| SYSTEM_PATH.to_owned(), |path| translation.text(path));
    let named = translation.text(program);
    let found =
        if named.contains('/') { Some(directory.join(&named)) } else { on_path(Path::new(&named), path.as_ref()) };
    let found = found.filter(|path| runs(path)).ok_or_else(|| missing(std::io::ErrorKind::NotFound.into()))?;
    in_session(found)
        .args(args.iter().map(|arg| translation.text(arg)))
        .env_clear()
        .envs(command.env.iter().map(|(name, value)| (name, translation.text(value))))
        .env(MARKER, marker)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => missing(error),
            _ => Failure::new(FailureCode::Internal, format!("cannot start `{program}`: {error}")),
        })
}

/// A program in a session of its own, so without a terminal: none that it could ask a person by, or be stopped by for
/// asking from the background. `setsid(1)` becomes the program. Where a system has none, it leads a process group.
fn in_session(program: PathBuf) -> tokio::process::Command {
    let Some(setsid) = on_path(Path::new("setsid"), SYSTEM_PATH.as_ref()) else {
        let mut start = tokio::process::Command::new(program);
        start.process_group(0);
        return start;
    };
    let mut start = tokio::process::Command::new(setsid);
    start.arg(program);
    start
}

/// Waits for a command that closed both its streams and runs on.
async fn wait(child: &mut Child, watch: &Watch, cancel: &CancellationToken) -> std::io::Result<Exit> {
    tokio::select! {
        status = child.wait() => status.map(|status| Exit::Code(code_of(status))),
        exit = watch.stop(cancel) => Ok(exit),
    }
}

struct Pipes {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    chunks: Chunks,
}

struct Chunks {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { out: vec![0; 64 * 1024], err: vec![0; 64 * 1024] }
    }
}

impl Pipes {
    /// Reads what comes next on either stream; `false` when both have ended. Loses nothing when dropped half-way.
    async fn read(&mut self, output: &mut Output) -> bool {
        loop {
            let (stream, length) = match (&mut self.stdout, &mut self.stderr) {
                (None, None) => return false,
                (Some(out), None) => (Stream::Stdout, out.read(&mut self.chunks.out).await),
                (None, Some(err)) => (Stream::Stderr, err.read(&mut self.chunks.err).await),
                (Some(out), Some(err)) => tokio::select! {
                    length = out.read(&mut self.chunks.out) => (Stream::Stdout, length),
                    length = err.read(&mut self.chunks.err) => (Stream::Stderr, length),
                },
            };
            match (stream, length.unwrap_or(0)) {
                (Stream::Stdout, 0) => self.stdout = None,
                (Stream::Stderr, 0) => self.stderr = None,
                (stream, length) => {
                    let chunk = if stream == Stream::Stdout { &self.chunks.out } else { &self.chunks.err };
                    output.feed(stream, &chunk[..length]);
                    return true;
                }
            }
        }
    }
}
