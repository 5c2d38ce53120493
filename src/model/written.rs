//! TOML that people write: read into a type, or told what is wrong with it, where, and in people's words.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, with the key it is about. A text's own value is not told: it may be a secret.
    pub message: String,
    /// From 1.
    pub line: Option<u32>,
    /// In characters, from 1.
    pub column: Option<u32>,
}

/// Reads a text.
///
/// # Errors
/// What is wrong first.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Wrong> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let key = error.span().and_then(|span| key_at(text, span.start)).unwrap_or_default();
        wrong(text, about(&key, error.message()), &error)
    })
}

/// Reads what was put together of several texts; without places, as there is no text that has them.
///
/// # Errors
/// What is wrong first.
pub fn read_table<T: DeserializeOwned>(table: &toml::Table) -> Result<T, String> {
    let text = toml::to_string(table).map_err(|error| error.to_string())?;
    read(&text).map_err(|wrong| wrong.message)
}

/// What a parser says about its input, with the place where it stands.
#[must_use]
pub fn wrong(text: &str, message: String, error: &toml::de::Error) -> Wrong {
    let place = error.span().and_then(|span| position(text, span.start)).unzip();
    Wrong { message, line: place.0, column: place.1 }
}

/// The key that is at a byte, or whose value is. To have readers note the way to each value would make the program a
/// megabyte larger.
fn key_at(text: &str, byte: usize) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    below("", document.get_ref(), byte)
}

fn below(key: &str, table: &DeTable<'_>, byte: usize) -> Option<String> {
    table.iter().find_map(|(name, value)| {
        let own = if key.is_empty() { name.get_ref().to_string() } else { format!("{key}.{}", name.get_ref()) };
        within(&own, value, byte).or_else(|| name.span().contains(&byte).then_some(own))
    })
}

fn within(key: &str, value: &Spanned<DeValue<'_>>, byte: usize) -> Option<String> {
    let inner = match value.get_ref() {
        DeValue::Table(table) => below(key, table, byte),
        DeValue::Array(all) => {
            all.iter().enumerate().find_map(|(index, value)| within(&format!("{key}[{index}]"), value, byte))
        }
        _ => None,
    };
    inner.or_else(|| value.span().contains(&byte).then(|| key.to_owned()))
}

/// Line and column of a byte.
fn position(text: &str, byte: usize) -> Option<(u32, u32)> {
    let before = text.get(..byte)?;
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

/// `invalid type: integer `8080`, expected a sequence`, in words for people who write no Rust.
fn about(key: &str, message: &str) -> String {
    let wrong = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        Some((found, expected)) => format!("`{key}` is {}, and has to be {}", is(found), has_to_be(expected)),
        None if key.is_empty() => message.to_owned(),
        None => format!("`{key}`: {message}"),
    }
}

fn is(found: &str) -> String {
    match found.split(' ').next().unwrap_or_default() {
        "string" => "a text".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        "floating" => found.replacen("floating point", "the number", 1),
        "integer" => found.replacen("integer", "the number", 1),
        _ => found.to_owned(),
    }
}

fn has_to_be(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list: `[…]`",
        "a string" | "path string" => "a text in quotes",
        "a boolean" => "`true` or `false`",
        "a map" => "a table",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number",
        _ if expected.starts_with("struct ") => "a table",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::Settings;

    fn wrong_with(text: &str) -> (String, Option<u32>, Option<u32>) {
        let wrong = read::<Settings>(text).unwrap_err();
        (wrong.message, wrong.line, wrong.column)
    }

    #[test]
    fn what_is_wrong_has_a_key_a_place_and_plain_words() {
        let ports = "`runtime.ports[1]` is the number `99999`, and has to be a whole number from 0 to 65535";
        assert_eq!(wrong_with("[runtime]\n  ports = [1, 99999]\n"), (ports.into(), Some(2), Some(15)));
        let web = "`processes.web` is a text, and has to be a list: `[…]`";
        assert_eq!(wrong_with("[processes]\nweb = 'é hunter2'\n"), (web.into(), Some(2), Some(7)));
        let (message, line, column) = wrong_with("runtime = 1");
        assert_eq!(
            (message.as_str(), line, column),
            ("`runtime` is the number `1`, and has to be a table", Some(1), Some(11))
        );
        let (message, line, column) = wrong_with("[runtime]\nport = 1\n");
        assert!(message.contains("unknown field `port`") && message.contains("`ports`"), "{message}");
        assert_eq!((line, column), (Some(2), Some(1)));
        let (message, line, column) = wrong_with("# é\n[runtime\n");
        assert!(message.contains("unclosed table"), "{message}");
        assert_eq!((line, column), (Some(2), Some(9)));
    }

    #[test]
    fn what_was_put_together_is_told_by_key() {
        let table = toml::from_str("[toolchain]\nversion = 17\n").unwrap();
        let message = read_table::<Settings>(&table).unwrap_err();
        assert_eq!(message, "`toolchain.version` is the number `17`, and has to be a text in quotes");
    }
}
