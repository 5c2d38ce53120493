//! A base image that only the Engine of this machine has.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::base::Base;
use super::blocks;
use super::store::Store;
use crate::image::engine::Engine;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::DiffId;

/// How what is compressed by gzip begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

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
    let diff_ids: Vec<DiffId> = serde_json::from_value(config["rootfs"]["diff_ids"].clone())?;
    if diff_ids.len() != saved.layers.len() {
        return Err(std::io::Error::other("its archive names another number of layers than its configuration"));
    }
    let mut layers = Vec::new();
    for (path, diff_id) in saved.layers.iter().zip(diff_ids) {
        let (offset, size) = place(path)?;
        (&file).seek(SeekFrom::Start(offset))?;
        let mut layer = BufReader::with_capacity(1 << 17, (&file).take(size));
        // An Engine that keeps images as containerd does gives their layers as their registry did.
        let made = if layer.fill_buf()?.starts_with(&GZIP) {
            blocks::copy(store, &mut MultiGzDecoder::new(layer))
        } else {
            blocks::copy(store, &mut layer)
        };
        let made = made.map_err(|failure| std::io::Error::other(failure.message))?;
        if made.diff_id != diff_id {
            return Err(std::io::Error::other(format!("its archive has another layer than `{diff_id}`")));
        }
        layers.push(made);
    }
    Ok(Base { config, layers, home: None })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::image::assembler::store::digest_of;

    /// What `docker save` writes of an image with these layers, whose tars have these hashes.
    fn saved(layers: &[(&[u8], Sha256)]) -> std::fs::File {
        let mut archive = tar::Builder::new(tempfile::tempfile().unwrap());
        let mut add = |path: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, path, bytes).unwrap();
        };
        let names: Vec<String> = (0..layers.len()).map(|number| format!("blobs/sha256/{number}")).collect();
        for (name, (bytes, _)) in names.iter().zip(layers) {
            add(name, bytes);
        }
        let diff_ids: Vec<_> = layers.iter().map(|(_, hash)| digest_of(hash.clone())).collect();
        add("config", json!({ "rootfs": { "diff_ids": diff_ids } }).to_string().as_bytes());
        add("manifest.json", json!([{ "Config": "config", "Layers": names }]).to_string().as_bytes());
        archive.into_inner().unwrap()
    }

    #[test]
    fn layers_are_the_same_whether_an_engine_keeps_them_compressed() {
        let tar = b"as good as any".repeat(100);
        let hash = Sha256::new_with_prefix(&tar);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        let gzip = gzip.finish().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        let base = import(&store, saved(&[(&tar, hash.clone()), (&gzip, hash.clone())])).unwrap();
        assert_eq!(base.layers[0], base.layers[1]);
        assert_eq!(base.layers[0].diff_id.0, digest_of(hash.clone()));
        let error = import(&store, saved(&[(b"another", hash)])).unwrap_err().to_string();
        assert!(error.contains("another layer"), "{error}");
    }
}
