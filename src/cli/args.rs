//! The arguments, and the help that teaches them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{BackendKind, RunnerKind};
use crate::model::names::{BuildId, ProductLine};
use crate::model::settings::Kind;

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
        after_help = "The first start prints an admin token. Only this machine is answered unless `server.listen` says otherwise.\n\nSIGTERM or Ctrl-C: takes no more builds, lets those that run end within `worker.grace`, and exits with 0; a second\none stops them, and the next start begins them again. SIGHUP: reads the configuration again for the next build."
    )]
    Server(WorkerFlags),
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
    /// Say what is there, what is missing, and what to do about it
    #[command(
        after_help = "With a product line it also says whether its images can be pushed: the login, the project, the right to push, the\nroom that is left. Nothing is changed.\n\nExamples:\n  slipway doctor\n  slipway doctor --product-line trade"
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

/// Flags of `plan`, `build` and `run`.
#[derive(Debug, Clone, Args)]
pub(super) struct Common {
    /// A directory, or the URL of a repository
    #[arg(default_value = ".", value_name = "DIR|URL")]
    pub(super) source: String,
    /// Branch, tag or commit of a repository given by URL
    #[arg(long)]
    pub(super) revision: Option<String>,
    /// The name of the configuration's credentials for a private repository
    #[arg(long, value_name = "NAME")]
    pub(super) credentials: Option<String>,
    /// The application's directory in the repository
    #[arg(long, value_name = "DIR")]
    pub(super) directory: Option<String>,
    /// The product line: the first part of the image's name
    #[arg(long, value_name = "NAME")]
    pub(super) product_line: Option<String>,
    /// The application: the last part of the image's name
    #[arg(long)]
    pub(super) name: Option<String>,
    /// What it ends as
    #[arg(long, value_name = "service|library", value_parser = kind)]
    pub(super) kind: Option<Kind>,
    /// Which module of the repository is the application
    #[arg(long)]
    pub(super) module: Option<String>,
    /// Which of the application's processes starts
    #[arg(long)]
    pub(super) process: Option<String>,
    /// The toolchain, and its release
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub(super) toolchain: Option<String>,
    /// The base image: a name of the catalogue, or a reference
    #[arg(long)]
    pub(super) base: Option<String>,
    /// Any setting of `slipway.toml`, as TOML: `runtime.ports=[8081]`
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Where the toolchain's commands run
    #[arg(long, value_name = "container|host", value_parser = runner)]
    pub(super) runner: Option<RunnerKind>,
    /// What makes the image; if nobody chose, the Docker Engine where it answers, else Slipway itself
    #[arg(long, value_name = "docker|assembler", value_parser = image_backend)]
    pub(super) image_backend: Option<BackendKind>,
    #[command(flatten)]
    pub(super) format: Format,
}

/// Flags of `init`.
#[derive(Debug, Clone, Args)]
pub(super) struct InitFlags {
    #[command(flatten)]
    pub(super) common: Common,
    /// Replace the `slipway.toml` that is there
    #[arg(long)]
    pub(super) force: bool,
}

/// Flags of `build`.
#[derive(Debug, Clone, Args)]
pub(super) struct BuildFlags {
    #[command(flatten)]
    pub(super) common: Common,
    /// Only plan
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Push the image to the registry
    #[arg(long)]
    pub(super) push: bool,
    /// Build every layer of the image afresh
    #[arg(long)]
    pub(super) no_cache: bool,
    /// A tag of the image; may be repeated
    #[arg(long)]
    pub(super) tag: Vec<String>,
    /// Write the image as an archive: `docker` for `docker load`, `oci` is an OCI image layout
    #[arg(long, value_name = "type=docker|oci,dest=FILE")]
    pub(super) output: Option<String>,
}

/// Flags of `doctor`.
#[derive(Debug, Clone, Args)]
pub(super) struct DoctorFlags {
    /// Also look whether this product line's images can be pushed
    #[arg(long, value_name = "NAME")]
    pub(super) product_line: Option<ProductLine>,
    #[command(flatten)]
    pub(super) format: Format,
}

/// Flags of `worker`.
#[derive(Debug, Clone, Args)]
pub(super) struct WorkerFlags {
    /// How log lines look
    #[arg(long, env = "SLIPWAY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
}

/// Flags of `apply`.
#[derive(Debug, Clone, Args)]
pub(super) struct ApplyFlags {
    /// The applications, as TOML
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Where the server is
    #[arg(long, env = "SLIPWAY_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8460")]
    pub(super) server: String,
    /// Only show what would change
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Remove applications that the file does not name
    #[arg(long)]
    pub(super) prune: bool,
    #[command(flatten)]
    pub(super) format: Format,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One JSON document a line
    Json,
}

/// What to do with exchanges and queues.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum QueuesVerb {
    /// Make what is not there
    Declare,
    /// Say what is missing or has another shape; change nothing
    Check(Format),
    /// Print the exchanges, queues and bindings; needs no broker
    Show(Format),
}

/// Flags of `submit`.
#[derive(Debug, Clone, Args)]
pub(super) struct SubmitFlags {
    /// The build message; `-` reads it from standard input
    #[arg(value_name = "FILE|-")]
    pub(super) file: String,
    /// Follow the build to its end; the exit code is that of `slipway build`
    #[arg(long)]
    pub(super) wait: bool,
    #[command(flatten)]
    pub(super) format: Format,
}

/// What to do with dead messages.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum DeadVerb {
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

/// What to do with the cache of images; builds may run meanwhile.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum CacheVerb {
    /// Show what it holds
    Ls(Format),
    /// Read every blob, and remove those that are damaged; the exit code is 1 if there were any
    Verify(Format),
    /// Remove what was not used for long; a build does so by itself once a day
    Gc {
        /// What may stay: `20GiB` if absent
        #[arg(long, value_name = "SIZE", value_parser = crate::config::size::parse)]
        size: Option<u64>,
        /// How long what nobody uses may stay: `30d` if absent
        #[arg(long, value_name = "TIME", value_parser = crate::config::duration::parse)]
        age: Option<std::time::Duration>,
        #[command(flatten)]
        format: Format,
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

/// What to do with base images.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum BaseImagesVerb {
    /// List the base images of the catalogue
    List,
    /// Build base images that are not there or whose recipe changed; all if none is named
    Build {
        /// Their names
        names: Vec<String>,
    },
    /// Start base images and check what they promise; all if none is named
    Check {
        /// Their names
        names: Vec<String>,
    },
    /// Push base images to the registry; all if none is named
    Push {
        /// Their names
        names: Vec<String>,
    },
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
    /// The HTTP API, as `OpenAPI`
    Api,
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "service" => Ok(Kind::Service),
        "library" => Ok(Kind::Library),
        _ => Err("it is `service` or `library`".to_owned()),
    }
}

fn runner(text: &str) -> Result<RunnerKind, String> {
    match text {
        "container" => Ok(RunnerKind::Container),
        "host" => Ok(RunnerKind::Host),
        _ => Err("it is `container` or `host`".to_owned()),
    }
}

fn image_backend(text: &str) -> Result<BackendKind, String> {
    match text {
        "docker" => Ok(BackendKind::Docker),
        "assembler" => Ok(BackendKind::Assembler),
        _ => Err("it is `docker` or `assembler`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds() {
        super::Cli::command().debug_assert();
    }
}
