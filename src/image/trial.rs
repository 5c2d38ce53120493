//! A built image is started once, alone and without a network, to see whether it starts at all.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::AttachContainerResults;
use bollard::exec::{CreateExecOptions, StartExecOptions};
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, InspectContainerOptions, StartContainerOptions,
    StatsOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::docker::DockerBackend;
use super::engine::failure_of;
use crate::leftovers::containers;
use crate::model::failure::{Failure, FailureCode};
use crate::work::unless_cancelled;

/// How often the container is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// Processor time between two looks, in nanoseconds, from which on it counts as busy. A server that forks listens long
/// before its workers have loaded the application, and ends when they fail.
const BUSY: u64 = 20_000_000;

/// Lines of output that are kept, and bytes of one. A usage text says what it is in its first line, and may be long.
const LINES: usize = 400;
const LINE_BYTES: usize = 1024;

/// What is tried.
#[derive(Debug, Clone)]
pub struct TrialSpec {
    /// The build that it is for.
    pub build: String,
    /// The image.
    pub image: String,
    /// TCP ports that it is said to listen on.
    pub ports: Vec<u16>,
    /// The command that says whether it is healthy.
    pub health: Option<Vec<String>>,
    /// How long it is watched at most.
    pub patience: Duration,
    /// The most memory that it may use.
    pub memory: u64,
    /// The most processes and threads that it may have.
    pub processes: i64,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// The exit code, where it ended by itself.
    pub exit_code: Option<i64>,
    /// Whether it was killed because it used too much memory.
    pub out_of_memory: bool,
    /// Ports that it listened on; empty where that cannot be seen from here.
    pub listening: BTreeSet<u16>,
    /// Those of them that only the container itself reaches.
    pub loopback: BTreeSet<u16>,
    /// Its last lines.
    pub output: Vec<String>,
}

impl DockerBackend {
    /// Starts a container of the image, watches it until it answers, ends or the time is over, and removes it.
    ///
    /// # Errors
    /// `engine_unavailable`; `application_does_not_start` where the Engine cannot start its command; `cancelled`.
    pub async fn try_start(&self, spec: &TrialSpec, cancel: &CancellationToken) -> Result<Trial, Failure> {
        let docker = self.engine().docker().await?;
        let body = ContainerCreateBody {
            image: Some(spec.image.clone()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            labels: Some(containers::labels(&spec.build, spec.patience)),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges".to_owned()]),
                memory: i64::try_from(spec.memory).ok(),
                pids_limit: Some(spec.processes),
                log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let created = match docker.create_container(None::<CreateContainerOptions>, body).await {
            Ok(created) => created.id,
            Err(error) => {
                return Err(failure_of(docker, &error, FailureCode::ImageFailed, "The container cannot be made").await);
            }
        };
        let outcome = unless_cancelled(cancel, async { Ok(watch(docker, &created, spec).await) }).await;
        containers::remove(docker, &created).await;
        match outcome? {
            Ok(trial) => Ok(trial),
            Err(error) => {
                let what = "The application does not start";
                Err(failure_of(docker, &error, FailureCode::ApplicationDoesNotStart, what).await)
            }
        }
    }
}

async fn watch(docker: &Docker, id: &str, spec: &TrialSpec) -> Result<Trial, bollard::errors::Error> {
    let attach = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
    let AttachContainerResults { mut output, .. } = docker.attach_container(id, Some(attach)).await?;
    docker.start_container(id, None::<StartContainerOptions>).await?;
    let end = Instant::now() + spec.patience;
    let mut seen = Seen::default();
    let mut look = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            frame = output.next() => match frame {
                Some(Ok(frame)) => seen.take(&frame.into_bytes()),
                Some(Err(error)) => return Err(error),
                None => break,
            },
            _ = look.tick() => {
                let answers = look_at(docker, id, spec, &mut seen.trial).await?;
                if answers && is_idle(docker, id, &mut seen.used).await || Instant::now() >= end {
                    break;
                }
            }
        }
    }
    let state = docker.inspect_container(id, None::<InspectContainerOptions>).await?.state.unwrap_or_default();
    if state.running != Some(true) {
        seen.trial.exit_code = state.exit_code;
        seen.trial.out_of_memory = state.oom_killed == Some(true);
    }
    Ok(seen.ended())
}

/// Whether it used hardly any processor time since the last look.
async fn is_idle(docker: &Docker, id: &str, used: &mut Option<u64>) -> bool {
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let stats = docker.stats(id, Some(options)).next().await.and_then(Result::ok);
    let usage = stats.and_then(|stats| stats.cpu_stats).and_then(|cpu| cpu.cpu_usage);
    // An Engine that does not say lets the time run out.
    let Some(now) = usage.and_then(|usage| usage.total_usage) else { return false };
    // One that ended meanwhile has used nothing at all; its last words are still on their way.
    used.replace(now).is_some_and(|before| now >= before && now - before < BUSY)
}

