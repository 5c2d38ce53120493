//! The layers where the image will have them, for commands that look at them there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::artifact::layers::directory_name;
use crate::image::context::ENTRY_TIME;
use crate::model::failure::{Failure, FailureCode};
use crate::model::plan::{LayerSource, PlannedImage};

/// Where a path of the image lies below the root that layers were laid out in.
pub(super) fn place(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Lays the layers of a build context over each other below `into`, with the time that the image gives them: what
/// programs note of a file then holds in the image too. They are copies: what commands write to them stays out of the image.
/// Outputs, which commands fill, are left to the mounts that they have anyway.
///
/// # Errors
/// `internal` where the disk refuses, or a file would lie where a directory is.
pub(super) fn lay_out(image: &PlannedImage, context: &Path, into: &Path) -> Result<(), Failure> {
    let layers = image.layers.iter().filter(|layer| !matches!(layer.from, LayerSource::Output(_)));
    layers
        .map(|layer| context.join(directory_name(&layer.name)))
        .filter(|from| from.is_dir())
        .try_for_each(|from| copied(&from, into))
        .map_err(|error| Failure::new(FailureCode::Internal, format!("the layers cannot be laid out: {error}")))
}

fn copied(from: &Path, into: &Path) -> io::Result<()> {
    // A link that an earlier layer has there may lead anywhere on this machine.
    if !fs::symlink_metadata(into).is_ok_and(|there| there.is_dir()) {
        removed(into)?;
        fs::create_dir_all(into)?;
    }
    for entry in fs::read_dir(from)? {
        let (entry, kind) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
        let (source, target) = (entry.path(), into.join(entry.file_name()));
        if kind.is_dir() {
            copied(&source, &target)?;
            continue;
        }
        removed(&target)?;
        if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else {
            fs::copy(&source, &target)?;
            File::open(&target)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(ENTRY_TIME))?;
        }
    }
    Ok(())
}

/// Takes away what an earlier layer has there, if it is no directory.
fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_layer_lies_over_an_earlier_one() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, into) = (scratch.path().join("context"), scratch.path().join("root"));
        for (layer, file) in [("one", "lib/a.jar"), ("one", "x"), ("two", "x"), ("two", "b.jar")] {
            let path = from.join(layer).join("app").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, layer).unwrap();
        }
        symlink("b.jar", from.join("two/app/link")).unwrap();
        // What one layer has as a link to a directory of the machine, the next has as a directory.
        let elsewhere = scratch.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, from.join("one/app/config")).unwrap();
        fs::create_dir(from.join("two/app/config")).unwrap();
        fs::write(from.join("two/app/config/file"), "two").unwrap();
        for layer in ["one", "two"] {
            copied(&from.join(layer), &into).unwrap();
        }
        let text = |name: &str| fs::read_to_string(place(&into, "/app").join(name)).unwrap();
        assert_eq!([text("lib/a.jar"), text("x"), text("b.jar"), text("link")], ["one", "two", "two", "two"]);
        assert_eq!(fs::read_to_string(from.join("one/app/x")).unwrap(), "one");
        assert_eq!(fs::read_link(into.join("app/link")).unwrap(), Path::new("b.jar"));
        let modified = fs::metadata(into.join("app/lib/a.jar")).unwrap().modified().unwrap();
        assert_eq!(modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), ENTRY_TIME);
        assert_eq!((text("config/file").as_str(), fs::read_dir(&elsewhere).unwrap().count()), ("two", 0));
        // Commands may write to what they see, and the context has nothing of it.
        fs::write(into.join("app/b.jar"), "other").unwrap();
        assert_eq!(fs::read_to_string(from.join("two/app/b.jar")).unwrap(), "two");
        // No image has a file where another layer has a directory.
        fs::create_dir_all(from.join("three/app")).unwrap();
        fs::write(from.join("three/app/config"), "").unwrap();
        let refused = copied(&from.join("three"), &into).unwrap_err().to_string();
        assert!(refused.contains("app/config`"), "{refused}");
    }
}
