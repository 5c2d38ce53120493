//! Which profiles of a pom are active (Maven's guide "Introduction to Build Profiles").

use super::model::Pom;
use super::poms::Poms;
use super::xml::Element;
use crate::model::source_tree::join;

/// Properties that the system or the environment of every build has.
const ALWAYS: &[&str] = &[
    "env.HOME",
    "env.JAVA_HOME",
    "env.PATH",
    "file.separator",
    "java.home",
    "java.version",
    "maven.home",
    "maven.version",
    "os.arch",
    "os.name",
    "path.separator",
    "user.dir",
    "user.home",
    "user.name",
];

/// The active profiles of one pom, in the order they are written. `activeByDefault` counts
/// only where nothing else in the same pom is active. Files are looked for in `directory`: that of the module that is
/// built, for the profiles of its parents too.
pub(super) fn active<'p>(poms: &Poms<'_>, pom: &'p Pom, directory: &str) -> Vec<&'p Element> {
    let all = pom.project.all("profiles/profile");
    let id = |profile: &Element| profile.text_of("id").unwrap_or("default").to_owned();
    let allowed = |profile: &&&Element| !poms.invocation.deactivated.contains(&id(profile));
    let chosen: Vec<_> = all
        .iter()
        .filter(allowed)
        .filter(|profile| poms.invocation.activated.contains(&id(profile)) || activated(poms, directory, profile))
        .copied()
        .collect();
    if chosen.is_empty() {
        let by_default = |profile: &&&Element| {
            profile.at("activation/activeByDefault").is_some_and(|element| element.text == "true")
        };
        return all.iter().filter(allowed).filter(by_default).copied().collect();
    }
    chosen
}

/// Modules that only profiles of a pom have which are not active, each with its profile.
pub(super) fn inactive_modules(poms: &Poms<'_>, pom: &Pom) -> Vec<(String, String)> {
    let active = active(poms, pom, &pom.directory);
    let all = pom.project.all("profiles/profile");
    let inactive = all.iter().filter(|profile| !active.iter().any(|one| std::ptr::eq(*one, **profile)));
    let named = inactive.flat_map(|profile| {
        let id = profile.text_of("id").unwrap_or("default").to_owned();
        profile.all("modules/module").into_iter().map(move |module| (module.text.clone(), id.clone()))
    });
    let always: Vec<&str> = std::iter::once(&pom.project)
        .chain(active.iter().copied())
        .flat_map(|layer| layer.all("modules/module"))
        .map(|module| module.text.as_str())
        .collect();
    named.filter(|(module, _)| !always.contains(&module.as_str())).collect()
}

/// Whether every condition holds; several are joined by "and" since Maven 3.2.2.
fn activated(poms: &Poms<'_>, directory: &str, profile: &Element) -> bool {
    let Some(activation) = profile.child("activation") else { return false };
    let conditions = activation.children.iter().filter_map(|condition| match condition.name.as_str() {
        "property" => Some(property(poms, condition)),
        "file" => Some(file(poms, directory, condition)),
        "jdk" => {
            poms.jdk_asked.set(true);
            Some(poms.jdk.is_some_and(|jdk| jdk_fits(&condition.text, jdk)))
        }
        "os" => Some(condition.children.iter().all(os)),
        _ => None,
    });
    let results: Vec<bool> = conditions.collect();
    !results.is_empty() && results.into_iter().all(|holds| holds)
}

fn property(poms: &Poms<'_>, condition: &Element) -> bool {
    let name = condition.text_of("name").unwrap_or_default();
    let (negated, name) = name.strip_prefix('!').map_or((false, name), |name| (true, name));
    let actual = poms.invocation.properties.get(name);
    match condition.text_of("value") {
        None => (actual.is_some() || ALWAYS.contains(&name)) != negated,
        Some(value) => match value.strip_prefix('!') {
            Some(value) => actual.is_none_or(|actual| actual != value),
            None => actual.is_some_and(|actual| actual == value),
        },
    }
}

fn file(poms: &Poms<'_>, directory: &str, condition: &Element) -> bool {
    let there = |path: &str| {
        let path = path.replace("${project.basedir}", ".").replace("${basedir}", ".");
        let found = if path.starts_with("./") { path.get(2..) } else { Some(path.as_str()) };
        found
            .and_then(|path| join(directory, path))
            .is_some_and(|path| poms.tree.has_file(&path) || poms.tree.has_directory(&path))
    };
    condition.text_of("exists").is_none_or(there) && condition.text_of("missing").is_none_or(|path| !there(path))
}

/// `17`, `!17` or a range `[9,)`, as Maven's `JdkVersionProfileActivator` reads them: a text is the version's beginning,
/// and three numbers of a bound are compared, so that `(,17]` has no 17.0.2. There are no JDKs of these majors but later
/// patches, save 8, which calls itself 1.8.0.
fn jdk_fits(text: &str, jdk: u32) -> bool {
    let version = if jdk == 8 { [1, 8, 0] } else { [jdk, 0, u32::MAX] };
    if let Some(text) = text.strip_prefix('!') {
        return !jdk_fits(text, jdk);
    }
    if !text.starts_with(['[', '(']) {
        let said = if jdk == 8 { "1.8.0_".to_owned() } else { format!("{jdk}.0.") };
        return said.starts_with(text);
    }
    let Some((low, high)) = text.split_once(',') else { return false };
    let above = bound(low.trim(), '[').is_none_or(|(low, closed)| version > low || closed && version == low);
    let below = bound(high.trim(), ']').is_none_or(|(high, closed)| version < high || closed && version == high);
    above && below
}

