//! Images: built from a Dockerfile and a context, pushed to a registry, saved as an archive.

pub mod assembler;
pub mod context;
pub mod credentials;
pub mod docker;

mod answers;
mod backend;
mod build;
mod build_log;
mod diagnosis;
mod engine;
mod listing;
pub(crate) mod lost_layer;
mod own_base;
mod push;
mod pushing;
mod registry;
mod save;
mod start;
mod tar_stream;
pub mod transfer;
pub mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::dockerfile::ignore as dockerignore;
use crate::harbor;
use crate::http::{self, ClientCertificate};
use crate::model::failure::Failure;
use crate::model::image_reference::{DiffId, Digest, ImageReference};
use crate::secrets::Account;
use assembler::Ahead;
pub use backend::Backend;
use credentials::Credentials;
pub use diagnosis::log_in;
pub(crate) use engine::{messages, url_safe_credentials};
pub use listing::Listing;

/// Takes the lines of a build or push as they come, without line ends.
pub type LogSink<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// What makes images and brings them to their registry.
///
/// Every method ends soon after `cancel` fires, with the failure `cancelled`.
pub trait ImageBackend: Send + Sync {
    /// Builds the image and gives it every reference of the specification as a local tag.
    ///
    /// # Errors
    ///
    /// `image_failed` when the Dockerfile or the context is at fault, `base_image_missing`,
    /// `engine_unavailable`, `disk_full`, `cancelled`.
    fn build(
        &self,
        spec: &BuildSpec,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> impl Future<Output = Result<BuiltImage, Failure>> + Send;

    /// Pushes the image under every reference and confirms the digest with the registry.
    /// Retryable faults are tried three times; nothing is ever built again.
    ///
    /// # Errors
    ///
    /// The `registry_…` codes, `digest_mismatch`, `engine_unavailable`, `request_invalid` (a
    /// reference without a tag), `cancelled`.
    fn push(
        &self,
        image: &BuiltImage,
        references: &[ImageReference],
        access: &RegistryAccess,
        log: LogSink<'_>,
        cancel: &CancellationToken,
    ) -> impl Future<Output = Result<PublishedImage, Failure>> + Send;

    /// Writes the image as an archive for `docker load`; the file appears whole or not at all.
    ///
    /// # Errors
    ///
    /// `engine_unavailable`, `disk_full`, `image_failed` when the file cannot be written there,
    /// `cancelled`.
    fn save(
        &self,
        image: &BuiltImage,
        references: &[ImageReference],
        destination: &Path,
        cancel: &CancellationToken,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// One image build, fully described.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    /// What `COPY` sees.
    pub context: BuildContext,
    /// The text of the Dockerfile.
    pub dockerfile: String,
    /// The local tags of the result; may be empty.
    pub references: Vec<ImageReference>,
    /// Values of the Dockerfile's `ARG`s.
    pub build_args: BTreeMap<String, String>,
    /// The Dockerfile's stage to stop at.
    pub target: Option<String>,
    /// Labels beside those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// The images that the Dockerfile starts from, as its `FROM` lines name them: pulled
    /// before the build when the Engine has them not.
    pub base_images: Vec<String>,
    /// The OCI image layouts of this machine that the Dockerfile may start from (`oci:/DIRECTORY:NAME`): those that the
    /// operator's catalogue names, since a repository must not.
    pub layouts: BTreeSet<String>,
    /// What to log in with where base images are pulled from, by registry (`host[:port]`).
    pub credentials: BTreeMap<String, Credentials>,
    /// Whether to build everything afresh.
    pub no_cache: bool,
    /// Whether the Engine is to have it where there is one, also if somebody else makes it.
    pub local: bool,
    /// Where it is to be pushed: who can, sends blobs there as soon as they are made.
    pub destination: Option<Destination>,
}

/// A place in a registry, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The place.
    pub reference: ImageReference,
    /// How it is reached.
    pub access: RegistryAccess,
}

impl BuildSpec {
    /// A build of this text and context with nothing else set.
    #[must_use]
    pub fn new(context: BuildContext, dockerfile: impl Into<String>) -> Self {
        Self {
            context,
            dockerfile: dockerfile.into(),
            references: Vec::new(),
            build_args: BTreeMap::new(),
            target: None,
            labels: BTreeMap::new(),
            base_images: Vec::new(),
            layouts: BTreeSet::new(),
            credentials: BTreeMap::new(),
            no_cache: false,
            local: false,
            destination: None,
        }
    }
}

/// The directory that an image build sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildContext {
    /// The directory on this machine.
    pub root: PathBuf,
    /// Who made it.
    pub kind: ContextKind,
}

