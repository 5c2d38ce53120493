//! The same content gives the same bytes: in any directory, for any user, umask, time zone and number of processors.

use std::path::Path;
use std::process::Command;

use super::random::Random;

/// A project of several layers, one large enough that its blocks are compressed side by side.
fn source(root: &Path, newest_first: bool) {
    let mut files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|index| (format!("many/{index}/file-{index}"), format!("content {index}\n").repeat(50).into_bytes()))
        .collect();
    let mut random = Random(11);
    for index in 0..10 {
        let bytes = (0..1 << 17).flat_map(|_| (random.below(1 << 20)).to_le_bytes()).collect();
        files.push((format!("large/{index}"), bytes));
    }
    let text =
        "FROM scratch\nCOPY large /large/\nCOPY many/ /many/\nCOPY --chown=7:8 run /run\nENV A=b\nCMD [\"/run\"]\n";
    files.push(("Dockerfile".to_owned(), text.into()));
    files.push(("run".to_owned(), b"#!/bin/true\n".to_vec()));
    // The file system lists what was made in another order differently.
    if newest_first {
        files.reverse();
    }
    for (path, bytes) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Builds the project as another user in a directory of its own and returns the archive's bytes.
fn archive(program: &Path, root: &Path, world: &World) -> Vec<u8> {
    let directory = root.join(world.directory);
    source(&directory.join("project"), world.newest_first);
    let config =
        format!("[cache]\ndirectory = \"{}\"\n[build]\nown_dockerfiles = true\n", directory.join("cache").display());
    std::fs::write(directory.join("config.toml"), config).unwrap();
    let run = directory.join("project/run");
    std::fs::set_permissions(run, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let owned = Command::new("chown").args(["-R", world.user]).arg(&directory).status().unwrap();
    assert!(owned.success());
    let image = directory.join("image.tar");
    let output = Command::new("setpriv")
        .args(["--reuid", world.user, "--clear-groups", "taskset", "--cpu-list", world.processors, "sh", "-c"])
        .arg(format!("umask {}; exec \"$@\"", world.umask))
        .args(["sh".as_ref(), program.as_os_str(), "--config".as_ref()])
        .arg(directory.join("config.toml"))
        .args(["build", "--name", "same", "--toolchain", "dockerfile", "--runner", "host", "--format", "json"])
        .arg("--output")
        .arg(format!("type=oci,dest={}", image.display()))
        .arg(directory.join("project"))
        .env("TZ", world.zone)
        .env("HOME", &directory)
        .env("TMPDIR", &directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read(image).unwrap()
}

/// What may differ between two machines.
struct World {
    directory: &'static str,
    user: &'static str,
    umask: &'static str,
    zone: &'static str,
    processors: &'static str,
    newest_first: bool,
}

#[test]
fn the_same_content_gives_the_same_bytes_wherever_it_is_built() {
    let root = tempfile::tempdir().unwrap();
    // Another user has to get there, and to start the program.
    std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = root.path().join("slipway");
    let built = Path::new(env!("CARGO_BIN_EXE_slipway"));
    std::fs::hard_link(built, &program).or_else(|_| std::fs::copy(built, &program).map(drop)).unwrap();
    let processors = std::thread::available_parallelism().unwrap().get();
    assert!(processors > 1, "this needs two processors");
    let one = World { directory: "one", user: "0", umask: "022", zone: "UTC", processors: "0-1", newest_first: false };
    let two = World {
        directory: "another/place",
        user: "65534",
        umask: "077",
        zone: "Asia/Shanghai",
        processors: "0",
        newest_first: true,
    };
    std::fs::create_dir_all(root.path().join("another")).unwrap();
    let (one, two) = (archive(&program, root.path(), &one), archive(&program, root.path(), &two));
    assert!(one.len() > 5 << 20, "{}", one.len());
    assert!(one == two, "the archives differ");
}

/// What a Dockerfile means stays what it was: caches and registries remember images by what they were made of. Where this
/// differs on purpose, `RULES` of `assemble.rs` changes with it.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_image_has_the_digest_that_it_always_had() {
    use slipway::image::assembler::AssemblerBackend;
    use slipway::image::{BuildContext, BuildSpec, ContextKind, ImageBackend as _};
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("source");
    source(&root, false);
    let kind = ContextKind::Repository { dockerfile: "Dockerfile".into() };
    let text =
        "FROM scratch\nWORKDIR /work\nCOPY many/ /many/\nCOPY large /large/\nUSER 7:8\nWORKDIR here\nCMD [\"/run\"]\n";
    let assembler = AssemblerBackend::new(directory.path().join("images"), None);
    let spec = BuildSpec::new(BuildContext { root, kind }, text);
    let built = assembler.build(&spec, &|_| {}, &tokio_util::sync::CancellationToken::new()).await.unwrap();
    assert_eq!(built.id.as_str(), "sha256:04557e463d95ae8cb42fb0cca48bdc8a5ec27c9b579a0c56d07e30eae714c66d");
}
