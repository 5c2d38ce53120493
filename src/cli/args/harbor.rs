//! What says whose robots are meant, and what they may do.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;
use crate::model::names::ProductLine;

/// What to do with a Harbor.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum HarborVerb {
    /// Make, list and re-key robots
    #[command(subcommand)]
    Robots(RobotsVerb),
}

/// What to do with robots.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum RobotsVerb {
    /// Make a robot with the least rights; its secret goes into a file
    #[command(
        after_help = "Examples:\n  slipway harbor robots create slipway --project trade --credentials harbor-admin --store harbor\n  slipway harbor robots create slipway --project trade --may push,inspect --secret-file /run/secrets/harbor\n  slipway harbor robots create slipway --may push,inspect,projects --credentials harbor-admin --store harbor"
    )]
    Create {
        /// Its name, without prefix and project
        name: String,
        #[command(flatten)]
        place: RobotWhere,
        /// What it is for; it gets the rights that this takes and no more
        #[arg(long, value_enum, value_delimiter = ',', default_value = "push")]
        may: Vec<RobotTask>,
        /// The days after which it ends; never if absent
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: Option<u32>,
        #[command(flatten)]
        keep: Keep,
        #[command(flatten)]
        format: Format,
    },
    /// Give a robot a new secret; builds that run go on
    #[command(
        after_help = "Tokens that the robot has stay good, and a build that logs in just then reads the file again. The file is replaced as a whole.\n\nExamples:\n  slipway harbor robots rotate slipway --project trade --credentials harbor-admin --store harbor"
    )]
    Rotate {
        /// Its name, in full or without prefix and project
        name: String,
        #[command(flatten)]
        place: RobotWhere,
        #[command(flatten)]
        keep: Keep,
        #[command(flatten)]
        format: Format,
    },
    /// List robots and what they may do
    List {
        #[command(flatten)]
        place: RobotWhere,
        #[command(flatten)]
        format: Format,
    },
}

/// Whose robots are meant, and who asks.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct RobotWhere {
    /// The project that the robot belongs to; the whole Harbor if absent
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) project: Option<ProductLine>,
    /// The configuration's credentials of who may manage robots; those of `registry.projects` if absent
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) credentials: Option<String>,
}

/// Where a robot's secret goes.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Keep {
    /// Write the secret to the file of these credentials of the configuration
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) store: Option<String>,
    /// Write the secret to a file
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    pub(in crate::cli) secret_file: Option<PathBuf>,
    /// Print the secret
    #[arg(long)]
    pub(in crate::cli) show_secret: bool,
}

/// What a robot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RobotTask {
    /// Pull images
    Pull,
    /// Push images
    Push,
    /// Look before a build: room, fixed tags
    Inspect,
    /// Set further tags after a push
    Tag,
    /// Set labels after a push
    Label,
    /// Ask for scans and read them
    Scan,
    /// Make projects (without `--project` only)
    Projects,
}
