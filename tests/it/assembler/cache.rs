//! The cache of images: killed at any moment, it holds nothing that is wrong; several builds make a layer once.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sha2::Digest as _;
use slipway::image::assembler::AssemblerBackend;
use slipway::image::credentials::Credentials;
use slipway::image::{BuildContext, BuildSpec, ContextKind, ImageBackend as _, RegistryAccess};
use slipway::model::failure::FailureCode;
use tokio_util::sync::CancellationToken;

use super::random::Random;
use crate::services::service;

/// A context of so many mebibytes that do not shrink.
fn large(directory: &std::path::Path, mebibytes: u64) -> BuildSpec {
    let mut random = Random(mebibytes);
    for index in 0..mebibytes {
        let bytes: Vec<u8> = (0..1 << 17).flat_map(|_| random.below(u64::MAX).to_le_bytes()).collect();
        std::fs::write(directory.join(format!("file-{index}")), bytes).unwrap();
    }
    std::fs::write(directory.join("Dockerfile"), "FROM scratch\nCOPY file-* /data/\nCMD [\"/x\"]\n").unwrap();
    let kind = ContextKind::Repository { dockerfile: "Dockerfile".into() };
    BuildSpec::new(BuildContext { root: directory.to_owned(), kind }, "FROM scratch\nCOPY file-* /data/\n")
}

fn slipway(config: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
    command.arg("--config").arg(config).args(args);
    command
}

