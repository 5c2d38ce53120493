//! The port of an application without a framework's configuration, as its sources tell: the variable `PORT` that it
//! reads, the number that a server is started with, or what its framework takes by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::address;
use super::effective::Effective;
use super::facts;
use super::poms::Poms;
use super::source;
use crate::model::failure::{Failure, Warning};
use crate::model::origin::{Found, Origin};

/// The port that an application is told which reads it from its environment.
pub(super) const TOLD: u16 = 8080;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Listening {
    pub(super) port: Option<Found<u16>>,
    /// Whether it reads `PORT`, which the image then says.
    pub(super) variable: bool,
    /// That a server listens on its own host alone.
    pub(super) warning: Option<Warning>,
}

/// How the argument begins that may be a port; a comment may stand before it.
const NUMBER: [char; 11] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '/'];
/// More names of ports than this, which are looked for in every source, are of no program.
const MAX_NAMES: usize = 40;
/// How far behind a call a name of its port may stand.
const NEAR: usize = 200;

/// Looks into the sources of a module by `[facts.listening]`.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn of(poms: &Poms<'_>, module: &Effective, main: Option<&str>) -> Result<Listening, Failure> {
    let Some(row) = poms.facts.get("listening") else { return Ok(Listening::default()) };
    let files = source::files(poms.tree, &module.source_roots());
    // Every text is asked for in one go.
    let texts: Vec<(&String, &str)> = files.iter().filter_map(|path| Some((path, poms.tree.text(path)?))).collect();
    let readers = facts::texts(row, "environment");
    let address::Addressed { port: addressed, warning } = address::of(&texts, row);
    if let Some(found) = texts.iter().find_map(|(path, text)| variable(path, text, &readers)) {
        return Ok(Listening { port: Some(found), variable: true, warning });
    }
    let calls = facts::texts(row, "calls");
    let rest = facts::texts(row, "metrics_calls");
    let given = |text: &str, call: &str| source::calls(text, call).any(|given| given.starts_with(NUMBER));
    let called = texts.iter().filter(|(_, text)| calls.iter().chain(&rest).any(|call| given(text, call)));
    let called: Vec<_> = called.collect();
    let stated = |calls: &[&str]| called.iter().flat_map(|(path, text)| numbers(path, text, calls)).collect::<Vec<_>>();
    let (of_servers, stated_ones) = (stated(&facts::texts(row, "server_calls")), stated(&calls));
    // Of several programs' numbers those count that the file of the class that starts says.
    let main = main.map(|class| format!("/{}.", class.replace('.', "/")));
    let by_main = |path: &str| main.as_deref().is_some_and(|main| path.contains(main));
    let own: Vec<_> =
        stated_ones.iter().filter(|found| found.origin.path.as_deref().is_some_and(by_main)).cloned().collect();
    let found = same(of_servers)
        .or_else(|| same(if stated_ones.is_empty() { named(&texts, row) } else { stated_ones }))
        .or_else(|| same(own))
        .or(addressed)
        .map_or_else(|| default(poms, module), |port| Ok(Some(port)))?;
    // A server of measurements is a program's own only where it has no other.
    Ok(Listening { port: found.or_else(|| same(stated(&rest))), variable: false, warning })
}

/// Why nothing of a program listens: every library that it is built with is one of `[facts.quiet]`, which start no server by
/// themselves, and no source has a word of servers. Whoever depends on anything else may listen.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn silent(poms: &Poms<'_>, closure: &[&Effective]) -> Result<Option<Origin>, Failure> {
    let Some(row) = poms.facts.get("quiet") else { return Ok(None) };
    let (quiet, mut used) = (facts::texts(row, "dependencies"), false);
    let own: BTreeSet<_> = closure.iter().map(|module| (&module.group, &module.artifact)).collect();
    for module in closure {
        for dependency in &module.dependencies {
            let text = |key: &str| module.expand(dependency.text_of(key).unwrap_or_default());
            let (group, artifact) = (text("groupId")?, text("artifactId")?);
            let known = || quiet.iter().any(|pattern| facts::matches(pattern, &group, &artifact, ""));
            if text("scope")? == "test" || own.contains(&(&group, &artifact)) {
                continue;
            }
            if !known() {
                return Ok(None);
            }
            used = true;
        }
    }
    let roots: Vec<String> = closure.iter().flat_map(|module| module.source_roots()).collect();
    let files = source::files(poms.tree, &roots);
    // Every text is asked for in one go.
    let texts: Vec<&str> = files.iter().filter_map(|path| poms.tree.text(path)).collect();
    let words = facts::texts(row, "words");
    let loud = !used || closure.iter().any(|module| module.open) || texts.is_empty();
    let silent = !loud && !texts.iter().any(|text| words.iter().any(|word| text.contains(word)));
    Ok(silent.then(|| Origin::default("no library and no source of it serves")))
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

