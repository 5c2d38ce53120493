//! 2.13: `slipway harbor robots rotate` itself, while a build is on its way to the registry.

use std::process::Command;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::super::builds::config;
use super::super::robots::robots;
use super::hold;
use crate::support::harbor::{ADMIN, Harbor};
use crate::support::slipway::{PRODUCT_LINE, Slipway};

/// What a build asks when it has looked at the registry, has compiled, and is about to push.
const BEFORE_THE_PUSH: &[&str] = &["HEAD /v2/", "/manifests/1"];

/// What the Engine asks first that it must be let in for.
const BEFORE_THE_ENGINES_PUSH: &[&str] = &["POST /v2/", "/blobs/uploads/"];

/// An upload of which no byte has been read.
const BODY: &[&str] = &["PATCH /v2/", "/blobs/uploads/"];

/// A request that does not come within this time does not come.
const LONGEST: Duration = Duration::from_mins(1);

/// A Dockerfile with a layer that is large enough for a body of its own, and that no cache has.
fn source() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("Dockerfile"), "FROM scratch\nCOPY noise /\n").unwrap();
    // Hashes of nothing in particular do not compress.
    let first = uuid::Uuid::now_v7();
    let noise: Vec<u8> = (0..100_000_u32)
        .flat_map(|number| Sha256::new_with_prefix(first).chain_update(number.to_le_bytes()).finalize())
        .collect();
    std::fs::write(directory.path().join("noise"), noise).unwrap();
    directory
}

/// Builds push as the robot; whoever rotates it is the administrator, and the secret's file is that of the builds.
fn operators(harbor: &Harbor, backend: &str) -> Slipway {
    harbor.project(PRODUCT_LINE);
    let robot = harbor.robot(PRODUCT_LINE, "push", &["repository:push"]);
    let build = "own_dockerfiles = true\nstart_check = { enabled = false }\n";
    let slipway = config(harbor, &robot, &format!("[build]\nimage_backend = {backend:?}\n{build}"));
    let password = slipway.config().with_file_name("admin");
    std::fs::write(&password, ADMIN.1).unwrap();
    slipway.and(&format!(
        "[credentials.admin]\nusername = {:?}\npassword = {{ file = {:?} }}\nhosts = [{:?}]\n",
        ADMIN.0,
        password.display().to_string(),
        harbor.host()
    ))
}

/// A build is held at a request until the robot has another secret; then it goes on. With `over`, no token outlives the old
/// secret.
async fn rotated(backend: &str, at: &'static [&'static str], over: bool) {
    let harbor = Harbor::start();
    let slipway = operators(&harbor, backend);
    let old = harbor.state().robots[0].secret.clone();
    let (reached, release) = hold(&harbor, at);
    let rotates = async {
        let reached = tokio::time::timeout(LONGEST, reached).await;
        reached.unwrap_or_else(|_| panic!("{backend}: no {at:?}")).unwrap();
        let line = format!("rotate push --project {PRODUCT_LINE} --store robot");
        let done = robots(&slipway, &line, "admin").await;
        assert_eq!(done.code, 0, "{}", done.text());
        if over {
            harbor.state().age_all(61);
        }
        release.send(()).unwrap();
    };
    let source = source();
    let args = ["--push", "--name", "order", "--tag", "1"].map(str::to_owned);
    let (run, ()) = tokio::join!(slipway.build(source.path(), &args), rotates);
    let _ = Command::new("docker")
        .args(["image", "rm", "--force", &format!("{}/{PRODUCT_LINE}/order:1", harbor.host())])
        .output();
    assert_eq!(run.report["outcome"], "succeeded", "{backend}, {at:?}: {}", run.text());
    let new = harbor.state().robots[0].secret.clone();
    assert_eq!(std::fs::read_to_string(slipway.config().with_file_name("robot")).unwrap(), new);
    assert!(old != new && !run.text().contains(&new) && !run.text().contains(&old), "{}", run.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn case_2_13_robots_rotate_between_login_and_push() {
    rotated("assembler", BEFORE_THE_PUSH, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_2_13_robots_rotate_between_login_and_the_engines_push() {
    rotated("docker", BEFORE_THE_ENGINES_PUSH, true).await;
}

/// The body goes on with the token that it was begun with, what follows needs a new one.
#[tokio::test(flavor = "multi_thread")]
async fn case_2_13_robots_rotate_while_a_body_is_uploaded() {
    for over in [false, true] {
        rotated("assembler", BODY, over).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_2_13_robots_rotate_while_the_engine_uploads_a_body() {
    rotated("docker", BODY, true).await;
}
