//! The connection to the Docker Engine, and what its errors mean.

use std::time::Duration;

use bollard::errors::Error;
use bollard::{BollardRequest, Docker};
use futures_util::{Stream, StreamExt as _, future};
use tokio::sync::OnceCell;

use crate::model::failure::{Failure, FailureCode};

/// Bounds a whole upload up to the Engine's first answer; builds are bounded by their own
/// timeout, so this only must be longer.
const REQUEST_TIMEOUT: Duration = Duration::from_hours(24);

/// How long an Engine may take to say that it is there.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The Docker Engine, connected to when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Engine {
    host: Option<String>,
    docker: OnceCell<Docker>,
}

impl Engine {
    /// At this address, or where `DOCKER_HOST` says.
    pub(super) fn new(host: Option<String>) -> Self {
        Self { host, docker: OnceCell::new() }
    }

    /// A client that speaks the Engine's version, after the Engine has answered.
    pub(super) async fn docker(&self) -> Result<&Docker, Failure> {
        let docker = self.docker.get_or_try_init(|| self.connect()).await?;
        if answers(docker).await { Ok(docker) } else { Err(self.absent("it does not answer")) }
    }

    async fn connect(&self) -> Result<Docker, Failure> {
        let docker = match &self.host {
            Some(host) => Docker::connect_with_host(host),
            None => Docker::connect_with_defaults(),
        };
        let docker = docker.map_err(|error| self.absent(&error.to_string()))?;
        let docker = docker.with_request_modifier(url_safe_credentials);
        match tokio::time::timeout(PING_TIMEOUT, docker.negotiate_version()).await {
            Ok(Ok(docker)) => Ok(docker.with_timeout(REQUEST_TIMEOUT)),
            Ok(Err(error)) => Err(self.absent(&error.to_string())),
            Err(_) => Err(self.absent("it does not answer")),
        }
    }

    fn absent(&self, why: &str) -> Failure {
        let place = self.host.as_ref().map_or_else(String::new, |host| format!(" at `{host}`"));
        Failure::new(FailureCode::EngineUnavailable, format!("The Docker Engine{place} cannot be used: {why}."))
            .hint("Start the Engine, or correct `DOCKER_HOST`; `slipway doctor` says what it sees.")
    }
}

/// Whether the Engine is alive.
pub(super) async fn answers(docker: &Docker) -> bool {
    matches!(tokio::time::timeout(PING_TIMEOUT, docker.ping()).await, Ok(Ok(_)))
}

/// Turns an error of a request or stream into a failure.
///
/// What the Engine says in its own words gets `code`; an Engine that went away is
/// `engine_unavailable`, and a full disk is told apart.
pub(super) async fn failure_of(docker: &Docker, error: &Error, code: FailureCode, what: &str) -> Failure {
    let said = match error {
        Error::DockerStreamError { error } => Some(error.as_str()),
        Error::DockerResponseServerError { message, .. } => Some(message.as_str()),
        _ => None,
    };
    if let Some(said) = said.filter(|said| disk_full(said)) {
        return Failure::new(FailureCode::DiskFull, format!("{what}: the Engine's disk is full: {}.", tidy(said)));
    }
    match said {
        Some(said) if !shutting_down(said) && answers(docker).await => {
            Failure::new(code, format!("{what}: {}.", tidy(said)))
        }
        _ => died(what, &error.to_string()),
    }
}

/// A stream of the Engine's messages, without an error that is none.
///
/// A line ends with CR LF. Where the last line's end comes in a chunk of its own, bollard's decoder
/// takes the CR for the beginning of a line that was cut off, although the Engine ended the stream
/// in order; a line that truly is cut off is no JSON, and whoever reads the messages misses its own.
pub(crate) fn messages<T>(stream: impl Stream<Item = Result<T, Error>>) -> impl Stream<Item = Result<T, Error>> {
    stream.filter(|message| future::ready(!matches!(message, Err(error) if is_end(error))))
}

/// What tokio-util's `Decoder::decode_eof` says where bytes are left.
fn is_end(error: &Error) -> bool {
    matches!(error, Error::IOError { err } if err.to_string() == "bytes remaining on stream")
}

/// The Engine went away while it worked.
pub(super) fn died(what: &str, why: &str) -> Failure {
    let message = format!("{what}: the Docker Engine stopped answering: {}.", tidy(why));
    Failure::new(FailureCode::EngineUnavailable, message)
}

/// The Engine's words without what would break a sentence.
pub(super) fn tidy(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

/// `ENOSPC` and `EDQUOT` as Go and the kernel print them.
fn disk_full(text: &str) -> bool {
    text.contains("no space left on device") || text.contains("disk quota exceeded")
}

/// What an Engine says of running builds while it stops (gRPC's `Unavailable` and Go's
/// cancelled contexts; nobody else cancels, a build that we cancel is not listened to).
fn shutting_down(text: &str) -> bool {
    ["code = Unavailable", "context canceled", "transport is closing", "code = Canceled"]
        .iter()
        .any(|sign| text.contains(sign))
}

/// bollard encodes credentials in standard base64, the Engine reads base64url and silently
/// takes what it cannot read for "no credentials".
pub(crate) fn url_safe_credentials(mut request: BollardRequest) -> BollardRequest {
    for name in ["x-registry-auth", "x-registry-config"] {
        let Some(value) = request.headers().get(name).and_then(|value| value.to_str().ok()) else { continue };
        let safe = value.replace('+', "-").replace('/', "_");
        if let Ok(safe) = safe.parse() {
            request.headers_mut().insert(name, safe);
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_absent_engine_is_named_and_retryable() {
        let dir = tempfile::tempdir().unwrap();
        let host = format!("unix://{}/none.sock", dir.path().display());
        let failure = Engine::new(Some(host.clone())).docker().await.unwrap_err();
        assert_eq!(failure.code, FailureCode::EngineUnavailable);
        assert!(failure.retryable && failure.message.contains(&host), "{failure}");
    }

    #[tokio::test]
    async fn an_unknown_scheme_is_no_panic() {
        let failure = Engine::new(Some("gopher://x".into())).docker().await.unwrap_err();
        assert_eq!(failure.code, FailureCode::EngineUnavailable);
    }

    #[tokio::test]
    async fn the_end_of_a_line_by_itself_is_no_error() {
        let remaining = || Error::IOError { err: std::io::Error::other("bytes remaining on stream") };
        let reset = || Error::IOError { err: std::io::ErrorKind::ConnectionReset.into() };
        let stream = futures_util::stream::iter([Ok(1), Err(reset()), Ok(2), Err(remaining())]);
        let got: Vec<Result<i32, Error>> = messages(stream).collect().await;
        assert!(matches!(got[..], [Ok(1), Err(_), Ok(2)]), "{got:?}");
    }

    #[test]
    fn signs_of_a_full_disk_and_of_a_stop() {
        assert!(disk_full("write /x: no space left on device"));
        assert!(shutting_down("rpc error: code = Unavailable desc = transport is closing"));
        assert!(!shutting_down("COPY failed"));
    }
}
