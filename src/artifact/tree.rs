//! An application's source tree (Python, or anything that needs no compiler) copied into a layer.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::remove::remove_tree;
use super::safe_fs::{Dir, Entry, Kind, show};
use crate::dockerfile::ignore::Rules;
use crate::model::failure::{Failure, FailureCode, Step};
use crate::model::left_out::{EXCLUDES, GIT, HARMLESS, SECRETS};

/// The tree may not be nested deeper, because one directory is open per level.
const DEPTH: usize = 128;

/// What is copied. Patterns are those of a `.gitignore` file (gitignore(5)), case included.
#[derive(Debug, Clone)]
pub struct TreeRules {
    excludes: Gitignore,
    secrets: Gitignore,
    reasons: Vec<(String, String)>,
}

impl TreeRules {
    /// For a tree that is taken as it is: [`SECRETS`] and Git's own directory are left out but for what is brought back.
    ///
    /// # Errors
    /// As [`TreeRules::new`].
    pub fn of_a_repository(include: &[&str]) -> Result<Self, Failure> {
        let include: Vec<&str> = HARMLESS.iter().chain(include).copied().collect();
        Self::new(&[GIT], SECRETS, &include)
    }

    /// Rules of patterns to exclude silently, patterns of secrets with reasons, and patterns that bring back what
    /// either of them leaves out.
    ///
    /// # Errors
    /// `settings_invalid` naming a pattern that is none.
    pub fn new(excludes: &[&str], secrets: &[(&str, &str)], include: &[&str]) -> Result<Self, Failure> {
        let names: Vec<&str> = secrets.iter().map(|(pattern, _)| *pattern).collect();
        Ok(Self {
            excludes: matcher(excludes, include)?,
            secrets: matcher(&names, include)?,
            reasons: secrets.iter().map(|(pattern, why)| ((*pattern).to_owned(), (*why).to_owned())).collect(),
        })
    }

    /// [`EXCLUDES`] and [`SECRETS`], with more to exclude and some to bring back.
    ///
    /// # Errors
    /// As [`TreeRules::new`].
    pub fn usual(more_excludes: &[&str], include: &[&str]) -> Result<Self, Failure> {
        let excludes: Vec<&str> = EXCLUDES.iter().chain(more_excludes).copied().collect();
        let include: Vec<&str> = HARMLESS.iter().chain(include).copied().collect();
        Self::new(&excludes, SECRETS, &include)
    }

    /// Rules that leave nothing out, for what a toolchain made.
    #[must_use]
    pub fn everything() -> Self {
        Self { excludes: Gitignore::empty(), secrets: Gitignore::empty(), reasons: Vec::new() }
    }

    /// Why what matches this pattern looks like a secret.
    fn reason(&self, pattern: &str) -> String {
        let reason = self.reasons.iter().find(|(known, _)| known == pattern);
        reason.map(|(_, why)| why.clone()).unwrap_or_default()
    }
}

/// What was copied, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Paths that look like secrets, relative to the tree, each with the reason; for warnings.
    pub secrets: Vec<(PathBuf, String)>,
    /// The bytes of the files that were copied.
    pub bytes: u64,
}

/// Copies the tree below `source_dir` into `into`, which is made if it is not there.
///
/// # Errors
/// As [`copy`], in the step `package`.
pub fn assemble(source_dir: &Path, into: &Path, rules: &TreeRules) -> Result<LeftOut, Failure> {
    std::fs::create_dir_all(into).map_err(|error| super::safe_fs::failure("make", into, error))?;
    copy(&Dir::open(source_dir)?, &Dir::open(into)?, rules).map_err(|failure| failure.in_step(Step::Package))
}

/// Copies everything below `from` into `into` but for what the rules leave out: directories with mode 0755, files with
/// 0644 or 0755, links as they are.
///
/// # Errors
/// `artifact_invalid` for a link that leaves the tree, a special file, or a tree nested deeper than 128 levels;
/// `disk_full`, `internal`.
pub fn copy(from: &Dir, into: &Dir, rules: &TreeRules) -> Result<LeftOut, Failure> {
    let mut left_out = LeftOut::default();
    copy_level(from, into, Path::new(""), rules, &mut left_out)?;
    Ok(left_out)
}

fn copy_level(from: &Dir, into: &Dir, at: &Path, rules: &TreeRules, left_out: &mut LeftOut) -> Result<(), Failure> {
    if at.components().count() > DEPTH {
        let message = format!("{} is nested deeper than {DEPTH} directories", show(at));
        return Err(Failure::new(FailureCode::ArtifactInvalid, message));
    }
    for entry in from.entries()? {
        let path = at.join(&entry.name);
        let directory = entry.kind == Kind::Directory;
        if rules.excludes.matched(&path, directory).is_ignore() {
            continue;
        }
        if let Match::Ignore(glob) = rules.secrets.matched(&path, directory) {
            left_out.secrets.push((path, rules.reason(glob.original())));
            continue;
        }
        copy_entry(from, into, &entry, &path, rules, left_out)?;
    }
    Ok(())
}

