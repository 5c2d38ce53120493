//! Arguments that a framework's applications need, such as Dropwizard's `server config.yml`.

use super::configuration::{default_of, ports_of, variable_of};
use super::effective::Effective;
use super::facts;
use super::poms::Poms;
use crate::model::failure::Failure;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{join, parent};
use crate::toolchain::manifest::yaml;

/// What a framework of `[[facts.arguments]]` needs to start.
#[derive(Debug)]
pub(super) struct Arguments {
    /// The arguments; the file is named relative to the application's directory in the image.
    pub(super) values: Vec<String>,
    /// The configuration file in the repository, and its name in the image.
    pub(super) file: Option<(String, String)>,
    pub(super) ports: Vec<Found<u16>>,
    /// The variable that says the port, where the file has none without it: `${PORT:-0}`.
    pub(super) variable: Option<Found<String>>,
    /// The system property that says another address, where the file names the application's own host alone.
    pub(super) address: Option<Found<String>>,
    pub(super) origin: Origin,
}

/// Whether nobody outside the container reaches what listens there.
pub(super) fn is_loopback(address: &str) -> bool {
    address == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Finds the arguments of a module; the file is the first of the names that the facts list, beside the pom or among
/// the resources.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn of(poms: &Poms<'_>, module: &Effective) -> Result<Option<Arguments>, Failure> {
    for row in facts::rows(poms.facts, "arguments") {
        if let Some(origin) = module.depends_on(&facts::texts(row, "dependencies"))? {
            return Ok(Some(found(poms, module, row, origin)));
        }
    }
    Ok(None)
}

fn found(poms: &Poms<'_>, module: &Effective, row: &toml::Value, origin: Origin) -> Arguments {
    let own = &module.pom.directory;
    let mut places = vec![own.clone()];
    places.extend(facts::texts(row, "places").into_iter().filter_map(|place| join(own, place)));
    places.push(parent(own).to_owned());
    let marks = facts::texts(row, "marks");
    let named = facts::texts(row, "files");
    let fits = |path: &&str| {
        let text = poms.tree.text(path).unwrap_or_default();
        text.lines().any(|line| marks.iter().any(|mark| line.starts_with(mark)))
    };
    let is_yaml = |path: &str| path.rsplit_once('.').is_some_and(|(_, extension)| matches!(extension, "yml" | "yaml"));
    let by_place = || {
        places.iter().find_map(|place| {
            let by_name = named.iter().filter_map(|name| join(place, name)).find(|path| poms.tree.has_file(path));
            let yaml = |path: &&str| is_yaml(path);
            by_name.or_else(|| poms.tree.files_in(place).filter(yaml).find(fits).map(str::to_owned))
        })
    };
    let path = run_with(poms, module, &is_yaml).or_else(by_place);
    let file = path.map(|path| {
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        (path, name)
    });
    let name = file.as_ref().map(|(_, name)| name.as_str()).unwrap_or_default();
    let values = facts::texts(row, "values").into_iter().filter(|value| *value != "{file}" || !name.is_empty());
    let values = values.map(|value| value.replace("{file}", name)).collect();
    let keys = facts::texts(row, "port_keys");
    let ports =
        file.as_ref().and_then(|(path, _)| Some(ports_of(path, poms.tree.text(path)?, &keys))).unwrap_or_default();
    let text = || file.as_ref().and_then(|(path, _)| Some((path, poms.tree.text(path)?)));
    let variable = text().filter(|_| ports.is_empty()).and_then(|(path, text)| variable_of(path, text, &keys));
    let address = file.as_ref().and_then(|(path, _)| address(path, poms.tree.text(path)?, row));
    Arguments { values, file, ports, variable, address, origin }
}

/// The file that the pom says the program is run with (Exec Maven Plugin, `exec:java`: `arguments`).
fn run_with(poms: &Poms<'_>, module: &Effective, is_wanted: &dyn Fn(&str) -> bool) -> Option<String> {
    let configurations = module.plugin("exec-maven-plugin")?.configurations();
    let given = configurations.iter().flat_map(|configuration| configuration.all("arguments/argument"));
    let mut paths = given.filter_map(|argument| join(&module.pom.directory, &argument.text));
    paths.find(|path| is_wanted(path) && poms.tree.has_file(path))
}

/// The property of `addresses` for the first line that names a loopback address.
fn address(path: &str, text: &str, row: &toml::Value) -> Option<Found<String>> {
    let addresses = row.get("addresses").and_then(toml::Value::as_table)?;
    let property = |key: &str| addresses.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let said = yaml::texts(path, text).into_iter().find_map(|found| Some((property(&found.origin.detail)?, found)));
    said.filter(|(_, found)| is_loopback(default_of(&found.value))).map(|(name, found)| Found::new(name, found.origin))
}
