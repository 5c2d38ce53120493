//! A real `slipway worker`, with its configuration and its directories.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cluster::{GIT_PROXY, REGISTRY_PROXY, RELAY};
use super::namespace::{Namespace, Program};
use super::{broker, engine, registry};
use crate::support::probe;

/// The host and port that images are named with.
pub(super) const REGISTRY_HOST: &str = "127.0.0.1:5001";

/// The product line of all builds.
pub(super) const PRODUCT_LINE: &str = "faults";

/// How long a build may be silent.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// How long a build may take.
pub(super) const TIMEOUT: Duration = Duration::from_mins(1);

/// How long a worker that shall end may go on with its builds.
pub(super) const GRACE: Duration = Duration::from_secs(20);

/// A worker: where it keeps things, and its process while it runs.
pub(super) struct Worker {
    place: Place,
    program: Option<Program>,
    configuration: PathBuf,
    cache: PathBuf,
    docker_host: String,
}

/// What tells workers on one machine apart.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Its name, and what its files and directories are called.
    pub(super) name: &'static str,
    /// Where it finds the broker.
    pub(super) broker: u16,
    /// Where its probes answer.
    pub(super) probes: &'static str,
}

/// The worker of every case: faults of the way to the broker are its own.
pub(super) const FIRST: Place = Place { name: "worker", broker: RELAY, probes: "127.0.0.1:9464" };

/// Another on the same machine, for the cases that start it.
pub(super) const SECOND: Place = Place { name: "neighbour", broker: broker::PORT, probes: "127.0.0.1:9465" };

impl Worker {
    /// Writes the configuration and the catalogue with the toolchain of `build.sh`.
    pub(super) fn new(namespace: &Namespace, place: Place, docker_host: String) -> Self {
        let directory = namespace.directory();
        let cache = namespace.small_disk(&format!("cache-{}", place.name), "400m");
        let toolchain = directory.join("catalog/toolchains/script");
        std::fs::create_dir_all(&toolchain).unwrap();
        std::fs::write(toolchain.join("toolchain.toml"), toolchain_definition()).unwrap();
        std::fs::write(directory.join("password"), registry::PASSWORD).unwrap();
        let configuration = directory.join(format!("{}.toml", place.name));
        std::fs::write(&configuration, configuration_text(directory, place, &cache)).unwrap();
        Self { place, program: None, configuration, cache, docker_host }
    }

    /// The cache: a small disk.
    pub(super) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Starts the process; it is not ready at once.
    pub(super) fn start(&mut self, namespace: &Namespace) {
        let configuration = self.configuration.display().to_string();
        let line = [env!("CARGO_BIN_EXE_slipway"), "--config", &configuration, "worker"];
        let environment = [("DOCKER_HOST", self.docker_host.as_str()), ("NO_COLOR", "1"), ("RUST_BACKTRACE", "1")];
        self.program = Some(namespace.start(self.place.name, &line, &environment));
    }

    /// Runs another verb of the program with the worker's configuration.
    pub(super) fn slipway(&self, namespace: &Namespace, arguments: &[&str]) -> Result<String, String> {
        let configuration = self.configuration.display().to_string();
        let line = [&[env!("CARGO_BIN_EXE_slipway"), "--config", &configuration], arguments].concat();
        namespace.attempt(&line, &[("DOCKER_HOST", self.docker_host.as_str()), ("NO_COLOR", "1")])
    }

    /// The process.
    pub(super) fn program(&mut self) -> &mut Program {
        self.program.as_mut().expect("the worker was started")
    }

    /// Takes the process out, to wait for its end or to kill it.
    pub(super) fn take(&mut self) -> Program {
        self.program.take().expect("the worker was started")
    }

    /// Whether there is a process that runs.
    pub(super) fn is_running(&mut self) -> bool {
        self.program.as_mut().is_some_and(Program::is_running)
    }

    /// Waits until it takes builds.
    pub(super) async fn ready(&mut self, patience: Duration) -> Result<(), String> {
        let ask = async || match probe::get(self.place.probes, "/readyz").await {
            Ok((200, _)) => Ok(()),
            Ok((status, body)) => Err(format!("{status} {body}")),
            Err(error) => Err(error.to_string()),
        };
        let ready = probe::until(patience, ask, async || true).await;
        ready.map_err(|error| format!("the worker is not ready: {error}"))
    }
}

fn configuration_text(directory: &Path, place: Place, cache: &Path) -> String {
    let below = |name: &str| directory.join(name).display().to_string();
    let (password, catalog, state, cache) =
        (below("password"), below("catalog"), below(&format!("state-{}", place.name)), cache.display().to_string());
    let Place { name, broker: port, probes } = place;
    let (account, silence, timeout, grace) = (registry::USER, SILENCE.as_secs(), TIMEOUT.as_secs(), GRACE.as_secs());
    format!(
        "[registry]\nhost = {REGISTRY_HOST:?}\ncredentials = \"registry\"\n\
         [credentials.registry]\nusername = {account:?}\npassword = {{ file = {password:?} }}\n\
         hosts = [{REGISTRY_HOST:?}]\n\
         [credentials.broker]\nusername = {user:?}\npassword = {{ file = {password:?} }}\n\
         hosts = [\"127.0.0.1:{port}\"]\n\
         [sources]\nallow = [\"http://127.0.0.1:{GIT_PROXY}/\"]\n\
         [amqp]\nurl = \"amqp://127.0.0.1:{port}\"\ncredentials = \"broker\"\nretry_delays = [\"1s\", \"2s\", \"4s\", \"8s\"]\n\
         [worker]\nname = {name:?}\ndirectory = {state:?}\ngrace = \"{grace}s\"\n\
         lanes = {{ interactive = 2, bulk = 1 }}\n\
         [limits]\ntimeout = \"{timeout}s\"\nsilence = \"{silence}s\"\nmemory = \"128MiB\"\ncpus = 1.0\n\
         processes = 64\nlog = \"1MiB\"\ndisk = \"64MiB\"\nfree_disk = \"64MiB\"\noutput = \"64MiB\"\n\
         [cache]\ndirectory = {cache:?}\n\
         [build]\nrunner = \"container\"\ncatalog = {catalog:?}\n\
         [build.start_check]\ntime = \"1s\"\n\
         [probes]\nlisten = {probes:?}\n",
        user = broker::USER,
    )
}

/// A toolchain that does what the repository's `build.sh` says.
fn toolchain_definition() -> String {
    let image = engine::IMAGE;
    format!(
        "name = \"script\"\ntitle = \"A script\"\ndefault = \"1\"\n[detect]\nfiles = [\"build.sh\"]\n\
         [[releases]]\nversion = \"1\"\nbuild = {image:?}\nrun = {image:?}\n\
         [outputs]\napp = \"/output\"\n\
         [[steps]]\nstep = \"compile\"\ncommand = [\"sh\", \"build.sh\"]\n\
         [image]\nworkdir = \"/app\"\ncommand = [\"/bin/sh\"]\n\
         layers = [{{ name = \"application\", from = {{ output = \"app\" }}, to = \"/app\" }}]\n"
    )
}

/// The URL of a repository, as workers are told.
pub(super) fn source(repository: &str) -> String {
    format!("http://127.0.0.1:{GIT_PROXY}/{repository}.git")
}

// The same proxy for builds and for the Engine.
const _: () = assert!(REGISTRY_PROXY == 5001);
