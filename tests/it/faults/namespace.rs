//! Namespaces of network, processes and mounts, in which everything of the harness lives. The kernel ends all of it when
//! this program ends, however that happens: nothing is left on the machine, and nothing of the machine is touched.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long a thing may take that takes an instant.
pub(super) const INSTANT: Duration = Duration::from_secs(20);

/// The namespaces, and a directory that both sides see.
pub(super) struct Namespace {
    /// The first process inside; its end is the end of all.
    init: Child,
    pid: u32,
    directory: PathBuf,
    _lock: File,
}

/// A program inside.
pub(super) struct Program {
    name: String,
    entrance: Child,
    pid: Pid,
}

impl Namespace {
    /// New namespaces, with an empty directory. One at a time below one `target`.
    pub(super) fn new() -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults");
        let lock = File::create(directory.with_extension("lock")).unwrap();
        lock.try_lock().expect("one run of the fault harness at a time");
        // Mounts of the run before went with its namespaces.
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let mut init = Command::new("unshare")
            .args(["--net", "--pid", "--mount", "--fork", "--mount-proc", "--propagation", "private"])
            // The shell waits for `cat`, and so collects whoever lost its parent.
            .args(["--kill-child", "sh", "-c", "ip link set lo up && echo up && cat; :"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(init.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "up\n", "no namespaces: the fault harness needs root, as `make services` does");
        let pid = child_of(init.id());
        Self { init, pid: pid.as_raw_nonzero().get().unsigned_abs(), directory, _lock: lock }
    }

    /// Where files lie that both sides see.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Moves this thread, and all threads that it starts, into the network.
    pub(super) fn enter_network(&self) {
        let network = File::open(format!("/proc/{}/ns/net", self.pid)).unwrap();
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Starts a program; what it prints goes to `NAME.log`.
    pub(super) fn start(&self, name: &str, line: &[&str], env: &[(&str, &str)]) -> Program {
        let log = File::options().create(true).append(true).open(self.log(name)).unwrap();
        let entrance =
            self.command(line, env).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let pid = child_of(entrance.id());
        Program { name: name.to_owned(), entrance, pid }
    }

    /// Runs a program to its end and gives what it printed.
    pub(super) fn run(&self, line: &[&str], env: &[(&str, &str)]) -> String {
        self.attempt(line, env).unwrap_or_else(|said| panic!("{line:?}: {said}"))
    }

    /// As [`Namespace::run`], for what may fail.
    pub(super) fn attempt(&self, line: &[&str], env: &[(&str, &str)]) -> Result<String, String> {
        let output = self.command(line, env).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The file with what a program printed.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }

    /// A small file system of its own, which may fill up without harm.
    pub(super) fn small_disk(&self, name: &str, size: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=755");
        self.run(&["mount", "-t", "tmpfs", "-o", &options, "faults", path.to_str().unwrap()], &[]);
        path
    }

    fn command(&self, line: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new("nsenter");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["--target", &self.pid.to_string(), "--net", "--mount", "--pid", "--", "setsid", "--wait"])
            .args(line)
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .envs(env.iter().copied());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.init.stdin.take());
        let _ = self.init.wait();
    }
}

impl Program {
    /// Whether it runs.
    pub(super) fn is_running(&mut self) -> bool {
        self.entrance.try_wait().unwrap().is_none()
    }

    /// Sends a signal to the program alone.
    pub(super) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid, signal).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Kills it and all that it started in its session's first group; comes back when it is gone.
    pub(super) fn kill(mut self) {
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        self.entrance.wait().unwrap();
    }

    /// Asks it to end and gives its exit code; kills it when it takes longer than it may.
    pub(super) fn terminate(self, patience: Duration) -> Option<i32> {
        self.signal(Signal::TERM);
        self.ended(patience)
    }

    /// Waits for its end.
    pub(super) fn ended(mut self, patience: Duration) -> Option<i32> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.entrance.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let name = self.name.clone();
        self.kill();
        panic!("`{name}` did not end within {patience:?}");
    }

    /// Stops it as if its machine stood still.
    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on. Its entrance stopped with it.
    pub(super) fn thaw(&self) {
        self.signal(Signal::CONT);
        let entrance = Pid::from_child(&self.entrance);
        let _ = rustix::process::kill_process(entrance, Signal::CONT);
    }
}

/// The only child of a process, as soon as it has one.
fn child_of(parent: u32) -> Pid {
    let deadline = Instant::now() + INSTANT;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        if let Some(pid) = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw) {
            return pid;
        }
        assert!(Instant::now() < deadline, "the process {parent} has no child");
        std::thread::sleep(Duration::from_millis(5));
    }
}
