//! An image as an archive that `docker load` takes.

use std::path::Path;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::engine::{self, Engine};
use super::{BuiltImage, build};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;

/// Writes the archive beside its destination and renames it, so that nobody sees a part of it.
pub(super) async fn save(
    engine: &Engine,
    image: &BuiltImage,
    references: &[ImageReference],
    destination: &Path,
) -> Result<(), Failure> {
    let docker = engine.docker().await?;
    let mut names = Vec::new();
    for reference in references {
        build::tag(docker, &image.id, reference).await?;
        let tag = reference.tag().map_or("latest", |tag| tag.as_str());
        names.push(format!("{}:{tag}", reference.name()));
    }
    if names.is_empty() {
        names.push(image.id.as_str().to_owned());
    }
    let cannot = |error: &std::io::Error| cannot_write(destination, error);
    let directory = destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(".slipway-save-")
        // What `tempfile` makes is private; an archive is as readable as any file one writes.
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(|error| cannot(&error))?;
    let (file, path) = temporary.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut archive = docker.export_images(&names);
    while let Some(chunk) = archive.next().await {
        match chunk {
            Ok(chunk) => file.write_all(&chunk).await.map_err(|error| cannot(&error))?,
            Err(error) => {
                let what = format!("The image `{}` cannot be saved", image.id);
                return Err(engine::failure_of(docker, &error, FailureCode::ImageFailed, &what).await);
            }
        }
    }
    file.flush().await.map_err(|error| cannot(&error))?;
    file.sync_all().await.map_err(|error| cannot(&error))?;
    path.persist(destination).map_err(|error| cannot(&error.error))
}

fn cannot_write(destination: &Path, error: &std::io::Error) -> Failure {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FailureCode::DiskFull,
        _ => FailureCode::ImageFailed,
    };
    Failure::new(code, format!("The archive `{}` cannot be written: {error}.", destination.display()))
        .hint("Choose another `dest`, in a directory that exists and may be written to.")
}
