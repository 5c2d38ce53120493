//! The rules of the architecture document (`src/lib.rs`), checked against the sources.

use std::collections::BTreeSet;
use std::path::Path;

use crate::rust_source::{SourceFile, literals, sources, words};

/// The rows, lowest first: a module may name modules of the rows before its own.
const ROWS: &[&[&str]] = &[
    &["model"],
    &["dockerfile", "toolchain"],
    &["catalog"],
    &["plan"],
    &[
        "amqp",
        "artifact",
        "base_images",
        "checkout",
        "clock",
        "config",
        "environment",
        "harbor",
        "http",
        "image",
        "leftovers",
        "machine",
        "message",
        "metrics",
        "output",
        "probes",
        "process",
        "report",
        "runner",
        "sandbox",
        "schema",
        "secrets",
        "traces",
        "trust",
        "work",
        "workspace",
    ],
    &["pipeline"],
    &["worker"],
    &["server"],
    &["cli", "main"],
];

/// Which modules of one row may name each other: the left the right.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("toolchain", "dockerfile"),
    ("checkout", "environment"),
    ("checkout", "process"),
    ("checkout", "secrets"),
    ("checkout", "work"),
    ("harbor", "clock"),
    ("harbor", "config"),
    ("harbor", "http"),
    ("harbor", "secrets"),
    ("http", "clock"),
    ("http", "config"),
    ("image", "harbor"),
    ("image", "environment"),
    ("image", "http"),
    ("image", "secrets"),
    ("image", "work"),
    ("process", "output"),
    ("traces", "http"),
    ("probes", "environment"),
    ("probes", "metrics"),
    ("report", "clock"),
    ("runner", "output"),
    ("runner", "process"),
    ("runner", "sandbox"),
    ("base_images", "image"),
    ("base_images", "leftovers"),
    ("base_images", "work"),
    ("image", "clock"),
    ("image", "leftovers"),
    ("image", "process"),
    ("leftovers", "artifact"),
    ("leftovers", "clock"),
    ("sandbox", "leftovers"),
    ("sandbox", "output"),
    ("sandbox", "process"),
    ("amqp", "clock"),
    ("amqp", "config"),
    ("amqp", "message"),
    ("amqp", "secrets"),
    ("config", "environment"),
    ("machine", "environment"),
    ("machine", "process"),
    ("message", "config"),
    ("schema", "message"),
    ("schema", "config"),
    ("secrets", "config"),
    ("secrets", "environment"),
    ("secrets", "process"),
    ("workspace", "leftovers"),
];

/// What the core must not touch: it takes values and gives values.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "SystemTime",
    "jiff::Timestamp::now",
    "Timestamp::now",
    "tokio",
    "bollard",
    "git2",
    "reqwest",
];

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

fn top(file: &SourceFile) -> String {
    file.module().first().map_or("main", |module| *module).to_owned()
}

fn programs() -> Vec<SourceFile> {
    let files: Vec<_> = sources().into_iter().filter(|file| file.path != "src/lib.rs").collect();
    assert!(files.len() > 50, "the sources were not found");
    files
}

fn none(violations: &[String], rule: &str) {
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}

#[test]
fn rows_import_only_rows_above() {
    let mut violations = Vec::new();
    for file in programs() {
        let module = top(&file);
        let Some(mine) = row(&module) else {
            violations.push(format!("{}: the module `{module}` stands in no row", file.path));
            continue;
        };
        for (line, other) in file.imports() {
            let Some(theirs) = row(&other).filter(|_| other != module) else { continue };
            let neighbour = NEIGHBOURS.contains(&(module.as_str(), other.as_str()));
            if theirs > mine || (theirs == mine && !neighbour) {
                violations.push(format!("{}:{line}: `{module}` names `{other}`", file.path));
            }
        }
    }
    none(&violations, "a row names one that stands below or beside it");
}

#[test]
fn the_core_touches_nothing_outside() {
    let mut violations = Vec::new();
    for file in programs().iter().filter(|file| row(&top(file)).is_some_and(|row| row < 4)) {
        for (line, path) in file.paths() {
            let outside = OUTSIDE.iter().find(|name| path == **name || path.starts_with(&format!("{name}::")));
            // What several threads make of values is a value too: the door to them.
            let door = file.path == "src/model/each.rs";
            if outside.is_some_and(|outside| !(door && *outside == "std::thread")) {
                violations.push(format!("{}:{line}: {path}", file.path));
            }
        }
    }
    none(&violations, "the core does input, output or looks at a clock");
}

#[test]
fn lib_lists_the_rows_in_reading_order() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let rows: Vec<_> = modules.map(|module| (row(module), module)).collect();
    assert!(rows.iter().all(|(row, _)| row.is_some()), "a module stands in no row: {rows:?}");
    assert!(rows.is_sorted_by_key(|(row, _)| *row), "modules out of order: {rows:?}");
}

/// Data knows the ecosystems; code knows manifest formats and archives, each in its one place.
#[test]
fn no_toolchain_is_named_in_the_program() {
    let folders = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("toolchains")).unwrap();
    let folders = folders.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let mut names: BTreeSet<String> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.len() > 3, "the toolchains were not found");
    // A word of Docker's: the name of a step, of a file and of a module.
    names.remove("dockerfile");
    let mut violations = Vec::new();
    for file in programs()
        .iter()
        .filter(|file| !["src/toolchain/manifest/", "src/artifact/"].iter().any(|place| file.path.starts_with(place)))
    {
        let known = |word: &str| names.contains(word) || ["mvn", "pip", "pom", "golang"].contains(&word);
        for (line, literal) in literals(&file.code) {
            // English has a `go` of its own: a sentence may use it, a name may not.
            let words = literal
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| *word != "go" || literal == "go");
            violations.extend(
                words
                    .filter(|word| known(&word.to_lowercase()))
                    .map(|word| format!("{}:{line}: {word} in {literal:?}", file.path)),
            );
        }
        let words = words(&file.code);
        violations.extend(
            words
                .iter()
                .filter(|(_, word)| known(&word.to_lowercase()))
                .map(|(line, word)| format!("{}:{line}: {word}", file.path)),
        );
    }
    none(&violations, "a toolchain is named in the program");
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> =
        sources().into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path).collect();
    none(&silent, "a file does not begin with a `//!` sentence");
}

/// Where packages come from is the operator's choice; where the program was written is nobody's business.
#[test]
fn no_place_of_its_own_is_named() {
    let forbidden = [
        concat!("/wo", "rk/"),
        concat!("../sha", "red"),
        concat!("py", "pi.org"),
        concat!("repo1.maven", ".org"),
        concat!("repo.maven.apache", ".org"),
        concat!("proxy.golang", ".org"),
        concat!("crates", ".io"),
        concat!("registry.npmjs", ".org"),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let walk = ignore::WalkBuilder::new(root).hidden(false).filter_entry(|entry| entry.file_name() != ".git").build();
    let mut violations = Vec::new();
    let mut seen = 0;
    for entry in walk {
        let path = entry.unwrap().into_path();
        // Cargo's own file names its registry.
        if !path.is_file() || path.ends_with("Cargo.lock") {
            continue;
        }
        seen += 1;
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for (index, line) in text.lines().enumerate() {
            let named = forbidden.iter().filter(|name| line.contains(*name));
            violations.extend(
                named.map(|name| format!("{}:{}: {name}", path.strip_prefix(root).unwrap().display(), index + 1)),
            );
        }
    }
    assert!(seen > 100, "the tree was not found");
    none(&violations, "the tree names a place that is not its own");
}