/// The port that all of some places name.
fn same(ports: Vec<Found<u16>>) -> Option<Found<u16>> {
    let mut ports = ports.into_iter();
    let first = ports.next()?;
    ports.all(|other| other.value == first.value).then_some(first)
}

/// Ports that calls name by a constant or a field, or as what counts where nothing else is said:
/// `port(PORT)`, `start(arguments.getListenPort())`, `listen(config().getInteger("http.port", 8888))`, and those that stand
/// behind an address.
fn named(texts: &[(&String, &str)], row: &toml::Value) -> Vec<Found<u16>> {
    let (calls, behind) = (facts::texts(row, "named_calls"), facts::texts(row, "calls_with_address"));
    let defaults = facts::texts(row, "defaults");
    let likely = |given: &str| {
        let mut end = given.len().min(NEAR);
        while !given.is_char_boundary(end) {
            end -= 1;
        }
        let near = &given[..end];
        near.contains("ort") || near.contains("ORT") || defaults.iter().any(|default| near.contains(default))
    };
    let (mut found, mut known) = (Vec::new(), BTreeMap::new());
    for (path, text) in texts {
        let near = calls.iter().any(|call| source::calls(text, call).any(likely))
            || behind.iter().any(|call| source::calls(text, call).next().is_some());
        let tokens = if near { source::tokens(text) } else { Vec::new() };
        for (index, (call, line)) in tokens.iter().enumerate() {
            let place = usize::from(!calls.contains(call));
            if (place == 1 && !behind.contains(call)) || tokens.get(index + 1).is_none_or(|(open, _)| *open != "(") {
                continue;
            }
            let argument = argument(&tokens[index + 2..], place);
            let port = match argument[..] {
                [number] if place == 1 => number.parse().ok(),
                _ => default_in(&argument, &defaults).or_else(|| {
                    let name =
                        constant_of(&argument).filter(|name| known.len() < MAX_NAMES || known.contains_key(name))?;
                    *known.entry(name).or_insert_with_key(|name| constant(texts, name))
                }),
            };
            let origin = || Origin::file(*path, Some(*line), format!("{call}({})", argument.concat()));
            found.extend(port.filter(|port| *port > 79).map(|port| Found::new(port, origin())));
        }
    }
    found
}

/// The words of one of the arguments that stand before a closing parenthesis.
fn argument<'t>(tokens: &[(&'t str, u32)], place: usize) -> Vec<&'t str> {
    let (mut depth, mut at, mut words) = (0usize, 0, Vec::new());
    for (token, _) in tokens.iter().take(60) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return words,
            ")" | "]" | "}" => depth -= 1,
            "," if depth == 0 => at += 1,
            _ => {}
        }
        if at > place {
            return words;
        }
        if at == place && !(depth == 0 && *token == ",") {
            words.push(*token);
        }
    }
    Vec::new()
}

/// The number that counts where nothing else is said: the last word of a call such as `getInteger("port", 8888)`.
fn default_in(argument: &[&str], defaults: &[&str]) -> Option<u16> {
    let at = argument.iter().position(|word| defaults.contains(word))?;
    let end = at + argument[at..].iter().position(|word| *word == ")")?;
    argument[end.checked_sub(1)?].parse().ok()
}

