//! Which module is the application, by the rules of `[[facts.runnable]]`.

use super::configuration::Configuration;
use super::effective::Effective;
use super::facts;
use super::plugin::Plugin;
use super::poms::Poms;
use super::source;
use super::xml::Element;
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{join, parent};

/// Sources whose files may have any class.
const OTHER_LANGUAGES: &[&str] = &["src/main/scala", "src/main/groovy", "src/main/clojure"];

/// Why a module can be started.
#[derive(Debug, Clone)]
pub(super) struct Runnable {
    pub(super) shape: String,
    pub(super) main_class: Option<String>,
    pub(super) origin: Origin,
}

/// How sure a rule is: a plugin that makes a program, or only a class that could be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// The build makes something that starts.
    Made,
    /// Nothing is made, but a class is named or is the only one.
    Startable,
}

/// The first rule of a strength that fits a module. Several classes that start make a module ambiguous only where it is
/// `alone`: among others it is one of tools or benchmarks.
///
/// # Errors
/// `manifest_invalid` for circular properties; `application_ambiguous` for several classes that start.
pub(super) fn runnable(
    poms: &Poms<'_>,
    module: &Effective,
    strength: Strength,
    alone: bool,
) -> Result<Option<Runnable>, Failure> {
    for row in facts::rows(poms.facts, "runnable") {
        let rule = Rule { row, poms, module, alone };
        let wanted = if rule.flag("startable") { Strength::Startable } else { Strength::Made };
        if strength == wanted
            && rule.texts("packagings").contains(&module.packaging.as_str())
            && let Some(runnable) = rule.apply()?
        {
            return Ok(Some(runnable));
        }
    }
    Ok(None)
}

struct Rule<'r> {
    row: &'r toml::Value,
    poms: &'r Poms<'r>,
    module: &'r Effective,
    alone: bool,
}

