//! Which of several programs is a server: the only one that listens.

use super::super::gotokens::{Kind, Tokens};
use super::layout::Layout;
use super::mains::Main;
use super::packages::{self, Packages};
use crate::toolchain::findings::Inspection;

/// The only program of these whose packages call a function that listens; `None` where none does, or several do.
pub(super) fn only<'m>(
    inspection: &Inspection<'_>,
    layout: &Layout,
    packages: &Packages<'_>,
    mains: &[&'m Main],
) -> Option<&'m Main> {
    let mut found = those(inspection, layout, packages, mains).into_iter();
    found.next().filter(|_| found.next().is_none())
}

/// Those of these programs whose packages do.
pub(super) fn those<'m>(
    inspection: &Inspection<'_>,
    layout: &Layout,
    packages: &Packages<'_>,
    mains: &[&'m Main],
) -> Vec<&'m Main> {
    let each = mains.iter().copied();
    each.filter(|main| {
        let directories = packages::closure(packages, layout, &main.directory);
        directories.iter().any(|directory| package(inspection, packages, directory))
    })
    .collect()
}

/// Whether a package calls a function that listens.
pub(super) fn package(inspection: &Inspection<'_>, packages: &Packages<'_>, directory: &str) -> bool {
    let Some(table) = inspection.facts.get("serving").and_then(toml::Value::as_table) else { return false };
    let list = |key: &str| -> Vec<&str> {
        let list = table.get(key).and_then(toml::Value::as_array);
        list.into_iter().flatten().filter_map(toml::Value::as_str).collect()
    };
    let (always, frameworks, with_framework) = (list("functions"), list("frameworks"), list("framework_functions"));
    packages.get(directory).is_some_and(|package| {
        package.files.iter().any(|(path, source)| {
            let framed = source.imports.iter().any(|import| {
                frameworks.iter().any(|known| {
                    import.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            });
            let text = inspection.tree.text(path).unwrap_or_default();
            calls(text, &always) || framed && calls(text, &with_framework)
        })
    })
}

/// Whether a file calls one of the functions as a selector: `http.ListenAndServe(`, `server.Serve(`.
fn calls(text: &str, names: &[&str]) -> bool {
    if !names.iter().any(|name| text.contains(name)) {
        return false;
    }
    let mut before = [Kind::Sign(' '); 2];
    Tokens::of(text).any(|token| {
        let called = matches!((&before, token.kind), ([Kind::Sign('.'), Kind::Word(name)], Kind::Sign('(')) if names.contains(name));
        before = [before[1], token.kind];
        called
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_from_words() {
        for (text, expected) in [
            ("package a\nfunc main() { http.ListenAndServe(\":1\", nil) }", true),
            ("package a\nfunc main() { s.inner.ListenAndServe() }", true),
            ("package a\n// http.ListenAndServe(x)\nvar s = \"http.ListenAndServe(\"", false),
            ("package a\nfunc ListenAndServe() {}", false),
        ] {
            assert_eq!(calls(text, &["ListenAndServe"]), expected, "{text}");
        }
    }
}
