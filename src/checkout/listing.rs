//! A walk over a commit's tree: every entry once, with its path in bytes.

use std::sync::Once;

use git2::{Oid, Repository};

use crate::model::failure::{Failure, FailureCode};

/// The most entries that a tree may have, directories too.
const ENTRIES: usize = 2_000_000;
/// The longest path that Linux takes.
const PATH: usize = 4096;

/// Has Git hash nothing anew that it reads of packs, which carry checksums of their own. It took 15 % of planning a Go
/// program with many files.
pub(super) fn trust_packs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| git2::opts::strict_hash_verification(false));
}

/// What an entry is (gitformat-index(5), "mode").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File { executable: bool },
    Link,
    Submodule,
}

/// Visits every entry in the order of the paths' bytes, a directory before what lies in it.
///
/// # Errors
/// `source_unusable` for more entries or longer paths than any repository needs; `internal` for damaged objects.
pub(super) fn walk(repository: &Repository, root: Oid, mut visit: impl FnMut(&[u8], Kind, Oid)) -> Result<(), Failure> {
    let open = |id| repository.find_tree(id).map_err(|error| unreadable(&error));
    let mut count = 0;
    // Not by recursion: the depth is the repository's choice.
    let mut above = vec![(Vec::new(), open(root)?, 0)];
    while let Some((prefix, tree, next)) = above.last_mut() {
        let Some(entry) = tree.get(*next) else {
            above.pop();
            continue;
        };
        *next += 1;
        count += 1;
        let path = [&prefix[..], entry.name_bytes()].concat();
        if count > ENTRIES || path.len() > PATH {
            let message = format!("the repository has more than {ENTRIES} files, or a path of more than {PATH} bytes");
            return Err(Failure::new(FailureCode::SourceUnusable, message));
        }
        let (kind, id) = (kind(entry.filemode().cast_unsigned()), entry.id());
        drop(entry);
        visit(&path, kind, id);
        if kind == Kind::Directory {
            above.push(([&path[..], b"/"].concat(), open(id)?, 0));
        }
    }
    Ok(())
}

/// What an entry with this mode is.
pub(super) fn kind(mode: u32) -> Kind {
    match mode & 0o170_000 {
        0o040_000 => Kind::Directory,
        0o120_000 => Kind::Link,
        0o160_000 => Kind::Submodule,
        _ => Kind::File { executable: mode & 0o100 != 0 },
    }
}

pub(super) fn unreadable(error: &git2::Error) -> Failure {
    Failure::new(FailureCode::Internal, format!("the commit's objects cannot be read: {}", error.message()))
}
