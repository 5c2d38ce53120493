//! Submodules: fetched as repositories of their own, under the same rules.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::fetched::{Fetched, resolve_and_fetch, unwritable};
use super::tree::TreeReader;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::source::{RepositoryUrl, Source, Transport};
use crate::work;

/// How deep submodules may nest, and how many one repository may have.
const DEPTH: usize = 8;
const COUNT: usize = 200;

/// Writes the submodules of a commit below the directory that holds its files.
///
/// # Errors
/// `source_forbidden` for one that may not be cloned, and what stops its fetch; each names the
/// submodule and `.gitmodules`.
pub(super) async fn write(
    parent: &Fetched,
    into: &Path,
    depth: usize,
    cancel: &CancellationToken,
) -> Result<Vec<Warning>, Failure> {
    let (links, declared) = {
        let reader = parent.tree()?;
        (reader.submodules()?, declared(&reader))
    };
    if links.len() > COUNT || (depth >= DEPTH && !links.is_empty()) {
        let message = format!("submodules are nested deeper than {DEPTH}, or are more than {COUNT}");
        return Err(Failure::new(FailureCode::SourceUnusable, message).at(".gitmodules", None));
    }
    let mut warnings = Vec::new();
    for (path, commit) in links {
        let Some(url) = declared.iter().find(|(own, _)| *own == path).map(|(_, url)| url) else {
            let message = format!("the submodule `{path}` has no entry in `.gitmodules`; its directory stays empty");
            warnings.push(Warning::new("submodule_undeclared", message, "declare it with `git submodule add`"));
            continue;
        };
        if parent.access.no_submodules {
            let message = format!("the submodule `{path}` is left empty: the source is untrusted");
            let hint = "push the change to a branch of the application's own repository, where somebody vouches for it";
            warnings.push(Warning::new("submodule_untrusted", message, hint).at(".gitmodules", None));
            continue;
        }
        let named = |failure: Failure| Failure {
            message: format!("the submodule `{path}`: {}", failure.message),
            ..failure.at(".gitmodules", None)
        };
        let url = permitted(parent, url).map_err(named)?;
        let directory = real_directory(into, &path).map_err(|error| unwritable(into, &error))?;
        let source = Source { url, revision: None, commit: Some(commit), directory: String::new() };
        let fetch = Box::pin(resolve_and_fetch(&source, &parent.access, &parent.cache));
        let fetched = work::unless_cancelled(cancel, fetch).await.map_err(named)?;
        warnings.extend(Box::pin(fetched.write(&directory, depth + 1, cancel)).await.map_err(named)?.warnings);
    }
    Ok(warnings)
}

/// The URL of a submodule, if it may be cloned: what comes over the network must not name
/// directories of this machine.
fn permitted(parent: &Fetched, url: &str) -> Result<RepositoryUrl, Failure> {
    let forbidden = |message: String| Failure::new(FailureCode::SourceForbidden, message);
    let url = parent.url.resolve(url).map_err(|error| forbidden(format!("{error}")))?;
    if url.transport() == Transport::File && parent.url.transport() != Transport::File {
        return Err(forbidden("it names a directory of this machine".to_owned()));
    }
    parent.access.allow.check(&url, "its repository")?;
    Ok(url)
}

/// Paths and URLs that `.gitmodules` declares (gitmodules(5)).
fn declared(reader: &TreeReader) -> Vec<(String, String)> {
    let Some(text) = reader.small_text(".gitmodules") else { return Vec::new() };
    parse(&text)
}

/// Reads `[submodule "name"]` sections: `path = …` and `url = …`.
fn parse(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(Option<String>, Option<String>)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            sections.push((None, None));
        } else if let (Some(section), Some((key, value))) = (sections.last_mut(), line.split_once('=')) {
            let value = value.trim().trim_matches('"').to_owned();
            match key.trim().to_ascii_lowercase().as_str() {
                "path" => section.0 = Some(value.trim_end_matches('/').to_owned()),
                "url" => section.1 = Some(value),
                _ => {}
            }
        }
    }
    sections.into_iter().filter_map(|(path, url)| path.zip(url)).collect()
}

/// Makes a directory below the checkout, refusing to pass through a link.
fn real_directory(root: &Path, path: &str) -> std::io::Result<PathBuf> {
    let mut directory = root.to_owned();
    for part in path.split('/') {
        if matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git") {
            return Err(std::io::Error::other(format!("the submodule's path `{path}` is not a plain path")));
        }
        directory.push(part);
        match std::fs::symlink_metadata(&directory) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(std::io::Error::other(format!("`{path}` passes through something that is no directory")));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::fs::create_dir(&directory)?,
            Err(error) => return Err(error),
        }
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read() {
        let text =
            "[submodule \"lib\"]\n\tpath = vendor/lib/\n\turl = ../lib.git\n[submodule \"x\"]\n  path=x\n# no url\n";
        assert_eq!(parse(text), [("vendor/lib".to_owned(), "../lib.git".to_owned())]);
    }

    #[test]
    fn no_path_leads_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/tmp", root.path().join("link")).unwrap();
        assert!(real_directory(root.path(), "link/x").is_err());
        assert!(real_directory(root.path(), "../x").is_err());
        assert!(real_directory(root.path(), "a/.git/x").is_err());
        assert!(real_directory(root.path(), "a/b").unwrap().is_dir());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(\\[|path ?=|url ?=|\\n|.){0,60}") {
            parse(&text);
        }
    }
}
