//! Inventories: what a registry is known to hold, as a file that travels back.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::{Place, tree::Tree};
use super::unwritable;
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};

/// What a registry holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    version: u32,
    /// Images and the digests of their manifests.
    images: BTreeMap<ImageReference, Digest>,
    /// Blobs.
    blobs: BTreeMap<Digest, Held>,
}

/// A blob of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    pub(super) size: u64,
    /// A repository that has it.
    pub(super) repository: String,
}

impl Inventory {
    /// Reads an inventory.
    ///
    /// # Errors
    /// `request_invalid` where it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let unusable = |why: String| {
            Failure::new(FailureCode::RequestInvalid, format!("`{}` is no inventory: {why}", path.display())).hint(
                "an inventory is what `slipway bundle import --inventory FILE` or `slipway bundle inventory` writes",
            )
        };
        let text = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let inventory: Self = serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?;
        if inventory.version != 1 {
            return Err(unusable(format!("it is of version {}, and this program reads 1", inventory.version)));
        }
        Ok(inventory)
    }

    /// The inventory that is there, or an empty one.
    ///
    /// # Errors
    /// As [`Inventory::read`].
    pub fn read_or_new(path: &Path) -> Result<Self, Failure> {
        if path.exists() { Self::read(path) } else { Ok(Self { version: 1, ..Self::default() }) }
    }

    /// Asks registries for images, and enters them.
    ///
    /// # Errors
    /// `base_image_missing`, and the `registry_…` codes.
    pub async fn of(places: &[Place]) -> Result<Self, Failure> {
        let mut inventory = Self { version: 1, ..Self::default() };
        for place in places {
            let tree = Tree::of(place, &place.reading()?).await?;
            let blobs = tree.all().flat_map(|tree| &tree.blobs).map(|(digest, size)| (digest.clone(), *size));
            let top = tree.top().ok_or_else(|| place.missing())?;
            inventory.enter(place.reference(), top.digest.clone(), blobs);
        }
        Ok(inventory)
    }

    /// Writes it whole, or not at all.
    ///
    /// # Errors
    /// `request_invalid`, `disk_full`.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let text =
            serde_json::to_vec_pretty(self).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
        let written = tempfile::NamedTempFile::new_in(directory).and_then(|mut file| {
            file.write_all(&text)?;
            file.persist(path).map(drop).map_err(|error| error.error)
        });
        written.map_err(|error| unwritable(path, &error))
    }

    /// How many blobs it names.
    #[must_use]
    pub fn blobs(&self) -> usize {
        self.blobs.len()
    }

    pub(super) fn held(&self, blob: &Digest) -> Option<&Held> {
        self.blobs.get(blob)
    }

    pub(super) fn enter(
        &mut self,
        reference: &ImageReference,
        digest: Digest,
        blobs: impl IntoIterator<Item = (Digest, u64)>,
    ) {
        self.images.insert(reference.clone(), digest);
        for (digest, size) in blobs {
            self.blobs.insert(digest, Held { size, repository: reference.repository().to_owned() });
        }
    }
}
