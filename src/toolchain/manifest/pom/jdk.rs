//! What a module and the files beside it demand of the JDK.

#[cfg(test)]
mod tests;

use super::ceilings;
use super::effective::Effective;
use super::facts;
use super::jdk_version::major;
use super::maven_version::allows;
use super::outside::runs_until_package;
use super::plugin::Plugin;
use super::poms::{Poms, version_begins};
use super::wrapper::nearest;
use crate::model::failure::{Failure, Warning};
use crate::model::origin::{Found, Origin, Rejected};
use crate::model::source_tree::SourceTree;
use crate::toolchain::version::{Demand, Version};

/// What tells the compiler and the virtual machine that preview features are meant.
pub(super) const ENABLE_PREVIEW: &str = "--enable-preview";

/// No JDK before this one is offered anywhere; older levels are built by it.
const OLDEST: u32 = 8;

fn at_least(found: &Found<String>) -> Option<Found<Demand>> {
    let version = Version::new(&[major(&found.value)?.max(OLDEST)]);
    Some(Found::new(Demand::AtLeast(version), found.origin.clone()))
}

/// What a closure of modules and the files beside them say about the JDK.
#[derive(Debug, Default)]
pub(super) struct Jdk {
    pub(super) demands: Vec<Found<Demand>>,
    /// Version files that another one or the poms outvote.
    pub(super) outvoted: Vec<Rejected>,
    pub(super) warnings: Vec<Warning>,
}

/// Everything that modules which are built together demand.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn of_modules(
    poms: &Poms<'_>,
    closure: &[&Effective],
    directory: &str,
    maven: &str,
) -> Result<Jdk, Failure> {
    let mut jdk = Jdk::default();
    for module in closure {
        let demands = of_module(poms, module)?;
        if demands.is_empty() && module.open && module.packaging != "pom" {
            jdk.warnings.push(unknown_parent(module));
        }
        let new: Vec<_> = demands.into_iter().filter(|new| !jdk.demands.contains(new)).collect();
        jdk.demands.extend(new);
    }
    let (chosen, outvoted) = vote(of_files(poms.tree, directory), &jdk.demands);
    if chosen.is_empty() {
        jdk.warnings.extend(outvoted.first().map(|file| refused(file, &jdk.demands)));
    }
    jdk.outvoted = outvoted;
    jdk.demands.splice(0..0, chosen);
    let mut unstated = Vec::new();
    for module in closure.iter().filter(|module| module.packaging != "pom" && !module.open) {
        if compiler(poms, module)?.is_empty() {
            unstated.push(*module);
        }
    }
    ceilings::apply(poms, closure, &mut jdk)?;
    ceilings::of_default_level(poms, &unstated, maven, &mut jdk)?;
    Ok(jdk)
}

/// Of several version files the first that the poms allow. One that they do not allow chooses nothing: the poms say what
/// the code is compiled for, and the file only what somebody's machine had.
fn vote(files: Vec<Found<Demand>>, poms: &[Found<Demand>]) -> (Vec<Found<Demand>>, Vec<Rejected>) {
    let stated = |file: &Found<Demand>| match &file.value {
        Demand::Exactly(version) => Some(version.clone()),
        _ => None,
    };
    let allowed = |file: &Found<Demand>| {
        stated(file).is_some_and(|version| poms.iter().all(|demand| demand.value.allows(&version)))
    };
    let winner = files.iter().find(|file| allowed(file)).cloned();
    let losers = files.into_iter().filter(|file| winner.as_ref().is_none_or(|winner| file.value != winner.value));
    let rejected = losers.map(|file| Rejected {
        value: file.value.to_string().into(),
        why: match winner.as_ref().filter(|_| allowed(&file)) {
            Some(winner) => format!("`{}` is asked first", winner.origin),
            None => "the poms do not allow it".to_owned(),
        },
        origin: file.origin,
    });
    let rejected = rejected.collect();
    (winner.into_iter().collect(), rejected)
}

