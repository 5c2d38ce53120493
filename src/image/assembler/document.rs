//! The documents of an image: configuration, history, manifest (OCI image specification).

use serde_json::{Value, json};

use super::layer::Layer;
use super::remote::architecture;
use crate::image::registry::{Descriptor, IMAGE_CONFIG, IMAGE_MANIFEST, LAYER_GZIP};
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

/// The manifest of an image.
pub(super) fn manifest(config: &Descriptor, layers: &[Layer]) -> Value {
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({
                "mediaType": LAYER_GZIP,
                "digest": layer.blob.digest,
                "size": layer.blob.size,
            })
        })
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "config": {
            "mediaType": IMAGE_CONFIG,
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
