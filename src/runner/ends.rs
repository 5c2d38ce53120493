//! What the end of a command means: whose fault it is, and what to do.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::model::command::{CacheMount, Command, Exit};
use crate::model::failure::{Failure, FailureCode, Step};
use crate::output::Tail;

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