/// Who made a build context, which decides what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextKind {
    /// Slipway: one directory per layer (`layer-application/app/…`), everything belongs to
    /// root except what is named here.
    Generated {
        /// What belongs to somebody else.
        owned: Vec<OwnedPath>,
    },
    /// The application's team: what `.dockerignore` leaves of the repository.
    Repository {
        /// The Dockerfile's path, relative to the root, with `/`.
        dockerfile: String,
    },
    /// A person: these files of a directory as it lies there, and of them what `.dockerignore` leaves.
    Listed {
        /// The Dockerfile's path, relative to the root, with `/`.
        dockerfile: String,
        /// What belongs to it.
        files: Arc<Listing>,
    },
}

/// A path in the image that belongs to a user other than root, with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedPath {
    /// Absolute, as the image sees it: `/app/data`.
    pub path: String,
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// An image before its push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// The digest of its configuration.
    pub id: Digest,
    /// Bytes of all layers, uncompressed.
    pub size: u64,
    /// Its layers, lowest first.
    pub layers: Vec<DiffId>,
    /// Whether every step of the build was done before.
    pub cached: bool,
    /// Who made it, and so brings it to its registry.
    pub made_by: Maker,
    /// What the Engine calls it, where the Engine has it.
    pub in_engine: Option<Digest>,
    /// What of it is on its way to its registry.
    pub ahead: Ahead,
}

/// Who made an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// The Docker Engine.
    Engine,
    /// Slipway itself.
    Assembler,
}

/// An image after its push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedImage {
    /// Everything it can be pulled by, as pushed.
    pub references: Vec<ImageReference>,
    /// The digest of its manifest, as the registry confirmed it.
    pub digest: Digest,
    /// Bytes in the registry: configuration and compressed layers. 0 when the registry does
    /// not show the manifest to the account (a scan gate).
    pub size: u64,
    /// Its layers, lowest first; empty when the registry does not show the manifest.
    pub layers: Vec<PublishedLayer>,
}

impl PublishedImage {
    /// Whether the registry had every layer before.
    #[must_use]
    pub fn was_there(&self) -> bool {
        !self.layers.is_empty() && self.layers.iter().all(|layer| layer.reused)
    }
}

/// A layer as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedLayer {
    /// The digest of the compressed layer.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Whether the registry had it before the push.
    pub reused: bool,
}

/// How a registry is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryAccess {
    /// The operator's account; without one, Docker's own `config.json` and helpers are asked.
    pub credentials: Option<Credentials>,
    /// Whether the registry speaks plain HTTP. Loopback addresses always may, as for Docker.
    pub plain_http: bool,
    /// Certificates (PEM) trusted beside the system's.
    pub ca_bundle: Option<Vec<u8>>,
    /// What is shown to registries that ask for a client certificate, by host and port.
    pub client_certificates: BTreeMap<String, ClientCertificate>,
    /// The id that the registry writes to its own logs (`X-Request-Id`): the build's.
    pub request_id: Option<String>,
    /// How much is asked of a registry at a time, and which hosts are the operator's.
    pub reach: Reach,
}

/// What the operator says of all registries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Requests that a registry has at a time from all builds of this process; 8 where nothing is said.
    pub connections: Option<NonZeroU16>,
    /// Hosts of the operator's: a registry may send there, wherever they are.
    pub hosts: BTreeSet<String>,
}

impl RegistryAccess {
    /// Where a registry's API is: `https://harbor.example.com`; loopback speaks plain HTTP.
    #[must_use]
    pub fn base(&self, reference: &ImageReference) -> String {
        let scheme = if registry::speaks_plain_http(reference, self) { "http" } else { "https" };
        format!("{scheme}://{}", reference.registry())
    }

    /// With the id of a build, which the registry's own logs then name.
    #[must_use]
    pub fn for_request(self, id: &str) -> Self {
        Self { request_id: Some(id.to_owned()).filter(|id| !id.is_empty()), ..self }
    }

    /// The API of a Harbor that the registry may be.
    pub(crate) fn harbor(
        &self,
        reference: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<harbor::Client, Failure> {
        let account = match credentials {
            Some(Credentials::Password { username, password }) => {
                Some(Account { username: username.clone(), password: password.expose().to_owned() })
            }
            Some(Credentials::IdentityToken(_)) | None => None,
        };
        self.harbor_as(reference, account)
    }

    /// The same API, spoken to as another account than images are pushed with.
    ///
    /// # Errors
    /// `configuration_invalid` where certificates cannot be read.
    pub(crate) fn harbor_as(
        &self,
        reference: &ImageReference,
        account: Option<Account>,
    ) -> Result<harbor::Client, Failure> {
        let client = harbor::Client::new(self.http(reference)?, &self.base(reference), account);
        Ok(client.for_request(self.request_id.as_deref().unwrap_or_default()))
    }

    /// A client for the registry's short answers.
    fn http(&self, reference: &ImageReference) -> Result<reqwest::Client, Failure> {
        http::client(self.ca_bundle.as_deref(), self.shown_to(reference))
    }

    /// The certificate that is shown to the registry, if any.
    fn shown_to(&self, reference: &ImageReference) -> Option<&ClientCertificate> {
        self.client_certificates.get(reference.registry())
    }
}
