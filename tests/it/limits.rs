//! Builds that take more than they may, through the whole program: what is said, and that nothing stays behind.
//!
//! The project's own script runs as a toolchain that exists as data alone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::image::engine;
use crate::support::probe::until;
use crate::support::project::Project;
use crate::support::slipway::{Run, Slipway};

const TOOLCHAIN: &str = r#"
name = "script"
title = "Script"

[detect]
files = ["build.sh"]

[[releases]]
version = "1"
build = "debian"
run = "debian"

[outputs]
app = "/output"

[caches]
things = "/cache/things"

[[steps]]
step = "compile"
network = "bridge"
command = ["sh", "/workspace/build.sh"]

[image]
workdir = "/app"
command = ["sh", "/app/run"]
layers = [{ name = "application", from = { output = "app" }, to = "/app" }]
"#;

/// A project with a script, and a cache of its own.
struct Script {
    project: Project,
    catalog: tempfile::TempDir,
    cache: tempfile::TempDir,
}

impl Script {
    fn new(script: &str) -> Self {
        let project = Project::new("script", &[("build.sh", script)]);
        project.commit();
        let catalog = tempfile::tempdir().unwrap();
        let folder = catalog.path().join("toolchains/script");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("toolchain.toml"), TOOLCHAIN).unwrap();
        Self { project, catalog, cache: tempfile::tempdir().unwrap() }
    }

    /// The program with this cache and these limits.
    fn slipway(&self, limits: &[(&str, &str)]) -> Slipway {
        let slipway = Slipway::new().env("SLIPWAY__CACHE__DIRECTORY", self.cache.path().to_str().unwrap());
        limits.iter().fold(slipway, |slipway, (name, value)| {
            slipway.env(&format!("SLIPWAY__LIMITS__{}", name.to_uppercase()), value)
        })
    }

    fn args(&self) -> Vec<String> {
        vec!["--catalog".to_owned(), self.catalog.path().display().to_string()]
    }

    async fn build(&self, limits: &[(&str, &str)]) -> Run {
        self.slipway(limits).build(&self.project.path(), &self.args()).await
    }

    /// Builds, and checks the failure and that nothing is left.
    async fn fails(&self, limits: &[(&str, &str)], code: &str, blame: &str) -> Run {
        let run = self.build(limits).await;
        assert_eq!(run.failure_code(), code, "{}", run.text());
        assert_eq!(run.failure()["blame"], blame, "{}", run.text());
        assert_eq!(run.code, if run.failure()["retryable"] == true { 75 } else { 1 }, "{}", run.text());
        assert!(!run.failure()["hint"].as_str().unwrap_or_default().is_empty(), "{}", run.text());
        self.nothing_is_left(&run);
        run
    }

    fn nothing_is_left(&self, run: &Run) {
        let id = run.report["id"].as_str().unwrap_or_else(|| panic!("the report names the build: {}", run.text()));
        assert_eq!(labelled("container", id), [""; 0], "containers stay");
        assert_eq!(labelled("network", id), [""; 0], "networks stay");
        assert_eq!(labelled("volume", id), [""; 0], "volumes stay");
        assert_eq!(names(&self.cache.path().join("workspaces")), [""; 0], "workspaces stay");
        let scratch = names(&self.cache.path().join("sandbox"));
        assert!(scratch.iter().all(|name| name.starts_with("passwd-")), "copies of files stay: {scratch:?}");
    }

    /// The build that has a workspace in the cache and a container, once it is there.
    async fn running(&self, besides: &[String]) -> String {
        let find = || async {
            let workspaces = names(&self.cache.path().join("workspaces"));
            let id = workspaces.iter().filter_map(|name| Some(name.get(..36)?.to_owned()));
            let id = id.into_iter().find(|id| !besides.contains(id) && !labelled("container", id).is_empty());
            id.ok_or_else(|| format!("no container for any of {workspaces:?}"))
        };
        until(Duration::from_mins(1), find, || async { true }).await.unwrap()
    }

    fn workspace(&self, build: &str) -> PathBuf {
        let workspaces = self.cache.path().join("workspaces");
        let name = names(&workspaces).into_iter().find(|name| name.starts_with(build));
        workspaces.join(name.unwrap_or_else(|| panic!("there is no workspace of {build}")))
    }
}

