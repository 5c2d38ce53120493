//! The port of an application without a framework's configuration, as its sources tell: the variable `PORT` that it
//! reads, the number that a server is started with, or what its framework takes by itself.

use super::effective::Effective;
use super::facts;
use super::poms::Poms;
use super::source;
use crate::model::failure::Failure;
use crate::model::origin::{Found, Origin};

/// The port that an application is told which reads it from its environment.
pub(super) const TOLD: u16 = 8080;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) port: Option<Found<u16>>,
    /// Whether it reads `PORT`, which the image then says.
    pub(super) variable: bool,
}

/// How the argument begins that may be a port; a comment may stand before it.
const NUMBER: [char; 11] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '/'];

/// Looks into the sources of a module by `[facts.listening]`.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn of(poms: &Poms<'_>, module: &Effective) -> Result<Listening, Failure> {
    let Some(row) = poms.facts.get("listening") else { return Ok(Listening::default()) };
    let files = source::files(poms.tree, &module.pom.directory);
    // Every text is asked for in one go.
    let texts: Vec<(&String, &str)> = files.iter().filter_map(|path| Some((path, poms.tree.text(path)?))).collect();
    let readers = facts::texts(row, "environment");
    if let Some(found) = texts.iter().find_map(|(path, text)| variable(path, text, &readers)) {
        return Ok(Listening { port: Some(found), variable: true });
    }
    let calls = facts::texts(row, "calls");
    let given = |text: &str, call: &str| source::calls(text, call).any(|given| given.starts_with(NUMBER));
    let called = texts.iter().filter(|(_, text)| calls.iter().any(|call| given(text, call)));
    let mut ports = called.flat_map(|(path, text)| numbers(path, text, &calls));
    if let Some(first) = ports.next()
        && ports.all(|other| other.value == first.value)
    {
        return Ok(Listening { port: Some(first), variable: false });
    }
    Ok(Listening { port: default(poms, module)?, variable: false })
}

/// A line that reads the variable `PORT`.
fn variable(path: &str, text: &str, readers: &[&str]) -> Option<Found<u16>> {
    if !text.contains("\"PORT\"") {
        return None;
    }
    let named = |line: &str| ["(\"PORT\"", "[\"PORT\""].iter().any(|name| line.contains(name));
    let reads = |line: &str| named(line) && readers.iter().any(|reader| line.contains(reader));
    let comment = |line: &str| ["//", "*", "/*"].iter().any(|sign| line.trim_start().starts_with(sign));
    let (line, _) = (1u32..).zip(text.lines()).find(|(_, line)| reads(line) && !comment(line))?;
    Some(Found::new(TOLD, Origin::file(path, Some(line), "reads `PORT`")))
}

/// Numbers that servers are started with: `.start(7070)`, `new ServerSocket(9000)`.
fn numbers(path: &str, text: &str, calls: &[&str]) -> Vec<Found<u16>> {
    let tokens = source::tokens(text);
    let found = tokens.windows(4).filter_map(|window| {
        let [(call, line), (open, _), (number, _), (close, _)] = window else { return None };
        let called = calls.contains(call) && *open == "(" && matches!(*close, ")" | ",");
        let port = number.parse::<u16>().ok().filter(|port| called && *port > 79)?;
        Some(Found::new(port, Origin::file(path, Some(*line), format!("{call}({number})"))))
    });
    found.collect()
}

/// What a framework of `[[facts.default_ports]]` listens on.
fn default(poms: &Poms<'_>, module: &Effective) -> Result<Option<Found<u16>>, Failure> {
    for row in facts::rows(poms.facts, "default_ports") {
        let port = row.get("port").and_then(toml::Value::as_integer).and_then(|port| u16::try_from(port).ok());
        if let (Some(origin), Some(port)) = (module.depends_on(&facts::texts(row, "dependencies"))?, port) {
            return Ok(Some(Found::new(port, origin)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_counts_where_it_is_read() {
        let line = |text: &str| variable("A.java", text, &["getenv", "environment"]).map(|found| found.origin.line);
        assert_eq!(line("class A {\n String p = System.getenv(\"PORT\");\n}"), Some(Some(2)));
        assert_eq!(line("builder.environment().get(\"PORT\")"), Some(Some(1)));
        assert_eq!(line("// System.getenv(\"PORT\")\nString s = \"PORT\"; getenv(\"DB_PORT\")"), None);
    }

    #[test]
    fn numbers_are_those_of_calls_that_listen() {
        let ports = |text: &str| {
            numbers("A.java", text, &["start", "ServerSocket"]).iter().map(|found| found.value).collect::<Vec<_>>()
        };
        assert_eq!(ports("app.start(7070); new ServerSocket(9000, 50); // start(1)"), [7070, 9000]);
        assert!(ports("sleep(7070); start(5); start(port); String s = \"start(8080)\";").is_empty());
    }
}
