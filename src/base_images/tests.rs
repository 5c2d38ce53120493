//! What the tests of this module share, and the tests that need an Engine.

use std::collections::BTreeMap;
use std::path::Path;

/// The files of `base-images/` as they stand in the repository.
pub(crate) fn own_files() -> BTreeMap<String, Vec<u8>> {
    fn collect(root: &Path, directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, files);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("base-images");
    let mut files = BTreeMap::new();
    collect(&root, &root, &mut files);
    files
}

/// An image of one file on nothing, whose name no other test has.
fn tiny(name: &str, probe: &str) -> super::Images {
    let toml = format!(
        "version = 1\n[images.{name}]\nfolder = 'f'\nargs = {{ WORD = 'hello' }}\nuser = '10001'\nprobe = {{ {probe} }}"
    );
    let dockerfile = "FROM scratch\nARG WORD\nCOPY f/Dockerfile /etc/made-of\nENV SAYS=${WORD}\nUSER 10001\n";
    let files = [("images.toml", toml.as_str()), ("f/Dockerfile", dockerfile)];
    super::Images::parse(files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect()).unwrap()
}

async fn engine() -> bollard::Docker {
    let docker = bollard::Docker::connect_with_local_defaults().unwrap();
    docker.negotiate_version().await.expect("these tests need a Docker Engine: `make services`")
}

async fn remove(docker: &bollard::Docker, lock: &super::Lock) {
    for (name, image) in &lock.images {
        for reference in [super::reference(name), image.reference.clone()] {
            let options = None::<bollard::query_parameters::RemoveImageOptions>;
            docker.remove_image(&reference, options, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_image_is_built_once_checked_and_pinned() {
    let docker = engine().await;
    let cache = tempfile::tempdir().unwrap();
    let name = format!("test-{}", uuid::Uuid::now_v7().simple());
    let images = tiny(&name, "files = ['/etc/made-of'], absent = ['/bin']");
    assert_eq!(super::list(&images, &super::Maker::engine(&docker)).await.unwrap()[0].state, super::State::Missing);
    let unbuilt = super::check(&images, &[], &docker, |_| ()).await.unwrap();
    assert!(unbuilt[0].problems[0].starts_with("it is not built"), "{unbuilt:?}");

    let said = std::sync::Mutex::new(Vec::new());
    let options = super::Options { host: super::Host { ca_bundle: None, ..Default::default() }, ..Default::default() };
    let maker = super::Maker::engine(&docker);
    let build = || {
        super::build(&images, &[], &maker, cache.path(), &options, |line: &str| {
            said.lock().unwrap().push(line.to_owned());
        })
    };
    let lock = build().await.unwrap();
    assert_eq!(said.lock().unwrap().first(), Some(&format!("{name}: building")));
    said.lock().unwrap().clear();
    assert_eq!(build().await.unwrap(), lock);
    assert!(said.lock().unwrap().is_empty(), "the second run does nothing");

    let listed = super::list(&images, &super::Maker::engine(&docker)).await.unwrap();
    assert_eq!((listed[0].name.as_str(), listed[0].state), (name.as_str(), super::State::Ready));
    let mut changed = images.clone();
    changed.files.insert("f/more".to_owned(), b"more".to_vec());
    assert_eq!(super::list(&changed, &super::Maker::engine(&docker)).await.unwrap()[0].state, super::State::Outdated);

    let found = docker.inspect_image(&lock.images[&name].reference).await.unwrap();
    assert!(found.config.unwrap().env.unwrap().contains(&"SAYS=hello".to_owned()));
    let good = super::check(&images, &[], &docker, |_| ()).await.unwrap();
    let wrong = tiny(&name, "files = ['/etc/missing']");
    let bad = super::check(&wrong, &[], &docker, |_| ()).await.unwrap();
    let absent = tiny(&name, "command = ['/bin/sh', '-c', 'true']");
    let no_command = super::check(&absent, &[], &docker, |_| ()).await.unwrap();
    remove(&docker, &lock).await;
    assert!(good[0].problems.is_empty(), "{good:?}");
    assert_eq!(bad[0].problems, ["`/etc/missing` is not there"]);
    assert_eq!(no_command[0].problems.len(), 1, "{no_command:?}");
}

#[tokio::test]
async fn a_failing_build_shows_its_log_and_a_parent_that_cannot_be_pulled_is_named() {
    let maker = super::Maker::engine(&engine().await);
    let cache = tempfile::tempdir().unwrap();
    let toml = "version = 1\n[images.broken]\nfolder = 'f'";
    let files = [("images.toml", toml), ("f/Dockerfile", "FROM scratch\nCOPY nowhere /\n")];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect();
    let images = super::Images::parse(files).unwrap();
    let failure =
        super::build(&images, &[], &maker, cache.path(), &super::Options::default(), |_: &str| ()).await.unwrap_err();
    assert_eq!(failure.code, crate::model::failure::FailureCode::ImageFailed);
    assert!(failure.message.contains("building `broken`") && failure.message.contains("nowhere"), "{failure:?}");

    let toml = "version = 1\n[images.pulled]\nreference = 'localhost:1/nothing:1'";
    let images = super::Images::parse([("images.toml".to_owned(), toml.into())].into()).unwrap();
    let failure =
        super::build(&images, &[], &maker, cache.path(), &super::Options::default(), |_: &str| ()).await.unwrap_err();
    assert_eq!(failure.code, crate::model::failure::FailureCode::BaseImageMissing);
    assert!(failure.message.contains("localhost:1/nothing:1"), "{failure:?}");
}
