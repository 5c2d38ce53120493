//! The small repository that a build gets: a commit, its history back to the latest tag, and nothing of where
//! they were copied from. Hard links or alternates would let a build write to the mirror, or miss it in a sandbox.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use git2::{ObjectFormat, Oid, Repository};

use super::fetched::unwritable;
use super::git::Git;
use super::listing::unreadable;
use super::{oid, pack};
use crate::model::failure::Failure;
use crate::model::names::CommitSha;
use crate::model::source::RepositoryUrl;
use crate::work::blocking;

/// The most history that a build gets, so that version tools find the latest tag.
const HISTORY: usize = 10_000;

/// What is copied.
struct Selection {
    /// Where the objects are.
    objects: PathBuf,
    /// Commits whose parents are left out (gitrepository-layout(5), `shallow`).
    shallow: Vec<Oid>,
    /// Tags that point into it, by full name.
    tags: Vec<(String, Oid)>,
}

/// Makes a repository in `into` that stands on the commit, with an empty index. `kept` is where the last pack stays for the
/// next build of the same commit.
///
/// # Errors
/// `disk_full`, `internal`.
pub(super) async fn create(
    from: &Path,
    commit: &CommitSha,
    branch: Option<&str>,
    origin: Option<&RepositoryUrl>,
    kept: Option<PathBuf>,
    into: &Path,
) -> Result<(), Failure> {
    let generations = generations(from, commit).await?;
    let (source, wanted) = (from.to_owned(), commit.clone());
    let selected = blocking(move || select(&source, &wanted, generations).map_err(|e| unreadable(&e))).await?;
    let origin = origin.map(RepositoryUrl::as_str);
    lay_out(&into.join(".git"), commit, branch, origin, &selected).map_err(|error| unwritable(into, &error))?;
    pack::make(&selected.objects, revisions(&selected, commit), kept, into).await
}

/// How many generations lead to the latest tag: version tools count from it (git-describe(1)).
async fn generations(repository: &Path, commit: &CommitSha) -> Result<usize, Failure> {
    let from = repository.to_owned();
    if !blocking(move || has_tags(&from).map_err(|error| unreadable(&error))).await? {
        return Ok(1);
    }
    let arguments = ["describe", "--tags", "--long", "--abbrev=40", "--end-of-options", commit.as_str()];
    let output = Git::new(arguments).within(repository).run().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let count = text.trim().rsplit('-').nth(1).and_then(|count| count.parse::<usize>().ok());
    Ok(count.filter(|_| output.success).map_or(1, |count| (count + 1).min(HISTORY)))
}

fn has_tags(repository: &Path) -> Result<bool, git2::Error> {
    Ok(Repository::open(repository)?.references_glob("refs/tags/*")?.next().is_some())
}

/// Enters the files of the commit in the index of a repository that [`create`] made.
///
/// # Errors
/// `disk_full`, `internal`.
pub(super) async fn fill_index(into: &Path) -> Result<(), Failure> {
    let directory = into.to_owned();
    blocking(move || {
        let fill = || {
            let repository = Repository::open(&directory)?;
            let mut index = repository.index()?;
            index.read_tree(&repository.head()?.peel_to_tree()?)?;
            index.write()
        };
        fill().map_err(|error: git2::Error| unwritable(&directory, &error))
    })
    .await
}

fn select(from: &Path, commit: &CommitSha, generations: usize) -> Result<Selection, git2::Error> {
    let repository = Repository::open(from)?;
    let start = oid::of(commit)?;
    let mut seen = HashSet::from([start]);
    let (mut youngest, mut shallow) = (vec![start], Vec::new());
    for generation in 1.. {
        let mut parents = Vec::new();
        for id in &youngest {
            let above: Vec<Oid> = repository.find_commit(*id)?.parent_ids().collect();
            // The source may itself know no more of its history.
            let cut = generation == generations || above.iter().any(|parent| repository.find_commit(*parent).is_err());
            match (cut, above.is_empty()) {
                (_, true) => {}
                (true, _) => shallow.push(*id),
                (false, _) => parents.extend(above.into_iter().filter(|parent| seen.insert(*parent))),
            }
        }
        if parents.is_empty() {
            break;
        }
        youngest = parents;
    }
    let known = std::fs::read_to_string(repository.commondir().join("shallow")).unwrap_or_default();
    let known = known.lines().filter_map(|line| oid::of(&line.parse().ok()?).ok());
    shallow.extend(known.filter(|id| seen.contains(id)).collect::<Vec<_>>());
    let mut tags = Vec::new();
    for reference in repository.references_glob("refs/tags/*")? {
        let reference = reference?;
        if let (Ok(name), Some(id)) = (reference.name(), reference.target())
            && reference.peel_to_commit().is_ok_and(|commit| seen.contains(&commit.id()))
        {
            tags.push((name.to_owned(), id));
        }
    }
    Ok(Selection { objects: repository.commondir().join("objects"), shallow, tags })
}

/// What the pack holds, as `git pack-objects --revs` reads it.
fn revisions(selected: &Selection, commit: &CommitSha) -> Vec<u8> {
    let mut lines: Vec<String> = selected.shallow.iter().map(|id| format!("--shallow {id}")).collect();
    lines.extend(selected.tags.iter().map(|(_, id)| id.to_string()));
    lines.extend([commit.to_string(), String::new()]);
    lines.join("\n").into_bytes()
}

/// Writes what makes a directory a repository (gitrepository-layout(5)), for objects that are still to come: `git init`
/// makes three times as many files, which builds that do little would spend most of their time on.
fn lay_out(
    git: &Path,
    commit: &CommitSha,
    branch: Option<&str>,
    origin: Option<&str>,
    selected: &Selection,
) -> std::io::Result<()> {
    std::fs::create_dir_all(git.join("objects/pack"))?;
    std::fs::create_dir(git.join("refs"))?;
    let lines = |lines: Vec<String>| lines.into_iter().map(|line| line + "\n").collect::<String>();
    let head = branch.map_or_else(|| commit.to_string(), |branch| format!("ref: {branch}"));
    std::fs::write(git.join("HEAD"), lines(vec![head]))?;
    std::fs::write(git.join("config"), configuration(oid::format(commit), origin))?;
    let mut references: Vec<String> = selected.tags.iter().map(|(name, id)| format!("{id} {name}")).collect();
    references.extend(branch.map(|branch| format!("{commit} {branch}")));
    if !references.is_empty() {
        std::fs::write(git.join("packed-refs"), lines(references))?;
    }
    if !selected.shallow.is_empty() {
        let shallow = selected.shallow.iter().map(ToString::to_string).collect();
        std::fs::write(git.join("shallow"), lines(shallow))?;
    }
    Ok(())
}

/// The text of `.git/config` (git-config(1), syntax).
fn configuration(format: ObjectFormat, origin: Option<&str>) -> String {
    let mut text = match format {
        ObjectFormat::Sha256 => {
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n[core]\n"
        }
        ObjectFormat::Sha1 => "[core]\n\trepositoryformatversion = 0\n",
    }
    .to_owned();
    text.push_str("\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n");
    if let Some(url) = origin {
        let url = url.replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str("[remote \"origin\"]\n\turl = \"");
        text.push_str(&url);
        text.push_str("\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n");
    }
    text
}