/// Whether it answers, as far as can be seen from here.
async fn look_at(
    docker: &Docker,
    id: &str,
    spec: &TrialSpec,
    trial: &mut Trial,
) -> Result<bool, bollard::errors::Error> {
    let state = docker.inspect_container(id, None::<InspectContainerOptions>).await?.state.unwrap_or_default();
    if state.running != Some(true) {
        // Its last words are still on their way: the stream ends after them.
        return Ok(false);
    }
    if let Some((all, loopback)) = state.pid.and_then(|pid| sockets(pid, id)) {
        (trial.listening, trial.loopback) = (all, loopback);
    }
    if let Some(command) = &spec.health {
        // A container that ended meanwhile runs no probe; the next look sees that it ended.
        return Ok(healthy(docker, id, command).await.unwrap_or(false));
    }
    Ok(spec.ports.iter().any(|port| trial.listening.contains(port)))
}

/// Runs the image's own probe in the container.
async fn healthy(docker: &Docker, id: &str, command: &[String]) -> Result<bool, bollard::errors::Error> {
    let options = CreateExecOptions { cmd: Some(command.to_vec()), ..CreateExecOptions::default() };
    let exec = docker.create_exec(id, options).await?.id;
    docker.start_exec(&exec, Some(StartExecOptions { detach: true, ..StartExecOptions::default() })).await?;
    loop {
        let inspected = docker.inspect_exec(&exec).await?;
        if inspected.running != Some(true) {
            return Ok(inspected.exit_code == Some(0));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Ports in the state LISTEN of a container's own network (proc(5), `/proc/[pid]/net/tcp`), where its first process is one
/// of this machine; and those of them on the loopback interface alone.
fn sockets(pid: i64, id: &str) -> Option<(BTreeSet<u16>, BTreeSet<u16>)> {
    let process = Path::new("/proc").join(pid.to_string());
    // The Engine may run elsewhere, where the number means another process.
    std::fs::read_to_string(process.join("cgroup")).ok().filter(|groups| groups.contains(id))?;
    let (mut everywhere, mut local) = (BTreeSet::new(), BTreeSet::new());
    for file in ["net/tcp", "net/tcp6"] {
        let text = std::fs::read_to_string(process.join(file)).unwrap_or_default();
        for (port, loopback) in text.lines().filter_map(listener) {
            if loopback { &mut local } else { &mut everywhere }.insert(port);
        }
    }
    local.retain(|port| !everywhere.contains(port));
    everywhere.extend(&local);
    Some((everywhere, local))
}

/// The port of a line in the state LISTEN (0A), and whether its address is a loopback one.
fn listener(line: &str) -> Option<(u16, bool)> {
    let mut words = line.split_whitespace().skip(1);
    let (local, _, state) = (words.next()?, words.next()?, words.next()?);
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok().filter(|_| state == "0A")?;
    // Addresses stand in the machine's byte order: 127.0.0.1 ends, ::1 ends.
    let loopback = match address.len() {
        8 => address.ends_with("7F") || address.starts_with("7F"),
        _ => address == "00000000000000000000000001000000" || address == "00000000000000000000000000000001",
    };
    Some((port, loopback))
}

/// Output so far: whole lines, the last ones.
#[derive(Default)]
struct Seen {
    trial: Trial,
    /// Processor time at the last look, in nanoseconds.
    used: Option<u64>,
    lines: VecDeque<String>,
    line: Vec<u8>,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LINE_BYTES {
                self.line.push(*byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end().to_owned();
        if !line.is_empty() {
            self.lines.push_back(line);
        }
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    fn ended(mut self) -> Trial {
        self.end_line();
        Trial { output: self.lines.into(), ..self.trial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        let line =
            |local: &str, state: &str| listener(&format!("   0: {local} 00000000:0000 {state} 00000000:00000000 00:0"));
        assert_eq!(line("00000000:1F90", "0A"), Some((8080, false)));
        assert_eq!(line("0100007F:1F90", "0A"), Some((8080, true)));
        assert_eq!(line("00000000000000000000000001000000:0050", "0A"), Some((80, true)));
        assert_eq!(line("00000000000000000000000000000000:0050", "0A"), Some((80, false)));
        assert_eq!(line("00000000:1F90", "01"), None);
        assert_eq!(listener("  sl  local_address rem_address   st tx_queue"), None);
    }

    #[test]
    fn the_last_lines_are_kept_and_long_ones_cut() {
        let mut seen = Seen::default();
        for number in 0..1000 {
            seen.take(format!("line {number}\n\n").as_bytes());
        }
        seen.take(&vec![b'x'; 5000]);
        let output = seen.ended().output;
        assert_eq!((output.len(), output[0].as_str(), output[399].len()), (400, "line 601", 1024));
    }
}
