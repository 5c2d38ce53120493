//! Planning takes time in proportion to a manifest's size, whatever stands in it.

use slipway::model::source_tree::SourceTree;
use slipway::plan::plan;

use crate::projects::{catalog, request};

/// Sizes of the two texts that are compared.
const SMALL: usize = 64 << 10;
const LARGE: usize = 4 * SMALL;

/// The longest tick of a Linux kernel that is in use, in nanoseconds.
const TICK: f64 = 4e6;

/// How much more the large one may take: 4 is in proportion, 16 would be its square.
const AT_MOST: f64 = 10.0;

/// File, start, repeated part, and the files beside it.
type Text = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Texts that grow: a file's name, what stands before, what is repeated, and the other files that make it looked at.
const TEXTS: &[Text] = &[
    ("go.mod", "module example.com/a\n\ngo 1.26\n\nrequire (\n", "\texample.com/b v1.0.0\n", &[("main.go", MAIN)]),
    ("go.mod", "module example.com/a\n\ngo 1.26\n", "(", &[("main.go", MAIN)]),
    ("go.work", "go 1.26\n", "use ./a\n", &[("go.mod", MOD), ("main.go", MAIN)]),
    ("main.go", "package main\n\nfunc main() { f", "(\"", &[("go.mod", MOD)]),
    ("main.go", "package main\n\nvar a = ", "g(\":8080\", ", &[("go.mod", MOD)]),
    ("main.go", "//go:build ", "(linux || !", &[("go.mod", MOD)]),
    (
        "main.go",
        "package main\n\nfunc main() {}\n",
        "//go:embed *a*a*a*a*b ",
        &[("go.mod", MOD), ("aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "")],
    ),
    ("main.go", "package main\n\nfunc main() {}\n", "/* */ `", &[("go.mod", MOD)]),
    ("requirements.txt", "", "flask==3.0.3 ; python_version > '3' \\\n", &[("app.py", APP)]),
    ("requirements.txt", "", "a[", &[("app.py", APP)]),
    (
        "pyproject.toml",
        "[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\n",
        "\"flask>=3\",\n",
        &[("app.py", APP)],
    ),
    ("pyproject.toml", "a = ", "[", &[("app.py", APP)]),
    ("pom.xml", "<project>", "<a>", &[]),
    ("pom.xml", "<project><properties>", "<a>${a}</a>", &[]),
    ("Dockerfile", "FROM scratch\n", "ENV A=\"${A:-$A}\" \\\n", &[]),
    ("Dockerfile", "FROM scratch\n", "COPY [\"a\", \"b\"]\n", &[]),
    ("slipway.toml", "[runtime]\nargs = ", "[", &[("go.mod", MOD), ("main.go", MAIN)]),
];

const MOD: &str = "module example.com/a\n\ngo 1.26\n";
const MAIN: &str = "package main\n\nfunc main() {}\n";
const APP: &str = "from flask import Flask\n\napp = Flask(__name__)\n";

/// Nanoseconds that this thread has been on a processor (proc(5), `schedstat`): others that are busy do not count.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts a thread's time");
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn time(size: usize, (name, before, repeated, others): &(&str, &str, &str, &[(&str, &str)])) -> f64 {
    let text = format!("{before}{}", repeated.repeat((size - before.len()) / repeated.len()));
    let files = others.iter().copied().chain([(*name, text.as_str())]);
    let tree = SourceTree::of_texts(files);
    let (request, catalog) = (request("order"), catalog());
    let began = processor_time();
    // Planned or refused: either is an answer.
    let _ = plan(&request, &tree, &catalog);
    processor_time() - began
}

#[test]
fn time_grows_with_size_alone() {
    let mut slow = Vec::new();
    for text in TEXTS {
        let fastest = |size| (0..5).map(|_| time(size, text)).fold(f64::INFINITY, f64::min);
        // The kernel counts in ticks: less than one is none.
        let ratio = fastest(LARGE) / fastest(SMALL).max(TICK);
        if ratio > AT_MOST {
            slow.push(format!("{} of `{}` repeated: {ratio:.1} times as long", text.0, text.2.trim()));
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}
