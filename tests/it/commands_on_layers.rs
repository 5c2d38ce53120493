//! Commands that see the layers where the image will have them.

use std::collections::BTreeMap;

use crate::support::container::Container;
use crate::support::image::{Pulled, engine};
use crate::support::project::Project;
use crate::support::slipway::Slipway;

/// The first notes what it sees and writes over it; the second never ends.
const SCRIPT: &str = r#"
name = "script"
title = "A script"
default = "1"
[detect]
files = ["serve.sh"]
[[releases]]
version = "1"
build = "debian"
run = "debian"
[outputs]
seen = "/seen"
none = "/none"
[[steps]]
step = "dockerfile"
network = "none"
in_run_image = true
command = ["sh", "-c", "cat text > /seen/text && pwd > /seen/directory && { echo other > text; rm text; } ; ls > /seen/left"]
[[steps]]
step = "dockerfile"
network = "none"
may_fail = true
seconds = 1
command = ["sleep", "600"]
[image]
workdir = "/app"
command = ["/bin/sh", "/app/serve.sh"]
layers = [
  { name = "application", from = "source", to = "/app" },
  { name = "seen", from = { output = "seen" }, to = "/opt/seen" },
  { name = "none", from = { output = "none" }, to = "/opt/none", if = "settings.runtime.class_data_sharing" },
]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn they_see_the_image_and_change_it_by_outputs_alone() {
    let project = Project::new("on-layers", &[("serve.sh", "exec sleep 600\n"), ("text", "one\n")]);
    project.commit();
    let catalog = tempfile::tempdir().unwrap();
    let toolchain = catalog.path().join("toolchains/script");
    std::fs::create_dir_all(&toolchain).unwrap();
    std::fs::write(toolchain.join("toolchain.toml"), SCRIPT).unwrap();
    let slipway = Slipway::new().env("SLIPWAY__BUILD__CATALOG", &catalog.path().display().to_string());
    let run = slipway.build(&project.path(), &["--push".to_owned()]).await;
    assert_eq!(run.code, 0, "{}", run.text());
    assert!(run.stderr.contains("the command may fail: the build goes on"), "{}", run.text());

    let docker = engine().await;
    let image = Pulled::from_report(&docker, &run.report).await;
    assert_eq!(image.layers(), ["application", "seen"]);
    let container = Container::start(&docker, &image.reference, &BTreeMap::new(), &[], None).await.unwrap();
    let (seen, application) = (container.files("/opt/seen").await, container.files("/app").await);
    assert_eq!(seen["seen/text"], b"one\n");
    assert_eq!(seen["seen/directory"], b"/app\n");
    // The command could do as it liked with its copy.
    assert!(!String::from_utf8_lossy(&seen["seen/left"]).contains("text"), "{seen:?}");
    assert_eq!(application["app/text"], b"one\n");
}
