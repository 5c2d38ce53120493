//! 2.13: a robot gets a new secret while a build pushes.

use std::time::Duration;

use super::super::builds::{config, push};
use super::super::ways::build;
use super::{at_first, trade};
use crate::support::harbor::Harbor;
use crate::support::slipway::PRODUCT_LINE;

/// Between two blobs Harbor takes the new secret only, the build's token ends, and the operator's file follows a second
/// later.
async fn rotated(backend: &str) {
    let harbor = Harbor::start();
    harbor.project(PRODUCT_LINE);
    let robot = harbor.robot(PRODUCT_LINE, "push", &["repository:push"]);
    let slipway = config(&harbor, &robot, &format!("[build]\nimage_backend = {backend:?}\n"));
    let file = slipway.config().with_file_name("robot");
    at_first(&harbor, &["PUT", "/blobs/uploads/"], move |state| {
        "NewSecret2".clone_into(&mut state.robots[0].secret);
        state.age_all(61);
        let file = file.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            let beside = file.with_extension("new");
            std::fs::write(&beside, "NewSecret2\n").and_then(|()| std::fs::rename(&beside, &file)).unwrap();
        });
        None
    });
    let run = push(&slipway, "1").await;
    assert_eq!(run.report["outcome"], "succeeded", "{backend}: {}", run.text());
    assert!(harbor.state().refused_logins > 0, "{backend}: the old secret was never shown again");
    assert!(!run.text().contains("NewSecret2") && !run.text().contains(&robot.1), "{}", run.text());
    let _ = std::process::Command::new("docker")
        .args(["image", "rm", "--force", &format!("{}/{PRODUCT_LINE}/order:1", harbor.host())])
        .output();
}

#[tokio::test(flavor = "multi_thread")]
async fn case_2_13_a_build_finishes_with_the_new_secret() {
    rotated("assembler").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_2_13_so_it_does_where_the_engine_pushes() {
    rotated("docker").await;
}

/// A push whose token is still good does not notice. The Engine gets a new one for the manifest.
#[tokio::test(flavor = "multi_thread")]
async fn case_2_13_a_token_outlives_its_secret() {
    let (harbor, robot) = trade();
    at_first(&harbor, &["PUT", "/blobs/uploads/"], |state| {
        state.robots[0].secret = "NewSecret2".to_owned();
        state.robots[0].disabled = true;
        None
    });
    build("assembler", 64).await.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
}
