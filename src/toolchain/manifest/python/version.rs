//! What a repository's files demand of Python's version.

use super::pyproject::{self, Pyproject};
use super::specifier;
use super::text::{inside, line_of, manifest};
use crate::model::failure::{Failure, Warning};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::{SourceTree, parent};
use crate::toolchain::version::{Demand, Version};

/// The files that state a version; those of `pyproject.toml` are read with it.
pub(super) const FILES: [&str; 8] =
    [".python-version", "runtime.txt", ".tool-versions", "mise.toml", ".mise.toml", "Pipfile", "setup.cfg", "setup.py"];

/// Every demand, strongest first, and warnings about files that state none.
///
/// `.python-version`, `.tool-versions` and `mise.toml` also count in the directories above, as pyenv, asdf and mise read them.
///
/// # Errors
/// `manifest_invalid` when a file is no text.
pub(super) fn read(
    tree: &SourceTree,
    directory: &str,
    pyproject: Option<&Pyproject>,
) -> Result<(Vec<Found<Demand>>, Vec<Warning>), Failure> {
    let (mut demands, mut warnings) = (Vec::new(), Vec::new());
    for name in FILES {
        let climbs = name.starts_with('.') || name == "mise.toml";
        let Some(path) = nearest(tree, directory, name, climbs) else { continue };
        let Some(text) = manifest(tree, &path)? else { continue };
        let stated = match name {
            ".python-version" => first_word(text).map(|(line, word)| (line, word, python_version(word))),
            "runtime.txt" => first_word(text).map(|(line, word)| (line, word, runtime(word))),
            ".tool-versions" => tool_versions(text).map(|(line, word)| (line, word, python_version(word))),
            "Pipfile" => {
                demands.extend(pipfile(&path, text)?);
                None
            }
            "setup.cfg" => {
                demands.extend(setup_cfg(&path, text));
                None
            }
            "setup.py" => {
                demands.extend(setup_py(&path, text));
                None
            }
            _ => {
                demands.extend(mise(&path, text)?);
                None
            }
        };
        match stated {
            Some((line, _, Some(found))) => {
                demands
                    .extend(found.into_iter().map(|demand| Found::new(demand, Origin::file(&path, Some(line), name))));
            }
            Some((line, word, None)) => warnings.push(unreadable(&path, line, word)),
            None => {}
        }
    }
    demands.extend(pyproject.into_iter().flat_map(|found| found.versions.iter().cloned()));
    Ok((demands, warnings))
}

fn nearest(tree: &SourceTree, directory: &str, name: &str, climbs: bool) -> Option<String> {
    let mut at = directory;
    loop {
        let path = inside(at, name);
        if tree.has_file(&path) {
            return Some(path);
        }
        if !climbs || at.is_empty() {
            return None;
        }
        at = parent(at);
    }
}

fn unreadable(path: &str, line: u32, word: &str) -> Warning {
    let shown: String = word.chars().take(80).collect();
    let message = format!("`{path}` says `{shown}`, which names no CPython version; it is ignored.");
    Warning::new("version_unreadable", message, "Write the version as numbers, for example `3.11`.")
        .at(path, Some(line))
}

/// The first word that is no comment; further lines of `.python-version` are fall-backs.
fn first_word(text: &str) -> Option<(u32, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.split('#').next().unwrap_or_default()));
    lines.into_iter().find_map(|(number, line)| line.split_whitespace().next().map(|word| (number, word)))
}

fn tool_versions(text: &str) -> Option<(u32, &str)> {
    (1..).zip(text.lines()).find_map(|(number, line)| {
        let mut words = line.split('#').next()?.split_whitespace();
        (words.next()? == "python").then(|| words.next())?.map(|word| (number, word))
    })
}

/// `3.11`, `3.11.4`, `cpython-3.11.4`, `python-3.11`, `3.12-dev`, and the ranges that uv writes.
fn python_version(word: &str) -> Option<Vec<Demand>> {
    let word = ["cpython-", "cpython@", "python-", "Python-"].iter().find_map(|p| word.strip_prefix(p)).unwrap_or(word);
    if word.starts_with(['<', '>', '=', '!', '~']) {
        return specifier::pep440(word);
    }
    specifier::pep440(&format!("=={word}"))
}

/// `python-3.11.4` or `python-3.11.x`.
fn runtime(word: &str) -> Option<Vec<Demand>> {
    let version = word.strip_prefix("python-")?.trim_end_matches(".x");
    version.parse::<Version>().ok().map(|version| vec![Demand::Exactly(version)])
}

fn pipfile(path: &str, text: &str) -> Result<Vec<Found<Demand>>, Failure> {
    let root = pyproject::parse(path, text)?;
    let requires = root.get("requires").map(toml::Spanned::get_ref);
    let stated = ["python_full_version", "python_version"].into_iter().find_map(|key| {
        let value = requires?.get(key)?;
        let demands = python_version(value.get_ref().as_str()?)?;
        Some((key, value.span().start, demands))
    });
    let Some((key, at, demands)) = stated else { return Ok(Vec::new()) };
    let origin = Origin::file(path, Some(line_of(text, at)), format!("requires.{key}"));
    Ok(demands.into_iter().map(|demand| Found::new(demand, origin.clone())).collect())
}

