//! Base images in the registry: pushed with an account, pinned by digest.

use slipway::base_images::{Credentials, Host, Images, Options, build, push, reference};
use slipway::model::failure::FailureCode;

use crate::services::service;

#[tokio::test]
async fn a_pushed_image_is_pinned_by_its_digest_and_a_wrong_password_is_refused() {
    let docker = bollard::Docker::connect_with_local_defaults().unwrap().negotiate_version().await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let name = format!("test-{}", uuid::Uuid::now_v7().simple());
    let toml = format!("version = 1\n[images.{name}]\nfolder = 'f'");
    let files = [("images.toml", toml.as_str()), ("f/Dockerfile", "FROM scratch\nCOPY f/Dockerfile /\n")];
    let images = Images::parse(files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect()).unwrap();
    let options = Options { host: Host { ca_bundle: None, ..Host::default() }, ..Options::default() };
    let built = build(&images, &[], &docker, cache.path(), &options, |_| ()).await.unwrap();

    let prefix = format!("{}/base-images", service("SLIPWAY_TEST_REGISTRY"));
    let account = |password: &str| Credentials {
        username: service("SLIPWAY_TEST_USER").to_owned(),
        password: password.to_owned(),
    };
    let refused = push(&images, &[], &docker, &prefix, Some(&account("wrong")), |_| ()).await;
    let account = account(service("SLIPWAY_TEST_PASSWORD"));
    let pushed = push(&images, &[], &docker, &prefix, Some(&account), |_| ()).await;

    let (_, tag) = built.images[&name].reference.rsplit_once(':').unwrap();
    let repository = format!("{prefix}/{name}");
    for tag in [
        reference(&name),
        built.images[&name].reference.clone(),
        format!("{repository}:{tag}"),
        format!("{repository}:latest"),
    ] {
        docker.remove_image(&tag, None::<bollard::query_parameters::RemoveImageOptions>, None).await.unwrap();
    }
    assert_eq!(refused.unwrap_err().code, FailureCode::RegistryRefused);
    let digest = pushed.unwrap().images[&name].digest.clone().unwrap();
    assert!(digest.starts_with(&format!("{repository}@sha256:")), "{digest}");
}
