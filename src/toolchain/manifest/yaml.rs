//! Reads of YAML what settings are written in: block mappings of plain and quoted texts, a line each.

use crate::model::origin::{Found, Origin};

/// What a document says, in order: the keys joined by dots in lower case, the text, and its line.
pub(super) type Document = Vec<(String, String, u32)>;

/// Every text of a YAML file, with its key as the origin's detail.
pub(super) fn texts(path: &str, text: &str) -> Vec<Found<String>> {
    let lines = documents(text).into_iter().flatten();
    lines.map(|(key, value, line)| Found::new(value, Origin::file(path, Some(line), key))).collect()
}

/// Documents of a YAML file, as far as block mappings of plain and quoted texts go; an element of a list counts as
/// part of the mapping that holds the list.
pub(super) fn documents(text: &str) -> Vec<Document> {
    let mut documents = vec![Vec::new()];
    let mut levels: Vec<(usize, String)> = Vec::new();
    for (line, number) in text.lines().zip(1u32..) {
        if line.starts_with("---") {
            documents.push(Vec::new());
            levels.clear();
            continue;
        }
        let mut word = line.trim_start();
        while let Some(rest) = word.strip_prefix("- ") {
            word = rest.trim_start();
        }
        let indent = line.len() - word.len();
        let Some((key, value)) = word.split_once(':').filter(|_| !word.starts_with('#')) else { continue };
        if !(value.is_empty() || value.starts_with(char::is_whitespace)) {
            continue;
        }
        levels.retain(|(depth, _)| *depth < indent);
        if levels.len() < 32 && key.len() < 200 {
            levels.push((indent, key.trim().trim_matches(['"', '\'']).to_lowercase()));
        }
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        if !value.is_empty()
            && let Some(document) = documents.last_mut()
        {
            let key = levels.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join(".");
            match value.strip_prefix('{').and_then(|inside| inside.strip_suffix('}')) {
                Some(inside) => document.extend(flow(&key, inside, number)),
                None => document.push((key, value.to_owned(), number)),
            }
        }
    }
    documents
}

/// A mapping in one line, `{ port: 8080 }`, of plain values.
fn flow(key: &str, inside: &str, number: u32) -> Document {
    let word = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    let pairs = inside.split(',').filter_map(|pair| pair.split_once(": "));
    pairs.map(|(name, value)| (format!("{key}.{}", word(name).to_lowercase()), word(value), number)).collect()
}
