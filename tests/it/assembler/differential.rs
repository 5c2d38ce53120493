//! Generated cases by both backends. Left out is what the Engine's `BuildKit` (20.10) cannot do: `COPY --link`,
//! here-documents, names by `--chmod=u+x`.
//!
//! Wanted differences beside those of the configuration ([`super::images::WANTED`]):
//! - times of entries: the Engine keeps those of the build, Slipway has one for all;
//! - a source with `..` is refused; the Engine takes it for the context's root;
//! - archives compressed by bzip2, xz or Zstandard need the Engine.

use std::collections::BTreeMap;

use slipway::image::assembler::AssemblerBackend;
use slipway::image::docker::DockerBackend;
use slipway::image::{BuildContext, BuildSpec, ContextKind, ImageBackend};
use slipway::model::failure::FailureCode;
use tokio_util::sync::CancellationToken;

use super::images::{Images, differences, docker};
use super::random::Random;
use super::{bases, generate, unique};

/// Base images that the cases share.
const BASES: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn generated_cases_are_the_same_by_both() {
    // Those behind the first thirty differed once.
    run((1..31).chain([1003, 1007, 1013, 1084, 1204, 1254]), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: 500 generated cases by the Engine take half an hour"]
async fn many_generated_cases_are_the_same_by_both() {
    run(1000..1500, 20).await;
}

/// Builds the cases of the seeds by both backends; each feature must be in so many.
async fn run(seeds: impl Iterator<Item = u64> + Clone, least: usize) {
    let directory = tempfile::tempdir().unwrap();
    let run = unique();
    let mut images = Images::default();
    for number in 0..BASES {
        let name = format!("slipway/test-base-{run}:{number}");
        bases::load(&mut Random(number), directory.path(), &name);
        images.0.push(name);
    }
    let assembler = AssemblerBackend::new(directory.path().join("images"), None);
    let mut counts: BTreeMap<&str, usize> = generate::features().map(|feature| (feature, 0)).collect();
    let (mut refused, mut failures) = (0, Vec::new());
    let total = seeds.clone().count();
    for seed in seeds {
        let base = format!("slipway/test-base-{run}:{}", seed % BASES);
        let root = directory.path().join(seed.to_string());
        let case = generate::case(seed, &base, &root);
        for feature in &case.features {
            *counts.get_mut(feature).unwrap() += 1;
        }
        let kind = ContextKind::Repository { dockerfile: "Dockerfile".into() };
        let mut spec = BuildSpec::new(BuildContext { root: root.clone(), kind }, case.dockerfile.clone());
        spec.build_args = case.build_args;
        spec.target = case.target;
        match both(&spec, &assembler, &format!("{run}:{seed}"), directory.path()).await {
            Ok(different) if different.is_empty() => {}
            Ok(different) => failures.push(format!("seed {seed}:\n{}\n  {}", case.dockerfile, different.join("\n  "))),
            Err(None) => refused += 1,
            Err(Some(why)) => failures.push(format!("seed {seed}:\n{}\n  {why}", case.dockerfile)),
        }
        std::fs::remove_dir_all(root).unwrap();
    }
    println!("{total} cases, {refused} refused by both; cases with each feature: {counts:#?}");
    assert!(failures.is_empty(), "{} of {total} cases differ:\n{}", failures.len(), failures.join("\n"));
    assert!(refused * 3 < total, "{refused} of {total} cases built nothing");
    let rare: Vec<_> = counts.iter().filter(|(_, count)| **count < least).collect();
    assert!(rare.is_empty(), "{rare:?}");
}

/// The differences of both images; no image where both refuse, which is fine.
async fn both(
    spec: &BuildSpec,
    assembler: &AssemblerBackend,
    tag: &str,
    directory: &std::path::Path,
) -> Result<Vec<String>, Option<String>> {
    let cancel = CancellationToken::new();
    let (engine, own) = (format!("localhost/slipway-test/engine-{tag}"), format!("localhost/slipway-test/own-{tag}"));
    let _images = Images(vec![engine.clone(), own.clone()]);
    let mut spec = spec.clone();
    spec.references = vec![engine.parse().unwrap()];
    let theirs = DockerBackend::default().build(&spec, &|_| {}, &cancel).await;
    let ours = assembler.build(&spec, &|_| {}, &cancel).await;
    let built = match (theirs, ours) {
        (Ok(_), Ok(built)) => built,
        (Err(_), Err(ours)) if ours.code == FailureCode::ImageFailed => return Err(None),
        (Err(theirs), Err(ours)) => return Err(Some(format!("Engine: {theirs}\n  Slipway: {ours}"))),
        (Err(theirs), Ok(_)) => return Err(Some(format!("only the Engine refuses it: {theirs}"))),
        (Ok(_), Err(ours)) => return Err(Some(format!("only Slipway refuses it: {ours}"))),
    };
    let archive = directory.join("image.tar");
    assembler.save(&built, &[own.parse().unwrap()], &archive, &cancel).await.unwrap();
    docker(&["load", "--quiet", "--input", archive.to_str().unwrap()]);
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &own]).trim(), built.id.as_str());
    Ok(differences(&engine, &own))
}