impl<'r> Rule<'r> {
    fn texts(&self, key: &str) -> Vec<&'r str> {
        facts::texts(self.row, key)
    }

    fn flag(&self, key: &str) -> bool {
        self.row.get(key).and_then(toml::Value::as_bool).unwrap_or(false)
    }

    fn apply(&self) -> Result<Option<Runnable>, Failure> {
        let plugins = self.texts("plugins");
        let managed = self.module.managed_plugins.iter().filter(|_| self.flag("implicit"));
        let fits = |plugin: &&Plugin| plugins.contains(&plugin.artifact.as_str());
        let plugin = self.module.plugins.iter().chain(managed).find(fits);
        if !plugins.is_empty() && plugin.is_none() {
            return Ok(None);
        }
        let configurations = plugin.map(Plugin::configurations).unwrap_or_default();
        if plugin.is_some_and(|plugin| !self.bound(plugin)) || self.switched_off(&configurations)? {
            return Ok(None);
        }
        let main_class = self.main_class(&configurations)?;
        if self.flag("needs_main_class")
            && main_class.as_ref().is_none_or(|found| is_gone(self.poms, self.module, &found.value))
        {
            return Ok(None);
        }
        // Among other modules a class of somebody else's that a plugin runs is a step of the build.
        if self.flag("startable")
            && !self.alone
            && main_class.as_ref().is_some_and(|found| !has_source(self.poms, self.module, &found.value))
        {
            return Ok(None);
        }
        let place = plugin.map(|plugin| plugin.element.origin(&plugin.artifact));
        let origin = match (&main_class, place) {
            (_, Some(place)) => place,
            (Some(found), None) => found.origin.clone(),
            (None, None) => self.module.packaging_origin(),
        };
        let shape = self.shape()?;
        Ok(Some(Runnable { shape, main_class: main_class.map(|found| found.value), origin }))
    }

    /// Whether the plugin runs in the build; a parent that nobody knows may bind its goal.
    fn bound(&self, plugin: &Plugin) -> bool {
        let goals: Vec<String> = self.texts("goals").into_iter().map(str::to_owned).collect();
        goals.is_empty() || plugin.runs(&goals) || (plugin.executions.is_empty() && self.module.open)
    }

    fn switched_off(&self, configurations: &[Element]) -> Result<bool, Failure> {
        for path in self.texts("skip") {
            for element in configurations.iter().filter_map(|configuration| configuration.at(path)) {
                if self.module.value(element, path)?.is_some_and(|value| value.value == "true") {
                    return Ok(true);
                }
            }
        }
        for name in self.texts("skip_properties") {
            if self.module.property(name)?.is_some_and(|value| value.value == "true") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn main_class(&self, configurations: &[Element]) -> Result<Option<Found<String>>, Failure> {
        for path in self.texts("main_class") {
            for element in configurations.iter().flat_map(|configuration| configuration.all(path)) {
                if let Some(found) = self.module.value(element, path)? {
                    return Ok(Some(found));
                }
            }
        }
        for name in self.texts("main_class_properties") {
            if let Some(found) = self.module.property(name)? {
                return Ok(Some(found));
            }
        }
        if !self.flag("main_class_of_sources") {
            return Ok(None);
        }
        let mut mains = mains(self.poms, self.module);
        if !self.alone {
            // Among other modules a class of examples is none.
            mains.retain(|found| !found.value.split('.').any(|part| matches!(part, "examples" | "samples")));
            mains.retain(|found| starts_by_name(self.poms, &found.value));
        }
        if mains.len() > 1 && self.alone {
            return Err(several(self.module, &mains));
        }
        Ok(mains.pop().filter(|_| mains.is_empty()))
    }

    fn shape(&self) -> Result<String, Failure> {
        let text = |key: &str| facts::text(self.row, key);
        let mut shape = text("shape").unwrap_or_default();
        if self.module.packaging == "war" {
            shape = text("war_shape").unwrap_or(shape);
        }
        let variants: Vec<_> = self.row.get("variants").and_then(toml::Value::as_array).into_iter().flatten().collect();
        if !variants.is_empty() {
            let configuration = Configuration::of(self.poms, self.module);
            for variant in variants {
                let part = |key: &str| facts::text(variant, key).unwrap_or_default();
                let stated = self.module.property(part("property"))?.map(|found| found.value);
                if stated.or_else(|| configuration.text(part("property"), self.module)).as_deref()
                    == Some(part("value"))
                {
                    shape = part("shape");
                }
            }
        }
        Ok(shape.to_owned())
    }
}

/// Whether a class with a `main` method is there to be started, by its name: in a library any other is what its author tried
/// something with.
fn starts_by_name(poms: &Poms<'_>, class: &str) -> bool {
    let name = class.rsplit('.').next().unwrap_or_default();
    let words = facts::list(poms.facts, "starting");
    words.is_empty() || words.iter().any(|word| name.contains(word))
}

/// Whether a class lies among the module's main sources, in whatever language.
pub(super) fn has_source(poms: &Poms<'_>, module: &Effective, class: &str) -> bool {
    let class = class.trim_end_matches("Kt");
    let usual = join(&module.pom.directory, "src/main").unwrap_or_default();
    let roots = module.source_roots().into_iter().chain([usual]);
    roots.into_iter().any(|root| source::has_class(poms.tree, &root, class))
}

/// Whether a class that a plugin names is in no module's sources, though its package is in this one's or it is in none: what
/// others made is in packages of theirs, so the class was renamed, or never written. Sources of other languages than Java may
/// have it in a file of any name.
fn is_gone(poms: &Poms<'_>, module: &Effective, class: &str) -> bool {
    let class_of_file = class.split('$').next().unwrap_or(class);
    let path = class_of_file.replace('.', "/");
    let package = path.rsplit_once('/').map(|(package, _)| format!("/{package}"));
    let roots = module.source_roots();
    let files = source::files(poms.tree, &roots);
    let known = |package: &String| files.iter().any(|file| parent(file).ends_with(package.as_str()));
    let other =
        |language: &&str| join(&module.pom.directory, language).is_some_and(|root| poms.tree.has_directory(&root));
    if files.iter().any(|file| file.rsplit_once('.').is_none_or(|(_, language)| language != "java"))
        || OTHER_LANGUAGES.iter().any(other)
        || !package.as_ref().is_none_or(known)
    {
        return false;
    }
    let written = match package {
        Some(_) => source::has_class(poms.tree, "", class_of_file),
        None => roots.iter().any(|root| files.iter().any(|file| *file == format!("{root}/{path}.java"))),
    };
    if written {
        return false;
    }
    let mains = mains(poms, module);
    !mains.is_empty() && mains.iter().all(|found| found.value != class)
}

/// Classes of the module's main sources that start.
pub(super) fn mains(poms: &Poms<'_>, module: &Effective) -> Vec<Found<String>> {
    source::mains(poms.tree, &module.source_roots(), module.plugin("kotlin-maven-plugin").is_some())
}

/// Those of them that by their names are there to be started.
pub(super) fn starting(poms: &Poms<'_>, module: &Effective) -> Vec<Found<String>> {
    let mut found = mains(poms, module);
    found.retain(|found| starts_by_name(poms, &found.value));
    found
}

fn several(module: &Effective, mains: &[Found<String>]) -> Failure {
    let names: Vec<String> = mains.iter().map(|found| found.value.clone()).collect();
    let message = format!(
        "`{}` has {} classes that can be started, and nothing says which is the application",
        module.artifact,
        names.len()
    );
    let hint = format!(
        "Name one in the pom: `<exec.mainClass>{0}</exec.mainClass>` in `properties`; or in `slipway.toml`: `[toolchain]` `args = [\"-Dexec.mainClass={0}\"]`.",
        names[0]
    );
    let failure = Failure::new(FailureCode::ApplicationAmbiguous, message).hint(hint).candidates(names);
    let places = mains.iter().take(8).filter_map(|found| Some((found.origin.path.clone()?, found.origin.line)));
    places.fold(failure, |failure, (path, line)| failure.at(path, line))
}
