//! What toolchains made becomes the build context: one directory per layer.

use std::path::{Path, PathBuf};

use super::disk;
use crate::artifact::layers::directory_name;
use crate::artifact::safe_fs::Dir;
use crate::artifact::{entrypoint, jar, tree};
use crate::image::{BuildContext, ContextKind, OwnedPath};
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::plan::{BEFORE_START, LayerSource, Plan, PlannedImage};
use crate::work::blocking;
use crate::workspace::Workspace;

/// Writes the build context of a plan, which may take so many bytes.
pub(super) async fn write(
    plan: &Plan,
    workspace: &Workspace,
    limit: u64,
) -> Result<(BuildContext, Vec<Warning>), Failure> {
    let plan = plan.clone();
    let (source, root) = (workspace.source(), workspace.context());
    let (context, warnings) = blocking(move || {
        let Some(image) = &plan.image else {
            return Err(Failure::new(FailureCode::Internal, "a library has no image"));
        };
        if image.layers.is_empty() {
            return Ok((repository(&plan, &source), Vec::new()));
        }
        let mut warnings = Vec::new();
        fill(&plan, image, &source, &root, &mut warnings)?;
        Ok((BuildContext { root, kind: ContextKind::Generated { owned: vec![owned(image)] } }, warnings))
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

fn repository(plan: &Plan, source: &Path) -> BuildContext {
    BuildContext {
        root: source.join(&plan.source.directory),
        kind: ContextKind::Repository { dockerfile: "Dockerfile".to_owned() },
    }
}

/// The application's directory, which is also `HOME`, belongs to the numeric user.
fn owned(image: &PlannedImage) -> OwnedPath {
    let mut numbers = image.user.split(':').map(|number| number.parse().unwrap_or(10001));
    let uid = numbers.next().unwrap_or(10001);
    OwnedPath { path: image.workdir.clone(), uid, gid: numbers.next().unwrap_or(uid) }
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
        let expected = jar::Expectation {
            main_class: artifact.main_class.clone(),
            final_name: artifact.final_name.clone(),
            kind: None,
        };
        jar::assemble(&target, &expected, root)?;
    }
    for layer in &image.layers {
        let into = layer_directory(root, &layer.name, &layer.to);
        match &layer.from {
            LayerSource::Jar => {}
            LayerSource::Output(_) => {
                let made = std::fs::create_dir_all(&into);
                made.map_err(|error| Failure::new(FailureCode::Internal, format!("`{}`: {error}", into.display())))?;
            }
            LayerSource::Source => copy(plan, source, &plan.source.directory, &into, warnings)?,
            LayerSource::Directory(name) => {
                let below = crate::model::source_tree::join(&plan.source.directory, name).unwrap_or_default();
                copy(plan, source, &below, &into, warnings)?;
            }
        }
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

fn copy(plan: &Plan, source: &Path, directory: &str, into: &Path, warnings: &mut Vec<Warning>) -> Result<(), Failure> {
    let include: Vec<&str> = plan.include.iter().map(String::as_str).collect();
    let leave_out: Vec<&str> = plan.leave_out.iter().map(String::as_str).collect();
    let left_out = tree::assemble(&source.join(directory), into, &tree::TreeRules::usual(&leave_out, &include)?)?;
    for (path, why) in left_out.secrets {
        let path = path.to_string_lossy().escape_debug().to_string();
        let message = format!("`{path}` is left out of the image: it {why}");
        warnings.push(
            Warning::new(
                "secret_left_out",
                message,
                format!("if it belongs there, name it in `slipway.toml`: `include = [\"{path}\"]`"),
            )
            .at(path, None),
        );
    }
    Ok(())
}

fn write_script(path: &Path, script: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, script)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}
