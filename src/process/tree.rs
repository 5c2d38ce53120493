//! Finding and killing everything that a command started.
//!
//! Three nets, since each alone has a hole: the process group (a `setsid` child leaves it), the environment marker
//! [`MARKER`] that children inherit (a child may clear it), and the parent chain, closed by making this process the
//! subreaper of orphans (`prctl(2)`, `PR_SET_CHILD_SUBREAPER`). The last two need Linux's `/proc`. What slips through
//! all three is an orphan that leaves its session, clears its environment and leaves the workspace: only a container
//! holds one that wants to escape.

#[cfg(target_os = "linux")]
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// The variable every process of a command carries.
pub(super) const MARKER: &str = "SLIPWAY_BUILD";

/// The groups and trees that are not dead yet, for whoever ends the program without waiting for their owners.
static ALIVE: Mutex<Alive> = Mutex::new(Alive { groups: Vec::new(), trees: Vec::new() });

struct Alive {
    groups: Vec<i32>,
    trees: Vec<Weak<Tree>>,
}

fn alive<T>(look: impl FnOnce(&mut Alive) -> T) -> T {
    look(&mut ALIVE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Held while a program is started and noted in [`ALIVE`].
static STARTS: RwLock<()> = RwLock::new(());

/// Leave to start a program, until what is given back is dropped; nobody gets it any more once all are killed.
pub(super) fn starting() -> RwLockReadGuard<'static, ()> {
    STARTS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Kills everything that this program's commands started, and lets nothing start any more: the program ends now.
/// Blocks, for some milliseconds as a rule.
pub(super) fn kill_all() {
    std::mem::forget(STARTS.write().unwrap_or_else(PoisonError::into_inner));
    let trees: Vec<Arc<Tree>> = alive(|alive| alive.trees.iter().filter_map(Weak::upgrade).collect());
    for tree in trees {
        tree.kill();
    }
    for leader in alive(|alive| std::mem::take(&mut alive.groups)) {
        kill_group(leader);
    }
}

fn kill_group(leader: i32) {
    if let Some(leader) = Pid::from_raw(leader) {
        // A group that is already gone is what was wanted.
        let _ = rustix::process::kill_process_group(leader, Signal::KILL);
    }
}

/// The process group that a child leads; killed once, on drop at the latest: a dropped future must leave nothing.
pub(super) struct Group(AtomicI32);

impl Group {
    /// The group of a child started with `process_group(0)`.
    pub(super) fn of(child: &tokio::process::Child) -> Self {
        let leader = child.id().map_or(0, u32::cast_signed);
        alive(|alive| alive.groups.push(leader));
        Self(AtomicI32::new(leader))
    }

    /// Kills all members, the first time only: the number may belong to somebody else later.
    pub(super) fn kill(&self) {
        let leader = self.0.swap(0, Ordering::Relaxed);
        alive(|alive| alive.groups.retain(|known| *known != leader));
        kill_group(leader);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Everything one command started.
pub(super) struct Tree {
    group: Group,
    leader: i32,
    marker: String,
    workspace: std::path::PathBuf,
}

/// How long killing may take before what still comes up is left to the system.
const PATIENCE: Duration = Duration::from_secs(5);

impl Tree {
    /// The processes of a child that leads a session or a process group, was started with `MARKER=marker` and works in
    /// `workspace`.
    pub(super) fn of(child: &tokio::process::Child, marker: String, workspace: &Path) -> Arc<Self> {
        let workspace = workspace.canonicalize().unwrap_or_else(|_| workspace.to_owned());
        let leader = child.id().map_or(0, u32::cast_signed);
        let tree = Arc::new(Self { group: Group::of(child), leader, marker, workspace });
        alive(|alive| {
            alive.trees.retain(|known| known.strong_count() > 0);
            alive.trees.push(Arc::downgrade(&tree));
        });
        tree
    }

    /// Kills all processes and collects the orphans. Blocks, for some milliseconds as a rule.
    ///
    /// Repeated until none is found, since what is not dead yet may start another.
    pub(super) fn kill(&self) {
        self.group.kill();
        let start = Instant::now();
        while self.kill_once() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether any was still alive.
    #[cfg(target_os = "linux")]
    fn kill_once(&self) -> bool {
        let mut alive = false;
        for process in self.processes() {
            let Some(pid) = Pid::from_raw(process.pid) else { continue };
            if process.zombie {
                // The leader's status is the runner's to read; orphans have nobody else.
                if process.parent == own_pid() && process.pid != self.leader {
                    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
                }
                continue;
            }
            // One that may not be killed (another user's) must not make this loop wait for it.
            alive |= rustix::process::kill_process(pid, Signal::KILL).is_ok();
        }
        alive
    }

    #[cfg(not(target_os = "linux"))]
    fn kill_once(&self) -> bool {
        false
    }

    #[cfg(target_os = "linux")]
    fn processes(&self) -> Vec<proc::Process> {
        let all = proc::all();
        let session = all.iter().find(|process| process.pid == own_pid()).map(|own| own.session);
        let mut found: BTreeSet<i32> =
            all.iter().filter(|process| self.owns(process, session)).map(|process| process.pid).collect();
        // Children of what was found belong to it, until nothing is new.
        loop {
            let children = all.iter().filter(|process| found.contains(&process.parent)).map(|process| process.pid);
            let children: Vec<i32> = children.filter(|pid| !found.contains(pid)).collect();
            if children.is_empty() {
                break;
            }
            found.extend(children);
        }
        found.remove(&own_pid());
        all.into_iter().filter(|process| found.contains(&process.pid)).collect()
    }

    #[cfg(target_os = "linux")]
    fn owns(&self, process: &proc::Process, session: Option<i32>) -> bool {
        if process.pid == self.leader || process.group == self.leader {
            return true;
        }
        if let Some(marker) = proc::marker(process.pid) {
            return marker == self.marker;
        }
        // An orphan that came to us (what we start ourselves stays in our session) and hides its marker still works in
        // its build's directory. Others may be daemons that a credential helper started: not ours to kill.
        let orphan = process.parent == own_pid() && Some(process.session) != session;
        orphan && (process.zombie || proc::directory(process.pid).is_some_and(|at| at.starts_with(&self.workspace)))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Makes orphans of commands come to this process instead of PID 1; elsewhere than on Linux nothing does.
pub(super) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::warn!(%error, "cannot become the subreaper: a build's daemon that clears its environment may survive");
    }
}

#[cfg(target_os = "linux")]
fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// What `/proc` says about processes (`proc(5)`).
#[cfg(target_os = "linux")]
mod proc {
    use std::path::PathBuf;

    pub(super) struct Process {
        pub(super) pid: i32,
        pub(super) parent: i32,
        pub(super) group: i32,
        pub(super) session: i32,
        pub(super) zombie: bool,
    }

    pub(super) fn all() -> Vec<Process> {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        // One that is gone meanwhile needs no killing.
        pids.filter_map(|pid| parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)).collect()
    }

    /// The name in parentheses may hold anything, so fields are counted from the last `)`.
    pub(super) fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
        let text = String::from_utf8_lossy(stat);
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let zombie = matches!(fields.next()?, "Z" | "X");
        let mut number = || fields.next()?.parse().ok();
        Some(Process { pid, parent: number()?, group: number()?, session: number()?, zombie })
    }

    pub(super) fn marker(pid: i32) -> Option<String> {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let prefix = format!("{}=", super::MARKER);
        let value = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    pub(super) fn directory(pid: i32) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_name_with_parentheses_is_no_field() {
        let process = super::proc::parse(7, b"7 (a) Z 9 (b)) S 1 2 3 0 -1").unwrap();
        assert_eq!((process.parent, process.group, process.session, process.zombie), (1, 2, 3, false));
        assert!(super::proc::parse(7, b"7 (x").is_none());
    }
}
