//! What `images.toml` has to fulfil beyond its form: names are names, parents and probes exist, nothing is its own parent.

use super::definition::{Images, Origin, Probe, RootOrigin, invalid};
use crate::model::failure::Failure;

impl Images {
    /// Refuses data that no build could use.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if let Some(name) = self.probes.iter().find(|(_, probe)| probe.is_empty()).map(|(name, _)| name) {
            return Err(invalid(format!("`probes.{name}` looks at nothing: it needs `command`, `files` or `absent`")));
        }
        for (suite, root) in &self.roots {
            check_name("root", suite)?;
            one_of(&format!("root.{suite}"), ("suite", root.suite.as_ref()), ("reference", root.reference.as_ref()))?;
            if let RootOrigin::Suite(suite) = root.origin() {
                check_name("suite", suite)?;
            }
        }
        for (name, image) in &self.images {
            check_name("images", name)?;
            if self.root(name).is_some() {
                return Err(invalid(format!("`images.{name}` has the name of a root file system")));
            }
            let key = format!("images.{name}");
            one_of(&key, ("folder", image.folder.as_ref()), ("reference", image.reference.as_ref()))?;
            if let Origin::Folder(folder) = image.origin() {
                check_name(&key, folder)?;
                if !self.files.contains_key(&format!("{folder}/Dockerfile")) {
                    return Err(invalid(format!("`{key}.folder`: there is no `{folder}/Dockerfile`")));
                }
            }
            if image.probe.as_ref().is_some_and(Probe::is_empty) {
                return Err(invalid(format!(
                    "`{key}.probe` looks at nothing: it needs `command`, `files` or `absent`"
                )));
            }
            if let Some(parent) = image.from.values().find(|parent| !self.is_known(parent)) {
                return Err(invalid(format!("`{key}.from` names `{parent}`, which is no image here")));
            }
            if let Some(part) = image.contains.iter().find(|part| !self.probes.contains_key(*part)) {
                return Err(invalid(format!(
                    "`{key}.contains` names `{part}`, for which there is no `[probes]` entry"
                )));
            }
        }
        self.images.keys().try_for_each(|name| self.visit(name, &mut Vec::new(), &mut Vec::new()))
    }
}

/// A name is a path component of a repository and of our folders, so it can leave neither.
fn check_name(key: &str, name: &str) -> Result<(), Failure> {
    name.parse::<crate::model::names::ApplicationName>().map(drop).map_err(|_| {
        invalid(format!("`{key}`: `{name}` is not a name of lower-case letters, digits, `.`, `_` and `-`"))
    })
}

fn one_of(key: &str, one: (&str, Option<&String>), other: (&str, Option<&String>)) -> Result<(), Failure> {
    match (one.1, other.1) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        _ => Err(invalid(format!("`{key}` needs either `{}` or `{}`", one.0, other.0))),
    }
}
