//! Directories that a framework looks for beside the program by a name of its own, which the program need not say: beego's
//! `conf`, `views` and `static`.

use super::ports::File;

/// What the rows of `[[facts.conventions]]` say whose modules the program imports: the importing file, its line, a directory.
pub(super) fn of<'a>(facts: &'a toml::Table, files: &'a [File<'_>]) -> Vec<(&'a str, u32, &'a str)> {
    let rows = facts.get("conventions").and_then(toml::Value::as_array).into_iter().flatten();
    let texts = |row: &'a toml::Value, key: &str| {
        row.get(key).and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str)
    };
    let mut found = Vec::new();
    for row in rows {
        let imports = |text: &str| {
            texts(row, "modules")
                .any(|module| text.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        let first = files
            .iter()
            .find_map(|(path, mentions)| Some((*path, mentions.iter().find(|mention| imports(&mention.text))?.line)));
        if let Some((path, line)) = first {
            found.extend(texts(row, "directories").map(|directory| (path, line, directory)));
        }
    }
    found
}
