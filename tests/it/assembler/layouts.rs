//! Base images in OCI image layouts: the operator's catalogue names them, a repository does not.

use std::path::{Path, PathBuf};
use std::process::Command;

use slipway::image::assembler::AssemblerBackend;
use slipway::image::docker::DockerBackend;
use slipway::image::{BuildSpec, ImageBackend as _};
use slipway::model::failure::{Failure, FailureCode};
use slipway::model::image_reference::ImageReference;
use slipway::model::layout_reference::LayoutReference;
use tokio_util::sync::CancellationToken;

use super::{context, write};
use crate::support::project::Project;
use crate::support::slipway::Slipway;

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A layout of one image, as another program writes it, and its digest.
async fn layout(directory: &Path, tag: &str) -> (PathBuf, String) {
    let assembler = AssemblerBackend::new(directory.join("images-of-the-base"), None);
    let text = format!("FROM scratch\nCOPY layer-libraries/ /\nCOPY layer-application/ /\nENV TAG={tag}\n");
    let spec = BuildSpec::new(context(&directory.join("base"), true), text);
    let cancel = CancellationToken::new();
    let built = assembler.build(&spec, &|_| {}, &cancel).await.unwrap();
    let (archive, made) = (directory.join("base.tar"), directory.join("layouts"));
    let reference: ImageReference = format!("localhost/layouts/base:{tag}").parse().unwrap();
    assembler.save(&built, &[reference], &archive, &cancel).await.unwrap();
    let (from, to) = (format!("oci-archive:{}:{tag}", archive.display()), format!("oci:{}:{tag}", made.display()));
    run("skopeo", &["copy", "--insecure-policy", "--quiet", &from, &to]);
    (made, built.id.to_string())
}

fn spec(directory: &Path, from: &str, allowed: bool) -> BuildSpec {
    let own = tempfile::tempdir_in(directory).unwrap().keep();
    let mut spec = BuildSpec::new(context(&own, false), format!("FROM {from}\nCOPY plain /app/plain\n"));
    spec.layouts.extend(allowed.then(|| from.to_owned()));
    spec
}

async fn refused(directory: &Path, from: &str, allowed: bool) -> Failure {
    let assembler = AssemblerBackend::new(directory.join("images"), None);
    assembler.build(&spec(directory, from, allowed), &|_| {}, &CancellationToken::new()).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_is_a_base_that_only_the_operator_names() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (layouts, _) = layout(root, "1").await;
    let only = format!("oci:{}", layouts.display());
    let assembler = AssemblerBackend::new(root.join("images"), None);
    let cancel = CancellationToken::new();
    let built = assembler.build(&spec(root, &only, true), &|_| {}, &cancel).await.unwrap();
    assert_eq!(built.layers.len(), 3);

    let failure = refused(root, &only, false).await;
    assert_eq!(failure.code, FailureCode::BaseImageMissing);
    assert!(failure.message.contains("only the operator's catalogue"), "{failure}");

    // The Engine starts from no layout, and says who does.
    let mut by_engine = spec(root, &only, true);
    by_engine.base_images.push(only.clone());
    let failure = DockerBackend::default().build(&by_engine, &|_| {}, &cancel).await.unwrap_err();
    assert!(failure.message.contains("an OCI image layout") && failure.hint.contains("assembler"), "{failure}");

    // Of several images one has to be named.
    layout(root, "2").await;
    let failure = refused(root, &only, true).await;
    assert_eq!((failure.code, failure.candidates), (FailureCode::BaseImageMissing, vec!["1".into(), "2".into()]));
    for tag in ["1", "2"] {
        assembler.build(&spec(root, &format!("{only}:{tag}"), true), &|_| {}, &cancel).await.unwrap();
    }
    let failure = refused(root, &format!("{only}:3"), true).await;
    assert!(failure.message.contains("has no image"), "{failure}");
    let failure = refused(root, "oci:/nowhere/at/all:1", true).await;
    assert_eq!(failure.code, FailureCode::BaseImageMissing, "{failure}");
}

