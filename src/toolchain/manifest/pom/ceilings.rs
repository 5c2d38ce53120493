//! Versions of plugins and annotation processors that newer JDKs break (`[[facts.ceilings]]`).

use super::effective::Effective;
use super::facts;
use super::jdk::Jdk;
use super::maven_version::allows;
use super::poms::Poms;
use super::xml::Element;
use crate::model::failure::{Failure, Warning};
use crate::model::origin::{Found, Origin};
use crate::toolchain::version::{Demand, Version};

/// Keeps the JDK below what such a version breaks on, where nothing demands more; else warns.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn apply(poms: &Poms<'_>, closure: &[&Effective], jdk: &mut Jdk) -> Result<(), Failure> {
    let needed = highest(jdk);
    for row in facts::rows(poms.facts, "ceilings") {
        let Some(limit) = facts::text(row, "below").and_then(|text| text.parse::<Version>().ok()) else { continue };
        let Some(found) = first(row, closure)? else { continue };
        let name = facts::text(row, "artifact").unwrap_or_default();
        if needed.as_ref().is_none_or(|needed| *needed < limit) {
            let mut origin = found.origin;
            origin.detail = format!("{name} {} breaks on {limit}", found.value);
            // What is below 16 is below 21 anyway.
            let is_said = |there: &Found<Demand>| matches!(&there.value, Demand::Below(lower) if *lower <= limit);
            if !jdk.demands.iter().any(is_said) {
                jdk.demands.push(Found::new(Demand::Below(limit), origin));
            }
        } else {
            let needed = needed.as_ref().map_or_else(String::new, ToString::to_string);
            let message =
                format!("{name} {} does not work on JDK {limit} and later, and JDK {needed} is needed", found.value);
            let from = facts::text(row, "before").unwrap_or_default();
            let warning = Warning::new("too_old_for_jdk", message, format!("use {name} {from} or later"));
            jdk.warnings.push(match &found.origin.path {
                Some(path) => warning.at(path, found.origin.line),
                None => warning,
            });
        }
    }
    Ok(())
}

/// Keeps the JDK below what the compiler plugin's own default level allows (`[[facts.default_levels]]`): where no pom
/// says a level, an old plugin compiles for a Java that newer compilers have dropped.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn of_default_level(
    poms: &Poms<'_>,
    modules: &[&Effective],
    maven: &str,
    jdk: &mut Jdk,
) -> Result<(), Failure> {
    for module in modules {
        let stated = module.plugin("maven-compiler-plugin").and_then(|plugin| plugin.element.child("version"));
        let stated = stated.map(|version| module.value(version, "maven-compiler-plugin")).transpose()?.flatten();
        let brought = facts::rows(poms.facts, "default_compilers");
        let mut brought = brought.filter(|row| facts::text(row, "before").is_none_or(|before| !allows(before, maven)));
        let brought = brought.find_map(|row| facts::text(row, "compiler"));
        let found = stated.or_else(|| {
            let origin = Origin::default(format!("the compiler plugin that Maven {maven} brings"));
            brought.map(|version| Found::new(version.to_owned(), origin))
        });
        let Some(found) = found else { continue };
        let row = facts::rows(poms.facts, "default_levels")
            .find(|row| facts::text(row, "before").is_some_and(|before| !allows(before, &found.value)));
        let Some((row, limit)) = row.and_then(|row| Some((row, facts::text(row, "below")?.parse::<Version>().ok()?)))
        else {
            continue;
        };
        if highest(jdk).is_none_or(|needed| needed < limit) {
            let level = facts::text(row, "level").unwrap_or_default();
            let detail =
                format!("{}: {} compiles for {level} where nothing says a level", found.origin.detail, found.value);
            let demand = Found::new(Demand::Below(limit), Origin { detail, ..found.origin });
            if jdk.demands.iter().all(|there| there.value != demand.value) {
                jdk.demands.push(demand);
            }
        }
    }
    Ok(())
}

/// The highest version that something needs.
fn highest(jdk: &Jdk) -> Option<Version> {
    let needed = jdk.demands.iter().filter_map(|found| match &found.value {
        Demand::AtLeast(version) | Demand::Exactly(version) => Some(version.clone()),
        _ => None,
    });
    needed.max()
}

/// The first version of the row's artifact in some modules that is before the one that works again.
fn first(row: &toml::Value, closure: &[&Effective]) -> Result<Option<Found<String>>, Failure> {
    let (name, before) =
        (facts::text(row, "artifact").unwrap_or_default(), facts::text(row, "before").unwrap_or_default());
    let packaging = facts::text(row, "packaging");
    for module in closure.iter().filter(|module| packaging.is_none_or(|only| only == module.packaging)) {
        let processors = module.plugins.iter().flat_map(|plugin| {
            plugin.configuration.iter().flat_map(|configuration| configuration.all("annotationProcessorPaths/path"))
        });
        let plugins = module.plugins.iter().chain(&module.managed_plugins).map(|plugin| &plugin.element);
        let elements: Vec<&Element> =
            module.dependencies.iter().chain(&module.managed).chain(plugins).chain(processors).collect();
        for element in elements.into_iter().filter(|element| element.text_of("artifactId") == Some(name)) {
            let Some(version) = element.child("version") else { continue };
            if let Some(found) = module.value(version, name)?.filter(|found| !allows(before, &found.value)) {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}
