//! A base image that only the Engine of this machine has.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::base::Base;
use super::blocks;
use super::store::Store;
use crate::image::engine::Engine;
use crate::model::failure::{Failure, FailureCode};

/// Takes an image out of the Engine, where it has it; its layers are compressed once.
///
/// # Errors
/// `internal` or `disk_full` when the Engine has it and the store cannot take it.
pub(super) async fn base(store: &Store, reference: &str) -> Result<Option<Base>, Failure> {
    use futures_util::StreamExt as _;
    use tokio::io::AsyncWriteExt as _;
    let engine = Engine::new(None);
    let Ok(docker) = engine.docker().await else { return Ok(None) };
    let Ok(found) = docker.inspect_image(reference).await else { return Ok(None) };
    let key = found.id.unwrap_or_default().replace(':', "-");
    if let Some(base) =
        store.recall::<Base>("bases", &key).filter(|base| base.layers.iter().all(|layer| store.has(&layer.blob)))
    {
        return Ok(Some(base));
    }
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            FailureCode::Internal,
            format!("the base image `{reference}` cannot be taken from the Engine: {error}"),
        )
    };
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(|error| failed(&error))?);
    let mut archive = docker.export_image(reference);
    while let Some(chunk) = archive.next().await {
        file.write_all(&chunk.map_err(|error| failed(&error))?).await.map_err(|error| failed(&error))?;
    }
    file.flush().await.map_err(|error| failed(&error))?;
    let file = file.into_std().await;
    let owned = store.clone();
    let imported = tokio::task::spawn_blocking(move || import(&owned, file)).await.map_err(|error| failed(&error))?;
    let base = imported.map_err(|error| failed(&error))?;
    store.note("bases", &key, &base);
    Ok(Some(base))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// Reads what `docker save` writes: `manifest.json` names the configuration and the layers' tars, some of them links.
fn import(store: &Store, mut file: std::fs::File) -> std::io::Result<Base> {
    file.seek(SeekFrom::Start(0))?;
    let mut places: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    for entry in tar::Archive::new(&file).entries()? {
        let entry = entry?;
        let path = entry.path()?.display().to_string();
        match entry.link_name()? {
            Some(to) => {
                let beside = Path::new(&path).parent().unwrap_or(Path::new("")).join(to);
                let mut parts: Vec<String> = Vec::new();
                for part in beside.components() {
                    match part {
                        std::path::Component::ParentDir => drop(parts.pop()),
                        part => parts.push(part.as_os_str().to_string_lossy().into_owned()),
                    }
                }
                links.insert(path, parts.join("/"));
            }
            None => drop(places.insert(path, (entry.raw_file_position(), entry.size()))),
        }
    }
    let place = |path: &str| {
        let path = links.get(path).map_or(path, String::as_str);
        places.get(path).copied().ok_or_else(|| std::io::Error::other(format!("its archive has no `{path}`")))
    };
    let read = |path: &str| -> std::io::Result<Vec<u8>> {
        let (offset, size) = place(path)?;
        let mut bytes = Vec::new();
        (&file).seek(SeekFrom::Start(offset))?;
        (&file).take(size.min(32 << 20)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let saved: Vec<Saved> = serde_json::from_slice(&read("manifest.json")?)?;
    let saved = saved.first().ok_or_else(|| std::io::Error::other("its archive is empty"))?;
    let config: Value = serde_json::from_slice(&read(&saved.config)?)?;
    let mut layers = Vec::new();
    for path in &saved.layers {
        let (offset, size) = place(path)?;
        (&file).seek(SeekFrom::Start(offset))?;
        let made = blocks::copy(store, &mut (&file).take(size));
        layers.push(made.map_err(|failure| std::io::Error::other(failure.message))?);
    }
    Ok(Base { config, layers, home: None })
}