/// The name that an argument ends with, where it says that it is a port; of `getListenPort()` that of the field.
fn constant_of(argument: &[&str]) -> Option<String> {
    let name = argument.iter().rev().find(|word| !matches!(**word, "(" | ")"))?;
    let field = name.strip_prefix("get").filter(|rest| rest.starts_with(char::is_uppercase)).map(|rest| {
        let mut letters = rest.chars();
        letters.next().map(|first| format!("{}{}", first.to_lowercase(), letters.as_str())).unwrap_or_default()
    });
    let name = field.unwrap_or_else(|| (*name).to_owned());
    name.to_lowercase().contains("port").then_some(name)
}

/// The only number that the sources give to a name.
fn constant(texts: &[(&String, &str)], name: &str) -> Option<u16> {
    let mut values: Vec<u16> = Vec::new();
    for (_, text) in texts.iter().filter(|(_, text)| text.contains(name)) {
        let tokens = source::tokens(text);
        let words: Vec<&str> = tokens.iter().map(|(word, _)| *word).collect();
        for (index, _) in words.iter().enumerate().filter(|(_, word)| **word == name) {
            let rest = &words[index + 1..];
            // Kotlin's `val port: Int = 8080`.
            let rest = if rest.first() == Some(&":") { rest.get(2..).unwrap_or_default() } else { rest };
            if let ["=", number, ..] = rest
                && let Ok(value) = number.parse()
                && !values.contains(&value)
            {
                values.push(value);
            }
        }
    }
    if let [only] = values[..] { Some(only) } else { None }
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
    fn names_stand_for_the_only_number_that_they_are_given() {
        let row: toml::Value = toml::from_str(
            "named_calls = [\"port\", \"listen\", \"start\"]\ncalls_with_address = [\"newServerAt\"]\ndefaults = [\"getInteger\"]",
        )
        .unwrap();
        let ports = |sources: &[&str]| {
            let path = "A.java".to_owned();
            let texts: Vec<(&String, &str)> = sources.iter().map(|text| (&path, *text)).collect();
            named(&texts, &row).iter().map(|found| found.value).collect::<Vec<_>>()
        };
        let options = "class O { @P(names = \"-port\") Integer port = 5432; @P(names = \"-listen-port\") int listenPort = 2322; }";
        assert_eq!(ports(&["port(options.getListenPort());", options]), [2322]);
        assert_eq!(ports(&["static final int PORT = 8000; void a() { app.start(Main.PORT); }"]), [8000]);
        assert_eq!(ports(&["const val SHOP_PORT: Int = 8001\nfun main() { start(SHOP_PORT) }"]), [8001]);
        assert_eq!(ports(&["server.listen(config().getInteger(\"http.port\", 8888), done -> {});"]), [8888]);
        assert_eq!(ports(&["Http.get(system).newServerAt(\"0.0.0.0\", 9005).bind(routes);"]), [9005]);
        assert!(ports(&["start(retries)", "int retries = 8000;"]).is_empty());
        assert!(ports(&["start(port); int port = 8000;", "class B { int port = 9000; }"]).is_empty());
        assert!(ports(&["listen(config().getInteger(\"http.port\"))", "é start(", "port(("]).is_empty());
    }

    #[test]
    fn what_a_server_alone_is_told_counts_before_what_clients_are_told_too() {
        let facts: toml::Table = toml::from_str(include_str!("../../../../toolchains/maven/facts.toml")).unwrap();
        let port = |source: &str| {
            let tree = crate::model::source_tree::SourceTree::of_texts([
                ("pom.xml", "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version></project>"),
                ("src/main/java/A.java", source),
            ]);
            let poms = Poms::new(&tree, &facts, super::super::wrapper::Invocation::of(std::iter::empty()), None);
            let pom = poms.load("pom.xml").unwrap().unwrap();
            of(&poms, &Effective::of(&poms, &pom, &[]).unwrap(), None).unwrap().port.map(|found| found.value)
        };
        assert_eq!(port("database.setPort(5432); vertx.createHttpServer().listen(8888);"), Some(8888));
        assert_eq!(port("options.setPort(8081); vertx.createHttpServer(options).listen();"), Some(8081));
        assert_eq!(port("a.listen(8888); b.listen(8889);"), None);
        assert_eq!(port("int port = 50051; server = ServerBuilder.forPort(port).build();"), Some(50051));
        assert_eq!(port("Grpc.newServerBuilderForPort(9996, credentials).build().start();"), Some(9996));
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