/// Each damage, what it is refused with, and what the words say.
const DAMAGES: &[(&str, FailureCode, &str)] = &[
    ("layer", FailureCode::DigestMismatch, "is not what its name says"),
    ("layer cut", FailureCode::DigestMismatch, "is not what its name says"),
    ("layer too long", FailureCode::DigestMismatch, "is not what its name says"),
    ("layer missing", FailureCode::BaseImageMissing, "cannot be read"),
    ("configuration cut", FailureCode::DigestMismatch, "is not what its name says"),
    ("manifest", FailureCode::DigestMismatch, "is not what its name says"),
    ("manifest missing", FailureCode::BaseImageMissing, "cannot be read"),
    ("index missing", FailureCode::BaseImageMissing, "index.json` cannot be read"),
    ("index", FailureCode::ImageFailed, "has an index that is no JSON"),
    ("index of nothing", FailureCode::ImageFailed, "has an index that lists nothing"),
    ("index without digest", FailureCode::ImageFailed, "has an index that is none"),
    ("index of another", FailureCode::BaseImageMissing, "cannot be read"),
    ("platform", FailureCode::BaseImageMissing, "has no image"),
];

/// Damages a layout of one image.
fn damaged(layouts: &Path, damage: &str) {
    let blob = |digest: &str| layouts.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let read = |path: &Path| -> serde_json::Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let mut index = read(&layouts.join("index.json"));
    let manifest = blob(index["manifests"][0]["digest"].as_str().unwrap());
    let layer = blob(read(&manifest)["layers"][0]["digest"].as_str().unwrap());
    let config = blob(read(&manifest)["config"]["digest"].as_str().unwrap());
    let resized = |path: &Path, by: i64| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len().checked_add_signed(by).unwrap()).unwrap();
    };
    let lists = |index: &serde_json::Value| std::fs::write(layouts.join("index.json"), index.to_string()).unwrap();
    match damage {
        "layer" => {
            let length = std::fs::metadata(&layer).unwrap().len();
            std::fs::write(&layer, vec![0; usize::try_from(length).unwrap()]).unwrap();
        }
        "layer cut" => resized(&layer, -7),
        "layer too long" => resized(&layer, 7),
        "layer missing" => std::fs::remove_file(&layer).unwrap(),
        "configuration cut" => resized(&config, -7),
        "manifest" => std::fs::write(&manifest, "{}").unwrap(),
        "manifest missing" => std::fs::remove_file(&manifest).unwrap(),
        "index missing" => std::fs::remove_file(layouts.join("index.json")).unwrap(),
        "index" => std::fs::write(layouts.join("index.json"), "{").unwrap(),
        "index of nothing" => lists(&serde_json::json!({ "schemaVersion": 2 })),
        "index without digest" => {
            index["manifests"][0]["digest"] = "sha256:../../../etc/passwd".into();
            lists(&index);
        }
        "index of another" => {
            index["manifests"][0]["digest"] = format!("sha256:{}", "a".repeat(64)).into();
            lists(&index);
        }
        _ => {
            index["manifests"][0]["platform"] = serde_json::json!({ "os": "linux", "architecture": "riscv64" });
            lists(&index);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_that_is_not_whole_is_refused_in_clear_words() {
    for (damage, code, words) in DAMAGES {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (layouts, _) = layout(root, "1").await;
        damaged(&layouts, damage);
        let failure = refused(root, &format!("oci:{}:1", layouts.display()), true).await;
        assert_eq!(failure.code, *code, "{damage}: {failure}");
        assert!(failure.message.contains(words), "{damage}: {failure}");
        assert!(*damage == "platform" || failure.hint.contains("copy it there again"), "{damage}: {}", failure.hint);
        // As the whole it is read by `slipway images check` too, and nothing of it stays in the cache.
        let named: LayoutReference = format!("oci:{}:1", layouts.display()).parse().unwrap();
        assert_eq!(slipway::image::assembler::check(&named).await.unwrap_err().code, *code, "{damage}");
        assert!(!root.join("images/bases").exists(), "{damage}");
    }
}

/// The layout of Slipway's own base images is made anew rather than copied.
#[tokio::test(flavor = "multi_thread")]
async fn slipways_own_base_images_are_to_be_made_again_where_they_are_damaged() {
    for (damage, code, _) in DAMAGES.iter().filter(|(damage, ..)| !["platform", "index missing"].contains(damage)) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let own = root.join("base-images");
        let assembler = AssemblerBackend::new(root.join("images"), None).base_images(own.clone());
        let cancel = CancellationToken::new();
        let base = BuildSpec::new(context(&root.join("base"), false), "FROM scratch\nCOPY plain /plain\n");
        let built = assembler.build(&base, &|_| {}, &cancel).await.unwrap();
        assembler.keep(&built, "slipway/jre:latest").await.unwrap();
        assembler.build(&spec(root, "slipway/jre", false), &|_| {}, &cancel).await.unwrap();
        damaged(&own, damage);
        // Another cache, as the blobs of this one are whole.
        let other = AssemblerBackend::new(root.join("others"), None).base_images(own);
        let failure = other.build(&spec(root, "slipway/jre", false), &|_| {}, &cancel).await.unwrap_err();
        assert_eq!(failure.code, *code, "{damage}: {failure}");
        assert!(failure.hint.contains("slipway base-images build"), "{damage}: {}", failure.hint);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogues_layout_is_built_on_and_a_repositorys_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (layouts, _) = layout(directory.path(), "jre").await;
    let named = format!("oci:{}:jre", layouts.display());
    let images = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/base-images/images.toml")).unwrap();
    let ours = format!("{images}\n[images.ours]\ndescription = \"ours\"\nreference = \"{named}\"\n");
    let catalog = directory.path().join("catalog");
    write(&catalog, "base-images/images.toml", &ours, 0o644);
    let settings = |base: &str| format!("[image]\nbase = \"{base}\"\n[runtime]\ncommand = [\"/app/run\"]\n");
    // Without an Engine, a person's own directory needs no flag either.
    let slipway = Slipway::new()
        .env("SLIPWAY__CACHE__DIRECTORY", directory.path().join("cache").to_str().unwrap())
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let based = async |base: &str| {
        let project = Project::new("layouts", &[("output/run", "x"), ("slipway.toml", settings(base).as_str())]);
        project.commit();
        let archive = format!("type=oci,dest={}", directory.path().join("image.tar").display());
        let args = ["--catalog", catalog.to_str().unwrap(), "--output", &archive];
        slipway.build(&project.path(), &args.map(str::to_owned)).await
    };
    let built = based("ours").await;
    assert_eq!(built.code, 0, "{}", built.text());
    assert!(built.report["dockerfile"].as_str().unwrap().contains(&format!("FROM {named}\n")), "{}", built.text());
    assert!(built.stderr.contains("commands run on this machine itself"), "{}", built.text());
    let refused = based(&named).await;
    assert_eq!((refused.code, refused.failure_code()), (1, "plan_invalid"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_check_reads_a_layout_whole() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (layouts, _) = layout(root, "1").await;
    let slipway = Slipway::new();
    let check = async |name: &str| {
        let named = format!("oci:{}:{name}", layouts.display());
        slipway.run(&["images", "check", &named, "--format", "json"].map(str::to_owned)).await
    };
    let whole = check("1").await;
    assert_eq!(whole.code, 0, "{}", whole.text());
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(layouts.join("index.json")).unwrap()).unwrap();
    let image = &whole.report["image"];
    assert_eq!(image["digest"], index["manifests"][0]["digest"]);
    assert!(image["layers"].as_array().unwrap().len() == 2 && image["entries"].as_u64() > Some(2), "{}", whole.text());
    let missing = check("2").await;
    assert!(missing.code != 0 && missing.stderr.contains("base_image_missing"), "{}", missing.text());
    // One byte of a layer is another.
    let blobs = std::fs::read_dir(layouts.join("blobs/sha256")).unwrap().map(|blob| blob.unwrap().path());
    let layer = blobs.max_by_key(|blob| std::fs::metadata(blob).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&layer, bytes).unwrap();
    let damaged = check("1").await;
    assert!(damaged.code != 0 && damaged.stderr.contains("digest_mismatch"), "{}", damaged.text());
}
