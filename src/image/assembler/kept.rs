//! Images that are kept under names in a layout of Slipway's own: base images, where no Engine keeps them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::document::{CREATED, configuration, history_of, json_bytes, manifest};
use super::layout::{Layout, MAKE_AGAIN, NAME};
use super::store::{Store, unreadable, unwritable};
use super::{Assembled, AssemblerBackend, blocks, built};
use crate::image::BuiltImage;
use crate::image::registry::{Descriptor, IMAGE_INDEX};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::Digest;
use crate::work::blocking;

/// An image that is kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The digest of its configuration.
    pub id: Digest,
    /// The configuration (OCI image specification).
    pub config: Value,
    /// Bytes of the layers, compressed.
    pub size: u64,
}

impl AssemblerBackend {
    /// The image of this name (`slipway/debian:latest`), if it is kept.
    ///
    /// # Errors
    /// What reading the layout says.
    pub async fn kept(&self, name: &str) -> Result<Option<Kept>, Failure> {
        let Some(layout) = self.own_layout(name, name) else { return Ok(None) };
        blocking(move || {
            let Some((_, manifest)) = layout.found()? else { return Ok(None) };
            let size = manifest.layers.iter().map(|layer| layer.size).sum();
            Ok(Some(Kept { id: manifest.config.digest.clone(), config: layout.config(&manifest)?, size }))
        })
        .await
    }

    /// Keeps an image under a name, which it may take from another.
    ///
    /// # Errors
    /// `disk_full`, or `internal` when the layout cannot be written.
    pub async fn keep(&self, image: &BuiltImage, name: &str) -> Result<(), Failure> {
        let (image, store, directory, name) =
            (self.image(image)?, self.store.clone(), self.own.clone(), name.to_owned());
        blocking(move || {
            put(&store, &image, &directory, &name).map_err(|error| unwritable(&directory.join("index.json"), &error))
        })
        .await
    }

    /// Gives what is kept under one name another one, too.
    ///
    /// # Errors
    /// `base_image_missing` where nothing is kept under the first.
    pub async fn name(&self, name: &str, further: &str) -> Result<(), Failure> {
        let (directory, name, further) = (self.own.clone(), name.to_owned(), further.to_owned());
        blocking(move || {
            let meant = |entry: &&Value| entry["annotations"][NAME] == name.as_str();
            let missing = || io::Error::other(format!("there is no `{name}`"));
            let renamed = lock(&directory).and_then(|_lock| {
                named(&directory, &further, |entries| entries.iter().find(meant).cloned().ok_or_else(missing))
            });
            renamed.map_err(|error| {
                let message = format!("`{}`: {error}", directory.join("index.json").display());
                Failure::new(FailureCode::BaseImageMissing, message)
            })
        })
        .await
    }

    /// Makes an image of one layer from a tar archive.
    ///
    /// # Errors
    /// `disk_full`, or `internal` when the archive cannot be read.
    pub async fn import(&self, archive: &Path, labels: BTreeMap<String, String>) -> Result<BuiltImage, Failure> {
        let (store, archive, types) = (self.store.clone(), archive.to_owned(), self.types);
        blocking(move || {
            let mut file = fs::File::open(&archive).map_err(|error| unreadable(&archive, &error))?;
            let layers = vec![blocks::copy(&store, &mut file)?];
            let history = history_of(&Value::Null, 1);
            let config = configuration(&Value::Null, json!({ "Labels": labels }), &layers, history, CREATED);
            let config = store.put(&json_bytes(&config)?)?;
            let manifest = store.put(&json_bytes(&manifest(&config, &layers, types))?)?;
            let size = layers.iter().map(|layer| layer.blob.size).sum();
            Ok(built(&store, &Assembled { layers, config, manifest, home: None, size, types }, false))
        })
        .await
    }

    /// The layout of what is kept, where there is one.
    pub(super) fn own_layout(&self, shown: &str, name: &str) -> Option<Layout> {
        let tagged = if name.contains(':') { name.to_owned() } else { format!("{name}:latest") };
        let (shown, directory, name) = (shown.to_owned(), self.own.clone(), Some(tagged));
        let layout = Layout { shown, directory, name, remedy: MAKE_AGAIN };
        self.own.join("index.json").is_file().then_some(layout)
    }

    /// Whether a base image of this name was made here; one that is damaged was, and says so when it is read.
    pub(in crate::image) fn has_made(&self, name: &str) -> bool {
        self.own_layout(name, name).is_some_and(|layout| !matches!(layout.found(), Ok(None)))
    }
}

/// Brings an image's blobs into the layout, then its name into the index.
fn put(store: &Store, image: &Assembled, directory: &Path, name: &str) -> io::Result<()> {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    // What has no name yet must not be taken for what has none any more.
    let _lock = lock(directory)?;
    for blob in image.layers.iter().map(|layer| &layer.blob).chain([&image.config, &image.manifest]) {
        bring(store, blob, &blobs)?;
    }
    let entry = json!({
        "mediaType": image.types.manifest(),
        "digest": image.manifest.digest,
        "size": image.manifest.size,
        "platform": { "architecture": super::remote::architecture(), "os": "linux" },
    });
    named(directory, name, |_| Ok(entry))
}

/// A blob never changes, so both may have the same file.
fn bring(store: &Store, blob: &Descriptor, blobs: &Path) -> io::Result<()> {
    let (from, to) = (store.path(&blob.digest), blobs.join(blob.digest.hex()));
    if fs::metadata(&to).is_ok_and(|there| there.len() == blob.size) {
        return Ok(());
    }
    match fs::hard_link(&from, &to) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(&to)?,
        Err(_) => {}
    }
    let mut file = tempfile::NamedTempFile::new_in(blobs)?;
    io::copy(&mut fs::File::open(&from)?, &mut file)?;
    file.persist(&to).map(drop).map_err(|error| error.error)
}

/// Keeps everybody else from changing the layout.
pub(super) fn lock(directory: &Path) -> io::Result<fs::File> {
    let lock = fs::File::options().create(true).truncate(false).write(true).open(directory.join(".lock"))?;
    lock.lock().map(|()| lock)
}

/// What the index names.
pub(super) fn entries(directory: &Path) -> io::Result<Vec<Value>> {
    let index: Value = match fs::read(directory.join("index.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| io::Error::other(format!("it is no JSON ({error}); {MAKE_AGAIN}")))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Value::Null,
        Err(error) => return Err(error),
    };
    Ok(index["manifests"].as_array().cloned().unwrap_or_default())
}

/// Gives a name to an entry, chosen among those that there are, in the index; to be done under its lock.
fn named(directory: &Path, name: &str, entry: impl FnOnce(&[Value]) -> io::Result<Value>) -> io::Result<()> {
    let mut entries = entries(directory)?;
    let mut entry = entry(&entries)?;
    entry["annotations"][NAME] = json!(name);
    entries.retain(|known| known["annotations"][NAME] != name);
    entries.push(entry);
    replace(directory, &entries)
}

/// Lets the index name these and nothing else.
pub(super) fn replace(directory: &Path, entries: &[Value]) -> io::Result<()> {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE_INDEX,
        "manifests": entries,
    });
    write(directory, "oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
    write(directory, "index.json", &index)
}

fn write(directory: &Path, name: &str, value: &Value) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.as_file().sync_all()?;
    file.persist(directory.join(name)).map(drop).map_err(|error| error.error)
}
