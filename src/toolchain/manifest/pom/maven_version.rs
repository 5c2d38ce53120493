//! Which Maven builds: the toolchain's own, unless the wrapper or the enforcer asks for another.

use super::effective::Effective;
use super::facts;
use super::jdk;
use super::plugin::Plugin;
use super::poms::Poms;
use super::wrapper;
use crate::model::failure::{Failure, Warning};
use crate::model::origin::Found;
use crate::model::source_tree::parent;

/// The Maven that builds.
#[derive(Debug, Default)]
pub(super) struct Maven {
    pub(super) version: String,
    /// Who asked for it, where it is not the toolchain's own.
    pub(super) asked: Option<Found<String>>,
    pub(super) warning: Option<Warning>,
}

/// Chooses Maven's version for some modules (Maven Wrapper's `distributionUrl`; enforcer's `requireMavenVersion`).
///
/// The toolchain's own stands for every earlier patch of its minor version.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn choose<'m>(
    poms: &Poms<'_>,
    root: &str,
    modules: impl Iterator<Item = &'m Effective>,
) -> Result<Maven, Failure> {
    let own = poms.facts.get("maven_version").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let wrapper = wrapper::maven_version(poms.tree, root).filter(|found| !stands_for(&own, &found.value));
    let mut demands: Vec<Found<String>> = Vec::new();
    for module in modules {
        let enforcers = module.plugins.iter().filter(|plugin| plugin.artifact == "maven-enforcer-plugin");
        for configuration in enforcers.flat_map(Plugin::configurations) {
            for element in configuration.all("rules/requireMavenVersion/version") {
                demands.extend(module.value(element, "requireMavenVersion")?);
            }
        }
        demands.extend(jdk::of_frameworks(poms, module, "maven")?);
        demands.extend(dropped_goal(poms, module));
        demands.extend(outgrown(poms, module));
    }
    let fits = |version: &str| demands.iter().all(|demand| allows(&demand.value, version));
    let offered = facts::list(poms.facts, "maven_versions");
    let candidates = wrapper.iter().map(|found| (found.value.clone(), Some(found.clone())));
    let demanded = demands.iter().find(|demand| !allows(&demand.value, &own));
    let candidates = candidates.chain([(own.clone(), None)]);
    let candidates = candidates.chain(offered.iter().rev().map(|version| {
        let asked = demanded.map(|demand| Found::new((*version).to_owned(), demand.origin.clone()));
        ((*version).to_owned(), asked)
    }));
    let mut candidates = candidates.collect::<Vec<_>>();
    if let Some(at) = candidates.iter().position(|(version, _)| fits(version)) {
        let (version, asked) = candidates.swap_remove(at);
        let warning = wrapper.filter(|wrapper| *wrapper.value != version).map(|wrapper| {
            let against = demands.iter().find(|demand| !allows(&demand.value, &wrapper.value));
            let against =
                against.map_or_else(String::new, |demand| format!(": {} wants {}", demand.origin, demand.value));
            let message = format!("Maven {version} builds, and not the wrapper's {}{against}", wrapper.value);
            let warning = Warning::new("wrapper_refused", message, "let the wrapper name a Maven that the poms allow");
            warning.at(wrapper.origin.path.as_deref().unwrap_or_default(), wrapper.origin.line)
        });
        return Ok(Maven { version, asked, warning });
    }
    let warning = demanded.map(|demand| {
        let message = format!("no Maven that is known here is within `{}`; {own} builds", demand.value);
        let warning = Warning::new(
            "maven_version_unknown",
            message,
            "ask the operator to add one to `maven_versions` of the toolchain",
        );
        match &demand.origin.path {
            Some(path) if !parent(path).contains(':') => warning.at(path, demand.origin.line),
            _ => warning,
        }
    });
    Ok(Maven { version: own, asked: None, warning })
}

/// The Mavens that still bring a plugin with a goal which its later versions have not, where no pom names a version of it
/// (Maven's "Super POM").
fn dropped_goal(poms: &Poms<'_>, module: &Effective) -> Option<Found<String>> {
    facts::rows(poms.facts, "dropped_goals").find_map(|row| {
        let goals: Vec<String> = facts::texts(row, "goals").into_iter().map(str::to_owned).collect();
        let name = facts::text(row, "plugin")?;
        let plugin = module.plugins.iter().find(|plugin| plugin.artifact == name && plugin.runs(&goals))?;
        if plugin.element.text_of("version").is_some() {
            return None;
        }
        let detail = format!("a goal of {name} that only Mavens `{}` bring", facts::text(row, "maven")?);
        Some(Found::new(facts::text(row, "maven")?.to_owned(), plugin.element.origin(detail)))
    })
}

