//! A base image's tag is not asked for by every build.

use std::path::Path;

use super::builds::config;
use super::ways::build;
use crate::support::harbor::Harbor;
use crate::support::slipway::{Run, Slipway};

async fn built(slipway: &Slipway, source: &Path, more: &str) -> Run {
    let archive = source.with_extension("tar");
    let line = format!(
        "build {} --format json --product-line trade --name order --output type=oci,dest={}{more}",
        source.display(),
        archive.display()
    );
    let run = slipway.run(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.text());
    run
}

/// How often the tag was asked for since this was asked last.
fn asked(harbor: &Harbor) -> usize {
    harbor.requests().iter().filter(|line| line.contains("/trade/base/manifests/1")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_keeps_its_digest_for_as_long_as_the_operator_says() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let [one, two] = ["one", "two"].map(|name| harbor.robot("trade", name, &["repository:push"]));
    build("assembler", 64).await.push(&harbor, &one, &["trade/base:1"]).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("Dockerfile"), format!("FROM {}/trade/base:1\nCOPY Dockerfile /\n", harbor.host()))
        .unwrap();
    let configured = |robot, life: &str| {
        let build = "[build]\nown_dockerfiles = true\nimage_backend = \"assembler\"\nstart_check = { enabled = false }";
        let cache = directory.path().join("cache").display().to_string();
        config(&harbor, robot, &format!("{build}\nbase_tags = {life:?}\n[cache]\ndirectory = {cache:?}\n"))
    };
    let (kept, always) = (configured(&one, "1h"), configured(&one, "0s"));
    asked(&harbor);
    let first = built(&kept, &source, "").await;
    assert!(asked(&harbor) > 0);
    // It moves, and who builds within the hour gets what it was.
    build("assembler", 64).await.push(&harbor, &one, &["trade/base:1"]).await.unwrap();
    asked(&harbor);
    let second = built(&kept, &source, "").await;
    assert_eq!((asked(&harbor), &second.report["image"]["base"]), (0, &first.report["image"]["base"]));
    // Another account is not told from memory, and neither is who wants everything anew or has it asked each time.
    built(&configured(&two, "1h"), &source, "").await;
    assert!(asked(&harbor) > 0, "another account");
    built(&kept, &source, " --no-cache").await;
    assert!(asked(&harbor) > 0, "--no-cache");
    built(&always, &source, "").await;
    assert!(asked(&harbor) > 0, "0s");
}
