//! The document of cases is true: its tests are there, and no numbered test is missing in it.

use std::collections::BTreeSet;
use std::path::Path;

/// Names between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The tests below a directory.
fn tests(directory: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(tests(&path));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let functions = text.lines().filter_map(|line| line.strip_prefix("async fn ").or(line.strip_prefix("fn ")));
            names.extend(functions.filter_map(|line| line.split('(').next()).map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_case_is_shown_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/harbor-answers.md")).unwrap();
    let known: BTreeSet<String> =
        ["harbor", "server"].iter().flat_map(|part| tests(&root.join("tests/it").join(part))).collect();
    let mut named = BTreeSet::new();
    for row in text.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let (number, shown) = (cells[0].trim().replace('.', "_"), quoted(cells.last().unwrap()));
        assert!(!shown.is_empty(), "no test shows {number}");
        for test in shown {
            assert!(known.contains(&test), "{number} names `{test}`, and there is no such test");
            named.insert((number.clone(), test));
        }
    }
    for test in known.iter().filter(|test| test.starts_with("case_")) {
        let stands = named.iter().any(|(number, name)| name == test && test.starts_with(&format!("case_{number}_")));
        assert!(stands, "`{test}` stands in no row of its number");
    }
}
