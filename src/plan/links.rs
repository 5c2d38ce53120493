//! Links of the repository that lead out of what the image gets: told before anything is built.

use super::notices::{Copied, excluded, places};
use crate::model::failure::{Failure, FailureCode};
use crate::model::plan::PlannedImage;
use crate::model::source_tree::{EntryKind, SourceTree, join, parent};

/// Refuses a link that becomes part of the image and whose target does not.
///
/// # Errors
/// `artifact_invalid` naming the link and where it leads.
pub(super) fn check(image: &PlannedImage, tree: &SourceTree, which: &Copied<'_>) -> Result<(), Failure> {
    for (base, paths) in places(image, which) {
        let skip = if base.is_empty() { 0 } else { base.len() + 1 };
        let inside = |path: &str| {
            paths.is_empty() || paths.iter().any(|one| path == one || path.starts_with(&format!("{one}/")))
        };
        let mut links = tree.below(&base).filter_map(|(whole, entry)| match &entry.kind {
            EntryKind::Symlink(target) => Some((whole, &whole[skip..], target)),
            _ => None,
        });
        let leads_out = |path: &str, target: &str| join(parent(path), target).is_none();
        if let Some((whole, path, target)) =
            links.find(|(_, path, target)| inside(path) && leads_out(path, target) && !excluded(path, which))
        {
            return Err(refused(whole, path, target));
        }
    }
    Ok(())
}

fn refused(whole: &str, path: &str, target: &str) -> Failure {
    let (path, shown) = (path.escape_debug(), target.escape_debug());
    let message = format!("`{path}` is a link to `{shown}`, outside the application's directory");
    let hint = if join(parent(whole), target).is_some() {
        "Replace the link by a copy of what it points to, or build the directory that holds both."
    } else {
        "Replace the link by a copy of what it points to."
    };
    Failure::new(FailureCode::ArtifactInvalid, message).hint(hint).at(whole, None)
}