/// The Mavens that a plugin still works with whose version later ones refuse to configure.
fn outgrown(poms: &Poms<'_>, module: &Effective) -> Option<Found<String>> {
    facts::rows(poms.facts, "outgrown_plugins").find_map(|row| {
        let text = |key: &str| facts::text(row, key).unwrap_or_default();
        let plugin = module.plugins.iter().find(|plugin| plugin.artifact == text("plugin"))?;
        let version = module.expand(plugin.element.text_of("version")?).ok()?;
        let configured =
            || plugin.configurations().iter().any(|configuration| configuration.at(text("path")).is_some());
        let old = !version.contains("${") && before(&version, text("before")) && configured();
        let detail = format!("{} {version}, which only Mavens `{}` configure", text("plugin"), text("maven"));
        old.then(|| Found::new(text("maven").to_owned(), plugin.element.origin(detail)))
    })
}

/// Whether a version does for an earlier patch of the same minor.
fn stands_for(own: &str, wanted: &str) -> bool {
    let (own, wanted) = (numbers(own), numbers(wanted));
    own.get(..2) == wanted.get(..2) && own >= wanted
}

fn numbers(version: &str) -> Vec<u32> {
    version.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).collect()
}

fn before(a: &str, b: &str) -> bool {
    let (a, b) = (numbers(a), numbers(b));
    let length = a.len().max(b.len());
    let padded = |v: &[u32]| (0..length).map(|index| v.get(index).copied().unwrap_or(0)).collect::<Vec<_>>();
    padded(&a) < padded(&b)
}

