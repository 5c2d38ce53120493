//! `--image-backend auto`: assembled what can be, by the Engine what must be; the Engine has both.

use serde_json::Value;

use super::images::{Images, docker};
use crate::support::project::Project;
use crate::support::slipway::{Run, Slipway};

/// A name that no other test uses: tags of this machine's Engine are everybody's.
fn application(directory: &tempfile::TempDir) -> String {
    format!("auto-{}", directory.path().file_name().unwrap().to_str().unwrap().to_lowercase().replace('.', ""))
}

fn script(text: &str) -> Project {
    let settings = "[runtime]\ncommand = [\"sh\", \"/app/run\"]\n";
    let project = Project::new("automatic", &[("output/run", text), ("slipway.toml", settings)]);
    project.commit();
    project
}

async fn build(slipway: &Slipway, project: &Project, name: &str, further: &[&str]) -> Run {
    let mut args = vec!["--image-backend", "auto", "--name", name, "--tag", "1"];
    args.extend(further);
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    slipway.build(&project.path(), &args).await
}

fn reference(run: &Run) -> String {
    assert_eq!(run.code, 0, "{}", run.text());
    run.report["image"]["references"][0].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_has_what_was_assembled_even_after_it_was_removed_there() {
    let directory = tempfile::tempdir().unwrap();
    let name = application(&directory);
    // A cache of its own: nothing was given to the Engine before.
    let slipway = Slipway::new().env("SLIPWAY__CACHE__DIRECTORY", directory.path().to_str().unwrap());
    let mut images = Images(Vec::new());
    let first = build(&slipway, &script("echo one; exec sleep 60\n"), &name, &[]).await;
    images.0.push(reference(&first));
    let says = |image: &str| docker(&["run", "--rm", "--network", "none", "--entrypoint", "cat", image, "/app/run"]);
    assert_eq!(says(&images.0[0]), "echo one; exec sleep 60\n");
    // Made by Slipway, which keeps it too.
    let kept = directory.path().join("images/images").join(digest(&first).trim_start_matches("sha256:"));
    assert!(kept.is_file(), "{}", kept.display());

    // Another application on the same base: the base is not sent again.
    let second = build(&slipway, &script("echo two; exec sleep 60\n"), &name, &[]).await;
    assert_eq!(says(&reference(&second)), "echo two; exec sleep 60\n");

    // The Engine lost what the notes say it was given.
    docker(&["image", "rm", "--force", &reference(&second), &digest(&first), &digest(&second)]);
    let third = build(&slipway, &script("echo two; exec sleep 60\n"), &name, &[]).await;
    assert_eq!((digest(&third), says(&reference(&third))), (digest(&second), "echo two; exec sleep 60\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_assembled_is_tried_and_pushed() {
    let directory = tempfile::tempdir().unwrap();
    let name = application(&directory);
    let slipway = Slipway::new();
    let crash = build(&slipway, &script("echo 'no such tide' >&2; exit 3\n"), &name, &["--push"]).await;
    assert_eq!(crash.failure_code(), "application_does_not_start", "{}", crash.text());
    assert_eq!(crash.failure()["log_tail"], serde_json::json!(["no such tide"]));

    // Untried and pushed: the Engine is not bothered with it.
    let untried = slipway.env("SLIPWAY__BUILD__START_CHECK__ENABLED", "false");
    let pushed = build(&untried, &script("exit 3\n"), &name, &["--push"]).await;
    let layers = pushed.report["image"]["layers"].as_array().map_or(0, Vec::len);
    assert!(layers > 1, "{}", pushed.text());
    let listed = docker(&["image", "ls", "--quiet", &reference(&pushed)]);
    let crashed = docker(&["image", "ls", "--quiet", "--filter", &format!("reference=*/*/{name}")]);
    assert_eq!((listed, crashed.lines().count()), (crashed.clone(), 1), "only the tried one is there");
    docker(&["image", "rm", "--force", &reference(&pushed)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_the_engine_is_built_by_it() {
    let directory = tempfile::tempdir().unwrap();
    let name = application(&directory);
    let text = "FROM scratch AS none\nFROM slipway/debian\nUSER 0\nRUN echo built > /made\nCMD [\"sleep\", \"60\"]\n";
    let project = Project::new("automatic", &[("Dockerfile", text)]);
    project.commit();
    let run = build(&Slipway::new(), &project, &name, &["--push"]).await;
    let images = Images(vec![reference(&run)]);
    let made = docker(&["run", "--rm", "--network", "none", &images.0[0], "cat", "/made"]);
    assert_eq!((made.as_str(), run.failure()), ("built\n", &Value::Null));
}

/// What no look at the instructions tells: how an archive is compressed.
#[tokio::test(flavor = "multi_thread")]
async fn what_turns_out_to_need_the_engine_is_built_by_it_too() {
    let directory = tempfile::tempdir().unwrap();
    let name = application(&directory);
    let text = "FROM slipway/debian\nUSER 0\nADD things.tar.xz /things/\nCMD [\"sleep\", \"60\"]\n";
    let project = Project::new("automatic", &[("Dockerfile", text), ("packed/one", "one\n")]);
    let mut tar = std::process::Command::new("tar");
    assert!(tar.args(["-cJf", "things.tar.xz", "packed"]).current_dir(project.path()).status().unwrap().success());
    project.commit();
    let run = build(&Slipway::new(), &project, &name, &[]).await;
    let images = Images(vec![reference(&run)]);
    let found = docker(&["run", "--rm", "--network", "none", &images.0[0], "cat", "/things/packed/one"]);
    assert_eq!(found, "one\n");
    // Without the Engine, it is said what is missing.
    let alone = Slipway::new().build(&project.path(), &["--image-backend", "assembler"].map(str::to_owned)).await;
    assert_eq!(alone.failure_code(), "dockerfile_unsupported", "{}", alone.text());
}

/// The digest of the configuration of an image that was not pushed.
fn digest(run: &Run) -> String {
    run.report["image"]["digest"].as_str().unwrap().to_owned()
}
