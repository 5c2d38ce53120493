//! Commands run for real: on the host, and in containers of the Engine.
//!
//! Needs a Docker Engine and `/bin/busybox`, linked statically (package `busybox-static`).

mod container;
mod host;
mod network;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::TryStreamExt;
use slipway::model::command::{Command, Exit, Limits, Network};
use slipway::model::failure::{Failure, Step};
use slipway::output::{Line, Output, Redactor};
use slipway::runner::Runner;
use slipway::sandbox::{Sandbox, Settings};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// The image that holds nothing but busybox.
const IMAGE: &str = "slipway-test/busybox:runner";

const PATH: &str = "/bin:/usr/bin";

/// How a command ended and what it said.
struct Ran {
    exit: Result<Exit, Failure>,
    lines: Vec<Line>,
    received: u64,
}

impl Ran {
    fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[track_caller]
    fn said(self, expected: &[&str]) {
        assert_eq!((self.exit.clone().unwrap(), self.texts()), (Exit::Code(0), expected.to_vec()));
    }
}

/// A script for busybox's shell, in a new workspace.
fn shell(script: &str) -> (Command, TempDir) {
    let workspace = tempfile::tempdir().unwrap();
    let command = Command {
        build: "b1".to_owned(),
        step: Step::Compile,
        argv: ["/bin/busybox", "sh", "-c", script].map(str::to_owned).to_vec(),
        workdir: "/workspace".into(),
        env: BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]),
        network: Network::None,
        image: IMAGE.to_owned(),
        workspace: workspace.path().to_owned(),
        caches: Vec::new(),
        files: Vec::new(),
        limits: Limits {
            timeout: Duration::from_mins(1),
            memory: 64 << 20,
            processes: 64,
            output: 1 << 20,
            ..Limits::default()
        },
    };
    (command, workspace)
}

async fn run(runner: &Runner, command: &Command) -> Ran {
    run_until(runner, command, "\0").await
}

/// Runs a command, and cancels it once it has printed this line.
async fn run_until(runner: &Runner, command: &Command, cancel_at: &'static str) -> Ran {
    let (lines, cancel) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
    let (sink, canceller) = (Arc::clone(&lines), cancel.clone());
    let mut output = Output::new(Arc::new(Redactor::default()), move |line: Line| {
        if line.text == cancel_at {
            canceller.cancel();
        }
        sink.lock().unwrap().push(line);
    });
    let exit = runner.run_into(command, &mut output, &cancel).await;
    let received = output.received();
    drop(output);
    let lines = std::mem::take(&mut *lines.lock().unwrap());
    Ran { exit, lines, received }
}

async fn docker() -> Docker {
    let docker = Docker::connect_with_defaults().expect("a Docker Engine: `make services` starts one");
    docker.negotiate_version().await.expect("a Docker Engine: `make services` starts one")
}

/// A runner with containers; the image is made by the first test that needs it.
async fn container() -> (Runner, TempDir) {
    static IMPORTED: OnceCell<()> = OnceCell::const_new();
    let docker = docker().await;
    IMPORTED.get_or_init(|| import(&docker)).await;
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(docker, Settings::new(scratch.path())).unwrap();
    (Runner::Container(Box::new(sandbox)), scratch)
}

async fn import(docker: &Docker) {
    if docker.inspect_image(IMAGE).await.is_ok() {
        return;
    }
    let busybox = std::fs::read("/bin/busybox").expect("`/bin/busybox`: install the package `busybox-static`");
    let listed = slipway::process::Program::new("/bin/busybox", ["--list"]);
    let listed = slipway::process::capture(&listed, &CancellationToken::new()).await.unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(busybox.len() as u64);
    tar.append_data(&mut header, "bin/busybox", &*busybox).unwrap();
    for applet in String::from_utf8(listed.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    let (repository, tag) = IMAGE.split_once(':').unwrap();
    let options = CreateImageOptionsBuilder::default().from_src("-").repo(repository).tag(tag).build();
    let body = bollard::body_full(tar.into_inner().unwrap().into());
    docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await.unwrap();
}

/// Whether a process with this word among its arguments lives on this machine (containers' are among them).
fn lives(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok())).any(|entry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(word)
    })
}

/// A script that prints `up` from a grandchild, in a session of its own, which ignores what it can.
fn stubborn(word: &str) -> String {
    format!("setsid sh -c 'trap \"\" TERM HUP INT; echo up; while :; do sleep 1; done' {word} & wait")
}

fn word() -> String {
    format!("word-{}", uuid::Uuid::now_v7())
}

/// Memory of this process, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A file that only its owner may read.
fn private_file(directory: &Path, text: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join("private");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}
