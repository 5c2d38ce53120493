//! The operating guide promises only what a case shows.

use std::collections::BTreeSet;
use std::path::Path;

/// The tests in the files of a directory, and of those below it.
fn tests(directory: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            names.extend(tests(&path));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // What follows the attribute, and others after it, up to the name.
        for test in ["\n#[test]", "\n#[tokio::test"].iter().flat_map(|attribute| text.split(attribute).skip(1)) {
            let name = test.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            names.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

#[test]
fn every_row_of_the_fault_table_names_its_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(root.join("docs/operating.md")).unwrap();
    let table = guide.split("| fault | what happens | reports | case |\n").nth(1).unwrap();
    let (known, mut named) = (tests(&root.join("tests/it")), BTreeSet::new());
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let cases = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
        let cases: Vec<&str> = cases.split('`').skip(1).step_by(2).collect();
        assert!(!cases.is_empty(), "no case shows this: {row}");
        for case in cases {
            assert!(known.contains(case), "there is no test `{case}`: {row}");
            named.insert(case.to_owned());
        }
    }
    let missing: Vec<String> = tests(&root.join("tests/it/faults")).difference(&named).cloned().collect();
    assert_eq!(missing, ["every_row_of_the_fault_table_names_its_case", "many_builds_meet_random_faults"]);
}
