//! Directories that a framework looks for beside the program by a name of its own, which the program need not say: beego's
//! `conf`, `views` and `static`.

use super::ports::File;

/// What the rows of `[[facts.conventions]]` say whose modules the program imports: the importing file, its line, a directory.
pub(super) fn of<'a>(facts: &'a toml::Table, files: &'a [File<'_>]) -> Vec<(&'a str, u32, &'a str)> {
    let mut found = Vec::new();
    for (row, path, line) in imported(facts, files) {
        found.extend(texts(row, "directories").map(|directory| (path, line, directory)));
    }
    found
}

/// Variables by which such a framework is told to listen for others, with the importing file and its line.
pub(super) fn variables<'a>(facts: &'a toml::Table, files: &'a [File<'_>]) -> Vec<(&'a str, u32, &'a str, &'a str)> {
    let mut found = Vec::new();
    for (row, path, line) in imported(facts, files) {
        let table = row.get("variables").and_then(toml::Value::as_table).into_iter().flatten();
        found.extend(table.filter_map(|(name, value)| Some((path, line, name.as_str(), value.as_str()?))));
    }
    found
}

/// The rows, and where the program imports a module of each first.
fn imported<'a>(facts: &'a toml::Table, files: &'a [File<'_>]) -> Vec<(&'a toml::Value, &'a str, u32)> {
    let rows = facts.get("conventions").and_then(toml::Value::as_array).into_iter().flatten();
    let first = |row: &'a toml::Value| {
        let imports = |text: &str| {
            texts(row, "modules")
                .any(|module| text.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        let mut found = files
            .iter()
            .filter_map(|(path, mentions)| Some((*path, mentions.iter().find(|mention| imports(&mention.text))?.line)));
        found.next().map(|(path, line)| (row, path, line))
    };
    rows.filter_map(first).collect()
}

fn texts<'a>(row: &'a toml::Value, key: &str) -> impl Iterator<Item = &'a str> {
    row.get(key).and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str)
}