#[test]
fn a_build_that_is_killed_leaves_nothing_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    std::fs::create_dir(&source).unwrap();
    large(&source, 12);
    let cache = directory.path().join("cache");
    let config = directory.path().join("config.toml");
    std::fs::write(&config, format!("[cache]\ndirectory = {:?}\n[build]\nown_dockerfiles = true\n", cache.display()))
        .unwrap();
    let archive = format!("type=oci,dest={}", directory.path().join("image.tar").display());
    let path = source.display().to_string();
    let flags =
        ["build", &path, "--name", "killed", "--toolchain", "dockerfile", "--runner", "host", "--output", &archive];
    let mut killed = 0;
    for attempt in 0..12 {
        let mut child = slipway(&config, &flags).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for anything: the moment of death differs from run to run, and from attempt to attempt.
        std::thread::sleep(Duration::from_millis(40 + attempt * 45));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        let verified = slipway(&config, &["cache", "verify", "--format", "json"]).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    }
    assert!(killed > 0, "every build was faster than its killer");
    let built = slipway(&config, &flags).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let listed = slipway(&config, &["cache", "ls", "--format", "json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["holdings"][0]["kind"], "blobs", "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_at_once_make_a_layer_once() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let spec = large(&source, 16);
    let builds = (0..4).map(|_| {
        let (spec, store) = (spec.clone(), directory.path().join("images"));
        tokio::spawn(async move {
            let made = std::sync::Mutex::new(Vec::new());
            let log = |line: &str| made.lock().unwrap().push(line.to_owned());
            let backend = AssemblerBackend::new(store, None);
            let built = backend.build(&spec, &log, &CancellationToken::new()).await.unwrap();
            (built, made.into_inner().unwrap())
        })
    });
    let mut ids = std::collections::BTreeSet::new();
    let (mut made, mut cached) = (0, 0);
    for build in builds.collect::<Vec<_>>() {
        let (built, log) = build.await.unwrap();
        made += log.iter().filter(|line| line.contains(": made, ")).count();
        cached += usize::from(built.cached);
        ids.insert(built.id.to_string());
    }
    assert_eq!((made, cached, ids.len()), (1, 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_file_moves_one_layer_and_equal_content_moves_none() {
    let directory = tempfile::tempdir().unwrap();
    let backend = AssemblerBackend::new(directory.path().join("images"), None);
    let mut built = Vec::new();
    for place in ["one", "two"] {
        let source = directory.path().join(place);
        std::fs::create_dir(&source).unwrap();
        let mut spec = large(&source, 10);
        spec.dockerfile = "FROM scratch\nCOPY file-[0-4] /a/\nCOPY file-[5-9] /b/\n".into();
        if place == "two" {
            let same = backend.build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap();
            built.push(same);
            std::fs::write(source.join("file-9"), "changed").unwrap();
        }
        built.push(backend.build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap());
    }
    assert_eq!(built[0].id, built[1].id);
    assert_eq!(built.iter().map(|image| image.cached).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(built[0].layers[0], built[2].layers[0]);
    assert_ne!(built[0].layers[1], built[2].layers[1]);
}

/// Everything in the cache was used last three hours ago, which is long enough to go.
fn grown_old(cache: &std::path::Path) {
    let then = std::time::SystemTime::now() - Duration::from_hours(3);
    for kind in ["blobs/sha256", "layers", "recipes", "trees", "blocks", "bases"] {
        for file in std::fs::read_dir(cache.join("images").join(kind)).into_iter().flatten() {
            let path = file.unwrap().path();
            std::fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
        }
    }
}

/// Two programs: one builds, the other takes away all that is old, beginning at the same moment; what the build looks at it
/// keeps or makes anew.
#[test]
fn builds_and_the_collection_of_garbage_do_not_disturb_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    std::fs::create_dir(&source).unwrap();
    large(&source, 4);
    let cache = directory.path().join("cache");
    let config = directory.path().join("config.toml");
    std::fs::write(&config, format!("[cache]\ndirectory = {:?}\n[build]\nown_dockerfiles = true\n", cache.display()))
        .unwrap();
    let archive = directory.path().join("image.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let path = source.display().to_string();
    let build =
        ["build", &path, "--name", "swept", "--toolchain", "dockerfile", "--runner", "host", "--output", &output];
    let mut removed = 0;
    let mut archives = std::collections::BTreeSet::new();
    for round in 0_u64..30 {
        grown_old(&cache);
        let collecting = || {
            // The moments at which the two meet differ from round to round.
            std::thread::sleep(Duration::from_millis(round * 3));
            slipway(&config, &["cache", "gc", "--age", "1h", "--format", "json"]).output().unwrap()
        };
        let (image, collected) = std::thread::scope(|scope| {
            let collecting = scope.spawn(collecting);
            (slipway(&config, &build).output().unwrap(), collecting.join().unwrap())
        });
        assert!(image.status.success(), "round {round}: {}", String::from_utf8_lossy(&image.stderr));
        assert!(collected.status.success(), "round {round}: {}", String::from_utf8_lossy(&collected.stderr));
        let collected: Value = serde_json::from_slice(&collected.stdout).unwrap();
        removed += collected["files"].as_u64().unwrap();
        archives.insert(hex::encode(sha2::Sha256::digest(std::fs::read(&archive).unwrap())));
    }
    assert!(removed > 0, "nothing was ever taken away");
    assert_eq!(archives.len(), 1, "the image changed");
    let verified = slipway(&config, &["cache", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// Somebody else makes the layer and does not get on; whoever waits for it can still be stopped.
#[test]
fn a_build_that_waits_for_another_ends_when_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    std::fs::create_dir(&source).unwrap();
    large(&source, 1);
    let cache = directory.path().join("cache");
    let config = directory.path().join("config.toml");
    std::fs::write(&config, format!("[cache]\ndirectory = {:?}\n[build]\nown_dockerfiles = true\n", cache.display()))
        .unwrap();
    let path = source.display().to_string();
    let archive = format!("type=oci,dest={}", directory.path().join("image.tar").display());
    let flags =
        ["build", &path, "--name", "waits", "--toolchain", "dockerfile", "--runner", "host", "--output", &archive];
    assert!(slipway(&config, &flags).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    // The layer is made anew, under the lease of before, which this process holds.
    let leases: Vec<_> =
        std::fs::read_dir(cache.join("images/leases")).unwrap().map(|one| one.unwrap().path()).collect();
    let held: Vec<_> = leases.iter().map(|path| std::fs::File::options().write(true).open(path).unwrap()).collect();
    for file in &held {
        file.lock().unwrap();
    }
    for kind in ["layers", "recipes"] {
        std::fs::remove_dir_all(cache.join("images").join(kind)).unwrap();
    }
    let mut child = slipway(&config, &flags).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // It waits as soon as it has the lease's file open.
    let opened = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", child.id())).into_iter().flatten();
        files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).any(|file| leases.contains(&file))
    };
    while !opened() {
        std::thread::yield_now();
    }
    let began = std::time::Instant::now();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// What a cache has lost or changed meanwhile is not given away as an image.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_blob_becomes_no_archive() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let spec = large(&source, 1);
    let cache = directory.path().join("images");
    let assembler = AssemblerBackend::new(cache.clone(), None);
    let cancel = CancellationToken::new();
    let built = assembler.build(&spec, &|_| {}, &cancel).await.unwrap();
    let blobs = std::fs::read_dir(cache.join("blobs/sha256")).unwrap().map(|one| one.unwrap().path());
    let layer = blobs.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&layer).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&layer, bytes).unwrap();
    let archive = directory.path().join("image.tar");
    let reference = "localhost/slipway-test/damaged:1".parse().unwrap();
    let failure = assembler.save(&built, &[reference], &archive, &cancel).await.unwrap_err();
    assert!(failure.message.contains("cache verify") && !archive.exists(), "{failure}");
}

/// A registry refuses what is not what its name says; the next build does not find it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_blob_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (source, cache) = (directory.path().join("source"), directory.path().join("images"));
    std::fs::create_dir(&source).unwrap();
    let spec = large(&source, 2);
    std::fs::write(source.join("file-0"), uuid::Uuid::now_v7().as_bytes()).unwrap();
    let assembler = AssemblerBackend::new(cache.clone(), None);
    let cancel = CancellationToken::new();
    let account = Credentials::password(service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD"));
    let access = RegistryAccess { credentials: Some(account), ..RegistryAccess::default() };
    let name = format!("{}/slipway-test/damaged-{}:1", service("SLIPWAY_TEST_REGISTRY"), super::unique());
    let built = assembler.build(&spec, &|_| {}, &cancel).await.unwrap();
    let blobs = std::fs::read_dir(cache.join("blobs/sha256")).unwrap().map(|one| one.unwrap().path());
    let layer = blobs.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&layer).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&layer, bytes).unwrap();
    let references = [name.parse().unwrap()];
    let failure = assembler.push(&built, &references, &access, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!((failure.code, failure.retryable), (FailureCode::CacheDamaged, true), "{failure}");
    let again = assembler.build(&spec, &|_| {}, &cancel).await.unwrap();
    assert_eq!((again.id.clone(), again.cached), (built.id, false));
    assembler.push(&again, &references, &access, &|_| {}, &cancel).await.unwrap();
}
