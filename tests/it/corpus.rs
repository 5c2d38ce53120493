//! `tests/corpus.toml` can be read by its runner, and every row says what it wants to see.

#[allow(dead_code, reason = "the runner uses the rest")]
#[path = "../corpus/rows.rs"]
mod rows;

use std::path::Path;

use slipway::model::failure::FailureCode;

#[test]
fn the_rows_of_the_corpus_are_whole() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus.toml");
    let toolchains = crate::projects::catalog().toolchains.into_keys().collect();
    let codes = FailureCode::ALL.iter().map(|code| code.name()).collect();
    let rows = rows::read(&file, &toolchains, &codes).unwrap_or_else(|why| panic!("{why}"));
    for row in &rows {
        // Hints are settings, in the form that `--set` takes.
        for hint in &row.hints {
            let assigned = hint.split_once('=').is_some_and(|(key, value)| key.contains('.') && !value.is_empty());
            assert!(assigned, "{}: `{hint}` is no `KEY=VALUE`", row.id());
        }
    }
}

#[test]
fn a_row_without_a_question_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let row = |rest: &str| {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let text = format!("[[repository]]\nname = \"a/b\"\ncommit = \"{commit}\"\necosystem = \"go\"\n{rest}\n");
        std::fs::write(file.path(), text).unwrap();
        rows::read(file.path(), &["go".to_owned()].into(), &["manifest_invalid"].into()).map(|rows| rows.len())
    };
    assert_eq!(row("probe = { path = \"/\" }"), Ok(1));
    assert_eq!(row("outcome = \"manifest_invalid\""), Ok(1));
    for (rest, why) in [
        ("", "what runs has a probe"),
        ("probe = {}", "either a `path` or a `log`"),
        ("outcome = \"sinks\"", "neither `runs` nor `library`"),
        ("ecosystem = \"cobol\"", "duplicate key"),
        ("probes = 1", "unknown field"),
    ] {
        let refused = row(rest).unwrap_err();
        assert!(refused.contains(why), "{rest}: {refused}");
    }
}
