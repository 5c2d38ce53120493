//! What people should know about the files and the ports of an image before it is built.

use std::cell::LazyCell;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::links;
use crate::dockerfile::ignore::Rules;
use crate::model::failure::{Failure, Warning};
use crate::model::left_out::{EXCLUDES, GIT, HARMLESS, SECRETS, may_be_secret};
use crate::model::plan::{LayerSource, PlannedImage};
use crate::model::source_tree::{SourceTree, join};

/// Files larger than this make every pull of their layer slow.
const LARGE: u64 = 100 << 20;

/// A pointer of Git LFS is never longer (its specification, "The Pointer").
const POINTER: u64 = 1024;

/// Which files are copied.
pub(super) struct Copied<'a> {
    /// The application's directory.
    pub(super) directory: &'a str,
    /// Patterns that bring back what is left out.
    pub(super) include: &'a [String],
    /// Further patterns of what is left out.
    pub(super) leave_out: &'a [String],
}

/// Notices about an image, and the Dockerfile that makes it.
///
/// # Errors
/// `artifact_invalid` for a link that leads out of what the image gets.
pub(super) fn notices(
    image: &PlannedImage,
    dockerfile: Option<&str>,
    tree: &SourceTree,
    which: &Copied<'_>,
) -> Result<Vec<Warning>, Failure> {
    let mut warnings = low_ports(image);
    links::check(image, tree, which)?;
    if image.layers.is_empty() {
        warnings.extend(own(dockerfile.unwrap_or_default(), tree, which.directory, which.include));
    }
    for (base, paths) in places(image, which) {
        warnings.extend(copied(tree, &base, paths, which));
    }
    Ok(warnings)
}

/// The directories that are copied, and the paths in them where it is not all.
pub(super) fn places<'i>(image: &'i PlannedImage, which: &Copied<'_>) -> Vec<(String, &'i [String])> {
    let place = |from: &'i LayerSource| -> Option<(String, &'i [String])> {
        match from {
            LayerSource::Source => Some((which.directory.to_owned(), &[])),
            LayerSource::Directory(name) => Some((join(which.directory, name)?, &[])),
            LayerSource::Files { directory, paths } => Some((directory.clone(), paths)),
            LayerSource::Jar | LayerSource::Output(_) | LayerSource::Found(_) => None,
        }
    };
    image.layers.iter().filter_map(|layer| place(&layer.from)).collect()
}

/// Whether a path of a directory that is copied is left out, be it a secret or nothing for the image.
pub(super) fn excluded(path: &str, which: &Copied<'_>) -> bool {
    let back: Vec<String> = HARMLESS.iter().map(ToString::to_string).chain(which.include.iter().cloned()).collect();
    let secrets = SECRETS.iter().map(|(pattern, _)| *pattern);
    let patterns = EXCLUDES.iter().copied().chain(secrets).chain(which.leave_out.iter().map(String::as_str));
    matcher(&patterns.collect::<Vec<_>>(), &back).matched_path_or_any_parents(path, false).is_ignore()
}

/// Files that the repository's own Dockerfile does not get, although `.dockerignore` would let it.
fn own(dockerfile: &str, tree: &SourceTree, directory: &str, include: &[String]) -> Vec<Warning> {
    let ignored =
        ["Dockerfile.dockerignore", ".dockerignore"].iter().find_map(|name| tree.text(&join(directory, name)?));
    let ignored = ignored.map(Rules::parse).unwrap_or_default();
    let names: Vec<&str> = SECRETS.iter().map(|(pattern, _)| *pattern).collect();
    let back: Vec<String> = HARMLESS.iter().map(ToString::to_string).chain(include.iter().cloned()).collect();
    let secrets = LazyCell::new(|| matcher(&names, &back));
    let skip = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let mut warnings = Vec::new();
    for (whole, _) in tree.below(directory) {
        let path = &whole[skip..];
        if may_be_secret(path)
            && let ignore::Match::Ignore(glob) = secrets.matched_path_or_any_parents(path, false)
            && !ignored.ignores(Path::new(path))
        {
            warnings.push(crate::model::left_out::warning(path, why(glob.original())).at(whole, None));
        }
    }
    // Every repository has it, so only those hear of it who want it.
    let wanted = dockerfile.split_whitespace().any(|word| word.trim_start_matches("./").trim_end_matches('/') == GIT);
    if wanted && matcher(&[GIT], include).matched(GIT, true).is_ignore() {
        warnings.push(crate::model::left_out::warning(GIT, "holds the repository's whole history"));
    }
    warnings
}

/// Why a pattern's files are left out.
fn why(pattern: &str) -> &'static str {
    SECRETS.iter().find(|(known, _)| *known == pattern).map_or("", |(_, why)| why)
}

