//! Hands a text to a reader, in a small repository that makes it looked at.

use slipway::model::source_tree::SourceTree;
use slipway::toolchain::findings::Inspection;
use slipway::toolchain::manifest;

/// Reads a file of this name and text: no input may panic.
pub fn read(reader: &str, name: &str, text: &str) {
    let tree = SourceTree::of_texts([
        ("main.go", "package main\n\nfunc main() {}\n"),
        ("app.py", "from flask import Flask\n\napp = Flask(__name__)\n"),
        (name, text),
    ]);
    let facts = toml::Table::new();
    let read = manifest::reader(reader).expect("the reader is known");
    let _ = read(&Inspection {
        tree: &tree,
        directory: "",
        application: "app",
        module: None,
        process: None,
        command_given: false,
        library: false,
        extras: &[],
        args: &[],
        facts: &facts,
    });
}
