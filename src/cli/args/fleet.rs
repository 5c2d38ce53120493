//! What says how workers, servers and their queues are run and asked.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;

/// Flags of `worker`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct WorkerFlags {
    /// How log lines look
    #[arg(long, env = "SLIPWAY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(in crate::cli) log_format: LogFormat,
}

/// Flags of `server`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ServerFlags {
    #[command(flatten)]
    pub(in crate::cli) common: WorkerFlags,
    /// Make another admin token, print it, and serve nothing; for when the first one is lost
    #[arg(long)]
    pub(in crate::cli) new_admin_token: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    /// For people
    Text,
    /// One JSON document a line
    Json,
}

/// Flags of `apply`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ApplyFlags {
    /// The applications, as TOML
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// Where the server is
    #[arg(long, env = "SLIPWAY_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8460")]
    pub(in crate::cli) server: String,
    /// Only show what would change
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Remove applications that the file does not name
    #[arg(long)]
    pub(in crate::cli) prune: bool,
    #[command(flatten)]
    pub(in crate::cli) format: Format,
}

/// What to do with exchanges and queues.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum QueuesVerb {
    /// Make what is not there
    Declare,
    /// Say what is missing or has another shape; change nothing
    Check(Format),
    /// Print the exchanges, queues and bindings; needs no broker
    Show(Format),
}

/// Flags of `submit`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct SubmitFlags {
    /// The build message; `-` reads it from standard input
    #[arg(value_name = "FILE|-")]
    pub(in crate::cli) file: String,
    /// Follow the build to its end; the exit code is that of `slipway build`
    #[arg(long)]
    pub(in crate::cli) wait: bool,
    #[command(flatten)]
    pub(in crate::cli) format: Format,
}

/// What to do with dead messages.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum DeadVerb {
    /// List them
    List(Format),
    /// Print one as it came
    Show {
        /// The message's id
        id: String,
    },
    /// Send one again as a build of its own, under a new id, and remove it
    Requeue {
        /// The message's id
        id: String,
    },
    /// Remove one
    Drop {
        /// The message's id
        id: String,
    },
}
