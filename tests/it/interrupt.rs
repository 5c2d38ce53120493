//! Ctrl-C: whatever a build is doing, it says that it was cancelled and leaves nothing behind.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

use crate::support::probe;
use crate::support::project::Project;
use crate::support::slipway::{PRODUCT_LINE, Slipway};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(4);

/// A toolchain that runs the project's own script.
pub(crate) const SCRIPT: &str = r#"
name = "script"
title = "Script"
[detect]
files = ["build.sh"]
[[releases]]
version = "1"
build = "debian"
run = "python-3.13"
[outputs]
app = "/output"
[[steps]]
step = "compile"
network = "bridge"
command = ["sh", "/workspace/build.sh"]
[image]
workdir = "/app"
command = ["python3", "/app/run"]
layers = [{ name = "application", from = { output = "app" }, to = "/app" }]
"#;

/// Writes an application that serves, and says when it starts and ends.
const BUILD: &str = r#"cat >/output/run <<'E'
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("it ends", flush=True), sys.exit(0)))
server = http.server.HTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler)
print("it starts", flush=True)
server.serve_forever()
E
"#;

/// A build that runs, in a cache of its own.
struct Build {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: Lines<BufReader<ChildStderr>>,
    cache: tempfile::TempDir,
    _catalog: tempfile::TempDir,
    _slipway: Slipway,
}

impl Build {
    fn start(slipway: Slipway, verb: &str, source: &str, args: &[&str]) -> Self {
        let (cache, catalog) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = catalog.path().join("toolchains/script");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("toolchain.toml"), SCRIPT).unwrap();
        let all = [&[verb, "--catalog", catalog.path().to_str().unwrap(), source], args].concat();
        let all: Vec<String> = all.iter().map(|arg| (*arg).to_owned()).collect();
        let slipway = slipway.env("SLIPWAY__CACHE__DIRECTORY", cache.path().to_str().unwrap());
        let mut command = slipway.command(&all);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines, log, cache, _catalog: catalog, _slipway: slipway }
    }

    /// Reads events until one is as wanted.
    async fn event(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut seen = String::new();
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect("an event comes in time").unwrap();
            let Some(line) = line else { panic!("it ended before:\n{seen}") };
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            if wanted(&event) {
                return event;
            }
            seen = format!("{seen}{line}\n");
        }
    }

    async fn step(&mut self, step: &str) {
        self.event(|event| event["kind"] == "step_started" && event["step"] == step).await;
    }

    async fn says(&mut self, text: &str) {
        self.event(|event| event["line"].as_str().is_some_and(|line| line.contains(text))).await;
    }

    fn interrupt(&self) {
        signal(&self.child, Signal::INT);
    }

    /// Interrupts it and checks what it says and leaves.
    async fn ends(self, step: &str) {
        self.ends_by(Signal::INT, step).await;
    }

    /// The same, by any signal.
    async fn ends_by(mut self, by: Signal, step: &str) {
        let pid = self.child.id().unwrap();
        signal(&self.child, by);
        let report = self.event(|event| event.get("outcome").is_some() && event.get("steps").is_some()).await;
        assert_eq!(report["outcome"], "cancelled", "{report:#}");
        assert_eq!(report["failure"]["code"], "cancelled", "{report:#}");
        assert_eq!(report["failure"]["step"], step, "{report:#}");
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends in time").unwrap();
        assert_eq!(status.code(), Some(130));
        let left = left_in(self.cache.path());
        assert!(left.is_empty(), "{left:?}");
        let owned = run(&["docker", "ps", "--all", "--format", "{{.ID}} {{.Label \"slipway.owner\"}}"]);
        assert!(!owned.lines().any(|line| line.contains(&format!("/{pid}/"))), "{owned}");
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id().expect("it runs")).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A pipe with a name: who opens it for writing is heard, and its end is everything's end that holds it open.
struct Held {
    directory: tempfile::TempDir,
    reader: Option<std::thread::JoinHandle<()>>,
    heard: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Held {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        run(&["mkfifo", path.to_str().unwrap()]);
        let (sender, heard) = tokio::sync::mpsc::unbounded_channel();
        let reader = std::thread::spawn(move || {
            let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
            // Ends, and with it the channel, when nobody holds the pipe any more.
            std::io::BufRead::lines(file).for_each(|line| drop(sender.send(line.unwrap())));
        });
        Self { directory, reader: Some(reader), heard }
    }

    /// Lines of a shell script that hold it for ten minutes, in a session of their own too.
    fn script(&self) -> String {
        let path = self.directory.path().join("held");
        format!("exec 3>{}\nsetsid sleep 600 &\necho held >&3\nexec sleep 600\n", path.display())
    }

    async fn held(&mut self) {
        let line = timeout(PATIENCE, self.heard.recv()).await.expect("it is held in time");
        assert_eq!(line.as_deref(), Some("held"));
    }

