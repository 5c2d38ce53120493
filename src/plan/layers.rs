//! The layers of the image, those alone that there is something for.

use serde_json::Value;

use crate::model::plan::{LayerSource, PlannedLayer};
use crate::model::source_tree::join;
use crate::toolchain::definition::ImageDefinition;
use crate::toolchain::findings::Findings;

/// The toolchain's layers; what a reader found becomes the files it found, and no layer where it found none.
pub(super) fn layers(definition: &ImageDefinition, findings: &Findings) -> Vec<PlannedLayer> {
    let planned = definition.layers.iter().filter_map(|layer| {
        let (from, to) = match &layer.from {
            LayerSource::Found(variable) => {
                let variable = findings.variables.get(variable)?;
                (found(variable)?, below(&layer.to, variable))
            }
            other => (other.clone(), layer.to.clone()),
        };
        Some(PlannedLayer { name: layer.name.clone(), from, to })
    });
    planned.collect()
}

/// The layer's directory, or the one below it that the reader says.
fn below(to: &str, variable: &Value) -> String {
    match variable.get("below").and_then(Value::as_str).and_then(|below| join(to.trim_start_matches('/'), below)) {
        Some(path) => format!("/{path}"),
        None => to.to_owned(),
    }
}

fn found(variable: &Value) -> Option<LayerSource> {
    let paths = variable.get("paths").and_then(Value::as_array).into_iter().flatten();
    let paths: Vec<String> = paths.filter_map(|path| path.as_str().map(str::to_owned)).collect();
    let directory = variable.get("directory").and_then(Value::as_str).unwrap_or_default().to_owned();
    (!paths.is_empty()).then_some(LayerSource::Files { directory, paths })
}