/// Maven's version range specification; a bare version is a minimum, as the enforcer reads it.
pub(super) fn allows(range: &str, version: &str) -> bool {
    let range = range.trim();
    if !range.starts_with(['[', '(']) {
        return !before(version, range);
    }
    let mut rest = range;
    while let Some(start) = rest.find(['[', '(']) {
        let Some(end) = rest[start..].find([']', ')']).map(|end| start + end) else { return false };
        let inner = &rest[start + 1..end];
        let (low, high) = inner.split_once(',').unwrap_or((inner, inner));
        let (low, high) = (low.trim(), high.trim());
        let above = low.is_empty() || before(low, version) || rest[start..].starts_with('[') && !before(version, low);
        let below = high.is_empty() || before(version, high) || rest[end..].starts_with(']') && !before(high, version);
        if above && below {
            return true;
        }
        rest = &rest[end + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source_tree::SourceTree;
    use crate::toolchain::manifest::pom::wrapper::Invocation;

    fn chosen(wrapper: &str, range: &str) -> String {
        chosen_for(wrapper, range, "")
    }

    fn chosen_for(wrapper: &str, range: &str, framework: &str) -> String {
        let url = format!("distributionUrl=https://repo.example.com/apache-maven-{wrapper}-bin.zip\n");
        let pom = format!(
            "<project><artifactId>a</artifactId>{framework}<build><plugins><plugin><artifactId>maven-enforcer-plugin</artifactId><executions><execution><goals><goal>enforce</goal></goals><configuration><rules><requireMavenVersion>\n<version>{range}</version></requireMavenVersion></rules></configuration></execution></executions></plugin></plugins></build></project>"
        );
        let mut files = vec![("pom.xml", pom.as_str())];
        if !wrapper.is_empty() {
            files.push((".mvn/wrapper/maven-wrapper.properties", &url));
        }
        let tree = SourceTree::of_texts(files);
        let facts = "maven_version = '3.9.11'\nmaven_versions = ['3.6.3', '3.8.8', '4.0.0-rc-4']\n\
                     [[frameworks]]\ngroups = ['b']\nmaven = { '3' = '3.6.3' }";
        let facts = toml::from_str(facts).unwrap();
        let poms = Poms::new(&tree, &facts, Invocation::default(), None);
        let module = Effective::of(&poms, &poms.load("pom.xml").unwrap().unwrap(), &[]).unwrap();
        let maven = choose(&poms, "", [&module].into_iter()).unwrap();
        let warned = maven.warning.map(|warning| format!(" {}", warning.line.unwrap_or_default()));
        let asked = maven.asked.map_or(String::new(), |asked| format!(" by {}", asked.origin));
        format!("{}{asked}{}", maven.version, warned.unwrap_or_default())
    }

    #[test]
    fn the_wrapper_and_the_enforcer_are_heard() {
        let wrapper = ".mvn/wrapper/maven-wrapper.properties:1: distributionUrl";
        let table = [
            ("", "", "3.9.11".to_owned()),
            ("3.9.6", "", "3.9.11".to_owned()),
            ("3.9.12", "", format!("3.9.12 by {wrapper}")),
            ("3.6.3", "", format!("3.6.3 by {wrapper}")),
            ("4.0.0-rc-3", "[3.8,)", format!("4.0.0-rc-3 by {wrapper}")),
            ("", "3.6", "3.9.11".to_owned()),
            // The warning is at the wrapper's line.
            ("3.6.3", "[3.9,)", "3.9.11 1".to_owned()),
            ("", "[3.6,3.9)", "3.8.8 by pom.xml:2: requireMavenVersion".to_owned()),
            ("", "[5,)", "3.9.11 2".to_owned()),
        ];
        for (version, range, expected) in table {
            assert_eq!(chosen(version, range), expected, "{version} {range}");
        }
    }

    #[test]
    fn a_framework_wants_a_maven_too() {
        let uses = |version: &str| {
            format!(
                "<dependencies><dependency><groupId>b</groupId><artifactId>c</artifactId><version>{version}</version></dependency></dependencies>"
            )
        };
        assert_eq!(chosen_for("3.3.9", "", &uses("3.1")), "3.9.11 1");
        assert!(chosen_for("3.3.9", "", &uses("2.1")).starts_with("3.3.9 by"));
        assert!(chosen_for("3.8.1", "", &uses("3.1")).starts_with("3.8.1 by"));
    }

    #[test]
    fn a_goal_that_a_plugin_has_dropped_wants_the_maven_that_brings_the_old_one() {
        let facts: toml::Table = toml::from_str(include_str!("../../../../toolchains/maven/facts.toml")).unwrap();
        let version = |version: &str, goal: &str| {
            let pom = format!(
                "<project><artifactId>a</artifactId><build><plugins><plugin><artifactId>maven-assembly-plugin</artifactId>{version}<executions><execution><phase>package</phase><goals><goal>{goal}</goal></goals></execution></executions></plugin></plugins></build></project>"
            );
            let tree = SourceTree::of_texts([("pom.xml", pom.as_str())]);
            let poms = Poms::new(&tree, &facts, Invocation::of(std::iter::empty()), None);
            let pom = poms.load("pom.xml").unwrap().unwrap();
            let module = Effective::of(&poms, &pom, &[]).unwrap();
            choose(&poms, "", std::iter::once(&module)).unwrap().version
        };
        assert_eq!(version("", "attached"), "3.8.8");
        assert_eq!(version("", "single"), "3.9.11");
        assert_eq!(version("<version>2.6</version>", "attached"), "3.9.11");
    }

    #[test]
    fn a_plugin_that_later_mavens_refuse_keeps_maven_old() {
        let facts: toml::Table = toml::from_str(include_str!("../../../../toolchains/maven/facts.toml")).unwrap();
        let chosen = |version: &str| {
            let pom = format!(
                "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><build><plugins><plugin><artifactId>maven-shade-plugin</artifactId><version>{version}</version><executions><execution><goals><goal>shade</goal></goals><configuration><transformers><transformer><manifestEntries><Main-Class>M</Main-Class></manifestEntries></transformer></transformers></configuration></execution></executions></plugin></plugins></build></project>"
            );
            let tree = SourceTree::of_texts([("pom.xml", pom.as_str())]);
            let poms = Poms::new(&tree, &facts, Invocation::default(), None);
            let pom = poms.load("pom.xml").unwrap().unwrap();
            let module = Effective::of(&poms, &pom, &[]).unwrap();
            choose(&poms, "", std::iter::once(&module)).unwrap().version
        };
        assert_eq!(
            (chosen("2.3").as_str(), chosen("2.4").as_str(), chosen("${shade}").as_str()),
            ("3.8.8", "3.9.11", "3.9.11")
        );
    }

    #[test]
    fn ranges() {
        for (range, version, inside) in [
            ("3.8", "3.8.1", true),
            ("[3.8,)", "3.8", true),
            ("(3.8,)", "3.8", false),
            ("(,3.8]", "3.8.0", true),
            ("[3.6,3.7),[3.9,)", "3.9.1", true),
            ("[3.6,3.7),[3.9,)", "3.8", false),
            ("[3.9", "3.9", false),
        ] {
            assert_eq!(allows(range, version), inside, "{range} {version}");
        }
    }
}
