//! What a program reads above the directory of its package, from where it is started there: `../../configs`, as the layout of
//! Kratos has it (its documentation, "Project structure": `kratos run` starts it in `cmd/NAME`).

use super::assets::{Known, holds_data, tidy};
use super::mentions::Mention;
use super::ports::{self, File};
use crate::model::source_tree::{SourceTree, join};

/// Files and directories below one directory of the repository, and the first place that names one. They stand at the root of
/// the image: above its working directory is nothing else.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Above {
    pub(super) directory: String,
    /// Relative to the directory.
    pub(super) paths: Vec<String>,
    pub(super) first: Option<(String, u32)>,
}

/// Directories of an image that are the system's.
const SYSTEM: &[&str] =
    &["app", "bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"];

/// Looks up what texts name by `../` from the package's directory, where the application's own has no such place: a path above
/// that one leaves the application.
pub(super) fn find(tree: &SourceTree, facts: &toml::Table, files: &[File<'_>], main: &str, application: &str) -> Above {
    let (known, listening) = (Known::of(tree, facts, files), ports::Known::of(facts));
    let mut above = Above::default();
    for (file, mentions) in files {
        for mention in mentions.iter().filter(|mention| mention.text.starts_with("../")) {
            let read = known.meaning(mention, mentions, &listening).is_some();
            let Some((directory, path)) = place(tree, mention, main, application, &known).filter(|_| read) else {
                continue;
            };
            if above.paths.is_empty() {
                above.directory = directory;
            } else if above.directory != directory {
                continue;
            }
            above.first.get_or_insert_with(|| ((*file).to_owned(), mention.line));
            above.paths.push(path);
        }
    }
    tidy(&mut above.paths);
    above
}

/// The directory that the path climbs to, within the application's, and what it names there.
fn place(
    tree: &SourceTree,
    mention: &Mention,
    main: &str,
    application: &str,
    known: &Known<'_>,
) -> Option<(String, String)> {
    let mut rest = mention.text.as_str();
    let mut directory = main.to_owned();
    while let Some(behind) = rest.strip_prefix("../") {
        (directory, rest) = (join(&directory, "..")?, behind);
    }
    let path = join("", rest).filter(|path| !path.is_empty())?;
    let inside =
        directory == application || application.is_empty() || directory.starts_with(&format!("{application}/"));
    let system = SYSTEM.contains(&path.split('/').next().unwrap_or_default());
    (inside && !system && holds_data(tree, &directory, &path, &known.sources)).then_some((directory, path))
}
