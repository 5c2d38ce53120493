//! The arguments, and the help that teaches them.

mod build;
mod fleet;
mod harbor;
mod images;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::names::BuildId;
pub(super) use build::{BaseImagesVerb, BuildFlags, CacheVerb, Common, DoctorFlags, InitFlags};
pub(super) use fleet::{ApplyFlags, DeadVerb, LogFormat, QueuesVerb, ServerFlags, SubmitFlags, WorkerFlags};
pub(super) use harbor::{HarborVerb, Keep, RobotTask, RobotWhere, RobotsVerb};
pub(super) use images::{BundleVerb, ImagesVerb};

/// The colours of help and of mistakes in the arguments, where a terminal shows them.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default())
    .error(AnsiColor::Red.on_default().bold())
    .valid(AnsiColor::Green.on_default());

/// What every verb takes stands after what is its own.
const EVERY_VERB: &str = "Options of every verb";

/// Turns a commit into a container image; application teams write no Dockerfile.
#[derive(Debug, Parser)]
#[command(
    name = "slipway",
    version,
    styles = STYLES,
    arg_required_else_help = true,
    after_help = "Examples:\n  slipway plan                     what would be built here, and why\n  slipway build                    build the image of this directory\n  slipway build --push --tag 1.4.2 build it and push it\n  slipway doctor                   what this machine lacks"
)]
pub(super) struct Cli {
    /// The configuration file
    #[arg(long, global = true, help_heading = EVERY_VERB, env = "SLIPWAY_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// A directory that overlays the built-in toolchains and base images
    #[arg(long, global = true, help_heading = EVERY_VERB, value_name = "DIR")]
    pub(super) catalog: Option<PathBuf>,
    /// Show more (-v steps, -vv everything)
    #[arg(short, long, global = true, help_heading = EVERY_VERB, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Show nothing but results and failures
    #[arg(short, long, global = true, help_heading = EVERY_VERB, conflicts_with = "verbose")]
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
    #[command(
        after_help = "Each port is on a free one of this machine's loopback, which is said when the application starts.\n\nExamples:\n  slipway run\n  slipway run services/order --set runtime.env.LOG_LEVEL=debug"
    )]
    Run(Common),
    /// Write a commented `slipway.toml` with what was found
    #[command(
        after_help = "The file states nothing by itself: each line is a comment that shows a decision and where it comes from.\n\nExamples:\n  slipway init\n  slipway init services/order --force"
    )]
    Init(InitFlags),
    /// List, build, push or check the base images
    #[command(
        subcommand,
        name = "base-images",
        after_help = "Examples:\n  slipway base-images build                 all that are missing or outdated\n  slipway base-images build jre-17 debian   these, and what they are made of\n  slipway base-images list"
    )]
    BaseImages(BaseImagesVerb),
    /// Take build messages from the queue, build, push and report, until SIGTERM
    #[command(
        after_help = "The queues have to be there: `slipway queues declare`.\n\nSIGTERM or Ctrl-C: takes no more builds, lets those that run end within `worker.grace`, and exits with 0; a second one gives them back to the queue at once. SIGHUP: reads the configuration again for the next build.\n\nExamples:\n  slipway worker --config /etc/slipway/config.toml"
    )]
    Worker(WorkerFlags),
    /// Serve webhooks, the HTTP API and the page; builds by itself unless `[amqp]` names a broker
    #[command(
        after_help = "The first start prints an admin token; `--new-admin-token` makes another one, also beside a running server. Only this machine is answered unless `server.listen` says otherwise.\n\nSIGTERM or Ctrl-C: takes no more builds, lets those that run end within `worker.grace`, and exits with 0; a second one stops them, and the next start begins them again. SIGHUP: reads the configuration again for the next build.\n\nExamples:\n  slipway server --config /etc/slipway/config.toml"
    )]
    Server(ServerFlags),
    /// Make the server's applications what a file says
    #[command(
        after_help = "The token stands in the environment variable `SLIPWAY_TOKEN`.\n\nExamples:\n  slipway apply applications.toml --dry-run\n  slipway apply applications.toml --server https://slipway.example.com"
    )]
    Apply(ApplyFlags),
    /// Declare, check or show the exchanges and queues
    #[command(subcommand, after_help = "Examples:\n  slipway queues declare\n  slipway queues check")]
    Queues(QueuesVerb),
    /// Send a build message
    #[command(
        after_help = "The message is JSON: `slipway schema message`. `version` and `id` may be left out. A branch is resolved to its commit before it is sent.\n\nExamples:\n  slipway submit build.json --wait\n  jq -n '{source: {url: env.CI_REPOSITORY}, …}' | slipway submit - --wait"
    )]
    Submit(SubmitFlags),
    /// Cancel a build, wherever it is; one that has ended stays as it is
    #[command(after_help = "Examples:\n  slipway cancel gitlab-4711-815 --reason 'a newer commit is there'")]
    Cancel {
        /// The build's id
        id: BuildId,
        /// Why; the report shows it
        #[arg(long)]
        reason: Option<String>,
    },
    /// Look at messages that killed workers or could not be read
    #[command(subcommand, after_help = "Examples:\n  slipway dead list\n  slipway dead requeue gitlab-4711-815")]
    Dead(DeadVerb),
    /// Look after the blobs of images that Slipway assembled
    #[command(subcommand, after_help = "Examples:\n  slipway cache ls\n  slipway cache gc --size 20GiB --age 30d")]
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
        after_help = "With a product line it also says whether its images can be pushed: the login, the project, the right to push, the room that is left; with an application, its last image and tags that a rule fixes. Nothing is changed.\n\nExamples:\n  slipway doctor\n  slipway doctor --product-line trade\n  slipway doctor --product-line trade --name order --tag 1.4.2"
    )]
    Doctor(DoctorFlags),
    /// Print the JSON schema of a format
    #[command(after_help = "Examples:\n  slipway schema settings\n  slipway schema report > report.schema.json")]
    Schema {
        /// Which format
        of: SchemaOf,
    },
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  slipway completions bash > /etc/bash_completion.d/slipway\n  slipway completions zsh > \"${fpath[1]}/_slipway\""
    )]
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

    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_teaches_with_examples() {
        let teaches = |command: &clap::Command| {
            command.get_after_help().is_some_and(|help| help.to_string().contains("Examples:\n  slipway "))
        };
        for verb in Cli::command().get_subcommands() {
            let below = verb.get_subcommands().any(|one| teaches(one) || one.get_subcommands().any(teaches));
            assert!(teaches(verb) || below, "`slipway {}` shows no example", verb.get_name());
        }
    }

    #[test]
    fn help_is_coloured_and_says_what_every_verb_takes_last() {
        let mut command = Cli::command();
        command.build();
        let plan = command.find_subcommand_mut("plan").unwrap();
        let help = plan.render_long_help();
        assert!(help.ansi().to_string().contains("\u{1b}[32m"), "{}", help.ansi());
        let text = help.to_string();
        assert!(text.find("--format").unwrap() < text.find(EVERY_VERB).unwrap(), "{text}");
        assert!(text.find(EVERY_VERB).unwrap() < text.find("--catalog").unwrap(), "{text}");
    }
}
