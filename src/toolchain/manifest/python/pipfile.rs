//! Reads the `[packages]` of a `Pipfile` that has no lock beside it (Pipfile's own specification).

use toml::de::DeValue;

use super::pyproject;
use super::requirement::Requirement;
use super::text::{Lines, manifest};
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::Origin;
use crate::model::source_tree::SourceTree;

/// The packages as requirements, each with its line; `None` when there is no such file.
///
/// # Errors
/// `manifest_invalid` for what is no TOML, or an entry that pip cannot be told.
pub(super) fn read(tree: &SourceTree, path: &str) -> Result<Option<Vec<Requirement>>, Failure> {
    let Some(text) = manifest(tree, path)? else { return Ok(None) };
    let root = pyproject::parse(path, text)?;
    let lines = Lines::of(text);
    let packages = root.get("packages").and_then(|table| table.get_ref().as_table());
    let read = packages.into_iter().flatten().map(|(name, value)| {
        let at = name.span().start;
        let line = lines.line(at);
        let stated = argument(name.get_ref(), value.get_ref());
        let stated = stated.and_then(|text| Requirement::parse(&text, Origin::file(path, Some(line), "packages")));
        stated.ok_or_else(|| {
            let name: String = name.get_ref().chars().take(80).collect();
            Failure::new(
                FailureCode::ManifestInvalid,
                format!("`{path}`: `{name}` is stated in a way pip cannot be told."),
            )
            .hint("Run `pipenv lock` and commit `Pipfile.lock`.")
            .at_column(path, Some(line), lines.column(text, at))
        })
    });
    read.collect::<Result<Vec<_>, Failure>>().map(Some)
}

/// The entry as an argument of pip; `None` for a path, which only Pipenv knows how to install.
fn argument(name: &str, value: &DeValue<'_>) -> Option<String> {
    let field = |key: &str| value.get(key).and_then(|value| value.get_ref().as_str());
    let extras: Vec<&str> = value
        .get("extras")
        .and_then(|extras| extras.get_ref().as_array())
        .into_iter()
        .flatten()
        .filter_map(|extra| extra.get_ref().as_str())
        .collect();
    let mut text = name.to_owned();
    if !extras.is_empty() {
        text = format!("{text}[{}]", extras.join(","));
    }
    if let Some(url) = field("git") {
        let revision = field("ref").map(|revision| format!("@{revision}")).unwrap_or_default();
        text = format!("{text} @ git+{url}{revision}");
    } else if let Some(url) = field("file").filter(|url| url.contains("://")) {
        text = format!("{text} @ {url}");
    } else if let Some(version) = value.as_str().or(field("version")) {
        text.push_str(if version == "*" { "" } else { version });
    } else if field("path").or(field("file")).is_some() {
        return None;
    }
    match field("markers") {
        Some(markers) => Some(format!("{text} ; {markers}")),
        None => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_as_arguments_of_pip() {
        let text = "[packages]\nflask = \"*\"\nDjango = \">=4,<5\"\n\
                    uvicorn = {extras = [\"standard\"], version = \"==0.30.0\"}\n\
                    x = {git = \"https://example.com/x.git\", ref = \"v1\"}\ny = {version = \"*\", markers = \"python_version < '3.0'\"}\n\
                    [dev-packages]\npytest = \"*\"\n";
        let tree = SourceTree::of_texts([("Pipfile", text)]);
        let found = read(&tree, "Pipfile").unwrap().unwrap();
        let mut said: Vec<_> =
            found.iter().map(|r| format!("{}:{} {}", r.origin.line.unwrap(), r.text, r.applies)).collect();
        said.sort();
        assert_eq!(
            said,
            [
                "2:flask true",
                "3:Django>=4,<5 true",
                "4:uvicorn[standard]==0.30.0 true",
                "5:x @ git+https://example.com/x.git@v1 true",
                "6:y ; python_version < '3.0' true"
            ]
        );
    }

    #[test]
    fn what_pip_cannot_be_told_is_refused() {
        let tree = SourceTree::of_texts([("Pipfile", "[packages]\nx = {path = \"../x\"}\n")]);
        let failure = read(&tree, "Pipfile").unwrap_err();
        assert_eq!((failure.code, failure.places[0].line), (FailureCode::ManifestInvalid, Some(2)));
        assert!(read(&SourceTree::of_texts([("a", "")]), "Pipfile").unwrap().is_none());
    }
}
