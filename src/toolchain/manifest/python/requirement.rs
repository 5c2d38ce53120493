//! One requirement as PEP 508 writes it: name, extras, version or URL, marker.

use pep440_rs::VersionSpecifiers;

use crate::model::origin::Origin;

/// A requirement with the place that states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirement {
    /// Normalised as PEP 503 says; empty for a URL or path that names no distribution.
    pub(super) name: String,
    /// Normalised extras: `standard` of `fastapi[standard]`.
    pub(super) extras: Vec<String>,
    /// The requirement as an argument of pip.
    pub(super) text: String,
    /// The versions that will do, where they are stated.
    pub(super) versions: Option<VersionSpecifiers>,
    /// Its marker, as it is written.
    pub(super) marker: Option<String>,
    /// Whether its marker can hold in a Linux image with `CPython`.
    pub(super) applies: bool,
    /// Whether its version is bounded from above, so that it ages.
    pub(super) pinned: bool,
    /// Where it stands.
    pub(super) origin: Origin,
}

impl Requirement {
    /// Reads `name [extras] [version or @ URL] [; marker]`; `None` when PEP 508 does not allow the text.
    pub(super) fn parse(text: &str, origin: Origin) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(text.len());
        let (name, mut rest) = (&text[..end], text[end..].trim_start());
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !name.ends_with(|c: char| c.is_ascii_alphanumeric())
        {
            return None;
        }
        let mut extras = Vec::new();
        if let Some(inner) = rest.strip_prefix('[') {
            let (list, after) = inner.split_once(']')?;
            extras = list.split(',').map(normalise).filter(|extra| !extra.is_empty()).collect();
            rest = after.trim_start();
        }
        if !rest.is_empty() && !rest.starts_with(['(', '<', '>', '=', '!', '~', ';', '@']) {
            return None;
        }
        // A URL may hold a `;`; PEP 508 wants a space before the marker's there.
        let marker = if rest.starts_with('@') { rest.split_once(" ;") } else { rest.split_once(';') };
        let applies = marker.is_none_or(|(_, marker)| can_hold(marker));
        let version = marker.map_or(rest, |(version, _)| version).trim();
        let specifiers = version.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(version);
        let versions = specifiers.parse().ok().filter(|_| !specifiers.is_empty());
        let marker = marker.map(|(_, marker)| marker.trim().to_owned());
        let pinned = !version.starts_with('@') && ["==", "~=", "<"].iter().any(|operator| version.contains(operator));
        Some(Self { name: normalise(name), extras, text: text.to_owned(), versions, marker, applies, pinned, origin })
    }
}

/// A distribution's name as PEP 503 compares it.
pub(super) fn normalise(name: &str) -> String {
    let mut normalised = String::with_capacity(name.len());
    for part in name.trim().split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !normalised.is_empty() {
            normalised.push('-');
        }
        normalised.push_str(&part.to_ascii_lowercase());
    }
    normalised
}

/// Whether an environment marker (PEP 508) may be true in a Linux image; what is not understood may be.
fn can_hold(marker: &str) -> bool {
    if marker.contains(['(', ')']) {
        return true;
    }
    let words = marker.split_whitespace().collect::<Vec<_>>().join(" ");
    words.split(" or ").any(|alternative| alternative.split(" and ").all(clause_can_hold))
}

fn clause_can_hold(clause: &str) -> bool {
    let Some((variable, equal, literal)) = clause
        .split_once("==")
        .map(|(variable, literal)| (variable, true, literal))
        .or_else(|| clause.split_once("!=").map(|(variable, literal)| (variable, false, literal)))
    else {
        return true;
    };
    let here = match variable.trim() {
        "sys_platform" => "linux",
        "platform_system" => "Linux",
        "os_name" => "posix",
        "implementation_name" => "cpython",
        "platform_python_implementation" => "CPython",
        "extra" => "",
        _ => return true,
    };
    (literal.trim().trim_matches(['"', '\'']) == here) == equal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Requirement> {
        Requirement::parse(text, Origin::default("test"))
    }

    #[test]
    fn names_are_normalised() {
        for (text, name) in [
            ("Flask", "flask"),
            ("Flask_SQLAlchemy>=3", "flask-sqlalchemy"),
            ("ruamel.yaml==0.18", "ruamel-yaml"),
            ("a.-_b ~= 1.0", "a-b"),
            ("pkg @ https://example.com/pkg.zip;x", "pkg"),
            ("uvicorn[standard]", "uvicorn"),
            ("six (>=1.0)", "six"),
        ] {
            assert_eq!(parse(text).map(|r| r.name).as_deref(), Some(name), "{text}");
        }
        assert_eq!(parse("fastapi[Standard, all]>=0.1").unwrap().extras, ["standard", "all"]);
    }

    #[test]
    fn what_pep_508_does_not_allow_is_refused() {
        for text in ["", "-x", "flask flask", "flask[", "flask-", "=1.0", "./lib", "--pre"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn markers_of_other_systems_never_hold() {
        for (marker, holds) in [
            ("sys_platform == 'win32'", false),
            ("sys_platform != \"win32\"", true),
            ("python_version < '3.8'", true),
            ("os_name == 'nt' or sys_platform == 'linux'", true),
            ("platform_system=='Windows' and python_version>'3'", false),
            ("extra == 'dev'", false),
            ("(sys_platform == 'win32')", true),
        ] {
            assert_eq!(can_hold(marker), holds, "{marker}");
        }
    }
}
