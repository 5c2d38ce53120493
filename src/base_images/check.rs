//! `base-images check`: starts each image and looks whether it has what `images.toml` promises.

use bollard::Docker;

use super::definition::{Images, Probe};
use super::engine::Engine;
use super::{probe, reference};
use crate::model::failure::Failure;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The image.
    pub name: String,
    /// What is wrong with it, one sentence each; nothing when it is as promised.
    pub problems: Vec<String>,
}

/// Checks the named images (all, when none is named); root file systems are not checked themselves.
/// `progress` gets a line for each image.
///
/// # Errors
///
/// `BaseImageMissing` for an unknown name, `EngineUnavailable`. An image that is not there, or not as
/// promised, is no error but a problem in the result.
pub async fn check(
    images: &Images,
    names: &[String],
    engine: &Docker,
    progress: impl Fn(&str),
) -> Result<Vec<Checked>, Failure> {
    let engine = Engine::new(engine);
    let mut results = Vec::new();
    for name in images.in_order(names)?.into_iter().filter(|name| images.images.contains_key(name)) {
        let problems = check_one(images, &name, &engine).await?;
        let verdict = if problems.is_empty() { "as promised".to_owned() } else { problems.join("; ") };
        progress(&format!("{name}: {verdict}"));
        results.push(Checked { name, problems });
    }
    Ok(results)
}

async fn check_one(images: &Images, name: &str, engine: &Engine) -> Result<Vec<String>, Failure> {
    let image = &images.images[name];
    let reference = reference(name);
    let Some(found) = engine.find(&reference).await? else {
        return Ok(vec!["it is not built: `slipway base-images build`".to_owned()]);
    };
    let mut problems = Vec::new();
    let user = image.user.as_deref().unwrap_or_default();
    if found.user != user {
        problems.push(format!("it starts as `{}`, not as `{user}`", found.user));
    }
    let parts = image.contains.iter().filter_map(|part| images.probes.get(part));
    let health = image.health.first().map(|program| Probe { files: vec![program.clone()], ..Probe::default() });
    for probe in parts.chain(&health).chain(&image.probe) {
        problems.extend(probe::run(engine.docker(), &reference, probe).await?);
    }
    Ok(problems)
}
