//! Base images in Slipway's own layout that newer ones have taken the place of.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::kept::{entries, lock, replace};
use super::layout::NAME;
use crate::clock;

/// Removes names whose image is no longer the `latest` of its repository and was made longer than `age` ago, then all blobs
/// without a name. Returns the files and bytes that went. Blocks.
pub(super) fn collect(directory: &Path, age: Duration) -> io::Result<(u64, u64)> {
    if !directory.join("index.json").is_file() {
        return Ok((0, 0));
    }
    let _lock = lock(directory)?;
    let blobs = directory.join("blobs/sha256");
    let all = entries(directory)?;
    let latest: BTreeSet<(&str, &str)> = all.iter().filter(|entry| parts(entry).1 == "latest").map(image).collect();
    let old = |entry: &Value| {
        let made = fs::metadata(blobs.join(image(entry).1)).and_then(|found| found.modified());
        let made = made.ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        made.is_some_and(|made| clock::since_epoch().saturating_sub(made) > age)
    };
    let (mut gone, mut kept): (Vec<&Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for entry in &all {
        let replaced = latest.iter().any(|(name, digest)| *name == image(entry).0 && *digest != image(entry).1);
        if replaced && old(entry) { gone.push(entry) } else { kept.push(entry.clone()) }
    }
    if !gone.is_empty() {
        replace(directory, &kept)?;
    }
    let mut named = BTreeSet::new();
    for entry in &kept {
        let digest = image(entry).1;
        let manifest: Value = serde_json::from_slice(&fs::read(blobs.join(digest))?)?;
        let parts = manifest["layers"].as_array().into_iter().flatten().chain([&manifest["config"]]);
        named.extend(parts.filter_map(|part| Some(part["digest"].as_str()?.trim_start_matches("sha256:").to_owned())));
        named.insert(digest.to_owned());
    }
    let (mut files, mut bytes) = (0, 0);
    for file in fs::read_dir(&blobs)? {
        let file = file?;
        if !named.contains(&*file.file_name().to_string_lossy()) {
            bytes += file.metadata()?.len();
            files += 1;
            fs::remove_file(file.path())?;
        }
    }
    Ok((files, bytes))
}

/// The repository and the digest of an entry.
fn image(entry: &Value) -> (&str, &str) {
    (parts(entry).0, entry["digest"].as_str().unwrap_or_default().trim_start_matches("sha256:"))
}

/// The repository and the tag of an entry.
fn parts(entry: &Value) -> (&str, &str) {
    let name = entry["annotations"][NAME].as_str().unwrap_or_default();
    name.rsplit_once(':').unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::image::assembler::{Cache, Limits};
    use crate::image::{BuildContext, BuildSpec, ContextKind, ImageBackend as _};

    const MONTHS: Duration = Duration::from_hours(24 * 90);

    fn names(layout: &Path) -> Vec<String> {
        let entries = entries(layout).unwrap();
        let mut names: Vec<String> = entries.iter().map(|entry| entry["annotations"][NAME].to_string()).collect();
        names.sort();
        names
    }

    fn files(layout: &Path) -> Vec<PathBuf> {
        fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|file| file.unwrap().path()).collect()
    }

    #[tokio::test]
    async fn what_a_newer_image_has_replaced_goes_after_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let (images, layout) = (directory.path().join("images"), directory.path().join("own"));
        let context = directory.path().join("context");
        fs::create_dir(&context).unwrap();
        let own = crate::image::assembler::AssemblerBackend::new(images.clone(), None).base_images(layout.clone());
        for version in ["one", "two"] {
            fs::write(context.join("file"), version.repeat(500)).unwrap();
            let kind = ContextKind::Repository { dockerfile: "Dockerfile".into() };
            let spec = BuildSpec::new(BuildContext { root: context.clone(), kind }, "FROM scratch\nCOPY file /\n");
            let built = own.build(&spec, &|_| {}, &tokio_util::sync::CancellationToken::new()).await.unwrap();
            own.keep(&built, "slipway/debian:latest").await.unwrap();
            own.name("slipway/debian:latest", &format!("slipway/debian:{version}")).await.unwrap();
        }
        let cache = Cache::new(images).base_images(layout.clone());
        // Young, it may be what a build starts from just now.
        cache.collect(Limits { age: Duration::ZERO, ..Limits::default() }).unwrap();
        assert_eq!((names(&layout).len(), files(&layout).len()), (3, 6));
        for file in files(&layout) {
            let made = UNIX_EPOCH + clock::since_epoch().saturating_sub(MONTHS);
            fs::File::options().write(true).open(file).unwrap().set_modified(made).unwrap();
        }
        let (gone, freed) = collect(&layout, MONTHS / 2).unwrap();
        assert!(gone == 3 && freed > 0, "{gone} files, {freed} bytes");
        assert_eq!(names(&layout), ["\"slipway/debian:latest\"", "\"slipway/debian:two\""]);
        assert!(own.kept("slipway/debian:two").await.unwrap().is_some());
        assert!(own.kept("slipway/debian:one").await.unwrap().is_none());
        assert_eq!(collect(&layout, MONTHS / 2).unwrap(), (0, 0));
        assert_eq!(collect(Path::new("/nowhere/at/all"), MONTHS).unwrap(), (0, 0));
    }
}
