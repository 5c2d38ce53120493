//! Directories that an application of Spring Boot's writes its logs to by an absolute path: it does not start where it may not
//! (Spring Boot's reference, "Logging": "File Output" and "Custom Log Configuration"; Logback's manual, "Appenders").

use std::collections::BTreeMap;

use super::configuration::{Configuration, places};
use super::effective::Effective;
use super::poms::Poms;
use super::xml::{self, Element};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::join;

/// Logback's files that Spring Boot reads.
const FILES: &[&str] = &["logback-spring.xml", "logback.xml"];
/// Keys of a directory, and of a file in one, of every age of Spring Boot.
const DIRECTORY_KEYS: &[&str] = &["logging.file.path", "logging.path"];
const FILE_KEYS: &[&str] = &["logging.file.name", "logging.file"];
/// More references in one value, or more directories, are of no configuration.
const MAX_REFERENCES: usize = 16;
const MAX_DIRECTORIES: usize = 8;
/// Below these everybody writes, or nobody.
const OTHERS: &[&str] = &["/app", "/tmp", "/dev", "/proc", "/sys", "/etc"];

/// The directories, each with what names it; the logging of a module may lie in one that it needs.
pub(super) fn directories(
    poms: &Poms<'_>,
    module: &Effective,
    closure: &[&Effective],
    configuration: &Configuration,
) -> Vec<Found<String>> {
    let mut found: Vec<Found<String>> = Vec::new();
    let mut add = |directory: Option<String>, origin: Origin| {
        let room = found.len() < MAX_DIRECTORIES;
        let is_new = |directory: &String| found.iter().all(|there| there.value != *directory);
        if let Some(directory) = directory.filter(|directory| room && is_new(directory)) {
            found.push(Found::new(directory, origin));
        }
    };
    for (keys, is_file) in [(DIRECTORY_KEYS, false), (FILE_KEYS, true)] {
        for key in keys {
            if let (Some(text), Some(origin)) = (configuration.text(key, module), configuration.origin(key)) {
                add(if is_file { parent_of(&text) } else { plain(&text) }, origin);
            }
        }
    }
    for one in std::iter::once(&module).chain(closure) {
        for place in places(one) {
            for name in FILES {
                let path = join(&one.pom.directory, &place).and_then(|place| join(&place, name));
                let Some((path, text)) = path.and_then(|path| Some((path.clone(), poms.tree.text(&path)?))) else {
                    continue;
                };
                let Ok(root) = xml::parse(&path, text, true) else { continue };
                let names = properties(&root, configuration, module);
                each(&root, &mut |element| {
                    if matches!(element.name.as_str(), "file" | "File" | "fileNamePattern" | "FileNamePattern") {
                        add(parent_of(&resolved(&element.text, &names)), element.origin(&element.name));
                    }
                });
            }
        }
    }
    found
}

fn each<'e>(element: &'e Element, visit: &mut impl FnMut(&'e Element)) {
    visit(element);
    for child in &element.children {
        each(child, visit);
    }
}

/// What `<property>` and `<springProperty>` name.
fn properties(root: &Element, configuration: &Configuration, module: &Effective) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    each(root, &mut |element| {
        let attribute = |key: &str| element.attribute(key).map(str::to_owned);
        let value = match element.name.as_str() {
            "property" | "variable" => attribute("value"),
            "springProperty" => attribute("source")
                .and_then(|source| configuration.text(&source.to_lowercase(), module))
                .or_else(|| attribute("defaultValue")),
            _ => None,
        };
        if let (Some(name), Some(value)) = (attribute("name"), value) {
            names.entry(name).or_insert(value);
        }
    });
    names
}

/// A value with its references to names replaced, or by what they say counts without: `${LOGS:-/var/log/shop}`.
fn resolved(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = text.trim().to_owned();
    for _ in 0..MAX_REFERENCES {
        // The innermost come first; one that nothing says stays.
        let starts: Vec<usize> = text.match_indices("${").map(|(start, _)| start).collect();
        let next = starts.into_iter().rev().find_map(|start| {
            let end = start + text[start..].find('}')?;
            let inside = &text[start + 2..end];
            let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, rest)| (name, Some(rest)));
            let value = names.get(name).map(String::as_str).or(default).filter(|value| value.len() < 1000)?;
            Some(format!("{}{value}{}", &text[..start], &text[end + 1..]))
        });
        let Some(next) = next else { break };
        text = next;
    }
    text
}

/// The directory of a file, as far as it is known: what follows a reference or a date is not.
fn parent_of(file: &str) -> Option<String> {
    let known = file.find(['$', '%']).map_or(file, |end| &file[..end]);
    plain(known.rsplit_once('/')?.0)
}

/// An absolute path that somebody has to be let write to.
fn plain(directory: &str) -> Option<String> {
    let directory = directory.trim_end_matches('/');
    let is_plain = directory.starts_with('/')
        && directory.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."))
        && directory.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.'));
    let is_other = OTHERS.iter().any(|other| directory == *other || directory.starts_with(&format!("{other}/")));
    (is_plain && !is_other).then(|| directory.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source_tree::SourceTree;
    use crate::toolchain::manifest::pom::wrapper::Invocation;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let pom = "<project><artifactId>m</artifactId></project>";
        let tree = SourceTree::of_texts(files.iter().copied().chain([("pom.xml", pom)]));
        let facts = toml::Table::new();
        let poms = Poms::new(&tree, &facts, Invocation::default(), None);
        let module = Effective::of(&poms, &poms.load("pom.xml").unwrap().unwrap(), &[]).unwrap();
        let configuration = Configuration::of(&poms, &module);
        let found = directories(&poms, &module, &[&module], &configuration);
        found.into_iter().map(|found| found.value).collect()
    }

    #[test]
    fn directories_that_logback_writes_to() {
        let logback = r#"<configuration>
          <property name="home" value="/srv/shop"/><property name="log.path" value="${home}/logs"/>
          <springProperty scope="context" name="audit" source="shop.audit" defaultValue="/data/nowhere"/>
          <appender><file>${log.path}/info.log</file>
            <rollingPolicy><fileNamePattern>${log.path}/%d{yyyy-MM}/info.log</fileNamePattern></rollingPolicy></appender>
          <appender><file>${audit}/audit.log</file></appender>
          <appender><file>${LOGS:-/data/logs}/${HOSTNAME}/a.log</file></appender>
          <appender><file>logs/beside.log</file></appender><appender><file>D:/logs/a.log</file></appender>
          <appender><file>/tmp/a.log</file></appender><appender><file>${unknown}/a.log</file></appender>
        </configuration>"#;
        let yml = ("src/main/resources/application.yml", "shop:\n  audit: /var/audit\n");
        assert_eq!(
            found(&[("src/main/resources/logback-spring.xml", logback), yml]),
            ["/srv/shop/logs", "/var/audit", "/data/logs"]
        );
    }

    #[test]
    fn directories_of_the_configuration() {
        let properties = |text| found(&[("src/main/resources/application.properties", text)]);
        assert_eq!(properties("logging.file.path=/var/log/shop\n"), ["/var/log/shop"]);
        assert_eq!(properties("logging.file=/data/shop/shop.log\n"), ["/data/shop"]);
        assert!(properties("logging.file.name=logs/shop.log\nlogging.path=./logs\n").is_empty());
        assert!(found(&[("src/main/resources/logback.xml", "<configuration>")]).is_empty());
    }
}