/// Says that a version file does not count, and what of the poms speaks against it.
fn refused(file: &Rejected, poms: &[Found<Demand>]) -> Warning {
    let stated = file.value.as_str().unwrap_or_default();
    let against = |demand: &&Found<Demand>| !stated.parse().is_ok_and(|version| demand.value.allows(&version));
    let against: Vec<_> =
        poms.iter().filter(against).map(|found| format!("{} ({})", found.value, found.origin)).collect();
    let path = file.origin.path.as_deref().unwrap_or_default();
    let message = format!("`{path}` says {stated}, which the poms do not allow: {}", against.join(", "));
    let hint = "Make the file agree with the poms, or set `toolchain.version` in `slipway.toml`.";
    Warning::new("version_file_refused", message, hint).at(path, file.origin.line)
}

/// Demands of one module, the effective compiler level first.
fn of_module(poms: &Poms<'_>, module: &Effective) -> Result<Vec<Found<Demand>>, Failure> {
    let mut found = Vec::new();
    if module.packaging != "pom" {
        found.extend(compiler(poms, module)?);
        // The release itself and no later one.
        if let Some(origin) = preview(module)? {
            let levels = found.iter().filter_map(|level| match &level.value {
                Demand::AtLeast(version) => version.parts().first().copied(),
                _ => None,
            });
            let below = levels.max().map(|level| Demand::Below(Version::new(&[level + 1])));
            found.extend(below.map(|below| Found::new(below, origin)));
        }
    }
    for row in facts::rows(poms.facts, "jdk_settings") {
        let text = |key: &str| facts::text(row, key).unwrap_or_default();
        let Some(plugin) = module.plugins.iter().find(|plugin| plugin.artifact == text("plugin")) else { continue };
        let detail = format!(
            "{}: {}",
            plugin.artifact,
            text("path").rsplit('/').find(|part| *part != "version").unwrap_or_default()
        );
        let mut values = Vec::new();
        for configuration in plugin.configurations() {
            for element in configuration.all(text("path")) {
                values.extend(module.value(element, &detail)?);
            }
        }
        if values.is_empty()
            && let Some(property) = facts::text(row, "property")
        {
            values.extend(module.property(property)?);
        }
        for value in values {
            if text("reads") == "range" {
                found.extend(range(&value.value).into_iter().map(|demand| Found::new(demand, value.origin.clone())));
            } else {
                found.extend(at_least(&value));
            }
        }
    }
    found.extend(frameworks(poms, module)?);
    found.extend(plugins(poms, module)?);
    Ok(found)
}

fn unknown_parent(module: &Effective) -> Warning {
    let pom = module.lineage.last().unwrap_or(&module.pom);
    let reference = pom.parent();
    let name = reference.map(|p| format!("{}:{}:{}", p.group, p.artifact, p.version)).unwrap_or_default();
    let message =
        format!("The JDK may be set by the parent `{name}`, which is not in the repository; the default is used");
    let line = reference.filter(|_| pom.in_tree).map(|p| p.element.line);
    let path = if pom.in_tree { &pom.path } else { &module.pom.path };
    Warning::new(
        "parent_not_in_tree",
        message,
        "Set `maven.compiler.release` in the pom, or `toolchain.version` in `slipway.toml`.",
    )
    .at(path, line)
}

/// JDKs that the toolchains plugin, or a plugin's own `jdkToolchain`, asks for beside the one that Maven runs on.
/// A range is no JDK that anyone asked for: the one that Maven runs on may do.
pub(super) fn toolchains(module: &Effective) -> Result<Vec<Found<String>>, Failure> {
    let mut found = Vec::new();
    for plugin in &module.plugins {
        let path = match plugin.artifact.as_str() {
            "maven-toolchains-plugin" => "toolchains/jdk/version",
            _ => "jdkToolchain/version",
        };
        for configuration in plugin.configurations() {
            for element in configuration.all(path) {
                let value = module.value(element, &format!("{}: {path}", plugin.artifact))?;
                found.extend(value.and_then(|value| {
                    let version = major(&value.value)?.to_string();
                    Some(Found::new(version, value.origin))
                }));
            }
        }
    }
    Ok(found)
}

