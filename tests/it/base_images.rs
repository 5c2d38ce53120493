//! Base images in the registry: pushed with an account, pinned by digest; and made without an Engine.

use slipway::base_images::{Host, Images, Maker, Options, build, push, reference};
use slipway::image::assembler::AssemblerBackend;
use slipway::image::credentials::Credentials;
use slipway::image::{BuildContext, BuildSpec, ContextKind, ImageBackend as _, RegistryAccess};
use slipway::model::failure::FailureCode;
use slipway::model::image_reference::ImageReference;
use tokio_util::sync::CancellationToken;

use crate::assembler::images::{Images as Loaded, differences, docker};
use crate::services::service;

/// A catalogue of one image, which needs no command.
fn one(name: &str) -> Images {
    let toml = format!("version = 1\n[images.{name}]\nfolder = 'f'");
    let files = [("images.toml", toml.as_str()), ("f/Dockerfile", "FROM scratch\nCOPY f/Dockerfile /\n")];
    Images::parse(files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect()).unwrap()
}

fn access(password: &str) -> RegistryAccess {
    let account = Credentials::password(service("SLIPWAY_TEST_USER"), password);
    RegistryAccess { credentials: Some(account), ..RegistryAccess::default() }
}

#[tokio::test]
async fn a_pushed_image_is_pinned_by_its_digest_and_a_wrong_password_is_refused() {
    let docker = bollard::Docker::connect_with_local_defaults().unwrap().negotiate_version().await.unwrap();
    let maker = Maker::engine(&docker);
    let cache = tempfile::tempdir().unwrap();
    let name = format!("test-{}", uuid::Uuid::now_v7().simple());
    let images = one(&name);
    let options = Options { host: Host { ca_bundle: None, ..Host::default() }, ..Options::default() };
    let built = build(&images, &[], &maker, cache.path(), &options, |_| ()).await.unwrap();

    let prefix = format!("{}/base-images", service("SLIPWAY_TEST_REGISTRY"));
    let refused = push(&images, &[], &maker, &prefix, &access("wrong"), |_| ()).await;
    let pushed = push(&images, &[], &maker, &prefix, &access(service("SLIPWAY_TEST_PASSWORD")), |_| ()).await;

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

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_an_image_is_pushed_and_is_a_base_by_its_digest() {
    let directory = tempfile::tempdir().unwrap();
    let assembler = |store: &str| AssemblerBackend::new(directory.path().join(store), None);
    let maker = Maker::own(assembler("images").base_images(directory.path().join("base-images")));
    let name = format!("test-{}", uuid::Uuid::now_v7().simple());
    let images = one(&name);
    let prefix = format!("{}/base-images", service("SLIPWAY_TEST_REGISTRY"));
    let access = access(service("SLIPWAY_TEST_PASSWORD"));
    // What is not built is said where all are meant, and refused where it is named.
    let none = push(&images, &[], &maker, &prefix, &access, |line: &str| assert!(line.contains("not built"), "{line}"));
    assert!(none.await.unwrap().images.is_empty());
    let missing = push(&images, std::slice::from_ref(&name), &maker, &prefix, &access, |_| ()).await.unwrap_err();
    assert_eq!(missing.code, FailureCode::BaseImageMissing, "{missing}");

    let mut lock = build(&images, &[], &maker, directory.path(), &Options::default(), |_| ()).await.unwrap();
    lock.merge(push(&images, &[], &maker, &prefix, &access, |_| ()).await.unwrap());
    let digest = lock.images[&name].digest.clone().unwrap();
    assert!(digest.starts_with(&format!("{prefix}/{name}@sha256:")), "{digest}");
    // A machine that has nothing of it starts from it.
    let context = BuildContext {
        root: tempfile::tempdir_in(directory.path()).unwrap().keep(),
        kind: ContextKind::Repository { dockerfile: "Dockerfile".into() },
    };
    let mut spec = BuildSpec::new(context, format!("FROM {digest}\n"));
    let registry = service("SLIPWAY_TEST_REGISTRY").to_owned();
    spec.credentials.insert(registry, access.credentials.clone().unwrap());
    let built = assembler("elsewhere").build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap();
    assert_eq!(built.layers.len(), 1);
}

/// Files that come, go, change and are replaced, accounts, links, capabilities of a mode, stages, and a user.
const DOCKERFILE: &str = r#"ARG ROOT
FROM ${ROOT} AS made
ARG WORD
RUN --mount=type=bind,target=/run/build grep -q FROM /run/build/f/Dockerfile && mkdir /made \
    && echo "$WORD" >/made/word && ln /made/word /made/again && ln -s word /made/link && chmod 4750 /made/word

FROM ${ROOT}
RUN --mount=type=bind,target=/run/build /run/build/f/script
COPY --from=made /made/ /opt/made/
WORKDIR /srv/work
ENV SAYS=hello
RUN echo "$SAYS $PWD" >/opt/said && rm /opt/made/link && mv /etc/issue /etc/issue.old && test -c /dev/null && test -d /proc/1
USER 10001:10001
RUN id -u >/home/app/who && echo x >/home/app/mine
"#;

const SCRIPT: &str = r#"#!/bin/sh
set -eu
groupadd --gid 10001 app
useradd --uid 10001 --gid 10001 --create-home --home-dir /home/app app
rm -r /usr/share/bug /etc/debian_version
rm -r /srv && mkdir -m 2775 /srv && chown app:app /srv
rm -r /mnt && echo "no directory any more" >/mnt
rm -f /etc/group- /etc/passwd- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid- /etc/.pwd.lock
rm -rf /var/log/* /tmp/*
"#;

/// The root file system of this machine's base images, where it has been made; else debootstrap makes it.
fn cache(directory: &std::path::Path) {
    let made = slipway::environment::cache_directory().join("root-trixie.tar");
    if made.is_file() {
        std::os::unix::fs::symlink(made, directory.join("root-trixie.tar")).unwrap();
    }
}

fn two(name: &str, dockerfile: &str) -> Images {
    let toml = format!(
        "version = 1\n[root.trixie]\nsuite = 'trixie'\n[images.{name}]\nfolder = 'f'\n\
         from = {{ ROOT = 'root-trixie' }}\nargs = {{ WORD = 'word' }}\n[images.build-{name}]\nfolder = 'f'\n"
    );
    let files = [("images.toml", toml.as_str()), ("f/Dockerfile", dockerfile), ("f/script", SCRIPT)];
    Images::parse(files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_an_image_is_what_the_engine_makes() {
    let directory = tempfile::tempdir().unwrap();
    cache(directory.path());
    let name = format!("test-{}", uuid::Uuid::now_v7().simple());
    let images = two(&name, DOCKERFILE);
    let assembler = || {
        let backend = AssemblerBackend::new(directory.path().join("images"), None);
        backend.base_images(directory.path().join("base-images"))
    };
    let own = Maker::own(assembler());
    let said = std::sync::Mutex::new(Vec::new());
    let options = Options::default();
    let make = || {
        build(&images, &[], &own, directory.path(), &options, |line: &str| said.lock().unwrap().push(line.to_owned()))
    };
    let lock = make().await.unwrap();
    // What only an Engine runs is left out where nothing is named.
    assert_eq!(lock.images.keys().map(String::as_str).collect::<Vec<_>>(), ["root-trixie", name.as_str()]);
    said.lock().unwrap().clear();
    assert_eq!(make().await.unwrap(), lock);
    assert!(said.lock().unwrap().is_empty(), "the second run does nothing: {said:?}");

    // It is a base by its name, for a backend that has nothing else of it, and the Engine takes what comes of it.
    let context = BuildContext {
        root: tempfile::tempdir_in(directory.path()).unwrap().keep(),
        kind: ContextKind::Repository { dockerfile: "Dockerfile".into() },
    };
    let (cancel, archive) = (CancellationToken::new(), directory.path().join("image.tar"));
    let (ours, theirs) =
        (format!("localhost/slipway-test/{name}:own"), format!("localhost/slipway-test/{name}:engine"));
    let loaded = Loaded(vec![ours.clone(), theirs.clone()]);
    let elsewhere = AssemblerBackend::new(directory.path().join("others"), None);
    let elsewhere = elsewhere.base_images(directory.path().join("base-images"));
    let text = format!("FROM {}\n", lock.images[&name].reference);
    let built = elsewhere.build(&BuildSpec::new(context, text), &|_| {}, &cancel).await.unwrap();
    let tag: ImageReference = ours.parse().unwrap();
    elsewhere.save(&built, &[tag], &archive, &cancel).await.unwrap();
    docker(&["load", "--quiet", "--input", archive.to_str().unwrap()]);

    let engine = bollard::Docker::connect_with_local_defaults().unwrap().negotiate_version().await.unwrap();
    let locked =
        build(&images, std::slice::from_ref(&name), &Maker::engine(&engine), directory.path(), &options, |_| ()).await;
    let locked = locked.unwrap();
    docker(&["tag", &locked.images[&name].reference, &theirs]);
    docker(&["image", "rm", &reference(&name), &locked.images[&name].reference]);
    let mut different = differences(&theirs, &ours);
    // The Engine leaves the directory that it mounts the context upon.
    different.retain(|line| !line.starts_with("run/build\n"));
    drop(loaded);
    assert!(different.is_empty(), "{} differences:\n{}", different.len(), different.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_is_named_with_its_line_and_its_words() {
    let directory = tempfile::tempdir().unwrap();
    cache(directory.path());
    let images = two("broken", "ARG ROOT\nFROM ${ROOT}\nRUN echo one && echo two >&2 && exit 3\n");
    let own = Maker::own(
        AssemblerBackend::new(directory.path().join("images"), None).base_images(directory.path().join("base-images")),
    );
    let failure = build(&images, &[], &own, directory.path(), &Options::default(), |_| ()).await.unwrap_err();
    assert_eq!((failure.code, failure.places[0].line), (FailureCode::ImageFailed, Some(3)), "{failure}");
    assert!(failure.message.contains("building `broken`") && failure.message.contains("ended with 3"), "{failure}");
    assert_eq!(failure.log_tail, ["one", "two"]);
    // No root file system stays behind.
    let left = std::fs::read_dir(directory.path().join("images/.roots")).unwrap().count();
    assert_eq!(left, 0);
}
