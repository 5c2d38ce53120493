//! The git program, hardened: nothing of the machine's or the account's configuration counts,
//! no hook runs, no prompt appears, one protocol is spoken, and secrets stand in no argument.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::ssh;
use crate::model::failure::{Failure, FailureCode};
use crate::model::source::{RepositoryUrl, Transport};
use crate::process::{self, Captured};

/// The longest that one command may take; stalled transfers end long before.
const TIMEOUT: Duration = Duration::from_mins(20);
/// The most that is kept of either stream.
const OUTPUT: usize = 32 << 20;

/// Answers Git's question for credentials from the environment (gitcredentials(7)). A constant:
/// no text from outside ever becomes part of it.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$SLIPWAY_GIT_USERNAME\" \"$SLIPWAY_GIT_PASSWORD\"; }; f";

/// One run of git, described.
pub(super) struct Git<'a> {
    arguments: Vec<OsString>,
    directory: Option<PathBuf>,
    /// The repository it speaks to, and what it may show there; `None` is no network at all.
    remote: Option<(&'a Access, &'a RepositoryUrl)>,
    /// Another repository's objects, which it may read.
    objects: Option<PathBuf>,
    input: Option<Vec<u8>>,
    trace: bool,
}

/// How a run ended.
pub(super) struct Output {
    pub(super) success: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl<'a> Git<'a> {
    /// `git` with these arguments.
    pub(super) fn new<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned()).collect();
        Self { arguments, directory: None, remote: None, objects: None, input: None, trace: false }
    }

    /// In a repository of ours.
    pub(super) fn within(mut self, repository: &Path) -> Self {
        self.directory = Some(repository.to_owned());
        self
    }

    /// Speaking to this repository.
    pub(super) fn speaking_to(mut self, access: &'a Access, url: &'a RepositoryUrl) -> Self {
        self.remote = Some((access, url));
        self
    }

    /// Reading the objects of another repository of this machine that we chose ourselves.
    pub(super) fn reading_objects_of(mut self, objects: &Path) -> Self {
        self.objects = Some(objects.to_owned());
        self
    }

    /// With this on standard input.
    pub(super) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = Some(bytes);
        self
    }

    /// With the HTTP headers on standard error; Git leaves authorization out of them.
    pub(super) fn tracing_headers(mut self) -> Self {
        self.trace = true;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// `tool_missing` without a git program, `source_unavailable` when it takes too long.
    /// A git that ran and failed is an [`Output`].
    pub(super) async fn run(self) -> Result<Output, Failure> {
        let mut program = process::Program::new("git", &self.arguments);
        program.env = self.environment().into_iter().map(|(name, value)| (name.into(), value)).collect();
        program.dir = Some(self.directory.clone().unwrap_or_else(|| PathBuf::from("/")));
        program.stdin.clone_from(&self.input);
        let mut output = capture(program).await?;
        if let Some(account) = self.remote.and_then(|(access, url)| access.account(url))
            && !account.password.is_empty()
        {
            output.stderr = output.stderr.replace(&account.password, "[redacted]");
        }
        Ok(output)
    }

    /// Runs it and takes anything but success for a fault of this machine.
    ///
    /// # Errors
    /// As [`Git::run`]; `disk_full` or `internal` when git failed.
    pub(super) async fn run_or_fail(self) -> Result<Output, Failure> {
        let verb = self.arguments.first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
        let output = self.run().await?;
        if output.success {
            return Ok(output);
        }
        Err(local_failure(&verb, &output.stderr))
    }

    fn environment(&self) -> Vec<(String, OsString)> {
        let mut environment: Vec<(String, OsString)> = [
            ("PATH", process::SYSTEM_PATH),
            // Neither `~/.netrc` nor `~/.gitconfig`; ssh takes its home from the account.
            ("HOME", "/nonexistent"),
            ("XDG_CONFIG_HOME", "/nonexistent"),
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_LITERAL_PATHSPECS", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("GIT_ADVICE", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), OsString::from(value)))
        .into();
        let mut settings: Vec<(String, OsString)> = [
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.autocrlf", "false"),
            ("credential.helper", ""),
            ("fetch.recurseSubmodules", "false"),
            ("submodule.recurse", "false"),
            ("gc.auto", "0"),
            ("checkout.workers", "0"),
            ("maintenance.auto", "false"),
            ("http.followRedirects", "false"),
            ("http.lowSpeedLimit", "1000"),
            ("http.lowSpeedTime", "60"),
            ("protocol.version", "2"),
        ]
        .map(|(name, value)| (name.to_owned(), OsString::from(value)))
        .into();
        // Whatever is listed here is allowed and everything else is not (git(1)).
        let mut protocols = "";
        if let Some((access, url)) = self.remote {
            protocols = url.transport().scheme();
            environment.extend(access.proxy.iter().map(|(name, value)| (name.clone(), value.into())));
            environment.extend(access.ca_bundle.iter().map(|file| ("GIT_SSL_CAINFO".to_owned(), file.into())));
            if url.transport() == Transport::Ssh {
                environment.extend(ssh::environment(access, url));
            }
            if let Some(account) = access.account(url) {
                // For this host only: Git asks again for wherever it is sent.
                settings.push((format!("credential.{}.helper", url.authority()), HELPER.into()));
                environment.push(("SLIPWAY_GIT_USERNAME".to_owned(), account.username.clone().into()));
                environment.push(("SLIPWAY_GIT_PASSWORD".to_owned(), account.password.clone().into()));
            }
        }
        if let Some(objects) = &self.objects {
            environment.push(("GIT_ALTERNATE_OBJECT_DIRECTORIES".to_owned(), objects.into()));
            // A copy need not survive the machine; waiting for its pack would mean waiting for every file beside it.
            settings.push(("core.fsync".to_owned(), "none".into()));
        }
        if self.trace {
            environment.push(("GIT_TRACE_CURL".to_owned(), "1".into()));
            environment.push(("GIT_TRACE_CURL_NO_DATA".to_owned(), "1".into()));
        }
        environment.push(("GIT_ALLOW_PROTOCOL".to_owned(), protocols.into()));
        environment.push(("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string().into()));
        for (index, (name, value)) in settings.into_iter().enumerate() {
            environment.push((format!("GIT_CONFIG_KEY_{index}"), name.into()));
            environment.push((format!("GIT_CONFIG_VALUE_{index}"), value));
        }
        environment
    }
}

fn local_failure(verb: &str, stderr: &str) -> Failure {
    let tail = tail(stderr);
    let code = if stderr.contains("No space left on device") { FailureCode::DiskFull } else { FailureCode::Internal };
    let last = tail.last().cloned().unwrap_or_default();
    Failure::new(code, format!("`git {verb}` failed: {last}")).log_tail(tail)
}

/// The last lines of what git said.
pub(super) fn tail(stderr: &str) -> Vec<String> {
    let lines: Vec<_> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(20)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Runs git to its end. Whoever drops the future ends git and its helpers.
async fn capture(mut program: process::Program) -> Result<Output, Failure> {
    program.timeout = TIMEOUT;
    program.max_output = OUTPUT;
    let ended = process::capture(&program, &CancellationToken::new()).await;
    let Captured { code, stdout, stderr, .. } = ended.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Failure::new(FailureCode::ToolMissing, format!("the `git` program cannot be started: {error}"))
                .hint("install git 2.31 or newer")
        }
        ErrorKind::TimedOut => Failure::new(FailureCode::SourceUnavailable, error.to_string()),
        _ => Failure::new(FailureCode::Internal, format!("`git` could not be watched: {error}")),
    })?;
    Ok(Output { success: code == 0, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::access::{Account, Credentials};

    fn access() -> Access {
        Access {
            credentials: Some(Credentials {
                name: "gitlab".into(),
                account: Some(Account { username: "u".into(), password: "hunter2".into() }),
                ssh: None,
                hosts: vec!["gitlab.example.com".into()],
            }),
            ..Access::default()
        }
    }

    fn variable(environment: &[(String, OsString)], name: &str) -> Option<String> {
        environment.iter().find(|(own, _)| own == name).map(|(_, value)| value.to_string_lossy().into_owned())
    }

    #[test]
    fn secrets_are_shown_to_their_host_alone_and_never_as_arguments() {
        let access = access();
        let own = "https://gitlab.example.com/a".parse().unwrap();
        let git = Git::new(["fetch"]).speaking_to(&access, &own);
        assert_eq!(variable(&git.environment(), "SLIPWAY_GIT_PASSWORD").as_deref(), Some("hunter2"));
        assert_eq!(variable(&git.environment(), "GIT_ALLOW_PROTOCOL").as_deref(), Some("https"));
        assert!(git.arguments.iter().all(|argument| !argument.to_string_lossy().contains("hunter2")));

        let other = "https://elsewhere.example.com/a".parse().unwrap();
        let git = Git::new(["fetch"]).speaking_to(&access, &other);
        assert_eq!(variable(&git.environment(), "SLIPWAY_GIT_PASSWORD"), None);
        assert_eq!(variable(&Git::new(["gc"]).environment(), "GIT_ALLOW_PROTOCOL").as_deref(), Some(""));
    }

    #[tokio::test]
    async fn git_sees_none_of_the_accounts_configuration() {
        let output = Git::new(["config", "--list", "--show-origin"]).run().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.success && text.lines().all(|line| line.starts_with("command line:")), "{text}");
    }

    #[tokio::test]
    async fn no_other_protocol_is_spoken() {
        let output = Git::new(["ls-remote", "ext::sh -c true"]).run().await.unwrap();
        assert!(!output.success && output.stderr.contains("not allowed"), "{}", output.stderr);
    }
}
