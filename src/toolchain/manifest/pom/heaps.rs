//! Heaps that a build asks for: a virtual machine that grows beyond what a command may use is killed, and nobody says why.

use super::effective::Effective;
use super::facts;
use super::plugin::Plugin;
use super::poms::Poms;
use super::wrapper;
use crate::model::failure::{Failure, Warning};
use crate::model::origin::{Found, Origin};

/// Warnings of heaps (`[[facts.heaps]]`, and `.mvn/jvm.config` for Maven itself) above what a command of the build may use,
/// which is `memory` of the facts.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn beyond(poms: &Poms<'_>, root: &str, closure: &[&Effective]) -> Result<Vec<Warning>, Failure> {
    let memory = poms.facts.get("memory").and_then(toml::Value::as_integer).and_then(|bytes| u64::try_from(bytes).ok());
    let Some(memory) = memory else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for module in closure {
        for row in facts::rows(poms.facts, "heaps") {
            found.extend(of_row(poms, module, row)?);
        }
    }
    if let Some(path) = wrapper::nearest(poms.tree, root, ".mvn/jvm.config") {
        let heap = wrapper::words(poms.tree, root, "jvm.config").iter().filter_map(|word| option(word)).max();
        found.extend(heap.map(|heap| Found::new(heap, Origin::tree(path, "`-Xmx` for Maven"))));
    }
    let mut warnings: Vec<Warning> = Vec::new();
    for heap in found.iter().filter(|heap| heap.value > memory) {
        let message = format!(
            "{} asks for a heap of {}, and a command of a build may use {} (`limits.memory`)",
            heap.origin.detail,
            size(heap.value),
            size(memory)
        );
        let hint = "ask for less, or ask the operator for more: what uses more than it may is killed";
        let warning = Warning::new("heap_beyond_limit", message, hint);
        let warning = match &heap.origin.path {
            Some(path) => warning.at(path, heap.origin.line),
            None => warning,
        };
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    Ok(warnings)
}

/// The heaps that one row of the facts finds in a module.
fn of_row(poms: &Poms<'_>, module: &Effective, row: &toml::Value) -> Result<Vec<Found<u64>>, Failure> {
    let text = |key: &str| facts::text(row, key).unwrap_or_default();
    let tests = poms.facts.get("tests").and_then(toml::Value::as_bool).unwrap_or_default();
    if row.get("tests").and_then(toml::Value::as_bool).unwrap_or_default() && !tests {
        return Ok(Vec::new());
    }
    let configurations = module.plugin(text("plugin")).map(Plugin::configurations).unwrap_or_default();
    let stated = |path: &str, property: &str| -> Result<Vec<Found<String>>, Failure> {
        let mut values = Vec::new();
        for element in configurations.iter().flat_map(|configuration| configuration.all(path)) {
            values.extend(module.value(element, &format!("`{path}` of {}", text("plugin")))?);
        }
        if values.is_empty() && !property.is_empty() {
            let named = module.property(property)?;
            values.extend(named.map(|found| {
                let detail = format!("`{property}`");
                Found { origin: Origin { detail, ..found.origin }, ..found }
            }));
        }
        Ok(values)
    };
    // Without a virtual machine of its own the plugin asks for none.
    let forks = |value: &Found<String>| value.value == "true";
    if !text("fork").is_empty() && !stated(text("fork"), text("fork_property"))?.iter().any(forks) {
        return Ok(Vec::new());
    }
    let read = |value: &str| match text("reads") {
        "options" => value.split_whitespace().filter_map(option).max(),
        _ => bytes(value, 1 << 20),
    };
    let values = stated(text("path"), text("property"))?;
    Ok(values.into_iter().filter_map(|found| Some(Found::new(read(&found.value)?, found.origin))).collect())
}

/// The heap of `-Xmx4g`, `-Xms4g`, `-XX:MaxHeapSize=4g`.
fn option(word: &str) -> Option<u64> {
    let word = word.trim_matches(['"', '\'']).trim_start_matches("-J");
    ["-Xmx", "-Xms", "-XX:MaxHeapSize="].iter().find_map(|option| bytes(word.strip_prefix(option)?, 1))
}

/// A size with a unit of the virtual machine's, or without one.
fn bytes(text: &str, unit: u64) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => unit,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// `4 GiB`, `1536 MiB`.
fn size(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 30) { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in
            [("512", Some(512 << 20)), ("512m", Some(512 << 20)), ("2G", Some(2 << 30)), ("x", None)]
        {
            assert_eq!(bytes(text, 1 << 20), expected, "{text}");
        }
        for (word, expected) in [
            ("-Xmx4g", Some(4 << 30)),
            ("-J-Xmx1g", Some(1 << 30)),
            ("-XX:MaxHeapSize=1024", Some(1024)),
            ("-Dx=-Xmx4g", None),
            ("-Xmx99999999999999999999g", None),
        ] {
            assert_eq!(option(word), expected, "{word}");
        }
        assert_eq!((size(4 << 30), size(1536 << 20)), ("4 GiB".into(), "1536 MiB".into()));
    }
}
