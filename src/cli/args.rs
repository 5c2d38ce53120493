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

/// What to do with images.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum ImagesVerb {
    /// List the images of an application, newest first
    #[command(
        after_help = "Examples:\n  slipway images list trade/order\n  slipway images list harbor.example.com/trade/order --format json"
    )]
    List {
        /// Product line and application; another registry's with its name before
        #[arg(value_name = "PRODUCT_LINE/NAME")]
        repository: String,
        #[command(flatten)]
        format: Format,
    },
    /// Give an image another tag, product line or registry; nothing is built, and its digest stays
    #[command(
        after_help = "A tag that names another image is moved, unless a rule of the project fixes it.\n\nExamples:\n  slipway images promote trade/order:1.4.2 trade-production/order\n  slipway images promote trade/order:1.4.2 trade/order:stable\n  slipway images promote trade/order@sha256:… harbor.site.example.com/trade/order:1.4.2"
    )]
    Promote {
        /// The image, by tag or digest
        from: String,
        /// What it is called then; the tag may be left out where it stays
        to: String,
        #[command(flatten)]
        format: Format,
    },
}

/// What to do with bundles.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum BundleVerb {
    /// Write images into one archive, an OCI image layout with checksums
    #[command(
        after_help = "An export that was broken off goes on where it was when it is asked for again.\n\nExamples:\n  slipway bundle export trade/order:1.4.2 trade/web:2.0 --output trade.tar\n  slipway bundle export trade/order:1.4.3 --inventory site.json --output update.tar"
    )]
    Export {
        /// The images, by tag or digest
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
        /// The archive
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// What the far side has, which is left out
        #[arg(long, value_name = "FILE")]
        inventory: Option<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// Bring the images of an archive into a registry; what is there is not sent again
    #[command(
        after_help = "Projects that are missing are made where `[registry.projects]` allows it. Broken off, it is simply started again.\n\nExamples:\n  slipway bundle import trade.tar --inventory site.json"
    )]
    Import {
        /// The archive
        file: PathBuf,
        /// The registry; `registry.host` if absent
        #[arg(long, value_name = "HOST")]
        registry: Option<String>,
        /// Enter what is there then in this inventory, for the next export
        #[arg(long, value_name = "FILE")]
        inventory: Option<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// Read all of an archive and compare it with its checksums
    Verify {
        /// The archive
        file: PathBuf,
        #[command(flatten)]
        format: Format,
    },
    /// Write down what a registry has of images
    Inventory {
        /// The images, by tag or digest
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
        /// The inventory
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
}

/// What to do with a Harbor.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum HarborVerb {
    /// Make, list and re-key robots
    #[command(subcommand)]
    Robots(RobotsVerb),
}

/// What to do with robots.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum RobotsVerb {
    /// Make a robot with the least rights; its secret goes into a file
    #[command(
        after_help = "Examples:\n  slipway harbor robots create slipway --project trade --credentials harbor-admin --store harbor\n  slipway harbor robots create slipway --project trade --may push,inspect --secret-file /run/secrets/harbor"
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
        after_help = "Tokens that the robot has stay good, and a build that logs in just then reads the file again. The file is\nreplaced as a whole.\n\nExamples:\n  slipway harbor robots rotate slipway --project trade --credentials harbor-admin --store harbor"
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
pub(super) struct RobotWhere {
    /// The project that the robot belongs to; the whole Harbor if absent
    #[arg(long, value_name = "NAME")]
    pub(super) project: Option<ProductLine>,
    /// The configuration's credentials of who may manage robots; those of `registry.projects` if absent
    #[arg(long, value_name = "NAME")]
    pub(super) credentials: Option<String>,
}

/// Where a robot's secret goes.
#[derive(Debug, Clone, Args)]
pub(super) struct Keep {
    /// Write the secret to the file of these credentials of the configuration
    #[arg(long, value_name = "NAME")]
    pub(super) store: Option<String>,
    /// Write the secret to a file
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    pub(super) secret_file: Option<PathBuf>,
    /// Print the secret
    #[arg(long)]
    pub(super) show_secret: bool,
}

/// What a robot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RobotTask {
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