/// A bound's three numbers, and whether it belongs to the range; `None` without a bound.
fn bound(text: &str, closed: char) -> Option<([u32; 3], bool)> {
    let inside = text.trim_matches(['[', '(', ']', ')']).trim();
    let mut numbers = inside.split('.').map(|part| part.parse().unwrap_or(0));
    let numbers = [(); 3].map(|()| numbers.next().unwrap_or(0));
    (!inside.is_empty()).then(|| (numbers, text.contains(closed)))
}

/// Builds run on Linux.
fn os(condition: &Element) -> bool {
    let (negated, wanted) =
        condition.text.strip_prefix('!').map_or((false, condition.text.as_str()), |text| (true, text));
    let holds = match condition.name.as_str() {
        "family" => wanted.eq_ignore_ascii_case("unix"),
        "name" => wanted.eq_ignore_ascii_case("linux"),
        "arch" => wanted.eq_ignore_ascii_case("amd64"),
        _ => false,
    };
    holds != negated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source_tree::SourceTree;
    use crate::toolchain::manifest::pom::wrapper::Invocation;

    fn active_ids(args: &[&str], jdk: Option<u32>, profiles: &str) -> Vec<String> {
        let tree = SourceTree::of_texts([("m/there.txt", "")]);
        let facts = toml::Table::new();
        let poms = Poms::new(&tree, &facts, Invocation::of(args.iter().copied()), jdk);
        let pom =
            Pom::parse("m/pom.xml", &format!("<project><profiles>{profiles}</profiles></project>"), true).unwrap();
        active(&poms, &pom, "m").iter().filter_map(|profile| profile.text_of("id")).map(str::to_owned).collect()
    }

    fn profile(id: &str, activation: &str) -> String {
        format!("<profile><id>{id}</id><activation>{activation}</activation></profile>")
    }

    #[test]
    fn conditions() {
        let table: &[(&str, &[&str], Option<u32>, bool)] = &[
            ("<activeByDefault>true</activeByDefault>", &[], None, true),
            ("<activeByDefault>true</activeByDefault>", &["-P!a"], None, false),
            ("", &["-Pa"], None, true),
            ("<property><name>x</name></property>", &["-Dx"], None, true),
            ("<property><name>x</name></property>", &[], None, false),
            ("<property><name>!x</name></property>", &[], None, true),
            ("<property><name>x</name><value>1</value></property>", &["-Dx=2"], None, false),
            ("<property><name>x</name><value>!1</value></property>", &["-Dx=2"], None, true),
            ("<file><exists>there.txt</exists></file>", &[], None, true),
            ("<file><exists>${basedir}/there.txt</exists></file>", &[], None, true),
            ("<file><missing>${project.basedir}/there.txt</missing></file>", &[], None, false),
            ("<jdk>[9,)</jdk>", &[], Some(17), true),
            ("<jdk>[9,)</jdk>", &[], Some(8), false),
            ("<jdk>(,1.8]</jdk>", &[], Some(8), true),
            ("<jdk>1.8</jdk>", &[], Some(8), true),
            ("<jdk>!1.8</jdk>", &[], Some(8), false),
            ("<jdk>[9,)</jdk>", &[], None, false),
            // What Maven 3.9 itself says on 17.0.21.
            ("<jdk>(,17]</jdk>", &[], Some(17), false),
            ("<jdk>[9,17]</jdk>", &[], Some(17), false),
            ("<jdk>(17,)</jdk>", &[], Some(17), true),
            ("<jdk>(16,17)</jdk>", &[], Some(17), false),
            ("<jdk>[17,18)</jdk>", &[], Some(17), true),
            ("<jdk>(,18)</jdk>", &[], Some(17), true),
            ("<jdk>[17.0.5,)</jdk>", &[], Some(17), true),
            ("<jdk>(,17.1]</jdk>", &[], Some(17), true),
            ("<jdk>17.0</jdk>", &[], Some(17), true),
            ("<jdk>[17]</jdk>", &[], Some(17), false),
            ("<jdk>1.8,17</jdk>", &[], Some(17), false),
            ("<jdk>(1.8,)</jdk>", &[], Some(8), false),
            ("<jdk>[1.7,1.8]</jdk>", &[], Some(8), true),
            ("<property><name>java.home</name></property>", &[], None, true),
            ("<property><name>!env.JAVA_HOME</name></property>", &[], None, false),
            ("<property><name>env.CI</name></property>", &[], None, false),
            ("<property><name>!env.CI</name></property>", &[], None, true),
            ("<property><name>x</name><value></value></property>", &["-Dx=1"], None, true),
            ("<os><family>windows</family></os>", &[], None, false),
            ("<os><family>!windows</family></os>", &[], None, true),
            ("<os><name>linux</name></os>", &[], None, true),
        ];
        for (activation, args, jdk, expected) in table {
            let found = active_ids(args, *jdk, &profile("a", activation));
            assert_eq!(!found.is_empty(), *expected, "{activation} {args:?}");
        }
    }

    #[test]
    fn another_active_profile_switches_the_default_off() {
        let both = profile("a", "<activeByDefault>true</activeByDefault>") + &profile("b", "");
        assert_eq!(active_ids(&["-Pb"], None, &both), ["b"]);
        assert_eq!(active_ids(&["-Px"], None, &both), ["a"]);
    }
}