/// Removes what the rules leave out from a tree that is taken as it is; gives what looks like a secret. What `.dockerignore`
/// keeps out anyway stays where it is, as nobody needs to be told of it.
///
/// # Errors
/// `source_unusable` for a tree nested deeper than 128 levels; `internal`.
pub fn remove_left_out(root: &Path, rules: &TreeRules, ignored: &Rules) -> Result<LeftOut, Failure> {
    let mut left_out = LeftOut::default();
    remove_level(&Dir::open(root)?, root, Path::new(""), rules, ignored, &mut left_out)?;
    Ok(left_out)
}

fn remove_level(
    from: &Dir,
    root: &Path,
    at: &Path,
    rules: &TreeRules,
    ignored: &Rules,
    left_out: &mut LeftOut,
) -> Result<(), Failure> {
    if at.components().count() > DEPTH {
        let message = format!("{} is nested deeper than {DEPTH} directories", show(at));
        return Err(Failure::new(FailureCode::SourceUnusable, message));
    }
    for entry in from.entries()? {
        let path = at.join(&entry.name);
        let directory = entry.kind == Kind::Directory;
        if rules.excludes.matched(&path, directory).is_ignore() {
            remove_tree(&root.join(&path))?;
        } else if let Match::Ignore(glob) = rules.secrets.matched(&path, directory) {
            if !ignored.ignores(&path) {
                remove_tree(&root.join(&path))?;
                left_out.secrets.push((path, rules.reason(glob.original())));
            }
        } else if directory {
            remove_level(&from.below(&entry.name)?, root, &path, rules, ignored, left_out)?;
        }
    }
    Ok(())
}

/// Of the files of a tree that is taken as it is, those that the rules leave in, and the directories of those that they
/// do not, which stay (some of them several times); also gives what looks like a secret, as [`remove_left_out`] does.
#[must_use]
pub fn left_in<'a>(
    files: impl Iterator<Item = &'a Path>,
    rules: &TreeRules,
    ignored: &Rules,
) -> (Vec<PathBuf>, LeftOut) {
    let (mut kept, mut left_out) = (Vec::new(), LeftOut::default());
    // A directory is judged once.
    let mut judged: HashMap<PathBuf, bool> = HashMap::new();
    for file in files {
        let mut judge = |at: &Path, directory: bool| {
            let secret = rules.secrets.matched(at, directory);
            let excluded = rules.excludes.matched(at, directory).is_ignore();
            if !excluded && !secret.is_ignore() {
                return true;
            }
            if let (false, Match::Ignore(glob), false) = (excluded, secret, ignored.ignores(at)) {
                left_out.secrets.push((at.to_owned(), rules.reason(glob.original())));
            }
            kept.extend(at.parent().filter(|above| !above.as_os_str().is_empty()).map(Path::to_owned));
            false
        };
        let mut above: Vec<&Path> = file.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
        above.reverse();
        let within = above.into_iter().all(|directory| match judged.get(directory) {
            Some(known) => *known,
            None => *judged.entry(directory.to_owned()).or_insert(judge(directory, true)),
        });
        if within && judge(file, false) {
            kept.push(file.to_owned());
        }
    }
    (kept, left_out)
}

fn copy_entry(
    from: &Dir,
    into: &Dir,
    entry: &Entry,
    path: &Path,
    rules: &TreeRules,
    left_out: &mut LeftOut,
) -> Result<(), Failure> {
    let name = Path::new(&entry.name);
    match entry.kind {
        Kind::Directory => copy_level(&from.below(name)?, &into.make(name)?, path, rules, left_out),
        Kind::Link => copy_link(from, into, &entry.name, path),
        // Opening refuses special files, naming them.
        Kind::File | Kind::Special => {
            left_out.bytes += from.copy_file(name, into, name)?;
            Ok(())
        }
    }
}

fn copy_link(from: &Dir, into: &Dir, name: &OsStr, path: &Path) -> Result<(), Failure> {
    let target = from.read_link(name)?;
    let above = path.parent().unwrap_or(Path::new(""));
    if stays_within(above, &target) {
        return into.link(name, &target);
    }
    let message = format!("{} is a link to {}, outside the application's directory", show(path), show(&target));
    Err(Failure::new(FailureCode::ArtifactInvalid, message)
        .hint("Replace the link by a copy of what it points to.")
        .at(path.to_string_lossy(), None))
}

/// Whether a relative link in the directory `above` never steps out of the tree, as its text reads.
fn stays_within(above: &Path, target: &Path) -> bool {
    let mut depth = above.components().count();
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !target.as_os_str().as_bytes().is_empty()
}

fn matcher(patterns: &[&str], include: &[&str]) -> Result<Gitignore, Failure> {
    let mut builder = GitignoreBuilder::new("");
    let bring_back = include.iter().map(|pattern| format!("!{pattern}"));
    for pattern in patterns.iter().map(ToString::to_string).chain(bring_back) {
        builder.add_line(None, &pattern).map_err(|error| bad_pattern(&pattern, &error))?;
    }
    builder.build().map_err(|error| bad_pattern("", &error))
}

fn bad_pattern(pattern: &str, error: &ignore::Error) -> Failure {
    Failure::new(FailureCode::SettingsInvalid, format!("the pattern `{pattern}` cannot be read: {error}"))
}
