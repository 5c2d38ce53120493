//! A Harbor for tests: what Harbor adds to a registry, in front of Debian's docker-registry, which keeps the blobs.
//!
//! Everything is answered from its state; the recorded answers that it is measured against are in
//! `tests/fixtures/harbor/`, and what it does not imitate is listed in `recorded.rs`.

mod answer;
mod api;
mod artifacts;
mod labels;
mod manifests;
mod projects;
mod quota;
mod robots;
mod scans;
mod server;
pub(crate) mod state;
mod token;
mod uploads;
mod v2;
mod who;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use slipway::image::RegistryAccess;
use slipway::image::credentials::Credentials;
use slipway::model::image_reference::ImageReference;

pub(crate) use robots::{PROJECT_RIGHTS, SYSTEM_RIGHTS};
use state::{Project, Robot, State};

/// The administrator's password.
pub(crate) const ADMIN: (&str, &str) = ("admin", "Harbor12345");

/// A running Harbor; it ends with the value.
pub(crate) struct Harbor {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
    registry: Child,
    behind: String,
    _directory: tempfile::TempDir,
}

/// What every request is answered with.
#[derive(Clone)]
struct Shared {
    state: Arc<Mutex<State>>,
    http: reqwest::Client,
    registry: String,
}

impl Harbor {
    /// With the public project `library` and nobody but the administrator.
    pub(crate) fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let (registry, port) = registry(&directory);
        let state = Arc::new(Mutex::new(State::new()));
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let behind = format!("127.0.0.1:{port}");
        let shared = Shared { state: state.clone(), http, registry: format!("http://{behind}") };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, server::router(shared)).await
        });
        Self { state, address, runtime: Some(runtime), registry, behind, _directory: directory }
    }

    /// What it knows and remembers.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// `host:port`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// `host:port` of the registry behind it, which asks nobody for a login.
    pub(crate) fn behind(&self) -> &str {
        &self.behind
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `host:port/name`.
    pub(crate) fn reference(&self, name: &str) -> ImageReference {
        format!("{}/{name}", self.address).parse().unwrap()
    }

    /// Makes a private project.
    pub(crate) fn project(&self, name: &str) {
        self.state().create(name, Project::default());
    }

    /// Makes a project robot with these rights, such as `repository:push`; gives its name and secret.
    pub(crate) fn robot(&self, project: &str, name: &str, rights: &[&str]) -> (String, String) {
        let mut state = self.state();
        let robot = Robot::of_project(project, name, rights);
        let secret = robot.secret.clone();
        (state.enrol(robot), secret)
    }

    /// Makes a system robot with these rights in every project, and on the whole.
    pub(crate) fn system_robot(&self, name: &str, everywhere: &[&str], system: &[&str]) -> (String, String) {
        let mut state = self.state();
        let robot = Robot::of_system(name, everywhere, system);
        let secret = robot.secret.clone();
        (state.enrol(robot), secret)
    }

    /// The requests that it had since this was asked last, as `METHOD /path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests).into_iter().map(|(line, _)| line).collect()
    }

    /// Stops the registry behind it.
    pub(crate) fn lose_registry(&mut self) {
        let _ = self.registry.kill();
        let _ = self.registry.wait();
    }
}

/// The access of an account.
pub(crate) fn access((username, password): &(String, String)) -> RegistryAccess {
    RegistryAccess { credentials: Some(Credentials::password(username, password)), ..RegistryAccess::default() }
}

impl Drop for Harbor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.lose_registry();
    }
}

/// Debian's docker-registry without a login, on a port of its own.
fn registry(directory: &tempfile::TempDir) -> (Child, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = directory.path().display();
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {at}/data}}, delete: {{enabled: true}}}}\n\
         http: {{addr: \"127.0.0.1:{port}\", secret: test}}\n\
         validation: {{manifests: {{urls: {{allow: [\"^https?://\"]}}}}}}\n"
    );
    fs::write(directory.path().join("config.yml"), config).unwrap();
    let process = Command::new("docker-registry")
        .arg("serve")
        .arg(directory.path().join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry is not there: `make services`");
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "the registry does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (process, port)
}
