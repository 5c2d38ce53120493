//! The layers of the image, those alone that there is something for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::template::{self, Context};
use crate::model::failure::Failure;
use crate::model::plan::{LayerSource, PlannedImage, PlannedLayer};
use crate::model::source_tree::join;
use crate::toolchain::definition::{Definition, ImageDefinition, LayerDefinition};
use crate::toolchain::findings::Findings;

/// The toolchain's layers; what a reader found becomes the files it found, and no layer where it found none.
///
/// # Errors
/// `internal` for a condition that is no expression.
pub(super) fn layers(
    definition: &ImageDefinition,
    findings: &Findings,
    context: &Context,
) -> Result<Vec<PlannedLayer>, Failure> {
    let mut planned = Vec::new();
    for layer in &definition.layers {
        if template::holds(layer.condition.as_deref(), context)? {
            planned.extend(filled(layer, findings));
        }
    }
    Ok(planned)
}

/// The output directories of commands, without those of layers that the image has not.
pub(super) fn outputs(definition: &Definition, image: Option<&PlannedImage>) -> BTreeMap<String, String> {
    let fills = |from: &LayerSource, name: &str| matches!(from, LayerSource::Output(output) if output == name);
    let mut outputs = definition.outputs.clone();
    outputs.retain(|name, _| {
        let conditional = |layer: &LayerDefinition| layer.condition.is_some() && fills(&layer.from, name);
        let planned = |image: &PlannedImage| image.layers.iter().any(|layer| fills(&layer.from, name));
        image.is_some_and(planned) || !definition.image.iter().flat_map(|image| &image.layers).any(conditional)
    });
    outputs
}

fn filled(layer: &LayerDefinition, findings: &Findings) -> Option<PlannedLayer> {
    let (from, to) = match &layer.from {
        LayerSource::Found(variable) => {
            let variable = findings.variables.get(variable)?;
            (found(variable)?, below(&layer.to, variable))
        }
        other => (other.clone(), layer.to.clone()),
    };
    Some(PlannedLayer { name: layer.name.clone(), from, to })
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
