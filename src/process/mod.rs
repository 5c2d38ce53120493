//! Processes on the host: the only place that starts any.
//!
//! [`capture`] runs short programs (git, debootstrap) and returns what they said;
//! [`HostRunner`] runs toolchain commands and streams their lines.
#![allow(clippy::disallowed_methods, reason = "`process` is where programs are started")]

mod host;
mod translate;
mod tree;
mod watch;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

pub use host::HostRunner;
pub use translate::Translation;
pub(crate) use watch::Watch;

/// A short program whose whole output fits in memory.
#[derive(Clone)]
pub struct Program {
    /// A name looked up in the `PATH` of `env`, or a path.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    /// The working directory; `None` is the caller's own.
    pub dir: Option<PathBuf>,
    /// What it reads; `None` is an empty input.
    pub stdin: Option<Vec<u8>>,
    /// Wall-clock time after which it is killed.
    pub timeout: Duration,
    /// Bytes of each stream that are kept; what is over is read and dropped.
    pub max_output: usize,
}

impl Program {
    /// A program with these arguments, an environment of only a standard `PATH`, a minute's time and 16 MiB of output.
    pub fn new<A: Into<OsString>>(program: impl Into<OsString>, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            env: BTreeMap::from([("PATH".into(), SYSTEM_PATH.into())]),
            dir: None,
            stdin: None,
            timeout: Duration::from_mins(1),
            max_output: 16 << 20,
        }
    }

    /// Where it is. The standard library copies this process for a name that it has to look up in another `PATH` than
    /// its own, and spawns a path without copying.
    fn path(&self) -> OsString {
        let named = Path::new(&self.program);
        let directories = self.env.get(OsStr::new("PATH")).filter(|_| named.components().count() == 1);
        let found = directories.and_then(|directories| on_path(named, directories));
        found.map_or_else(|| self.program.clone(), OsString::from)
    }
}

/// The first program of this name in the directories of a `PATH`.
fn on_path(name: &Path, directories: &OsStr) -> Option<PathBuf> {
    let found = std::env::split_paths(directories).map(|directory| directory.join(name));
    found.filter(|path| path.is_absolute()).find(|path| runs(path))
}

fn runs(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}

/// Shows the names of variables only: their values may be secrets.
impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Where programs are on a Debian system.
pub const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a program said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Its exit code; 128 and the signal's number when a signal ended it, as shells count.
    pub code: i32,
    /// The first `max_output` bytes of standard output.
    pub stdout: Vec<u8>,
    /// The first `max_output` bytes of standard error.
    pub stderr: Vec<u8>,
    /// Whether either stream was longer than what is here.
    pub truncated: bool,
}

impl Captured {
    /// Whether the exit code is 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

/// Runs a program to its end and returns its output.
///
/// The program leads a process group of its own, which is killed when the time is over, when `cancel` fires, when
/// the returned future is dropped, and when the program ends and leaves children behind.
///
/// # Errors
/// `NotFound` when the program is not installed (or `dir` is missing), `TimedOut` after its time, `Interrupted` when
/// cancelled, and whatever else the system answers to the start.
pub async fn capture(spec: &Program, cancel: &CancellationToken) -> io::Result<Captured> {
    let mut command = tokio::process::Command::new(spec.path());
    command.args(&spec.args).env_clear().envs(&spec.env).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if spec.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    if let Some(dir) = &spec.dir {
        command.current_dir(dir);
    }
    let (mut child, group) = {
        let _leave = tree::starting();
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = tree::Group::of(&child);
        (child, group)
    };
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());

    let work = async {
        let write = async {
            if let (Some(mut pipe), Some(bytes)) = (stdin, &spec.stdin) {
                // A program may end without reading everything; its exit code tells whether that was right.
                let _ = pipe.write_all(bytes).await;
            }
        };
        let status = async {
            let status = child.wait().await;
            // What it left behind would keep the pipes open.
            group.kill();
            status
        };
        let ((), status, out, err) =
            tokio::join!(write, status, read(stdout, spec.max_output), read(stderr, spec.max_output));
        let (stdout, cut_out) = out?;
        let (stderr, cut_err) = err?;
        Ok(Captured { code: code_of(status?), stdout, stderr, truncated: cut_out || cut_err })
    };
    let ended = tokio::select! {
        ended = work => Some(ended),
        () = tokio::time::sleep(spec.timeout) => None,
        () = cancel.cancelled() => {
            group.kill();
            return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
        }
    };
    ended.unwrap_or_else(|| {
        group.kill();
        let text = format!("`{}` took longer than {:?}", spec.program.display(), spec.timeout);
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

/// Kills everything that this program's commands started, for whoever ends the program at once: each leads a process
/// group of its own, which a terminal's signals do not reach. Nothing can be started afterwards. Blocks, for some
/// milliseconds as a rule.
pub fn kill_all() {
    tree::kill_all();
}

/// Reads a stream to its end and keeps its first `limit` bytes.
async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> io::Result<(Vec<u8>, bool)> {
    let (mut kept, mut truncated) = (Vec::new(), false);
    let Some(mut pipe) = pipe else { return Ok((kept, truncated)) };
    let mut chunk = vec![0; 32 * 1024];
    loop {
        let length = pipe.read(&mut chunk).await?;
        if length == 0 {
            return Ok((kept, truncated));
        }
        let room = (limit - kept.len()).min(length);
        kept.extend_from_slice(&chunk[..room]);
        truncated |= room < length;
    }
}

/// The exit code as a shell shows it.
fn code_of(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("sh", ["-c", script])
    }

    async fn run(spec: &Program) -> io::Result<Captured> {
        capture(spec, &CancellationToken::new()).await
    }

    #[tokio::test]
    async fn output_code_and_input_arrive() {
        let spec = Program { stdin: Some(b"in".to_vec()), ..shell("cat; echo err >&2; exit 3") };
        let captured = run(&spec).await.unwrap();
        assert_eq!((captured.code, &*captured.stdout, &*captured.stderr), (3, &b"in"[..], &b"err\n"[..]));
    }

    #[tokio::test]
    async fn the_environment_is_the_given_one() {
        let mut spec = shell("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= | sort");
        spec.env.insert("A".into(), "b".into());
        let captured = run(&spec).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&captured.stdout), format!("A=b\nPATH={SYSTEM_PATH}\n"));
    }

    #[tokio::test]
    async fn output_over_the_limit_is_drained_and_dropped() {
        let spec = Program { max_output: 10, ..shell("yes | head -c 3000000") };
        let captured = run(&spec).await.unwrap();
        assert_eq!((captured.code, captured.stdout.len(), captured.truncated), (0, 10, true));
    }

    #[tokio::test]
    async fn a_child_left_behind_does_not_hold_the_output() {
        let captured = run(&shell("sleep 600 & echo done")).await.unwrap();
        assert_eq!(captured.stdout, b"done\n");
    }

    #[tokio::test]
    async fn time_cancel_and_absence_are_told_apart() {
        let spec = Program { timeout: Duration::from_millis(50), ..shell("sleep 600 & sleep 600") };
        assert_eq!(run(&spec).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let cancel = CancellationToken::new();
        cancel.cancel();
        let error = capture(&shell("sleep 600"), &cancel).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        let missing = Program::new("slipway-no-such-program", [""; 0]);
        assert_eq!(run(&missing).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_signal_is_counted_as_shells_do() {
        assert_eq!(run(&shell("kill -9 $$")).await.unwrap().code, 137);
    }
}
