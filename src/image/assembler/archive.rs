//! An image as one file: an OCI image layout that `docker load` takes as well.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Assembled;
use super::store::Store;
use crate::image::context::ENTRY_TIME;
use crate::image::registry::{Descriptor, IMAGE_INDEX};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};

/// Writes the archive beside its destination and renames it, so that nobody sees a part of it. Blocks.
///
/// # Errors
/// `disk_full`, or `image_failed` when the file cannot be written there.
pub(super) fn save(
    store: &Store,
    image: &Assembled,
    references: &[ImageReference],
    destination: &Path,
) -> Result<(), Failure> {
    let directory = destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::Builder::new()
        .prefix(".slipway-save-")
        // What `tempfile` makes is private; an archive is as readable as any file one writes.
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .and_then(|mut file| {
            write(store, image, references, 0, &mut file)?;
            file.as_file().sync_all()?;
            file.persist(destination).map(drop).map_err(|error| error.error)
        });
    written.map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureCode::DiskFull,
            _ => FailureCode::ImageFailed,
        };
        Failure::new(code, format!("The archive `{}` cannot be written: {error}.", destination.display()))
            .hint("Choose another `dest`, in a directory that exists and may be written to.")
    })
}

/// A blob on its way, with the hash of what was read of it.
struct Hashed {
    file: File,
    hash: Sha256,
}

impl io::Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// Writes the archive without the `held` lowest layers, which whoever gets it has. Blocks.
///
/// # Errors
/// Of reading the blobs or writing to `out`.
pub(super) fn write(
    store: &Store,
    image: &Assembled,
    references: &[ImageReference],
    held: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(1 << 20, out));
    for directory in ["blobs/", "blobs/sha256/"] {
        let mut header = header(0, 0o755);
        header.set_entry_type(tar::EntryType::Directory);
        archive.append_data(&mut header, directory, io::empty())?;
    }
    let mut blobs: Vec<&Descriptor> = image.layers.iter().skip(held).map(|layer| &layer.blob).collect();
    blobs.extend([&image.config, &image.manifest]);
    blobs.sort_by_key(|blob| blob.digest.hex());
    blobs.dedup_by_key(|blob| blob.digest.hex());
    for blob in blobs {
        let mut file = Hashed { file: File::open(store.path(&blob.digest))?, hash: Sha256::new() };
        archive.append_data(&mut header(blob.size, 0o644), name(blob), &mut file)?;
        let found = Digest::of_sha256(file.hash.finalize().into());
        if found != blob.digest {
            let why = format!("the cache has another content for `{}`; `slipway cache verify` removes it", blob.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
    }
    let tags: Vec<String> = references
        .iter()
        .map(|reference| format!("{}:{}", reference.name(), reference.tag().map_or("latest", |tag| tag.as_str())))
        .collect();
    let descriptor = |tag: Option<&String>| {
        let mut value = json!({
            "mediaType": image.types.manifest(),
            "digest": image.manifest.digest,
            "size": image.manifest.size,
        });
        if let Some(tag) = tag {
            let short = tag.rsplit(':').next();
            value["annotations"] =
                json!({ "io.containerd.image.name": tag, "org.opencontainers.image.ref.name": short });
        }
        value
    };
    let manifests: Vec<_> =
        if tags.is_empty() { vec![descriptor(None)] } else { tags.iter().map(|tag| descriptor(Some(tag))).collect() };
    let layers: Vec<String> = image.layers.iter().map(|layer| name(&layer.blob)).collect();
    for (path, value) in [
        ("index.json", json!({ "schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": manifests })),
        ("manifest.json", json!([{ "Config": name(&image.config), "RepoTags": tags, "Layers": layers }])),
        ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
    ] {
        let bytes = serde_json::to_vec(&value)?;
        archive.append_data(&mut header(bytes.len() as u64, 0o644), path, bytes.as_slice())?;
    }
    archive.into_inner()?.flush()
}

fn name(blob: &Descriptor) -> String {
    format!("blobs/sha256/{}", blob.digest.hex())
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(ENTRY_TIME);
    header
}
