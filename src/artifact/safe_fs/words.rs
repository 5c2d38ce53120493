//! What is said of paths and of what went wrong with them.

use std::io;
use std::path::Path;

use crate::model::failure::{Failure, FailureCode};

/// A path in backticks, with newlines, control characters and bytes that are no UTF-8 made visible.
#[must_use]
pub fn show(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if text.is_empty() { ".".into() } else { text };
    let escaped: String = text
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    format!("`{escaped}`")
}

/// What an error of the file system means for a build.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub fn failure(verb: &str, path: &Path, error: io::Error) -> Failure {
    use rustix::io::Errno;
    let shown = show(path);
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT) => Failure::new(FailureCode::ArtifactMissing, format!("the build left no {shown}")),
        Some(Errno::LOOP) => {
            Failure::new(FailureCode::ArtifactInvalid, format!("{shown} is, or lies behind, a symbolic link"))
                .hint("Make the build write a regular file there; links are not followed.")
        }
        Some(Errno::XDEV) => {
            Failure::new(FailureCode::ArtifactInvalid, format!("{shown} lies outside the build's directory"))
        }
        Some(Errno::NOTDIR) => Failure::new(FailureCode::ArtifactInvalid, format!("{shown} is not a directory")),
        Some(Errno::ISDIR | Errno::NXIO) => not_regular(path),
        Some(Errno::EXIST) => {
            Failure::new(FailureCode::ArtifactInvalid, format!("two files of the artifact want to be {shown}"))
                .hint("Rename one of them: in the image there is one directory for both.")
        }
        Some(Errno::NOSPC | Errno::DQUOT) => {
            Failure::new(FailureCode::DiskFull, format!("cannot {verb} {shown}: {error}"))
        }
        _ => Failure::new(FailureCode::Internal, format!("cannot {verb} {shown}: {error}")),
    }
}

pub(super) fn not_regular(path: &Path) -> Failure {
    Failure::new(FailureCode::ArtifactInvalid, format!("{} is not a regular file", show(path)))
        .hint("Sockets, FIFOs and devices cannot go into an image; remove it at the end of the build or exclude it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_shown_on_one_line() {
        assert_eq!(show(Path::new("a\nb")), "`a\\nb`");
        assert_eq!(show(Path::new("")), "`.`");
    }
}
