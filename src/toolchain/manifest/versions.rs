//! Small files that state a tool's version: `.java-version`, `.tool-versions`, `runtime.txt` ….
//!
//! Each function takes the file's path, for messages and origins, and its text, and gives the
//! versions in the file's order with their lines. `system`, `latest`, `ref:…` and `path:…` state none.

use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Found, Origin};
use crate::toolchain::version::Version;

/// `.java-version`, `.python-version`, `.go-version`, `runtime.txt`: a version a line, with an
/// optional name in front (`python-3.11.4`, `temurin-17.0.9`, `go1.22`).
///
/// # Errors
/// `manifest_invalid` with the line that is no version.
pub fn version_lines(path: &str, text: &str) -> Result<Vec<Found<Version>>, Failure> {
    let stated = lines(text).map(|(line, text)| (line, text, "version"));
    collect(path, stated)
}

/// `.tool-versions` of asdf and mise: `java temurin-17.0.9+9`, several versions after one tool's name.
///
/// # Errors
/// `manifest_invalid` with the line that is no version.
pub fn tool_versions(path: &str, text: &str, tool: &str) -> Result<Vec<Found<Version>>, Failure> {
    let stated = lines(text).filter_map(|(line, text)| {
        let mut words = text.split_whitespace();
        (words.next() == Some(tool)).then(|| words.map(move |word| (line, word, tool)))
    });
    collect(path, stated.flatten())
}

/// `.sdkmanrc` (`java=17.0.9-tem`) and `system.properties` (`java.runtime.version=17`): the
/// value of a key of a properties file.
///
/// # Errors
/// `manifest_invalid` with the line that is no version.
pub fn property(path: &str, text: &str, key: &str) -> Result<Vec<Found<Version>>, Failure> {
    let stated = lines(text).filter_map(|(line, text)| {
        let (name, value) = text.split_once(['=', ':'])?;
        (name.trim() == key).then(|| (line, value.trim(), key))
    });
    collect(path, stated)
}

/// A JDK's version by its major: `1.8` and `1.8.0` are 8.
#[must_use]
pub fn java(version: &Version) -> Version {
    match version.parts() {
        [1, major, ..] => Version::new(&[*major]),
        _ => version.clone(),
    }
}

/// Lines that say something, with their numbers from 1 and without comments.
fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let numbered = (1_u32..).zip(text.trim_start_matches('\u{feff}').lines());
    let bare = numbered.map(|(number, line)| (number, line.split('#').next().unwrap_or_default().trim()));
    bare.filter(|(_, line)| !line.is_empty())
}

fn collect<'a>(
    path: &str,
    stated: impl Iterator<Item = (u32, &'a str, &'a str)>,
) -> Result<Vec<Found<Version>>, Failure> {
    let stated = stated.filter(|(_, text, _)| {
        !["system", "latest"].contains(text) && !["ref:", "path:"].iter().any(|start| text.starts_with(start))
    });
    let found = stated.map(|(line, text, detail)| {
        let version = number(text).ok_or_else(|| {
            let text: String = text.chars().take(60).collect();
            Failure::new(FailureCode::ManifestInvalid, format!("`{path}` line {line}: `{text}` names no version"))
                .at(path, Some(line))
        })?;
        Ok(Found::new(version, Origin::file(path, Some(line), detail)))
    });
    found.collect()
}

/// The numbers of `17.0.9-tem`, `temurin-17.0.9+9`, `python-3.11.4`, `go1.22rc1`, `1.8.0_392`.
fn number(text: &str) -> Option<Version> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let (name, rest) = text.split_at(start);
    let named = name.is_empty() || name.ends_with('-') || name == "go" || name == "v";
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let spaced = rest.contains(char::is_whitespace);
    rest[..end].parse().ok().filter(|_| named && !spaced)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(found: Result<Vec<Found<Version>>, Failure>) -> Vec<(String, u32)> {
        found.unwrap().into_iter().map(|found| (found.value.to_string(), found.origin.line.unwrap())).collect()
    }

    fn one(version: &str, line: u32) -> Vec<(String, u32)> {
        vec![(version.to_owned(), line)]
    }

    #[test]
    fn versions_are_found_with_their_lines() {
        assert_eq!(shown(version_lines(".java-version", "\n17.0.9\r\n")), one("17.0.9", 2));
        assert_eq!(shown(version_lines(".java-version", "temurin-17.0.9+9")), one("17.0.9", 1));
        assert_eq!(shown(version_lines("runtime.txt", "python-3.11.4\n")), one("3.11.4", 1));
        assert_eq!(shown(version_lines(".go-version", "go1.22rc1 # c\n")), one("1.22", 1));
        assert_eq!(shown(version_lines(".python-version", "system\n3.11\n")), one("3.11", 2));
        let tools = "golang 1.22.1\njava zulu-8.86\npython 3.11.4 3.10.1\nruby latest\n";
        assert_eq!(shown(tool_versions(".tool-versions", tools, "golang")), one("1.22.1", 1));
        assert_eq!(shown(tool_versions(".tool-versions", tools, "python")).len(), 2);
        assert!(shown(tool_versions(".tool-versions", tools, "ruby")).is_empty());
        assert_eq!(shown(property(".sdkmanrc", "# c\njava=17.0.9-tem\nmaven=3.9\n", "java")), one("17.0.9", 2));
        assert_eq!(
            shown(property("system.properties", "java.runtime.version = 1.8\n", "java.runtime.version")),
            one("1.8", 1)
        );
    }

    #[test]
    fn old_java_versions_have_a_major_too() {
        for (text, major) in [("1.8", "8"), ("1.8.0", "8"), ("17.0.9", "17.0.9"), ("1", "1")] {
            assert_eq!(java(&text.parse().unwrap()).to_string(), major);
        }
    }

    #[test]
    fn what_is_no_version_is_named_with_its_line() {
        for text in ["3.11\npypy3.9\n", "3.11\nabc\n", "3.11\n3..1\n", "3.11\n3.11 or so\n"] {
            let failure = version_lines(".python-version", text).unwrap_err();
            assert_eq!((failure.code, failure.places[0].line), (FailureCode::ManifestInvalid, Some(2)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a-z0-9 .:=#+_é-]|\n){0,40}") {
            let _ = version_lines("x", &text);
            let _ = tool_versions("x", &text, "a");
            let _ = property("x", &text, "a");
        }
    }
}
