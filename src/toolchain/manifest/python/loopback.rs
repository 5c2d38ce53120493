//! Frameworks whose own server listens on the loopback address unless a variable of the environment tells it otherwise.

use super::layout::Sources;
use super::port;
use super::start::Entry;
use super::text::inside;
use crate::model::origin::{Found, Origin};
use crate::toolchain::findings::{Findings, Inspection};

/// Tells the framework that a script serves by (`[[facts.listen_addresses]]`) to listen on all addresses; the port that is
/// its own.
pub(super) fn open(
    inspection: &Inspection<'_>,
    sources: &Sources<'_>,
    entry: &Entry,
    findings: &mut Findings,
) -> Option<Found<u16>> {
    let mut usual = None;
    let rows = inspection.facts.get("listen_addresses").and_then(toml::Value::as_array).into_iter().flatten();
    let modules = port::imported(sources, &inside(inspection.directory, &entry.name));
    for row in rows {
        let Some(module) = row.get("module").and_then(toml::Value::as_str) else { continue };
        let imports = |name: &String| name == module || name.split('.').next() == Some(module);
        let Some((file, _)) = modules.iter().find(|(_, read)| read.all.iter().any(imports)) else { continue };
        let origin =
            Origin::tree(file.as_str(), format!("`{module}` listens on the loopback address unless it is told"));
        for (name, value) in row.get("env").and_then(toml::Value::as_table).into_iter().flatten() {
            let value = Found::new(value.as_str().unwrap_or_default().to_owned(), origin.clone());
            findings.image_env.entry(name.clone()).or_insert(value);
        }
        let port = row.get("port").and_then(toml::Value::as_integer).and_then(|port| u16::try_from(port).ok());
        usual = port.map(|port| Found::new(port, Origin::tree(file.as_str(), format!("the port of `{module}`"))));
    }
    usual
}
