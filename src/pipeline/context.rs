//! What toolchains made becomes the build context: one directory per layer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk;
use super::source::Files;
use crate::artifact::kind::{Expectation, Kind};
use crate::artifact::layers::directory_name;
use crate::artifact::safe_fs::Dir;
use crate::artifact::{entrypoint, jar, tree};
use crate::checkout::WorkingTree;
use crate::image::{BuildContext, ContextKind, OwnedPath};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::left_out;
use crate::model::plan::{BEFORE_START, LayerSource, Plan, PlannedImage};
use crate::work::blocking;
use crate::workspace::Workspace;

/// Writes the build context of a plan, which may take so many bytes.
pub(super) async fn write(
    plan: &Plan,
    files: &Files,
    workspace: &Workspace,
    limit: u64,
) -> Result<(BuildContext, Vec<Warning>), Failure> {
    let plan = plan.clone();
    if let Files::InPlace(tree) = files {
        let tree = tree.clone();
        return blocking(move || in_place(&plan, &tree, limit)).await;
    }
    let (source, root) = (workspace.source(), workspace.context());
    let (context, warnings) = blocking(move || {
        let Some(image) = &plan.image else {
            return Err(Failure::new(FailureCode::Internal, "a library has no image"));
        };
        if plan.has_own_dockerfile() {
            return repository(&plan, &source);
        }
        let mut warnings = Vec::new();
        fill(&plan, image, &source, &root, &mut warnings)?;
        Ok((BuildContext { root, kind: ContextKind::Generated { owned: owned(image) } }, warnings))
    })
    .await?;
    disk::bounded(&context.root, limit).await?;
    Ok((context, warnings))
}

/// Where an output's layer lies: commands fill it directly.
#[must_use]
pub(super) fn layer_directory(context: &Path, layer: &str, to: &str) -> PathBuf {
    context.join(directory_name(layer)).join(to.trim_start_matches('/'))
}

/// The repository as it is, for its own Dockerfile: without what would make secrets part of an image by `COPY . .`.
fn repository(plan: &Plan, source: &Path) -> Result<(BuildContext, Vec<Warning>), Failure> {
    let root = source.join(&plan.source.directory);
    let context = BuildContext { root, kind: ContextKind::Repository { dockerfile: "Dockerfile".to_owned() } };
    let include: Vec<&str> = plan.include.iter().map(String::as_str).collect();
    let (rules, ignored) = (tree::TreeRules::of_a_repository(&include)?, context.ignore_rules()?);
    let removed = tree::remove_left_out(&context.root, &rules, &ignored)?;
    Ok((context, warnings_of(removed.secrets, &plan.source.directory)))
}

/// The same of a person's own directory, of which nothing is copied and nothing removed.
fn in_place(plan: &Plan, tree: &WorkingTree, limit: u64) -> Result<(BuildContext, Vec<Warning>), Failure> {
    let root = tree.root.join(&plan.source.directory);
    let (files, bytes) = tree.below(&plan.source.directory);
    disk::within(bytes, limit)?;
    let listed = |files| ContextKind::Listed { dockerfile: "Dockerfile".to_owned(), files };
    let mut context = BuildContext { root, kind: listed(Arc::default()) };
    let include: Vec<&str> = plan.include.iter().map(String::as_str).collect();
    // To make the rules takes longer than to see that there is nothing for them.
    let rules = if include.is_empty() && !files.iter().any(|file| left_out::may_be_left_out(file)) {
        tree::TreeRules::everything()
    } else {
        tree::TreeRules::of_a_repository(&include)?
    };
    let ignored = context.ignore_rules()?;
    let (kept, removed) = tree::left_in(files.iter().map(PathBuf::as_path), &rules, &ignored);
    context.kind = listed(Arc::new(kept.into_iter().collect()));
    Ok((context, warnings_of(removed.secrets, &plan.source.directory)))
}

fn warnings_of(secrets: Vec<(PathBuf, String)>, directory: &str) -> Vec<Warning> {
    let warning = |(path, why): (PathBuf, String)| {
        let path = path.to_string_lossy();
        let whole = crate::model::source_tree::join(directory, &path).unwrap_or_else(|| path.to_string());
        left_out::warning(&path, &why).at(whole, None)
    };
    secrets.into_iter().map(warning).collect()
}

/// The application's directory, which is also `HOME`, and the volumes belong to the numeric user.
fn owned(image: &PlannedImage) -> Vec<OwnedPath> {
    let mut numbers = image.user.split(':').map(|number| number.parse().unwrap_or(10001));
    let uid = numbers.next().unwrap_or(10001);
    let gid = numbers.next().unwrap_or(uid);
    [&image.workdir].into_iter().chain(&image.volumes).map(|path| OwnedPath { path: path.clone(), uid, gid }).collect()
}