/// Files that are copied from the repository: secrets by their name, pointers, huge ones.
fn copied(tree: &SourceTree, base: &str, paths: &[String], which: &Copied<'_>) -> Vec<Warning> {
    let names: Vec<&str> = SECRETS.iter().map(|(pattern, _)| *pattern).collect();
    let back: Vec<String> = HARMLESS.iter().map(ToString::to_string).chain(which.include.iter().cloned()).collect();
    let excludes: Vec<&str> = EXCLUDES.iter().copied().chain(which.leave_out.iter().map(String::as_str)).collect();
    let pointers = pointers(tree);
    // Few trees have anything that is asked for.
    let secrets = LazyCell::new(|| matcher(&names, &back));
    let excludes = LazyCell::new(|| matcher(&excludes, &back));
    let skip = if base.is_empty() { 0 } else { base.len() + 1 };
    let inside =
        |path: &str| paths.is_empty() || paths.iter().any(|one| path == one || path.starts_with(&format!("{one}/")));
    let mut warnings = Vec::new();
    for (whole, entry) in tree.below(base) {
        let path = &whole[skip..];
        if !inside(path) {
            continue;
        }
        let left_out = || excludes.matched_path_or_any_parents(path, false).is_ignore();
        if may_be_secret(path)
            && let ignore::Match::Ignore(glob) = secrets.matched_path_or_any_parents(path, false)
        {
            if !left_out() {
                warnings.push(crate::model::left_out::warning(path, why(glob.original())).at(whole, None));
            }
        } else if entry.size <= POINTER
            && pointers.as_ref().is_some_and(|lfs| lfs.matched(whole, false).is_ignore())
            && !left_out()
        {
            let message =
                format!("`{}` is kept by Git LFS, and the repository has a pointer to it alone", path.escape_debug());
            let hint = "the build stops where it needs the file: commit it, or fetch it from a package repository";
            warnings.push(Warning::new("lfs_pointer", message, hint).at(whole, None));
        } else if entry.size >= LARGE && !left_out() {
            let message = format!("`{}` of {} MiB becomes part of the image", path.escape_debug(), entry.size >> 20);
            let hint = "keep it in a volume or an object store, so that not every pull carries it";
            warnings.push(Warning::new("large_file", message, hint).at(whole, None));
        }
    }
    warnings
}

/// The patterns of `.gitattributes` whose files Git LFS keeps.
fn pointers(tree: &SourceTree) -> Option<Gitignore> {
    let text = tree.text(".gitattributes")?;
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let kept: Vec<&str> =
        lines.filter(|words| words[..].contains(&"filter=lfs")).filter_map(|words| words.first().copied()).collect();
    (!kept.is_empty()).then(|| matcher(&kept, &[]))
}

fn matcher(patterns: &[&str], back: &[String]) -> Gitignore {
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns.iter().map(ToString::to_string).chain(back.iter().map(|pattern| format!("!{pattern}"))) {
        // A pattern that cannot be read is refused where the files are copied.
        let _ = builder.add_line(None, &pattern);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// Ports that need a privilege on some platforms.
fn low_ports(image: &PlannedImage) -> Vec<Warning> {
    let low = image.ports.iter().filter(|port| **port < 1024 && !image.user.is_empty());
    low.map(|port| {
        let message = format!(
            "the application listens on port {port} as user {}: Docker lets it, a platform that keeps ports below 1024 for root does not",
            image.user
        );
        let hint = "listen on a port from 1024 on, or let the platform set `net.ipv4.ip_unprivileged_port_start=0`";
        Warning::new("low_port", message, hint)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_dockerfile_s_files_are_named_unless_they_are_ignored_or_brought_back() {
        let files = ["a/.dockerignore", "a/.env", "a/x/tls.key", "a/own.pem", "a/ignored.key", "a/run", ".env"];
        let tree =
            SourceTree::of_texts(files.map(|path| (path, if path.ends_with("ignore") { "ignored.key" } else { "" })));
        let paths = |dockerfile: &str, include: &[&str]| -> Vec<String> {
            let include: Vec<String> = include.iter().map(ToString::to_string).collect();
            own(dockerfile, &tree, "a", &include).into_iter().map(|warning| warning.message).collect()
        };
        let said = paths("FROM x\nCOPY . .\n", &["own.pem"]);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("`.env`") && said[1].contains("`x/tls.key`"), "{said:?}");
        let keys =
            ["jwt/public.pem", "alipay_public_key.pem", "app.pub.pem", "appPublicKey.pem", "public-and-private.pem"];
        let tree_of_keys = SourceTree::of_texts(keys.map(|path| (path, "")));
        let left: Vec<_> = own("FROM x\n", &tree_of_keys, "", &[]).into_iter().map(|warning| warning.path).collect();
        assert_eq!(
            left,
            [Some("public-and-private.pem".to_owned())],
            "whoever checks a signature needs the public key"
        );
        // A Dockerfile that wants the history hears why it is not there.
        let all = ["own.pem", ".env", "*.key"];
        assert_eq!(paths("FROM x\nCOPY .git/ /src/.git\n", &all).len(), 1);
        assert_eq!(paths("FROM x\nCOPY .git/ /src/.git\n", &[&all[..], &[".git"]].concat()).len(), 0);
    }
}
