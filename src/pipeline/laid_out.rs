//! The layers where the image will have them, for commands that look at them there.

use std::fs::{self, File};
use std::io;
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
/// programs note of a file then holds in the image too. Files are the context's own, by another name; what commands make
/// besides stays out of it. Outputs, which commands fill, are left to the mounts that they have anyway.
///
/// # Errors
/// `internal` where the disk refuses.
pub(super) fn lay_out(image: &PlannedImage, context: &Path, into: &Path) -> Result<(), Failure> {
    let layers = image.layers.iter().filter(|layer| !matches!(layer.from, LayerSource::Output(_)));
    layers
        .map(|layer| context.join(directory_name(&layer.name)))
        .filter(|from| from.is_dir())
        .try_for_each(|from| linked(&from, into))
        .map_err(|error| Failure::new(FailureCode::Internal, format!("the layers cannot be laid out: {error}")))
}

fn linked(from: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(from)? {
        let (entry, kind) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
        let (source, target) = (entry.path(), into.join(entry.file_name()));
        if kind.is_dir() {
            linked(&source, &target)?;
            continue;
        }
        match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::hard_link(&source, &target)?,
        }
        if kind.is_file() {
            File::open(&target)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(ENTRY_TIME))?;
        }
    }
    Ok(())
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
        std::os::unix::fs::symlink("b.jar", from.join("two/app/link")).unwrap();
        for layer in ["one", "two"] {
            linked(&from.join(layer), &into).unwrap();
        }
        let text = |name: &str| fs::read_to_string(place(&into, "/app").join(name)).unwrap();
        assert_eq!([text("lib/a.jar"), text("x"), text("b.jar"), text("link")], ["one", "two", "two", "two"]);
        assert_eq!(fs::read_to_string(from.join("one/app/x")).unwrap(), "one");
        assert_eq!(fs::read_link(into.join("app/link")).unwrap(), Path::new("b.jar"));
        let modified = fs::metadata(into.join("app/lib/a.jar")).unwrap().modified().unwrap();
        assert_eq!(modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), ENTRY_TIME);
        // Commands may add to what they see, and the context has nothing of it.
        fs::write(into.join("app/log"), "").unwrap();
        assert!(!from.join("two/app/log").exists());
    }
}
