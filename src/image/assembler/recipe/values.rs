//! Values of a Dockerfile's instructions: paths, ports, durations, variables.

use serde_json::Value;

use super::unsupported;
use crate::dockerfile::instruction::Word;
use crate::model::failure::{Failure, FailureCode};

/// An absolute path, `.` and `..` worked out.
pub(super) fn join(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { directory };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `8080`, `8080/udp`, `8000-8002` as the configuration lists them.
pub(super) fn exposed(line: u32, text: &str) -> Result<Vec<String>, Failure> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last && ["tcp", "udp", "sctp"].contains(&protocol.as_str()) => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => Err(unsupported(line, &format!("the port `{text}`"))),
    }
}

/// A duration as Go writes it: `1m30s`, `500ms`.
pub(super) fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// A word with its variables replaced.
pub(in super::super) fn expand(
    line: u32,
    word: &Word,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    word.expand(lookup).map_err(|error| {
        Failure::new(FailureCode::ImageFailed, format!("line {line} of the Dockerfile: {error}"))
            .at("Dockerfile", Some(line))
    })
}

/// The variables of a configuration, in order.
pub(super) fn environment(config: &Value) -> Vec<(String, String)> {
    let entries = config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
    entries.filter_map(|entry| entry.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Sets a variable in its place, or at the end.
pub(super) fn set_env(config: &mut Value, name: &str, value: &str) {
    let mut all = environment(config);
    match all.iter_mut().find(|(key, _)| key == name) {
        Some((_, old)) => value.clone_into(old),
        None => all.push((name.to_owned(), value.to_owned())),
    }
    config["Env"] = all.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
}
