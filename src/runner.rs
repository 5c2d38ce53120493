//! Running commands, wherever the operator wants them to run, and saying what their ends mean.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::model::command::{CacheMount, Command, Exit};
use crate::model::failure::{Failure, FailureCode, Step};
use crate::output::{Line, Output, Redactor, Tail};
use crate::process::HostRunner;
use crate::sandbox::{Sandbox, Settings};

/// Where commands run.
#[derive(Debug, Clone)]
pub enum Runner {
    /// On this machine, without isolation.
    Host(HostRunner),
    /// Each in a container of its own.
    Container(Box<Sandbox>),
}

impl Runner {
    /// Containers of the Engine that `DOCKER_HOST` names, or of the local one. `scratch` is a directory of Slipway's
    /// own that the Engine sees at the same path; `closed` is what they must not reach, as `host:port` or a range.
    ///
    /// # Errors
    /// `engine_unavailable` when it does not answer, `configuration_invalid` when `scratch` cannot be written.
    pub async fn container(scratch: impl Into<PathBuf>, closed: Vec<String>) -> Result<Self, Failure> {
        let silent = |error: bollard::errors::Error| {
            Failure::new(FailureCode::EngineUnavailable, format!("the Docker Engine does not answer: {error}"))
        };
        let docker = Docker::connect_with_defaults().map_err(silent)?.negotiate_version().await.map_err(silent)?;
        Ok(Self::Container(Box::new(Sandbox::new(docker, Settings { closed, ..Settings::new(scratch) })?)))
    }

    /// The same Engine with another configuration; one that is away just now will be asked when a command runs.
    ///
    /// # Errors
    /// As [`Runner::container`].
    pub async fn container_again(&self, scratch: impl Into<PathBuf>, closed: Vec<String>) -> Result<Self, Failure> {
        match self {
            Self::Container(sandbox) => {
                let settings = Settings { closed, ..Settings::new(scratch) };
                Ok(Self::Container(Box::new(sandbox.again(settings)?)))
            }
            Self::Host(_) => Self::container(scratch, closed).await,
        }
    }

    /// This machine.
    #[must_use]
    pub fn host() -> Self {
        Self::Host(HostRunner::new())
    }

    /// Runs a command to its end; its lines go to `output`, whose tail then explains a failure ([`failure_of`]).
    ///
    /// # Errors
    /// What kept the command from running: `tool_missing`, `base_image_missing`, `engine_unavailable` …
    pub async fn run_into(
        &self,
        command: &Command,
        output: &mut Output,
        cancel: &CancellationToken,
    ) -> Result<Exit, Failure> {
        match self {
            Self::Host(host) => host.run(command, output, cancel).await,
            Self::Container(sandbox) => sandbox.run(command, output, cancel).await,
        }
    }

    /// Like [`Runner::run_into`], sending the lines, redacted, to a channel. However slowly it is read, the command's
    /// output is drained: what waits is bounded by the command's own limit of output.
    ///
    /// # Errors
    /// As [`Runner::run_into`].
    pub async fn run(
        &self,
        command: &Command,
        redactor: &Arc<Redactor>,
        lines: &mpsc::Sender<Line>,
        cancel: &CancellationToken,
    ) -> Result<Exit, Failure> {
        let (sink, mut waiting) = mpsc::unbounded_channel();
        let run = async {
            // A closed channel means that nobody reads any more; the command still runs to its end.
            let mut output = Output::new(Arc::clone(redactor), move |line| drop(sink.send(line)));
            self.run_into(command, &mut output, cancel).await
        };
        let pass_on = async {
            while let Some(line) = waiting.recv().await {
                if lines.send(line).await.is_err() {
                    break;
                }
            }
        };
        tokio::join!(run, pass_on).0
    }
}

/// The failure that an end is, other than an exit code of 0.
///
/// An exit code says only that something went wrong; the log's last lines say what, in words that the tools have
/// used for years. Where none of them is found, the command is taken to have failed for the project's own reasons.
#[must_use]
pub fn failure_of(exit: Exit, command: &Command, tail: &Tail) -> Failure {
    // Where a program lies in a cache tells nobody anything.
    let program = command.argv.first().map_or("", String::as_str);
    let program = program.strip_prefix("/cache/").and_then(|path| path.rsplit('/').next()).unwrap_or(program);
    let limits = &command.limits;
    let lines = tail.lines();
    let (code, message) = match exit {
        Exit::Code(number) => (cause(number, command, &lines), ended(program, number)),
        Exit::OutOfMemory => {
            let mebibytes = limits.memory >> 20;
            (FailureCode::OutOfMemory, format!("`{program}` used more than its {mebibytes} MiB of memory"))
        }
        Exit::TimedOut => {
            (FailureCode::TimedOut, format!("`{program}` was stopped after its time of {}", spoken(limits.timeout)))
        }
        Exit::Silent => {
            let silence = spoken(limits.silence.unwrap_or_default());
            (FailureCode::TimedOut, format!("`{program}` was stopped after printing nothing for {silence}"))
        }
        Exit::Cancelled => (FailureCode::Cancelled, format!("`{program}` was stopped: the build was cancelled")),
    };
    let hint = hint(exit, code, &lines);
    let failure = Failure::new(code, message).in_step(command.step).log_tail(lines);
    hint.into_iter().fold(failure, Failure::hint)
}

