//! The worker, its configuration, and the repository that it builds.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// Everything that a measurement needs.
pub(super) struct Bench {
    /// What the names of exchanges and queues begin with.
    pub(super) prefix: String,
    directory: tempfile::TempDir,
    repository: PathBuf,
    commit: String,
    url: String,
}

/// A worker that runs; killed when it is dropped.
pub(super) struct Worker {
    process: Child,
    log: PathBuf,
}

/// The program: `SLIPWAY`, or what this was built with.
fn program() -> PathBuf {
    std::env::var_os("SLIPWAY").map_or_else(|| env!("CARGO_BIN_EXE_slipway").into(), PathBuf::from)
}

/// A value that `make services` told.
pub(super) fn service(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("`{name}` is not set: start the services, and use `make bench`"))
}

impl Bench {
    /// Makes a repository, a toolchain that does nothing, and the queues.
    pub(super) fn new() -> Self {
        let name = format!("slipway-bench-{}", std::process::id());
        let directory = tempfile::tempdir().unwrap();
        let repository = Path::new(&service("SLIPWAY_TEST_GIT_REPOSITORIES")).join(format!("open/{name}.git"));
        let commit = publish(directory.path(), &repository);
        let url = format!("{}/{name}.git", service("SLIPWAY_TEST_GIT"));
        let bench = Self { prefix: name, directory, repository, commit, url };
        bench.configure();
        let declared = bench.slipway(&["queues", "declare"]).status().unwrap();
        assert!(declared.success(), "the queues cannot be declared");
        bench
    }

    /// Starts a worker.
    pub(super) fn worker(&self) -> Worker {
        let log = self.directory.path().join("worker.log");
        let file = std::fs::File::create(&log).unwrap();
        let process = self.slipway(&["worker"]).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Worker { process, log }
    }

    /// The program that is measured, as it names itself, with its size.
    pub(super) fn program(&self) -> String {
        let version = self.slipway(&["--version"]).output().unwrap();
        let size = std::fs::metadata(program()).unwrap().len();
        format!("{}, {} bytes", String::from_utf8_lossy(&version.stdout).trim(), size)
    }

    /// A request that builds no image.
    pub(super) fn request(&self, id: &str) -> Value {
        json!({
            "version": 1,
            "id": id,
            "source": { "url": self.url, "revision": "main", "commit": self.commit },
            "application": { "product_line": "bench", "name": "nothing", "kind": "library" },
        })
    }

    fn slipway(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--config").arg(self.directory.path().join("config.toml")).args(arguments);
        command
    }

    fn configure(&self) {
        let at = |name: &str| self.directory.path().join(name).display().to_string();
        let amqp = url::Url::parse(&service("SLIPWAY_TEST_AMQP")).unwrap();
        let host = format!("{}:{}", amqp.host_str().unwrap(), amqp.port().unwrap_or(5672));
        std::fs::write(at("password"), amqp.password().unwrap()).unwrap();
        let text = format!(
            "[credentials.broker]\nusername = {user:?}\npassword = {{ file = {password:?} }}\nhosts = [{host:?}]\n\
             [sources]\nallow = [{allow:?}]\n\
             [amqp]\nurl = \"amqp://{host}\"\ncredentials = \"broker\"\nprefix = {prefix:?}\n\
             [worker]\ndirectory = {state:?}\nlanes = {{ interactive = 15, bulk = 1 }}\n\
             [limits]\nfree_disk = \"64MiB\"\n\
             [cache]\ndirectory = {cache:?}\n[build]\nrunner = \"host\"\ncatalog = {catalog:?}\n\
             [probes]\nlisten = \"\"\n",
            user = amqp.username(),
            password = at("password"),
            allow = service("SLIPWAY_TEST_GIT"),
            prefix = self.prefix,
            state = at("state"),
            cache = at("cache"),
            catalog = at("catalog"),
        );
        std::fs::write(at("config.toml"), text).unwrap();
        let toolchain = self.directory.path().join("catalog/toolchains/nothing");
        std::fs::create_dir_all(&toolchain).unwrap();
        let definition = "name = \"nothing\"\ntitle = \"Nothing\"\n[detect]\nfiles = [\"nothing\"]\n[image]\nworkdir = \"/app\"\nlayers = []\ncommand = [\"/bin/true\"]\n";
        std::fs::write(toolchain.join("toolchain.toml"), definition).unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.repository);
    }
}

impl Worker {
    /// Waits until the worker takes builds.
    pub(super) async fn ready(&self) {
        while !std::fs::read_to_string(&self.log).unwrap().contains("takes builds") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Resident memory, in MiB (`proc(5)`: `VmRSS`).
    pub(super) fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn publish(directory: &Path, repository: &Path) -> String {
    let work = directory.join("repository");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("nothing"), "").unwrap();
    let target = repository.display().to_string();
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
            .args(arguments)
            .current_dir(&work)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "one"]);
    git(&["clone", "--quiet", "--bare", ".", &target]);
    git(&["rev-parse", "HEAD"])
}