/// `[tools]` `python = "3.11"`, a list of which the first counts, or a table with `version` (mise, "Configuration").
fn mise(path: &str, text: &str) -> Result<Vec<Found<Demand>>, Failure> {
    let root = pyproject::parse(path, text)?;
    let Some(python) = root.get("tools").and_then(|tools| tools.get_ref().get("python")) else { return Ok(Vec::new()) };
    let value = python.get_ref();
    let first = value.as_array().and_then(|list| list.first()).map_or(value, toml::Spanned::get_ref);
    let version = first.as_str().or_else(|| first.get("version")?.get_ref().as_str());
    let demands = version.and_then(python_version).unwrap_or_default();
    let origin = Origin::file(path, Some(line_of(text, python.span().start)), "tools.python");
    Ok(demands.into_iter().map(|demand| Found::new(demand, origin.clone())).collect())
}

/// `python_requires` of `[options]` (setuptools, "Configuring setuptools using setup.cfg files").
fn setup_cfg(path: &str, text: &str) -> Vec<Found<Demand>> {
    let mut section = "";
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(name) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        }
        let stated = line.split_once(['=', ':']).filter(|(key, _)| key.trim() == "python_requires");
        if let Some((_, value)) = stated.filter(|_| section == "options") {
            // `python_requires = >=3.8` was cut at its first `=`.
            return found(path, number, value.trim());
        }
    }
    Vec::new()
}

/// `setup(python_requires=">=3.8")`, read and not run.
fn setup_py(path: &str, text: &str) -> Vec<Found<Demand>> {
    let calls = super::source::parse(text).map(|module| module.calls).unwrap_or_default();
    let of_setup = calls.iter().filter(|call| call.callee.dotted.rsplit('.').next() == Some("setup"));
    let stated = of_setup.flat_map(|call| call.keywords.iter().map(move |keyword| (call.line, keyword)));
    let stated = stated.filter_map(|(line, (key, value))| match value {
        super::module::Argument::Text(text) if key == "python_requires" => Some((line, text)),
        _ => None,
    });
    stated.flat_map(|(line, text)| found(path, line, text)).collect()
}

fn found(path: &str, line: u32, text: &str) -> Vec<Found<Demand>> {
    let demands = specifier::pep440(text).unwrap_or_default();
    let origin = Origin::file(path, Some(line), "python_requires");
    demands.into_iter().map(|demand| Found::new(demand, origin.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_with_its_line() {
        for (path, text, means) in [
            (".python-version", "# ours\n3.11.4\n3.10\n", ".python-version:2: 3.11.4"),
            (".python-version", "cpython-3.12\n", ".python-version:1: 3.12"),
            (".python-version", "pypy3.9-7.3", "version_unreadable:1"),
            (".python-version", "system\n", "version_unreadable:1"),
            (".python-version", "\n", ""),
            ("runtime.txt", "python-3.11.x\n", "runtime.txt:1: 3.11"),
            ("runtime.txt", "python-3.10.13", "runtime.txt:1: 3.10.13"),
            ("runtime.txt", "3.10", "version_unreadable:1"),
            (".tool-versions", "nodejs 20\npython 3.12.1 3.11\n", ".tool-versions:2: 3.12.1"),
            (".tool-versions", "nodejs 20\n", ""),
            ("mise.toml", "[tools]\nnode = \"20\"\npython = \"3.12\"\n", "mise.toml:3: 3.12"),
            (".mise.toml", "[tools]\npython = [\"3.11\", \"3.10\"]\n", ".mise.toml:2: 3.11"),
            ("mise.toml", "[tools.python]\nversion = \"3.13\"\n", "mise.toml:1: 3.13"),
            ("mise.toml", "[env]\nA = \"1\"\n", ""),
            ("setup.cfg", "[metadata]\nname = x\n[options]\npython_requires = >=3.8\n", "setup.cfg:4: 3.8 or later"),
            ("setup.cfg", "[other]\npython_requires = >=3.8\n", ""),
            (
                "setup.py",
                "import setuptools\nsetuptools.setup(name='x', python_requires='>=3.9')\n",
                "setup.py:2: 3.9 or later",
            ),
            ("setup.py", "# setup(python_requires='>=3.9')\n", ""),
            ("Pipfile", "[packages]\n[requires]\npython_version = \"3.9\"\n", "Pipfile:3: 3.9"),
        ] {
            let tree = SourceTree::of_texts([(path, text)]);
            let (demands, warnings) = read(&tree, "", None).unwrap();
            let mut said: Vec<String> = demands
                .iter()
                .map(|d| format!("{}:{}: {}", d.origin.path.as_deref().unwrap(), d.origin.line.unwrap(), d.value))
                .collect();
            said.extend(warnings.iter().map(|w| format!("{}:{}", w.code, w.line.unwrap())));
            assert_eq!(said.join("; "), means, "{path}: {text:?}");
        }
    }

    #[test]
    fn directories_above_count_for_pyenvs_file_alone() {
        let tree =
            SourceTree::of_texts([(".python-version", "3.11"), ("runtime.txt", "python-3.9.1"), ("a/b/x.py", "")]);
        let (demands, _) = read(&tree, "a/b", None).unwrap();
        assert_eq!(demands.len(), 1);
        assert_eq!(demands[0].origin.path.as_deref(), Some(".python-version"));
    }
}
