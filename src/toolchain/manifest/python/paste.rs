//! Applications that a file of `PasteDeploy` describes, as Pyramid's are (its documentation, "Startup").

use super::dependencies::Dependencies;
use super::ini::{self, Line};
use super::layout::Sources;
use super::server;
use super::start::Entry;
use super::text::{below, inside};
use crate::model::origin::{Decision, Found, Origin, Rejected};
use crate::model::source_tree::SourceTree;
use serde_json::json;

/// Where repositories keep them.
const PLACES: [&str; 6] = ["", "conf", "config", "etc", "deploy", "ini"];

/// The rank of files that describe something else than the application.
const ASIDE: usize = 4;

/// A file that describes an application.
struct Described<'t> {
    path: &'t str,
    lines: Vec<Line<'t>>,
    /// The line of its `main`.
    number: u32,
}

/// The application of the file for production, or of the only other one.
pub(super) fn find(sources: &Sources<'_>, dependencies: &Dependencies, facts: &toml::Table) -> Option<Entry> {
    let (tree, directory) = (sources.tree, sources.directory);
    let places = PLACES.map(|place| inside(directory, place));
    let files = places.iter().flat_map(|place| tree.files_in(place));
    let files = files.filter(|path| path.rsplit_once('.').is_some_and(|(_, ending)| ending == "ini"));
    let mut found: Vec<Described<'_>> = files.filter_map(|path| described(tree, path)).collect();
    // What tests and single workers are started with is not the application.
    found.retain(|one| rank(one.path) < ASIDE);
    found.sort_by_key(|one| rank(one.path));
    let chosen = found.first()?;
    if found.get(1).is_some_and(|other| rank(other.path) == rank(chosen.path)) {
        return None;
    }
    let name = below(directory, chosen.path).to_owned();
    let origin = Origin::file(chosen.path, Some(chosen.number), "PasteDeploy application");
    let rejected = found[1..].iter().map(|other| Rejected {
        value: json!(below(directory, other.path)),
        origin: Origin::file(other.path, Some(other.number), "PasteDeploy application"),
        why: "the other is for production".into(),
    });
    // `egg:` is found by the metadata of an installed distribution: the project's own has its package's name.
    let own = |line: &Line<'_>| {
        let name = line.value.strip_prefix("egg:").filter(|_| line.key == "use").unwrap_or_default();
        let name = name.split('#').next().unwrap_or_default().to_lowercase().replace(['-', '.'], "_");
        let there = |place: &str| tree.has_directory(&inside(&inside(directory, place), &name));
        !name.is_empty() && (there("") || there("src"))
    };
    let installed = chosen.lines.iter().any(own)
        && ["setup.py", "setup.cfg", "pyproject.toml"].iter().any(|name| tree.has_file(&inside(directory, name)));
    let entry = Entry { installed, ..Entry::new("pyramid", name.clone(), origin).decided(rejected.collect()) };
    if let Some(port) = listens(chosen).filter(|_| dependencies.may_have("pyramid")) {
        return Some(Entry { command: vec!["pserve".to_owned(), name], port: Some(port), ..entry });
    }
    // Its server listens on loopback only, or is not described: Gunicorn reads the application alone.
    let requirement = (!dependencies.has("gunicorn")).then(|| server::pinned("gunicorn", facts));
    let stated = dependencies.list.iter().find(|r| r.name == "gunicorn").map(|r| r.origin.clone());
    let mut decisions = entry.decisions.clone();
    decisions.push(Decision {
        key: "server".into(),
        value: json!(requirement.as_deref().unwrap_or("gunicorn")),
        origin: stated.unwrap_or_else(|| {
            Origin::default("what the file describes listens on no address outside; `gunicorn` is added")
        }),
        rejected: Vec::new(),
    });
    let port = Found::new(server::PORT, Origin::default("the port that `gunicorn` is told"));
    let command = server::listening(&["gunicorn", "--access-logfile", "-", "--paste", &name], "--bind");
    Some(Entry { command, port: Some(port), requirement, decisions, ..entry })
}

fn described<'t>(tree: &'t SourceTree, path: &'t str) -> Option<Described<'t>> {
    let lines = ini::lines(tree.text(path)?);
    let main = |line: &&Line<'_>| matches!(line.section, "app:main" | "composite:main" | "pipeline:main");
    let number = lines.iter().find(main)?.number;
    let uses = lines.iter().any(|line| {
        matches!(line.key, "use" | "paste.app_factory" | "paste.composite_factory")
            && !line.section.starts_with("server:")
    });
    uses.then_some(Described { path, lines, number })
}

/// Those for production first, those for development last.
fn rank(path: &str) -> usize {
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".ini");
    match name {
        "production" | "prod" => 0,
        _ if name.contains("prod") => 1,
        _ if ["test", "tox", "websocket", "worker"].iter().any(|word| name.contains(word)) => ASIDE,
        _ if name.contains("dev") || name.contains("local") => 3,
        _ => 2,
    }
}

/// The port of `[server:main]`, where it listens on all addresses (waitress: `listen`, `host` and `port`).
fn listens(file: &Described<'_>) -> Option<Found<u16>> {
    let value = |key: &str| file.lines.iter().rfind(|line| line.section == "server:main" && line.key == key);
    let everywhere = |host: &str| matches!(host, "*" | "0.0.0.0" | "[::]");
    let (line, port) = match (value("listen"), value("host"), value("port")) {
        (Some(listen), ..) => {
            let (_, port) = listen
                .value
                .split_whitespace()
                .find_map(|address| address.rsplit_once(':').filter(|(host, _)| everywhere(host)))?;
            (listen, port)
        }
        (None, Some(host), Some(port)) if everywhere(host.value) => (port, port.value),
        _ => return None,
    };
    let port = port.parse().ok().filter(|port| *port > 0)?;
    Some(Found::new(port, Origin::file(file.path, Some(line.number), "server:main")))
}
