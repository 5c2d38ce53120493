//! Docker's media types: for registries and tools that know no others.

use std::process::Command;

use serde_json::Value;
use slipway::image::assembler::{AssemblerBackend, MediaTypes};
use slipway::image::credentials::Credentials;
use slipway::image::{BuildSpec, ImageBackend as _, RegistryAccess};
use slipway::model::image_reference::ImageReference;
use tokio_util::sync::CancellationToken;

use super::images::Images;
use super::{context, unique};
use crate::services::service;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_and_the_engine_take_docker_media_types() {
    let directory = tempfile::tempdir().unwrap();
    let (root, cancel, run) = (directory.path(), CancellationToken::new(), unique());
    let registry = service("SLIPWAY_TEST_REGISTRY");
    let account = Credentials::password(service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD"));
    let access = RegistryAccess { credentials: Some(account.clone()), ..RegistryAccess::default() };
    let assembler = |types: MediaTypes| AssemblerBackend::new(root.join("images"), None).media_types(types);
    let reference =
        |name: &str| -> ImageReference { format!("{registry}/slipway-test/media-{run}-{name}:1").parse().unwrap() };
    let text = "FROM scratch\nCOPY layer-libraries/ /\nCMD [\"/app/x\"]\n";
    let mut digests = Vec::new();
    for (name, types) in [("oci", MediaTypes::Oci), ("docker", MediaTypes::Docker)] {
        let spec = BuildSpec::new(context(&root.join("context"), true), text);
        let built = assembler(types).build(&spec, &|_| {}, &cancel).await.unwrap();
        let published = assembler(types).push(&built, &[reference(name)], &access, &|_| {}, &cancel).await.unwrap();
        digests.push((built.id, published.layers, published.digest));
    }
    // The same configuration and layers, under another manifest.
    assert_eq!(digests[0].0, digests[1].0);
    assert_eq!(digests[0].1[0].digest, digests[1].1[0].digest);
    assert_ne!(digests[0].2, digests[1].2);

    // On a base of the other family, all parts are of one.
    let mut spec = BuildSpec::new(
        context(&root.join("context"), true),
        format!("FROM {}\nCOPY layer-application/ /\n", reference("oci")),
    );
    spec.credentials.insert(registry.to_owned(), account);
    let built = assembler(MediaTypes::Docker).build(&spec, &|_| {}, &cancel).await.unwrap();
    let derived = reference("derived");
    let backend = assembler(MediaTypes::Docker);
    let published = backend.push(&built, std::slice::from_ref(&derived), &access, &|_| {}, &cancel).await.unwrap();

    let accounts = root.join("docker");
    let tool = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).env("DOCKER_CONFIG", &accounts).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let crane = service("SLIPWAY_TEST_CRANE");
    let login = [service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD")];
    tool(crane, &["auth", "login", registry, "--username", login[0], "--password", login[1]]);
    tool(crane, &["validate", "--remote", &derived.to_string()]);
    let manifest: Value = serde_json::from_str(&tool(crane, &["manifest", &derived.to_string()])).unwrap();
    assert_eq!((&manifest["mediaType"], &manifest["config"]["mediaType"]), (&MANIFEST.into(), &CONFIG.into()));
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    assert!(layers.iter().all(|layer| layer["mediaType"] == LAYER), "{manifest}");

    // The Engine's own pull, under the digest that was published.
    let pulled = format!("{}@{}", derived.name(), published.digest);
    let _images = Images(vec![pulled.clone()]);
    tool("docker", &["pull", "--quiet", &pulled]);
    let inspected: Value = serde_json::from_str(&tool("docker", &["image", "inspect", &pulled])).unwrap();
    assert_eq!(inspected[0]["Id"], built.id.as_str());
}