/// The compiler plugin's rule: `release` wins over `source` and `target`, its configuration
/// over the `maven.compiler.*` properties.
fn compiler(poms: &Poms<'_>, module: &Effective) -> Result<Vec<Found<Demand>>, Failure> {
    let configurations = module.plugin("maven-compiler-plugin").map(Plugin::configurations).unwrap_or_default();
    let level = |key: &str| -> Result<Vec<Found<Demand>>, Failure> {
        let mut found = Vec::new();
        for configuration in &configurations {
            if let Some(element) = configuration.child(key) {
                found.extend(
                    module.value(element, &format!("maven-compiler-plugin: {key}"))?.as_ref().and_then(at_least),
                );
            }
        }
        if found.is_empty() {
            found.extend(module.property(&format!("maven.compiler.{key}"))?.as_ref().and_then(at_least));
        }
        Ok(found)
    };
    let release = level("release")?;
    if !release.is_empty() {
        return Ok(release);
    }
    let mut levels = level("source")?;
    levels.extend(level("target")?);
    // Properties that nothing uses, since their parent is not in the tree, still say what the authors mean.
    for name in facts::list(poms.facts, "level_properties") {
        if levels.is_empty() {
            levels.extend(module.property(name)?.as_ref().and_then(at_least));
        }
    }
    Ok(levels)
}

/// Where a module says that it uses preview features. Their classes run on the very JDK that they were compiled for, and
/// only where it is told to (JEP 12, "Preview Features").
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn preview(module: &Effective) -> Result<Option<Origin>, Failure> {
    let configurations = module.plugin("maven-compiler-plugin").map(Plugin::configurations).unwrap_or_default();
    for configuration in &configurations {
        let list = configuration.child("compilerArgs").into_iter().flat_map(|list| &list.children);
        let mut given = list.chain(configuration.child("compilerArgument"));
        if let Some(element) = given.find(|element| element.text.split_whitespace().any(|word| word == ENABLE_PREVIEW))
        {
            return Ok(Some(element.origin(format!("maven-compiler-plugin: {ENABLE_PREVIEW}"))));
        }
        if let Some(element) = configuration.child("enablePreview")
            && let Some(found) = module.value(element, "maven-compiler-plugin: enablePreview")?
            && found.value == "true"
        {
            return Ok(Some(found.origin));
        }
    }
    let property = module.property("maven.compiler.enablePreview")?;
    Ok(property.filter(|found| found.value == "true").map(|found| found.origin))
}

/// The oldest JDK that a framework of `[[facts.frameworks]]` runs on.
fn frameworks(poms: &Poms<'_>, module: &Effective) -> Result<Vec<Found<Demand>>, Failure> {
    let minimums = of_frameworks(poms, module, "minimum")?.into_iter();
    let demands =
        minimums.filter_map(|found| Some(Found::new(Demand::AtLeast(found.value.parse().ok()?), found.origin)));
    Ok(demands.collect())
}

/// What a table of `[[facts.frameworks]]` says of the frameworks' versions, by the versions' beginnings.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn of_frameworks(poms: &Poms<'_>, module: &Effective, table: &str) -> Result<Vec<Found<String>>, Failure> {
    let mut found = Vec::new();
    for fact in facts::rows(poms.facts, "frameworks") {
        let groups = facts::texts(fact, "groups");
        let parents = module.lineage.iter().filter_map(|pom| pom.project.child("parent"));
        let plugins = module.plugins.iter().map(|plugin| &plugin.element);
        for element in parents.chain(&module.managed).chain(&module.dependencies).chain(plugins) {
            let group = module.expand(element.text_of("groupId").unwrap_or_default())?;
            let Some(version) = element.child("version").filter(|_| groups.contains(&group.as_str())) else { continue };
            let Some(version) = module.value(version, &group)? else { continue };
            let table = fact.get(table).and_then(toml::Value::as_table).into_iter().flatten();
            let mut fits = table.filter(|(prefix, _)| version_begins(&version.value, prefix));
            if let Some(said) = fits.find_map(|(_, value)| value.as_str()) {
                found.push(Found::new(said.to_owned(), version.origin));
                break;
            }
        }
    }
    Ok(found)
}

