//! The pack of a build's repository: made by Git from the mirror's, and kept for the next build of the same commit, as
//! the applications of one push ask for.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::git::Git;
use crate::model::failure::Failure;
use crate::work::blocking;

/// The largest pack that is kept, in bytes: copying a larger one is no shorter than making it.
const KEPT: u64 = 16 << 20;

/// Packs objects straight into the repository in `into`: nothing is unpacked, hashed or compressed anew. A partial clone
/// lacks files of its history; whoever reads it does without them there too.
///
/// - `objects`: the directory of objects that they are taken from.
/// - `wanted`: lines as `git pack-objects --revs` reads them.
/// - `kept`: where the last pack stays; the mirror's lock is held.
///
/// # Errors
/// `tool_missing`, `disk_full`, `internal`.
pub(super) async fn make(objects: &Path, wanted: Vec<u8>, kept: Option<PathBuf>, into: &Path) -> Result<(), Failure> {
    let packs = into.join(".git/objects/pack");
    let kept = kept.map(|directory| directory.join(hex::encode(Sha256::digest(&wanted))));
    if let Some(kept) = kept.clone() {
        let packs = packs.clone();
        if blocking(move || Ok(copy(&kept, &packs, false).is_ok())).await? {
            return Ok(());
        }
    }
    let arguments = [
        "pack-objects",
        "--quiet",
        "--revs",
        "--missing=allow-any",
        "--window=0",
        "--compression=1",
        ".git/objects/pack/pack",
    ];
    Git::new(arguments).within(into).reading_objects_of(objects).input(wanted).run_or_fail().await?;
    if let Some(kept) = kept {
        // The build has its pack, whether or not the next one will find it.
        let _ = blocking(move || Ok(keep(&packs, &kept).is_ok())).await;
    }
    Ok(())
}

/// Puts a copy of a pack where the next build finds it, in place of the one that was there.
fn keep(packs: &Path, kept: &Path) -> io::Result<()> {
    let parent = kept.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let sizes = std::fs::read_dir(packs)?.map(|entry| Ok(entry?.metadata()?.len()));
    if sizes.sum::<io::Result<u64>>()? > KEPT {
        return Ok(());
    }
    std::fs::create_dir_all(parent)?;
    let made = tempfile::tempdir_in(parent)?;
    copy(packs, made.path(), true)?;
    for other in std::fs::read_dir(parent)?.filter_map(Result::ok).filter(|other| other.path() != made.path()) {
        // Another build of the same commit may do the same.
        let _ = std::fs::remove_dir_all(other.path());
    }
    std::fs::rename(made.path(), kept)
}

/// Copies the files of one directory to another, to last where they are to survive the machine.
fn copy(from: &Path, to: &Path, durable: bool) -> io::Result<()> {
    // Git takes a pack for whole once its index is there.
    let mut names: Vec<_> = std::fs::read_dir(from)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort_by_key(|name| Path::new(name).extension().is_some_and(|end| end == "idx"));
    for name in &names {
        std::fs::copy(from.join(name), to.join(name))?;
        if durable {
            File::open(to.join(name))?.sync_all()?;
        }
    }
    if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pack_is_kept_and_a_large_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let (packs, kept) = (root.path().join("packs"), root.path().join("kept"));
        std::fs::create_dir(&packs).unwrap();
        for (name, text) in [("pack-1.pack", "objects"), ("pack-1.idx", "index")] {
            std::fs::write(packs.join(name), text).unwrap();
        }
        for commit in ["one", "two"] {
            keep(&packs, &kept.join(commit)).unwrap();
        }
        let names = |directory: &Path| {
            let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&kept), ["two"]);
        let into = tempfile::tempdir().unwrap();
        assert!(copy(&kept.join("one"), into.path(), false).is_err());
        copy(&kept.join("two"), into.path(), false).unwrap();
        assert_eq!(names(into.path()), ["pack-1.idx", "pack-1.pack"]);

        File::create(packs.join("pack-2.pack")).unwrap().set_len(KEPT).unwrap();
        keep(&packs, &kept.join("large")).unwrap();
        assert_eq!(names(&kept), ["two"]);
    }
}
