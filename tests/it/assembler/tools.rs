//! Other people's tools take what Slipway assembles: `crane`, `skopeo`, `umoci`.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use slipway::image::assembler::AssemblerBackend;
use slipway::image::credentials::Credentials;
use slipway::image::{BuildSpec, ImageBackend as _, RegistryAccess};
use slipway::model::image_reference::ImageReference;
use tokio_util::sync::CancellationToken;

use super::{context, unique};
use crate::services::service;

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Path, mode, owner and content or link of everything below a directory.
fn listed(root: &Path, below: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(root.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        let metadata = std::fs::symlink_metadata(root.join(&path)).unwrap();
        let what = if metadata.is_dir() {
            listed(root, &path, found);
            "directory".to_owned()
        } else if metadata.is_symlink() {
            format!("to {}", std::fs::read_link(root.join(&path)).unwrap().display())
        } else {
            std::fs::read_to_string(root.join(&path)).unwrap()
        };
        let line = format!("{:o} {}:{} {what}", metadata.mode(), metadata.uid(), metadata.gid());
        found.insert(path.display().to_string(), line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tools_read_layouts_archives_and_what_was_pushed() {
    let directory = tempfile::tempdir().unwrap();
    let (root, cancel, run_id) = (directory.path(), CancellationToken::new(), unique());
    let registry = service("SLIPWAY_TEST_REGISTRY");
    let assembler = AssemblerBackend::new(root.join("images"), None);
    let text =
        "FROM scratch\nCOPY layer-libraries/ /\nCOPY layer-application/ /\nENV A=b\nUSER 10001\nCMD [\"/app/x\"]\n";
    let built =
        assembler.build(&BuildSpec::new(context(&root.join("context"), true), text), &|_| {}, &cancel).await.unwrap();
    let reference: ImageReference = format!("{registry}/slipway-test/tools-{run_id}:1").parse().unwrap();
    let archive = root.join("image.tar");
    assembler.save(&built, std::slice::from_ref(&reference), &archive, &cancel).await.unwrap();
    let account = Credentials::password(service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD"));
    let access = RegistryAccess { credentials: Some(account), ..RegistryAccess::default() };
    let published = assembler.push(&built, std::slice::from_ref(&reference), &access, &|_| {}, &cancel).await.unwrap();

    // crane: the archive for `docker load`, and every byte of what was pushed.
    let crane = service("SLIPWAY_TEST_CRANE");
    run(crane, &["validate", "--tarball", archive.to_str().unwrap()]);
    let accounts = root.join("docker");
    let login = [service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD")];
    let crane_as = |args: &[&str]| {
        let output = Command::new(crane).args(args).env("DOCKER_CONFIG", &accounts).output().unwrap();
        assert!(output.status.success(), "crane {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    crane_as(&["auth", "login", registry, "--username", login[0], "--password", login[1]]);
    crane_as(&["validate", "--remote", &reference.to_string()]);
    assert_eq!(crane_as(&["digest", &reference.to_string()]).trim(), published.digest.as_str());

    // skopeo: the layout as it is, and copied into another.
    let (layout, copy) = (root.join("layout"), root.join("copy"));
    std::fs::create_dir(&layout).unwrap();
    run("tar", &["-C", layout.to_str().unwrap(), "-xf", archive.to_str().unwrap()]);
    let named = |directory: &Path| format!("oci:{}:1", directory.display());
    let inspected: serde_json::Value = serde_json::from_str(&run("skopeo", &["inspect", &named(&layout)])).unwrap();
    assert_eq!(inspected["Digest"], published.digest.as_str(), "{inspected}");
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), 2);
    run("skopeo", &["copy", "--insecure-policy", "--quiet", &named(&layout), &named(&copy)]);
    let archived = format!("docker-archive:{}", archive.display());
    run("skopeo", &["inspect", "--raw", &archived]);

    // umoci: the file system that a runtime would see.
    let bundle = root.join("bundle");
    run("umoci", &["unpack", "--image", &format!("{}:1", copy.display()), bundle.to_str().unwrap()]);
    let mut found = BTreeMap::new();
    listed(&bundle.join("rootfs"), Path::new(""), &mut found);
    let long = format!("app/{}/{}", "d".repeat(120), "f".repeat(150));
    for (path, line) in [
        ("app", "40755 0:0 directory"),
        ("app/x", "100755 0:0 application"),
        ("app/lib/a.jar", "100644 0:0 library"),
        ("app/data", "40755 10001:10001 directory"),
        ("app/data/.keep", "100644 10001:10001 "),
        (long.as_str(), "100644 0:0 long"),
    ] {
        assert_eq!(found.get(path).map(String::as_str), Some(line), "{path}");
    }
    assert_eq!(found.len(), 8, "{found:?}");
}
