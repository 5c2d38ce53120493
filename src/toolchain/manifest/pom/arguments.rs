//! Arguments that a framework's applications need, such as Dropwizard's `server config.yml`.

use super::configuration::ports_of;
use super::effective::Effective;
use super::facts;
use super::poms::Poms;
use crate::model::failure::Failure;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{join, parent};

/// What a framework of `[[facts.arguments]]` needs to start.
#[derive(Debug)]
pub(super) struct Arguments {
    /// The arguments; the file is named relative to the application's directory in the image.
    pub(super) values: Vec<String>,
    /// The configuration file in the repository, and its name in the image.
    pub(super) file: Option<(String, String)>,
    pub(super) ports: Vec<Found<u16>>,
    pub(super) origin: Origin,
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
    let root = parent(own);
    let places = [own.as_str(), "config", "conf", "src/main/resources", "src/main/config"].into_iter();
    let mut places: Vec<String> = places.skip(1).filter_map(|place| join(own, place)).collect();
    places.insert(0, own.clone());
    places.push(root.to_owned());
    let marks = facts::texts(row, "marks");
    let named = facts::texts(row, "files");
    let fits = |path: &&str| {
        let text = poms.tree.text(path).unwrap_or_default();
        text.lines().any(|line| marks.iter().any(|mark| line.starts_with(mark)))
    };
    let path = places.iter().find_map(|place| {
        let by_name = named.iter().filter_map(|name| join(place, name)).find(|path| poms.tree.has_file(path));
        let yaml =
            |path: &&str| path.rsplit_once('.').is_some_and(|(_, extension)| matches!(extension, "yml" | "yaml"));
        by_name.or_else(|| poms.tree.files_in(place).filter(yaml).find(fits).map(str::to_owned))
    });
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
    Arguments { values, file, ports, origin }
}
