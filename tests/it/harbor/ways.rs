//! The two ways of pushing, and an image of a few bytes.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use slipway::image::assembler::AssemblerBackend;
use slipway::image::docker::DockerBackend;
use slipway::image::{
    Backend, BuildContext, BuildSpec, BuiltImage, ContextKind, ImageBackend as _, LogSink, PublishedImage,
    RegistryAccess,
};
use slipway::model::failure::Failure;
use slipway::model::image_reference::ImageReference;
use tokio_util::sync::CancellationToken;

use crate::support::harbor::{Harbor, access};

/// An image that was built by one of the ways.
pub(super) struct Built {
    backend: Backend,
    image: BuiltImage,
    pub(super) way: &'static str,
    /// What it is called in the Engine, which keeps an image only as long as it has a name.
    tags: Mutex<Vec<ImageReference>>,
    _directory: tempfile::TempDir,
}

/// An image with this many random bytes in its layer, by either way.
pub(super) async fn both(bytes: usize) -> [Built; 2] {
    [build("docker", bytes).await, build("assembler", bytes).await]
}

pub(super) async fn build(way: &'static str, bytes: usize) -> Built {
    build_with(way, bytes, None).await
}

/// The same, above a layer with this text.
pub(super) async fn build_with(way: &'static str, bytes: usize, below: Option<&str>) -> Built {
    let directory = tempfile::tempdir().unwrap();
    let context = directory.path().join("context");
    fs::create_dir_all(context.join("layer-application/app")).unwrap();
    let mut filling = uuid::Uuid::now_v7().to_string().into_bytes();
    let mut seed = u64::from_le_bytes(filling[filling.len() - 8..].try_into().unwrap());
    while filling.len() < bytes {
        // xorshift: bytes that do not compress.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        filling.extend(seed.to_le_bytes());
    }
    fs::write(context.join("layer-application/app/x"), filling).unwrap();
    if let Some(text) = below {
        fs::create_dir_all(context.join("layer-dependencies/lib")).unwrap();
        fs::write(context.join("layer-dependencies/lib/y"), text).unwrap();
    }
    let backend = match way {
        "docker" => Backend::Docker(DockerBackend::default()),
        _ => Backend::Assembler(AssemblerBackend::new(directory.path().join("store"), None)),
    };
    let context = BuildContext { root: context, kind: ContextKind::Generated { owned: Vec::new() } };
    let tag: ImageReference = format!("localhost/slipway-harbor/{}:1", uuid::Uuid::now_v7().simple()).parse().unwrap();
    let first = if below.is_some() { "COPY layer-dependencies/ /\n" } else { "" };
    let mut spec =
        BuildSpec::new(context, format!("FROM scratch\n{first}COPY layer-application/ /\nCMD [\"/app/x\"]\n"));
    spec.references.push(tag.clone());
    let image = Box::pin(backend.build(&spec, &|_| {}, &CancellationToken::new())).await.unwrap();
    Built { backend, image, way, tags: Mutex::new(vec![tag]), _directory: directory }
}

impl Built {
    /// Pushes under these names (`project/name:tag`).
    pub(super) async fn push(
        &self,
        harbor: &Harbor,
        account: &(String, String),
        names: &[&str],
    ) -> Result<PublishedImage, Failure> {
        let references: Vec<ImageReference> = names.iter().map(|name| harbor.reference(name)).collect();
        self.tags.lock().unwrap().extend(references.clone());
        Box::pin(self.backend.push(&self.image, &references, &access(account), &|_| {}, &CancellationToken::new()))
            .await
    }

    /// The same, and gives what it tells.
    pub(super) async fn push_telling(
        &self,
        reference: ImageReference,
        access: &RegistryAccess,
        log: LogSink<'_>,
    ) -> Result<PublishedImage, Failure> {
        Box::pin(self.backend.push(&self.image, &[reference], access, log, &CancellationToken::new())).await
    }

    /// Pushes to any registry.
    pub(super) async fn push_to(
        &self,
        reference: ImageReference,
        access: &RegistryAccess,
    ) -> Result<PublishedImage, Failure> {
        self.push_telling(reference, access, &|_| {}).await
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        if self.way == "docker" {
            let tags = self.tags.lock().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
            let _ = Command::new("docker").args(["image", "rm", "--force"]).args(tags).output();
        }
    }
}