fn fill(
    plan: &Plan,
    image: &PlannedImage,
    source: &Path,
    root: &Path,
    warnings: &mut Vec<Warning>,
) -> Result<(), Failure> {
    if let Some(artifact) = &plan.artifact {
        let target = Dir::open(source)?.below(&artifact.directory)?;
        let expected = Expectation {
            main_class: artifact.main_class.clone(),
            final_name: artifact.final_name.clone(),
            kind: Kind::of_shape(&plan.toolchain.shape),
            context_root: artifact.context_root.clone(),
        };
        jar::assemble(&target, &expected, root)?;
        let beside = layer_directory(root, "application", &image.workdir);
        for (path, name) in &artifact.files {
            let (from, into) = (Dir::open(source)?, Dir::open(&beside)?);
            if from.has_directory(path) {
                copy(plan, source, path, &[], &beside.join(name), warnings)?;
            } else {
                from.copy_file(path, &into, name)?;
            }
        }
    }
    for layer in &image.layers {
        let into = layer_directory(root, &layer.name, &layer.to);
        match &layer.from {
            // A plan names files where a toolchain's data says that a reader finds them.
            LayerSource::Jar | LayerSource::Found(_) => {}
            LayerSource::Output(_) => {
                let made = std::fs::create_dir_all(&into);
                made.map_err(|error| Failure::new(FailureCode::Internal, format!("`{}`: {error}", into.display())))?;
            }
            LayerSource::Source => copy(plan, source, &plan.source.directory, &[], &into, warnings)?,
            LayerSource::Directory(name) => {
                let below = crate::model::source_tree::join(&plan.source.directory, name).unwrap_or_default();
                copy(plan, source, &below, &[], &into, warnings)?;
            }
            LayerSource::Files { directory, paths } => {
                copy(plan, source, directory, &only(paths), &into, warnings)?;
            }
        }
    }
    if let Some(layer) = image.layers.last() {
        volumes(&image.volumes, &root.join(directory_name(&layer.name)))?;
    }
    if let Some(hook) = &image.before_start {
        let script = entrypoint::script(hook)
            .ok_or_else(|| Failure::new(FailureCode::PlanInvalid, "`runtime.before_start` is empty"))?;
        let directory = BEFORE_START.rsplit_once('/').map_or("/", |(directory, _)| directory);
        let into = layer_directory(root, "before-start", directory);
        write_script(&into.join("slipway-before-start"), &script)
            .map_err(|error| Failure::new(FailureCode::Internal, format!("`{}`: {error}", into.display())))?;
    }
    Ok(())
}

/// Makes the directories of volumes: a volume begins as the image's directory, its owner included, and where there is none
/// it would belong to root.
fn volumes(volumes: &[String], layer: &Path) -> Result<(), Failure> {
    if volumes.is_empty() {
        return Ok(());
    }
    let layer = Dir::open(layer)?;
    for volume in volumes {
        match layer.make(volume.trim_matches('/')) {
            // What the application itself has there is no directory, or a link.
            Err(failure) if failure.code == FailureCode::ArtifactInvalid => {}
            made => drop(made?),
        }
    }
    Ok(())
}

/// Copies a directory but for what is excluded and what looks like a secret.
fn copy(
    plan: &Plan,
    source: &Path,
    directory: &str,
    exclude: &[String],
    into: &Path,
    warnings: &mut Vec<Warning>,
) -> Result<(), Failure> {
    let include: Vec<&str> = plan.include.iter().map(String::as_str).collect();
    let exclude: Vec<&str> = plan.leave_out.iter().chain(exclude).map(String::as_str).collect();
    let copied = tree::assemble(&source.join(directory), into, &tree::TreeRules::usual(&exclude, &include)?)?;
    warnings.extend(warnings_of(copied.secrets, directory));
    Ok(())
}

/// Patterns that leave out all but these paths (gitignore(5): each directory on the way is brought back, then the next
/// level left out).
fn only(paths: &[String]) -> Vec<String> {
    let escaped = |path: &str| {
        let special = |c| if "*?[]\\!# ".contains(c) { vec!['\\', c] } else { vec![c] };
        path.chars().flat_map(special).collect::<String>()
    };
    let mut ways: Vec<&str> = Vec::new();
    for path in paths {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        ways.extend(parents);
    }
    // Shallow ones first, so that a deeper one is not left out again.
    ways.sort_by_key(|way| (way.matches('/').count(), *way));
    ways.dedup();
    let mut patterns = vec!["/*".to_owned()];
    for way in ways {
        patterns.extend([format!("!/{}/", escaped(way)), format!("/{}/*", escaped(way))]);
    }
    patterns.extend(paths.iter().map(|path| format!("!/{}", escaped(path))));
    patterns
}

fn write_script(path: &Path, script: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, script)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_made_unless_something_else_is_there() {
        let layer = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), layer.path().join("link")).unwrap();
        std::fs::write(layer.path().join("file"), "x").unwrap();
        volumes(&["/data/notes/", "/link/x", "/file", "/../up"].map(str::to_owned), layer.path()).unwrap();
        assert!(layer.path().join("data/notes").is_dir());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(!layer.path().parent().unwrap().join("up").exists());
    }

    #[test]
    fn only_the_named_paths_are_copied() {
        let (from, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = [
            "web/a.html",
            "web/sub/b.css",
            "conf/app.yml",
            "conf/other.yml",
            "deep/x/y/z.txt",
            "deep/x/q.txt",
            "main.go",
            "web/.env",
            "we*rd.txt",
            "weird.txt",
        ];
        for path in files {
            let path = from.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let paths = ["conf/app.yml", "deep/x/y", "we*rd.txt", "web"].map(str::to_owned);
        let patterns = only(&paths);
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        tree::assemble(from.path(), into.path(), &tree::TreeRules::usual(&patterns, &[]).unwrap()).unwrap();
        let there = |path: &&str| into.path().join(path).exists();
        let copied: Vec<&str> = files.into_iter().filter(there).collect();
        assert_eq!(copied, ["web/a.html", "web/sub/b.css", "conf/app.yml", "deep/x/y/z.txt", "we*rd.txt"]);
    }
}