/// The oldest JDK that plugins of the build run on (`[[facts.plugin_floors]]`), and what they bring along: code for 8 is
/// built by 17 where a plugin was compiled for 17.
fn plugins(poms: &Poms<'_>, module: &Effective) -> Result<Vec<Found<Demand>>, Failure> {
    let mut found = Vec::new();
    for row in facts::rows(poms.facts, "plugin_floors") {
        let text = |key: &str| facts::text(row, key).unwrap_or_default();
        let runs = |plugin: &&Plugin| {
            let phase = facts::text(row, "phase");
            plugin.artifact == text("plugin") && plugin.executions.iter().any(|one| runs_until_package(one, phase))
        };
        let Some(plugin) = module.plugins.iter().find(runs) else { continue };
        let brought = plugin.element.all("dependencies/dependency").into_iter();
        let mut named = std::iter::once(&plugin.element).chain(brought);
        let name = facts::text(row, "brings").unwrap_or(text("plugin"));
        let Some(version) =
            named.find(|one| one.text_of("artifactId") == Some(name)).and_then(|one| one.child("version"))
        else {
            continue;
        };
        let Some(version) = module.value(version, name)?.filter(|found| allows(text("from"), &found.value)) else {
            continue;
        };
        if let Ok(minimum) = text("minimum").parse() {
            let origin = Origin { detail: format!("{name} {}", version.value), ..version.origin };
            found.push(Found::new(Demand::AtLeast(minimum), origin));
        }
    }
    Ok(found)
}

/// An enforcer's range (Maven's version range specification); a bare version is a minimum.
fn range(text: &str) -> Vec<Demand> {
    let version = |part: &str| major(part).map(|major| Version::new(&[major.max(OLDEST)]));
    let text = text.trim();
    if !text.starts_with(['[', '(']) {
        return version(text).map(Demand::AtLeast).into_iter().collect();
    }
    let inner = text.trim_matches(['[', ']', '(', ')']);
    // Several ranges: what they span.
    let Some((low, _)) = inner.split_once(',') else {
        return version(inner).map(Demand::Exactly).into_iter().collect();
    };
    let high = inner.rsplit(',').next().unwrap_or_default();
    let mut demands: Vec<_> = version(low).map(Demand::AtLeast).into_iter().collect();
    demands.extend(version(high).map(|high| match (text.ends_with(']'), version(low)) {
        // 11.0.2 is above 11, so `[8,11]` excludes every real JDK 11, but for `[11,11]` 11 is meant.
        (true, Some(low)) if low == high => Demand::Exactly(high),
        (true, _) if high.parts() == [OLDEST] || inner.contains(".9") => {
            Demand::Below(Version::new(&[high.parts().first().map_or(OLDEST, |one| one + 1)]))
        }
        _ => Demand::Below(high),
    }));
    demands
}

/// What version files say, the nearest of each kind from the directory upwards.
fn of_files(tree: &SourceTree, directory: &str) -> Vec<Found<Demand>> {
    let table = [
        (".java-version", "", "java version"),
        (".sdkmanrc", "java=", "java"),
        (".tool-versions", "java ", "java"),
        ("system.properties", "java.runtime.version=", "java.runtime.version"),
    ];
    let found = table.into_iter().filter_map(|(file, key, detail)| {
        let path = nearest(tree, directory, file)?;
        tree.text(&path)?.lines().zip(1u32..).find_map(|(line, number)| {
            let line = line.trim();
            let spaced = line.replacen(" = ", "=", 1).replacen(" =", "=", 1).replacen("= ", "=", 1);
            let major = major(spaced.strip_prefix(key)?)?;
            let demand = Demand::Exactly(Version::new(&[major.max(OLDEST)]));
            Some(Found::new(demand, Origin::file(&path, Some(number), detail)))
        })
    });
    found.chain(["mise.toml", ".mise.toml"].into_iter().filter_map(|file| of_mise(tree, directory, file))).collect()
}

/// `[tools]` `java = "temurin-21"`, a list of which the first counts, or a table with `version` (mise, "Configuration").
fn of_mise(tree: &SourceTree, directory: &str, file: &str) -> Option<Found<Demand>> {
    let path = nearest(tree, directory, file)?;
    let text = tree.text(&path)?;
    let root = toml::de::DeTable::parse(text).ok()?;
    let java = root.get_ref().get("tools")?.get_ref().get("java")?;
    let first = java.get_ref().as_array().and_then(|list| list.first()).map_or(java.get_ref(), toml::Spanned::get_ref);
    let stated = first.as_str().or_else(|| first.get("version")?.get_ref().as_str())?;
    let demand = Demand::Exactly(Version::new(&[major(stated)?.max(OLDEST)]));
    let before = text.get(..java.span().start)?.matches('\n').count();
    Some(Found::new(demand, Origin::file(&path, u32::try_from(before + 1).ok(), "tools.java")))
}