/// What the Engine has with the label of a build.
fn labelled(kind: &str, build: &str) -> Vec<String> {
    let mut command = Command::new("docker");
    command.args([kind, "ls", "--quiet", "--filter", &format!("label=slipway.build={build}")]);
    if kind == "container" {
        command.arg("--all");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn tail(run: &Run) -> Vec<&str> {
    run.failure()["log_tail"].as_array().into_iter().flatten().filter_map(|line| line.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_of_output_is_dropped_and_the_last_words_are_kept() {
    let script = Script::new("yes this is a line of the output | head -c 1000000000; echo; echo the end; exit 3");
    let run = script.fails(&[("log", "1MiB")], "compile_failed", "project").await;
    assert_eq!(tail(&run).last(), Some(&"the end"), "{}", run.text());
    assert!(run.stderr.contains("bytes of output dropped: a command may print 1048576 bytes"), "the log says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_ends_with_the_build_s_time() {
    let script = Script::new("bomb() { bomb | bomb & }; echo up; bomb 2>/dev/null & exec sleep 600");
    let run = script.fails(&[("timeout", "4s"), ("processes", "64")], "timed_out", "project").await;
    assert_eq!((run.failure()["step"].as_str(), run.report["outcome"].as_str()), (Some("compile"), Some("timed_out")));
    let said = run.failure()["message"].as_str().unwrap();
    assert_eq!(said, "the build was stopped after its time of 4 s, in the step `compile`");
    assert!(tail(&run).contains(&"up"), "{}", run.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_and_a_silence_have_limits_of_their_own() {
    let script = Script::new("trap '' TERM HUP INT; echo up; setsid sleep 600 & wait");
    let began = Instant::now();
    let run = script.fails(&[("steps", "{ compile = \"2s\" }")], "timed_out", "project").await;
    assert_eq!(run.failure()["message"], "the step `compile` was stopped after its time of 2 s");
    assert!(run.failure()["hint"].as_str().unwrap().contains("`limits.steps.compile`"), "{}", run.text());
    let run = script.fails(&[("silence", "1s")], "timed_out", "project").await;
    assert_eq!(run.failure()["message"], "`sh` was stopped after printing nothing for 1 s");
    assert!(run.failure()["hint"].as_str().unwrap().contains("`limits.silence`"), "{}", run.text());
    assert!(began.elapsed() < Duration::from_mins(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_build_are_bounded() {
    let script = Script::new("dd if=/dev/zero of=/workspace/big bs=1M count=100 2>&1; echo written; sleep 600");
    let run = script.fails(&[("disk", "32MiB")], "output_limit", "project").await;
    assert_eq!(run.failure()["step"], "compile");
    assert!(run.failure()["hint"].as_str().unwrap().contains("`limits.disk`"), "{}", run.text());
    let script = Script::new("dd if=/dev/zero of=/output/run bs=1M count=40 2>&1");
    let run = script.fails(&[("output", "32MiB")], "output_limit", "project").await;
    assert_eq!(run.failure()["step"], "dockerfile");
    let said = run.failure()["message"].as_str().unwrap();
    assert!(said.starts_with("what goes into the image takes 40 MiB"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_the_service_s_fault() {
    let script = Script::new("dd if=/dev/zero of=/workspace/big bs=1M count=100");
    let _small = Mounted::tmpfs(script.cache.path(), "48m");
    let run = script.fails(&[("free_disk", "1GiB")], "disk_full", "service").await;
    let said = run.failure()["message"].as_str().unwrap();
    assert!(said.contains("MiB of free disk") && said.contains("1024 MiB"), "{said}");
    let run = script.fails(&[("free_disk", "10MiB")], "disk_full", "service").await;
    assert_eq!(run.failure()["step"], "compile", "{}", run.text());
    assert!(tail(&run).iter().any(|line| line.contains("No space left on device")), "{}", run.text());
}

/// A mounted file system; unmounted when the test ends.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path, size: &str) -> Self {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).output();
        let mounted = mounted.unwrap();
        let why = String::from_utf8_lossy(&mounted.stderr);
        assert!(mounted.status.success(), "a small file system can be mounted, which takes root: {why}");
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_worker_s_leftovers_go_and_a_living_one_s_stay() {
    engine().await;
    let script = Script::new(
        "echo up; until [ -e /workspace/enough ]; do sleep 0.1; done
         printf '#!/bin/sh\\nexec sleep 600\\n' > /output/run; chmod +x /output/run",
    );
    let slipway = script.slipway(&[]);
    let start = || {
        let mut args = ["build", "--format", "json"].map(str::to_owned).to_vec();
        args.extend(script.args());
        args.push(script.project.path().display().to_string());
        slipway.command(&args).spawn().unwrap()
    };
    let living = start();
    let living_id = script.running(&[]).await;
    let mut dead = start();
    let dead_id = script.running(std::slice::from_ref(&living_id)).await;
    dead.kill().await.unwrap();
    assert_eq!(labelled("container", &dead_id).len(), 1, "it was killed without a chance to remove its container");
    let left = script.workspace(&dead_id);
    assert!(left.is_dir());

    let other = script.slipway(&[("timeout", "1s")]).build(&script.project.path(), &script.args()).await;
    assert_eq!(other.failure_code(), "timed_out", "{}", other.text());
    assert_eq!(labelled("container", &dead_id), [""; 0], "the next one removes what the dead one left");
    assert!(!left.exists());
    assert_eq!(labelled("container", &living_id).len(), 1, "and nothing of the living one");

    std::fs::write(script.workspace(&living_id).join("source/enough"), "").unwrap();
    let ended = living.wait_with_output().await.unwrap();
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    let reference = report["image"]["references"][0].as_str().unwrap();
    let _ = Command::new("docker").args(["image", "rm", "--force", reference]).output();
    assert_eq!(names(&script.cache.path().join("workspaces")), [""; 0]);
}
