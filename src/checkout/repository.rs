//! The small repository that a build gets: a commit, its history back to the latest tag, and nothing of where
//! they were copied from. Hard links or alternates would let a build write to the mirror, or miss it in a sandbox.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, RepositoryInitOptions};

use super::fetched::unwritable;
use super::git::Git;
use super::listing::unreadable;
use super::oid;
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

/// Makes a repository in `into` that stands on the commit, with an empty index.
///
/// # Errors
/// `disk_full`, `internal`.
pub(super) async fn create(
    from: &Path,
    commit: &CommitSha,
    branch: Option<&str>,
    origin: Option<&RepositoryUrl>,
    into: &Path,
) -> Result<(), Failure> {
    let generations = generations(from, commit).await?;
    let (source, wanted) = (from.to_owned(), commit.clone());
    let selected = blocking(move || select(&source, &wanted, generations).map_err(|e| unreadable(&e))).await?;
    let mut options = RepositoryInitOptions::new();
    options.external_template(false).no_reinit(true).mkpath(true).initial_head("main");
    options.object_format(oid::format(commit));
    Repository::init_opts(into, &options).map_err(|error| unwritable(into, &error))?;
    pack(&selected, commit, into).await?;
    point(into, commit, branch, origin, &selected).map_err(|error| unwritable(into, &error))
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

/// Packs what is selected straight into the new repository: nothing is unpacked, hashed or compressed anew. A partial
/// clone lacks files of its history; whoever reads it does without them there too.
async fn pack(selected: &Selection, commit: &CommitSha, into: &Path) -> Result<(), Failure> {
    let mut lines: Vec<String> = selected.shallow.iter().map(|id| format!("--shallow {id}")).collect();
    lines.extend(selected.tags.iter().map(|(_, id)| id.to_string()));
    lines.extend([commit.to_string(), String::new()]);
    let arguments = [
        "pack-objects",
        "--quiet",
        "--revs",
        "--missing=allow-any",
        "--window=0",
        "--compression=1",
        ".git/objects/pack/pack",
    ];
    let git =
        Git::new(arguments).within(into).reading_objects_of(&selected.objects).input(lines.join("\n").into_bytes());
    git.run_or_fail().await.map(drop)
}

fn point(
    into: &Path,
    commit: &CommitSha,
    branch: Option<&str>,
    origin: Option<&RepositoryUrl>,
    selected: &Selection,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if !selected.shallow.is_empty() {
        let lines: Vec<String> = selected.shallow.iter().map(ToString::to_string).collect();
        std::fs::write(into.join(".git/shallow"), lines.join("\n") + "\n")?;
    }
    let repository = Repository::open(into)?;
    for (name, id) in &selected.tags {
        repository.reference(name, *id, true, "checkout")?;
    }
    if let Some(url) = origin {
        repository.remote("origin", url.as_str())?;
    }
    let id = oid::of(commit)?;
    match branch {
        Some(branch) => {
            repository.reference(branch, id, true, "checkout")?;
            repository.set_head(branch)?;
        }
        None => repository.set_head_detached(id)?,
    }
    Ok(())
}
