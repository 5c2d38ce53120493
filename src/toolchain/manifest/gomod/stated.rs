//! The port that a file of settings names which the program opens: `server: { port: 8000 }` in YAML, TOML, JSON or INI.

use super::ports::{Known, address, is_loopback};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, join};

/// Larger files are data, not settings.
const LARGEST: usize = 64 * 1024;

/// A port, and the address that has it where nothing outside the container reaches that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) port: Found<u16>,
    pub(super) local: Option<String>,
}

/// The first that a file among the assets names, in the order of their paths.
pub(super) fn port(
    tree: &SourceTree,
    facts: &toml::Table,
    known: &Known<'_>,
    directory: &str,
    assets: &[String],
) -> Option<Stated> {
    let list = |table: &str| facts.get(table).and_then(|table| table.get("settings")).and_then(toml::Value::as_array);
    let endings = list("opening").into_iter().chain(list("listening")).flatten();
    let endings: Vec<&str> = endings.filter_map(toml::Value::as_str).collect();
    assets.iter().filter_map(|asset| join(directory, asset)).find_map(|asset| {
        let single = tree.has_file(&asset).then_some(asset.as_str());
        let mut files = single.into_iter().chain(tree.below(&asset).map(|(path, _)| path));
        files.find_map(|path| {
            let text = tree.text(path).filter(|text| text.len() <= LARGEST)?;
            let read = endings.iter().any(|ending| path.ends_with(ending));
            let (port, line, value) = read.then(|| of_text(text, known)).flatten()?;
            let local = address(value).filter(|(host, _)| is_loopback(host)).map(|_| value.to_owned());
            let port = Found::new(port, Origin::file(path, Some(line), "a setting of the program"));
            Some(Stated { port, local })
        })
    })
}

/// The first line whose key says that it is about listening, outside sections about something else.
fn of_text<'t>(text: &'t str, known: &Known<'_>) -> Option<(u16, u32, &'t str)> {
    let mut sections: Vec<(Option<usize>, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';', '/']) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let Some(section) = content.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            sections = vec![(None, section.to_owned())];
            continue;
        }
        let Some((key, value)) = content.split_once([':', '=']) else { continue };
        let key = key.trim().trim_start_matches("- ").trim_matches('"');
        let value = value.split(" #").next().unwrap_or_default().trim().trim_end_matches(',').trim_matches(['"', '\'']);
        // What is indented as much has ended; what stands in brackets goes on.
        sections.retain(|(at, _)| at.is_none_or(|at| at < indent));
        if value.is_empty() || value == "{" {
            sections.push((Some(indent), key.to_owned()));
            continue;
        }
        let number_of = || value.parse().ok().filter(|port| *port > 0 && key.to_lowercase().contains("port"));
        let port = address(value).map(|(_, port)| port).or_else(number_of);
        let elsewhere = sections.iter().any(|(_, section)| known.is_aside(section));
        let own = |port: &u16| !elsewhere && known.named(key).is_some() && !known.others.contains(port);
        if let Some(port) = port.filter(own) {
            return Some((port, number, value));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_the_port_of_their_server() {
        let facts: toml::Table =
            "[listening]\nnames = [\"addr\", \"port\", \"httpport\"]\naside = [\"grpc\", \"redis\"]\nothers = [5432]"
                .parse()
                .unwrap();
        let known = Known::of(&facts);
        for (text, expected) in [
            ("database:\n  port: 5432\nport: 8000 # HTTP\n", Some((8000, 3))),
            ("server:\n  grpc:\n    addr: 0.0.0.0:9000\n  http:\n    addr: 0.0.0.0:8000\n", Some((8000, 5))),
            ("; x\n[redis]\nPort = 7000\n\n[server]\nRunMode = debug\nHttpPort = 8001\n", Some((8001, 7))),
            ("{\n  \"redis\": {\n    \"port\": 7000\n  },\n  \"port\": \":8002\",\n}\n", Some((8002, 5))),
            ("addr: db.example.com:80\nname: port\nport: ${PORT}\n", None),
        ] {
            assert_eq!(of_text(text, &known).map(|(port, line, _)| (port, line)), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "([a-z]{0,3}[:=\\[\\]{}\", \n#é]){0,30}") {
            let _ = of_text(&text, &Known::of(&toml::Table::new()));
        }
    }
}
