//! Base images without an Engine: Slipway assembles them, commands run in a root file system as root.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::INPUTS_LABEL;
use super::engine::Found;
use super::maker::{Build, label};
use crate::image::assembler::AssemblerBackend;
use crate::image::{BuildContext, BuildSpec, BuiltImage, ContextKind, ImageBackend as _, RegistryAccess, credentials};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;
use crate::work::blocking;

/// Slipway as a maker of base images.
pub(super) struct Own(AssemblerBackend);

impl Own {
    pub(super) fn new(assembler: AssemblerBackend) -> Self {
        Self(assembler.running())
    }

    pub(super) async fn find(&self, reference: &str) -> Result<Option<Found>, Failure> {
        let Some(kept) = self.0.kept(reference).await? else { return Ok(None) };
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let config = &kept.config["config"];
        Ok(Some(Found {
            id: kept.id.to_string(),
            inputs: config["Labels"][INPUTS_LABEL].as_str().map(str::to_owned),
            size: kept.size,
            user: config["User"].as_str().unwrap_or_default().to_owned(),
            digests: Vec::new(),
            layers: texts(&kept.config["rootfs"]["diff_ids"]),
        }))
    }

    pub(super) async fn import(
        &self,
        archive: &std::path::Path,
        repository: &str,
        inputs: &str,
    ) -> Result<(), Failure> {
        let built = self.0.import(archive, label(inputs)).await?;
        self.0.keep(&built, &format!("{repository}:latest")).await
    }

    /// An image of a registry becomes one of ours by being the base of one without further instructions.
    pub(super) async fn pull(&self, reference: &str) -> Result<(), Failure> {
        let directory = scratch()?;
        let mut spec = BuildSpec::new(context(&directory, "Dockerfile".to_owned()), format!("FROM {reference}\n"));
        if let Ok(named) = ImageReference::familiar(reference)
            && let Some(account) = credentials::of_docker(named.registry()).await?
        {
            spec.credentials.insert(named.registry().to_owned(), account);
        }
        let built = self.assembled(&spec, &|_| ()).await?;
        self.0.keep(&built, reference).await
    }

    /// The image of one without further instructions is pushed as any other.
    pub(super) async fn push(
        &self,
        reference: &str,
        repository: &str,
        tags: [&str; 2],
        access: &RegistryAccess,
    ) -> Result<String, Failure> {
        let directory = scratch()?;
        let spec = BuildSpec::new(context(&directory, "Dockerfile".to_owned()), format!("FROM {reference}\n"));
        let built = self.assembled(&spec, &|_| ()).await?;
        let mut references: Vec<ImageReference> = Vec::new();
        for tag in tags {
            let named = format!("{repository}:{tag}");
            let invalid =
                |error| Failure::new(FailureCode::ConfigurationInvalid, format!("`{named}` names no image: {error}"));
            references.push(named.parse().map_err(invalid)?);
        }
        references.dedup();
        let done = self.0.push(&built, &references, access, &|_| {}, &CancellationToken::new()).await?;
        Ok(format!("{repository}@{}", done.digest))
    }

    pub(super) async fn tag(&self, reference: &str, repository: &str, tag: &str) -> Result<(), Failure> {
        self.0.name(reference, &format!("{repository}:{tag}")).await
    }

    pub(super) async fn build(&self, build: Build<'_>, progress: &(dyn Fn(&str) + Sync)) -> Result<(), Failure> {
        let directory = scratch()?;
        let (archive, place) = (build.context, directory.path().to_owned());
        let dockerfile = build.dockerfile.clone();
        let text = blocking(move || {
            tar::Archive::new(archive.as_slice()).unpack(&place).map_err(|error| unusable(&error))?;
            std::fs::read_to_string(place.join(dockerfile)).map_err(|error| unusable(&error))
        })
        .await?;
        let mut spec = BuildSpec::new(context(&directory, build.dockerfile), text);
        spec.build_args = build.args.into_iter().collect::<BTreeMap<_, _>>();
        spec.labels = label(build.inputs);
        let name = build.name;
        let image = self.assembled(&spec, &|line| progress(&format!("{name}: {line}"))).await;
        let image = image
            .map_err(|failure| Failure { message: format!("building `{name}`: {}", failure.message), ..failure })?;
        self.0.keep(&image, build.reference).await
    }

    async fn assembled(&self, spec: &BuildSpec, log: &(dyn Fn(&str) + Send + Sync)) -> Result<BuiltImage, Failure> {
        Box::pin(self.0.build(spec, log, &CancellationToken::new())).await
    }
}

fn scratch() -> Result<tempfile::TempDir, Failure> {
    tempfile::tempdir().map_err(|error| unusable(&error))
}

fn context(directory: &tempfile::TempDir, dockerfile: String) -> BuildContext {
    BuildContext { root: directory.path().to_owned(), kind: ContextKind::Repository { dockerfile } }
}

fn unusable(error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::Internal, format!("the build context of a base image: {error}"))
}
