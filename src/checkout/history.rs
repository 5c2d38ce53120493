//! When a file was last changed, as the history tells.

use std::path::Path;

/// The most commits that are looked at; a walk of so many takes some ten milliseconds.
const COMMITS: usize = 1_000;

/// The time, in seconds since 1970, of the last commit that changed a file, or of the oldest commit that could be looked
/// at when none of them did: in a shallow clone that is the commit itself. `None` when it holds no such file.
///
/// As `git log` does, a merge leads on to the parent whose file is the same ("History Simplification").
pub(super) fn last_change(repository: &git2::Repository, commit: git2::Oid, path: &str) -> Option<i64> {
    let path = Path::new(path);
    let mut here = repository.find_commit(commit).ok()?;
    let file = blob(&here, path)?;
    for _ in 0..COMMITS {
        // A parent that a shallow clone lacks is no parent.
        let Some(same) = here.parents().find(|parent| blob(parent, path) == Some(file)) else { break };
        here = same;
    }
    Some(here.time().seconds())
}

fn blob(commit: &git2::Commit<'_>, path: &Path) -> Option<git2::Oid> {
    commit.tree().ok()?.get_path(path).ok().map(|entry| entry.id())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A commit of these files on top of the parents, at a time.
    fn commit(repository: &git2::Repository, files: &[(&str, &str)], parents: &[git2::Oid], time: i64) -> git2::Oid {
        let mut builder = repository.treebuilder(None).unwrap();
        for (name, text) in files {
            builder.insert(name, repository.blob(text.as_bytes()).unwrap(), 0o100_644).unwrap();
        }
        let tree = repository.find_tree(builder.write().unwrap()).unwrap();
        let who = git2::Signature::new("a", "a@example.com", &git2::Time::new(time, 0)).unwrap();
        let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).unwrap()).collect();
        repository.commit(None, &who, &who, "c", &tree, &parents.iter().collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_commit_that_touched_the_file_tells() {
        let directory = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init_bare(directory.path()).unwrap();
        let first = commit(&repository, &[("a", "1")], &[], 100);
        let second = commit(&repository, &[("a", "2"), ("b", "1")], &[first], 200);
        let third = commit(&repository, &[("a", "2"), ("b", "2")], &[second], 300);
        let side = commit(&repository, &[("a", "1"), ("b", "3")], &[first], 350);
        let merge = commit(&repository, &[("a", "2"), ("b", "4")], &[side, third], 400);
        for (at, path, time) in [
            (third, "a", Some(200)),
            (third, "b", Some(300)),
            (merge, "a", Some(200)),
            (merge, "b", Some(400)),
            (first, "b", None),
        ] {
            assert_eq!(last_change(&repository, at, path), time, "{path} at {at}");
        }
    }
}
