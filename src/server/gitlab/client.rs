//! GitLab's API: the only place that calls it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::config::Config;
use crate::model::failure::{Failure, FailureCode};

/// How long GitLab may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most that is read of an answer.
const ANSWER: usize = 4 << 20;

/// GitLab's API.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    /// `https://gitlab.example.com`
    base: String,
    host: String,
    credentials: Option<String>,
}

/// Why GitLab did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It never will.
    Final(String),
    /// It may later.
    Later(String),
}

impl Client {
    /// By configuration, where it names a GitLab.
    pub(super) fn new(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(url) = &config.server.gitlab.url else { return Ok(None) };
        let invalid =
            |why: String| Failure::new(FailureCode::ConfigurationInvalid, format!("`server.gitlab.url` {why}"));
        let parsed = url::Url::parse(url).map_err(|error| invalid(format!("is no URL: {error}")))?;
        let host = parsed.host_str().ok_or_else(|| invalid("names no host".to_owned()))?;
        let host = parsed.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let mut builder = reqwest::Client::builder()
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
            // The token must not follow anyone elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(bundle) = config.network.ca_bundle.as_ref().and_then(|path| std::fs::read(path).ok()) {
            let certificates = crate::http::certificates(&bundle);
            builder = builder
                .tls_certs_merge(certificates.map_err(|error| invalid(format!("has no certificates: {error}")))?);
        }
        let http = builder.build().map_err(|error| invalid(format!("cannot be reached: {error}")))?;
        let credentials = config.server.gitlab.credentials.clone();
        Ok(Some(Self { http, base: url.trim_end_matches('/').to_owned(), host, credentials }))
    }

    /// Calls the API below `/api/v4` and reads its answer.
    ///
    /// # Errors
    /// What GitLab says, or that it says nothing.
    pub(super) async fn call(
        &self,
        config: &Config,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let mut request = self.http.request(method, format!("{}/api/v4{path}", self.base));
        if let Some(name) = &self.credentials {
            let account = crate::secrets::account(config, name, &self.host, "*").await;
            let account = account.map_err(|failure| Refusal::Later(failure.message))?;
            request = request.header("PRIVATE-TOKEN", account.password);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| Refusal::Later(said(&error)))?;
        let status = answer.status();
        let text = answer.bytes().await.map_err(|error| Refusal::Later(said(&error)))?;
        if text.len() > ANSWER {
            return Err(Refusal::Final(format!("GitLab's answer has {} bytes", text.len())));
        }
        let value = serde_json::from_slice(&text).unwrap_or(Value::Null);
        judged(status, value)
    }
}

/// What a status of GitLab's means for whoever called.
fn judged(status: StatusCode, value: Value) -> Result<Value, Refusal> {
    if status.is_success() {
        return Ok(value);
    }
    let message = match &value["message"] {
        Value::Null => value["error"].to_string(),
        message => message.to_string(),
    };
    let why = format!("{}: {}", status.as_u16(), message.chars().take(200).collect::<String>());
    // Older servers refuse a state that is set already.
    if status == StatusCode::BAD_REQUEST && message.contains("Cannot transition status") {
        return Ok(Value::Null);
    }
    match status.as_u16() {
        // A token may be replaced, a project may come back to it.
        401 | 403 | 408 | 409 | 425 | 429 | 500..=599 => Err(Refusal::Later(why)),
        _ => Err(Refusal::Final(why)),
    }
}

/// An error of the connection, without the URL that it repeats.
fn said(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let of =
            |status: u16, message: &str| judged(StatusCode::from_u16(status).unwrap(), json!({ "message": message }));
        assert!(of(201, "").is_ok());
        assert!(of(400, "Cannot transition status via :run from :running").is_ok());
        assert!(matches!(of(400, "name is too long"), Err(Refusal::Final(_))));
        assert!(matches!(of(404, "404 Commit Not Found"), Err(Refusal::Final(_))));
        assert!(matches!(of(401, "401 Unauthorized"), Err(Refusal::Later(_))));
        assert!(matches!(of(429, "Retry later"), Err(Refusal::Later(_))));
        assert!(matches!(of(502, ""), Err(Refusal::Later(_))));
    }
}