/// What to do, where more is known than the code says.
fn hint(exit: Exit, code: FailureCode, lines: &[String]) -> Option<&'static str> {
    match (exit, code) {
        (Exit::Silent, _) => {
            Some("Let the command print its progress, or ask the operator for a higher `limits.silence`.")
        }
        (_, FailureCode::DeployFailed) if says(lines, RELEASED) => {
            Some("The repository has this version already and takes a release once: give the project a new version.")
        }
        _ => None,
    }
}

/// Whether a deployment failed only because the repository has this version already. Where Maven went on no further, what
/// comes after is not there yet.
pub(crate) fn is_there_already(failure: &Failure) -> bool {
    let lines = &failure.log_tail;
    failure.code == FailureCode::DeployFailed && says(lines, RELEASED) && !says(lines, &[" SKIPPED"])
}

fn ended(program: &str, code: i32) -> String {
    match code {
        129..=192 => format!("`{program}` was ended by signal {}", code - 128),
        _ => format!("`{program}` ended with exit code {code}"),
    }
}

/// A duration as people say it.
pub(crate) fn spoken(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// Words of the JVM, which runs out of memory long before its container does.
const MEMORY: &[&str] =
    &["java.lang.OutOfMemoryError", "fatal error: runtime: out of memory", "fatal error: out of memory"];

/// Words of the C library, and of Go, which has its own.
const DISK: &[&str] =
    &["No space left on device", "no space left on device", "Disk quota exceeded", "disk quota exceeded"];

/// Words of Maven Surefire and of `go test`.
const TESTS: &[&str] = &["There are test failures", "There were test failures", "--- FAIL:"];

/// Words of Maven, pip, Go and the C library about repositories that do not answer; never about what they refuse or
/// do not have, since that is the project's to correct.
const NETWORK: &[&str] = &[
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Read timed out",
    "connection refused",
    "connection reset by peer",
    "connect timed out",
    "i/o timeout",
    "TLS handshake timeout",
    "Temporary failure in name resolution",
    "Temporary failure resolving",
    "server misbehaving",
    "UnknownHostException",
    "No route to host",
    "Network is unreachable",
    "network is unreachable",
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway Timeout",
    "503 Service Temporarily Unavailable",
    "status code: 429",
    "status code: 50",
    "status: 429",
    "status: 50",
    "Return code is: 50",
];

/// Words that stand beside those of [`NETWORK`] when a tool, and not the project's own program, could not connect.
const RESOLVING: &[&str] = &[
    "Could not transfer",
    "Could not resolve dependencies",
    "could not be resolved",
    "Failed to deploy",
    "urllib3",
    "ConnectionPool(host=",
    "proxy",
    "dial tcp",
    "Failed to fetch",
];

/// Words of Maven's transports when a repository refuses the account.
const LOGIN_REFUSED: &[&str] = &["status: 401", "status code: 401", "authentication failed for http"];

/// Words of Maven's transports, Nexus and Artifactory when a released version is there already. Nexus answers 400, which
/// alone may mean anything, and says the rest in words.
const RELEASED: &[&str] =
    &["status: 409", "status code: 409", "does not allow updating", "Not enough permissions to overwrite"];

/// Words of `javac`, Maven, pip and Go about files that are not what they should be.
const DAMAGED: &[&str] = &[
    "zip END header not found",
    "error in opening zip file",
    "zip file is empty",
    "invalid LOC header",
    "invalid CEN header",
    "Invalid or corrupt jarfile",
    "checksum mismatch",
    "not a valid zip file",
    "BadZipFile",
];

/// Whether a line speaks of a damaged file in a cache, which is no project's fault.
fn is_damage(line: &str, command: &Command) -> bool {
    let ours = |cache: &CacheMount| {
        [&cache.target, &cache.source].iter().any(|path| line.contains(&format!("{}/", path.display())))
    };
    DAMAGED.iter().any(|words| line.contains(words)) && command.caches.iter().any(ours)
}

fn says(lines: &[String], words: &[&str]) -> bool {
    lines.iter().any(|line| words.iter().any(|word| line.contains(word)))
}

fn cause(code: i32, command: &Command, lines: &[String]) -> FailureCode {
    let says = |words| says(lines, words);
    if says(DISK) {
        FailureCode::DiskFull
    } else if says(MEMORY) {
        FailureCode::OutOfMemory
    } else if says(TESTS) {
        FailureCode::TestsFailed
    } else if says(NETWORK) && says(RESOLVING) {
        FailureCode::DependencyUnavailable
    } else if lines.iter().any(|line| is_damage(line, command)) {
        FailureCode::CacheDamaged
    } else if command.step == Step::Deploy {
        if says(LOGIN_REFUSED) { FailureCode::DeployUnauthorized } else { FailureCode::DeployFailed }
    } else if code == 137 {
        // On the host the kernel kills for memory without telling anyone but its own log.
        FailureCode::OutOfMemory
    } else {
        FailureCode::CompileFailed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::command::{Limits, Network};

    fn command(step: Step) -> Command {
        Command {
            build: "b1".to_owned(),
            step,
            argv: vec!["mvn".to_owned()],
            workdir: "/workspace".into(),
            env: BTreeMap::new(),
            network: Network::None,
            image: "build".to_owned(),
            workspace: "/w".into(),
            caches: vec![CacheMount { source: "/var/cache/m2".into(), target: "/cache/m2".into() }],
            files: Vec::new(),
            limits: Limits::default(),
        }
    }

    fn code(exit: Exit, step: Step, lines: &[&str]) -> FailureCode {
        let mut tail = Tail::default();
        for line in lines {
            tail.push(line);
        }
        failure_of(exit, &command(step), &tail).code
    }

    #[test]
    fn ends_have_their_codes() {
        use FailureCode as F;
        let refused = "[ERROR] Could not transfer artifact a:b:1: Connect to repo:443 failed: Connection refused";
        for (exit, step, line, expected) in [
            (Exit::Code(1), Step::Compile, "[ERROR] cannot find symbol", F::CompileFailed),
            (Exit::Code(1), Step::Compile, refused, F::DependencyUnavailable),
            (Exit::Code(1), Step::Compile, "my program: Connection refused", F::CompileFailed),
            (
                Exit::Code(1),
                Step::Compile,
                "Could not transfer artifact a:b:1 from/to c (u): status code: 503, reason phrase: Service Unavailable (503)",
                F::DependencyUnavailable,
            ),
            (
                Exit::Code(1),
                Step::Compile,
                "Could not transfer artifact a:b:1: status code: 429",
                F::DependencyUnavailable,
            ),
            (Exit::Code(1), Step::Compile, "dial tcp: lookup x: i/o timeout", F::DependencyUnavailable),
            (Exit::Code(1), Step::Compile, "error reading /cache/m2/a.jar; zip END header not found", F::CacheDamaged),
            (
                Exit::Code(1),
                Step::Compile,
                "error reading /workspace/a.jar; zip END header not found",
                F::CompileFailed,
            ),
            (Exit::Code(1), Step::Compile, "java.lang.OutOfMemoryError: Java heap space", F::OutOfMemory),
            (Exit::Code(1), Step::Compile, "[ERROR] There are test failures.", F::TestsFailed),
            (Exit::Code(1), Step::Compile, "cp: No space left on device", F::DiskFull),
            (Exit::Code(1), Step::Compile, "write /output/application: no space left on device", F::DiskFull),
            (Exit::Code(1), Step::Deploy, "status: 409 Conflict", F::DeployFailed),
            (Exit::Code(1), Step::Deploy, "status: 401 Unauthorized", F::DeployUnauthorized),
            (Exit::Code(1), Step::Compile, "status: 401 Unauthorized", F::CompileFailed),
            (Exit::Code(137), Step::Compile, "", F::OutOfMemory),
            (Exit::OutOfMemory, Step::Compile, "", F::OutOfMemory),
            (Exit::TimedOut, Step::Compile, "", F::TimedOut),
            (Exit::Silent, Step::Compile, "", F::TimedOut),
            (Exit::Cancelled, Step::Compile, "", F::Cancelled),
        ] {
            assert_eq!(code(exit, step, &[line]), expected, "{exit:?} {line}");
        }
    }

    #[test]
    fn only_a_version_that_is_there_is_said_to_be() {
        let hint = |line: &str| {
            let mut tail = Tail::default();
            tail.push(line);
            failure_of(Exit::Code(1), &command(Step::Deploy), &tail).hint
        };
        let there = hint("status: 400 Repository does not allow updating assets: releases");
        assert!(there.contains("has this version already"), "{there}");
        assert_eq!(hint("status: 409 Conflict"), there);
        let already = |line: &str| {
            let mut tail = Tail::default();
            tail.push("status: 409 Conflict");
            tail.push(line);
            is_there_already(&failure_of(Exit::Code(1), &command(Step::Deploy), &tail))
        };
        assert!(already("[INFO] BUILD FAILURE"));
        assert!(!already("[INFO] web ................ SKIPPED"), "of several modules the first was there");
        assert_ne!(hint("status: 400 Repository version policy: RELEASE does not allow version: 1-SNAPSHOT"), there);
    }

    #[test]
    fn messages_say_what_happened() {
        let said = |exit| failure_of(exit, &command(Step::Compile), &Tail::default()).message;
        let cached =
            Command { argv: vec!["/cache/m2/maven/apache-maven-3.6.3/bin/mvn".to_owned()], ..command(Step::Compile) };
        assert_eq!(failure_of(Exit::Code(1), &cached, &Tail::default()).message, "`mvn` ended with exit code 1");
        assert_eq!(said(Exit::Code(2)), "`mvn` ended with exit code 2");
        assert_eq!(said(Exit::Code(139)), "`mvn` was ended by signal 11");
        assert_eq!(said(Exit::TimedOut), "`mvn` was stopped after its time of 30 min");
        assert_eq!(said(Exit::OutOfMemory), "`mvn` used more than its 4096 MiB of memory");
    }
}