    async fn let_go(mut self) {
        assert_eq!(timeout(PATIENCE, self.heard.recv()).await.expect("nobody holds it any more"), None);
        self.reader.take().unwrap().join().unwrap();
    }
}

fn run(line: &[&str]) -> String {
    crate::services::run(Path::new("/"), line)
}

/// Workspaces, and locks and half files of Git.
fn left_in(cache: &Path) -> Vec<String> {
    let found = run(&[
        "find",
        cache.to_str().unwrap(),
        "-path",
        "*/workspaces/*",
        "-o",
        "-name",
        "*.lock",
        "-o",
        "-name",
        "tmp_*",
    ]);
    found.lines().filter(|path| !path.ends_with("/workspaces/.lock")).map(str::to_owned).collect()
}

/// A server that takes connections and says nothing.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn project(script: &str) -> Project {
    let project = Project::new("script", &[("build.sh", script)]);
    project.commit();
    project
}

#[tokio::test(flavor = "multi_thread")]
async fn during_the_checkout() {
    let (server, address) = silent().await;
    let url = format!("http://{address}/order.git");
    let mut build = Build::start(Slipway::new(), "build", &url, &["--format", "jsonl"]);
    build.step("checkout").await;
    let _connection = timeout(PATIENCE, server.accept()).await.expect("git asks the server").unwrap();
    build.ends("checkout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_toolchain_runs() {
    // Grandchildren that ignore the signal end too.
    let project = project("trap '' INT TERM; sleep 600 & echo hanging; wait\n");
    let source = project.path().display().to_string();
    let mut build = Build::start(Slipway::new(), "build", &source, &["--format", "jsonl"]);
    build.says("hanging").await;
    build.ends("compile").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_is_closed_ends_commands_of_this_machine() {
    let mut held = Held::new();
    let project = project(&held.script());
    let source = project.path().display().to_string();
    let mut build = Build::start(Slipway::new(), "build", &source, &["--format", "jsonl", "--runner", "host"]);
    build.step("compile").await;
    held.held().await;
    // Where these tests outlive their terminal themselves, what they start does too.
    let closed = if slipway::environment::ignores_hang_up() { Signal::TERM } else { Signal::HUP };
    build.ends_by(closed, "compile").await;
    held.let_go().await;
}

/// `slipway doctor` waits for what it asks whatever the first signal says; the second does not wait.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_takes_along_what_runs() {
    let mut held = Held::new();
    let programs = tempfile::tempdir().unwrap();
    let git = programs.path().join("git");
    std::fs::write(&git, format!("#!/bin/sh\n{}", held.script().replace("setsid sleep 600 &\n", ""))).unwrap();
    run(&["chmod", "+x", git.to_str().unwrap()]);
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    let slipway = Slipway::new().env("PATH", &path);
    let mut child = slipway.command(&["doctor".to_owned()]).spawn().unwrap();
    held.held().await;
    signal(&child, Signal::INT);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = timeout(PATIENCE, said.next_line()).await.expect("it says that it stops").unwrap();
        if line.expect("it goes on") == "stopping; once more to stop at once" {
            break;
        }
    }
    signal(&child, Signal::INT);
    let status = timeout(PATIENCE, child.wait()).await.expect("it ends at once").unwrap();
    assert_eq!(status.code(), Some(130));
    held.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_takes_along_a_build_s_commands_of_this_machine() {
    let mut held = Held::new();
    let project = project(&held.script());
    let source = project.path().display().to_string();
    let mut build = Build::start(Slipway::new(), "build", &source, &["--format", "jsonl", "--runner", "host"]);
    held.held().await;
    build.interrupt();
    build.interrupt();
    let status = timeout(PATIENCE, build.child.wait()).await.expect("it ends in time").unwrap();
    assert_eq!(status.code(), Some(130));
    held.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_image_is_built() {
    let dockerfile = "FROM slipway/debian:latest\nRUN echo hang''ing; sleep 600\n";
    let project = Project::new("hanging", &[("Dockerfile", dockerfile)]);
    project.commit();
    let source = project.path().display().to_string();
    let mut build = Build::start(Slipway::new(), "build", &source, &["--format", "jsonl", "--no-cache"]);
    build.says("hanging").await;
    build.ends("image").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_the_push() {
    let (server, address) = silent().await;
    let project = project(BUILD);
    let source = project.path().display().to_string();
    let slipway = Slipway::with(&address, "x");
    let args = ["--format", "jsonl", "--push", "--product-line", PRODUCT_LINE, "--name", "interrupted"];
    let mut build = Build::start(slipway, "build", &source, &args);
    build.step("push").await;
    let _connection = timeout(PATIENCE, server.accept()).await.expect("the registry is asked").unwrap();
    build.ends("push").await;
    run(&["sh", "-c", &format!("docker image rm --force $(docker image ls --quiet '{address}/*/*') >/dev/null")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_runs_answers_until_it_is_stopped() {
    let project = project(BUILD);
    let commit = run(&["git", "-C", project.path().to_str().unwrap(), "rev-parse", "HEAD"]);
    let source = project.path().display().to_string();
    let args = ["--set", "runtime.ports=[8080]", "--name", "running"];
    let mut build = Build::start(Slipway::new(), "run", &source, &args);
    let mut log = String::new();
    let address = loop {
        let line = timeout(PATIENCE, build.log.next_line()).await.expect("its port is told").unwrap();
        let line = line.unwrap_or_else(|| panic!("it ended:\n{log}"));
        if let Some((_, rest)) = line.split_once("port 8080/tcp is at http://") {
            break rest.split('/').next().unwrap().to_owned();
        }
        log = format!("{log}{line}\n");
    };
    let first = timeout(PATIENCE, build.lines.next_line()).await.expect("its log is followed").unwrap();
    assert_eq!(first.as_deref(), Some("it starts"));
    let get = || async { probe::get(&address, "/").await.map_err(|error| error.to_string()) };
    let (status, _) = probe::until(PATIENCE, get, || async { true }).await.unwrap();
    assert_eq!(status, 200);

    let image = format!("{}/local/running:{}", crate::services::service("SLIPWAY_TEST_REGISTRY"), &commit[..12]);
    let of_image = ["docker", "ps", "--all", "--quiet", "--filter", &format!("ancestor={image}")];
    assert_eq!(run(&of_image).lines().count(), 1, "{image}");
    let container = run(&of_image);
    let bound = run(&["docker", "inspect", "--format", "{{json .NetworkSettings.Ports}}", container.trim()]);
    let bound: Value = serde_json::from_str(&bound).unwrap();
    let hosts: Vec<&Value> = bound["8080/tcp"].as_array().unwrap().iter().map(|port| &port["HostIp"]).collect();
    assert_eq!(hosts, ["127.0.0.1"], "nobody else's machine reaches it");
    build.interrupt();
    let mut last = String::new();
    while let Some(line) = timeout(PATIENCE, build.lines.next_line()).await.expect("it ends").unwrap() {
        last = line;
    }
    assert_eq!(last, "it ends");
    let status = timeout(PATIENCE, build.child.wait()).await.expect("it ends in time").unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(run(&of_image), "");
    assert!(left_in(build.cache.path()).is_empty());
    run(&["docker", "image", "rm", "--force", &image]);
}

/// Programs read stdout: the report is all that is there, and what the application says goes elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_reports_to_programs_as_a_build_does() {
    let project = project("echo 'print(\"it ran\")' >/output/run\n");
    let source = project.path().display().to_string();
    let run_with = async |args: &[&str]| {
        let mut build = Build::start(Slipway::new(), "run", &source, args);
        let (mut said, mut heard) = (Vec::new(), Vec::new());
        while let Some(line) = timeout(PATIENCE, build.lines.next_line()).await.expect("it ends").unwrap() {
            said.push(line);
        }
        while let Some(line) = timeout(PATIENCE, build.log.next_line()).await.expect("it ends").unwrap() {
            heard.push(line);
        }
        (build.child.wait().await.unwrap().code(), said, heard.join("\n"))
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));

    let (code, said, heard) = run_with(&["--format", "jsonl", "--set", "runtime.ports=[]", "--name", "told"]).await;
    let report = said.iter().map(|line| json(line)).next_back().unwrap();
    assert_eq!((&report["outcome"], code), (&"succeeded".into(), Some(0)), "{report:#}\n{heard}");
    assert!(heard.contains("it ran"), "{heard}");
    run(&["docker", "image", "rm", "--force", report["image"]["references"][0].as_str().unwrap()]);

    let (code, said, heard) = run_with(&["--format", "json", "--set", "runtime.ports=[0]"]).await;
    let report = json(&said.join("\n"));
    assert_eq!((&report["failure"]["code"], code), (&"request_invalid".into(), Some(1)), "{report:#}\n{heard}");

    // It would be deployed first.
    let (code, said, heard) = run_with(&["--format", "json", "--kind", "library"]).await;
    let report = json(&said.join("\n"));
    assert_eq!((&report["failure"]["code"], code), (&"request_invalid".into(), Some(1)), "{report:#}\n{heard}");
    assert_eq!(report.get("steps"), None, "nothing is built");
}

/// `slipway completions bash | head`: a reader that has seen enough.
#[tokio::test]
async fn nothing_panics_where_nobody_reads_on() {
    for args in [&["completions", "bash"][..], &["schema", "api"], &["plan", "--help"]] {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut child = Slipway::new().command(&args).spawn().unwrap();
        drop(child.stdout.take());
        let ended = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!said.contains("panicked"), "{args:?}: {said}");
    }
}
