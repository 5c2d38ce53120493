//! What registries refuse, and what no answer comes to.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::outside;
use crate::http;
use crate::image::answers::{body, words_of};

/// What went wrong with a request; the text is as Go's clients print it, code first, which is what
/// [`crate::image::diagnosis`] reads.
#[derive(Debug, thiserror::Error)]
pub(in crate::image) enum Refusal {
    /// No answer, or one that broke off: it may have been carried out.
    #[error("{0}")]
    Lost(String),
    /// The registry answered.
    #[error("{words}")]
    Answered { status: StatusCode, words: String, retry_after: Option<Duration> },
    /// What was to be sent could not be read.
    #[error("{0}")]
    Own(String),
}

impl Refusal {
    /// Whether the same request may pass a little later.
    pub(in crate::image) fn may_pass(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Answered { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Own(_) => false,
        }
    }

    /// Whether an upload is unknown that was begun: what was sent of it is lost, and it has to begin anew.
    pub(in crate::image) fn is_upload_gone(&self) -> bool {
        matches!(self, Self::Answered { status, words, .. }
            if *status == StatusCode::NOT_FOUND && words.starts_with("blob upload"))
    }

    /// Whether a scan or signing gate hides what is there: in Harbor even a `HEAD` is a pull.
    pub(in crate::image) fn is_gate(&self) -> bool {
        self.status() == Some(StatusCode::PRECONDITION_FAILED)
    }

    /// Whether it may be how a proxy words what was refused in the middle of a body: 502, or no answer.
    pub(super) fn breaks_off(&self) -> bool {
        matches!(self, Self::Lost(_)) || self.status() == Some(StatusCode::BAD_GATEWAY)
    }

    /// How long the registry wants to be left alone.
    pub(in crate::image) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status of an answer.
    pub(in crate::image) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            _ => None,
        }
    }
}

pub(in crate::image) fn lost(error: &reqwest::Error) -> Refusal {
    if let Some(inside) = outside::refused(error) {
        return Refusal::Own(inside.to_string());
    }
    // The error names its URL, which may hold the state of an upload.
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    Refusal::Lost(format!("no answer: {source}"))
}

/// An answer as Go's clients print it: `denied: words`.
pub(super) async fn refusal(response: Response) -> Refusal {
    let status = response.status();
    let retry_after = http::retry_after(&response);
    let body = body(response).await;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let code = answer["errors"][0]["code"].as_str().map(|code| code.to_lowercase().replace('_', " "));
    let words = match code {
        Some(code) => format!("{code}: {}", words_of(&body)),
        // nginx, where TLS ends at one; others break the connection off.
        None if String::from_utf8_lossy(&body).contains("SSL certificate was sent") => {
            "unauthorized: the registry asks for a client certificate, see `registry.client_certificates`".to_owned()
        }
        None if status.is_server_error() => format!("received unexpected HTTP status: {status}"),
        None => format!("error parsing HTTP {} response", status.as_u16()),
    };
    Refusal::Answered { status, words, retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_off_may_be_a_refusal_and_what_is_said_in_words_is_none() {
        let answered = |status: u16| {
            let (status, words) = (StatusCode::from_u16(status).unwrap(), String::new());
            Refusal::Answered { status, words, retry_after: None }
        };
        assert!(answered(502).breaks_off() && Refusal::Lost(String::new()).breaks_off());
        for status in [401, 403, 413, 500, 503] {
            assert!(!answered(status).breaks_off(), "{status}");
        }
        assert!(!Refusal::Own(String::new()).breaks_off());
    }
}
