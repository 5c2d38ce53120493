//! The arguments, and the help that teaches them.

mod build;
mod fleet;
mod harbor;
mod images;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::names::BuildId;
pub(super) use build::{BaseImagesVerb, BuildFlags, CacheVerb, Common, DoctorFlags, InitFlags};
pub(super) use fleet::{ApplyFlags, DeadVerb, LogFormat, QueuesVerb, ServerFlags, SubmitFlags, WorkerFlags};
pub(super) use harbor::{HarborVerb, Keep, RobotTask, RobotWhere, RobotsVerb};
pub(super) use images::{BundleVerb, ImagesVerb};

/// Turns a commit into a container image; application teams write no Dockerfile.
#[derive(Debug, Parser)]
#[command(
    name = "slipway",
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  slipway plan                     what would be built here, and why\n  slipway build                    build the image of this directory\n  slipway build --push --tag 1.4.2 build it and push it\n  slipway doctor                   what this machine lacks"
)]
pub(super) struct Cli {
    /// The configuration file
    #[arg(long, global = true, env = "SLIPWAY_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A directory that overlays the built-in toolchains and base images
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) catalog: Option<PathBuf>,
    /// Show more (-v steps, -vv everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Show nothing but results and failures
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show what would be built, and why; runs nothing and touches nothing
    #[command(
        after_help = "Every decision is shown with the file and line it comes from.\n\nExamples:\n  slipway plan\n  slipway plan services/order --format json\n  slipway plan https://gitlab.example.com/trade/order.git --revision main"
    )]
    Plan(Common),
    /// Build an image (or deploy a library) from a directory or a repository
    #[command(
        after_help = "Nothing is pushed without --push.\n\nExamples:\n  slipway build\n  slipway build --dry-run\n  slipway build https://gitlab.example.com/trade/order.git --revision v1.4.2 --product-line trade --push\n  slipway build --output type=docker,dest=order.tar"
    )]
    Build(BuildFlags),
    /// Build an image, start it with its ports, follow its log; Ctrl-C stops and removes it
    Run(Common),
    /// Write a commented `slipway.toml` with what was found
    #[command(
        after_help = "The file states nothing by itself: each line is a comment that shows a decision and where it comes from.\n\nExamples:\n  slipway init\n  slipway init services/order --force"
    )]
    Init(InitFlags),
    /// List, build, push or check the base images
    #[command(subcommand, name = "base-images")]
    BaseImages(BaseImagesVerb),
    /// Take build messages from the queue, build, push and report, until SIGTERM
    #[command(
        after_help = "The queues have to be there: `slipway queues declare`.\n\nSIGTERM or Ctrl-C: takes no more builds, lets those that run end within `worker.grace`, and exits with 0; a second\none gives them back to the queue at once. SIGHUP: reads the configuration again for the next build."
    )]
    Worker(WorkerFlags),
    /// Serve webhooks, the HTTP API and the page; builds by itself unless `[amqp]` names a broker
    #[command(
        after_help = "The first start prints an admin token; `--new-admin-token` makes another one, also beside a running server. Only this machine is answered unless `server.listen` says otherwise.\n\nSIGTERM or Ctrl-C: takes no more builds, lets those that run end within `worker.grace`, and exits with 0; a second\none stops them, and the next start begins them again. SIGHUP: reads the configuration again for the next build."
    )]
    Server(ServerFlags),
    /// Make the server's applications what a file says
    #[command(
        after_help = "The token stands in the environment variable `SLIPWAY_TOKEN`.\n\nExamples:\n  slipway apply applications.toml --dry-run\n  slipway apply applications.toml --server https://slipway.example.com"
    )]
    Apply(ApplyFlags),
    /// Declare, check or show the exchanges and queues
    #[command(subcommand)]
    Queues(QueuesVerb),
    /// Send a build message
    #[command(
        after_help = "The message is JSON: `slipway schema message`. `version` and `id` may be left out. A branch is resolved to its commit\nbefore it is sent.\n\nExamples:\n  slipway submit build.json --wait\n  jq -n '{source: {url: env.CI_REPOSITORY}, …}' | slipway submit - --wait"
    )]
    Submit(SubmitFlags),
    /// Cancel a build, wherever it is; one that has ended stays as it is
    Cancel {
        /// The build's id
        id: BuildId,
        /// Why; the report shows it
        #[arg(long)]
        reason: Option<String>,
    },
    /// Look at messages that killed workers or could not be read
    #[command(subcommand)]
    Dead(DeadVerb),
    /// Look after the blobs of images that Slipway assembled
    #[command(subcommand)]
    Cache(CacheVerb),
    /// Make, list and re-key the robots that Slipway pushes with
    #[command(subcommand)]
    Harbor(HarborVerb),
    /// List images, or bring one to another product line, tag or registry
    #[command(subcommand)]
    Images(ImagesVerb),
    /// Carry images to a registry that no network leads to
    #[command(subcommand)]
    Bundle(BundleVerb),
    /// Say what is there, what is missing, and what to do about it
    #[command(
        after_help = "With a product line it also says whether its images can be pushed: the login, the project, the right to push, the\nroom that is left; with an application, its last image and tags that a rule fixes. Nothing is changed.\n\nExamples:\n  slipway doctor\n  slipway doctor --product-line trade\n  slipway doctor --product-line trade --name order --tag 1.4.2"
    )]
    Doctor(DoctorFlags),
    /// Print the JSON schema of a format
    Schema {
        /// Which format
        of: SchemaOf,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `--format`
#[derive(Debug, Clone, Args)]
pub(super) struct Format {
    /// How results are printed
    #[arg(long, value_enum, default_value_t = FormatKind::Text)]
    pub(super) format: FormatKind,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatKind {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// One JSON document a line: events, then the report
    Jsonl,
}

/// Formats with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    /// `slipway plan --format json`
    Plan,
    /// `slipway build --format json`
    Report,
    /// `slipway.toml`
    Settings,
    /// `config.toml`
    Config,
    /// Build messages
    Message,
    /// Event messages
    Event,
    /// Cancel messages
    Cancel,
    /// Messages by which a newer build takes the place of older ones
    Supersede,
    /// The HTTP API, as `OpenAPI`
    Api,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds() {
        super::Cli::command().debug_assert();
    }
}
