//! A command as data: what a runner executes, on the host or in a container.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::failure::Step;

/// What a command may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Nothing but loopback.
    None,
    /// Registries and mirrors, through the bridge.
    Bridge,
    /// The host's own network; the operator's choice only.
    Host,
}

/// A directory kept between builds, mounted where the toolchain expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// The directory on the host.
    pub source: PathBuf,
    /// Where the command sees it.
    pub target: PathBuf,
}

/// A file that only this command sees (settings, credentials, trust stores), or a directory of tools; read-only.
#[derive(Clone, PartialEq, Eq)]
pub struct FileMount {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where the command sees it.
    pub target: PathBuf,
}

impl std::fmt::Debug for FileMount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.target.display())
    }
}

/// The most that a command may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time.
    pub timeout: Duration,
    /// Time without a byte of output.
    pub silence: Option<Duration>,
    /// Bytes of memory, swap included.
    pub memory: u64,
    /// Thousandths of a CPU.
    pub millicpus: u64,
    /// Processes and threads.
    pub processes: i64,
    /// Bytes of output that are kept; what is over is counted and dropped.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(30),
            silence: None,
            memory: 4 << 30,
            millicpus: 2000,
            processes: 2048,
            output: 64 << 20,
        }
    }
}

/// One toolchain command, fully described. Its environment may hold secrets, so `Debug`
/// shows the names of variables only.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// The id of the build it belongs to.
    pub build: String,
    /// The step it belongs to.
    pub step: Step,
    /// Program and arguments; never a shell line.
    pub argv: Vec<String>,
    /// Working directory, as the command sees it (below `/workspace`).
    pub workdir: PathBuf,
    /// The whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// What it may reach.
    pub network: Network,
    /// The image it runs in (container runner), as a pinned reference or local tag.
    pub image: String,
    /// The checkout on the host, mounted at `/workspace`.
    pub workspace: PathBuf,
    /// Directories kept between builds.
    pub caches: Vec<CacheMount>,
    /// Operator's files for this command alone.
    pub files: Vec<FileMount>,
    /// What it may use.
    pub limits: Limits,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command")
            .field("build", &self.build)
            .field("step", &self.step)
            .field("argv", &self.argv)
            .field("workdir", &self.workdir)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("network", &self.network)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code; 0 is success.
    Code(i32),
    /// By the kernel, for using more than its memory.
    OutOfMemory,
    /// By us: over its wall-clock time.
    TimedOut,
    /// By us: silent for too long.
    Silent,
    /// By us: whoever asked no longer wants it.
    Cancelled,
}

/// Which of the command's streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
