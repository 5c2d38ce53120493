//! The harness's own Docker Engine, with two images made of busybox.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cluster::wait_for;
use super::namespace::{Namespace, Program};

/// What toolchain commands run in, and what applications run on.
pub(super) const IMAGE: &str = "slipway-faults/busybox:1";

/// The daemon.
pub(super) struct Engine {
    program: Option<Program>,
    socket: PathBuf,
    data: PathBuf,
}

impl Engine {
    /// Starts a daemon without images but for the one of busybox.
    pub(super) fn new(namespace: &Namespace) -> Self {
        let socket = namespace.directory().join("docker.sock");
        let data = namespace.small_disk("docker", "600m");
        let mut engine = Self { program: None, socket, data };
        engine.start(namespace);
        engine.import(namespace);
        engine
    }

    /// `DOCKER_HOST`.
    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Where it keeps images and containers: a small disk.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The socket.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Starts the daemon and waits until it answers.
    pub(super) fn start(&mut self, namespace: &Namespace) {
        let below = |name: &str| namespace.directory().join(name).display().to_string();
        // One that was killed leaves its files, and the next refuses to start over them.
        for file in ["docker.pid", "docker-exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(namespace.directory().join(file));
        }
        let (data, exec, pid) = (self.data.display().to_string(), below("docker-exec"), below("docker.pid"));
        let line = ["dockerd", "--data-root", &data, "--exec-root", &exec, "--pidfile", &pid, "--host", &self.host()]
            .map(str::to_owned);
        let line: Vec<&str> = line.iter().map(String::as_str).chain(["--cgroup-parent", "/slipway-faults"]).collect();
        self.program = Some(namespace.start("dockerd", &line, &[]));
        wait_for("dockerd", Duration::from_mins(3), || self.ask(namespace, &["version"]).map(drop));
    }

    /// Starts the daemon if a case left it dead.
    pub(super) fn revive(&mut self, namespace: &Namespace) {
        if !self.program.as_mut().is_some_and(Program::is_running) {
            self.start(namespace);
        }
    }

    /// Ends the daemon in good order; containers end with it.
    pub(super) fn stop(&mut self) {
        self.program.take().unwrap().terminate(Duration::from_mins(1));
    }

    /// `kill -9`; containers live on until the next start.
    pub(super) fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// `docker …`
    pub(super) fn ask(&self, namespace: &Namespace, arguments: &[&str]) -> Result<String, String> {
        let host = self.host();
        let line: Vec<&str> = ["docker", "--host", &host].into_iter().chain(arguments.iter().copied()).collect();
        namespace.attempt(&line, &[])
    }

    /// All containers, images without a name, and networks: but for the one that all builds share.
    pub(super) fn leftovers(&self, namespace: &Namespace) -> Vec<String> {
        let listed = |arguments: &[&str]| self.ask(namespace, arguments).unwrap_or_else(|error| panic!("{error}"));
        let containers = listed(&["ps", "--all", "--format", "container {{.Names}} {{.Status}} {{.Labels}}"]);
        let networks = listed(&["network", "ls", "--filter", "type=custom", "--format", "network {{.Name}}"]);
        let images = listed(&["images", "--filter", "dangling=true", "--format", "image {{.ID}}"]);
        let all = [containers, networks, images];
        let left = all.iter().flat_map(|text| text.lines()).filter(|line| *line != "network slipway-build");
        left.map(str::to_owned).collect()
    }

    fn import(&self, namespace: &Namespace) {
        let root = namespace.directory().join("busybox");
        for directory in ["bin", "tmp", "etc"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        let busybox = namespace.run(&["sh", "-c", "command -v busybox"], &[]);
        std::fs::copy(busybox.trim(), root.join("bin/busybox")).unwrap();
        namespace.run(&["chroot", root.to_str().unwrap(), "/bin/busybox", "--install", "-s", "/bin"], &[]);
        let archive = namespace.directory().join("busybox.tar");
        let (archive, root) = (archive.to_str().unwrap(), root.to_str().unwrap());
        namespace.run(&["tar", "-C", root, "-cf", archive, "."], &[]);
        let environment = "ENV PATH=/bin";
        self.ask(namespace, &["import", "--change", environment, archive, IMAGE]).unwrap();
    }
}
