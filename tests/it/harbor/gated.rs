//! The gate of images holds for base images as well.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use super::after::SCANNER;
use super::builds::config;
use crate::support::harbor::Harbor;
use crate::support::harbor::state::Scanned;
use crate::support::slipway::{PRODUCT_LINE, Run, Slipway};

const GATE: &str = "scan = { refuse = \"high\", wait = \"10s\", base_images = true }";

/// A configuration whose scans hold for base images.
fn gated(harbor: &Harbor, robot: &(String, String), more: &str) -> Slipway {
    let slipway = config(harbor, robot, more);
    let text = std::fs::read_to_string(slipway.config()).unwrap();
    slipway.replace_config(&text.replacen("[registry]", &format!("[registry]\n{GATE}"), 1));
    slipway
}

fn found(harbor: &Harbor, repository: &str) {
    let found = vec![("CVE-2024-1".to_owned(), "Critical".to_owned())];
    harbor.state().findings.insert(repository.to_owned(), Scanned::Found(found));
}

/// Builds and pushes what starts from a base.
async fn built_on(slipway: &Slipway, base: &str) -> Run {
    let project = tempfile::tempdir().unwrap();
    std::fs::write(project.path().join("Dockerfile"), format!("FROM {base}\nCOPY Dockerfile /\n")).unwrap();
    let args = ["--push", "--name", "order", "--tag", "1", "--image-backend", "assembler"];
    slipway.build(project.path(), &args.map(str::to_owned)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_starts_from_no_base_that_the_gate_refuses() {
    let harbor = Harbor::start();
    harbor.project(PRODUCT_LINE);
    harbor.project("bases");
    let robot = harbor.system_robot("all", SCANNER, &[]);
    let image = super::ways::build("assembler", 64).await;
    for name in ["bases/good:1", "bases/bad:1", "bases/unscanned:1"] {
        image.push(&harbor, &robot, &[name]).await.unwrap();
    }
    found(&harbor, "bases/bad");
    harbor.state().findings.insert("bases/unscanned".to_owned(), Scanned::Failed);
    let build = "[build]\nown_dockerfiles = true\nstart_check = { enabled = false }\n";
    let slipway = gated(&harbor, &robot, build);
    let host = harbor.host();
    for (base, code, severity) in [
        (format!("{host}/bases/bad:1"), "image_vulnerable", Value::from("critical")),
        (format!("{host}/bases/unscanned:1"), "image_not_scanned", Value::Null),
        ("docker.io/library/nosuch:1".to_owned(), "image_not_scanned", Value::Null),
    ] {
        let run = built_on(&slipway, &base).await;
        assert_eq!((run.failure_code(), &run.failure()["step"]), (code, &"image".into()), "{}", run.text());
        assert!(run.failure()["message"].as_str().unwrap().contains(&base), "{}", run.text());
        assert_eq!(run.report["bases"][0]["scan"]["severity"], severity, "{}", run.text());
    }
    assert!(harbor.state().repository(&format!("{PRODUCT_LINE}/order")).is_none());
    let run = built_on(&slipway, &format!("{host}/bases/good:1")).await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.text());
    assert_eq!(run.report["bases"][0]["scan"]["severity"], "none", "{}", run.text());

    // Without the gate on base images nobody asks.
    let text = std::fs::read_to_string(slipway.config()).unwrap();
    slipway.replace_config(&text.replacen(", base_images = true", "", 1));
    let run = built_on(&slipway, &format!("{host}/bases/bad:1")).await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.text());
    assert!(run.report["bases"].is_null(), "{}", run.text());
}

/// What is refused is not pinned: builds go on with what they started from before.
#[tokio::test(flavor = "multi_thread")]
async fn a_base_image_that_the_gate_refuses_is_not_pinned() {
    let harbor = Harbor::start();
    harbor.project("slipway");
    let robot = harbor.system_robot("all", SCANNER, &[]);
    let directory = tempfile::tempdir().unwrap();
    let names = ["good", "bad"].map(|kind| format!("test-{kind}-{}", uuid::Uuid::now_v7().simple()));
    let catalog = directory.path().join("catalog/base-images");
    let mut toml = "version = 1\n".to_owned();
    for name in &names {
        std::fs::create_dir_all(catalog.join(name)).unwrap();
        std::fs::write(catalog.join(name).join("Dockerfile"), format!("FROM scratch\nCOPY {name}/Dockerfile /\n"))
            .unwrap();
        write!(toml, "[images.{name}]\nfolder = {name:?}\n").unwrap();
    }
    std::fs::write(catalog.join("images.toml"), toml).unwrap();
    found(&harbor, &format!("slipway/{}", names[1]));
    let cache = directory.path().join("cache");
    let more = format!("[cache]\ndirectory = {cache:?}\n[build]\ncatalog = {:?}\n", directory.path().join("catalog"));
    let slipway = gated(&harbor, &robot, &more);
    let words = |verb: &str| {
        let mut words = vec!["base-images".to_owned(), verb.to_owned()];
        words.extend(names.iter().cloned());
        words
    };
    let built = slipway.run(&words("build")).await;
    assert_eq!(built.code, 0, "{}", built.text());
    let pushed = slipway.run(&words("push")).await;
    let lock = std::fs::read_to_string(cache.join("images.lock")).unwrap();
    for name in &names {
        let all = Command::new("docker").args(["images", "--quiet", &format!("slipway/{name}")]).output().unwrap();
        let ids = String::from_utf8(all.stdout).unwrap();
        let _ = Command::new("docker").args(["image", "rm", "--force"]).args(ids.split_whitespace()).output();
    }
    assert!(pushed.code == 1 && pushed.stderr.contains("CVE-2024-1"), "{}", pushed.text());
    let pinned = |name: &str| lock.contains(&format!("{}/slipway/{name}@sha256:", harbor.host()));
    assert!(pinned(&names[0]) && !pinned(&names[1]), "{lock}");
}
