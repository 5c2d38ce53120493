//! What says how something is planned and built here.

use clap::{Args, Subcommand};

use super::Format;
use crate::config::{BackendKind, RunnerKind};
use crate::model::names::{ApplicationName, ProductLine, Tag};
use crate::model::settings::Kind;

/// Flags of `plan`, `build` and `run`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Common {
    /// A directory, or the URL of a repository
    #[arg(default_value = ".", value_name = "DIR|URL")]
    pub(in crate::cli) source: String,
    /// Branch, tag or commit of a repository given by URL
    #[arg(long)]
    pub(in crate::cli) revision: Option<String>,
    /// The name of the configuration's credentials for a private repository
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) credentials: Option<String>,
    /// The application's directory in the repository
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) directory: Option<String>,
    /// The product line: the first part of the image's name
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) product_line: Option<String>,
    /// The application: the last part of the image's name
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// What it ends as
    #[arg(long, value_name = "service|library", value_parser = kind)]
    pub(in crate::cli) kind: Option<Kind>,
    /// Which module of the repository is the application
    #[arg(long)]
    pub(in crate::cli) module: Option<String>,
    /// Which of the application's processes starts
    #[arg(long)]
    pub(in crate::cli) process: Option<String>,
    /// The toolchain, and its release
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub(in crate::cli) toolchain: Option<String>,
    /// The base image: a name of the catalogue, or a reference
    #[arg(long)]
    pub(in crate::cli) base: Option<String>,
    /// Any setting of `slipway.toml`, as TOML: `runtime.ports=[8081]`
    #[arg(long, value_name = "KEY=VALUE")]
    pub(in crate::cli) set: Vec<String>,
    /// Where the toolchain's commands run
    #[arg(long, value_name = "container|host", value_parser = runner)]
    pub(in crate::cli) runner: Option<RunnerKind>,
    /// What makes the image: the Docker Engine, Slipway itself, or Slipway for what it can make and the Engine for the
    /// rest; if nobody chose, the Engine where it answers, else Slipway itself
    #[arg(long, value_name = "docker|assembler|auto", value_parser = image_backend)]
    pub(in crate::cli) image_backend: Option<BackendKind>,
    /// Treat the source as a fork's: no secrets, no shared caches, nothing deployed or pushed
    #[arg(long)]
    pub(in crate::cli) untrusted: bool,
    #[command(flatten)]
    pub(in crate::cli) format: Format,
}

/// Flags of `init`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct InitFlags {
    #[command(flatten)]
    pub(in crate::cli) common: Common,
    /// Replace the `slipway.toml` that is there
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

/// Flags of `build`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct BuildFlags {
    #[command(flatten)]
    pub(in crate::cli) common: Common,
    /// Only plan
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Push the image to the registry
    #[arg(long, conflicts_with = "untrusted")]
    pub(in crate::cli) push: bool,
    /// Build every layer of the image afresh
    #[arg(long)]
    pub(in crate::cli) no_cache: bool,
    /// A tag of the image; may be repeated
    #[arg(long)]
    pub(in crate::cli) tag: Vec<String>,
    /// Write the image as an archive: `docker` for `docker load`, `oci` is an OCI image layout
    #[arg(long, value_name = "type=docker|oci,dest=FILE")]
    pub(in crate::cli) output: Option<String>,
}

/// Flags of `doctor`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct DoctorFlags {
    /// Also look whether this product line's images can be pushed
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) product_line: Option<ProductLine>,
    /// Those of this application: how large its last image is
    #[arg(long, requires = "product_line")]
    pub(in crate::cli) name: Option<ApplicationName>,
    /// With this tag: whether a rule fixes it; may be given more than once
    #[arg(long, requires = "name")]
    pub(in crate::cli) tag: Vec<Tag>,
    #[command(flatten)]
    pub(in crate::cli) format: Format,
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
        "auto" => Ok(BackendKind::Auto),
        _ => Err("it is `docker`, `assembler` or `auto`".to_owned()),
    }
}

/// What to do with the cache of images; builds may run meanwhile.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum CacheVerb {
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

/// What to do with base images.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum BaseImagesVerb {
    /// List the base images of the catalogue
    List,
    /// Build base images that are not there or whose recipe changed; all if none is named
    #[command(
        after_help = "Without a Docker Engine, Slipway makes those that applications run on by itself, as root, where `--image-backend assembler` finds them.\n\nExamples:\n  slipway base-images build\n  sudo slipway base-images build debian static --image-backend assembler"
    )]
    Build {
        /// Their names
        names: Vec<String>,
        /// Who makes and keeps them: the Engine if it answers, else Slipway itself
        #[arg(long, value_name = "docker|assembler|auto", value_parser = image_backend)]
        image_backend: Option<BackendKind>,
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
        /// Who made and keeps them: the Engine if it answers, else Slipway itself
        #[arg(long, value_name = "docker|assembler|auto", value_parser = image_backend)]
        image_backend: Option<BackendKind>,
    },
}
