//! `slipway bundle`: images for registries that no network leads to.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::args::{BundleVerb, Cli, FormatKind};
use super::images::{asking, named};
use super::{print, setup};
use crate::image::transfer::bundle::{self, Inventory, SigningKey, TrustedKey};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;
use crate::pipeline::Services;
use crate::work::unless_cancelled;

/// Does what the verb says.
pub(super) async fn bundle(cli: &Cli, verb: &BundleVerb, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    unless_cancelled(cancel, act(cli, verb)).await
}

async fn act(cli: &Cli, verb: &BundleVerb) -> Result<ExitCode, Failure> {
    let services = setup::planning(cli)?;
    let say = |line: &str| anstream::eprintln!("{line}");
    match verb {
        BundleVerb::Export { images, output, inventory, sign, format } => {
            let known = inventory.as_deref().map(Inventory::read).transpose()?;
            let key = sign.as_deref().map(SigningKey::read).transpose()?.map(Arc::new);
            let images = references(&services, images)?;
            let done = services
                .with_accounts(&images, &asking(), async |places| {
                    bundle::export(places, known.as_ref(), key.clone(), output, &say).await
                })
                .await?;
            if format.format != FormatKind::Text {
                return print::json(&json!({ "version": 1, "bundle": done }));
            }
            anstream::println!(
                "{}: {} images, {} blobs, {} left out, {} MB",
                done.file.display(),
                done.images.len(),
                done.blobs,
                done.left_out,
                done.size / 1_000_000
            );
        }
        BundleVerb::Import { file, registry, inventory, key, format } => {
            let keys = keys(&services, key)?;
            let targets = targets(&services, file, &keys, registry.as_deref()).await?;
            let id = asking();
            for target in &targets {
                services.project_for(target, &id).await?;
            }
            let mut known = inventory.as_deref().map_or_else(|| Ok(Inventory::default()), Inventory::read_or_new)?;
            let done = services
                .with_accounts(&targets, &id, async |places| {
                    bundle::import(file, &keys, places, &mut known, &say).await
                })
                .await?;
            if let Some(path) = inventory {
                known.write(path)?;
            }
            if format.format != FormatKind::Text {
                return print::json(&json!({ "version": 1, "import": done }));
            }
            for image in &done.images {
                anstream::println!("{image}");
            }
        }
        BundleVerb::Verify { file, key, format } => {
            let entries = bundle::verify(file, &keys(&services, key)?).await?;
            if format.format != FormatKind::Text {
                return print::json(&json!({ "version": 1, "entries": entries }));
            }
            anstream::println!("{}: {entries} entries are whole", file.display());
        }
        BundleVerb::Inventory { images, output } => {
            let images = references(&services, images)?;
            let inventory = services.with_accounts(&images, &asking(), Inventory::of).await?;
            inventory.write(output)?;
            anstream::println!("{}: {} blobs", output.display(), inventory.blobs());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn references(services: &Services, images: &[String]) -> Result<Vec<ImageReference>, Failure> {
    images.iter().map(|image| named(&services.config, image)).collect()
}

/// Whose bundles are taken: those that are named, else the operator's; anybody's where there is none.
fn keys(services: &Services, named: &[PathBuf]) -> Result<Vec<TrustedKey>, Failure> {
    let files = if named.is_empty() { &services.config.registry.bundle_keys } else { named };
    files.iter().map(|file| TrustedKey::read(file)).collect()
}

/// What the bundle's images are called in the registry that they come to.
async fn targets(
    services: &Services,
    file: &Path,
    keys: &[TrustedKey],
    registry: Option<&str>,
) -> Result<Vec<ImageReference>, Failure> {
    let host = registry.or(services.config.registry.host.as_deref()).ok_or_else(|| {
        Failure::new(FailureCode::ConfigurationInvalid, "there is no registry to import into")
            .hint("set `registry.host` in the configuration, or name one with `--registry`")
    })?;
    let invalid = |error: String| Failure::new(FailureCode::RequestInvalid, error);
    let target = |from: ImageReference| {
        let digest = from.digest().map(|digest| digest.hex().chars().take(12).collect::<String>());
        let tag = match (from.tag(), digest) {
            (Some(tag), _) => tag.clone(),
            (None, digest) => {
                digest.as_deref().unwrap_or("latest").parse().map_err(|error| invalid(format!("{error}")))?
            }
        };
        ImageReference::new(host, from.repository(), Some(tag), None).map_err(|error| invalid(error.to_string()))
    };
    bundle::targets(file, keys).await?.into_iter().map(target).collect()
}
