//! The layers of the image, those alone that there is something for.

use serde_json::Value;

use crate::model::plan::{LayerSource, PlannedLayer};
use crate::toolchain::definition::ImageDefinition;
use crate::toolchain::findings::Findings;

/// The toolchain's layers; what a reader found becomes the files it found, and no layer where it found none.
pub(super) fn layers(definition: &ImageDefinition, findings: &Findings) -> Vec<PlannedLayer> {
    let planned = definition.layers.iter().filter_map(|layer| {
        let from = match &layer.from {
            LayerSource::Found(variable) => found(findings.variables.get(variable)?)?,
            other => other.clone(),
        };
        Some(PlannedLayer { name: layer.name.clone(), from, to: layer.to.clone() })
    });
    planned.collect()
}

fn found(variable: &Value) -> Option<LayerSource> {
    let paths = variable.get("paths").and_then(Value::as_array).into_iter().flatten();
    let paths: Vec<String> = paths.filter_map(|path| path.as_str().map(str::to_owned)).collect();
    let directory = variable.get("directory").and_then(Value::as_str).unwrap_or_default().to_owned();
    (!paths.is_empty()).then_some(LayerSource::Files { directory, paths })
}
