//! An image in a layout is read as a whole: each part has to be what its name says.

use serde::Serialize;

use super::layout::{COPY_AGAIN, Layout};
use super::name::Name;
use super::store::{Store, unwritable};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{DiffId, Digest};
use crate::model::layout_reference::LayoutReference;
use crate::work::blocking;

/// An image that is whole.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its layers, uncompressed, lowest first.
    pub layers: Vec<DiffId>,
    /// Files, directories and links of the file system that its layers make.
    pub entries: usize,
}

/// Reads manifest, configuration and layers, compares their digests and sizes, and unpacks the layers.
///
/// # Errors
/// `base_image_missing` where there is no such image, `digest_mismatch` or `image_failed` for what is not whole.
pub async fn check(reference: &LayoutReference) -> Result<Checked, Failure> {
    let (shown, reference) = (reference.to_string(), reference.clone());
    blocking(move || {
        let scratch = tempfile::tempdir()
            .map_err(|error| unwritable(std::path::Path::new("the directory for temporary files"), &error))?;
        let store = Store::new(scratch.path().to_owned());
        let missing = || Failure::new(FailureCode::BaseImageMissing, format!("the layout has no image `{shown}`"));
        let layout =
            Layout { shown: shown.clone(), directory: reference.directory, name: reference.name, remedy: COPY_AGAIN };
        let (digest, _) = layout.found()?.ok_or_else(missing)?;
        let base = layout.base(&store)?.ok_or_else(missing)?;
        let entries = base.tree(&store)?.below(&Name::default()).count();
        Ok(Checked { digest, layers: base.layers.into_iter().map(|layer| layer.diff_id).collect(), entries })
    })
    .await
}
