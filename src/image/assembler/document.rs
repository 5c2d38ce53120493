//! The documents of an image: configuration, history, manifest (OCI image specification).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::layer::Layer;
use super::remote::architecture;
use crate::image::registry::Descriptor;
use crate::model::failure::{Failure, FailureCode};

/// When an image was made that says nothing of it; its label says when its commit was.
pub(super) const CREATED: &str = "1980-01-01T00:00:00Z";

/// The base's history; where it has none, a line for each layer, since Docker counts them.
pub(super) fn history_of(config: &Value, layers: usize) -> Vec<Value> {
    match config["history"].as_array() {
        Some(history) if !history.is_empty() => history.clone(),
        _ => vec![json!({ "created": CREATED, "created_by": "the base image" }); layers],
    }
}

/// The base's configuration with what changed; fields that nobody here knows stay.
pub(super) fn configuration(
    base: &Value,
    config: Value,
    layers: &[Layer],
    history: Vec<Value>,
    created: &str,
) -> Value {
    let mut whole = base.as_object().cloned().unwrap_or_default();
    // What the Engine notes of the container that made a layer.
    for gone in ["container", "container_config", "docker_version", "id", "parent", "throwaway"] {
        whole.shift_remove(gone);
    }
    whole.entry("architecture").or_insert_with(|| json!(architecture()));
    whole.entry("os").or_insert_with(|| json!("linux"));
    whole.insert("created".to_owned(), json!(created));
    whole.insert("config".to_owned(), config);
    let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
    whole.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
    whole.insert("history".to_owned(), Value::Array(history));
    Value::Object(whole)
}

/// Whose names the parts of an image have: the same bytes, told of in another word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaTypes {
    /// Those of the OCI image specification.
    #[default]
    Oci,
    /// Those of Docker's image manifest, version 2, schema 2, for registries and tools that know no others.
    Docker,
}

impl MediaTypes {
    /// The manifest's.
    pub(super) fn manifest(self) -> &'static str {
        match self {
            Self::Oci => oci_client::manifest::OCI_IMAGE_MEDIA_TYPE,
            Self::Docker => oci_client::manifest::IMAGE_MANIFEST_MEDIA_TYPE,
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Oci => oci_client::manifest::IMAGE_CONFIG_MEDIA_TYPE,
            Self::Docker => oci_client::manifest::IMAGE_DOCKER_CONFIG_MEDIA_TYPE,
        }
    }

    fn layer(self) -> &'static str {
        match self {
            Self::Oci => oci_client::manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE,
            Self::Docker => oci_client::manifest::IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE,
        }
    }
}

/// The manifest of an image; all of its parts are of one family, whatever its base has, since registries want it so.
pub(super) fn manifest(config: &Descriptor, layers: &[Layer], types: MediaTypes) -> Value {
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({
                "mediaType": types.layer(),
                "digest": layer.blob.digest,
                "size": layer.blob.size,
            })
        })
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": types.manifest(),
        "config": {
            "mediaType": types.config(),
            "digest": config.digest,
            "size": config.size,
        },
        "layers": layers,
    })
}

/// The one form that is hashed and sent.
pub(super) fn json_bytes(value: &Value) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))
}
