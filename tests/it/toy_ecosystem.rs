//! The guide `docs/adding-a-toolchain.md`, followed to the letter: its files are overlaid and its plan is made.

use std::collections::BTreeMap;
use std::path::Path;

use slipway::catalog::{Catalog, Files, Operator, embedded};
use slipway::model::source_tree::SourceTree;

use crate::projects;

/// The files of the guide: code blocks that name their path after the language.
fn files() -> Files {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/adding-a-toolchain.md");
    let text = std::fs::read_to_string(guide).unwrap();
    let mut files = BTreeMap::new();
    let mut rest = text.as_str();
    while let Some((_, block)) = rest.split_once("\n```toml ") {
        let (path, block) = block.split_once('\n').unwrap();
        let (content, after) = block.split_once("\n```").unwrap();
        files.insert(path.trim().to_owned(), format!("{content}\n").into_bytes());
        rest = after;
    }
    files
}

fn catalog() -> Catalog {
    let mut all = embedded();
    let added = files();
    assert!(!added.is_empty(), "the guide has no files");
    all.extend(added);
    Catalog::from_files(&all, Operator::default()).unwrap()
}

#[test]
fn the_guides_ecosystem_is_planned_without_new_code() {
    let tree = SourceTree::of_texts([("build.zig", "// a program"), ("src/main.zig", "pub fn main() void {}")]);
    let plan = slipway::plan::plan(&projects::request("order"), &tree, &catalog()).unwrap();
    assert_eq!(plan.toolchain.name, "zig");
    assert_eq!(plan.toolchain.version.as_deref(), Some("0.13"));
    assert_eq!(plan.toolchain.image.as_deref(), Some("harbor.example.com/build/zig:0.13"));
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(plan.steps[0].command, ["zig", "build", "--release=safe", "--prefix", "/output"]);
    assert_eq!(plan.outputs["app"], "/output");
    let image = plan.image.unwrap();
    assert_eq!(image.entrypoint, ["/app/bin/order"]);
    assert_eq!(image.layers.iter().map(|layer| layer.to.as_str()).collect::<Vec<_>>(), ["/app"]);
    let dockerfile = plan.dockerfile.unwrap();
    assert!(dockerfile.contains("COPY layer-application/ /\n"), "{dockerfile}");
    assert!(!dockerfile.contains("RUN"), "{dockerfile}");
}

#[test]
fn settings_reach_the_guides_commands() {
    let tree = SourceTree::of_texts([
        ("build.zig", ""),
        ("slipway.toml", "[toolchain]\nargs = [\"-Dstrip=true\"]\nversion = \"0.12\"\n"),
    ]);
    let plan = slipway::plan::plan(&projects::request("order"), &tree, &catalog()).unwrap();
    assert_eq!(plan.toolchain.version.as_deref(), Some("0.12"));
    assert_eq!(plan.steps[0].command.last().map(String::as_str), Some("-Dstrip=true"));
}

#[test]
fn the_other_ecosystems_are_still_there() {
    let tree = SourceTree::of_texts([
        ("go.mod", "module example.com/order\n\ngo 1.24\n"),
        ("main.go", "package main\n\nfunc main() {}\n"),
    ]);
    let plan = slipway::plan::plan(&projects::request("order"), &tree, &catalog()).unwrap();
    assert_eq!(plan.toolchain.name, "go");
}
