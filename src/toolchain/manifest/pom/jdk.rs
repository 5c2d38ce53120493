//! What a module and the files beside it demand of the JDK.

use super::effective::Effective;
use super::jdk_version::major;
use super::poms::{Poms, version_begins};
use super::wrapper::nearest;
use crate::model::failure::Failure;
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::SourceTree;
use crate::toolchain::version::{Demand, Version};

/// No JDK before this one is offered anywhere; older levels are built by it.
const OLDEST: u32 = 8;

fn at_least(found: &Found<String>) -> Option<Found<Demand>> {
    let version = Version::new(&[major(&found.value)?.max(OLDEST)]);
    Some(Found::new(Demand::AtLeast(version), found.origin.clone()))
}

/// Demands of one module, the effective compiler level first.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn of_module(poms: &Poms<'_>, module: &Effective) -> Result<Vec<Found<Demand>>, Failure> {
    let mut found = Vec::new();
    if module.packaging != "pom" {
        found.extend(compiler(module)?);
    }
    for (artifact, path) in [
        ("kotlin-maven-plugin", "jvmTarget"),
        ("maven-enforcer-plugin", "rules/requireJavaVersion/version"),
        ("maven-toolchains-plugin", "toolchains/jdk/version"),
    ] {
        let Some(plugin) = module.plugins.iter().find(|plugin| plugin.artifact == artifact) else { continue };
        for configuration in plugin.configurations() {
            for element in configuration.all(path) {
                let detail = format!("{artifact}: {}", path.rsplit('/').next().unwrap_or(path));
                if let Some(value) = module.value(element, &detail)? {
                    if artifact == "maven-enforcer-plugin" {
                        found.extend(range(&value.value).into_iter().map(|d| Found::new(d, value.origin.clone())));
                    } else {
                        found.extend(at_least(&value));
                    }
                }
            }
        }
    }
    found.extend(frameworks(poms, module)?);
    Ok(found)
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
/// over the `maven.compiler.*` properties. A `java.version` that nothing uses (its parent is not
/// in the tree) still says what the authors mean.
fn compiler(module: &Effective) -> Result<Vec<Found<Demand>>, Failure> {
    let configurations =
        module.plugin("maven-compiler-plugin").map(super::plugin::Plugin::configurations).unwrap_or_default();
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
    if levels.is_empty() {
        levels.extend(module.property("java.version")?.as_ref().and_then(at_least));
    }
    Ok(levels)
}

/// The oldest JDK that a framework of `[[facts.frameworks]]` runs on.
fn frameworks(poms: &Poms<'_>, module: &Effective) -> Result<Vec<Found<Demand>>, Failure> {
    let mut found = Vec::new();
    for fact in poms.facts.get("frameworks").and_then(toml::Value::as_array).into_iter().flatten() {
        let groups: Vec<_> = fact
            .get("groups")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str)
            .collect();
        let parents = module.lineage.iter().filter_map(|pom| pom.project.child("parent"));
        let plugins = module.plugins.iter().map(|plugin| &plugin.element);
        for element in parents.chain(&module.managed).chain(&module.dependencies).chain(plugins) {
            let group = module.expand(element.text_of("groupId").unwrap_or_default())?;
            let Some(version) = element.child("version").filter(|_| groups.contains(&group.as_str())) else { continue };
            let Some(version) = module.value(version, &group)? else { continue };
            let minimum = fact.get("minimum").and_then(toml::Value::as_table).into_iter().flatten();
            let mut fits = minimum.filter(|(prefix, _)| version_begins(&version.value, prefix));
            if let Some(minimum) = fits.find_map(|(_, value)| value.as_str()?.parse().ok()) {
                found.push(Found::new(Demand::AtLeast(minimum), version.origin));
                break;
            }
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
pub(super) fn of_files(tree: &SourceTree, directory: &str) -> Vec<Found<Demand>> {
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
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enforcer_ranges() {
        let table = [
            ("1.8", "8 or later"),
            ("[11,)", "11 or later"),
            ("[1.8,12)", "8 or later, below 12"),
            ("[17]", "17"),
            ("(,21)", "below 21"),
            ("[11,11]", "11 or later, 11"),
            ("[8,9),[11,17)", "8 or later, below 17"),
            ("junk", ""),
        ];
        for (text, expected) in table {
            let shown: Vec<_> = range(text).iter().map(ToString::to_string).collect();
            assert_eq!(shown.join(", "), expected, "{text}");
        }
    }

    #[test]
    fn version_files() {
        let tree = SourceTree::of_texts([
            (".java-version", "# jenv\n1.8\n"),
            (".sdkmanrc", "java=17.0.9-tem\n"),
            (".tool-versions", "nodejs 20\njava temurin-21.0.1+12\n"),
            ("a/system.properties", "java.runtime.version = 11\n"),
        ]);
        let shown: Vec<_> = of_files(&tree, "a").iter().map(|f| format!("{} {}", f.value, f.origin)).collect();
        assert_eq!(
            shown,
            [
                "8 .java-version:2: java version",
                "17 .sdkmanrc:1: java",
                "21 .tool-versions:2: java",
                "11 a/system.properties:1: java.runtime.version"
            ]
        );
    }
}
